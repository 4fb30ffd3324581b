// The scalar long short-term memory: its nonlinearities, who walks which rows and heads, and the state on the way.
//
// Heads do not see each other in time, and rows never do, so a task is a few rows (no more than one micro-kernel takes)
// with some of the heads, and nobody waits for anybody.
#pragma once

#include <algorithm>
#include <vector>

#include "gated/window.h"

namespace unrolled::UNROLLED_LEVEL {

// exp of what is at most 0; zero and not merely small where the type has no such number.
template <class T>
UNROLLED_INLINE Vector<T> exp_below(Vector<T> x) {
    const auto e = split_exp<T>(x, Kind<T>::exp_limit);
    return x < -Kind<T>::exp_limit ? Vector<T>{} : e.scale * e.rest + e.scale;
}

// log(1 + u) of u in [0, 1], by the series of the area tangent, which keeps the relative accuracy of small u.
template <class T>
UNROLLED_INLINE Vector<T> log_above_one(Vector<T> u) {
    constexpr int terms = sizeof(T) == 4 ? 7 : 16;
    const Vector<T> z = u / (u + T(2)), squared = z * z;
    Vector<T> p = Vector<T>{} + T(1) / T(2 * terms - 1);
#pragma GCC unroll 16
    for (int k = terms - 2; k >= 0; --k) p = p * squared + T(1) / T(2 * k + 1);
    return (z + z) * p;
}

// The logarithm of the forget gate, and its slope.
template <class T>
struct Forgetting {
    Vector<T> log, slope;
};

template <class T, bool exponential>
UNROLLED_INLINE Forgetting<T> forgetting(Vector<T> f) {
    if constexpr (exponential) {
        return {f, Vector<T>{} + T(1)};
    } else {
        const Vector<T> e = exp_below<T>(f < T(0) ? f : -f), part = T(1) / (T(1) + e);
        return {(f < T(0) ? f : Vector<T>{}) - log_above_one<T>(e), f < T(0) ? part : e * part};
    }
}

// What the forward pass leaves of one row, step and head, `width` numbers each: the factors that c and n were kept by and
// filled by (negative where the gate has set the new m), tanh z, sigmoid o, the slope of log f, and the new c and n.
namespace left {
constexpr long kept = 0, filled = 1, z = 2, o = 3, slope = 4, c = 5, n = 6, count = 7;
}

struct SLSTMRow {
    long b, length;
};

// Rows [row, row + rows) of the order, longest first, and heads [first, last).
struct SLSTMTask {
    long row, rows, first, last;
    int64_t work;
};

// One thread's tasks, in the order in which they are done.
struct SLSTMShare {
    std::vector<SLSTMTask> tasks;
    int64_t work = 0;
};

template <class T>
class SLSTMWalk {
protected:
    static constexpr long L = lanes<T>, G = 4;

    explicit SLSTMWalk(const SLSTMCall& call)
        : call_(call), batch_(call.batch), time_(call.time), heads_(call.heads), width_(call.width),
          hidden_(call.heads * call.width), units_(blocks<T>(call.width)) {
        for (long b = 0; b < batch_; ++b)
            rows_.push_back({b, call.lengths ? std::clamp<int64_t>(at<int64_t>(call.lengths)[b], 0, time_) : time_});
        std::sort(rows_.begin(), rows_.end(), [](const SLSTMRow& one, const SLSTMRow& other) {
            return one.length != other.length ? one.length > other.length : one.b < other.b;
        });
        deal();
    }

    const SLSTMCall& call_;
    const long batch_, time_, heads_, width_, hidden_, units_;
    std::vector<SLSTMRow> rows_;
    std::vector<SLSTMShare> shares_;

    template <class U = T>
    static U* at(int64_t address) {
        return reinterpret_cast<U*>(address);
    }
    // Head `head` of row (b, t) of a tensor (B, T, ...) of `wide` numbers a step, where a head begins at `step` numbers.
    T* place(int64_t tensor, long b, long t, long wide, long head, long step) const {
        return at(tensor) + (b * time_ + t) * wide + head * step;
    }
    T* gates(int64_t tensor, long b, long t, long head) const {
        return place(tensor, b, t, G * hidden_, head, width_);
    }
    T* output(int64_t tensor, long b, long t, long head) const { return place(tensor, b, t, hidden_, head, width_); }
    T* memory(long b, long t, long head) const {
        return place(call_.memory, b, t, left::count * hidden_, head, left::count * width_);
    }
    T* state(int64_t tensor, long b, long head) const { return at(tensor) + b * hidden_ + head * width_; }
    T* start(int64_t tensor, long b, long head) const { return state(tensor, call_.start_rows == 1 ? 0 : b, head); }
    bool resets(long b, long t) const { return call_.reset && at<uint8_t>(call_.reset)[b * time_ + t] != 0; }

