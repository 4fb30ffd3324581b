// h_t = a_t h_(t-1) + b_t, element by element: a walk through a span of a row, forward and backward, and its summary.
// Where a and b come from, and where their gradients go, is a Source: see sources.h.
#pragma once

#include <algorithm>
#include <cstring>

#include "base/pages.h"
#include "base/table.h"
#include "base/vector.h"

namespace unrolled::UNROLLED_LEVEL {

// N numbers at once, down to one, so that no width needs a store beyond its row.
template <class T, long N>
struct Lanes {
    typedef T Vector __attribute__((vector_size(N * sizeof(T))));

    static UNROLLED_INLINE Vector load(const T* from) {
        Vector value;
        std::memcpy(&value, from, sizeof value);
        return value;
    }
    static UNROLLED_INLINE void store(T* to, Vector value) { std::memcpy(to, &value, sizeof value); }
    // K vectors; around: past the caches, where the strip is made of whole lines.
    template <int K>
    static UNROLLED_INLINE void store(T* to, const Vector* values, bool around) {
        if (K * sizeof(Vector) % line == 0 && around) {
            for (int k = 0; k < K; ++k) store_around(to + k * N, values[k]);
        } else {
            for (int k = 0; k < K; ++k) store(to + k * N, values[k]);
        }
    }
};

// Steps or channels from begin to just before end.
struct Span {
    long begin, end;
    long size() const { return end - begin; }
};

// Calls visit<N, K>(channel) for strips of K vectors of N lanes that cover the channels exactly, up or down.
template <class T, bool down, long N = lanes<T>, class Visit>
UNROLLED_INLINE void strips(Span channels, Visit&& visit) {
    const long count = channels.size() / N, eights = channels.begin + count / 8 * 8 * N;
    const long fours = eights + (count & 4) * N, twos = fours + (count & 2) * N, ones = twos + (count & 1) * N;
    const auto single = [&] {
        if (count & 1) visit.template operator()<N, 1>(twos);
    };
    const auto narrower = [&] {
        if constexpr (N > 1) strips<T, down, N / 2>({ones, channels.end}, visit);
    };
    if constexpr (down) {
        narrower();
        single();
    }
    if constexpr (N == lanes<T> && down) {
        if (count & 2) visit.template operator()<N, 2>(fours);
        if (count & 4) visit.template operator()<N, 4>(eights);
        for (long at = eights; at > channels.begin;) visit.template operator()<N, 8>(at -= 8 * N);
    }
    if constexpr (N == lanes<T> && !down) {
        for (long at = channels.begin; at < eights; at += 8 * N) visit.template operator()<N, 8>(at);
        if (count & 4) visit.template operator()<N, 4>(eights);
        if (count & 2) visit.template operator()<N, 2>(fours);
    }
    if constexpr (!down) {
        single();
        narrower();
    }
}

// Is one strip enough?
template <class T>
bool one_strip(Span channels) {
    const long count = channels.size() / lanes<T>, rest = channels.size() % lanes<T>;
    return rest == 0 ? count <= 8 && (count & (count - 1)) == 0 : count == 0 && (rest & (rest - 1)) == 0;
}

// What becomes of a state in a piece of time: it is multiplied by `product`, and `local` is added, which is what comes
// out when zero goes in. cut: a reset stands in the piece, so nothing that goes in comes out. contracts: no decay is
// larger than 1 in size.
template <class T>
struct Summary {
    T *product, *local;
    bool *cut, *contracts;

    // Would local + product * state be what a walk finds? With decays above 1 in size the two terms may overflow, or
    // grow and cancel, where the walk does neither; a state that is not finite meets products that have sunk to zero.
    bool joins(const T* state, long width) const {
        if (*cut) return true;
        bool sound = *contracts;
        for (long w = 0; w < width; ++w) sound = sound && state[w] - state[w] == 0 && local[w] - local[w] == 0;
        return sound;
    }
    void join(T* state, long width) const {
        for (long w = 0; w < width; ++w) state[w] = *cut ? local[w] : product[w] * state[w] + local[w];
    }
};

// A call with typed pointers, and what both directions share.
template <class T>
class Diagonal {
public:
    using Number = T;
    // Numbers of the state for each channel.
    static constexpr long numbers = 1;

