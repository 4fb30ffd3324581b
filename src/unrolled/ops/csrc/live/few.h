// Live steps of a few rows whose cell needs one product with h: the state stays where the product reads it, and a
// single step pays for nothing but the weights it reads and the equations.
#pragma once

#include "live/live.h"

namespace unrolled::UNROLLED_LEVEL {

template <class T, class Cell, class Stored>
class LiveFew final : public LiveLayer, LiveCopy<T>, GatedForward<T, Cell, Stored> {
    using Copy = LiveCopy<T>;
    using Base = GatedForward<T, Cell, Stored>;
    using Copy::arena, Copy::call;
    using Base::cell_, Base::L, Base::problem_, Base::sizes_;
    static constexpr long G = Cell::gates;

public:
    static bool serves(const LiveCall& call) {
        return !Cell::second_always && !call.weight_p && !call.norm_x && !call.norm_h && !call.norm_c &&
               call.batch <= row_slots;
    }

    explicit LiveFew(const LiveCall& given)
        : Copy(given), Base(Copy::call), inputs_(blocks<T>(given.input)), portion_(portion_rows / given.batch),
          turns_(work(), given.threads) {
        weight_x_ = Base::packed_gates(arena, sizes_, problem_.at(call.weight_x), G, call.input);
        weight_h_ = Base::packed_gates(arena, sizes_, problem_.at(call.weight_h), G, call.output);
        call.gates = reinterpret_cast<int64_t>(arena.template take<T>(portion_ * call.batch * G * call.hidden));
        T* h = arena.template zeros<T>(call.batch * sizes_.wide_o);
        T* c = arena.template zeros<T>(call.batch * sizes_.wide_h);
        for (T*& seen : seen_) seen = arena.template zeros<T>(chunk_size<T>(sizes_.outputs()));
        rows_x_.per_chunk = row_slots;
        rows_h_.per_chunk = call.batch;
        for (long b = 0; b < call.batch; ++b) {
            Row<T>& row = state_.emplace_back();
            row = {};
            row.b = b;
            row.h = h + b * sizes_.wide_o;
            row.c = c + b * sizes_.wide_h;
            row.block_step = L;
            row.gate_step = sizes_.H;
        }
        const long chunks = (portion_ * call.batch + row_slots - 1) / row_slots;
        for (long i = 0; i < std::max<long>(1, call.threads); ++i) {
            Own& own = members_.emplace_back();
            own.x = arena.template zeros<T>(chunks * chunk_size<T>(inputs_));
            own.products = arena.template take<T>(row_slots * (2 * G + 1) * L);
            own.rows = state_;
        }
    }

    void step(const void* x, void* y, long time, long threads) override {
        for (long t = 0; t < time; t += portion_) {
            const long here = std::min(portion_, time - t);
            const T* from = static_cast<const T*>(x) + t * call.batch * call.input;
            T* to = static_cast<T*>(y) + t * call.batch * call.output;
            turns_.take(threads, here, [&](long wanted) {
                parallel(wanted, [&](int number, int count) {
                    const int came = std::min<int>(count, static_cast<int>(members_.size()));
                    if (number < came) walk(members_[number], from, to, here, number, came);
                });
            });
            now_ ^= here & 1;
        }
    }

    void get(const LiveState& state) override {
        each_row(state, [&](T* inside, T* outside, long width) { std::copy_n(inside, width, outside); });
    }
    void set(const LiveState& state) override {
        each_row(state, [&](T* inside, T* outside, long width) { std::copy_n(outside, width, inside); });
        for (const Row<T>& row : state_) show(row, {0, sizes_.outputs()}, seen_[now_]);
    }

private:
    static constexpr long portion_rows = 2 * row_slots;

    // What one thread has for itself: the rows of x as the product reads them, and the rows at the step it is in.
    struct Own {
        T *x, *products;
        std::vector<Row<T>> rows;
    };
    long inputs_, portion_;
    int now_ = 0;
    Packed<T, Stored> weight_x_, weight_h_;
    Rows rows_x_, rows_h_;
    // h as the product reads it, before and after the step.
    T* seen_[2];
    std::vector<Row<T>> state_;
    std::deque<Own> members_;
    Barrier barrier_;
    Turns turns_;

    double work() const {
        return static_cast<double>(call.batch * call.hidden) * static_cast<double>(G * (call.input + call.output));
    }

    void walk(Own& own, const T* x, T* y, long time, int member, int members) {
        const Range units = share(sizes_.units(), member, members);
        project(own, x, time, units);
        for (long t = 0; t < time; ++t) {
            if (t) barrier_.wait(members);
            for (Row<T>& row : own.rows) {
                row.gates = gates(t * call.batch + row.b);
                row.y = y + (t * call.batch + row.b) * call.output;
            }
            Base::product(rows_h_, seen_[now_ ^ (t & 1)], weight_h_, sizes_.outputs(), units.first * G, units.last * G,
                          2 * G, call.batch, own.products, [&](long slot, long vector, long count, const T* values) {
                              for (long v = 0; v < count; v += G)
                                  cell_.point(own.rows[slot], (vector + v) / G, values + v * L);
                          });
            for (const Row<T>& row : own.rows) show(row, units, seen_[now_ ^ (t & 1) ^ 1]);
        }
    }

    T* gates(long slot) const { return problem_.at(call.gates) + slot * G * call.hidden; }

    // h of some units to where the product reads it.
    void show(const Row<T>& row, Range units, T* seen) const {
        T* to = seen + row.b * L;
        for (long block = units.first; block < units.last; ++block) store(place(to, block), load(row.h + block * L));
    }

    // What x and the bias give to the gates of some units, for all steps.
    void project(Own& own, const T* x, long time, Range units) {
        const long slots = time * call.batch, width = call.input;
        for (long slot = 0; slot < slots; ++slot) {
            T* to = Base::slot_of(own.x, rows_x_, slot, inputs_);
            for (long block = 0; block < inputs_; ++block)
                store(place(to, block), load(x + slot * width + block * L, width - block * L));
        }
        const T* bias = problem_.at(call.bias);
        const long H = call.hidden;
        Base::product(rows_x_, own.x, weight_x_, inputs_, units.first * G, units.last * G, 2 * G, slots, own.products,
                      [&](long slot, long vector, long count, const T* values) {
                          T* to = gates(slot);
                          for (long v = 0; v < count; ++v) {
                              const long j = (vector + v) / G * L, at = (vector + v) % G * H + j;
                              const Vector<T> value = load(values + v * L);
                              store(to + at, bias ? value + load(bias + at, H - j) : value, H - j);
                          }
                      });
    }

    template <class Move>
    void each_row(const LiveState& state, Move move) {
        for (long i = 0; i < state.count; ++i) {
            const Row<T>& row = state_[state.rows ? state.rows[i] : i];
            move(row.h, static_cast<T*>(state.leaves[0]) + i * sizes_.O, sizes_.O);
            if (state.leaf_count > 1) move(row.c, static_cast<T*>(state.leaves[1]) + i * sizes_.H, sizes_.H);
        }
    }
};

}  // namespace unrolled::UNROLLED_LEVEL
