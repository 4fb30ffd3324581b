// Products of a few rows with packed weights, the heart of every step.
//
// Rows stand in chunks of `row_slots`: element (row, k) of a chunk at [(k / lanes) * row_slots + row][k % lanes], so a
// micro-kernel finds each operand at a constant offset. Weights stand in panels of two vectors: [panel][k][2 * lanes].
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <type_traits>
#include <utility>

#include "base/vector.h"

namespace unrolled::UNROLLED_LEVEL {

// Two vectors of sums for each row must fit the registers: 32 of them with AVX-512 and NEON, else 16.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int row_slots = 12;
#else
inline constexpr int row_slots = 6;
#endif

template <class T>
constexpr long chunk_size(long kblocks) {
    return kblocks * row_slots * lanes<T>;
}

template <class T>
constexpr long panel_size(long kblocks) {
    return kblocks * 2 * lanes<T> * lanes<T>;
}

// Weights are stored as T, or, for T = float, as uint16_t (bf16: the upper half of a float) or as int8_t, whose columns
// have a scale each: value = scale * stored.
template <class Stored>
inline constexpr bool scaled = std::is_same_v<Stored, int8_t>;

template <class T, class Stored>
struct Packed {
    Stored* panels = nullptr;
    T* scales = nullptr;
};

// How many weights stand in the place of one T. Those of consecutive k share a lane, the first one in its low bits: then
// a shift of whole lanes widens them.
template <class T, class Stored>
inline constexpr long share_lane = static_cast<long>(sizeof(T) / sizeof(Stored));

// Where in a panel the weight of row k and column `column` stands.
template <class T, class Stored>
constexpr long panel_index(long k, long column) {
    constexpr long together = share_lane<T, Stored>;
    const long within = std::endian::native == std::endian::little ? k % together : together - 1 - k % together;
    return (k / together * 2 * lanes<T> + column) * together + within;
}

// The weights of row k in the columns from `column` on. k is known where this is compiled.
template <class T, class Stored>
UNROLLED_INLINE Vector<T> weights_at(const Stored* panel, int k, long column) {
    constexpr int together = static_cast<int>(share_lane<T, Stored>);
    const Stored* from = panel + (k / together * 2 * lanes<T> + column) * together;
    if constexpr (together == 1) {
        return load(from);
    } else {
        typename Kind<T>::Bits bits;
        std::memcpy(&bits, from, sizeof bits);
        constexpr int width = 32 / together;
        bits <<= 32 - width - k % together * width;
        if constexpr (scaled<Stored>) return __builtin_convertvector(bits >> (32 - width), Vector<T>);
        bits &= -1 << (32 - width);
        Vector<T> value;
        std::memcpy(&value, &bits, sizeof value);
        return value;
    }
}

// The stored form nearest to `value`; ties go to the even one.
template <class Stored, class T>
Stored narrow(T value, T inverse_scale) {
    if constexpr (std::is_same_v<Stored, T>) {
        return value;
    } else if constexpr (scaled<Stored>) {
        return static_cast<Stored>(std::nearbyint(std::clamp(value * inverse_scale, T(-127), T(127))));
    } else {
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        // Rounding could carry a NaN into infinity.
        if (value != value) return static_cast<Stored>(bits >> 16 | 0x40);
        return static_cast<Stored>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }
}

// out[row][0, 2 lanes) = start + rows @ panel for the first `Rows` rows of a chunk; `stride` between rows of out. `start` is
// one row for all of them, or null for zeros.
template <class T, int Rows, class Stored>
void tile(const T* rows, const Stored* panel, long kblocks, T* out, long stride, const T* start) {
    constexpr long L = lanes<T>;
    // With few rows, several partial sums hide the latency of a multiply-add.
    constexpr int parts = Rows == 1 ? 4 : Rows == 2 ? 2 : 1;
    Vector<T> sums[parts][Rows][2] = {};
    for (int row = 0; start && row < Rows; ++row) {
        sums[0][row][0] = load(start);
        sums[0][row][1] = load(start + L);
    }
    for (long block = 0; block < kblocks; ++block) {
#pragma GCC unroll 16
        for (int k = 0; k < L; ++k) {
            const Vector<T> left = weights_at<T>(panel, k, 0), right = weights_at<T>(panel, k, L);
#pragma GCC unroll 12
            for (int row = 0; row < Rows; ++row) {
                const T value = rows[row * L + k];
                sums[k % parts][row][0] += value * left;
                sums[k % parts][row][1] += value * right;
            }
        }
        panel += 2 * L * L;
        rows += row_slots * L;
    }
#pragma GCC unroll 12
    for (int row = 0; row < Rows; ++row) {
        for (int part = 1; part < parts; ++part) {
            sums[0][row][0] += sums[part][row][0];
            sums[0][row][1] += sums[part][row][1];
        }
        store(out + row * stride, sums[0][row][0]);
        store(out + row * stride + L, sums[0][row][1]);
    }
}

template <class T, class Stored>
using Tile = void (*)(const T*, const Stored*, long, T*, long, const T*);

// tiles<T, Stored>[n - 1] serves n rows.
template <class T, class Stored>
inline constexpr auto tiles = []<std::size_t... n>(std::index_sequence<n...>) {
    return std::array<Tile<T, Stored>, sizeof...(n)>{tile<T, static_cast<int>(n) + 1, Stored>...};
}(std::make_index_sequence<row_slots>{});

// The gradient of a weight, summed over rows: `Units` rows of it by `Vectors` vectors.
//
// Its left factor stands in chunks, of each of which `count` rows are used; its right factor, `columns`, has one line of
// `Vectors` vectors for each of those rows.
template <class T>
struct Piece {
    const T* chunk;
    long count;
};

// Of how many units one call sums up; they must be neighbours in a block of lanes.
template <class T>
inline constexpr int outer_units = std::min(static_cast<int>(lanes<T>), row_slots > 8 ? 8 : 4);

inline constexpr int outer_vectors = 3;

// sums[unit][0, Vectors lanes) += sum over the rows of chunk[offset + unit] * columns.
template <class T, int Vectors>
void outer(const Piece<T>* pieces, long count, long offset, const T* columns, T* sums) {
    constexpr long L = lanes<T>;
    constexpr int Units = outer_units<T>;
    Vector<T> total[Units][Vectors];
#pragma GCC unroll 8
    for (int unit = 0; unit < Units; ++unit)
#pragma GCC unroll 3
        for (int v = 0; v < Vectors; ++v) total[unit][v] = load(sums + (unit * Vectors + v) * L);
    for (long piece = 0; piece < count; ++piece) {
        const T* from = pieces[piece].chunk + offset;
        const T* end = from + pieces[piece].count * L;
        for (; from != end; from += L, columns += Vectors * L) {
            Vector<T> right[Vectors];
#pragma GCC unroll 3
            for (int v = 0; v < Vectors; ++v) right[v] = load(columns + v * L);
#pragma GCC unroll 8
            for (int unit = 0; unit < Units; ++unit)
#pragma GCC unroll 3
                for (int v = 0; v < Vectors; ++v) total[unit][v] += from[unit] * right[v];
        }
    }
#pragma GCC unroll 8
    for (int unit = 0; unit < Units; ++unit)
#pragma GCC unroll 3
        for (int v = 0; v < Vectors; ++v) store(sums + (unit * Vectors + v) * L, total[unit][v]);
}

template <class T>
using Outer = void (*)(const Piece<T>*, long, long, const T*, T*);

// outers<T>[n - 1] serves n vectors.
template <class T>
inline constexpr std::array<Outer<T>, outer_vectors> outers = {outer<T, 1>, outer<T, 2>, outer<T, 3>};

// The largest value of a column, as a share of the largest that is stored; 1 for a column of zeros.
template <class T>
T scale_of(const T* column, long depth) {
    T largest = 0;
    for (long k = 0; column && k < depth; ++k) largest = std::max(largest, std::abs(column[k]));
    return largest > T(0) ? largest / T(127) : T(1);
}

// Weights (columns x k) whose every output column is a contiguous row: source(column) points at its k values, or is null.
// `vectors` output vectors of columns, `depth` values each.
template <class T, class Stored, class Source>
void pack_columns(const Packed<T, Stored>& to, long vectors, long depth, Source source) {
    constexpr long L = lanes<T>;
    const long kblocks = blocks<T>(depth);
    for (long vector = 0; vector < (vectors + 1) / 2 * 2; ++vector) {
        Stored* panel = to.panels + vector / 2 * panel_size<T>(kblocks);
        for (long lane = 0; lane < L; ++lane) {
            const T* from = vector < vectors ? source(vector, lane) : nullptr;
            T inverse = 1;
            if constexpr (scaled<Stored>) {
                const T scale = to.scales[vector * L + lane] = scale_of(from, depth);
                inverse = T(1) / scale;
            }
            for (long k = 0; k < kblocks * L; ++k)
                panel[panel_index<T, Stored>(k, vector % 2 * L + lane)] =
                    from && k < depth ? narrow<Stored>(from[k], inverse) : Stored(0);
        }
    }
}

// Weights (k x columns) whose every k is a contiguous row: source(k) points at its `columns` values, or is null.
template <class T, class Source>
void pack_rows(T* to, long columns, long kblocks, Source source) {
    constexpr long L = lanes<T>;
    for (long k = 0; k < kblocks * L; ++k) {
        const T* from = source(k);
        for (long column = 0; column < (blocks<T>(columns) + 1) / 2 * 2 * L; column += L) {
            const long left = columns - column;
            T* panel = to + column / (2 * L) * panel_size<T>(kblocks) + k * 2 * L + column / L % 2 * L;
            store(panel, from && left > 0 ? load(from + column, left) : Vector<T>{});
        }
    }
}

}  // namespace unrolled::UNROLLED_LEVEL
