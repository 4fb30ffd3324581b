// The walk through time that all gated cells share: who works on what, when they wait, and where a step's parts come from.
#pragma once

#include <deque>

#include "cells.h"
#include "pages.h"
#include "window.h"

namespace unrolled::UNROLLED_LEVEL {

// Sizes of the products of a cell, in blocks of lanes: the main one reads h and writes gates; the second one reads r * h
// or the unprojected h and writes the candidate or the projected h.
template <class T, class Cell>
struct Sizes {
    explicit Sizes(const Problem<T>& problem)
        : H(problem.hidden()), O(problem.output()), wide_h(padded<T>(H)), wide_o(padded<T>(O)) {}
    long H, O, wide_h, wide_o;
    long units() const { return wide_h / lanes<T>; }
    long outputs() const { return wide_o / lanes<T>; }
    long gate_blocks() const { return units() * Cell::gates; }
    long input_blocks() const { return units() * Cell::all_gates; }
};

// What the threads of a team share: the state of its rows, and the rows as the products read them.
template <class T>
struct Team {
    Rows rows;
    T *h, *c, *extra, *second;
    // Chunks that the main product reads, for one step each, in turn.
    std::vector<T*> seen;
    Barrier barrier;

    T* seen_at(long t) const { return seen[t % static_cast<long>(seen.size())]; }
};

// What one thread has for itself.
template <class T>
struct Member {
    T *products, *whole, *gradients;
    Sums<T> sums;
    std::vector<Row<T>> step;
};

template <class T, class Cell>
class Walk {
protected:
    explicit Walk(const GatedCall& call) : call_(call), problem_(call), cell_(problem_), sizes_(problem_) {}

    static constexpr long L = lanes<T>;
    const GatedCall& call_;
    Problem<T> problem_;
    Cell cell_;
    Sizes<T, Cell> sizes_;
    Arena* arena_ = nullptr;
    Spread plan_ = {1, 1};
    std::deque<Team<T>> teams_;
    std::vector<Member<T>> members_;

    bool has_second() const { return Cell::second_always || cell_.projected; }

    // Deals the rows and takes memory for them: chunks of `seen_blocks` and `second_blocks` that the two products read, the
    // first for `seen_steps(rows)` steps.
    template <class Steps>
    void prepare(Arena& arena, Spread plan, long seen_blocks, long second_blocks, bool backward, Steps seen_steps) {
        arena_ = &arena;
        plan_ = plan;
        for (Rows& rows : deal(problem_, plan.teams)) {
            Team<T>& team = teams_.emplace_back();
            const long count = rows.count(), chunks = rows.chunks();
            team.rows = std::move(rows);
            team.h = arena.take<T>(count * sizes_.wide_o);
            team.c = arena.take<T>(count * sizes_.wide_h);
            team.extra = arena.take<T>(count * 2 * sizes_.wide_h);
            team.seen.resize(seen_steps(team.rows));
            for (T*& seen : team.seen) seen = arena.zeros<T>(chunks * chunk_size<T>(seen_blocks));
            team.second = arena.zeros<T>(chunks * chunk_size<T>(second_blocks));
        }
        members_.resize(plan.teams * plan.members);
        for (size_t i = 0; i < members_.size(); ++i) make_member(members_[i], teams_[i / plan.members].rows, backward);
    }
    Spread usual_spread() const { return spread(problem_, Cell::all_gates, cell_.whole_rows()); }

    // body(team, member's own, its number, how many there are) for all teams, in as many of the threads as come.
    template <class Body>
    void in_threads(long threads, Body body) {
        parallel(threads, [&](int number, int count) {
            if (plan_.teams == 1) {
                const int came = std::min<int>(count, static_cast<int>(plan_.members));
                if (number < came) body(teams_[0], members_[number], number, came);
                return;
            }
            // Fewer threads may have come than there are teams.
            for (long team = number; team < plan_.teams; team += count) body(teams_[team], members_[team], 0, 1);
        });
    }

