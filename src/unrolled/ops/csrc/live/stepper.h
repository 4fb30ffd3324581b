// Live steps of any number of rows and with every option: the walk through time is that of gated.h.
#pragma once

#include "live/few.h"

namespace unrolled::UNROLLED_LEVEL {

// How many of the input's gates share one layer norm, before those that have one of their own.
template <class Cell>
inline constexpr long joined = Cell::all_gates;
template <class T, bool after>
inline constexpr long joined<Gru<T, after>> = 2;

template <class T, class Cell, class Stored>
class LiveGated final : public LiveLayer, LiveCopy<T>, GatedForward<T, Cell, Stored> {
    using Copy = LiveCopy<T>;
    using Base = GatedForward<T, Cell, Stored>;
    using Copy::arena, Copy::call;
    using Base::cell_, Base::L, Base::members_, Base::plan_, Base::problem_, Base::sizes_, Base::teams_;
    static constexpr long G = Cell::all_gates;
    // Steps of a call are taken in such portions that their input projections fill the micro-kernel.
    static constexpr long portion_rows = 2 * row_slots;

public:
    explicit LiveGated(const LiveCall& given)
        : Copy(given),
          Base(Copy::call),
          inputs_(blocks<T>(given.input)),
          portion_(std::max(1L, portion_rows / given.batch)),
          turns_(work(), call.threads) {
        Base::prepare(arena, planned());
        weight_x_ = Base::packed_gates(arena, sizes_, problem_.at(call.weight_x), G, call.input);
        call.gates = reinterpret_cast<int64_t>(arena.template take<T>(portion_ * call.batch * G * call.hidden));
        for (const Team<T>& team : teams_) {
            Input& input = inputs_of_.emplace_back();
            const long rows = portion_ * team.rows.count();
            input.chunks = arena.template zeros<T>((rows + row_slots - 1) / row_slots * chunk_size<T>(inputs_));
            input.rows.per_chunk = row_slots;
            if (call.norm_x) input.whole = arena.template take<T>(rows * wide());
            std::fill(team.h, team.h + team.rows.count() * sizes_.wide_o, T(0));
            std::fill(team.c, team.c + team.rows.count() * sizes_.wide_h, T(0));
        }
        for (size_t i = 0; i < members_.size(); ++i)
            products_.push_back(arena.template take<T>(row_slots * (2 * G + 1) * L));
    }

    void step(const void* x, void* y, long time, long threads) override {
        for (long t = 0; t < time; t += portion_) {
            const long here = std::min(portion_, time - t);
            const T* from = static_cast<const T*>(x) + t * call.batch * call.input;
            call.y = reinterpret_cast<int64_t>(static_cast<T*>(y) + t * call.batch * call.output);
            turns_.take(threads, here, [&](long wanted) {
                Base::in_threads(wanted, [&](Team<T>& team, Member<T>& own, int member, int members) {
                    const long number = &own - members_.data();
                    Input& input = inputs_of_[number / plan_.members];
                    fill(team.rows, input, from, here, member, members);
                    team.barrier.wait(members);
                    project(team.rows, input, products_[number], here, member, members);
                    Base::advance(team, own, 0, here, member, members);
                });
            });
        }
    }

    void get(const LiveState& state) override {
        each_row(state, [&](T* inside, T* outside, long width) { std::copy_n(inside, width, outside); });
    }
    void set(const LiveState& state) override {
        each_row(state, [&](T* inside, T* outside, long width) { std::copy_n(outside, width, inside); });
    }

private:
    // Bytes of weights that one core's cache holds.
    static constexpr double cache = 1200 << 10;

    // A team's rows of x at the steps of a portion, as the product reads them: slot t * rows + row.
    struct Input {
        T *chunks = nullptr, *whole = nullptr;
        Rows rows;
    };
    long inputs_, portion_;
    Turns turns_;
    Packed<T, Stored> weight_x_;
    std::deque<Input> inputs_of_;
    std::vector<T*> products_;

    long wide() const { return sizes_.units() * G * L; }
    double weights() const {
        return static_cast<double>(call.hidden) * (G * (call.input + call.output) + (call.weight_p ? call.output : 0));
    }
    double work() const { return weights() * static_cast<double>(call.batch); }

    // One thread's cache is soon too small for the weights: then the threads share the columns, else the streams.
    Spread planned() const {
        const long threads = std::max<long>(1, call.threads);
        if (!cell_.whole_rows() && weights() * sizeof(Stored) > cache) return {1, threads};
        return {std::min<long>(threads, call.batch), 1};
    }

