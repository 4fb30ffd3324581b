// S' = S (diag(exp w) + a b^T) + v k^T for some value columns of one head of one row, forward and backward.
//
// A tile holds s = S^T for these columns: one row of N vectors a key. No column needs another one, and a step goes once
// over the tile: what it reads for its own output it also gathers for the next step.
#pragma once

#include <algorithm>
#include <utility>

#include "base/table.h"
#include "base/vector.h"

namespace unrolled::UNROLLED_LEVEL {

// A call with typed pointers, and where things stand in it.
template <class T>
class Delta {
public:
    explicit Delta(const DeltaCall& call)
        : call(call), batch(call.batch), time(call.time), heads(call.heads), keys(call.keys), values(call.values),
          chunk(call.chunk), reset_(at<uint8_t>(call.reset)) {}

    const DeltaCall& call;
    const long batch, time, heads, keys, values, chunk;

    template <class U = T>
    static U* at(int64_t address) {
        return reinterpret_cast<U*>(address);
    }
    long length(long row) const {
        return call.lengths ? std::clamp<int64_t>(at<int64_t>(call.lengths)[row], 0, time) : time;
    }
    bool resets(long row, long t) const { return reset_ != nullptr && reset_[row * time + t] != 0; }
    // Of the keys or the values of a head at a time, and of a head's state.
    long of_keys(long row, long t, long head) const { return ((row * time + t) * heads + head) * keys; }
    long of_values(long row, long t, long head) const { return ((row * time + t) * heads + head) * values; }
    long of_state(long row, long head) const { return (row * heads + head) * keys * values; }
    const T* start(long row, long head) const { return at(call.start_s) + of_state(call.start_rows == 1 ? 0 : row, head); }
    // The state that enters a chunk, of which each row keeps one a chunk of the whole time.
    T* kept(long row, long head, long number) const {
        const long chunks = (time + chunk - 1) / chunk;
        return at(call.memory) + ((row * heads + head) * chunks + number) * keys * values;
    }

private:
    const uint8_t* reset_;
};

// Value columns of a head.
struct Columns {
    long begin, count;
};

// N vectors of columns, of which `count` stand outside a tile too; the others are zero.
template <class T, int N>
struct Strip {
    static constexpr long width = N * lanes<T>;
    Vector<T> part[N];

