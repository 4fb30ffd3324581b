// The walk through time that all gated cells share: who works on what, when they wait, and where a step's parts come from.
#pragma once

#include <deque>

#include "gated/cells.h"

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

// The gate and the unit that number k of the gates stands for, in the order of the products.
struct GateUnit {
    long gate, unit;
};

template <class T>
GateUnit gate_unit(long k, long gates) {
    return {k / lanes<T> % gates, k / (gates * lanes<T>) * lanes<T> + k % lanes<T>};
}

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
        members_.resize(plan.assisted ? 2 : plan.teams * plan.members);
        for (size_t i = 0; i < members_.size(); ++i) make_member(members_[i], teams_[team_of(i)].rows, backward);
    }
    Spread usual_spread(bool windows) const { return spread(problem_, Cell::all_gates, cell_.whole_rows(), windows); }
    size_t number_of(const Member<T>& own) const { return static_cast<size_t>(&own - members_.data()); }
    size_t team_of(size_t member) const { return plan_.assisted ? 0 : member / plan_.members; }
    size_t team_of(const Member<T>& own) const { return team_of(number_of(own)); }

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

    // The two threads of an assisted walk: turn(own, assists, number) for `count` turns. Neither begins a turn before the
    // other has ended the last one.
    template <class Turn>
    void in_turns(long count, Turn turn) {
        parallel(2, [&](int number, int came) {
            for (long i = 0; i < count && number < 2; ++i) {
                // If only one thread came, it does both parts, its assistant's first.
                if (came == 1 || number == 1) turn(members_[1], true, i);
                if (number == 0) turn(members_[0], false, i);
                teams_[0].barrier.wait(std::min(came, 2));
            }
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

    // Rows lie far apart, so the processor does not foresee that each will be read next to where it was left.
    static void fetch(const T* from, long count) {
        for (long j = 0; j < count; j += 64 / static_cast<long>(sizeof(T))) __builtin_prefetch(from + j, 0, 2);
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

}  // namespace unrolled::UNROLLED_LEVEL
