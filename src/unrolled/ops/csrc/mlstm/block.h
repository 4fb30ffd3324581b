// Some steps of one head of one row, none of them with a reset but perhaps the first, forward and backward.
//
// With F = exp(log f + m_before - m), I = exp(i - m) and s = keys ** -0.5, the steps t and j <= t of a block are bound by
//   W_tj = I_j F_(j+1) ... F_t,   e_t = F_1 ... F_t,   A_tj = W_tj s q_t k_j
// from which with the state c, n at its beginning
//   read_t = e_t c q_t + sum_j A_tj v_j,   size_t = max(|e_t n q_t + sum_j A_tj|, exp(-m_t)),   y_t = read_t / size_t.
// All weights are products of numbers up to 1, as in the walk step by step, and nothing is divided by them.
//
// Backward, with g_t = dy_t / size_t, h_t the gradient of n_t q_t, and D, d those of c and n at the end:
//   X_tj = v_j g_t + h_t,   Z_tj = W_tj X_tj
//   dq_t = e_t (c g_t + n h_t) + sum_j Z_tj s k_j       dk_j = s (sum_t Z_tj q_t + W_end,j (D v_j + d))
//   dv_j = sum_t A_tj g_t + W_end,j s D k_j             D at the beginning: e_end D + sum_t e_t q_t g_t
// y does not depend on m, so the gradient of a gate is the sum of all that flows through it: of i_j, from j to any step;
// of log f_t, from before t to t or later. To a step t flows 0 in all where the size is |n q|, which takes back what the
// read gives, else y dy. Where a single gate is far the largest, what flows from it alone is next to nothing, but made of
// large terms. So from the gate that made m flows what is left of the whole, as m takes it back in the walk step by step.
// What flows to the state after the row's last step goes beside (Ending), where the same is true of m itself.
#pragma once

#include <cmath>

#include "mlstm/problem.h"

namespace unrolled::UNROLLED_LEVEL::mlstm {

template <class T>
class Block {
    static constexpr long S = together;

public:
    explicit Block(const Problem<T>& problem, Arena<T>& arena)
        : p_(problem),
          weights_{arena.take(S * S), S},
          scores_{arena.take(S * S), S},
          attention_{arena.take(S * S), S},
          turned_{arena.take(S * S), S},
          flows_{arena.take(S * S), S},
          keys_{arena.take(p_.keys * S), S},
          queries_{arena.take(p_.keys * S), S},
          grad_keys_{arena.take(p_.keys * S), S},
          grad_ends_{arena.take(p_.keys * S), S},
          turned_values_{arena.take(p_.wide * S), S},
          turned_grads_{arena.take(p_.wide * S), S},
          copied_values_{arena.take(p_.wide * S), p_.wide},
          reads_{arena.take(p_.wide * S), p_.wide} {}

    static long numbers(const Problem<T>& problem) { return S * (5 * S + 4 * problem.keys + 4 * problem.wide); }

    // The gates of steps begin to begin + steps, and the keys.
    void open(long row, long head, long begin, long steps, T m) {
        row_ = row, head_ = head, begin_ = begin, steps_ = steps;
        gates(m);
        const Given<T> k = given(p_.call.k, p_.keys);
        transpose(keys_, k, steps_, p_.keys, S, p_.scale);
        const bool dense = p_.values % lanes<T> == 0;
        values_ = given(p_.call.v, p_.values);
        if (!dense) {
            for (long t = 0; t < steps_; ++t) std::copy_n(values_.row(t), p_.values, copied_values_.row(t));
            values_ = copied_values_;
        }
    }

    // The state after the block out of that before it.
    void advance(State<T>& state) {
        const T kept = entry_[steps_ - 1];
        const T* last = weights_.row(steps_ - 1);
        scale_columns(grad_keys_, keys_, last);
        multiply(kept, state.c, grad_keys_, values_, p_.keys, steps_, p_.columns);
        for (long key = 0; key < p_.keys; ++key) state.n[key] *= kept;
        const Given<T> k = given(p_.call.k, p_.keys);
        for (long t = 0; t < steps_; ++t) add_scaled(state.n, last[t] * p_.scale, k.row(t), p_.keys);
        state.m = level_[steps_ - 1];
    }

    // y from the state before the block.
    void read(const State<T>& state) {
        attend(state);
        multiply(T(0), reads_, given(p_.call.q, p_.keys), state.c, steps_, p_.keys, p_.columns);
        scale_rows(reads_, entry_);
        multiply(T(1), reads_, attention_, values_, steps_, steps_, p_.columns);
        for (long t = 0; t < steps_; ++t) {
            const T size = std::max(std::abs(normal_[t]), std::exp(-level_[t]));
            divide(p_.place(p_.call.y, row_, begin_ + t, head_, p_.values), reads_.row(t), size, p_.values);
        }
    }