    static UNROLLED_INLINE Strip from(const T* memory, long count) {
        Strip strip;
        for (int n = 0; n < N; ++n) {
            const long left = count - n * lanes<T>;
            strip.part[n] = left > 0 ? load(memory + n * lanes<T>, left) : Vector<T>{};
        }
        return strip;
    }
    static UNROLLED_INLINE Strip from(const T* memory) {
        Strip strip;
        for (int n = 0; n < N; ++n) strip.part[n] = load(memory + n * lanes<T>);
        return strip;
    }
    UNROLLED_INLINE void to(T* memory, long count) const {
        for (int n = 0; n < N; ++n) {
            const long left = count - n * lanes<T>;
            if (left > 0) store(memory + n * lanes<T>, part[n], left);
        }
    }
    UNROLLED_INLINE void to(T* memory) const {
        for (int n = 0; n < N; ++n) store(memory + n * lanes<T>, part[n]);
    }
};

// Columns of a state (keys, values) into a tile and back.
template <class T, int N>
void fetch(T* tile, const T* state, long keys, long values, Columns columns) {
    for (long j = 0; j < keys; ++j) {
        Strip<T, N>::from(state + j * values + columns.begin, columns.count).to(tile + j * Strip<T, N>::width);
    }
}

template <class T, int N>
void deliver(const T* tile, T* state, long keys, long values, Columns columns) {
    for (long j = 0; j < keys; ++j) {
        Strip<T, N>::from(tile + j * Strip<T, N>::width).to(state + j * values + columns.begin, columns.count);
    }
}

// decay = exp(w), exactly zero where it would be lost beside anything.
template <class T>
void exponentials(const T* w, long keys, T* decay) {
    for (long j = 0; j < keys; j += lanes<T>) {
        const Vector<T> x = load(w + j, keys - j);
        const auto e = split_exp<T>(x, Kind<T>::exp_limit);
        const Vector<T> value = e.scale * e.rest + e.scale;
        store(decay + j, x < -Kind<T>::exp_limit ? Vector<T>{} : value, keys - j);
    }
}

// What a step reads of its operands, one number a key.
template <class T>
struct Keys {
    const T *decay, *b, *k, *q;
};

// weight^T s.
template <class T, int N>
Strip<T, N> gather(long keys, const T* tile, const T* weight) {
    Strip<T, N> found = {};
    for (long j = 0; j < keys; ++j) {
        const auto s = Strip<T, N>::from(tile + j * Strip<T, N>::width);
        for (int n = 0; n < N; ++n) found.part[n] += weight[j] * s.part[n];
    }
    return found;
}

// to = diag(decay) from + b u^T + k v^T and, with `reads`, y = q^T to. u becomes next^T to: next is a of the next step.
template <class T, int N, bool reads>
UNROLLED_INLINE void step(long keys, const T* from, T* to, const Keys<T>& at, const T* next, Strip<T, N>& u,
                          const Strip<T, N>& v, Strip<T, N>& y) {
    Strip<T, N> found = {}, read = {};
    for (long j = 0; j < keys; ++j, from += Strip<T, N>::width, to += Strip<T, N>::width) {
        for (int n = 0; n < N; ++n) {
            Vector<T> s = at.decay[j] * load(from + n * lanes<T>);
            s += at.b[j] * u.part[n];
            s += at.k[j] * v.part[n];
            store(to + n * lanes<T>, s);
            if (reads) read.part[n] += at.q[j] * s;
            found.part[n] += next[j] * s;
        }
    }
    u = found;
    y = read;
}

// From the first step to the last. tile (keys, N vectors) and decay (keys, filled up to a vector) are scratch.
template <class T, int N>
void walk_forward(const Delta<T>& problem, long row, long head, Columns columns, T* tile, T* decay) {
    const DeltaCall& call = problem.call;
    const long keys = problem.keys, values = problem.values, length = problem.length(row);
    const auto of = [&](int64_t address, long t) { return problem.at(address) + problem.of_keys(row, t, head); };
    const auto place = [&](long t) { return problem.of_values(row, t, head) + columns.begin; };
    fetch<T, N>(tile, problem.at(call.s0) + problem.of_state(row, head), keys, values, columns);
    Strip<T, N> u, y;
    for (long t = 0; t < length; ++t) {
        if (call.memory && t % problem.chunk == 0) {
            deliver<T, N>(tile, problem.kept(row, head, t / problem.chunk), keys, values, columns);
        }
        const bool again = problem.resets(row, t);
        if (again) fetch<T, N>(tile, problem.start(row, head), keys, values, columns);
        if (again || t == 0) u = gather<T, N>(keys, tile, of(call.a, t));
        exponentials(of(call.w, t), keys, decay);
        const auto v = Strip<T, N>::from(problem.at(call.v) + place(t), columns.count);
        const Keys<T> operands = {decay, of(call.b, t), of(call.k, t), of(call.q, t)};
        step<T, N, true>(keys, tile, tile, operands, of(call.a, std::min(t + 1, length - 1)), u, v, y);
        y.to(problem.at(call.y) + place(t), columns.count);
    }
    deliver<T, N>(tile, problem.at(call.s) + problem.of_state(row, head), keys, values, columns);
    for (long t = length; t < problem.time; ++t) std::fill_n(problem.at(call.y) + place(t), columns.count, T(0));
}

// The sums over the lanes of as many vectors as one has lanes, in their order: neighbours are added until each vector's
// lanes have become one.
template <class T, size_t... lane>
UNROLLED_INLINE Vector<T> add_neighbours(Vector<T> x, Vector<T> y, std::index_sequence<lane...>) {
#if defined(__clang__)
    return __builtin_shufflevector(x, y, (2 * lane)...) + __builtin_shufflevector(x, y, (2 * lane + 1)...);
#else
    const typename Kind<T>::Bits even = {(2 * lane)...}, odd = {(2 * lane + 1)...};
    return __builtin_shuffle(x, y, even) + __builtin_shuffle(x, y, odd);
#endif
}

template <class T>
UNROLLED_INLINE Vector<T> sums(Vector<T>* of) {
#pragma GCC unroll 4
    for (long count = lanes<T>; count > 1; count /= 2) {
#pragma GCC unroll 8
        for (long i = 0; i < count / 2; ++i) {
            of[i] = add_neighbours<T>(of[2 * i], of[2 * i + 1], std::make_index_sequence<lanes<T>>());
        }
    }
    return of[0];
}

// Gradients of one step's keys, or of all steps: any of them may be null.
template <class T>
struct KeyGradients {
    T *q, *w, *k, *a, *b;

