// Numpy arrays and torch tensors seen from C: their memory, and fresh ones, with no call by name on the way.
#pragma once

#include <nanobind/nanobind.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace unrolled {

namespace nb = nanobind;

// The memory of an object that offers a buffer, held until the end of the scope.
class Buffer {
public:
    Buffer(nb::handle object, bool writable)
        : held_(PyObject_GetBuffer(object.ptr(), &view_,
                                   PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0)) == 0) {
        if (!held_) PyErr_Clear();
    }
    ~Buffer() {
        if (held_) PyBuffer_Release(&view_);
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    bool fits(char format, const long* shape, int dimensions) const {
        if (!held_ || view_.ndim != dimensions || !view_.format) return false;
        if (view_.format[0] != format || view_.format[1] != 0) return false;
        return std::equal(shape, shape + dimensions, view_.shape, [](long a, Py_ssize_t b) { return a == b; });
    }
    void* memory() const { return view_.buf; }

private:
    Py_buffer view_;
    bool held_;
};

// The layout of DLPack, https://github.com/dmlc/dlpack, version 1.3, as far as it is used.
namespace dlpack {

struct Tensor {
    void* data;
    int32_t device, device_number, dimensions;
    uint8_t kind, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t offset;
};

struct Managed {
    uint32_t major, minor;
    void* context;
    void (*release)(Managed*);
    uint64_t flags;
    Tensor tensor;
};

struct Exchange {
    uint32_t major, minor;
    Exchange* older;
    void (*allocate)();
    int (*take)(void* object, Managed** out);
    int (*give)(Managed* memory, void** object);
    int (*look)(void* object, Tensor* out);
};

}  // namespace dlpack

// What numpy and torch offer, kept until the process ends.
class Arrays {
public:
    // Once, when the module is imported: later, threads could meet here and wait for each other with the GIL.
    static void load() { found_ = new Arrays(); }
    static const Arrays& get() { return *found_; }

    bool is_array(PyObject* x) const { return Py_TYPE(x) == array_; }
    bool is_tensor(PyObject* x) const { return Py_TYPE(x) == tensor_ || Py_TYPE(x) == parameter_; }

    // A fresh array; shape is a tuple.
    nb::object array(const nb::object& shape, char format) const {
        PyObject* arguments[] = {shape.ptr(), (format == 'd' ? double_ : float_).ptr()};
        return checked(PyObject_Vectorcall(empty_.ptr(), arguments, 2, nullptr));
    }

    // The memory of a dense tensor of the processor in this shape, or null: it is another one, or torch does not tell.
    void* memory(PyObject* x, char format, const long* shape, int dimensions) const {
        if (!exchange_) return asked_memory(x, format, shape, dimensions);
        dlpack::Tensor seen;
        if (exchange_->look(x, &seen) != 0) {
            PyErr_Clear();
            return nullptr;
        }
        if (seen.device != cpu || seen.kind != floating || seen.bits != bits(format) || seen.lanes != 1) return nullptr;
        if (seen.dimensions != dimensions || !seen.strides) return nullptr;
        const bool empty = count(shape, dimensions) == 0;
        for (int64_t i = dimensions - 1, inner = 1; i >= 0; inner *= shape[i--])
            if (seen.shape[i] != shape[i] || (shape[i] != 1 && !empty && seen.strides[i] != inner)) return nullptr;
        if (empty) return const_cast<char*>(nothing);
        return negated(x) ? nullptr : static_cast<char*>(seen.data) + seen.offset;
    }

    // A fresh tensor, and where its memory is. Half the price of torch's own.
    nb::object tensor(char format, const long* shape, int dimensions, void*& memory) const {
        if (!exchange_ || dimensions > most_dimensions) {
            nb::object made = empty_tensor_(tuple(shape, dimensions), nb::arg("dtype") = dtype(format));
            memory = reinterpret_cast<void*>(nb::cast<intptr_t>(made.attr("data_ptr")()));
            return made;
        }
        Block* block = Block::make(format, shape, dimensions);
        memory = block->managed.tensor.data;
        void* object = nullptr;
        if (exchange_->give(&block->managed, &object) != 0) throw nb::python_error();
        return nb::steal(static_cast<PyObject*>(object));
    }

private:
    static constexpr int cpu = 1, floating = 2, most_dimensions = 6;
    static constexpr uint64_t alignment = 64;
    static inline const Arrays* found_ = nullptr;
    // Where the memory of a tensor without numbers is.
    static constexpr char nothing[alignment] = {};
    static int bits(char format) { return format == 'd' ? 64 : 32; }
    static int64_t count(const long* shape, int dimensions) {
        int64_t found = 1;
        for (int i = 0; i < dimensions; ++i) found *= shape[i];
        return found;
    }
    static nb::tuple tuple(const long* shape, int dimensions) {
        nb::list sizes;
        for (int i = 0; i < dimensions; ++i) sizes.append(shape[i]);
        return nb::tuple(sizes);
    }