    explicit Diagonal(const DiagonalCall& call)
        : call(call), batch(call.batch), time(call.time), width(call.width), reset_(at<uint8_t>(call.reset)) {}

    const DiagonalCall& call;
    const long batch, time, width;

    long length(long row) const {
        return call.lengths ? std::clamp<int64_t>(at<int64_t>(call.lengths)[row], 0, time) : time;
    }
    // Past the caches goes what they could not hold until it is read: large results whose rows begin with a line.
    bool around(int64_t address, long parts = 1) const {
        const int64_t bytes = batch * time * parts * width * static_cast<int64_t>(sizeof(T));
        return bytes >= large_bytes && address % line == 0 && width * sizeof(T) % line == 0;
    }

protected:
    template <class U = T>
    static U* at(int64_t address) {
        return reinterpret_cast<U*>(address);
    }
    long place(long row, long t) const { return (row * time + t) * width; }
    const T* start(long row) const { return at(call.start_h) + (call.start_rows == 1 ? 0 : row * width); }
    bool resets(long row, long t) const { return reset_ != nullptr && reset_[row * time + t] != 0; }
    // The first reset in the span, or its end.
    long first_reset(long row, Span span) const {
        if (reset_ == nullptr) return span.end;
        while (span.begin < span.end && !resets(row, span.begin)) ++span.begin;
        return span.begin;
    }
    // The last reset in the span, or its begin.
    long last_reset(long row, Span span) const {
        if (reset_ == nullptr) return span.begin;
        long t = span.end - 1;
        while (t > span.begin && !resets(row, t)) --t;
        return std::max(t, span.begin);
    }
    // Zero in the padding of a (B, T, parts, W) tensor.
    void clear_padding(int64_t address, long row, Span channels, long parts = 1) const {
        for (long t = length(row); address && t < time; ++t) {
            for (long part = 0; part < parts; ++part) {
                T* to = at(address) + (row * time + t) * parts * width + part * width;
                std::fill_n(to + channels.begin, channels.size(), T(0));
            }
        }
    }
    template <class Vector>
    static UNROLLED_INLINE bool all_within_one(Vector largest) {
        for (size_t lane = 0; lane < sizeof largest / sizeof(T); ++lane) {
            if (!(largest[lane] <= 1)) return false;
        }
        return true;
    }

private:
    const uint8_t* reset_;
};

// From the first step to the last, with h as the state.
template <class T, class Source>
class Forward : public Diagonal<T> {
    using Base = Diagonal<T>;
    using Base::at, Base::place, Base::start, Base::resets, Base::first_reset, Base::last_reset;

public:
    using Base::call, Base::time, Base::width, Base::length;

    explicit Forward(const DiagonalCall& call) : Base(call), source_(call), around_(Base::around(call.y)) {}

