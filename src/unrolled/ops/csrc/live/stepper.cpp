// The Python class `unrolled.ops._native.Stepper`: live layers on top of one another, stepped at little cost.
#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "live/arrays.h"
#include "live/program.h"
#include "live/structure.h"
#include "base/gil.h"
#include "base/lock.h"
#include "base/table.h"
#include "live/watch.h"

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

template <class Item>
std::vector<Item> list_of(const nb::dict& fields, const char* name) {
    return nb::cast<std::vector<Item>>(fields[name]);
}

// Tuples of (lines, width, address).
std::vector<ProgramBuffer> program_buffers(const nb::dict& fields) {
    std::vector<ProgramBuffer> found;
    for (const auto& [lines, width, address] : list_of<std::tuple<int64_t, int64_t, int64_t>>(fields, "buffers"))
        found.push_back({lines, width, address});
    return found;
}

// Tuples of (op, (buffer, offset, ...), (width, groups, other), (n, m), weight, bias).
std::vector<ProgramStep> program_steps(const nb::dict& fields) {
    using Item = std::tuple<int64_t, std::vector<int64_t>, std::array<int64_t, 3>, std::array<double, 2>, int64_t, int64_t>;
    std::vector<ProgramStep> found;
    for (const auto& [op, places, sizes, numbers, weight, bias] : list_of<Item>(fields, "steps")) {
        if (places.size() > 2 * ProgramStep::most_places) throw nb::value_error("Stepper: too many operands.");
        ProgramStep& step = found.emplace_back();
        step = {op, {}, {sizes[0], sizes[1], sizes[2]}, {numbers[0], numbers[1]}, weight, bias};
        for (ProgramPlace& place : step.places) place.buffer = -1;
        for (size_t i = 0; i < places.size(); i += 2) step.places[i / 2] = {places[i], places[i + 1]};
    }
    return found;
}

// One layer with the table that made it: the level in use may change later.
class Layer {
public:
    // A gated cell's fields; or those of a program, which have "steps".
    Layer(const Table* table, const nb::dict& fields)
        : table_(table), batch_(number(fields, "batch")), input_(number(fields, "input")),
          width_(number(fields, "output")), format_(number(fields, "type") == 1 ? 'd' : 'f') {
        if (fields.contains("steps")) {
            make_program(fields);
        } else {
            const LiveCall call = live_call(fields);
            live_ = table->live_create(call);
            emits_state_ = true;
            leaves_ = call.cell == 2 || call.cell == 3 ? 2 : 1;
            work_ = static_cast<double>(call.batch * call.hidden) * static_cast<double>(4 * (call.input + call.output));
        }
    }
    Layer(Layer&& other) noexcept
        : table_(other.table_), live_(std::exchange(other.live_, nullptr)), batch_(other.batch_), input_(other.input_),
          width_(other.width_), leaves_(other.leaves_), work_(other.work_), format_(other.format_),
          emits_state_(other.emits_state_) {}
    Layer(const Layer&) = delete;
    Layer& operator=(const Layer&) = delete;
    ~Layer() {
        if (live_) table_->live_free(live_);
    }

    void step(const void* x, void* y, long time, long threads) { table_->live_step(live_, x, y, time, threads); }
    // Takes its addresses from the front of the list.
    void move(bool out, void* const*& next, const int64_t* rows, int64_t count) {
        const LiveState state{next, static_cast<int64_t>(leaves_), rows, count};
        next += leaves_;
        out ? get(state) : put(state);
    }
    void get(const LiveState& state) { table_->live_get(live_, state); }
    void put(const LiveState& state) { table_->live_set(live_, state); }
    long batch() const { return batch_; }
    long input() const { return input_; }
    long width() const { return width_; }
    char format() const { return format_; }
    size_t leaves() const { return leaves_; }
    // Multiply-adds of a step.
    double work() const { return work_; }
    // Is y the first leaf of the state?
    bool emits_state() const { return emits_state_; }

private:
    const Table* table_;
    void* live_ = nullptr;
    long batch_, input_, width_;
    size_t leaves_ = 0;
    double work_ = 0;
    char format_;
    bool emits_state_ = false;

