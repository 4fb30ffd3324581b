// h_t = a h_(t-1) + b_t with complex numbers and one a for all times. Real parts of a row stand before its imaginary ones.
#pragma once

#include "diagonal/walk.h"

namespace unrolled::UNROLLED_LEVEL {

// K vectors of complex numbers.
template <class T, long N, int K>
struct Complex {
    using L = Lanes<T, N>;
    typename L::Vector real[K], imaginary[K];

    static UNROLLED_INLINE Complex load(const T* from, long width) {
        Complex value;
        for (int k = 0; k < K; ++k) value.real[k] = L::load(from + k * N);
        for (int k = 0; k < K; ++k) value.imaginary[k] = L::load(from + width + k * N);
        return value;
    }
    UNROLLED_INLINE void store(T* to, long width, bool around) const {
        L::template store<K>(to, real, around);
        L::template store<K>(to + width, imaginary, around);
    }
    // this += a * b; conjugated: of a, the conjugate.
    UNROLLED_INLINE void add_product(const Complex& a, const Complex& b, bool conjugated) {
        for (int k = 0; k < K; ++k) {
            const auto other = conjugated ? -a.imaginary[k] : a.imaginary[k];
            real[k] += a.real[k] * b.real[k] - other * b.imaginary[k];
            imaginary[k] += a.real[k] * b.imaginary[k] + other * b.real[k];
        }
    }
};

// What both directions share. The state of a row is (2, W).
template <class T>
class Rotation : public Diagonal<T> {
    using Base = Diagonal<T>;

public:
    static constexpr long numbers = 2;
    using Base::Base, Base::call, Base::time, Base::width;

protected:
    using Base::at;
    T* row_of(int64_t address, long row) const { return at(address) + row * 2 * width; }
    T* step_of(int64_t address, long row, long t) const { return at(address) + (row * time + t) * 2 * width; }
    const T* start(long row) const { return row_of(call.start_h, call.start_rows == 1 ? 0 : row); }
    void copy(const T* from, T* to, Span channels) const {
        for (long part = 0; part < 2 * width; part += width) {
            std::copy_n(from + part + channels.begin, channels.size(), to + part + channels.begin);
        }
    }
};

template <class T>
class RotationForward : public Rotation<T> {
    using Base = Rotation<T>;
    using Base::at, Base::row_of, Base::step_of, Base::start, Base::copy, Base::resets, Base::first_reset;

public:
    using Base::call, Base::time, Base::width, Base::length;

    explicit RotationForward(const DiagonalCall& call) : Base(call), around_(Base::around(call.y, 2)) {}

    void open(long row, Span channels, T* state) const { copy(row_of(call.h0, row), state, channels); }
    void close(long row, Span channels, const T* state) const {
        copy(state, row_of(call.h, row), channels);
        Base::clear_padding(call.y, row, channels, 2);
    }
    void walk(long row, Span span, Span channels, T* state, T*) const {
        for (long t = span.begin; t < span.end;) {
            if (resets(row, t)) copy(start(row), state, channels);
            const long stop = first_reset(row, {t + 1, span.end});
            const long stride = one_strip<T>(channels) ? stop - t : 1;
            for (; t < stop; t += stride) {
                strips<T, false>(channels, [&]<long N, int K>(long channel) {
                    walk_strip<N, K>(row, t, channel, stride, state + channel);
                });
            }
        }
        finish_stores();
    }

private:
    template <long N, int K>
    UNROLLED_INLINE void walk_strip(long row, long t, long channel, long steps, T* state) const {
        using C = Complex<T, N, K>;
        const C decay = C::load(at(call.decay) + channel, width);
        C h = C::load(state, width);
        const T* drive = step_of(call.drive, row, t) + channel;
        T* y = step_of(call.y, row, t) + channel;
        for (long step = 0; step < steps; ++step, drive += 2 * width, y += 2 * width) {
            C next = C::load(drive, width);
            next.add_product(decay, h, false);
            h = next;
            h.store(y, width, around_);
        }
        h.store(state, width, false);
    }

