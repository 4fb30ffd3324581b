// A call with typed pointers, memory that lives as long as a walk, and the state of one head of one row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>

#include "mlstm/product.h"
#include "base/table.h"

namespace unrolled::UNROLLED_LEVEL::mlstm {

// Steps that are worked on together: between two states, whole vectors of every type and level.
inline constexpr long together = 16;

// Zeros, each array at the beginning of a cache line.
template <class T>
class Arena {
public:
    explicit Arena(long count) {
        const std::size_t bytes = (static_cast<std::size_t>(count) * sizeof(T) / 64 + 1) * 64;
        memory_ = static_cast<T*>(std::aligned_alloc(64, bytes));
        if (memory_ == nullptr) throw std::bad_alloc();
        std::fill_n(memory_, bytes / sizeof(T), T(0));
        next_ = memory_;
    }
    ~Arena() { std::free(memory_); }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    // `count` is a multiple of `together` where another array follows.
    T* take(long count) {
        T* found = next_;
        next_ += count;
        return found;
    }

private:
    T *memory_, *next_;
};

// c (keys, values), n (keys) and m; the rows of c are padded with zeros to whole vectors.
template <class T>
struct State {
    Matrix<T> c;
    T *n, m;
};

// The gradient of the state behind the row's last step, which reaches c and n before it times `reach`. That state is given
// times exp(-m), so the largest gates have a part in it by m: `chain` is the derivative of the last m by the one behind the
// steps not yet walked, `later` what flows to the end from the steps walked already.
template <class T>
struct Ending {
    State<T> grad;
    T reach, chain, later;
    // Does c or n have a gradient?
    bool some;
};

template <class T>
class Problem {
public:
    explicit Problem(const MLSTMCall& call)
        : call(call),
          batch(call.batch),
          time(call.time),
          heads(call.heads),
          keys(call.keys),
          values(call.values),
          chunk(std::min(call.chunk, call.time)),
          columns(padded<T>(call.values)),
          wide((call.values + together - 1) / together * together),
          scale(T(1) / std::sqrt(static_cast<T>(call.keys))) {}

    const MLSTMCall& call;
    const long batch, time, heads, keys, values, chunk;
    // Of c: whole vectors that hold a row, and numbers from one row to the next.
    const long columns, wide;
    const T scale;

    template <class U = T>
    static U* at(int64_t address) {
        return reinterpret_cast<U*>(address);
    }
    long length(long row) const {
        return call.lengths ? std::clamp<int64_t>(at<int64_t>(call.lengths)[row], 0, time) : time;
    }
    bool resets(long row, long t) const { return call.reset && at<uint8_t>(call.reset)[row * time + t] != 0; }
    // Where the numbers of one head at one time stand, `width` of them each.
    T* place(int64_t address, long row, long t, long head, long width) const {
        return at(address) + ((row * time + t) * heads + head) * width;
    }
    // From one time to the next.
    long stride(long width) const { return heads * width; }
    long state_size() const { return keys * wide + (keys + together - 1) / together * together; }
    State<T> take_state(Arena<T>& arena) const {
        T* c = arena.take(state_size());
        return {{c, wide}, c + keys * wide, T(0)};
    }
    // The state of one head of one row in three dense tensors.
    void read(State<T>& state, int64_t c, int64_t n, int64_t m, long row, long head) const {
        const long index = row * heads + head;
        read_dense(state, at(c) + index * keys * values, at(n) + index * keys, at(m)[index]);
    }
    void write(const State<T>& state, int64_t c, int64_t n, int64_t m, long row, long head) const {
        const long index = row * heads + head;
        if (c) write_matrix(state, at(c) + index * keys * values);
        if (n) std::copy_n(state.n, keys, at(n) + index * keys);
        if (m) at(m)[index] = state.m;
    }
    void start(State<T>& state, long row, long head) const {
        read(state, call.start_c, call.start_n, call.start_m, call.start_rows == 1 ? 0 : row, head);
    }
    void remember(const State<T>& state, long row, long head, long number) const {
        T* to = remembered(row, head, number);
        write_matrix(state, to);
        std::copy_n(state.n, keys, to + keys * values);
        to[keys * values + keys] = state.m;
    }
    void recall(State<T>& state, long row, long head, long number) const {
        const T* from = remembered(row, head, number);
        read_dense(state, from, from + keys * values, from[keys * values + keys]);
    }
    void copy(State<T>& to, const State<T>& from) const {
        std::copy_n(from.c.numbers, state_size(), to.c.numbers);
        to.m = from.m;
    }
    // The sum of the products of all numbers of c and n.
    T dot_states(const State<T>& one, const State<T>& other) const {
        return dot(one.c.numbers, other.c.numbers, keys * wide) + dot(one.n, other.n, keys);
    }
    // Zeros in every step from the end of the row on.
    void clear_padding(int64_t address, long row, long head, long width) const {
        for (long t = length(row); address && t < time; ++t) std::fill_n(place(address, row, t, head, width), width, T(0));
    }

private:
    T* remembered(long row, long head, long number) const {
        const long chunks = (time + chunk - 1) / chunk;
        return at(call.memory) + ((row * heads + head) * chunks + number) * (keys * values + keys + 1);
    }
    void read_dense(State<T>& state, const T* c, const T* n, T m) const {
        for (long key = 0; key < keys; ++key) std::copy_n(c + key * values, values, state.c.row(key));
        std::copy_n(n, keys, state.n);
        state.m = m;
    }
    void write_matrix(const State<T>& state, T* c) const {
        for (long key = 0; key < keys; ++key) std::copy_n(state.c.row(key), values, c + key * values);
    }
};

}  // namespace unrolled::UNROLLED_LEVEL::mlstm
