// The scalar long short-term memory from the last step to the first, with the gradient of its weights made on the way.
#pragma once

#include "slstm/walk.h"

namespace unrolled::UNROLLED_LEVEL {

template <class T>
class SLSTMBackward : SLSTMWalk<T> {
    using Base = SLSTMWalk<T>;
    using Base::call_, Base::G, Base::heads_, Base::hidden_, Base::hop, Base::L, Base::rows_, Base::units_, Base::width_;

public:
    explicit SLSTMBackward(const SLSTMCall& call) : Base(call) {}

    void run(Arena& arena) {
        Base::prefer_large_pages(call_.grad_gates, G * hidden_);
        pack(arena);
        for (const SLSTMShare& share : Base::shares_) prepare(arena, share);
        Base::in_threads([&](const SLSTMShare& share, long number) {
            for (const SLSTMTask& task : share.tasks) walk(task, owns_[number]);
        });
        for (long head = 0; call_.grad_weight_h && head < heads_; ++head) join(head);
    }

private:
    // The sums of one head's weight in one thread; empty where the thread never meets the head.
    struct Sum {
        std::vector<OuterSum<T>> of;
    };
    // A thread's gradients of the state of the task it is in, those of the gates for a window of steps, and its sums.
    struct Own {
        T *h, *c, *n, *m, *gates, *products, *columns;
        long steps;
        std::vector<Piece<T>> pieces;
        std::vector<Line<T>> lines;
        std::vector<Sum> sums;
    };
    // One row's step: what the forward pass left of it, the state before it, and where its gradients come from and go.
    struct Step {
        const T *memory, *grad_y, *h, *c, *n;
        T* grad_gates;
        long b;
        bool resets;
    };
    T* panels_ = nullptr;
    long panels_of_head_ = 0;
    std::vector<Own> owns_;

    void pack(Arena& arena) {
        panels_of_head_ = (units_ + 1) / 2 * panel_size<T>(units_ * G);
        panels_ = arena.take<T>(heads_ * panels_of_head_);
        for (long head = 0; head < heads_; ++head)
            pack_rows(panels_ + head * panels_of_head_, width_, units_ * G,
                      [&](long k) { return Base::weight(call_.weight_h, head, k); });
    }
    void prepare(Arena& arena, const SLSTMShare& share) {
        constexpr long most_bytes = 512 << 10;
        long rows = 1;
        for (const SLSTMTask& task : share.tasks) rows = std::max(rows, task.rows);
        Own& own = owns_.emplace_back();
        own.steps = window_steps(rows, G * Base::chunk() * static_cast<long>(sizeof(T)), most_bytes, Base::time_, false);
        for (T** state : {&own.h, &own.c, &own.n, &own.m}) *state = arena.take<T>(heads_ * Base::chunk());
        own.gates = arena.take<T>(own.steps * G * Base::chunk());
        own.products = arena.take<T>(row_slots * 2 * L);
        if (!call_.grad_weight_h) return;
        own.columns = arena.take<T>(own.steps * rows * outer_vectors * L);
        own.sums.resize(heads_);
        for (const SLSTMTask& task : share.tasks)
            for (long head = task.first; head < task.last; ++head)
                if (own.sums[head].of.empty()) own.sums[head].of.emplace_back(arena, units_ * G, width_);
    }
    void join(long head) const {
        std::vector<OuterSum<T>> parts;
        for (const Own& own : owns_)
            for (const OuterSum<T>& sum : own.sums[head].of) parts.push_back(sum);
        for (long k = 0; k < units_ * G * L; ++k)
            if (T* to = Base::weight(call_.grad_weight_h, head, k)) OuterSum<T>::write(parts, k, to);
    }