    // Gradients of the block's tensors; `grad`, of c and n after the block without the ending's share, becomes that of c
    // and n before it, and the ending is moved there too.
    void differentiate(const State<T>& state, State<T>& grad, Ending<T>& ending) {
        attend(state);
        differentiate_reads();
        differentiate_scores();
        const T kept = entry_[steps_ - 1], through = source(steps_ - 1) < 0 ? T(0) : kept * p_.dot_states(grad, state);
        const T to_end = ending.some ? kept * ending.reach * p_.dot_states(ending.grad, state) : T(0);
        differentiate_queries(state);
        differentiate_keys(grad, ending);
        differentiate_values(grad, ending);
        differentiate_gates(through, to_end, ending);
        differentiate_state(grad);
        ending.reach *= kept;
        ending.some = ending.some && ending.reach != 0;
    }

    // Nothing flows on to what stands behind the next block that is differentiated: a row ends there, or a reset follows.
    void cut() { onward_ = 0; }

    // The gradient of the log of the block's first forget gate, and so that of m before it.
    T first() const { return grad_first_; }

private:
    Given<T> given(int64_t address, long width) const {
        return {p_.place(address, row_, begin_, head_, width), p_.stride(width)};
    }

    void gates(T m) {
        const T *i = p_.place(p_.call.i, row_, begin_, head_, 1), *f = p_.place(p_.call.f, row_, begin_, head_, 1);
        for (long t = 0; t < steps_; ++t, i += p_.heads, f += p_.heads) {
            const T kept = std::min(*f, T(0)) - std::log1p(std::exp(-std::abs(*f))) + m;
            m = kept >= *i ? kept : *i;
            passes_[t] = kept > *i ? T(1) : kept < *i ? T(0) : T(0.5);
            decay_[t] = std::exp(kept - m);
            gain_[t] = std::exp(*i - m);
            level_[t] = m;
            entry_[t] = (t == 0 ? T(1) : entry_[t - 1]) * decay_[t];
        }
        std::fill_n(entry_ + steps_, S - steps_, T(0));
        std::fill_n(weights_.numbers, S * S, T(0));
        for (long t = 0; t < steps_; ++t) {
            T* row = weights_.row(t);
            if (t > 0) scale_into(row, row - S, decay_[t]);
            row[t] = gain_[t];
        }
    }

    // A, and the products of q and n.
    void attend(const State<T>& state) {
        const Given<T> q = given(p_.call.q, p_.keys);
        multiply(T(0), scores_, q, keys_, steps_, p_.keys, S);
        for (long t = 0; t < steps_; ++t) {
            T* row = attention_.row(t);
            for (long j = 0; j < S; j += lanes<T>) {
                store(row + j, load(weights_.row(t) + j) * load(scores_.row(t) + j));
            }
            T total = 0;
            for (long j = 0; j <= t; ++j) total += row[j];
            normal_[t] = entry_[t] * dot(q.row(t), state.n, p_.keys) + total;
        }
    }

    // g and h.
    void differentiate_reads() {
        for (long t = 0; t < steps_; ++t) {
            const T* grad_y = p_.place(p_.call.grad_y, row_, begin_ + t, head_, p_.values);
            const T* y = p_.place(p_.call.y, row_, begin_ + t, head_, p_.values);
            const T least = std::exp(-level_[t]), product = std::abs(normal_[t]), size = std::max(product, least);
            divide(reads_.row(t), grad_y, size, p_.values);
            const T share = product > least ? T(1) : product < least ? T(0) : T(0.5);
            const T sign = normal_[t] > 0 ? T(1) : normal_[t] < 0 ? T(-1) : T(0);
            const T whole = dot(reads_.row(t), y, p_.values);
            grad_normal_[t] = -share * sign * whole;
            arriving_[t] = (1 - share) * whole * size;
        }
        std::fill_n(grad_normal_ + steps_, S - steps_, T(0));
        transpose(turned_grads_, reads_, steps_, p_.values, S, T(1));
        transpose(turned_values_, values_, steps_, p_.values, S, T(1));
        transpose(queries_, given(p_.call.q, p_.keys), steps_, p_.keys, S, T(1));
    }

    // Z in place of W; what flows from step to step; and both A and Z turned.
    void differentiate_scores() {
        std::copy_n(weights_.row(steps_ - 1), S, last_);
        multiply(T(0), flows_, reads_, turned_values_, steps_, p_.values, S);
        for (long t = 0; t < steps_; ++t) {
            for (long j = 0; j < S; j += lanes<T>) {
                const Vector<T> z = load(weights_.row(t) + j) * (load(flows_.row(t) + j) + grad_normal_[t]);
                store(weights_.row(t) + j, z);
                store(flows_.row(t) + j, z * load(scores_.row(t) + j));
            }
        }
        // scores_ is free from here on.
        transpose(scores_, attention_, steps_, S, S, T(1));
        transpose(turned_, weights_, steps_, S, S, T(1));
    }

