// Where the terms a and b of a diagonal step come from: tensors of their own, or the gates of minGRU and minLSTM.
//
// A source offers: parts, the numbers it reads for each channel and step; at(step, channel), forth and back, a place in
// its tensors; terms<N>(place, offset), a and b; and differentiate<N, K>(place, before, grad, carried), which stores the
// gradients of a step out of h_(t-1) and the gradient of h_t, and says what reaches h_(t-1).
#pragma once

#include "diagonal/walk.h"

namespace unrolled::UNROLLED_LEVEL {

template <class T, long N>
struct Terms {
    using Vector = typename Lanes<T, N>::Vector;
    Vector decay, drive;

    UNROLLED_INLINE Vector after(Vector h) const { return decay * h + drive; }
};

// Functions of numbers are there for whole vectors alone.
template <class T, long N>
UNROLLED_INLINE Vector<T> widen(typename Lanes<T, N>::Vector value) {
    if constexpr (N == lanes<T>) return value;
    Vector<T> wide = {};
    std::memcpy(&wide, &value, sizeof value);
    return wide;
}
template <class T, long N>
UNROLLED_INLINE typename Lanes<T, N>::Vector narrow(Vector<T> wide) {
    typename Lanes<T, N>::Vector value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
}

template <class T>
class Given {
public:
    static constexpr long parts = 1;

    explicit Given(const DiagonalCall& call)
        : width_(call.width), decay_(reinterpret_cast<const T*>(call.decay)),
          drive_(reinterpret_cast<const T*>(call.drive)), grad_decay_(reinterpret_cast<T*>(call.grad_decay)),
          grad_drive_(reinterpret_cast<T*>(call.grad_drive)), around_decay_(Diagonal<T>(call).around(call.grad_decay)),
          around_drive_(Diagonal<T>(call).around(call.grad_drive)) {}

    UNROLLED_INLINE long at(long step, long channel) const { return step * width_ + channel; }
    UNROLLED_INLINE void forth(long& place) const { place += width_; }
    UNROLLED_INLINE void back(long& place) const { place -= width_; }

    template <long N>
    UNROLLED_INLINE Terms<T, N> terms(long place, long offset) const {
        return {Lanes<T, N>::load(decay_ + place + offset), Lanes<T, N>::load(drive_ + place + offset)};
    }
    template <long N, int K, class Vector>
    UNROLLED_INLINE void differentiate(long place, const T* before, const Vector* grad, Vector* carried) const {
        using L = Lanes<T, N>;
        Vector product[K];
        for (int k = K; k-- > 0;) carried[k] = L::load(decay_ + place + k * N) * grad[k];
        if (grad_drive_) L::template store<K>(grad_drive_ + place, grad, around_drive_);
        if (grad_decay_) {
            for (int k = K; k-- > 0;) product[k] = grad[k] * L::load(before + k * N);
            L::template store<K>(grad_decay_ + place, product, around_decay_);
        }
    }

private:
    const long width_;
    const T *decay_, *drive_;
    T *grad_decay_, *grad_drive_;
    const bool around_decay_, around_drive_;
};

// Gates (B, T, parts, W): a Kind turns the pre-activations of a step into its terms, and back.
template <class T, class Kind>
class Gates {
public:
    static constexpr long parts = Kind::parts;

    explicit Gates(const DiagonalCall& call)
        : width_(call.width), positive_(call.positive != 0), gates_(reinterpret_cast<const T*>(call.gates)),
          grad_gates_(reinterpret_cast<T*>(call.grad_gates)),
          around_(Diagonal<T>(call).around(call.grad_gates, parts)) {}

    UNROLLED_INLINE long at(long step, long channel) const { return step * parts * width_ + channel; }
    UNROLLED_INLINE void forth(long& place) const { place += parts * width_; }
    UNROLLED_INLINE void back(long& place) const { place -= parts * width_; }

