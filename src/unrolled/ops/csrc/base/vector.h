// Vectors of T in {float, double} as wide as the level allows, by the compiler's own vector types: no intrinsics.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#define UNROLLED_BYTES 64
#elif defined(__AVX__)
#define UNROLLED_BYTES 32
#else
#define UNROLLED_BYTES 16
#endif

#define UNROLLED_INLINE inline __attribute__((always_inline))

namespace unrolled::UNROLLED_LEVEL {

template <class T>
struct Kind;

template <>
struct Kind<float> {
    static constexpr long lanes = UNROLLED_BYTES / 4;
    typedef float Vector __attribute__((vector_size(UNROLLED_BYTES)));
    typedef int32_t Bits __attribute__((vector_size(UNROLLED_BYTES)));
    typedef uint8_t Bytes __attribute__((vector_size(UNROLLED_BYTES / 4)));
    // 1.5 * 2^23: added, it rounds to an integer that stands in the low bits.
    static constexpr float shift = 12582912.0f;
    static constexpr int32_t shift_bits = 0x4B400000, exponent_bias = 127, mantissa = 23;
    static constexpr float log2_high = 0.693359375f, log2_low = -2.12194440e-4f;
    static constexpr float exp_limit = 87.0f, tanh_limit = 10.0f;
    static constexpr int terms = 7;
};

template <>
struct Kind<double> {
    static constexpr long lanes = UNROLLED_BYTES / 8;
    typedef double Vector __attribute__((vector_size(UNROLLED_BYTES)));
    typedef int64_t Bits __attribute__((vector_size(UNROLLED_BYTES)));
    typedef uint8_t Bytes __attribute__((vector_size(UNROLLED_BYTES / 8)));
    static constexpr double shift = 6755399441055744.0;
    static constexpr int64_t shift_bits = 0x4338000000000000, exponent_bias = 1023, mantissa = 52;
    static constexpr double log2_high = 6.93145751953125e-1, log2_low = 1.42860682030941723212e-6;
    static constexpr double exp_limit = 708.0, tanh_limit = 20.0;
    static constexpr int terms = 13;
};

template <class T>
using Vector = typename Kind<T>::Vector;

template <class T>
inline constexpr long lanes = Kind<T>::lanes;

template <class T>
constexpr long blocks(long count) {
    return (count + lanes<T> - 1) / lanes<T>;
}

template <class T>
constexpr long padded(long count) {
    return blocks<T>(count) * lanes<T>;
}

template <class T>
UNROLLED_INLINE Vector<T> load(const T* from) {
    Vector<T> value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class T>
UNROLLED_INLINE void store(T* to, Vector<T> value) {
    std::memcpy(to, &value, sizeof value);
}

// The first `count` lanes, zero in the others. count may be larger than a vector.
template <class T>
UNROLLED_INLINE Vector<T> load(const T* from, long count) {
    if (count >= lanes<T>) return load(from);
    Vector<T> value = {};
    for (long lane = 0; lane < count; ++lane) value[lane] = from[lane];
    return value;
}

template <class T>
UNROLLED_INLINE void store(T* to, Vector<T> value, long count) {
    if (count >= lanes<T>) return store(to, value);
    for (long lane = 0; lane < count; ++lane) to[lane] = value[lane];
}

// The first `count` lanes, zero in the others. What a product reads must be zero in the padding: weights are zero there,
// but an infinity times zero would leave a NaN that the next product spreads over the row.
template <class T>
UNROLLED_INLINE Vector<T> cut(Vector<T> value, long count) {
    for (long lane = count < 0 ? 0 : count; lane < lanes<T>; ++lane) value[lane] = 0;
    return value;
}

template <class T>
UNROLLED_INLINE T sum(Vector<T> value) {
    T total = 0;
    for (long lane = 0; lane < lanes<T>; ++lane) total += value[lane];
    return total;
}

// value where the byte of the lane is not 0, other elsewhere.
template <class T>
UNROLLED_INLINE Vector<T> choose(const uint8_t* bytes, long count, Vector<T> value, Vector<T> other) {
    typename Kind<T>::Bytes mask = {};
    if (count >= lanes<T>) {
        std::memcpy(&mask, bytes, sizeof mask);
    } else {
        // Of a length that the compiler knows, a copy is one load; this one is a call.
        std::memcpy(&mask, bytes, count);
    }
    const auto wide = __builtin_convertvector(mask, typename Kind<T>::Bits);
    return wide != 0 ? value : other;
}

// exp(x) = scale * (1 + rest): rest = exp(r) - 1 with |r| <= log(2) / 2, scale a power of two.
template <class T>
struct Exponential {
    Vector<T> scale, rest;
};

template <class T>
UNROLLED_INLINE Exponential<T> split_exp(Vector<T> x, T limit) {
    using K = Kind<T>;
    // Comparisons with NaN are false, so it stays and makes rest NaN.
    x = x > limit ? Vector<T>{} + limit : x;
    x = x < -limit ? Vector<T>{} - limit : x;
    const Vector<T> moved = x * T(1.44269504088896340736) + K::shift;
    const Vector<T> n = moved - K::shift;
    const Vector<T> r = (x - n * K::log2_high) - n * K::log2_low;
    typename K::Bits bits;
    std::memcpy(&bits, &moved, sizeof bits);
    bits = (bits - K::shift_bits + K::exponent_bias) << K::mantissa;
    Exponential<T> found;
    std::memcpy(&found.scale, &bits, sizeof bits);
    constexpr T inverse[] = {T(1),          T(1) / 2,       T(1) / 6,         T(1) / 24,         T(1) / 120,
                             T(1) / 720,    T(1) / 5040,    T(1) / 40320,     T(1) / 362880,     T(1) / 3628800,
                             T(1) / 39916800, T(1) / 479001600, T(1) / 6227020800.0};
    Vector<T> p = Vector<T>{} + inverse[K::terms - 1];
#pragma GCC unroll 16
    for (int k = K::terms - 2; k >= 0; --k) p = p * r + inverse[k];
    found.rest = p * r;
    return found;
}

template <class T>
UNROLLED_INLINE Vector<T> sigmoid(Vector<T> x) {
    const auto e = split_exp<T>(-x, Kind<T>::exp_limit);
    const Vector<T> value = T(1) / (T(1) + (e.scale * e.rest + e.scale));
    // Zero and not merely small, so that a closed gate times infinity is NaN, as it is for torch.
    return x < -Kind<T>::exp_limit ? Vector<T>{} : value;
}

// By exp(2 x) - 1, which keeps the relative accuracy of small x.
template <class T>
UNROLLED_INLINE Vector<T> tanh(Vector<T> x) {
    const auto e = split_exp<T>(x + x, 2 * Kind<T>::tanh_limit);
    const Vector<T> less_one = e.scale * e.rest + (e.scale - T(1));
    return less_one / (less_one + T(2));
}

}  // namespace unrolled::UNROLLED_LEVEL