    static int64_t number(const nb::dict& fields, const char* name) { return nb::cast<int64_t>(fields[name]); }

    void make_program(const nb::dict& fields) {
        ProgramCall call{number(fields, "type"), number(fields, "stored"), batch_, input_, width_,
                         program_buffers(fields), program_steps(fields), {}, {}, {}};
        for (const auto& [buffer, layer] : list_of<std::pair<int64_t, int64_t>>(fields, "leaves"))
            call.leaves.push_back({buffer, layer});
        const auto [buffer, offset] = nb::cast<std::pair<int64_t, int64_t>>(fields["y"]);
        call.y = {buffer, offset};
        work_ = nb::cast<double>(fields["work"]);
        leaves_ = call.leaves.size();
        std::vector<Layer> inner;
        for (const nb::dict& layer : list_of<nb::dict>(fields, "layers")) inner.emplace_back(table_, layer);
        for (Layer& layer : inner) {
            work_ += layer.work_;
            call.layers.push_back(std::exchange(layer.live_, nullptr));
        }
        live_ = table_->program_create(call);
    }
};

using Addresses = std::vector<int64_t>;

class Stepper {
    friend int visit_stepper(PyObject*, visitproc, void*);
    friend int clear_stepper(PyObject*);

public:
    // threads(): how many may be used now.
    Stepper(const std::vector<nb::dict>& layers, const nb::list& watched, nb::object threads)
        : threads_(std::move(threads)) {
        pack(layers, watched);
    }

    // Take these weights from now on; the state is zero then.
    void pack(const std::vector<nb::dict>& layers, const nb::list& watched) {
        Watch watch(watched);
        std::vector<Layer> fresh;
        table_ = current_table();
        double work = 0;
        for (const nb::dict& fields : layers) {
            const Layer& layer = fresh.emplace_back(table_, fields);
            work += layer.work();
            widest_ = std::max<long>(widest_, layer.width());
        }
        batch_ = fresh.front().batch(), input_ = fresh.front().input(), format_ = fresh.front().format();
        output_ = fresh.back().width();
        large_ = static_cast<long>(held / std::max(work, 1.0));
        parallel_ = work >= shared;
        shape_ = nb::make_tuple(batch_, output_);
        mutex_.renew();
        const std::lock_guard lock(mutex_);
        layers_.swap(fresh);
        std::swap(watch_, watch);
    }

    // step(x) and advance(): they take over wherever a step is not an ordinary one.
    void fall_back(nb::object step, nb::object advance) {
        careful_step_ = std::move(step);
        careful_advance_ = std::move(advance);
    }

    // The state that `step_from` takes and gives: as this one, whose leaves need a shape alone.
    void shape_state(nb::handle like) { structure_ = Structure(like); }

    // What a step answers; nothing has happened unless it is done.
    enum Answer : int { done = 0, weights_changed = 1, wrong_buffer = 2, not_finite = 3 };

    // One step of x (B, I), a numpy array or torch tensor, to a fresh y (B, O) of the same kind.
    nb::object step(PyObject* x) {
        nb::object y = ordinary_step(x);
        return y.is_valid() ? y : careful(careful_step_)(nb::handle(x));
    }

    // Any other call of a step.
    nb::object step_otherwise(PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
        PyObject* found = PyObject_Vectorcall(careful(careful_step_).ptr(), arguments, count, names);
        if (!found) throw nb::python_error();
        return nb::steal(found);
    }

    // x (B, I) and y (B, O), numpy arrays that `advance` reads and writes from now on.
    void share(const nb::object& x, const nb::object& y) {
        auto from = std::make_unique<Buffer>(x, false), to = std::make_unique<Buffer>(y, true);
        const long in[] = {batch_, input_}, out[] = {batch_, output_};
        if (!from->fits(format_, in, 2) || !to->fits(format_, out, 2))
            throw nb::value_error("Stepper: the shared memory has another shape or dtype.");
        x_ = std::move(from);
        y_ = std::move(to);
    }
    // One step from the shared x to the shared y.
    nb::object advance() {
        if (!x_ || !ready(x_->memory())) return careful(careful_advance_)();
        one(x_->memory(), y_->memory());
        return nb::none();
    }