    // product(rows of the first `alive` slots, panels) for output vectors [first, last), `group` at a time; then
    // after(slot, first vector of the group, how many, their values).
    template <class Stored, class After>
    void product(const Rows& rows, const T* seen, const Packed<T, Stored>& weights, long kblocks, long first, long last,
                 long group, long alive, T* out, After after) const {
        for (long vector = first; vector < last; vector += group) {
            const long here = std::min(group, last - vector);
            for (long slot = 0; slot < alive; slot += rows.per_chunk) {
                const long count = std::min(rows.per_chunk, alive - slot);
                const T* chunk = seen + rows.chunk(slot) * chunk_size<T>(kblocks);
                for (long pair = 0; pair < here; pair += 2) {
                    const Stored* panel = weights.panels + (vector + pair) / 2 * panel_size<T>(kblocks);
                    tiles<T, Stored>[count - 1](chunk, panel, kblocks, out + pair * L, group * L, nullptr);
                }
                if constexpr (scaled<Stored>)
                    for (long row = 0; row < count; ++row)
                        scale(out + row * group * L, weights.scales + vector * L, here);
                for (long row = 0; row < count; ++row)
                    after(slot + row, vector, here, out + row * group * L);
            }
        }
    }

    static void scale(T* values, const T* scales, long vectors) {
        for (long j = 0; j < vectors * L; j += L) store(values + j, load(values + j) * load(scales + j));
    }

    T* slot_of(T* chunks, const Rows& rows, long slot, long kblocks) const {
        return chunks + rows.chunk(slot) * chunk_size<T>(kblocks) + rows.place(slot) * L;
    }

    // Rows' values in a plain (B, width) tensor to or from the team's padded memory, for the member's share of rows.
    void read_rows(const Rows& rows, int64_t from, long width, long wide, T* to, int member, int members) const {
        for (long slot = member; slot < rows.count(); slot += members)
            for (long j = 0; j < wide; j += L)
                store(to + slot * wide + j,
                      from ? load(Problem<T>::at(from) + rows.row[slot] * width + j, width - j) : Vector<T>{});
    }
    void write_rows(const Rows& rows, int64_t to, long width, long wide, const T* from, int member, int members) const {
        if (!to) return;
        for (long slot = member; slot < rows.count(); slot += members)
            for (long j = 0; j < width; j += L)
                store(Problem<T>::at(to) + rows.row[slot] * width + j, load(from + slot * wide + j), width - j);
    }
    // A fresh large tensor costs more in page faults than the walk that fills it.
    void prefer_large_pages(int64_t tensor, long width) const {
        prefer_huge_pages(tensor, call_.batch * call_.time * width * static_cast<int64_t>(sizeof(T)));
    }
    // Zero in the padding of a (B, T, width) tensor, for the member's share of rows.
    void clear_padding(const Rows& rows, int64_t tensor, long width, int member, int members) const {
        if (!tensor || !call_.lengths) return;
        for (long slot = member; slot < rows.count(); slot += members) {
            T* row = problem_.step(tensor, rows.row[slot], rows.length[slot], width);
            std::fill(row, row + (call_.time - rows.length[slot]) * width, T(0));
        }
    }

    Row<T> row_at(const Team<T>& team, long slot, long t) const {
        const long b = team.rows.row[slot];
        Row<T> row = {};
        row.b = b;
        row.t = t;
        row.resets = problem_.resets(b, t);
        row.mask = problem_.mask(b, t);
        row.zone_h = problem_.template step<uint8_t>(call_.zone_h, b, t, sizes_.O);
        row.zone_c = problem_.template step<uint8_t>(call_.zone_c, b, t, sizes_.H);
        row.memory = problem_.step(call_.memory, b, t, call_.memory_width);
        row.h = team.h + slot * sizes_.wide_o;
        row.c = team.c + slot * sizes_.wide_h;
        row.extra = team.extra + slot * 2 * sizes_.wide_h;
        return row;
    }

private:
    void make_member(Member<T>& member, const Rows& rows, bool backward) {
        const long wide = sizes_.wide_h;
        member.products = arena_->take<T>(row_slots * (2 * Cell::gates + 1) * L);
        const long whole = cell_.whole_rows() ? rows.count() * wide * (Cell::gates + 1) : 0;
        member.whole = arena_->take<T>(whole);
        member.gradients = arena_->take<T>(cell_.whole_rows() ? wide * (Cell::gates + 1) : 0);
        member.step.resize(rows.count());
        if (!backward) return;
        member.sums = {arena_->zeros<T>(3 * wide), arena_->zeros<T>(wide),           arena_->zeros<T>(4 * wide),
                       arena_->zeros<T>(2 * wide), arena_->zeros<T>(sizes_.wide_o), arena_->zeros<T>(wide)};
    }
};

// `Stored` is the type of the packed weights.
template <class T, class Cell, class Stored = T>
class GatedForward : protected Walk<T, Cell> {
    using Base = Walk<T, Cell>;

public:
    explicit GatedForward(const GatedCall& call) : Base(call) {}

