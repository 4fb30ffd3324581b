// The walk forwards through time, with the gates of the input made on the way.
#pragma once

#include "gated/walk.h"
#include "gated/window.h"

namespace unrolled::UNROLLED_LEVEL {

// `Stored` is the type of the packed weights.
template <class T, class Cell, class Stored = T>
class GatedForward : protected Walk<T, Cell> {
    using Base = Walk<T, Cell>;

public:
    explicit GatedForward(const GatedCall& call) : Base(call) {}

    void run(Arena& arena) {
        const Spread plan = Base::usual_spread(call_.x != 0);
        prepare(arena, plan);
        if (call_.x) prepare_inputs(arena);
        Base::prefer_large_pages(call_.y, sizes_.O);
        Base::prefer_large_pages(call_.memory, call_.memory_width);
        if (plan.assisted) return walk_assisted();
        Base::in_threads(plan.teams * plan.members, [this](Team<T>& team, Member<T>& own, int member, int members) {
            walk(team, own, member, members);
        });
    }

protected:
    using Base::call_, Base::cell_, Base::L, Base::problem_, Base::sizes_;

    void prepare(Arena& arena, Spread plan) {
        pack(arena);
        Base::prepare(arena, plan, sizes_.outputs(), sizes_.units(), false, [](const Rows&) { return 2; });
    }

    // source(vector, lane) points at the `depth` weights of an output column, or is null.
    template <class Source>
    static Packed<T, Stored> packed(Arena& arena, long vectors, long depth, Source source) {
        Packed<T, Stored> to;
        to.panels = arena.take<Stored>((vectors + 1) / 2 * panel_size<T>(blocks<T>(depth)));
        if (scaled<Stored>) to.scales = arena.take<T>((vectors + 1) / 2 * 2 * L);
        pack_columns(to, vectors, depth, source);
        return to;
    }
    // The panels of `gates` gates (gates H, depth), those of one block of units side by side.
    static Packed<T, Stored> packed_gates(Arena& arena, const Sizes<T, Cell>& sizes, const T* weights, long gates,
                                          long depth) {
        const long H = sizes.H;
        return packed(arena, sizes.units() * gates, depth, [=](long vector, long lane) {
            const long unit = vector / gates * L + lane;
            return unit < H ? weights + (vector % gates * H + unit) * depth : nullptr;
        });
    }

    // Steps `begin` to `end` of one member, from the team's state to the team's state.
    void advance(Team<T>& team, Member<T>& own, long begin, long end, int member, int members) {
        const Rows& rows = team.rows;
        const Range units = share(sizes_.units(), member, members), outputs = share(sizes_.outputs(), member, members);
        long alive = rows.count();
        for (long t = begin; t < end; ++t) {
            alive = rows.alive(t, alive);
            see(team, own, t, alive, units, outputs);
            team.barrier.wait(members);
            main(team, own, t, alive, units);
            if (!Base::has_second()) continue;
            team.barrier.wait(members);
            second(team, own, alive, outputs);
        }
    }

private:
    // The gates of a team's window (of two in turn where the walk is assisted), and one member's copy of the input that
    // they are made of.
    struct Inputs {
        long steps;
        T* gates[2];
        T* at(long begin) const { return gates[begin / steps % 2]; }
    };
    struct Gathering {
        Window window;
        Gathered<T> rows;
    };
    Packed<T, Stored> main_, second_;
    Packed<T, T> weight_x_;
    T* bias_ = nullptr;
    std::vector<Inputs> inputs_;
    std::vector<Gathering> gatherings_;

    // Numbers of one row's gates in a window; panels are of two vectors.
    long gates_width() const { return (sizes_.input_blocks() + 1) / 2 * 2 * L; }