    // x and y offer buffers: (B, I) and (B, O), or, for a whole run, with time before that.
    int step_buffers(nb::handle x, nb::handle y, long time, long threads, bool whole) {
        const Buffer from(x, false), to(y, true);
        const long in[] = {time, batch_, input_}, out[] = {time, batch_, output_};
        const int skip = whole ? 0 : 1;
        if (!from.fits(format_, in + skip, 3 - skip) || !to.fits(format_, out + skip, 3 - skip)) return wrong_buffer;
        return steps(from.memory(), to.memory(), time, threads);
    }

    // The same with addresses of memory that the caller has checked.
    int step_at(intptr_t x, intptr_t y, long time, long threads) {
        return steps(reinterpret_cast<void*>(x), reinterpret_cast<void*>(y), time, threads);
    }

    // One step of a single layer from a given state to (y, a fresh one). None, and nothing has happened, where x or a
    // leaf is not an ordinary tensor or the state another one; False where weights or level have changed.
    nb::object step_from(PyObject* x, PyObject* state) {
        const Arrays& arrays = Arrays::get();
        Layer& layer = layers_[0];
        std::vector<PyObject*> given;
        if (!arrays.is_tensor(x) || !structure_.flatten(state, given) || given.size() != layer.leaves())
            return nb::none();
        const long wanted[] = {batch_, input_}, gives[] = {batch_, output_};
        const void* from = arrays.memory(x, format_, wanted, 2);
        if (!from) return nb::none();
        std::vector<void*> before(given.size()), after(given.size());
        for (size_t i = 0; i < given.size(); ++i) {
            const std::vector<long>& shape = structure_.shapes()[i];
            if (!arrays.is_tensor(given[i])) return nb::none();
            before[i] = arrays.memory(given[i], format_, shape.data(), static_cast<int>(shape.size()));
            if (!before[i]) return nb::none();
        }
        if (table_ != current_table() || watch_.changed()) return nb::bool_(false);
        if (!finite(from, batch_ * input_)) return nb::none();
        std::vector<nb::object> fresh;
        for (size_t i = 0; i < given.size(); ++i) {
            const std::vector<long>& shape = structure_.shapes()[i];
            fresh.push_back(arrays.tensor(format_, shape.data(), static_cast<int>(shape.size()), after[i]));
        }
        void* to;
        nb::object y;
        if (layer.emits_state()) {
            y = fresh[0];
            to = after[0];
        } else {
            y = arrays.tensor(format_, gives, 2, to);
        }
        const long threads = threads_now();
        const int64_t count = static_cast<int64_t>(given.size());
        locked(1, [&] {
            layer.put({before.data(), count, nullptr, batch_});
            // Where y is a leaf, `get` writes it once more.
            layer.step(from, to, 1, threads);
            layer.get({after.data(), count, nullptr, batch_});
        });
        return nb::make_tuple(y, structure_.build(fresh));
    }

    // Addresses of the leaves of each layer in turn; rows: an address of `count` row numbers, or 0 for all rows.
    void move(bool out, const Addresses& addresses, int64_t rows, int64_t count) {
        check_leaves(addresses);
        const int64_t* numbers = reinterpret_cast<const int64_t*>(rows);
        if (count < 0 || (!numbers && count > batch_)) throw nb::value_error("Stepper: the state has too many rows.");
        for (int64_t i = 0; numbers && i < count; ++i)
            if (numbers[i] < 0 || numbers[i] >= batch_) throw nb::value_error("Stepper: there is no such row.");
        mutex_.renew();
        const std::lock_guard lock(mutex_);
        move_all(out, addresses, numbers, count);
    }

private:
    // Steps that the layers of a stack take in turn, so that what passes between them stays small.
    static constexpr long portion = 64;
    // Multiply-adds of a call that is too short to give the GIL away, and of a step that threads may share.
    static constexpr double held = 1 << 19, shared = 1 << 17;