    // What a tensor's memory begins with, until torch gives it back.
    struct alignas(alignment) Block {
        dlpack::Managed managed;
        int64_t shape[most_dimensions], strides[most_dimensions];

        static Block* make(char format, const long* shape, int dimensions) {
            const size_t bytes = static_cast<size_t>(count(shape, dimensions) * bits(format) / 8);
            const size_t padded = (bytes + alignment - 1) / alignment * alignment;
            void* memory = std::aligned_alloc(alignment, sizeof(Block) + padded);
            if (!memory) throw std::bad_alloc();
            Block* block = new (memory) Block{{1, 0, memory, free, 0, {}}, {}, {}};
            for (int i = 0; i < dimensions; ++i) {
                block->shape[i] = shape[i];
                block->strides[i] = count(shape + i + 1, dimensions - i - 1);
            }
            const uint8_t size = static_cast<uint8_t>(bits(format));
            block->managed.tensor = {block + 1, cpu, 0, dimensions, floating, size, 1, block->shape, block->strides, 0};
            return block;
        }
        static void free(dlpack::Managed* managed) { std::free(managed->context); }
    };

    nb::object empty_, float_, double_, empty_tensor_, torch_float_, torch_double_, strided_, is_neg_, capsule_;
    PyTypeObject *array_, *tensor_, *parameter_;
    const dlpack::Exchange* exchange_ = nullptr;

    Arrays() {
        const nb::object numpy = nb::module_::import_("numpy"), torch = nb::module_::import_("torch");
        const nb::object parameter = nb::module_::import_("torch.nn").attr("Parameter");
        empty_ = numpy.attr("empty");
        float_ = numpy.attr("dtype")("float32");
        double_ = numpy.attr("dtype")("float64");
        array_ = kept_type(numpy.attr("ndarray"));
        tensor_ = kept_type(torch.attr("Tensor"));
        parameter_ = kept_type(parameter);
        empty_tensor_ = torch.attr("empty");
        torch_float_ = torch.attr("float32");
        torch_double_ = torch.attr("float64");
        strided_ = torch.attr("strided");
        is_neg_ = torch.attr("Tensor").attr("is_neg");
        // Torch has it since 2.10.
        capsule_ = nb::getattr(torch.attr("Tensor"), "__dlpack_c_exchange_api__", nb::none());
        if (!PyCapsule_IsValid(capsule_.ptr(), "dlpack_exchange_api")) return;
        const auto* exchange =
            static_cast<const dlpack::Exchange*>(PyCapsule_GetPointer(capsule_.ptr(), "dlpack_exchange_api"));
        if (exchange->major == 1) exchange_ = exchange;
    }
    const nb::object& dtype(char format) const { return format == 'd' ? torch_double_ : torch_float_; }

    // `memory` by attributes of Python.
    void* asked_memory(PyObject* object, char format, const long* shape, int dimensions) const {
        const nb::handle x(object);
        const bool plain = x.attr("layout").is(strided_) && nb::cast<bool>(x.attr("is_cpu"));
        if (!plain || !x.attr("dtype").is(dtype(format))) return nullptr;
        if (!x.attr("shape").equal(tuple(shape, dimensions))) return nullptr;
        if (!nb::cast<bool>(x.attr("is_contiguous")()) || negated(object)) return nullptr;
        if (count(shape, dimensions) == 0) return const_cast<char*>(nothing);
        return reinterpret_cast<void*>(nb::cast<intptr_t>(x.attr("data_ptr")()));
    }

    static PyTypeObject* kept_type(nb::object type) { return reinterpret_cast<PyTypeObject*>(type.release().ptr()); }

    // DLPack does not know of values that torch negates when they are read.
    bool negated(PyObject* x) const {
        const nb::object found = checked(PyObject_Vectorcall(is_neg_.ptr(), &x, 1, nullptr));
        return found.is(nb::handle(Py_True));
    }
    static nb::object checked(PyObject* found) {
        if (!found) throw nb::python_error();
        return nb::steal(found);
    }
};

}  // namespace unrolled