    template <long N>
    UNROLLED_INLINE Terms<T, N> terms(long place, long offset) const {
        const Kind kind = read<N>(place + offset);
        return {narrow<T, N>(kind.decay), narrow<T, N>(kind.share * kind.candidate.value)};
    }
    template <long N, int K, class Vector>
    UNROLLED_INLINE void differentiate(long place, const T* before, const Vector* grad, Vector* carried) const {
        using L = Lanes<T, N>;
        Vector found[parts][K];
        for (int k = 0; k < K; ++k) {
            const Kind kind = read<N>(place + k * N);
            const auto wide = widen<T, N>(grad[k]), old = widen<T, N>(L::load(before + k * N));
            carried[k] = narrow<T, N>(kind.decay * wide);
            UNROLLED_LEVEL::Vector<T> gates[parts];
            kind.differentiate(wide, old, gates);
            for (long part = 0; part < parts; ++part) found[part][k] = narrow<T, N>(gates[part]);
        }
        for (long part = 0; grad_gates_ && part < parts; ++part) {
            L::template store<K>(grad_gates_ + place + part * width_, found[part], around_);
        }
    }

private:
    template <long N>
    UNROLLED_INLINE Kind read(long place) const {
        UNROLLED_LEVEL::Vector<T> gates[parts];
        for (long part = 0; part < parts; ++part) {
            gates[part] = widen<T, N>(Lanes<T, N>::load(gates_ + place + part * width_));
        }
        return Kind(gates, positive_);
    }

    const long width_;
    const bool positive_;
    const T* gates_;
    T* grad_gates_;
    const bool around_;
};

// What a step offers to the state, and its derivative by the pre-activation x: x itself, or the paper's g(x).
template <class T>
struct Candidate {
    Vector<T> value, slope;

    UNROLLED_INLINE Candidate(Vector<T> x, bool positive) : value(x), slope(Vector<T>{} + T(1)) {
        if (!positive) return;
        const Vector<T> s = sigmoid<T>(x);
        value = x >= 0 ? x + T(0.5) : s;
        slope = x >= 0 ? slope : s * (T(1) - s);
    }
};

// exp(-x), held where the sum of two such is finite.
template <class T>
UNROLLED_INLINE Vector<T> exp_of_minus(Vector<T> x) {
    const auto e = split_exp<T>(-x, Kind<T>::exp_limit);
    return e.scale * e.rest + e.scale;
}

// a = 1 - z = exp(-x) z, and z = 1 / (1 + exp(-x)): neither loses to cancellation.
template <class T>
struct MinGRUStep {
    static constexpr long parts = 2;
    Vector<T> share, decay;
    Candidate<T> candidate;

    UNROLLED_INLINE MinGRUStep(const Vector<T>* gates, bool positive) : candidate(gates[1], positive) {
        const Vector<T> e = exp_of_minus<T>(gates[0]);
        share = T(1) / (T(1) + e);
        decay = e * share;
    }
    UNROLLED_INLINE void differentiate(Vector<T> grad, Vector<T> before, Vector<T>* gates) const {
        gates[0] = grad * (candidate.value - before) * share * decay;
        gates[1] = grad * share * candidate.slope;
    }
};

// With e_f, e_i = exp(-x): f = 1 / (1 + e_f), and f / (f + i) = (1 + e_i) / (2 + e_f + e_i).
template <class T>
struct MinLSTMStep {
    static constexpr long parts = 3;
    Vector<T> share, decay, slope_f, slope_i;
    Candidate<T> candidate;

    UNROLLED_INLINE MinLSTMStep(const Vector<T>* gates, bool positive) : candidate(gates[2], positive) {
        const Vector<T> e_f = exp_of_minus<T>(gates[0]), e_i = exp_of_minus<T>(gates[1]);
        const Vector<T> inverse = T(1) / ((T(1) + e_f) + (T(1) + e_i));
        decay = (T(1) + e_i) * inverse;
        share = (T(1) + e_f) * inverse;
        slope_f = decay * (inverse * e_f);
        slope_i = share * (inverse * e_i);
    }
    UNROLLED_INLINE void differentiate(Vector<T> grad, Vector<T> before, Vector<T>* gates) const {
        const Vector<T> moved = grad * (candidate.value - before);
        gates[0] = -moved * slope_f;
        gates[1] = moved * slope_i;
        gates[2] = grad * share * candidate.slope;
    }
};

template <class T>
using MinGRU = Gates<T, MinGRUStep<T>>;
template <class T>
using MinLSTM = Gates<T, MinLSTMStep<T>>;

}  // namespace unrolled::UNROLLED_LEVEL