    std::vector<Layer> layers_;
    Watch watch_;
    Structure structure_;
    nb::object threads_, shape_, careful_step_, careful_advance_;
    const Table* table_ = nullptr;
    std::unique_ptr<Buffer> x_, y_;
    std::vector<char> between_[2];
    Lock mutex_;
    long batch_ = 0, input_ = 0, output_ = 0, widest_ = 0, large_ = 0;
    char format_ = 'f';
    bool parallel_ = false;

    static const nb::object& careful(const nb::object& call) {
        if (!call.is_valid()) throw std::runtime_error("Stepper: there is nothing to fall back upon.");
        return call;
    }

    // A fresh y, or nothing where the careful step must look closer: at x, or because the weights have changed.
    nb::object ordinary_step(PyObject* x) {
        const Arrays& arrays = Arrays::get();
        if (arrays.is_tensor(x)) {
            const long in[] = {batch_, input_}, out[] = {batch_, output_};
            const void* from = arrays.memory(x, format_, in, 2);
            if (!from || !ready(from)) return {};
            void* to;
            nb::object y = arrays.tensor(format_, out, 2, to);
            one(from, to);
            return y;
        }
        if (!arrays.is_array(x)) return {};
        const Buffer from(x, false);
        const long in[] = {batch_, input_};
        if (!from.fits(format_, in, 2) || !ready(from.memory())) return {};
        nb::object y = arrays.array(shape_, format_);
        const Buffer to(y, true);
        one(from.memory(), to.memory());
        return y;
    }

    bool ready(const void* x) const { return !watch_.changed() && finite(x, batch_ * input_); }

    bool finite(const void* x, long count) const {
        return format_ == 'd' ? finite<uint64_t>(x, count, 0x7FF0000000000000) : finite<uint32_t>(x, count, 0x7F800000);
    }
    // All bits of the exponent are set in NaN and infinity alone.
    template <class Bits>
    static bool finite(const void* x, long count, Bits exponent) {
        Bits found = 0;
        for (long i = 0; i < count; ++i) {
            Bits bits;
            std::memcpy(&bits, static_cast<const char*>(x) + i * static_cast<long>(sizeof bits), sizeof bits);
            found |= static_cast<Bits>((bits & exponent) == exponent);
        }
        return found == 0;
    }

    // A thread that waits for the lock may hold the GIL: whoever has the lock never waits for the GIL.
    template <class Work>
    void locked(long time, Work work) {
        mutex_.renew();
        if (time <= large_) {
            const std::lock_guard lock(mutex_);
            work();
        } else {
            const WithoutGil released;
            const std::lock_guard lock(mutex_);
            work();
        }
    }

    int steps(const void* x, void* y, long time, long threads) {
        if (watch_.changed()) return weights_changed;
        if (!finite(x, time * batch_ * input_)) return not_finite;
        locked(time, [&] { walk(x, y, time, threads); });
        return done;
    }
    long threads_now() const { return parallel_ ? nb::cast<long>(threads_()) : 1; }
    void one(const void* x, void* y) {
        const long threads = threads_now();
        locked(1, [&] { walk(x, y, 1, threads); });
    }

    void check_leaves(const Addresses& addresses) const {
        size_t expected = 0;
        for (const Layer& layer : layers_) expected += layer.leaves();
        if (addresses.size() != expected) throw nb::value_error("Stepper: the state has another number of tensors.");
    }
    void move_all(bool out, const Addresses& addresses, const int64_t* rows, int64_t count) {
        std::vector<void*> places;
        for (int64_t address : addresses) places.push_back(reinterpret_cast<void*>(address));
        void* const* next = places.data();
        for (Layer& layer : layers_) layer.move(out, next, rows, count);
    }