    const bool around_;
};

// The state is what reaches h_(t-1) from later steps: the conjugate of a times the gradient of h_t.
template <class T>
class RotationBackward : public Rotation<T> {
    using Base = Rotation<T>;
    using Base::at, Base::row_of, Base::step_of, Base::start, Base::copy, Base::resets, Base::last_reset;

public:
    using Base::call, Base::time, Base::width, Base::length;

    explicit RotationBackward(const DiagonalCall& call) : Base(call), around_(Base::around(call.grad_drive, 2)) {}

    void open(long row, Span channels, T* state) const {
        copy(row_of(call.grad_h, row), state, channels);
        if (call.grad_decay == 0) return;
        for (long part = 0; part < 2 * width; part += width) {
            std::fill_n(row_of(call.grad_decay, row) + part + channels.begin, channels.size(), T(0));
        }
    }
    void close(long row, Span channels, const T* state) const {
        if (call.grad_h0) copy(state, row_of(call.grad_h0, row), channels);
        Base::clear_padding(call.grad_drive, row, channels, 2);
    }
    // starts (2, W) gains what reaches the row's start through its resets.
    void walk(long row, Span span, Span channels, T* state, T* starts) const {
        for (long t = span.end; t > span.begin;) {
            const long stop = last_reset(row, {span.begin, t});
            const long stride = one_strip<T>(channels) && t - stop > 1 ? t - stop - 1 : 1;
            for (; t > stop + 1; t -= stride) {
                walk_strips(row, t - 1, step_of(call.y, row, t - 2), channels, stride, state);
            }
            const bool again = resets(row, stop);
            const T* before = stop == 0 ? row_of(call.h0, row) : step_of(call.y, row, stop - 1);
            walk_strips(row, stop, again ? start(row) : before, channels, 1, state);
            for (long part = 0; again && part < 2 * width; part += width) {
                for (long w = part + channels.begin; w < part + channels.end; ++w) {
                    starts[w] += state[w];
                    state[w] = 0;
                }
            }
            t = stop;
        }
        finish_stores();
    }

private:
    void walk_strips(long row, long t, const T* before, Span channels, long steps, T* state) const {
        strips<T, true>(channels, [&]<long N, int K>(long channel) {
            walk_strip<N, K>(row, t, channel, before + channel, steps, state + channel);
        });
    }

    // t: the step walked first; before: its h_(t-1).
    template <long N, int K>
    UNROLLED_INLINE void walk_strip(long row, long t, long channel, const T* before, long steps, T* state) const {
        using C = Complex<T, N, K>;
        const C decay = C::load(at(call.decay) + channel, width);
        C carried = C::load(state, width), found = {};
        const T* grad_y = step_of(call.grad_y, row, t) + channel;
        long place = (row * time + t) * 2 * width + channel;
        for (long step = 0; step < steps; ++step, grad_y -= 2 * width, before -= 2 * width, place -= 2 * width) {
            C grad = C::load(grad_y, width);
            for (int k = 0; k < K; ++k) grad.real[k] += carried.real[k];
            for (int k = 0; k < K; ++k) grad.imaginary[k] += carried.imaginary[k];
            carried = {};
            carried.add_product(decay, grad, true);
            if (call.grad_decay) found.add_product(C::load(before, width), grad, true);
            if (call.grad_drive) grad.store(at(call.grad_drive) + place, width, around_);
        }
        carried.store(state, width, false);
        if (call.grad_decay == 0) return;
        T* sum = row_of(call.grad_decay, row) + channel;
        C total = C::load(sum, width);
        for (int k = 0; k < K; ++k) total.real[k] += found.real[k];
        for (int k = 0; k < K; ++k) total.imaginary[k] += found.imaginary[k];
        total.store(sum, width, false);
    }

    const bool around_;
};

}  // namespace unrolled::UNROLLED_LEVEL