    void differentiate_queries(const State<T>& state) {
        for (long key = 0; key < p_.keys; ++key) scale_into(grad_keys_.row(key), grad_normal_, state.n[key]);
        multiply(T(1), grad_keys_, state.c, turned_grads_, p_.keys, p_.values, S);
        scale_columns(grad_keys_, grad_keys_, entry_);
        sum_products(entering_, grad_keys_, queries_);
        multiply(T(1), grad_keys_, keys_, turned_, p_.keys, steps_, S);
        put(p_.call.grad_q, T(1));
    }

    void differentiate_keys(const State<T>& grad, const Ending<T>& ending) {
        leave(grad_keys_, grad, T(1), leaving_);
        std::fill_n(ending_, S, T(0));
        if (ending.some) {
            leave(grad_ends_, ending.grad, ending.reach, ending_);
            add_scaled(grad_keys_.numbers, T(1), grad_ends_.numbers, p_.keys * S);
        }
        multiply(T(1), grad_keys_, queries_, weights_, p_.keys, steps_, S);
        put(p_.call.grad_k, p_.scale);
    }

    // What a gradient of the state, times reach, gives to the keys, and how much of it flows from each step.
    void leave(Matrix<T> to, const State<T>& grad, T reach, T* flows) {
        T shares[S];
        scale_into(shares, last_, reach);
        for (long key = 0; key < p_.keys; ++key) std::fill_n(to.row(key), S, grad.n[key]);
        multiply(T(1), to, grad.c, turned_values_, p_.keys, p_.values, S);
        scale_columns(to, to, shares);
        sum_products(flows, to, keys_);
    }

    // Here turned_values_ serves as rows of values.
    void differentiate_values(const State<T>& grad, const Ending<T>& ending) {
        if (!p_.call.grad_v) return;
        const Matrix<T> found{turned_values_.numbers, p_.wide};
        const Given<T> k = given(p_.call.k, p_.keys);
        if (ending.some) multiply(T(0), found, k, ending.grad.c, steps_, p_.keys, p_.columns);
        multiply(ending.some ? ending.reach : T(0), found, k, grad.c, steps_, p_.keys, p_.columns);
        for (long j = 0; j < steps_; ++j) last_[j] *= p_.scale;
        scale_rows(found, last_);
        multiply(T(1), found, scores_, reads_, steps_, steps_, p_.columns);
        for (long j = 0; j < steps_; ++j) {
            std::copy_n(found.row(j), p_.values, p_.place(p_.call.grad_v, row_, begin_ + j, head_, p_.values));
        }
    }

    // The step of the block whose i made m at step t, or -1: that came from before the block.
    long source(long t) const {
        while (t >= 0 && passes_[t] == 1) --t;
        return t;
    }

    // What flows from the gate that made m is what is left of the whole, at every step and behind the block.
    void balance(T& through) {
        for (long t = 0; t < steps_; ++t) {
            T *row = flows_.row(t), *largest = source(t) < 0 ? entering_ + t : row + source(t);
            *largest = 0;
            T others = entering_[t];
            for (long j = 0; j <= t; ++j) others += row[j];
            *largest = arriving_[t] - others;
        }
        T* largest = source(steps_ - 1) < 0 ? &through : leaving_ + source(steps_ - 1);
        *largest = 0;
        T others = through;
        for (long t = 0; t < steps_; ++t) others += leaving_[t];
        *largest = onward_ - others;
    }

    // through: what flows from before the block to reads behind it; to_end: to the state after the row's last step.
    void differentiate_gates(T through, T to_end, Ending<T>& ending) {
        T grad_i[S], grad_kept[S], before[S] = {}, to_ends[S];
        balance(through);
        for (long t = 0; t < steps_; ++t) {
            // before[s]: what flows to s from steps of the block before t.
            T total = through, from = leaving_[t];
            for (long s = t; s < steps_; ++s) {
                total += entering_[s] + before[s];
                from += flows_.row(s)[t];
                before[s] += flows_.row(s)[t];
            }
            grad_i[t] = from;
            grad_kept[t] = total;
            to_ends[t] = to_end;
            through += leaving_[t];
            to_end += ending_[t];
        }
        onward_ = grad_kept[0];
        const T level = ending.grad.m;
        for (long t = steps_; t-- > 0;) {
            const T by_i = ending.chain * (1 - passes_[t]), by_kept = ending.chain * passes_[t];
            grad_i[t] += (1 - by_i) * ending_[t] + by_i * (level - to_ends[t] - ending.later);
            ending.later += ending_[t];
            grad_kept[t] += (1 - by_kept) * to_ends[t] + by_kept * (level - ending.later);
            ending.chain = by_kept;
        }
        grad_first_ = grad_kept[0];
        put_gates(grad_i, grad_kept);
    }