    void walk(const SLSTMTask& task, Own& own) const {
        enter(task, own);
        for (long end = Base::longest(task); end > 0; end -= own.steps) {
            const long begin = std::max(0L, end - own.steps);
            for (long head = task.first; head < task.last; ++head) {
                own.pieces.clear();
                own.lines.clear();
                long alive = 0;
                for (long t = end - 1; t >= begin; --t) {
                    alive = Base::alive(task, t, alive);
                    retreat(task, own, head, t, alive, own.gates + (t - begin) * G * Base::chunk());
                }
                if (call_.grad_weight_h)
                    own.sums[head].of.front().add(own.pieces, own.lines, {0, units_ * G}, own.columns);
            }
        }
        leave(task, own);
    }
    long index(const SLSTMTask& task, long head, long row) const {
        return (head - task.first) * Base::chunk() + row * L;
    }
    void enter(const SLSTMTask& task, const Own& own) const {
        for (long row = 0; row < task.rows; ++row) {
            const SLSTMRow& here = rows_[task.row + row];
            for (long head = task.first; head < task.last; ++head) {
                const long to = index(task, head, row);
                Base::read(Base::state(call_.grad_h, here.b, head), own.h + to);
                Base::read(Base::state(call_.grad_c, here.b, head), own.c + to);
                Base::read(Base::state(call_.grad_n, here.b, head), own.n + to);
                Base::read(Base::state(call_.grad_m, here.b, head), own.m + to);
                Base::clear_padding(call_.grad_gates, G * hidden_, here, head, G);
                for (int64_t start : {call_.grad_start_h, call_.grad_start_c, call_.grad_start_n, call_.grad_start_m})
                    if (start) std::fill_n(Base::state(start, here.b, head), width_, T(0));
            }
        }
    }
    void leave(const SLSTMTask& task, const Own& own) const {
        for (long row = 0; row < task.rows; ++row) {
            const long b = rows_[task.row + row].b;
            for (long head = task.first; head < task.last; ++head) {
                const long from = index(task, head, row);
                give(own.h + from, call_.grad_h0, b, head);
                give(own.c + from, call_.grad_c0, b, head);
                give(own.n + from, call_.grad_n0, b, head);
                give(own.m + from, call_.grad_m0, b, head);
            }
        }
    }
    void give(const T* from, int64_t to, long b, long head) const {
        if (to) Base::write(from, Base::state(to, b, head));
    }

    void retreat(const SLSTMTask& task, Own& own, long head, long t, long alive, T* gates) const {
        Step steps[row_slots];
        for (long row = 0; row < alive; ++row) {
            steps[row] = find(rows_[task.row + row].b, head, t);
            if (call_.grad_weight_h) own.lines.push_back({steps[row].h, nullptr});
        }
        if (call_.grad_weight_h) own.pieces.push_back({gates, alive});
        const long first = index(task, head, 0);
        for (long row = 0; row < alive; ++row)
            for (long block = 0; block < units_; ++block)
                point(steps[row], block, own, first + block * hop + row * L, gates + block * G * hop + row * L);
        const T* panel = panels_ + head * panels_of_head_;
        for (long block = 0; block < units_; block += 2, panel += panel_size<T>(units_ * G)) {
            tiles<T, T>[alive - 1](gates, panel, units_ * G, own.products, 2 * L, nullptr);
            for (long row = 0; row < alive; ++row)
                for (long v = 0; v < std::min(2L, units_ - block); ++v)
                    store(own.h + first + (block + v) * hop + row * L, load(own.products + (row * 2 + v) * L));
        }
        for (long row = 0; row < alive; ++row) {
            if (!steps[row].resets) continue;
            const long from = first + row * L, b = steps[row].b;
            collect(own.h + from, call_.grad_start_h, b, head);
            collect(own.c + from, call_.grad_start_c, b, head);
            collect(own.n + from, call_.grad_start_n, b, head);
            collect(own.m + from, call_.grad_start_m, b, head);
        }
    }
    Step find(long b, long head, long t) const {
        Step step = {Base::memory(b, t, head), Base::output(call_.grad_y, b, t, head), nullptr, nullptr, nullptr,
                     call_.grad_gates ? Base::gates(call_.grad_gates, b, t, head) : nullptr, b, Base::resets(b, t)};
        if (step.resets) {
            step.h = Base::start(call_.start_h, b, head);
            step.c = Base::start(call_.start_c, b, head);
            step.n = Base::start(call_.start_n, b, head);
        } else if (t == 0) {
            step.h = Base::state(call_.h0, b, head);
            step.c = Base::state(call_.c0, b, head);
            step.n = Base::state(call_.n0, b, head);
        } else {
            step.h = Base::output(call_.y, b, t - 1, head);
            step.c = Base::memory(b, t - 1, head) + left::c * width_;
            step.n = Base::memory(b, t - 1, head) + left::n * width_;
        }
        if (t > 0) {
            Base::fetch(Base::memory(b, t - 1, head), left::count * width_);
            Base::fetch(step.grad_y - hidden_, width_);
        }
        return step;
    }
    // The state's gradient at a reset goes to the initial state, and none to what came before.
    void collect(T* from, int64_t to, long b, long head) const {
        for (long j = 0; j < width_; j += L, from += hop) {
            if (to) {
                T* sum = Base::state(to, b, head) + j;
                store(sum, load(sum, width_ - j) + load(from), width_ - j);
            }
            store(from, Vector<T>{});
        }
    }

