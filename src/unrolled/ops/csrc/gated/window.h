// What a walk makes for many steps at once, a window of them at a time: the gates of its input, and sums over rows and time
// for the gradients of weights. What a window needs stays in the cache, and nothing of it is as long as the sequence.
#pragma once

#include <vector>

#include "gated/problem.h"

namespace unrolled::UNROLLED_LEVEL {

// Steps [begin, end) of some rows, and the alive ones of each step, counted from the first step on.
struct Window {
    long begin = 0, end = 0;
    std::vector<long> first;

    long count() const { return first.back(); }
    long alive(long t) const { return first[t - begin + 1] - first[t - begin]; }
    long number(long t, long slot) const { return first[t - begin] + slot; }

    void set(const Rows& rows, long from, long to) {
        begin = from, end = to;
        first.assign(1, 0);
        long alive = rows.count();
        for (long t = begin; t < end; ++t) {
            alive = rows.alive(t, alive);
            first.push_back(first.back() + alive);
        }
    }
    // body(t, slot), in order of their numbers.
    template <class Body>
    void each(Body body) const {
        for (long t = begin; t < end; ++t)
            for (long slot = 0; slot < alive(t); ++slot) body(t, slot);
    }
};

// How many steps of `rows` rows a window has, if a step takes `bytes`. Two threads that take turns have shorter ones: at
// either end one of them waits for the other.
inline long window_steps(long rows, long bytes, long most_bytes, long time, bool in_turns) {
    // So many rows hide what it costs to fetch weights, or sums, from afar.
    const long enough = in_turns ? 48 : 256;
    const long wanted = (enough + rows - 1) / std::max(1L, rows), fit = most_bytes / std::max(1L, bytes);
    return std::clamp(std::min(wanted, fit), 1L, std::max(1L, time));
}

// Rows of a plain tensor as chunks of full micro-kernels, whatever their step.
template <class T>
class Gathered {
public:
    Gathered(Arena& arena, long most, long width)
        : kblocks_(blocks<T>(width)), width_(width), memory_(arena.zeros<T>((most + row_slots) * kblocks_ * lanes<T>)) {}

    void set(long count) {
        count_ = count;
        const long chunks = std::max(1L, (count + row_slots - 1) / row_slots);
        per_chunk_ = std::max(1L, (count + chunks - 1) / chunks);
    }
    void put(long number, const T* values) {
        T* to = memory_ + number / per_chunk_ * chunk_size<T>(kblocks_) + number % per_chunk_ * lanes<T>;
        for (long j = 0; j < width_; j += lanes<T>)
            store(to + j * row_slots, load(values + j, width_ - j));
    }
    // out[number][0, 2 lanes) = start + values @ panel for all rows.
    void multiply(const T* panel, T* out, long stride, const T* start) const {
        for (long row = 0; row < count_; row += per_chunk_) {
            const long rows = std::min(per_chunk_, count_ - row);
            tiles<T, T>[rows - 1](memory_ + row / per_chunk_ * chunk_size<T>(kblocks_), panel, kblocks_,
                                  out + row * stride, stride, start);
        }
    }

private:
    long kblocks_, width_, count_ = 0, per_chunk_ = 1;
    T* memory_;
};

// One row of the right factor of a weight's gradient: `values`, times `mask` where there is one.
template <class T>
struct Line {
    const T *values, *mask;
};

// The gradient of one weight in one team: a sum of outer products of gradients (in chunks) and lines.
template <class T>
class OuterSum {
public:
    static constexpr long L = lanes<T>;

    OuterSum(Arena& arena, long gate_blocks, long width)
        : gate_blocks_(gate_blocks),
          width_(width),
          vectors_(blocks<T>(width)),
          panels_((vectors_ + outer_vectors - 1) / outer_vectors),
          sums_(arena.zeros<T>(gate_blocks * L * vectors_ * L)) {}

    // Adds for the gradients' blocks of one range; `columns` is room for the lines, outer_vectors * L each.
    void add(const std::vector<Piece<T>>& pieces, const std::vector<Line<T>>& lines, Range blocks, T* columns) {
        for (long panel = 0; panel < panels_; ++panel) {
            const long first = begin(panel), here = begin(panel + 1) - first;
            fill(lines, first, here, columns);
            for (long block = blocks.first; block < blocks.last; ++block)
                for (long unit = 0; unit < L; unit += outer_units<T>)
                    outers<T>[here - 1](pieces.data(), static_cast<long>(pieces.size()),
                                        block * row_slots * L + unit, columns, tile_of(panel, block * L + unit));
        }
    }
    // The row of one gradient's unit, with that of others added, to `to`.
    static void write(const std::vector<OuterSum>& teams, long unit, T* to) {
        const OuterSum& one = teams.front();
        for (long panel = 0; panel < one.panels_; ++panel)
            for (long v = 0; v < one.begin(panel + 1) - one.begin(panel); ++v) {
                Vector<T> total = {};
                for (const OuterSum& team : teams) total += load(team.tile_of(panel, unit) + v * L);
                const long j = (one.begin(panel) + v) * L;
                store(to + j, total, one.width_ - j);
            }
    }

private:
    long gate_blocks_, width_, vectors_, panels_;
    T* sums_;

    long begin(long panel) const { return vectors_ * panel / panels_; }
    // Tiles of outer_units rows lie one after the other, and the rows in a tile too.
    T* tile_of(long panel, long unit) const {
        const long here = begin(panel + 1) - begin(panel);
        return sums_ + (begin(panel) * gate_blocks_ * L + unit * here) * L;
    }

    void fill(const std::vector<Line<T>>& lines, long first, long here, T* columns) const {
        for (const Line<T>& line : lines)
            for (long v = first; v < first + here; ++v, columns += L) {
                const Vector<T> value = load(line.values + v * L, width_ - v * L);
                store(columns, line.mask ? value * load(line.mask + v * L, width_ - v * L) : value);
            }
    }
};

}  // namespace unrolled::UNROLLED_LEVEL