    void fill(const Rows& team, Input& input, const T* x, long time, int member, int members) const {
        const long count = team.count(), width = call.input;
        for (long slot = member; slot < time * count; slot += members) {
            const T* from = x + (slot / count * call.batch + team.row[slot % count]) * width;
            T* to = Base::slot_of(input.chunks, input.rows, slot, inputs_);
            for (long block = 0; block < inputs_; ++block)
                store(place(to, block), load(from + block * L, width - block * L));
        }
    }

    // The gates of every step of the portion, for the member's share of units.
    void project(const Rows& team, Input& input, T* products, long time, int member, int members) const {
        const Range units = share(sizes_.units(), member, members);
        const long count = team.count();
        const auto gates_of = [&](long slot) {
            return problem_.step(call.gates, team.row[slot % count], slot / count, G * call.hidden);
        };
        Base::product(input.rows, input.chunks, weight_x_, inputs_, units.first * G, units.last * G, 2 * G,
                      time * count, products, [&](long slot, long vector, long vectors, const T* values) {
                          if (input.whole) {
                              std::copy(values, values + vectors * L, input.whole + slot * wide() + vector * L);
                          } else {
                              give(gates_of(slot), values, vector / G, vectors / G);
                          }
                      });
        if (!input.whole) return;
        const T* gain = problem_.at(call.norm_x);
        for (long slot = 0; slot < time * count; ++slot) {
            T* values = input.whole + slot * wide();
            normalise<T>(values, G, 0, joined<Cell>, call.hidden, gain, nullptr, nullptr);
            if (joined<Cell> < G) normalise<T>(values, G, joined<Cell>, G, call.hidden, gain, nullptr, nullptr);
            give(gates_of(slot), values, 0, sizes_.units());
        }
    }
    // Gates of `count` blocks of units from the first on, with their bias, to where the cell reads them.
    void give(T* gates, const T* values, long first, long count) const {
        const T* bias = problem_.at(call.bias);
        const long H = call.hidden;
        for (long unit = 0; unit < count; ++unit) {
            const long j = (first + unit) * L;
            for (long gate = 0; gate < G; ++gate) {
                const Vector<T> value = load(values + (unit * G + gate) * L);
                store(gates + gate * H + j, bias ? value + load(bias + gate * H + j, H - j) : value, H - j);
            }
        }
    }

    template <class Move>
    void each_row(const LiveState& state, Move move) {
        for (long i = 0; i < state.count; ++i) {
            const auto [team, slot] = find(state.rows ? state.rows[i] : i);
            move(team->h + slot * sizes_.wide_o, static_cast<T*>(state.leaves[0]) + i * sizes_.O, sizes_.O);
            if (state.leaf_count > 1) move(team->c + slot * sizes_.wide_h, static_cast<T*>(state.leaves[1]) + i * sizes_.H, sizes_.H);
        }
    }
    // Rows of equal length are dealt to the teams in turn.
    std::pair<Team<T>*, long> find(long row) {
        const long teams = static_cast<long>(teams_.size());
        return {&teams_[row % teams], row / teams};
    }
};

template <class T, class Cell, class Stored>
LiveLayer* make_cell(const LiveCall& call) {
    if (LiveFew<T, Cell, Stored>::serves(call)) return new LiveFew<T, Cell, Stored>(call);
    return new LiveGated<T, Cell, Stored>(call);
}

template <class T, class Stored>
LiveLayer* make_live(const LiveCall& call) {
    switch (call.cell) {
        case 0: return make_cell<T, Rnn<T, false>, Stored>(call);
        case 1: return make_cell<T, Rnn<T, true>, Stored>(call);
        case 2: return make_cell<T, Lstm<T, false>, Stored>(call);
        case 3: return make_cell<T, Lstm<T, true>, Stored>(call);
        case 4: return make_cell<T, Gru<T, true>, Stored>(call);
        default: return make_cell<T, Gru<T, false>, Stored>(call);
    }
}

inline void* live_create(const LiveCall& call) {
    if (call.type == 1) return make_live<double, double>(call);
    switch (call.stored) {
        case 1: return make_live<float, uint16_t>(call);
        case 2: return make_live<float, int8_t>(call);
        default: return make_live<float, float>(call);
    }
}

inline void live_step(void* layer, const void* x, void* y, long time, long threads) {
    static_cast<LiveLayer*>(layer)->step(x, y, time, threads);
}

inline void live_get(void* layer, const LiveState& state) { static_cast<LiveLayer*>(layer)->get(state); }
inline void live_set(void* layer, const LiveState& state) { static_cast<LiveLayer*>(layer)->set(state); }
inline void live_free(void* layer) { delete static_cast<LiveLayer*>(layer); }

}  // namespace unrolled::UNROLLED_LEVEL
