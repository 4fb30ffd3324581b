// The walk backwards through time, with the gradients of x and of all weights made on the way.
#pragma once

#include <array>

#include "gated/gradients.h"

namespace unrolled::UNROLLED_LEVEL {

template <class T, class Cell>
class GatedBackward : WindowGradients<T, Cell> {
    using Base = WindowGradients<T, Cell>;
    using Base::call_, Base::cell_, Base::L, Base::problem_, Base::sizes_;

public:
    explicit GatedBackward(const GatedCall& call) : Base(call) {}

    void run(Arena& arena) {
        pack(arena);
        // Before the main part the second product reads what it wrote in the forward pass: O units, or H of the candidate.
        const Spread plan = Base::usual_spread(Base::whole_windows());
        Base::prepare(arena, plan, sizes_.gate_blocks(), sizes_.outputs(), true,
                      [&](const Rows& rows) { return Base::whole_windows() ? Base::steps_of(rows) * (plan.assisted ? 2 : 1) : 2; });
        if (Base::whole_windows()) Base::prepare_windows(arena);
        for (const auto& [tensor, width] : results()) Base::prefer_large_pages(tensor, width);
        if (plan.assisted) {
            walk_assisted();
        } else {
            Base::in_threads(plan.teams * plan.members, [this](Team<T>& team, Member<T>& own, int member, int members) {
                walk(team, own, member, members);
            });
        }
        join();
    }

private:
    Packed<T, T> main_, second_;

    void pack(Arena& arena) {
        const T* weights = problem_.at(call_.weight_h);
        const long H = sizes_.H, O = sizes_.O;
        main_.panels = Base::packed_gates(arena, weights, Cell::gates, O);
        if (!Base::has_second()) return;
        const T* second = cell_.projected ? problem_.at(call_.weight_p) : weights + 2 * H * O;
        second_.panels = arena.take<T>((sizes_.units() + 1) / 2 * panel_size<T>(sizes_.outputs()));
        pack_rows(second_.panels, H, sizes_.outputs(), [=](long k) { return k < O ? second + k * H : nullptr; });
    }

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
        enter(team, member, members);
        team.barrier.wait(members);
        const long steps = Base::steps_in_window(team);
        for (long begin = (rows.longest() - 1) / steps * steps; begin >= 0; begin -= steps) {
            retreat(team, own, begin, member, members);
            if (!Base::whole_windows()) continue;
            Base::finish_window(team, own, begin, member, members);
            // The next step writes where the window stood.
            team.barrier.wait(members);
        }
        team.barrier.wait(members);
        leave(team, member, members);
    }
    // The assistant finishes a window when it has been walked.
    void walk_assisted() {
        Team<T>& team = Base::teams_[0];
        const long steps = Base::steps_in_window(team), windows = (team.rows.longest() + steps - 1) / steps;
        enter(team, 0, 1);
        Base::in_turns(windows + 1, [&](Member<T>& own, bool assists, long turn) {
            if (assists && turn > 0) Base::finish_window(team, own, (windows - turn) * steps, 0, 1);
            if (!assists && turn < windows) retreat(team, own, (windows - 1 - turn) * steps, 0, 1);
        });
        leave(team, 0, 1);
    }
    void enter(Team<T>& team, int member, int members) const {
        Base::read_rows(team.rows, call_.grad_h, sizes_.O, sizes_.wide_o, team.h, member, members);
        Base::read_rows(team.rows, call_.grad_c, sizes_.H, sizes_.wide_h, team.c, member, members);
        for (const auto& [tensor, width] : results()) Base::clear_padding(team.rows, tensor, width, member, members);
    }
    void leave(const Team<T>& team, int member, int members) const {
        Base::write_rows(team.rows, call_.grad_h0, sizes_.O, sizes_.wide_o, team.h, member, members);
        Base::write_rows(team.rows, call_.grad_c0, sizes_.H, sizes_.wide_h, team.c, member, members);
    }
    // The steps of the window from `begin` on, the last one first.
    void retreat(Team<T>& team, Member<T>& own, long begin, int member, int members) {
        const Range units = share(sizes_.units(), member, members), outputs = share(sizes_.outputs(), member, members);
        long alive = 0;
        for (long t = Base::end_of_window(team, begin) - 1; t >= begin; --t) {
            alive = team.rows.alive(t, alive);
            T* seen = team.seen_at(t);
            T* inputs = Base::inputs_apart() ? Base::inputs_at(own, t) : nullptr;
            for (long slot = 0; slot < alive; ++slot) own.step[slot] = back_row(team, slot, t, seen, inputs);
            if (Base::has_second()) {
                open(own, alive, outputs);
                team.barrier.wait(members);
            }
            main(team, own, alive, units);
            team.barrier.wait(members);
            pass_on(team, own, t, alive, outputs);
        }
    }

    Row<T> back_row(Team<T>& team, long slot, long t, T* seen, T* inputs) const {
        const long H = sizes_.H, O = sizes_.O;
        Row<T> row = Base::row_at(team, slot, t);
        row.seen = Base::slot_of(seen, team.rows, slot, sizes_.gate_blocks());
        row.second = Base::slot_of(team.second, team.rows, slot, sizes_.outputs());
        if (inputs) row.inputs = Base::slot_of(inputs, team.rows, slot, sizes_.input_blocks());
        row.h_old = Base::h_before(row.b, t, row.resets);
        if (row.resets) {
            row.c_old = call_.c0 ? problem_.start(call_.start_c, row.b, H) : nullptr;
        } else if (t == 0) {
            row.c_old = call_.c0 ? problem_.at(call_.c0) + row.b * H : nullptr;
        } else {
            // An LSTM's memory holds c after the gates.
            row.c_old = problem_.step(call_.memory, row.b, t - 1, call_.memory_width) + Cell::gates * H;
        }
        row.grad_y = problem_.step(call_.grad_y, row.b, t, O);
        if (t > 0) {
            Base::fetch(problem_.step(call_.memory, row.b, t - 1, call_.memory_width), call_.memory_width);
            Base::fetch(problem_.step(call_.grad_y, row.b, t - 1, O), O);
        }
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
    void open(Member<T>& own, long alive, Range outputs) {
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

    void join() {
        const long H = sizes_.H, wide = sizes_.wide_h;
        Base::join_windows();
        join(call_.grad_peephole, &Sums<T>::peephole, Cell::all_gates - 1, H, wide);
        join(call_.grad_bias_h, &Sums<T>::bias_h, 1, H, wide);
        join(call_.grad_norm_h, &Sums<T>::norm_h, Cell::all_gates, H, wide);
        join(call_.grad_norm_c, &Sums<T>::norm_c, 2, H, wide);
        if (call_.start_rows == 1) {
            join(call_.grad_start_h, &Sums<T>::start_h, 1, sizes_.O, sizes_.wide_o);
            join(call_.grad_start_c, &Sums<T>::start_c, 1, H, wide);
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

}  // namespace unrolled::UNROLLED_LEVEL