    void prepare_inputs(Arena& arena) {
        constexpr long G = Cell::all_gates, most_bytes = 512 << 10;
        const long H = sizes_.H, wide = gates_width();
        weight_x_ = GatedForward<T, Cell, T>::packed_gates(arena, sizes_, problem_.at(call_.weight_x), G, call_.input);
        bias_ = arena.zeros<T>(wide);
        for (long k = 0; call_.bias && k < sizes_.input_blocks() * L; ++k) {
            const GateUnit at = gate_unit<T>(k, G);
            if (at.unit < H) bias_[k] = problem_.at(call_.bias)[at.gate * H + at.unit];
        }
        for (const Team<T>& team : Base::teams_) {
            const long rows = team.rows.count();
            const long bytes = rows * wide * static_cast<long>(sizeof(T));
            const long steps = window_steps(rows, bytes, most_bytes, call_.time, Base::plan_.assisted);
            T* gates = arena.take<T>(steps * rows * wide);
            inputs_.push_back({steps, {gates, Base::plan_.assisted ? arena.take<T>(steps * rows * wide) : gates}});
        }
        for (size_t i = 0; i < Base::members_.size(); ++i) {
            const size_t team = Base::team_of(i);
            gatherings_.push_back({{}, {arena, inputs_[team].steps * Base::teams_[team].rows.count(), call_.input}});
        }
    }
    // The member's window from step `begin` on.
    Window& look(const Team<T>& team, const Member<T>& own, long begin) {
        const long end = std::min(begin + inputs_[Base::team_of(own)].steps, team.rows.longest());
        Window& window = gatherings_[Base::number_of(own)].window;
        window.set(team.rows, begin, end);
        return window;
    }
    // The member's share of the gates of its window.
    void project(const Team<T>& team, const Member<T>& own, Range units) {
        constexpr long G = Cell::all_gates;
        Gathering& gathering = gatherings_[Base::number_of(own)];
        const Window& window = gathering.window;
        gathering.rows.set(window.count());
        window.each([&](long t, long slot) {
            gathering.rows.put(window.number(t, slot), problem_.step(call_.x, team.rows.row[slot], t, call_.input));
        });
        T* gates = inputs_[Base::team_of(own)].at(window.begin);
        for (long vector = units.first * G; vector < units.last * G; vector += 2)
            gathering.rows.multiply(weight_x_.panels + vector / 2 * panel_size<T>(blocks<T>(call_.input)),
                                    gates + vector * L, gates_width(), bias_ + vector * L);
    }

    void pack(Arena& arena) {
        const T* weights = problem_.at(call_.weight_h);
        const long H = sizes_.H, O = sizes_.O;
        main_ = packed_gates(arena, sizes_, weights, Cell::gates, O);
        if (!Base::has_second()) return;
        const T* second = cell_.projected ? problem_.at(call_.weight_p) : weights + 2 * H * O;
        second_ = packed(arena, sizes_.outputs(), H, [=](long vector, long lane) {
            const long unit = vector * L + lane;
            return unit < O ? second + unit * H : nullptr;
        });
    }

    void walk(Team<T>& team, Member<T>& own, int member, int members) {
        const Rows& rows = team.rows;
        enter(team, member, members);
        team.barrier.wait(members);
        if (call_.x) {
            for (long t = 0; t < rows.longest(); t += inputs_[Base::team_of(own)].steps) {
                const Window& window = look(team, own, t);
                project(team, own, share(sizes_.units(), member, members));
                advance(team, own, window.begin, window.end, member, members);
            }
        } else {
            advance(team, own, 0, rows.longest(), member, members);
        }
        team.barrier.wait(members);
        leave(team, member, members);
    }
    // The assistant is a window ahead.
    void walk_assisted() {
        Team<T>& team = Base::teams_[0];
        const long steps = inputs_[0].steps, windows = (team.rows.longest() + steps - 1) / steps;
        enter(team, 0, 1);
        Base::in_turns(windows + 1, [&](Member<T>& own, bool assists, long turn) {
            if (assists && turn < windows) {
                look(team, own, turn * steps);
                project(team, own, {0, sizes_.units()});
            } else if (!assists && turn > 0) {
                const Window& window = look(team, own, (turn - 1) * steps);
                advance(team, own, window.begin, window.end, 0, 1);
            }
        });
        leave(team, 0, 1);
    }
    void enter(Team<T>& team, int member, int members) const {
        Base::read_rows(team.rows, call_.h0, sizes_.O, sizes_.wide_o, team.h, member, members);
        Base::read_rows(team.rows, call_.c0, sizes_.H, sizes_.wide_h, team.c, member, members);
        Base::clear_padding(team.rows, call_.y, sizes_.O, member, members);
    }
    void leave(const Team<T>& team, int member, int members) const {
        Base::write_rows(team.rows, call_.h, sizes_.O, sizes_.wide_o, team.h, member, members);
        Base::write_rows(team.rows, call_.c, sizes_.H, sizes_.wide_h, team.c, member, members);
    }