    KeyGradients at(long place) const {
        const auto moved = [&](T* to) { return to == nullptr ? nullptr : to + place; };
        return {moved(q), moved(w), moved(k), moved(a), moved(b)};
    }
};

// The way back from step t to the one before it, over the state s between them. grad holds the gradient of the state
// after t, and then of s. Of step t: its decay and a, and taken, the gradient of its u. Of the step before: what it read
// and wrote; found.w and found.a belong to t, the rest to the step before.
template <class T, int N>
struct Return {
    const T *s;
    T* grad;
    const T *decay, *a;
    Keys<T> before;
    Strip<T, N> grad_y, v, u;
    KeyGradients<T> found;
    // Are there gradients of other columns already, to be added to?
    bool adds;

    // taken becomes the gradient of u in the step before; grad_v is that of its v.
    void walk(long keys, Strip<T, N>& taken, Strip<T, N>& grad_v) const {
        // By value, as the compiler must take every store to grad for one to what a pointer leads to.
        const Return here = *this;
        const Strip<T, N> later = taken;
        Strip<T, N> wrote = {}, gave = {};
        Vector<T> w[lanes<T>], a_[lanes<T>], q[lanes<T>], k[lanes<T>], b[lanes<T>];
        for (long first = 0; first < keys; first += lanes<T>) {
            const long count = std::min(lanes<T>, keys - first);
            for (long i = 0; i < count; ++i) here.pull(first + i, later, wrote, gave, w[i], a_[i], q[i], k[i], b[i]);
            for (long i = count; i < lanes<T>; ++i) w[i] = a_[i] = q[i] = k[i] = b[i] = Vector<T>{};
            put(found.w, first, count, sums<T>(w) * load(decay + first, count));
            put(found.a, first, count, sums<T>(a_));
            put(found.q, first, count, sums<T>(q));
            put(found.k, first, count, sums<T>(k));
            put(found.b, first, count, sums<T>(b));
        }
        taken = gave;
        grad_v = wrote;
    }

private:
    UNROLLED_INLINE void pull(long j, const Strip<T, N>& taken, Strip<T, N>& wrote, Strip<T, N>& gave, Vector<T>& w,
                              Vector<T>& a_, Vector<T>& q, Vector<T>& k, Vector<T>& b) const {
        Vector<T> ws = {}, as = {}, qs = {}, ks = {}, bs = {};
        for (int n = 0; n < N; ++n) {
            const long place = j * Strip<T, N>::width + n * lanes<T>;
            const Vector<T> later = load(grad + place), state = load(s + place);
            ws += later * state;
            as += state * taken.part[n];
            qs += state * grad_y.part[n];
            Vector<T> g = decay[j] * later;
            g += a[j] * taken.part[n];
            g += before.q[j] * grad_y.part[n];
            store(grad + place, g);
            ks += g * v.part[n];
            bs += g * u.part[n];
            wrote.part[n] += before.k[j] * g;
            gave.part[n] += before.b[j] * g;
        }
        w = ws, a_ = as, q = qs, k = ks, b = bs;
    }
    UNROLLED_INLINE void put(T* to, long first, long count, Vector<T> value) const {
        if (to == nullptr) return;
        if (adds) value += load(to + first, count);
        store(to + first, value, count);
    }
};

// Scratch of a backward walk, in numbers.
template <class T, int N>
struct Room {
    explicit Room(const Delta<T>& problem)
        : tile(problem.keys * Strip<T, N>::width), row(padded<T>(problem.keys)), steps(std::min(problem.chunk, problem.time)) {}

    const long tile, row, steps;
    // The states of a chunk, one gradient of a state, u and the decays of every step, ones and zeros.
    long size() const { return (steps + 2) * tile + steps * (Strip<T, N>::width + row) + 2 * row; }
};

// From the last step to the first, chunk by chunk: a chunk's states are made again from the one that was kept. Between two
// resets, or a reset and a chunk's end, lies a span, of which each starts from a state that is known.
template <class T, int N>
class WalkBack {
public:
    WalkBack(const Delta<T>& problem, const KeyGradients<T>& found, long row, long head, Columns columns, bool adds, T* scratch)
        : problem_(problem), call_(problem.call), found_(found), room_(problem), row_(row), head_(head), columns_(columns),
          adds_(adds), states_(scratch), grad_(states_ + (room_.steps + 1) * room_.tile), u_(grad_ + room_.tile),
          decays_(u_ + room_.steps * Strip<T, N>::width), ones_(decays_ + room_.steps * room_.row),
          zeros_(ones_ + room_.row) {
        std::fill_n(ones_, room_.row, T(1));
        std::fill_n(zeros_, room_.row, T(0));
    }

