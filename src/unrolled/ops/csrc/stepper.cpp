// The Python class `unrolled.ops._native.Stepper`: live layers on top of one another, and the watch on their weights.
#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "table.h"

namespace nb = nanobind;

namespace unrolled {

void bind_stepper(nb::module_& m);

namespace {

LiveCall live_call(const nb::dict& fields) {
    LiveCall call{};
#define X(name) \
    if (fields.contains(#name)) call.name = nb::cast<int64_t>(fields[#name]);
    UNROLLED_GATED_FIELDS(X)
    UNROLLED_LIVE_FIELDS(X)
#undef X
    call.rate_h = nb::cast<double>(fields["rate_h"]);
    call.rate_c = nb::cast<double>(fields["rate_c"]);
    return call;
}

// One layer with the table that made it: the level in use may change later.
class Layer {
public:
    Layer(const Table* table, const LiveCall& call)
        : table_(table),
          live_(table->live_create(call)),
          width_(call.output),
          has_c_(call.cell == 2 || call.cell == 3) {}
    Layer(Layer&& other) noexcept
        : table_(other.table_),
          live_(std::exchange(other.live_, nullptr)),
          width_(other.width_),
          has_c_(other.has_c_) {}
    Layer(const Layer&) = delete;
    Layer& operator=(const Layer&) = delete;
    ~Layer() {
        if (live_) table_->live_free(live_);
    }

    void step(const void* x, void* y, long time, long threads) { table_->live_step(live_, x, y, time, threads); }
    // Takes its addresses from the front of the list: h, and c where there is one.
    void move(bool out, const int64_t*& next, const int64_t* rows, int64_t count) {
        LiveState state{reinterpret_cast<void*>(*next++), nullptr, rows, count};
        if (has_c_) state.c = reinterpret_cast<void*>(*next++);
        (out ? table_->live_get : table_->live_set)(live_, state);
    }
    long width() const { return width_; }
    size_t leaves() const { return has_c_ ? 2 : 1; }

private:
    const Table* table_;
    void* live_;
    long width_;
    bool has_c_;
};

// A parameter as it was when its weights were packed: the place it hangs at, its count of changes, its memory. The kept
// tensor shares that memory, so no other parameter can stand at its address.
struct Watched {
    nb::dict place;
    nb::object name, parameter, kept, data_ptr;
    int64_t version, address;
};

// The memory of an object that offers a buffer, held until the end of the scope.
class Buffer {
public:
    Buffer(nb::handle object, int flags) : held_(PyObject_GetBuffer(object.ptr(), &view_, flags) == 0) {
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

using Addresses = std::vector<int64_t>;

class Stepper {
public:
    Stepper(const std::vector<nb::dict>& layers, const nb::list& watched) {
        double work = 0;
        for (const nb::dict& fields : layers) {
            const LiveCall call = live_call(fields);
            if (layers_.empty()) {
                batch_ = call.batch, input_ = call.input;
                format_ = call.type == 1 ? 'd' : 'f';
            }
            layers_.emplace_back(current_table(), call);
            work += static_cast<double>(call.batch * call.hidden) * static_cast<double>(4 * (call.input + call.output));
            widest_ = std::max<long>(widest_, call.output);
        }
        large_ = static_cast<long>(65536 / std::max(work, 1.0));
        for (nb::handle item : watched) watch(nb::cast<nb::tuple>(item));
    }

    // Have the weights changed since they were packed?
    bool stale() const {
        for (const Watched& one : watched_) {
            PyObject* there = PyDict_GetItemWithError(one.place.ptr(), one.name.ptr());
            if (there != one.parameter.ptr() || version(one) != one.version || address(one) != one.address) return true;
        }
        return false;
    }

    // What a step answers; nothing has happened unless it is done.
    enum Answer : int { done = 0, weights_changed = 1, wrong_buffer = 2, not_finite = 3 };

    // x and y offer buffers: (B, I) and (B, O), or, for a whole run, with time before that.
    int step_buffers(nb::handle x, nb::handle y, long time, long threads, bool whole) {
        const Buffer from(x, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT);
        const Buffer to(y, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE);
        const long in[] = {time, batch_, input_}, out[] = {time, batch_, layers_.back().width()};
        const int skip = whole ? 0 : 1;
        if (!from.fits(format_, in + skip, 3 - skip) || !to.fits(format_, out + skip, 3 - skip)) return wrong_buffer;
        const auto address = [](const Buffer& buffer) { return reinterpret_cast<intptr_t>(buffer.memory()); };
        return step_at(address(from), address(to), time, threads);
    }

    // The same with addresses of memory that the caller has checked.
    int step_at(intptr_t x, intptr_t y, long time, long threads) {
        if (stale()) return weights_changed;
        if (!finite(x, time * batch_ * input_)) return not_finite;
        // A thread that waits for the lock may hold the GIL: whoever has the lock never waits for the GIL.
        const auto go = [&] {
            const std::lock_guard lock(mutex_);
            walk(x, y, time, threads);
        };
        if (time <= large_) {
            go();
        } else {
            nb::gil_scoped_release released;
            go();
        }
        return done;
    }

    // One step from a given state to a returned one, both as in `move` and of all rows, for callers in several threads.
    int step_from(intptr_t x, intptr_t y, long threads, const Addresses& before, const Addresses& after) {
        check_leaves(before);
        check_leaves(after);
        if (stale()) return weights_changed;
        if (!finite(x, batch_ * input_)) return not_finite;
        const auto go = [&] {
            const std::lock_guard lock(mutex_);
            move_all(false, before, nullptr, batch_);
            walk(x, y, 1, threads);
            move_all(true, after, nullptr, batch_);
        };
        if (large_ >= 1) {
            go();
        } else {
            nb::gil_scoped_release released;
            go();
        }
        return done;
    }

    // Addresses of h, or h and c, of each layer in turn; rows: an address of `count` row numbers, or 0 for all rows.
    void move(bool out, const Addresses& addresses, int64_t rows, int64_t count) {
        check_leaves(addresses);
        const int64_t* numbers = reinterpret_cast<const int64_t*>(rows);
        if (count < 0 || (!numbers && count > batch_)) throw nb::value_error("Stepper: the state has too many rows.");
        for (int64_t i = 0; numbers && i < count; ++i)
            if (numbers[i] < 0 || numbers[i] >= batch_) throw nb::value_error("Stepper: there is no such row.");
        const std::lock_guard lock(mutex_);
        move_all(out, addresses, numbers, count);
    }

private:
    // Steps that the layers of a stack take in turn, so that what passes between them stays small.
    static constexpr long portion = 64;

    std::vector<Layer> layers_;
    std::vector<Watched> watched_;
    std::vector<char> between_[2];
    std::mutex mutex_;
    nb::object version_ = nb::steal(PyUnicode_InternFromString("_version"));
    long batch_ = 0, input_ = 0, widest_ = 0, large_ = 0;
    char format_ = 'f';

    void watch(const nb::tuple& item) {
        Watched one{nb::cast<nb::dict>(item[0]), item[1], item[2], item[3], nb::getattr(item[2], "data_ptr"), 0, 0};
        one.version = version(one);
        one.address = address(one);
        watched_.push_back(std::move(one));
    }
    int64_t version(const Watched& one) const { return number(PyObject_GetAttr(one.parameter.ptr(), version_.ptr())); }
    static int64_t address(const Watched& one) { return number(PyObject_CallNoArgs(one.data_ptr.ptr())); }
    static int64_t number(PyObject* found) {
        if (!found) throw nb::python_error();
        const long long value = PyLong_AsLongLong(found);
        Py_DECREF(found);
        return value;
    }

    bool finite(intptr_t x, long count) const {
        return format_ == 'd' ? finite<uint64_t>(x, count, 0x7FF0000000000000) : finite<uint32_t>(x, count, 0x7F800000);
    }
    // All bits of the exponent are set in NaN and infinity alone.
    template <class Bits>
    static bool finite(intptr_t x, long count, Bits exponent) {
        Bits found = 0;
        for (long i = 0; i < count; ++i) {
            Bits bits;
            std::memcpy(&bits, reinterpret_cast<const char*>(x) + i * static_cast<long>(sizeof bits), sizeof bits);
            found |= static_cast<Bits>((bits & exponent) == exponent);
        }
        return found == 0;
    }

    void check_leaves(const Addresses& addresses) const {
        size_t expected = 0;
        for (const Layer& layer : layers_) expected += layer.leaves();
        if (addresses.size() != expected) throw nb::value_error("Stepper: the state has another number of tensors.");
    }
    void move_all(bool out, const Addresses& addresses, const int64_t* rows, int64_t count) {
        const int64_t* next = addresses.data();
        for (Layer& layer : layers_) layer.move(out, next, rows, count);
    }

    void walk(intptr_t x, intptr_t y, long time, long threads) {
        if (layers_.size() == 1) {
            layers_[0].step(reinterpret_cast<void*>(x), reinterpret_cast<void*>(y), time, threads);
            return;
        }
        const long element = format_ == 'd' ? 8 : 4;
        for (std::vector<char>& memory : between_) memory.resize(std::min(time, portion) * batch_ * widest_ * element);
        for (long t = 0; t < time; t += portion) {
            const void* from = reinterpret_cast<char*>(x) + t * batch_ * input_ * element;
            for (size_t i = 0; i < layers_.size(); ++i) {
                const bool last = i + 1 == layers_.size();
                void* to = last ? reinterpret_cast<char*>(y) + t * batch_ * layers_[i].width() * element
                                : between_[i % 2].data();
                layers_[i].step(from, to, std::min(portion, time - t), threads);
                from = to;
            }
        }
    }
};

}  // namespace

void bind_stepper(nb::module_& m) {
    using namespace nb::literals;
    nb::class_<Stepper>(m, "Stepper")
        .def(nb::init<const std::vector<nb::dict>&, const nb::list&>(), "layers"_a, "watched"_a)
        .def("stale", &Stepper::stale)
        .def("step_buffers", &Stepper::step_buffers)
        .def("step_at", &Stepper::step_at)
        .def("step_from", &Stepper::step_from)
        .def("move", &Stepper::move, "out"_a, "addresses"_a, "rows"_a, "count"_a);
}

}  // namespace unrolled