    // One block of units of one row: `place` is theirs in the state, `gates` in what the product with the weights reads.
    UNROLLED_INLINE void point(const Step& step, long block, const Own& own, long place, T* gates) const {
        const long j = block * L, more = width_ - j;
        const auto kept_of = [&](long what) { return load(step.memory + what * width_ + j, more); };
        const Vector<T> signed_kept = kept_of(left::kept), signed_filled = kept_of(left::filled);
        const Vector<T> kept = signed_kept < T(0) ? -signed_kept : signed_kept;
        const Vector<T> filled = signed_filled < T(0) ? -signed_filled : signed_filled;
        const Vector<T> z = kept_of(left::z), o = kept_of(left::o);
        Vector<T> n = kept_of(left::n);
        // Beyond the width everything is zero, and must stay so through the division.
        for (long lane = std::max(more, 0L); lane < L; ++lane) n[lane] = 1;
        const Vector<T> old_c = load(step.c + j, more), old_n = load(step.n + j, more);
        const Vector<T> dh = load(own.h + place) + load(step.grad_y + j, more);
        const Vector<T> ratio = kept_of(left::c) / n, through = dh * o / n;
        const Vector<T> dc = load(own.c + place) + through, dn = load(own.n + place) - through * ratio;
        const Vector<T> to_kept = old_n == T(0) ? Vector<T>{} : (dc * old_c + dn * old_n) * kept;
        const Vector<T> to_filled = (dc * z + dn) * filled;
        // m is one of two, or, where they are equal, half of each.
        const Vector<T> dm = load(own.m + place) - to_kept - to_filled;
        const Vector<T> one = Vector<T>{} + T(1), both = signed_filled < T(0) ? one * T(0.5) : one;
        const Vector<T> share = signed_kept < T(0) ? both : Vector<T>{};
        const Vector<T> sum = to_kept + (share > T(0) ? dm * share : Vector<T>{});
        const Vector<T> input = to_filled + (share < T(1) ? dm * (one - share) : Vector<T>{});
        const Vector<T> found[G] = {input, sum * kept_of(left::slope), dc * filled * (one - z * z),
                                    dh * ratio * o * (one - o)};
        for (long gate = 0; gate < G; ++gate) {
            store(gates + gate * hop, found[gate]);
            if (step.grad_gates) store(step.grad_gates + gate * hidden_ + j, found[gate], more);
        }
        store(own.c + place, dc * kept);
        store(own.n + place, dn * kept);
        store(own.m + place, sum);
    }
};

}  // namespace unrolled::UNROLLED_LEVEL