    void run(Arena& arena) {
        const Spread plan = Base::usual_spread();
        prepare(arena, plan);
        if (call_.x) prepare_inputs(arena);
        Base::prefer_large_pages(call_.y, sizes_.O);
        Base::prefer_large_pages(call_.memory, call_.memory_width);
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
    // The gates of a team's window, and one member's copy of the input that they are made of.
    struct Inputs {
        long steps;
        T* gates;
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
            const long unit = k / (G * L) * L + k % L, gate = k / L % G;
            if (unit < H) bias_[k] = problem_.at(call_.bias)[gate * H + unit];
        }
        for (const Team<T>& team : Base::teams_) {
            const long rows = team.rows.count();
            const long bytes = rows * wide * static_cast<long>(sizeof(T));
            const long steps = window_steps(rows, bytes, most_bytes, call_.time);
            inputs_.push_back({steps, arena.take<T>(steps * rows * wide)});
        }
        for (size_t i = 0; i < Base::members_.size(); ++i) {
            const size_t team = i / Base::plan_.members;
            gatherings_.push_back({{}, {arena, inputs_[team].steps * Base::teams_[team].rows.count(), call_.input}});
        }
    }
    size_t member_number(const Member<T>& own) const { return &own - Base::members_.data(); }
    size_t team_number(const Member<T>& own) const { return member_number(own) / Base::plan_.members; }
    // The member's share of the gates of steps `begin` to `end`.
    void project(const Team<T>& team, Gathering& own, T* gates, long begin, long end, Range units) {
        constexpr long G = Cell::all_gates;
        own.window.set(team.rows, begin, end);
        own.rows.set(own.window.count());
        own.window.each([&](long t, long slot) {
            own.rows.put(own.window.number(t, slot), problem_.step(call_.x, team.rows.row[slot], t, call_.input));
        });
        for (long vector = units.first * G; vector < units.last * G; vector += 2)
            own.rows.multiply(weight_x_.panels + vector / 2 * panel_size<T>(blocks<T>(call_.input)), gates + vector * L,
                              gates_width(), bias_ + vector * L);
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
        Base::read_rows(rows, call_.h0, sizes_.O, sizes_.wide_o, team.h, member, members);
        Base::read_rows(rows, call_.c0, sizes_.H, sizes_.wide_h, team.c, member, members);
        Base::clear_padding(rows, call_.y, sizes_.O, member, members);
        team.barrier.wait(members);
        if (call_.x) {
            const Inputs& inputs = inputs_[team_number(own)];
            for (long t = 0; t < rows.longest(); t += inputs.steps) {
                const long end = std::min(t + inputs.steps, rows.longest());
                project(team, gatherings_[member_number(own)], inputs.gates, t, end, share(sizes_.units(), member, members));
                advance(team, own, t, end, member, members);
            }
        } else {
            advance(team, own, 0, rows.longest(), member, members);
        }
        team.barrier.wait(members);
        Base::write_rows(rows, call_.h, sizes_.O, sizes_.wide_o, team.h, member, members);
        Base::write_rows(rows, call_.c, sizes_.H, sizes_.wide_h, team.c, member, members);
    }

