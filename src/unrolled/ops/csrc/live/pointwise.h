// Functions of single numbers that programs are made of, a vector at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/vector.h"

namespace unrolled::UNROLLED_LEVEL {

template <class T>
UNROLLED_INLINE Vector<T> each_lane(Vector<T> x, T (*function)(T)) {
    for (long lane = 0; lane < lanes<T>; ++lane) x[lane] = function(x[lane]);
    return x;
}

template <class T>
UNROLLED_INLINE bool any_above(Vector<T> x, T limit) {
    const auto found = x > limit;
    long any = 0;
    for (long lane = 0; lane < lanes<T>; ++lane) any |= found[lane];
    return any != 0;
}

// Zero, and not merely small, below what a normal number holds.
template <class T>
UNROLLED_INLINE Vector<T> exponential_of(Vector<T> x) {
    const auto e = split_exp<T>(x, Kind<T>::exp_limit);
    const Vector<T> value = e.scale * e.rest + e.scale;
    if (__builtin_expect(any_above<T>(x, Kind<T>::exp_limit), 0)) return each_lane<T>(x, std::exp);
    return x < -Kind<T>::exp_limit ? Vector<T>{} : value;
}

template <class T>
UNROLLED_INLINE Vector<T> exponential_less_one(Vector<T> x) {
    const auto e = split_exp<T>(x, Kind<T>::exp_limit);
    if (__builtin_expect(any_above<T>(x, Kind<T>::exp_limit), 0)) return each_lane<T>(x, std::expm1);
    return e.scale * e.rest + (e.scale - T(1));
}

// log(1 + exp(x)) = max(x, 0) + log(1 + u) with u = exp(-|x|) in [0, 1], and log(1 + u) = 2 artanh(u / (2 + u)), whose
// series in (u / (2 + u))^2 <= 1 / 9 needs no reduction.
template <class T>
UNROLLED_INLINE Vector<T> softplus_of(Vector<T> x) {
    const Vector<T> u = exponential_of<T>(x > T(0) ? -x : x);
    const Vector<T> s = u / (u + T(2)), square = s * s;
    constexpr int terms = sizeof(T) == 8 ? 18 : 8;
    Vector<T> series = Vector<T>{} + T(1) / T(2 * terms - 1);
#pragma GCC unroll 18
    for (int k = terms - 2; k >= 0; --k) series = series * square + T(1) / T(2 * k + 1);
    return (x > T(0) ? x : Vector<T>{}) + T(2) * s * series;
}

template <class T>
UNROLLED_INLINE Vector<T> log_sigmoid(Vector<T> x) {
    return -softplus_of<T>(-x);
}

template <class T>
T error_function(T x) {
    return std::erf(x);
}
// Functions of single numbers that are called for each lane, under names that are no overloads.
#define UNROLLED_EACH(name, function) \
    template <class T>                \
    T name(T x) {                     \
        return std::function(x);      \
    }
UNROLLED_EACH(square_root, sqrt)
UNROLLED_EACH(logarithm, log)
UNROLLED_EACH(logarithm_of_more, log1p)
UNROLLED_EACH(sine, sin)
UNROLLED_EACH(cosine, cos)
#undef UNROLLED_EACH

namespace point {

#define UNROLLED_POINT1(name, value)                                                                                   \
    template <class T>                                                                                                 \
    struct name {                                                                                                      \
        static UNROLLED_INLINE Vector<T> of(Vector<T> x, [[maybe_unused]] T n, [[maybe_unused]] T m) { return value; } \
    };
UNROLLED_POINT1(copy, x)
UNROLLED_POINT1(affine, x * n + m)
UNROLLED_POINT1(exp, exponential_of<T>(x))
UNROLLED_POINT1(expm1, exponential_less_one<T>(x))
UNROLLED_POINT1(log, each_lane<T>(x, logarithm<T>))
UNROLLED_POINT1(log1p, each_lane<T>(x, logarithm_of_more<T>))
UNROLLED_POINT1(sqrt, each_lane<T>(x, square_root<T>))
UNROLLED_POINT1(sin, each_lane<T>(x, sine<T>))
UNROLLED_POINT1(cos, each_lane<T>(x, cosine<T>))
UNROLLED_POINT1(abs, x < T(0) ? -x : x)
UNROLLED_POINT1(tanh, UNROLLED_LEVEL::tanh<T>(x))
UNROLLED_POINT1(sigmoid, UNROLLED_LEVEL::sigmoid<T>(x))
UNROLLED_POINT1(logsigmoid, log_sigmoid<T>(x))
UNROLLED_POINT1(silu, x * UNROLLED_LEVEL::sigmoid<T>(x))
UNROLLED_POINT1(softplus, softplus_of<T>(x))
UNROLLED_POINT1(gelu, T(0.5) * x * (T(1) + each_lane<T>(x * T(0.70710678118654752440), error_function<T>)))
UNROLLED_POINT1(relu, x < T(0) ? Vector<T>{} : x)
UNROLLED_POINT1(square, x * x)
#undef UNROLLED_POINT1

#define UNROLLED_POINT2(name, value)                                                                                   \
    template <class T>                                                                                                 \
    struct name {                                                                                                      \
        static UNROLLED_INLINE Vector<T> of(Vector<T> x, Vector<T> y) { return value; }                                \
    };
UNROLLED_POINT2(add, x + y)
UNROLLED_POINT2(subtract, x - y)
UNROLLED_POINT2(multiply, x * y)
UNROLLED_POINT2(divide, x / y)
UNROLLED_POINT2(maximum, x > y ? x : y)
UNROLLED_POINT2(minimum, x < y ? x : y)
#undef UNROLLED_POINT2

#define UNROLLED_POINT3(name, value)                                                                                   \
    template <class T>                                                                                                 \
    struct name {                                                                                                      \
        static UNROLLED_INLINE Vector<T> of(Vector<T> x, Vector<T> y, Vector<T> z) { return value; }                   \
    };
UNROLLED_POINT3(multiply_add, x * y + z)
UNROLLED_POINT3(lerp, x + z * (y - x))
UNROLLED_POINT3(choose, x >= T(0) ? y : z)
#undef UNROLLED_POINT3

}  // namespace point

}  // namespace unrolled::UNROLLED_LEVEL