    void open(long row, Span channels, T* state) const {
        const T* h0 = at(call.h0) + row * width;
        std::copy(h0 + channels.begin, h0 + channels.end, state + channels.begin);
    }
    void close(long row, Span channels, const T* state) const {
        std::copy(state + channels.begin, state + channels.end, at(call.h) + row * width + channels.begin);
        Base::clear_padding(call.y, row, channels);
    }
    // Piece `number` of `count`, counted in the direction of the walk.
    Span piece(long row, long number, long count) const {
        const long steps = length(row);
        return {steps * number / count, steps * (number + 1) / count};
    }
    void walk(long row, Span span, Span channels, T* state, T*) const {
        for (long t = span.begin; t < span.end;) {
            if (resets(row, t)) std::copy_n(start(row) + channels.begin, channels.size(), state + channels.begin);
            const long stop = first_reset(row, {t + 1, span.end});
            // In the order of memory, which is what keeps up with it: a row's strips before the next step.
            const long stride = one_strip<T>(channels) ? stop - t : 1;
            for (; t < stop; t += stride) {
                strips<T, false>(channels, [&]<long N, int K>(long channel) {
                    walk_strip<N, K>(row * time + t, channel, stride, state + channel);
                });
            }
        }
        finish_stores();
    }
    void summarise(long row, Span span, Summary<T> summary) const {
        const long last = last_reset(row, span);
        *summary.cut = last < span.end && resets(row, last);
        if (*summary.cut) std::copy(start(row), start(row) + width, summary.local);
        strips<T, false>({0, width}, [&]<long N, int K>(long channel) {
            summarise_strip<N, K>(row, {last, span.end}, channel, summary);
        });
    }

private:
    // first: the step, counted over all rows.
    template <long N, int K>
    UNROLLED_INLINE void walk_strip(long first, long channel, long steps, T* state) const {
        using L = Lanes<T, N>;
        typename L::Vector h[K];
        for (int k = 0; k < K; ++k) h[k] = L::load(state + k * N);
        auto from = source_.at(first, channel);
        T* y = at(call.y) + first * width + channel;
        for (long step = 0; step < steps; ++step, source_.forth(from), y += width) {
            for (int k = 0; k < K; ++k) h[k] = source_.template terms<N>(from, k * N).after(h[k]);
            L::template store<K>(y, h, around_);
        }
        for (int k = 0; k < K; ++k) L::store(state + k * N, h[k]);
    }

    template <long N, int K>
    UNROLLED_INLINE void summarise_strip(long row, Span span, long channel, Summary<T> summary) const {
        using L = Lanes<T, N>;
        typename L::Vector h[K], product[K], largest[K] = {};
        for (int k = 0; k < K; ++k) {
            h[k] = L::load(summary.local + channel + k * N);
            product[k] = typename L::Vector{} + T(1);
        }
        auto from = source_.at(row * time + span.begin, channel);
        for (long t = span.begin; t < span.end; ++t, source_.forth(from)) {
            for (int k = 0; k < K; ++k) {
                const auto terms = source_.template terms<N>(from, k * N);
                const auto a = terms.decay, size = a < 0 ? -a : a;
                h[k] = terms.after(h[k]);
                product[k] *= a;
                largest[k] = largest[k] >= size ? largest[k] : size;
            }
        }
        for (int k = 0; k < K; ++k) {
            L::store(summary.local + channel + k * N, h[k]);
            L::store(summary.product + channel + k * N, product[k]);
            *summary.contracts = *summary.contracts && Base::all_within_one(largest[k]);
        }
    }

    const Source source_;
    const bool around_;
};

// From the last step to the first. The state is what reaches h_(t-1) from later steps: a_t times the gradient of h_t.
template <class T, class Source>
class Backward : public Diagonal<T> {
    using Base = Diagonal<T>;
    using Base::at, Base::place, Base::start, Base::resets, Base::first_reset, Base::last_reset;

public:
    using Base::call, Base::time, Base::width, Base::length;

    static constexpr long parts = Source::parts;

    explicit Backward(const DiagonalCall& call) : Base(call), source_(call) {}