    void run() {
        const long length = problem_.length(row_), state = problem_.of_state(row_, head_);
        fetch<T, N>(grad_, problem_.at(call_.grad_s) + state, problem_.keys, problem_.values, columns_);
        for (long end = length; end > 0;) {
            const long chunk = (end - 1) / problem_.chunk * problem_.chunk;
            long begin = end - 1;
            while (begin > chunk && !problem_.resets(row_, begin)) --begin;
            const bool again = problem_.resets(row_, begin);
            const T* from = again ? problem_.start(row_, head_) : problem_.kept(row_, head_, begin / problem_.chunk);
            repeat(begin, end, from);
            give_back(begin, end);
            if (again) leave_start();
            end = begin;
        }
        if (call_.grad_s0) {
            deliver<T, N>(grad_, problem_.at(call_.grad_s0) + state, problem_.keys, problem_.values, columns_);
        }
        if (!call_.grad_v) return;
        for (long t = length; t < problem_.time; ++t) std::fill_n(problem_.at(call_.grad_v) + place(t), columns_.count, T(0));
    }

private:
    const T* of(int64_t address, long t) const { return problem_.at(address) + problem_.of_keys(row_, t, head_); }
    long place(long t) const { return problem_.of_values(row_, t, head_) + columns_.begin; }
    Strip<T, N> strip(int64_t address, long t) const {
        return Strip<T, N>::from(problem_.at(address) + place(t), columns_.count);
    }
    Keys<T> keys(long t, const T* decay) const { return {decay, of(call_.b, t), of(call_.k, t), of(call_.q, t)}; }

    // states_[i] becomes the state before step begin + i, the last one that after the span.
    void repeat(long begin, long end, const T* from) {
        fetch<T, N>(states_, from, problem_.keys, problem_.values, columns_);
        auto u = gather<T, N>(problem_.keys, states_, of(call_.a, begin));
        Strip<T, N> y;
        for (long t = begin; t < end; ++t) {
            T *decay = decays_ + (t - begin) * room_.row, *state = states_ + (t - begin) * room_.tile;
            exponentials(of(call_.w, t), problem_.keys, decay);
            u.to(u_ + (t - begin) * Strip<T, N>::width);
            step<T, N, false>(problem_.keys, state, state + room_.tile, keys(t, decay),
                              of(call_.a, std::min(t + 1, end - 1)), u, strip(call_.v, t), y);
        }
    }
    // Over all states of the span: the first time nothing comes after it, the last time nothing before it.
    void give_back(long begin, long end) {
        Strip<T, N> taken = {}, grad_v;
        for (long t = end; t >= begin; --t) {
            const bool last = t == end, first = t == begin;
            Return<T, N> way = {};
            way.s = states_ + (t - begin) * room_.tile;
            way.grad = grad_;
            way.decay = last ? ones_ : decays_ + (t - begin) * room_.row;
            way.a = last ? zeros_ : of(call_.a, t);
            way.adds = adds_;
            if (!last) {
                const auto here = found_.at(problem_.of_keys(row_, t, head_));
                way.found.w = here.w, way.found.a = here.a;
            }
            if (first) {
                way.before = {nullptr, zeros_, zeros_, zeros_};
            } else {
                const auto there = found_.at(problem_.of_keys(row_, t - 1, head_));
                way.found.q = there.q, way.found.k = there.k, way.found.b = there.b;
                way.before = keys(t - 1, nullptr);
                way.grad_y = strip(call_.grad_y, t - 1), way.v = strip(call_.v, t - 1);
                way.u = Strip<T, N>::from(u_ + (t - 1 - begin) * Strip<T, N>::width);
            }
            way.walk(problem_.keys, taken, grad_v);
            if (!first && call_.grad_v) grad_v.to(problem_.at(call_.grad_v) + place(t - 1), columns_.count);
        }
    }
    // What reached the state of a reset goes to the start; nothing goes on to the step before.
    void leave_start() {
        T* starts = call_.grad_start_s ? problem_.at(call_.grad_start_s) + problem_.of_state(row_, head_) : nullptr;
        for (long j = 0; starts && j < problem_.keys; ++j) {
            T* to = starts + j * problem_.values + columns_.begin;
            for (long c = 0; c < columns_.count; ++c) to[c] += grad_[j * Strip<T, N>::width + c];
        }
        std::fill_n(grad_, room_.tile, T(0));
    }

    const Delta<T>& problem_;
    const DeltaCall& call_;
    const KeyGradients<T>& found_;
    const Room<T, N> room_;
    const long row_, head_;
    const Columns columns_;
    const bool adds_;
    T *states_, *grad_, *u_, *decays_, *ones_, *zeros_;
};

}  // namespace unrolled::UNROLLED_LEVEL