    // Resets, and h as the weights see it.
    void see(Team<T>& team, Member<T>& own, long t, long alive, Range units, Range outputs) {
        const long H = sizes_.H, O = sizes_.O;
        for (long slot = 0; slot < alive; ++slot) {
            Row<T>& row = own.step[slot] = Base::row_at(team, slot, t);
            find_gates(own, row, slot, units);
            row.y = problem_.step(call_.y, row.b, t, O);
            row.seen = Base::slot_of(team.seen_at(t), team.rows, slot, sizes_.outputs());
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
    void find_gates(const Member<T>& own, Row<T>& row, long slot, Range units) const {
        if (call_.x) {
            const T* gates = inputs_[team_number(own)].gates;
            row.gates = gates + gatherings_[member_number(own)].window.number(row.t, slot) * gates_width();
            row.block_step = Cell::all_gates * L;
            row.gate_step = L;
            return;
        }
        row.gates = problem_.step(call_.gates, row.b, row.t, Cell::all_gates * sizes_.H);
        row.block_step = L;
        row.gate_step = sizes_.H;
        if (row.t + 1 < call_.time)
            fetch(problem_.step(call_.gates, row.b, row.t + 1, Cell::all_gates * sizes_.H), units);
    }
    // Rows lie far apart, so the processor does not foresee that each will be read where it was left.
    void fetch(const T* gates, Range units) const {
        constexpr long line = 64 / static_cast<long>(sizeof(T));
        for (long gate = 0; gate < Cell::all_gates; ++gate)
            for (long j = units.first * L; j < units.last * L; j += line)
                __builtin_prefetch(gates + gate * sizes_.H + j, 0, 2);
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

template <class T, class Cell>
class GatedBackward : Walk<T, Cell> {
    using Base = Walk<T, Cell>;
    using Base::call_, Base::cell_, Base::L, Base::problem_, Base::sizes_;

public:
    explicit GatedBackward(const GatedCall& call) : Base(call) {}

    void run(Arena& arena) {
        pack(arena);
        // Before the main part the second product reads what it wrote in the forward pass: O units, or H of the candidate.
        const Spread plan = Base::usual_spread();
        Base::prepare(arena, plan, sizes_.gate_blocks(), sizes_.outputs(), true,
                      [this](const Rows& rows) { return whole_windows() ? steps_of(rows) : 2; });
        if (whole_windows()) prepare_windows(arena);
        for (const auto& [tensor, width] : results()) Base::prefer_large_pages(tensor, width);
        Base::in_threads(plan.teams * plan.members, [this](Team<T>& team, Member<T>& own, int member, int members) {
            walk(team, own, member, members);
        });
        join();
    }

private:
    // What a team sums up over its windows, and where it keeps the gradients of the projected input where these are not
    // those of the recurrent product.
    struct Sum {
        std::vector<T*> inputs;
        T* bias = nullptr;
    };
    // One member's view of its team's window.
    struct View {
        Window window;
        std::vector<Piece<T>> recurrent, inputs;
        std::vector<Line<T>> lines;
        T* columns = nullptr;
    };
    std::vector<Sum> sums_;
    std::vector<OuterSum<T>> sums_x_, sums_h_;
    std::vector<View> views_;
    Packed<T, T> main_, second_, weight_x_;

    void pack(Arena& arena) {
        const T* weights = problem_.at(call_.weight_h);
        const long H = sizes_.H, O = sizes_.O;
        main_.panels = packed_gates(arena, weights, Cell::gates, O);
        if (call_.grad_x) weight_x_.panels = packed_gates(arena, problem_.at(call_.weight_x), Cell::all_gates, call_.input);
        if (!Base::has_second()) return;
        const T* second = cell_.projected ? problem_.at(call_.weight_p) : weights + 2 * H * O;
        second_.panels = arena.take<T>((sizes_.units() + 1) / 2 * panel_size<T>(sizes_.outputs()));
        pack_rows(second_.panels, H, sizes_.outputs(), [=](long k) { return k < O ? second + k * H : nullptr; });
    }

    // The panels of weights (gates H, width) by which the gradients of gates are multiplied.
    T* packed_gates(Arena& arena, const T* weights, long gates, long width) const {
        const long H = sizes_.H, kblocks = sizes_.units() * gates;
        T* panels = arena.take<T>((blocks<T>(width) + 1) / 2 * panel_size<T>(kblocks));
        pack_rows(panels, width, kblocks, [=](long k) {
            const GateUnit at = gate_unit(k, gates);
            return at.unit < H ? weights + (at.gate * H + at.unit) * width : nullptr;
        });
        return panels;
    }
    // What stands in number k of the gates as the products order them.
    struct GateUnit {
        long gate, unit;
    };
    static GateUnit gate_unit(long k, long gates) { return {k / L % gates, k / (gates * L) * L + k % L}; }

    // What comes out for every step, with its width.
    std::array<std::pair<int64_t, long>, 8> results() const {
        const long gates = Cell::all_gates * sizes_.H;
        return {{{call_.grad_gates, gates},
                 {call_.grad_recurrent, gates},
                 {call_.previous, sizes_.O},
                 {call_.grad_projected, sizes_.O},
                 {call_.unprojected, sizes_.H},
                 {call_.gated, sizes_.H},
                 {call_.grad_mask_h, sizes_.O},
                 {call_.grad_x, call_.input}}};
    }

    void walk(Team<T>& team, Member<T>& own, int member, int members) {
        const Rows& rows = team.rows;
        Base::read_rows(rows, call_.grad_h, sizes_.O, sizes_.wide_o, team.h, member, members);
        Base::read_rows(rows, call_.grad_c, sizes_.H, sizes_.wide_h, team.c, member, members);
        for (const auto& [tensor, width] : results()) Base::clear_padding(rows, tensor, width, member, members);
        team.barrier.wait(members);
        const Range units = share(sizes_.units(), member, members), outputs = share(sizes_.outputs(), member, members);
        const size_t number = team_number(own);
        long alive = 0;
        for (long t = rows.longest() - 1; t >= 0; --t) {
            alive = rows.alive(t, alive);
            for (long slot = 0; slot < alive; ++slot) own.step[slot] = back_row(team, slot, t, number);
            if (Base::has_second()) {
                begin(own, alive, outputs);
                team.barrier.wait(members);
            }
            main(team, own, alive, units);
            team.barrier.wait(members);
            pass_on(team, own, t, alive, outputs);
            if (whole_windows() && t % static_cast<long>(team.seen.size()) == 0) {
                finish_window(team, own, t, std::min(t + static_cast<long>(team.seen.size()), rows.longest()), member,
                              members);
                // The next step writes where the window stood.
                team.barrier.wait(members);
            }
        }
        team.barrier.wait(members);
        Base::write_rows(rows, call_.grad_h0, sizes_.O, sizes_.wide_o, team.h, member, members);
        Base::write_rows(rows, call_.grad_c0, sizes_.H, sizes_.wide_h, team.c, member, members);
    }

    // h before the step of row b at time t.
    const T* h_before(long b, long t, bool resets) const {
        if (resets) return problem_.start(call_.start_h, b, sizes_.O);
        return t == 0 ? problem_.at(call_.h0) + b * sizes_.O : problem_.step(call_.y, b, t - 1, sizes_.O);
    }
    Row<T> back_row(Team<T>& team, long slot, long t, size_t number) const {
        const long H = sizes_.H, O = sizes_.O;
        Row<T> row = Base::row_at(team, slot, t);
        row.seen = Base::slot_of(team.seen_at(t), team.rows, slot, sizes_.gate_blocks());
        row.second = Base::slot_of(team.second, team.rows, slot, sizes_.outputs());
        if (inputs_apart()) {
            const std::vector<T*>& inputs = sums_[number].inputs;
            row.inputs = Base::slot_of(inputs[t % inputs.size()], team.rows, slot, sizes_.input_blocks());
        }
        row.h_old = h_before(row.b, t, row.resets);
        if (row.resets) {
            row.c_old = call_.c0 ? problem_.start(call_.start_c, row.b, H) : nullptr;
        } else if (t == 0) {
            row.c_old = call_.c0 ? problem_.at(call_.c0) + row.b * H : nullptr;
        } else {
            // An LSTM's memory holds c after the gates.
            row.c_old = row.memory - call_.memory_width + Cell::gates * H;
        }
        row.grad_y = problem_.step(call_.grad_y, row.b, t, O);
        row.grad_gates = problem_.step(call_.grad_gates, row.b, t, Cell::all_gates * H);
        row.grad_recurrent = problem_.step(call_.grad_recurrent, row.b, t, Cell::all_gates * H);
        row.previous = problem_.step(call_.previous, row.b, t, O);
        row.grad_mask = problem_.step(call_.grad_mask_h, row.b, t, O);
        row.grad_projected = problem_.step(call_.grad_projected, row.b, t, O);
        row.unprojected = problem_.step(call_.unprojected, row.b, t, H);
        row.gated = problem_.step(call_.gated, row.b, t, H);
        return row;
    }

    // What the second product reads: the gradient of the projected h, or of the candidate.
    void begin(Member<T>& own, long alive, Range outputs) {
        for (long slot = 0; slot < alive; ++slot) {
            for (long block = outputs.first; block < outputs.last; ++block) cell_.begin_back(own.step[slot], block);
            if (Cell::second_always && cell_.whole_rows()) unnormalise_candidate(own, own.step[slot]);
        }
    }
    void unnormalise_candidate(Member<T>& own, const Row<T>& row) {
        for (long block = 0; block < sizes_.units(); ++block)
            store(own.gradients + block * L, load(place(row.second, block)));
        cell_.unnormalise_second(row, own.gradients, own.sums);
        for (long block = 0; block < sizes_.units(); ++block) {
            const Vector<T> gradient = load(own.gradients + block * L);
            store(place(row.second, block), gradient);
            if (row.grad_recurrent)
                store(row.grad_recurrent + 2 * sizes_.H + block * L, gradient, sizes_.H - block * L);
        }
    }

    // The gradients of the gates, and of the state as far as it does not go through the weights.
    void main(Team<T>& team, Member<T>& own, long alive, Range units) {
        const bool whole = cell_.whole_rows();
        if (Base::has_second()) {
            Base::product(team.rows, team.second, second_, sizes_.outputs(), units.first, units.last, 2, alive,
                          own.products, [&](long slot, long vector, long count, const T* values) {
                              for (long v = 0; v < count; ++v) {
                                  if (whole) {
                                      store(own.whole + slot * sizes_.wide_h + (vector + v) * L, load(values + v * L));
                                  } else {
                                      back(own, own.step[slot], vector + v, load(values + v * L));
                                  }
                              }
                          });
        }
        for (long slot = 0; slot < alive; ++slot) {
            const Row<T>& row = own.step[slot];
            if (whole) {
                back_whole(own, row, own.whole + slot * sizes_.wide_h);
            } else if (!Base::has_second()) {
                for (long block = units.first; block < units.last; ++block)
                    back(own, row, block, cell_.incoming(row, block));
            }
            if (row.resets && call_.c0) collect(row, row.c, call_.grad_start_c, sizes_.H, own.sums.start_c, units);
        }
    }
    void back(Member<T>& own, const Row<T>& row, long block, Vector<T> dh) {
        cell_.back(row, block, dh, place(row.seen, block * Cell::gates), row_slots * L, own.sums);
    }
    // With layer norm a row's gates depend on each other: their gradients are made for the whole row, then normed back.
    void back_whole(Member<T>& own, const Row<T>& row, T* dh) {
        if (!Base::has_second())
            for (long block = 0; block < sizes_.units(); ++block) store(dh + block * L, cell_.incoming(row, block));
        cell_.back_through_norm(row, dh, own.sums);
        for (long block = 0; block < sizes_.units(); ++block)
            cell_.back(row, block, load(dh + block * L), own.gradients + block * Cell::gates * L, L, own.sums);
        // A cell whose gradients are always apart has put them there itself.
        for (long k = 0; row.inputs && !Cell::inputs_apart && k < sizes_.input_blocks(); ++k)
            store(place(row.inputs, k), load(own.gradients + k * L));
        cell_.unnormalise_rows(row, own.gradients, own.sums);
        for (long block = 0; block < sizes_.units(); ++block)
            for (long gate = 0; gate < Cell::gates; ++gate) {
                const Vector<T> gradient = load(own.gradients + (block * Cell::gates + gate) * L);
                store(place(row.seen, block * Cell::gates + gate), gradient);
                if (row.grad_recurrent)
                    store(row.grad_recurrent + gate * sizes_.H + block * L, gradient, sizes_.H - block * L);
            }
    }

    // The rest of the state's gradient, through the weights.
    void pass_on(Team<T>& team, Member<T>& own, long t, long alive, Range outputs) {
        Base::product(team.rows, team.seen_at(t), main_, sizes_.gate_blocks(), outputs.first, outputs.last, 2, alive,
                      own.products, [&](long slot, long vector, long count, const T* values) {
                          for (long v = 0; v < count; ++v) pass_block(own.step[slot], vector + v, load(values + v * L));
                      });
        for (long slot = 0; slot < alive; ++slot)
            if (const Row<T>& row = own.step[slot]; row.resets)
                collect(row, row.h, call_.grad_start_h, sizes_.O, own.sums.start_h, outputs);
    }
    void pass_block(const Row<T>& row, long block, Vector<T> gradient) {
        const long j = block * L, left = sizes_.O - j;
        if constexpr (Cell::second_always) gradient += load(row.extra + j);
        if (row.previous || row.grad_mask) {
            const Vector<T> old = load(row.h_old + j, left);
            if (row.grad_mask) store(row.grad_mask + j, gradient * old, left);
            if (row.previous) store(row.previous + j, row.mask ? old * load(row.mask + j, left) : old, left);
        }
        if (row.mask) gradient *= load(row.mask + j, left);
        store(row.h + j, load(row.h + j) + gradient);
    }
    // At a reset the state's gradient goes to the initial state, and none to what came before.
    void collect(const Row<T>& row, T* state, int64_t grad_start, long width, T* sums, Range range) {
        for (long j = range.first * L; j < range.last * L; j += L) {
            if (grad_start && call_.start_rows != 1) {
                T* to = problem_.at(grad_start) + row.b * width + j;
                store(to, load(to, width - j) + load(state + j), width - j);
            } else {
                store(sums + j, load(sums + j) + load(state + j));
            }
            store(state + j, Vector<T>{});
        }
    }

    // Is anything wanted that is made a window of steps at a time?
    bool whole_windows() const { return call_.grad_x || call_.grad_weight_x || call_.grad_bias || call_.grad_weight_h; }
    // Has the projected input gradients of its own, and does anything need them?
    bool inputs_apart() const {
        return (Cell::inputs_apart || call_.norm_h) && (call_.grad_x || call_.grad_weight_x || call_.grad_bias);
    }
    size_t team_number(const Member<T>& own) const {
        return static_cast<size_t>(&own - Base::members_.data()) / Base::plan_.members;
    }
    long steps_of(const Rows& rows) const {
        constexpr long most_bytes = 3 << 20;
        const long bytes = rows.chunks() * chunk_size<T>(sizes_.input_blocks()) * static_cast<long>(sizeof(T));
        return window_steps(rows.count(), bytes, most_bytes, call_.time);
    }
    void prepare_windows(Arena& arena) {
        for (const Team<T>& team : Base::teams_) {
            Sum& sum = sums_.emplace_back();
            for (size_t i = 0; inputs_apart() && i < team.seen.size(); ++i)
                sum.inputs.push_back(arena.zeros<T>(team.rows.chunks() * chunk_size<T>(sizes_.input_blocks())));
            if (call_.grad_bias) sum.bias = arena.zeros<T>(sizes_.input_blocks() * L);
            if (call_.grad_weight_x) sums_x_.emplace_back(arena, sizes_.input_blocks(), call_.input);
            if (call_.grad_weight_h) sums_h_.emplace_back(arena, sizes_.gate_blocks(), sizes_.O);
        }
        for (size_t i = 0; i < Base::members_.size(); ++i) {
            const Team<T>& team = Base::teams_[i / Base::plan_.members];
            const long lines = static_cast<long>(team.seen.size()) * team.rows.count();
            views_.emplace_back().columns = arena.take<T>(lines * outer_vectors * L);
        }
    }
    // The chunks of a window's gradients, in the order of its rows.
    void list(const Team<T>& team, const Window& window, const std::vector<T*>& chunks, long kblocks,
              std::vector<Piece<T>>& pieces) const {
        pieces.clear();
        const long per_chunk = team.rows.per_chunk;
        for (long t = window.begin; t < window.end; ++t)
            for (long slot = 0; slot < window.alive(t); slot += per_chunk)
                pieces.push_back({Base::slot_of(chunks[t % chunks.size()], team.rows, slot, kblocks),
                                  std::min(per_chunk, window.alive(t) - slot)});
    }
    // The member's share of what steps `begin` to `end` give to x and to the weights.
    void finish_window(const Team<T>& team, Member<T>& own, long begin, long end, int member, int members) {
        const size_t number = team_number(own);
        const Range recurrent = share(sizes_.gate_blocks(), member, members);
        const Range inputs = share(sizes_.input_blocks(), member, members);
        View& view = views_[&own - Base::members_.data()];
        const Window& window = view.window;
        view.window.set(team.rows, begin, end);
        list(team, window, team.seen, sizes_.gate_blocks(), view.recurrent);
        if (inputs_apart()) list(team, window, sums_[number].inputs, sizes_.input_blocks(), view.inputs);
        const std::vector<Piece<T>>& given = inputs_apart() ? view.inputs : view.recurrent;
        if (call_.grad_x) back_to_x(team, window, given, own, share(blocks<T>(call_.input), member, members));
        if (call_.grad_weight_x) {
            view.lines.clear();
            window.each([&](long t, long slot) {
                view.lines.push_back({problem_.step(call_.x, team.rows.row[slot], t, call_.input), nullptr});
            });
            sums_x_[number].add(given, view.lines, inputs, view.columns);
        }
        if (call_.grad_weight_h) {
            view.lines.clear();
            window.each([&](long t, long slot) {
                const long b = team.rows.row[slot];
                view.lines.push_back({h_before(b, t, problem_.resets(b, t)), problem_.mask(b, t)});
            });
            sums_h_[number].add(view.recurrent, view.lines, recurrent, view.columns);
        }
        if (call_.grad_bias) add_rows(given, inputs, sums_[number].bias);
    }
    static void add_rows(const std::vector<Piece<T>>& pieces, Range blocks, T* sums) {
        for (long block = blocks.first; block < blocks.last; ++block) {
            Vector<T> total = load(sums + block * L);
            for (const Piece<T>& piece : pieces)
                for (long row = 0; row < piece.count; ++row)
                    total += load(piece.chunk + (block * row_slots + row) * L);
            store(sums + block * L, total);
        }
    }
    void back_to_x(const Team<T>& team, const Window& window, const std::vector<Piece<T>>& pieces, Member<T>& own,
                   Range vectors) const {
        const long kblocks = sizes_.input_blocks();
        for (long vector = vectors.first; vector < vectors.last; vector += 2) {
            const T* panel = weight_x_.panels + vector / 2 * panel_size<T>(kblocks);
            const Piece<T>* piece = pieces.data();
            long left = 0;
            const T* values = own.products;
            window.each([&](long t, long slot) {
                if (left == 0) {
                    tiles<T, T>[piece->count - 1](piece->chunk, panel, kblocks, own.products, 2 * L, nullptr);
                    left = piece++->count;
                    values = own.products;
                }
                T* to = problem_.step(call_.grad_x, team.rows.row[slot], t, call_.input) + vector * L;
                for (long v = 0; v < 2; ++v) store(to + v * L, load(values + v * L), call_.input - (vector + v) * L);
                values += 2 * L;
                --left;
            });
        }
    }

    void join() {
        const long H = sizes_.H, wide = sizes_.wide_h;
        join_bias();
        parallel(Base::plan_.teams * Base::plan_.members, [this](int thread, int threads) {
            join_weights(sums_x_, call_.grad_weight_x, Cell::all_gates, call_.input, thread, threads);
            join_weights(sums_h_, call_.grad_weight_h, Cell::gates, sizes_.O, thread, threads);
        });
        join(call_.grad_peephole, &Sums<T>::peephole, Cell::all_gates - 1, H, wide);
        join(call_.grad_bias_h, &Sums<T>::bias_h, 1, H, wide);
        join(call_.grad_norm_h, &Sums<T>::norm_h, Cell::all_gates, H, wide);
        join(call_.grad_norm_c, &Sums<T>::norm_c, 2, H, wide);
        if (call_.start_rows == 1) {
            join(call_.grad_start_h, &Sums<T>::start_h, 1, sizes_.O, sizes_.wide_o);
            join(call_.grad_start_c, &Sums<T>::start_c, 1, H, wide);
        }
    }
    void join_weights(const std::vector<OuterSum<T>>& sums, int64_t to, long gates, long width, int thread, int threads) {
        const long count = sizes_.units() * gates * L;
        for (long k = count * thread / threads; to && k < count * (thread + 1) / threads; ++k)
            if (const GateUnit at = gate_unit(k, gates); at.unit < sizes_.H)
                OuterSum<T>::write(sums, k, Problem<T>::at(to) + (at.gate * sizes_.H + at.unit) * width);
    }
    void join_bias() {
        for (long k = 0; call_.grad_bias && k < sizes_.input_blocks() * L; ++k)
            if (const GateUnit at = gate_unit(k, Cell::all_gates); at.unit < sizes_.H) {
                T total = 0;
                for (const Sum& sum : sums_) total += sum.bias[k];
                problem_.at(call_.grad_bias)[at.gate * sizes_.H + at.unit] = total;
            }
    }
    void join(int64_t to, T* Sums<T>::*part, long rows, long width, long wide) {
        if (!to) return;
        for (long row = 0; row < rows; ++row)
            for (long j = 0; j < width; ++j) {
                T total = 0;
                for (const Member<T>& member : Base::members_) total += (member.sums.*part)[row * wide + j];
                Problem<T>::at(to)[row * width + j] = total;
            }
    }
};

// The memory of this thread's calls.
inline Arena& arena() {
    static thread_local Arena memory;
    return memory;
}

template <template <class, class> class Direction, class T>
void run_cell(const GatedCall& call) {
    switch (call.cell) {
        case 0: return Direction<T, Rnn<T, false>>(call).run(arena());
        case 1: return Direction<T, Rnn<T, true>>(call).run(arena());
        case 2: return Direction<T, Lstm<T, false>>(call).run(arena());
        case 3: return Direction<T, Lstm<T, true>>(call).run(arena());
        case 4: return Direction<T, Gru<T, true>>(call).run(arena());
        case 5: return Direction<T, Gru<T, false>>(call).run(arena());
    }
}

template <class T, class Cell>
using WholeForward = GatedForward<T, Cell>;

inline void gated_forward(const GatedCall& call) {
    const Arena::Use use(arena());
    call.type == 0 ? run_cell<WholeForward, float>(call) : run_cell<WholeForward, double>(call);
}

inline void gated_backward(const GatedCall& call) {
    const Arena::Use use(arena());
    call.type == 0 ? run_cell<GatedBackward, float>(call) : run_cell<GatedBackward, double>(call);
}

}  // namespace unrolled::UNROLLED_LEVEL