    // Resets, and h as the weights see it.
    void see(Team<T>& team, Member<T>& own, long t, long alive, Range units, Range outputs) {
        const long H = sizes_.H, O = sizes_.O;
        const T* made = call_.x ? made_gates(own, t) : nullptr;
        T* seen = team.seen_at(t);
        for (long slot = 0; slot < alive; ++slot) {
            Row<T>& row = own.step[slot] = Base::row_at(team, slot, t);
            if (made) {
                row.gates = made + slot * gates_width();
                row.block_step = Cell::all_gates * L;
                row.gate_step = L;
            } else {
                find_gates(row, units);
            }
            row.y = problem_.step(call_.y, row.b, t, O);
            row.seen = Base::slot_of(seen, team.rows, slot, sizes_.outputs());
            row.second = Base::slot_of(team.second, team.rows, slot, sizes_.units());
            if (row.resets) {
                copy(problem_.start(call_.start_h, row.b, O), O, row.h, outputs);
                if (call_.c0) copy(problem_.start(call_.start_c, row.b, H), H, row.c, units);
            }
            for (long block = outputs.first; block < outputs.last; ++block) {
                const Vector<T> h = load(row.h + block * L);
                store(place(row.seen, block), row.mask ? h * load(row.mask + block * L, O - block * L) : h);
            }
        }
    }
    // The gates of the first row at time t, made for the member's window.
    const T* made_gates(const Member<T>& own, long t) const {
        const Window& window = gatherings_[Base::number_of(own)].window;
        return inputs_[Base::team_of(own)].at(window.begin) + window.number(t, 0) * gates_width();
    }
    void find_gates(Row<T>& row, Range units) const {
        row.gates = problem_.step(call_.gates, row.b, row.t, Cell::all_gates * sizes_.H);
        row.block_step = L;
        row.gate_step = sizes_.H;
        if (row.t + 1 == call_.time) return;
        const T* next = problem_.step(call_.gates, row.b, row.t + 1, Cell::all_gates * sizes_.H);
        for (long gate = 0; gate < Cell::all_gates; ++gate)
            Base::fetch(next + gate * sizes_.H + units.first * L, (units.last - units.first) * L);
    }
    static void copy(const T* from, long width, T* to, Range range) {
        for (long j = range.first * L; j < range.last * L; j += L) store(to + j, load(from + j, width - j));
    }

    void main(Team<T>& team, Member<T>& own, long t, long alive, Range units) {
        constexpr long G = Cell::gates;
        const long wide = sizes_.gate_blocks() * L;
        const bool whole = cell_.whole_rows();
        Base::product(team.rows, team.seen_at(t), main_, sizes_.outputs(), units.first * G, units.last * G, 2 * G, alive,
                      own.products, [&](long slot, long vector, long count, const T* values) {
                          if (whole) {
                              std::copy(values, values + count * L, own.whole + slot * wide + vector * L);
                          } else {
                              for (long v = 0; v < count; v += G)
                                  cell_.point(own.step[slot], (vector + v) / G, values + v * L);
                          }
                      });
        if (!whole) return;
        for (long slot = 0; slot < alive; ++slot) {
            T* values = own.whole + slot * wide;
            cell_.normalise_rows(own.step[slot], values);
            for (long unit = 0; unit < sizes_.units(); ++unit) cell_.point(own.step[slot], unit, values + unit * G * L);
            cell_.finish(own.step[slot]);
        }
    }

    void second(Team<T>& team, Member<T>& own, long alive, Range outputs) {
        // A projection has no layer norm of its own.
        const bool whole = Cell::second_always && cell_.whole_rows();
        Base::product(team.rows, team.second, second_, sizes_.units(), outputs.first, outputs.last, 2, alive, own.products,
                      [&](long slot, long vector, long count, const T* values) {
                          if (whole) {
                              std::copy(values, values + count * L, own.whole + slot * sizes_.wide_h + vector * L);
                          } else {
                              for (long v = 0; v < count; ++v)
                                  cell_.finish_second(own.step[slot], vector + v, values + v * L);
                          }
                      });
        for (long slot = 0; whole && slot < alive; ++slot) {
            T* values = own.whole + slot * sizes_.wide_h;
            cell_.normalise_second(own.step[slot], values);
            for (long unit = 0; unit < sizes_.units(); ++unit)
                cell_.finish_second(own.step[slot], unit, values + unit * L);
        }
    }
};

}  // namespace unrolled::UNROLLED_LEVEL
