// The scalar long short-term memory from the first step to the last.
#pragma once

#include "slstm/walk.h"

namespace unrolled::UNROLLED_LEVEL {

template <class T, bool exponential>
class SLSTMForward : SLSTMWalk<T> {
    using Base = SLSTMWalk<T>;
    using Base::call_, Base::G, Base::heads_, Base::hidden_, Base::hop, Base::L, Base::rows_, Base::units_, Base::width_;

public:
    explicit SLSTMForward(const SLSTMCall& call) : Base(call) {}

    void run(Arena& arena) {
        Base::prefer_large_pages(call_.y, hidden_);
        Base::prefer_large_pages(call_.memory, left::count * hidden_);
        pack(arena);
        std::vector<Own> owns;
        for (size_t i = 0; i < Base::shares_.size(); ++i) {
            const long numbers = heads_ * Base::chunk();
            owns.push_back({{arena.take<T>(numbers), arena.take<T>(numbers)}, arena.take<T>(numbers),
                            arena.take<T>(numbers), arena.take<T>(numbers), arena.take<T>(row_slots * G * L)});
        }
        Base::in_threads([&](const SLSTMShare& share, long number) {
            for (const SLSTMTask& task : share.tasks) walk(task, owns[number]);
        });
    }

private:
    // A thread's state of the task it is in. h stands in the one of two places that its step's product reads.
    struct Own {
        T *h[2], *c, *n, *m, *products;
    };
    // Where one row's step takes its numbers from and leaves them.
    struct Step {
        const T* gates;
        T *y, *memory;
    };
    T* panels_ = nullptr;
    long panels_of_head_ = 0;

    void pack(Arena& arena) {
        panels_of_head_ = units_ * G / 2 * panel_size<T>(units_);
        panels_ = arena.take<T>(heads_ * panels_of_head_);
        for (long head = 0; head < heads_; ++head)
            pack_columns(Packed<T, T>{panels_ + head * panels_of_head_, nullptr}, units_ * G, width_,
                         [&](long vector, long lane) { return Base::weight(call_.weight_h, head, vector * L + lane); });
    }

    void walk(const SLSTMTask& task, const Own& own) const {
        enter(task, own);
        // While heads take turns, the numbers of some steps stay in the cache, and their pages in the processor's mind.
        constexpr long bytes = 512 << 10;
        const long step = task.rows * (G + left::count) * hidden_ * static_cast<long>(sizeof(T));
        const long steps = std::max(4L, bytes / step), end = Base::longest(task);
        for (long begin = 0; begin < end; begin += steps)
            for (long head = task.first; head < task.last; ++head) {
                long alive = task.rows;
                for (long t = begin; t < std::min(begin + steps, end); ++t) {
                    alive = Base::alive(task, t, alive);
                    advance(task, own, head, t, alive);
                }
            }
        leave(task, own);
    }
    // One number in a task's state: of a head and a row.
    long index(const SLSTMTask& task, long head, long row) const {
        return (head - task.first) * Base::chunk() + row * L;
    }
    void enter(const SLSTMTask& task, const Own& own) const {
        for (long row = 0; row < task.rows; ++row) {
            const SLSTMRow& here = rows_[task.row + row];
            for (long head = task.first; head < task.last; ++head) {
                const long to = index(task, head, row);
                Base::read(Base::state(call_.h0, here.b, head), own.h[0] + to);
                Base::read(Base::state(call_.c0, here.b, head), own.c + to);
                Base::read(Base::state(call_.n0, here.b, head), own.n + to);
                Base::read(Base::state(call_.m0, here.b, head), own.m + to);
                Base::clear_padding(call_.y, hidden_, here, head, 1);
            }
        }
    }
    void leave(const SLSTMTask& task, const Own& own) const {
        for (long row = 0; row < task.rows; ++row) {
            const SLSTMRow& here = rows_[task.row + row];
            for (long head = task.first; head < task.last; ++head) {
                const long from = index(task, head, row);
                Base::write(own.h[here.length % 2] + from, Base::state(call_.h, here.b, head));
                Base::write(own.c + from, Base::state(call_.c, here.b, head));
                Base::write(own.n + from, Base::state(call_.n, here.b, head));
                Base::write(own.m + from, Base::state(call_.m, here.b, head));
            }
        }
    }

