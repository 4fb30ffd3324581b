// Have parameters changed since their weights were packed? Asked before every step, so it must cost next to nothing.
#pragma once

#include <nanobind/nanobind.h>

#include <utility>
#include <vector>

namespace unrolled {

namespace nb = nanobind;

class Watch {
public:
    Watch() = default;
    // Items (place, name, parameter, kept): a module's dict of parameters, the name there, what stands there, and a
    // tensor that shares its memory. While that is kept, no other parameter can come to stand at the same address. Or
    // (place, name, object, None): what must stay the same object in such a dict. Or (place, None, count, None): a dict
    // that must keep so many entries.
    explicit Watch(const nb::list& items) {
        for (nb::handle item : items) add(nb::cast<nb::tuple>(item));
    }

    // Each parameter must be the same object in the same place, with the same count of changes and the same memory.
    bool changed() const {
        for (const One& one : all_) {
            if (one.name.is_none()) {
                if (PyDict_Size(one.place.ptr()) != one.version) return true;
                continue;
            }
            PyObject* there = PyDict_GetItemWithError(one.place.ptr(), one.name.ptr());
            if (there != one.parameter.ptr()) return true;
            if (one.get && (version(one) != one.version || address(one) != one.address)) return true;
        }
        return false;
    }

private:
    // The getter of `_version` and the function behind `data_ptr`, found once: a look-up by name costs as much again.
    struct One {
        nb::dict place;
        nb::object name, parameter, kept, counter, method;
        descrgetfunc get = nullptr;
        PyCFunction data_ptr = nullptr;
        PyObject* self = nullptr;
        Py_ssize_t version = 0, address = 0;
    };
    std::vector<One> all_;

    void add(const nb::tuple& item) {
        One one{nb::cast<nb::dict>(item[0]), item[1], item[2], item[3]};
        if (one.name.is_none()) one.version = nb::cast<Py_ssize_t>(one.parameter);
        if (one.kept.is_none()) return all_.push_back(std::move(one));
        one.counter = nb::getattr(nb::getattr(one.parameter, "__class__"), "_version");
        one.get = reinterpret_cast<descrgetfunc>(PyType_GetSlot(Py_TYPE(one.counter.ptr()), Py_tp_descr_get));
        if (!one.get) throw nb::type_error("Stepper: a parameter counts its changes in an unknown way.");
        one.method = nb::getattr(one.parameter, "data_ptr");
        if (PyCFunction_Check(one.method.ptr()) && PyCFunction_GetFlags(one.method.ptr()) == METH_NOARGS) {
            one.data_ptr = PyCFunction_GetFunction(one.method.ptr());
            one.self = PyCFunction_GetSelf(one.method.ptr());
        }
        one.version = version(one);
        one.address = address(one);
        all_.push_back(std::move(one));
    }
    static Py_ssize_t version(const One& one) {
        PyObject* parameter = one.parameter.ptr();
        return number(one.get(one.counter.ptr(), parameter, reinterpret_cast<PyObject*>(Py_TYPE(parameter))));
    }
    static Py_ssize_t address(const One& one) {
        return number(one.data_ptr ? one.data_ptr(one.self, nullptr) : PyObject_CallNoArgs(one.method.ptr()));
    }
    static Py_ssize_t number(PyObject* found) {
        if (!found) throw nb::python_error();
        const Py_ssize_t value = PyLong_AsSsize_t(found);
        Py_DECREF(found);
        return value;
    }
};

}  // namespace unrolled