    void walk(const void* x, void* y, long time, long threads) {
        if (layers_.size() == 1) {
            layers_[0].step(x, y, time, threads);
            return;
        }
        const long element = format_ == 'd' ? 8 : 4;
        for (std::vector<char>& memory : between_) memory.resize(std::min(time, portion) * batch_ * widest_ * element);
        for (long t = 0; t < time; t += portion) {
            const void* from = static_cast<const char*>(x) + t * batch_ * input_ * element;
            for (size_t i = 0; i < layers_.size(); ++i) {
                const bool last = i + 1 == layers_.size();
                void* to = last ? static_cast<char*>(y) + t * batch_ * layers_[i].width() * element
                                : between_[i % 2].data();
                layers_[i].step(from, to, std::min(portion, time - t), threads);
                from = to;
            }
        }
    }
};

// Calls of C, which Python reaches sooner than those of nanobind.
template <class Call>
PyObject* called(Call call) {
    try {
        return call().release().ptr();
    } catch (nb::python_error& error) {
        error.restore();
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}
PyObject* call_step(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Stepper* stepper = nb::inst_ptr<Stepper>(self);
    if (count == 1 && !names) return called([&] { return stepper->step(arguments[0]); });
    return called([&] { return stepper->step_otherwise(arguments, count, names); });
}
PyObject* call_advance(PyObject* self, PyObject*) {
    return called([&] { return nb::inst_ptr<Stepper>(self)->advance(); });
}
PyObject* call_step_from(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    if (count == 2) return called([&] { return nb::inst_ptr<Stepper>(self)->step_from(arguments[0], arguments[1]); });
    PyErr_SetString(PyExc_TypeError, "step_from: expected x and state.");
    return nullptr;
}
PyMethodDef call_methods[] = {
    {"step", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call_step)), METH_FASTCALL | METH_KEYWORDS,
     nullptr},
    {"advance", call_advance, METH_NOARGS, nullptr},
    {"step_from", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call_step_from)), METH_FASTCALL, nullptr},
};

// What takes over holds this object, which holds it: the garbage collector must see the circle.
int visit_stepper(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    if (!nb::inst_ready(self)) return 0;
    const Stepper* stepper = nb::inst_ptr<Stepper>(self);
    Py_VISIT(stepper->careful_step_.ptr());
    Py_VISIT(stepper->careful_advance_.ptr());
    return 0;
}
int clear_stepper(PyObject* self) {
    Stepper* stepper = nb::inst_ptr<Stepper>(self);
    stepper->careful_step_.reset();
    stepper->careful_advance_.reset();
    return 0;
}
PyType_Slot slots[] = {
    {Py_tp_traverse, reinterpret_cast<void*>(visit_stepper)},
    {Py_tp_clear, reinterpret_cast<void*>(clear_stepper)},
    {0, nullptr},
};

}  // namespace

void bind_stepper(nb::module_& m) {
    using namespace nb::literals;
    Arrays::load();
    nb::list ops;
#define X(name) ops.append(#name);
    UNROLLED_PROGRAM_OPS(X)
#undef X
    m.attr("PROGRAM_OPS") = nb::tuple(ops);
    auto type = nb::class_<Stepper>(m, "Stepper", nb::type_slots(slots));
    using Layers = const std::vector<nb::dict>&;
    type.def(nb::init<Layers, const nb::list&, nb::object>(), "layers"_a, "watched"_a, "threads"_a)
        .def("pack", &Stepper::pack, "layers"_a, "watched"_a)
        .def("fall_back", &Stepper::fall_back, "step"_a, "advance"_a)
        .def("shape_state", &Stepper::shape_state, "like"_a)
        .def("share", &Stepper::share, "x"_a, "y"_a)
        .def("step_buffers", &Stepper::step_buffers)
        .def("step_at", &Stepper::step_at)
        .def("move", &Stepper::move, "out"_a, "addresses"_a, "rows"_a, "count"_a);
    auto* bare = reinterpret_cast<PyTypeObject*>(type.ptr());
    for (PyMethodDef& method : call_methods)
        nb::setattr(type, method.ml_name, nb::steal(PyDescr_NewMethod(bare, &method)));
}

}  // namespace unrolled