    void put_gates(const T* grad_i, const T* grad_kept) const {
        for (long t = 0; t < steps_; ++t) {
            const T f = *p_.place(p_.call.f, row_, begin_ + t, head_, 1), e = std::exp(-std::abs(f));
            if (p_.call.grad_i) *p_.place(p_.call.grad_i, row_, begin_ + t, head_, 1) = grad_i[t];
            if (p_.call.grad_f) {
                *p_.place(p_.call.grad_f, row_, begin_ + t, head_, 1) = grad_kept[t] * (f > 0 ? e : T(1)) / (1 + e);
            }
        }
    }

    void differentiate_state(State<T>& grad) {
        const T kept = entry_[steps_ - 1];
        scale_columns(queries_, queries_, entry_);
        multiply(kept, grad.c, queries_, reads_, p_.keys, steps_, p_.columns);
        const Given<T> q = given(p_.call.q, p_.keys);
        for (long key = 0; key < p_.keys; ++key) grad.n[key] *= kept;
        for (long t = 0; t < steps_; ++t) add_scaled(grad.n, entry_[t] * grad_normal_[t], q.row(t), p_.keys);
    }

    // grad_keys_ (keys, steps) to a tensor, turned and scaled.
    void put(int64_t address, T scale) {
        if (!address) return;
        const Matrix<T> to{p_.place(address, row_, begin_, head_, p_.keys), p_.stride(p_.keys)};
        constexpr long L = lanes<T>;
        for (long first = 0; first < steps_; first += L) {
            for (long key = 0; key < p_.keys; key += L) {
                Vector<T> square[L];
                for (long row = 0; row < L; ++row) {
                    square[row] = key + row < p_.keys ? scale * load(grad_keys_.row(key + row) + first) : Vector<T>{};
                }
                turn<T>(square);
                for (long step = first; step < std::min(first + L, steps_); ++step) {
                    store(to.row(step) + key, square[step - first], p_.keys - key);
                }
            }
        }
    }

    // to[j] = sum over the keys of one * other.
    void sum_products(T* to, Matrix<T> one, Matrix<T> other) const {
        for (long j = 0; j < S; j += lanes<T>) {
            Vector<T> total = {};
            for (long key = 0; key < p_.keys; ++key) total += load(one.row(key) + j) * load(other.row(key) + j);
            store(to + j, total);
        }
    }
    // The columns of a matrix of keys by steps, each times its factor.
    void scale_columns(Matrix<T> to, Matrix<T> from, const T* factors) const {
        for (long key = 0; key < p_.keys; ++key) {
            for (long j = 0; j < S; j += lanes<T>) store(to.row(key) + j, load(from.row(key) + j) * load(factors + j));
        }
    }
    void scale_rows(Matrix<T> rows, const T* factors) const {
        for (long t = 0; t < steps_; ++t) {
            for (long v = 0; v < p_.columns; v += lanes<T>) store(rows.row(t) + v, load(rows.row(t) + v) * factors[t]);
        }
    }
    static void scale_into(T* to, const T* from, T factor) {
        for (long j = 0; j < S; j += lanes<T>) store(to + j, load(from + j) * factor);
    }
    static void divide(T* to, const T* from, T divisor, long count) {
        for (long v = 0; v < count; v += lanes<T>) store(to + v, load(from + v, count - v) / divisor, count - v);
    }

    const Problem<T>& p_;
    // Steps by steps: W and later Z; s q k and later A turned; A; Z turned; Z s q k. Keys by steps: s k; q; what is found.
    const Matrix<T> weights_, scores_, attention_, turned_, flows_, keys_, queries_, grad_keys_, grad_ends_;
    // Values by steps: v; g. Steps by values: v where it needs padding; read and later g.
    const Matrix<T> turned_values_, turned_grads_, copied_values_, reads_;
    Given<T> values_{nullptr, 0};
    long row_ = 0, head_ = 0, begin_ = 0, steps_ = 0;
    T decay_[S], gain_[S], level_[S], passes_[S], normal_[S], arriving_[S], grad_first_ = 0, onward_ = 0;
    alignas(64) T entry_[S], last_[S], grad_normal_[S], entering_[S], leaving_[S], ending_[S];
};

}  // namespace unrolled::UNROLLED_LEVEL::mlstm
