// The state of a layer as Python has it: tensors in nested tuples, most of them named.
#pragma once

#include <nanobind/nanobind.h>

#include <vector>

namespace unrolled {

namespace nb = nanobind;

class Structure {
public:
    Structure() = default;
    // As `like`, whose leaves have a shape.
    explicit Structure(nb::handle like) { add(like); }

    const std::vector<std::vector<long>>& shapes() const { return shapes_; }

    // The leaves of a state of this structure, borrowed; false for any other.
    bool flatten(PyObject* state, std::vector<PyObject*>& leaves) const {
        size_t next = 0;
        return !nodes_.empty() && flatten(state, next, leaves);
    }
    // A state of these leaves.
    nb::object build(const std::vector<nb::object>& leaves) const {
        size_t next = 0, leaf = 0;
        return build(leaves, next, leaf);
    }

private:
    // A tuple of `count` nodes that follow; or, without a type, a leaf, or None where `count` is less than 0.
    struct Node {
        nb::object type;
        Py_ssize_t count = 0;
    };
    std::vector<Node> nodes_;
    std::vector<std::vector<long>> shapes_;

    void add(nb::handle like) {
        if (like.is_none()) {
            nodes_.push_back({{}, -1});
        } else if (PyTuple_Check(like.ptr())) {
            nodes_.push_back({nb::borrow(reinterpret_cast<PyObject*>(Py_TYPE(like.ptr()))), PyTuple_Size(like.ptr())});
            for (nb::handle part : nb::borrow<nb::tuple>(like)) add(part);
        } else {
            nodes_.emplace_back();
            std::vector<long>& shape = shapes_.emplace_back();
            for (nb::handle size : like.attr("shape")) shape.push_back(nb::cast<long>(size));
        }
    }

    bool flatten(PyObject* state, size_t& next, std::vector<PyObject*>& leaves) const {
        const Node& node = nodes_[next++];
        if (!node.type.is_valid()) {
            if (node.count == 0) leaves.push_back(state);
            return node.count == 0 || state == Py_None;
        }
        if (reinterpret_cast<PyObject*>(Py_TYPE(state)) != node.type.ptr() || PyTuple_Size(state) != node.count)
            return false;
        for (Py_ssize_t i = 0; i < node.count; ++i)
            if (!flatten(PyTuple_GetItem(state, i), next, leaves)) return false;
        return true;
    }

    nb::object build(const std::vector<nb::object>& leaves, size_t& next, size_t& leaf) const {
        const Node& node = nodes_[next++];
        if (!node.type.is_valid()) return node.count == 0 ? leaves[leaf++] : nb::none();
        std::vector<nb::object> parts;
        for (Py_ssize_t i = 0; i < node.count; ++i) parts.push_back(build(leaves, next, leaf));
        if (node.type.ptr() == reinterpret_cast<PyObject*>(&PyTuple_Type)) {
            const nb::object made = nb::steal(PyTuple_New(node.count));
            for (Py_ssize_t i = 0; i < node.count; ++i) PyTuple_SetItem(made.ptr(), i, parts[i].release().ptr());
            return made;
        }
        std::vector<PyObject*> arguments;
        for (const nb::object& part : parts) arguments.push_back(part.ptr());
        PyObject* made = PyObject_Vectorcall(node.type.ptr(), arguments.data(), arguments.size(), nullptr);
        if (!made) throw nb::python_error();
        return nb::steal(made);
    }
};

}  // namespace unrolled