    // Of a task's rows, those that are alive at time t; `guess` may be any number of them.
    long alive(const SLSTMTask& task, long t, long guess) const {
        const SLSTMRow* rows = &rows_[task.row];
        while (guess > 0 && rows[guess - 1].length <= t) --guess;
        while (guess < task.rows && rows[guess].length > t) ++guess;
        return guess;
    }
    long longest(const SLSTMTask& task) const { return rows_[task.row].length; }

    // Numbers of one head of a task's state, in the chunks that the micro-kernels read; block u of a row stands `hop` apart.
    static constexpr long hop = row_slots * L;
    long chunk() const { return units_ * hop; }
    void read(const T* from, T* to) const {
        for (long j = 0; j < width_; j += L) store(to + j * row_slots, load(from + j, width_ - j));
    }
    void write(const T* from, T* to) const {
        for (long j = 0; j < width_; j += L) store(to + j, load(from + j * row_slots), width_ - j);
    }
    // Rows lie far apart, so the processor does not foresee which is next.
    static void fetch(const T* from, long count) {
        for (long j = 0; j < count; j += line / static_cast<long>(sizeof(T))) __builtin_prefetch(from + j, 0, 2);
    }
    void clear_padding(int64_t tensor, long wide, const SLSTMRow& row, long head, long gates) const {
        for (long t = row.length; tensor && t < time_; ++t)
            for (long gate = 0; gate < gates; ++gate)
                std::fill_n(place(tensor, row.b, t, wide, head, width_) + gate * hidden_, width_, T(0));
    }
    void prefer_large_pages(int64_t tensor, long wide) const {
        prefer_huge_pages(tensor, batch_ * time_ * wide * static_cast<int64_t>(sizeof(T)));
    }

    // The row of weight_h for number k of a head's gates in the order of the products, four of a block side by side.
    T* weight(int64_t tensor, long head, long k) const {
        const long gate = k / L % G, unit = k / (G * L) * L + k % L;
        return unit < width_ ? at(tensor) + ((head * G + gate) * width_ + unit) * width_ : nullptr;
    }

    // body(share, its number) for all shares, in as many threads as come.
    template <class Body>
    void in_threads(Body body) {
        const long count = static_cast<long>(shares_.size());
        parallel(count, [&](long number, long came) {
            for (long i = number; i < count; i += came) body(shares_[i], i);
        });
    }

private:
    // How rows are grouped and heads divided.
    struct Cut {
        long groups, parts;
    };

    Cut cut(long threads) const {
        const long fewest = (batch_ + row_slots - 1) / row_slots;
        // Rows of many lengths are dealt evenly only in small tasks.
        if (threads > 1 && rows_.front().length != rows_.back().length) return {fewest, heads_};
        for (long groups = fewest; groups <= std::min(batch_, fewest + threads - 1); ++groups)
            for (long parts = 1; parts <= heads_; ++parts)
                if (heads_ % parts == 0 && groups * parts % threads == 0) return {groups, parts};
        return {std::min(batch_, std::max(fewest, (threads + heads_ - 1) / heads_)), heads_};
    }
    void deal() {
        constexpr int64_t little = 1 << 18, pointwise = 64;
        const int64_t whole = batch_ * time_ * hidden_ * (G * width_ + pointwise);
        const long threads = whole < little ? 1 : std::max<long>(1, call_.threads);
        const auto [groups, parts] = cut(threads);
        std::vector<SLSTMTask> tasks;
        for (long group = 0; group < groups; ++group) {
            const long row = batch_ * group / groups, end = batch_ * (group + 1) / groups;
            for (long part = 0; part < parts; ++part) {
                SLSTMTask task = {row, end - row, heads_ * part / parts, heads_ * (part + 1) / parts, 0};
                for (long i = row; i < end; ++i) task.work += rows_[i].length + 1;
                task.work *= task.last - task.first;
                tasks.push_back(task);
            }
        }
        std::sort(tasks.begin(), tasks.end(), [](const SLSTMTask& one, const SLSTMTask& other) {
            if (one.work != other.work) return one.work > other.work;
            return one.row != other.row ? one.row < other.row : one.first < other.first;
        });
        shares_.resize(std::min<size_t>(threads, tasks.size()));
        for (const SLSTMTask& task : tasks) {
            SLSTMShare* least = &shares_.front();
            for (SLSTMShare& share : shares_)
                if (share.work < least->work) least = &share;
            least->tasks.push_back(task);
            least->work += task.work;
        }
    }
};

}  // namespace unrolled::UNROLLED_LEVEL
