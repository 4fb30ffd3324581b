// What the walk backwards makes a window of steps at a time: the gradients of x, of the large weights and of the bias.
#pragma once

#include "gated/walk.h"
#include "gated/window.h"

namespace unrolled::UNROLLED_LEVEL {

template <class T, class Cell>
class WindowGradients : protected Walk<T, Cell> {
    using Base = Walk<T, Cell>;

protected:
    using Base::call_, Base::cell_, Base::L, Base::problem_, Base::sizes_;

    explicit WindowGradients(const GatedCall& call) : Base(call) {}

    // The panels of weights (gates H, width) by which the gradients of gates are multiplied.
    T* packed_gates(Arena& arena, const T* weights, long gates, long width) const {
        const long H = sizes_.H, kblocks = sizes_.units() * gates;
        T* panels = arena.take<T>((blocks<T>(width) + 1) / 2 * panel_size<T>(kblocks));
        pack_rows(panels, width, kblocks, [=](long k) {
            const GateUnit at = gate_unit<T>(k, gates);
            return at.unit < H ? weights + (at.gate * H + at.unit) * width : nullptr;
        });
        return panels;
    }

    // h before the step of row b at time t.
    const T* h_before(long b, long t, bool resets) const {
        if (resets) return problem_.start(call_.start_h, b, sizes_.O);
        return t == 0 ? problem_.at(call_.h0) + b * sizes_.O : problem_.step(call_.y, b, t - 1, sizes_.O);
    }
    // Is anything wanted that is made a window of steps at a time?
    bool whole_windows() const { return call_.grad_x || call_.grad_weight_x || call_.grad_bias || call_.grad_weight_h; }
    // Has the projected input gradients of its own, and does anything need them?
    bool inputs_apart() const {
        return (Cell::inputs_apart || call_.norm_h) && (call_.grad_x || call_.grad_weight_x || call_.grad_bias);
    }
    long steps_of(const Rows& rows) const {
        constexpr long most_bytes = 3 << 20;
        const long bytes = rows.chunks() * chunk_size<T>(sizes_.input_blocks()) * static_cast<long>(sizeof(T));
        return window_steps(rows.count(), bytes, most_bytes, call_.time, Base::plan_.assisted);
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
        if (call_.grad_x)
            weight_x_.panels = packed_gates(arena, problem_.at(call_.weight_x), Cell::all_gates, call_.input);
        for (size_t i = 0; i < Base::members_.size(); ++i) {
            const Team<T>& team = Base::teams_[Base::team_of(i)];
            const long lines = static_cast<long>(team.seen.size()) * team.rows.count();
            views_.emplace_back().columns = arena.take<T>(lines * outer_vectors * L);
        }
    }
    // The member's share of what steps `begin` to `end` give to x and to the weights.
    void finish_window(const Team<T>& team, Member<T>& own, long begin, int member, int members) {
        const size_t number = Base::team_of(own);
        const Range recurrent = share(sizes_.gate_blocks(), member, members);
        const Range inputs = share(sizes_.input_blocks(), member, members);
        View& view = views_[Base::number_of(own)];
        const Window& window = view.window;
        view.window.set(team.rows, begin, end_of_window(team, begin));
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
    long steps_in_window(const Team<T>& team) const {
        const long kept = static_cast<long>(team.seen.size());
        return Base::plan_.assisted ? kept / 2 : kept;
    }
    long end_of_window(const Team<T>& team, long begin) const {
        return std::min(begin + steps_in_window(team), team.rows.longest());
    }
    // Where the gradients of the projected input at time t go, for the member's team.
    T* inputs_at(const Member<T>& own, long t) const {
        const std::vector<T*>& inputs = sums_[Base::team_of(own)].inputs;
        return inputs[t % inputs.size()];
    }
    // All teams' sums to the caller's tensors.
    void join_windows() {
        join_bias();
        parallel(Base::plan_.teams * Base::plan_.members, [this](int thread, int threads) {
            join_weights(sums_x_, call_.grad_weight_x, Cell::all_gates, call_.input, thread, threads);
            join_weights(sums_h_, call_.grad_weight_h, Cell::gates, sizes_.O, thread, threads);
        });
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
    Packed<T, T> weight_x_;

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
    void join_weights(const std::vector<OuterSum<T>>& sums, int64_t to, long gates, long width, int thread, int threads) {
        const long count = sizes_.units() * gates * L;
        for (long k = count * thread / threads; to && k < count * (thread + 1) / threads; ++k)
            if (const GateUnit at = gate_unit<T>(k, gates); at.unit < sizes_.H)
                OuterSum<T>::write(sums, k, Problem<T>::at(to) + (at.gate * sizes_.H + at.unit) * width);
    }
    void join_bias() {
        for (long k = 0; call_.grad_bias && k < sizes_.input_blocks() * L; ++k)
            if (const GateUnit at = gate_unit<T>(k, Cell::all_gates); at.unit < sizes_.H) {
                T total = 0;
                for (const Sum& sum : sums_) total += sum.bias[k];
                problem_.at(call_.grad_bias)[at.gate * sizes_.H + at.unit] = total;
            }
    }
};

}  // namespace unrolled::UNROLLED_LEVEL
