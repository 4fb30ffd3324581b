// Products and transposes of small dense matrices: what a block of steps is made of.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "base/vector.h"

namespace unrolled::UNROLLED_LEVEL::mlstm {

// Rows of a register tile: two vectors of sums a row must fit, with their factors, 32 registers or 16.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int product_rows = 8;
#else
inline constexpr int product_rows = 6;
#endif

// A matrix whose rows stand `stride` numbers apart.
template <class T>
struct Matrix {
    T* numbers;
    long stride;
    UNROLLED_INLINE T* row(long index) const { return numbers + index * stride; }
};

// The same to read only, from either kind.
template <class T>
struct Given {
    const T* numbers;
    long stride;
    Given(const T* numbers, long stride) : numbers(numbers), stride(stride) {}
    Given(Matrix<T> matrix) : numbers(matrix.numbers), stride(matrix.stride) {}
    UNROLLED_INLINE const T* row(long index) const { return numbers + index * stride; }
};

template <class T, int Rows, int Columns>
void product_tile(T keep, Matrix<T> out, Given<T> left, Given<T> right, long depth) {
    constexpr long L = lanes<T>;
    Vector<T> sums[Rows][Columns] = {};
    if (keep != T(0)) {
#pragma GCC unroll 8
        for (int row = 0; row < Rows; ++row)
#pragma GCC unroll 2
            for (int c = 0; c < Columns; ++c) sums[row][c] = keep * load(out.row(row) + c * L);
    }
    for (long k = 0; k < depth; ++k) {
        Vector<T> factors[Columns];
#pragma GCC unroll 2
        for (int c = 0; c < Columns; ++c) factors[c] = load(right.numbers + c * L);
#pragma GCC unroll 8
        for (int row = 0; row < Rows; ++row) {
            const T value = left.numbers[row * left.stride];
#pragma GCC unroll 2
            for (int c = 0; c < Columns; ++c) sums[row][c] += value * factors[c];
        }
        ++left.numbers;
        right.numbers += right.stride;
    }
#pragma GCC unroll 8
    for (int row = 0; row < Rows; ++row)
#pragma GCC unroll 2
        for (int c = 0; c < Columns; ++c) store(out.row(row) + c * L, sums[row][c]);
}

template <class T>
using ProductTile = void (*)(T, Matrix<T>, Given<T>, Given<T>, long);

// product_tiles<T, Columns>[n] serves n + 1 rows.
template <class T, int Columns>
inline constexpr auto product_tiles = []<std::size_t... n>(std::index_sequence<n...>) {
    return std::array<ProductTile<T>, sizeof...(n)>{product_tile<T, static_cast<int>(n) + 1, Columns>...};
}(std::make_index_sequence<product_rows>{});

// out (rows, columns) = keep * out + left (rows, depth) right (depth, columns). The columns count whole vectors; with
// keep = 0 nothing is read from out.
template <class T>
void multiply(T keep, Matrix<T> out, std::type_identity_t<Given<T>> left, std::type_identity_t<Given<T>> right, long rows,
              long depth, long columns) {
    constexpr long L = lanes<T>;
    for (long column = 0; column < columns; column += 2 * L) {
        const auto& tiles = columns - column > L ? product_tiles<T, 2> : product_tiles<T, 1>;
        for (long row = 0; row < rows; row += product_rows) {
            const long count = std::min<long>(product_rows, rows - row);
            tiles[count - 1](keep, {out.row(row) + column, out.stride}, {left.row(row), left.stride},
                             {right.numbers + column, right.stride}, depth);
        }
    }
}

// The lanes of one and other that a stage puts side by side.
template <class T, long Stage, bool high, std::size_t... lane>
UNROLLED_INLINE Vector<T> paired(Vector<T> one, Vector<T> other, std::index_sequence<lane...>) {
    constexpr long L = lanes<T>, from_one = high ? Stage : 0, from_other = high ? L : L - Stage;
    return __builtin_shufflevector(one, other, (lane & Stage ? lane + from_other : lane + from_one)...);
}

// A square of lanes x lanes numbers, turned in registers: each stage swaps one bit of rows and columns.
template <class T, long Stage = 1>
UNROLLED_INLINE void turn(Vector<T>* rows) {
    constexpr long L = lanes<T>;
    constexpr auto all = std::make_index_sequence<static_cast<std::size_t>(L)>{};
    if constexpr (Stage < L) {
#pragma GCC unroll 16
        for (long row = 0; row < L; ++row) {
            if (row & Stage) continue;
            const Vector<T> one = rows[row], other = rows[row + Stage];
            rows[row] = paired<T, Stage, false>(one, other, all);
            rows[row + Stage] = paired<T, Stage, true>(one, other, all);
        }
        turn<T, 2 * Stage>(rows);
    }
}

// to (columns, up_to) = scale * from (rows, columns), transposed; beyond the rows of `from` it is filled with zeros.
// `up_to` counts whole vectors.
template <class T>
void transpose(Matrix<T> to, std::type_identity_t<Given<T>> from, long rows, long columns, long up_to, T scale) {
    constexpr long L = lanes<T>;
    for (long first = 0; first < up_to; first += L) {
        for (long column = 0; column < columns; column += L) {
            const long left = columns - column;
            Vector<T> square[L];
            for (long row = 0; row < L; ++row) {
                square[row] = Vector<T>{};
                if (first + row < rows) square[row] = scale * load(from.row(first + row) + column, left);
            }
            turn<T>(square);
            for (long row = 0; row < std::min(L, left); ++row) store(to.row(column + row) + first, square[row]);
        }
    }
}

// The sum of left * right over `count` numbers.
template <class T>
T dot(const T* left, const T* right, long count) {
    constexpr long L = lanes<T>;
    Vector<T> total = {};
    for (long at = 0; at < count; at += L) total += load(left + at, count - at) * load(right + at, count - at);
    return sum<T>(total);
}

// to += factor * from, `count` numbers.
template <class T>
void add_scaled(T* to, T factor, const T* from, long count) {
    constexpr long L = lanes<T>;
    for (long at = 0; at < count; at += L) {
        store(to + at, load(to + at, count - at) + factor * load(from + at, count - at), count - at);
    }
}

}  // namespace unrolled::UNROLLED_LEVEL::mlstm