    void open(long row, Span channels, T* state) const {
        const T* grad_h = at(call.grad_h) + row * width;
        std::copy(grad_h + channels.begin, grad_h + channels.end, state + channels.begin);
    }
    void close(long row, Span channels, const T* state) const {
        if (call.grad_h0) {
            std::copy(state + channels.begin, state + channels.end, at(call.grad_h0) + row * width + channels.begin);
        }
        Base::clear_padding(call.grad_decay, row, channels);
        Base::clear_padding(call.grad_drive, row, channels);
        Base::clear_padding(call.grad_gates, row, channels, Source::parts);
    }
    Span piece(long row, long number, long count) const {
        const long steps = length(row);
        return {steps - steps * (number + 1) / count, steps - steps * number / count};
    }
    // starts (width) gains what reaches the row's start through its resets.
    void walk(long row, Span span, Span channels, T* state, T* starts) const {
        for (long t = span.end; t > span.begin;) {
            const long stop = last_reset(row, {span.begin, t});
            walk_plain(row, {stop + 1, t}, channels, state);
            const bool again = resets(row, stop);
            const T* before = at(stop == 0 ? call.h0 : call.y) + (stop == 0 ? row * width : place(row, stop - 1));
            if (again) before = start(row);
            strips<T, true>(channels, [&]<long N, int K>(long channel) {
                walk_strip<N, K>(row * time + stop, channel, before + channel, 1, state + channel);
            });
            for (long w = channels.begin; again && w < channels.end; ++w) {
                starts[w] += state[w];
                state[w] = 0;
            }
            t = stop;
        }
        finish_stores();
    }
    void summarise(long row, Span span, Summary<T> summary) const {
        const long first = first_reset(row, span);
        *summary.cut = first < span.end;
        strips<T, false>({0, width}, [&]<long N, int K>(long channel) {
            summarise_strip<N, K>(row, {span.begin, first}, channel, summary);
        });
    }

private:
    // Steps of which each comes after the one whose y stands before it.
    void walk_plain(long row, Span span, Span channels, T* state) const {
        const long stride = one_strip<T>(channels) ? span.size() : 1;
        for (long t = span.end; t > span.begin; t -= stride) {
            strips<T, true>(channels, [&]<long N, int K>(long channel) {
                const T* before = at(call.y) + place(row, t - 2) + channel;
                walk_strip<N, K>(row * time + t - 1, channel, before, stride, state + channel);
            });
        }
    }

    // last: the step walked first, counted over all rows; before: its h_(t-1).
    template <long N, int K>
    UNROLLED_INLINE void walk_strip(long last, long channel, const T* before, long steps, T* state) const {
        using L = Lanes<T, N>;
        typename L::Vector carried[K], grad[K];
        for (int k = 0; k < K; ++k) carried[k] = L::load(state + k * N);
        auto from = source_.at(last, channel);
        const T* grad_y = at(call.grad_y) + last * width + channel;
        for (long step = 0; step < steps; ++step, source_.back(from), grad_y -= width, before -= width) {
            for (int k = K; k-- > 0;) grad[k] = L::load(grad_y + k * N) + carried[k];
            source_.template differentiate<N, K>(from, before, grad, carried);
        }
        for (int k = 0; k < K; ++k) L::store(state + k * N, carried[k]);
    }

    template <long N, int K>
    UNROLLED_INLINE void summarise_strip(long row, Span span, long channel, Summary<T> summary) const {
        using L = Lanes<T, N>;
        typename L::Vector carried[K] = {}, product[K], largest[K] = {};
        for (int k = 0; k < K; ++k) product[k] = typename L::Vector{} + T(1);
        auto from = source_.at(row * time + span.end - 1, channel);
        for (long t = span.end; t-- > span.begin; source_.back(from)) {
            const T* grad_y = at(call.grad_y) + place(row, t) + channel;
            for (int k = 0; k < K; ++k) {
                const auto a = source_.template terms<N>(from, k * N).decay, size = a < 0 ? -a : a;
                carried[k] = a * (L::load(grad_y + k * N) + carried[k]);
                product[k] *= a;
                largest[k] = largest[k] >= size ? largest[k] : size;
            }
        }
        for (int k = 0; k < K; ++k) {
            L::store(summary.local + channel + k * N, carried[k]);
            L::store(summary.product + channel + k * N, product[k]);
            *summary.contracts = *summary.contracts && Base::all_within_one(largest[k]);
        }
    }

    const Source source_;
};

}  // namespace unrolled::UNROLLED_LEVEL
