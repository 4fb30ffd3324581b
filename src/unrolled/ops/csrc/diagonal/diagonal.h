// How the diagonal recurrence is spread over threads: over rows and channels, or, where those are too few, over time.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <new>

#include "diagonal/rotation.h"
#include "diagonal/sources.h"
#include "diagonal/walk.h"
#include "base/threads.h"

namespace unrolled::UNROLLED_LEVEL {

// Zeros that live as long as a call.
template <class T>
class Scratch {
public:
    explicit Scratch(long count) : memory_(static_cast<T*>(std::calloc(std::max(count, 1L), sizeof(T)))) {
        if (memory_ == nullptr) throw std::bad_alloc();
    }
    ~Scratch() { std::free(memory_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    T* at(long index) const { return memory_ + index; }

private:
    T* memory_;
};

// Channels that are dealt together: a cache line, so that two threads do not write into one.
template <class T>
constexpr long channels_together = 64 / static_cast<long>(sizeof(T));

// Threads that are worth their start: each has at least some 20 microseconds of work.
template <class T>
long useful_threads(const Diagonal<T>& problem) {
    const long most = std::max<long>(1, problem.call.threads), each = 1 << 14;
    return std::clamp(problem.batch * problem.time * problem.width / each, 1L, most);
}

// Every thread walks whole rows, or some channels of them: its share of valid steps, where padding counts a quarter.
template <class Pass>
void spread_over_channels(const Pass& pass, long threads, typename Pass::Number* starts) {
    using T = typename Pass::Number;
    const long together = channels_together<T>, groups = (pass.width + together - 1) / together;
    const auto weight = [&](long row) { return 3 * pass.length(row) + pass.time; };
    long total = 0;
    for (long row = 0; row < pass.batch; ++row) total += weight(row) * groups;
    const long numbers = Pass::numbers * pass.width;
    Scratch<T> states(pass.batch * numbers);
    parallel(threads, [&](int number, int count) {
        const long from = total * number / count, to = total * (number + 1) / count;
        long before = 0;
        for (long row = 0; row < pass.batch; ++row) {
            const auto group = [&](long share) {
                return std::min(groups, (std::max(0L, share - before) + weight(row) - 1) / weight(row));
            };
            const Span channels = {group(from) * together, std::min(group(to) * together, pass.width)};
            before += weight(row) * groups;
            if (channels.size() <= 0) continue;
            T* state = states.at(row * numbers);
            pass.open(row, channels, state);
            pass.walk(row, {0, pass.length(row)}, channels, state, starts ? starts + row * numbers : nullptr);
            pass.close(row, channels, state);
        }
    });
}

// Time in pieces: all but the last of a row are summarised at once, the first of them by walking it; joined in order
// the summaries say with which state each piece is entered, and then all others are walked at once. A walk that is
// entered with the right state finds what one walk of the whole row would; only the rounding of that state is another.
template <class Pass>
class Pieces {
    using T = typename Pass::Number;

public:
    Pieces(const Pass& pass, long pieces)
        : pass_(pass), pieces_(pieces), width_(pass.width), states_(pass.batch * pieces * width_),
          products_(pass.batch * pieces * width_), locals_(pass.batch * pieces * width_),
          starts_(pass.batch * pieces * width_), cut_(pass.batch * pieces), contracts_(pass.batch * pieces) {}

    void run(long threads) {
        parallel(threads, [&](int number, int count) {
            each(number, count, [&](long row, long piece) { summarise(row, piece); });
            barrier_.wait(count);
            each(number, count, [&](long row, long piece) { walk_from(row, piece + 1); });
        });
    }
    // starts (batch, width) gains what all pieces of a row found.
    void add_starts(T* starts) const {
        for (long row = 0; row < pass_.batch; ++row) {
            for (long piece = 0; piece < pieces_; ++piece) {
                for (long w = 0; w < width_; ++w) starts[row * width_ + w] += starts_.at(at(row, piece) * width_)[w];
            }
        }
    }

private:
    template <class Visit>
    void each(long number, long count, Visit&& visit) const {
        const long tasks = pass_.batch * (pieces_ - 1);
        for (long task = number; task < tasks; task += count) visit(task / (pieces_ - 1), task % (pieces_ - 1));
    }
    long at(long row, long piece) const { return row * pieces_ + piece; }
    Span span(long row, long piece) const { return pass_.piece(row, piece, pieces_); }
    Span channels() const { return {0, width_}; }
    T* state(long row, long piece) const { return states_.at(at(row, piece) * width_); }
    Summary<T> summary(long row, long piece) const {
        const long index = at(row, piece);
        return {products_.at(index * width_), locals_.at(index * width_), cut_.at(index), contracts_.at(index)};
    }
    void walk(long row, long piece, T* state) const {
        pass_.walk(row, span(row, piece), channels(), state, starts_.at(at(row, piece) * width_));
    }
    void summarise(long row, long piece) const {
        const Summary<T> found = summary(row, piece);
        *found.contracts = true;
        if (piece > 0) return pass_.summarise(row, span(row, piece), found);
        pass_.open(row, channels(), found.local);
        walk(row, piece, found.local);
        *found.cut = true;
    }
    // Walks a piece with the state that the summaries before it give. Where one of them may not be joined, the thread
    // that met it first goes on by itself, up to a piece with a reset, and whoever comes after it has nothing to do.
    void walk_from(long row, long piece) const {
        T* carried = state(row, piece);
        long before = piece - 1;
        while (!*summary(row, before).cut) --before;
        for (; before < piece; ++before) {
            if (!summary(row, before).joins(carried, width_)) return;
            summary(row, before).join(carried, width_);
        }
        for (bool alone = false; piece < pieces_ - 1; ++piece, alone = true) {
            const Summary<T> here = summary(row, piece);
            const bool ends = alone ? *here.cut : here.joins(carried, width_);
            walk(row, piece, carried);
            if (ends) return;
        }
        walk(row, piece, carried);
        pass_.close(row, channels(), carried);
    }

    const Pass& pass_;
    const long pieces_, width_;
    const Scratch<T> states_, products_, locals_, starts_;
    const Scratch<bool> cut_, contracts_;
    Barrier barrier_;
};

// starts (batch, width) gains what reaches each row's start; a pass that finds no such thing needs none.
template <class Pass>
void spread(const Pass& pass, typename Pass::Number* starts) {
    const long threads = useful_threads(pass), together = channels_together<typename Pass::Number>;
    const long shares = pass.batch * ((pass.width + together - 1) / together);
    if constexpr (Pass::numbers > 1) {
        spread_over_channels(pass, threads, starts);
    } else {
        if (2 * shares > threads) return spread_over_channels(pass, threads, starts);
        Pieces<Pass> pieces(pass, threads / pass.batch + 1);
        pieces.run(threads);
        if (starts != nullptr) pieces.add_starts(starts);
    }
}

// Bytes of a (B, T, parts, W) tensor.
template <class T>
int64_t bytes(const DiagonalCall& call, long parts) {
    return call.batch * call.time * parts * call.width * static_cast<int64_t>(sizeof(T));
}

template <class Pass>
void run_forward(const DiagonalCall& call) {
    prefer_huge_pages(call.y, bytes<typename Pass::Number>(call, Pass::numbers));
    spread(Pass(call), nullptr);
}

template <class Pass>
void run_backward(const DiagonalCall& call) {
    using T = typename Pass::Number;
    const long count = call.batch * Pass::numbers * call.width;
    const Scratch<T> unwanted(call.grad_start_h ? 0 : count);
    T* starts = call.grad_start_h ? reinterpret_cast<T*>(call.grad_start_h) : unwanted.at(0);
    std::fill_n(starts, count, T(0));
    prefer_huge_pages(call.grad_drive, bytes<T>(call, Pass::numbers));
    if constexpr (Pass::numbers == 1) {
        prefer_huge_pages(call.grad_decay, bytes<T>(call, 1));
        prefer_huge_pages(call.grad_gates, bytes<T>(call, Pass::parts));
    }
    spread(Pass(call), starts);
}

template <class T>
void run_forward_of(const DiagonalCall& call) {
    switch (call.form) {
        case 1: return run_forward<Forward<T, MinGRU<T>>>(call);
        case 2: return run_forward<Forward<T, MinLSTM<T>>>(call);
        case 3: return run_forward<RotationForward<T>>(call);
        default: return run_forward<Forward<T, Given<T>>>(call);
    }
}

template <class T>
void run_backward_of(const DiagonalCall& call) {
    switch (call.form) {
        case 1: return run_backward<Backward<T, MinGRU<T>>>(call);
        case 2: return run_backward<Backward<T, MinLSTM<T>>>(call);
        case 3: return run_backward<RotationBackward<T>>(call);
        default: return run_backward<Backward<T, Given<T>>>(call);
    }
}

inline void diagonal_forward(const DiagonalCall& call) {
    if (call.type == 0) {
        run_forward_of<float>(call);
    } else {
        run_forward_of<double>(call);
    }
}

// Every gradient that has an address; grad_start_h has B rows, to be added up where start_h is one row.
inline void diagonal_backward(const DiagonalCall& call) {
    if (call.type == 0) {
        run_backward_of<float>(call);
    } else {
        run_backward_of<double>(call);
    }
}

}  // namespace unrolled::UNROLLED_LEVEL