    void advance(const SLSTMTask& task, const Own& own, long head, long t, long alive) const {
        Step steps[row_slots];
        T *h = own.h[t % 2], *fresh = own.h[(t + 1) % 2];
        for (long row = 0; row < alive; ++row) {
            const long b = rows_[task.row + row].b, to = index(task, head, row);
            steps[row] = {Base::gates(call_.gates, b, t, head), Base::output(call_.y, b, t, head),
                          call_.memory ? Base::memory(b, t, head) : nullptr};
            for (long gate = 0; gate < G && t + 1 < Base::time_; ++gate)
                Base::fetch(steps[row].gates + (G + gate) * hidden_, width_);
            if (!Base::resets(b, t)) continue;
            Base::read(Base::start(call_.start_h, b, head), h + to);
            Base::read(Base::start(call_.start_c, b, head), own.c + to);
            Base::read(Base::start(call_.start_n, b, head), own.n + to);
            Base::read(Base::start(call_.start_m, b, head), own.m + to);
        }
        const long first = index(task, head, 0);
        const T* panel = panels_ + head * panels_of_head_;
        for (long block = 0; block < units_; ++block) {
            for (long pair = 0; pair < G; pair += 2, panel += panel_size<T>(units_))
                tiles<T, T>[alive - 1](h + first, panel, units_, own.products + pair * L, G * L, nullptr);
            for (long row = 0; row < alive; ++row)
                point(steps[row], block, own.products + row * G * L, own, fresh, first + block * hop + row * L);
        }
    }
    // One block of units of one row; `place` is theirs in the state.
    UNROLLED_INLINE void point(const Step& step, long block, const T* products, const Own& own, T* fresh, long place) const {
        const long j = block * L, more = width_ - j;
        const auto gate = [&](long g) { return load(products + g * L) + load(step.gates + g * hidden_ + j, more); };
        const Vector<T> i = gate(0), old_n = load(own.n + place);
        const auto forget = forgetting<T, exponential>(gate(1));
        const Vector<T> sum = forget.log + load(own.m + place);
        // A unit that has seen nothing keeps nothing, and its m counts for nothing.
        const auto unseen = old_n == T(0);
        const Vector<T> m = unseen ? i : (sum > i ? sum : i);
        const Vector<T> kept = exp_below<T>(unseen ? Vector<T>{} : sum - m), filled = exp_below<T>(i - m);
        const Vector<T> z = tanh<T>(gate(2)), o = sigmoid<T>(gate(3));
        const Vector<T> c = kept * load(own.c + place) + filled * z, n = kept * old_n + filled, h = o * c / n;
        store(own.c + place, c);
        store(own.n + place, n);
        store(own.m + place, m);
        store(fresh + place, h);
        store(step.y + j, h, more);
        if (!step.memory) return;
        const Vector<T> by_sum = unseen ? Vector<T>{} : (sum < i ? Vector<T>{} : Vector<T>{} + T(1));
        const Vector<T> by_input = unseen ? Vector<T>{} + T(1) : (sum > i ? Vector<T>{} : Vector<T>{} + T(1));
        const auto keep = [&](long what, Vector<T> value) { store(step.memory + what * width_ + j, value, more); };
        keep(left::kept, by_sum != T(0) ? -kept : kept);
        keep(left::filled, by_input != T(0) ? -filled : filled);
        keep(left::z, z);
        keep(left::o, o);
        keep(left::slope, forget.slope);
        keep(left::c, c);
        keep(left::n, n);
    }
};

}  // namespace unrolled::UNROLLED_LEVEL
