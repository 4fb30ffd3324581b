// The equations of each cell, forward and backward, for one row and one block of units. Everything else is the walk's.
#pragma once

#include <cmath>

#include "gated/problem.h"

namespace unrolled::UNROLLED_LEVEL {

inline constexpr double epsilon = 1e-5;

// Sums over rows and time of one thread, joined at the end.
template <class T>
struct Sums {
    T *peephole, *bias_h, *norm_h, *norm_c, *start_h, *start_c;
};

// One row at one time. h, c (or their gradients dh, dc) are the team's state of this row; `seen` and `second` are its
// place in a chunk: block u at [u * row_slots * lanes].
template <class T>
struct Row {
    long b, t;
    bool resets;
    // The projected input: gate g of block u at gates + u * block_step + g * gate_step.
    const T* gates;
    long block_step, gate_step;
    const T* mask;
    const uint8_t *zone_h, *zone_c;
    T *y, *memory, *h, *c, *seen, *second, *extra;
    UNROLLED_INLINE Vector<T> gate(long g, long block, long left) const {
        return load(gates + block * block_step + g * gate_step, left);
    }
    // Of the backward pass; h_old and c_old are the state before the step.
    const T *h_old, *c_old, *grad_y;
    // `inputs` is the row's place in a chunk of its own for the gradients of the projected input, in cells whose recurrent
    // product has others.
    T *inputs, *grad_gates, *grad_recurrent, *previous, *grad_mask, *grad_projected, *unprojected, *gated;
};

template <class T>
UNROLLED_INLINE T* place(T* chunk, long block) {
    return chunk + block * row_slots * lanes<T>;
}

// The new value, or the old one where the mask says so; the expectation where there is a rate and no mask.
template <class T>
UNROLLED_INLINE Vector<T> zone(Vector<T> fresh, Vector<T> old, const uint8_t* mask, long j, long left, T rate) {
    if (mask) return choose<T>(mask + j, left, fresh, old);
    return rate == T(0) ? fresh : rate * old + (T(1) - rate) * fresh;
}

// The part of a gradient that goes to the new value; `old` becomes the part that passes to the old one.
template <class T>
UNROLLED_INLINE Vector<T> unzone(Vector<T> gradient, Vector<T>& old, const uint8_t* mask, long j, long left, T rate) {
    if (mask) {
        old = choose<T>(mask + j, left, Vector<T>{}, gradient);
        return choose<T>(mask + j, left, gradient, Vector<T>{});
    }
    old = gradient * rate;
    return rate == T(0) ? gradient : (T(1) - rate) * gradient;
}

// What the cells share: sizes, options, the state's way in and out.
template <class T>
struct CellBase {
    explicit CellBase(const Problem<T>& problem)
        : H(problem.hidden()),
          O(problem.output()),
          peephole(problem.at(problem.call.peephole)),
          bias_h(problem.at(problem.call.bias_h)),
          norm_h(problem.at(problem.call.norm_h)),
          norm_c(problem.at(problem.call.norm_c)),
          projected(problem.call.weight_p != 0),
          rate_h(static_cast<T>(problem.call.rate_h)),
          rate_c(static_cast<T>(problem.call.rate_c)) {}

    static constexpr long L = lanes<T>;
    long H, O;
    const T *peephole, *bias_h, *norm_h, *norm_c;
    bool projected;
    T rate_h, rate_c;

    bool whole_rows() const { return norm_h != nullptr || norm_c != nullptr; }

    // h, before zoning, becomes the state and the output.
    UNROLLED_INLINE void keep(const Row<T>& row, long block, Vector<T> fresh) const {
        const long j = block * L, left = O - j;
        const Vector<T> h = zone<T>(fresh, load(row.h + j), row.zone_h, j, left, rate_h);
        store(row.h + j, cut<T>(h, left));
        store(row.y + j, h, left);
    }
    // The gradient of the new h; row.h keeps what passes to the old one.
    UNROLLED_INLINE Vector<T> incoming(const Row<T>& row, long block) const {
        const long j = block * L, left = O - j;
        Vector<T> old;
        const Vector<T> fresh =
            unzone<T>(load(row.h + j) + load(row.grad_y + j, left), old, row.zone_h, j, left, rate_h);
        store(row.h + j, old);
        return fresh;
    }
    // What a cell without such a part does in its place.
    void normalise_rows(const Row<T>&, T*) const {}
    void normalise_second(const Row<T>&, T*) const {}
    void finish(const Row<T>&) const {}
    void finish_second(const Row<T>&, long, const T*) const {}
    void begin_back(const Row<T>&, long) const {}
    void back_through_norm(const Row<T>&, const T*, Sums<T>&) const {}
    void unnormalise_rows(const Row<T>&, T*, Sums<T>&) const {}
    void unnormalise_second(const Row<T>&, T*, Sums<T>&) const {}

    // One gate's gradient: to the caller's tensor and to where the product takes it from.
    UNROLLED_INLINE void give(const Row<T>& row, long gate, long j, Vector<T> gradient, T* to) const {
        store(to, cut<T>(gradient, H - j));
        if (row.grad_gates) store(row.grad_gates + gate * H + j, gradient, H - j);
    }
};

// Layer norm of gates [first, last) of a row (values at [(block * gates + gate) * lanes]), in place, times their gains.
// `hat` receives the normalised values, gate by gate, and `inverse` one over the deviation; both may be null.
template <class T>
void normalise(T* values, long gates, long first, long last, long H, const T* gain, T* hat, T* inverse) {
    constexpr long L = lanes<T>;
    const T count = static_cast<T>((last - first) * H);
    Vector<T> total = {}, squares = {};
    for (long block = 0; block * L < H; ++block)
        for (long gate = first; gate < last; ++gate) total += load(values + (block * gates + gate) * L);
    const T mean = sum<T>(total) / count;
    for (long j = 0; j < H; j += L) {
        for (long gate = first; gate < last; ++gate) {
            const Vector<T> value = load(values + (j / L * gates + gate) * L);
            Vector<T> apart = value - mean;
            for (long lane = H - j; lane < L; ++lane) apart[lane] = 0;
            squares += apart * apart;
            store(values + (j / L * gates + gate) * L, apart);
        }
    }
    const T scale = T(1) / std::sqrt(sum<T>(squares) / count + T(epsilon));
    if (inverse) *inverse = scale;
    for (long j = 0; j < H; j += L)
        for (long gate = first; gate < last; ++gate) {
            T* value = values + (j / L * gates + gate) * L;
            const Vector<T> normal = load(value) * scale;
            if (hat) store(hat + gate * H + j, normal, H - j);
            store(value, normal * load(gain + gate * H + j, H - j));
        }
}

// The gradient through `normalise`: gradients of its results become those of its inputs; the gains' are added up.
template <class T>
void unnormalise(T* gradients, long gates, long first, long last, long H, const T* gain, const T* hat, T inverse,
                 T* gain_sums) {
    constexpr long L = lanes<T>;
    const T count = static_cast<T>((last - first) * H);
    Vector<T> total = {}, along = {};
    for (long j = 0; j < H; j += L)
        for (long gate = first; gate < last; ++gate) {
            T* gradient = gradients + (j / L * gates + gate) * L;
            T* gain_sum = gain_sums + gate * padded<T>(H) + j;
            const Vector<T> incoming = load(gradient), normal = load(hat + gate * H + j, H - j);
            store(gain_sum, load(gain_sum) + incoming * normal);
            const Vector<T> inner = incoming * load(gain + gate * H + j, H - j);
            store(gradient, inner);
            total += inner;
            along += inner * normal;
        }
    const T mean = sum<T>(total) / count, slope = sum<T>(along) / count;
    for (long j = 0; j < H; j += L)
        for (long gate = first; gate < last; ++gate) {
            T* gradient = gradients + (j / L * gates + gate) * L;
            Vector<T> inner = inverse * (load(gradient) - mean - load(hat + gate * H + j, H - j) * slope);
            for (long lane = H - j; lane < L; ++lane) inner[lane] = 0;
            store(gradient, inner);
        }
}

template <class T, bool relu>
struct Rnn : CellBase<T> {
    using Base = CellBase<T>;
    using Base::H, Base::L;
    static constexpr int gates = 1, all_gates = 1;
    static constexpr bool second_always = false, inputs_apart = false;
    using Base::Base;

    void point(const Row<T>& row, long block, const T* product) const {
        const long j = block * L, left = H - j;
        const Vector<T> x = row.gate(0, block, left) + load(product);
        // NaN is not below zero, so it stays, as in torch.
        const Vector<T> h = relu ? (x < T(0) ? Vector<T>{} : x) : tanh<T>(x);
        if (row.memory) store(row.memory + j, h, left);
        Base::keep(row, block, h);
    }
    void back(const Row<T>& row, long block, Vector<T> dh, T* to, long, Sums<T>&) const {
        const long j = block * L;
        const Vector<T> h = load(row.memory + j, H - j);
        // A NaN is not below zero here either.
        Base::give(row, 0, j, relu ? (h <= T(0) ? Vector<T>{} : dh) : dh * (T(1) - h * h), to);
    }
};

// Memory of a row: i, f, g, o (i, g, o when coupled), c; with norm_h the normalised product and one over its deviation.
template <class T, bool coupled>
struct Lstm : CellBase<T> {
    using Base = CellBase<T>;
    using Base::H, Base::L, Base::norm_c, Base::norm_h, Base::peephole, Base::rate_c;
    static constexpr int gates = coupled ? 3 : 4, all_gates = gates;
    static constexpr bool second_always = false, inputs_apart = false;
    using Base::Base;

    T* hat(T* memory) const { return memory ? memory + (gates + 1) * H : nullptr; }
    T* inverse(T* memory) const { return memory ? memory + (2 * gates + 1) * H : nullptr; }

    void normalise_rows(const Row<T>& row, T* product) const {
        if (norm_h) normalise<T>(product, gates, 0, gates, H, norm_h, hat(row.memory), inverse(row.memory));
    }
    void point(const Row<T>& row, long block, const T* product) const {
        const long j = block * L, left = H - j;
        const auto gate = [&](int g) __attribute__((always_inline)) { return row.gate(g, block, left) + load(product + g * L); };
        const auto peep = [&](int g, Vector<T> c) __attribute__((always_inline)) {
            return peephole ? load(peephole + g * H + j, left) * c : Vector<T>{};
        };
        const Vector<T> old = load(row.c + j);
        const Vector<T> i = sigmoid<T>(gate(0) + peep(0, old));
        const Vector<T> f = coupled ? T(1) - i : sigmoid<T>(gate(1) + peep(1, old));
        const Vector<T> g = tanh<T>(gate(gates - 2));
        const Vector<T> c = f * old + i * g;
        const Vector<T> o = sigmoid<T>(gate(gates - 1) + peep(gates - 2, c));
        const Vector<T> kept = zone<T>(c, old, row.zone_c, j, left, rate_c);
        store(row.c + j, kept);
        if (row.memory) {
            T* memory = row.memory + j;
            store(memory, i, left);
            if (!coupled) store(memory + H, f, left);
            store(memory + (gates - 2) * H, g, left);
            store(memory + (gates - 1) * H, o, left);
            store(memory + gates * H, kept, left);
        }
        if (norm_c) {
            store(row.extra + j, c);
            store(row.extra + padded<T>(H) + j, o);
        } else {
            emit(row, block, o * tanh<T>(c));
        }
    }
    // With norm_c, h waits until the whole c is there; `extra` holds c and o.
    void finish(const Row<T>& row) const {
        if (!norm_c) return;
        const auto [mean, scale] = c_moments(row.extra);
        for (long j = 0; j < H; j += L) {
            const Vector<T> normal = (load(row.extra + j) - mean) * scale;
            const Vector<T> inside = normal * load(norm_c + j, H - j) + load(norm_c + H + j, H - j);
            emit(row, j / L, load(row.extra + padded<T>(H) + j) * tanh<T>(inside));
        }
    }
    UNROLLED_INLINE void emit(const Row<T>& row, long block, Vector<T> h) const {
        if (Base::projected) {
            store(place(row.second, block), cut<T>(h, H - block * L));
        } else {
            Base::keep(row, block, h);
        }
    }
    void finish_second(const Row<T>& row, long block, const T* product) const { Base::keep(row, block, load(product)); }

    void begin_back(const Row<T>& row, long block) const {
        const Vector<T> dh = Base::incoming(row, block);
        store(place(row.second, block), cut<T>(dh, Base::O - block * L));
        if (row.grad_projected) store(row.grad_projected + block * L, dh, Base::O - block * L);
    }
    struct Values {
        Vector<T> i, f, g, o, old, c;
    };
    UNROLLED_INLINE Values values(const Row<T>& row, long j, long left) const {
        const T* memory = row.memory + j;
        Values v;
        v.i = load(memory, left);
        v.f = coupled ? T(1) - v.i : load(memory + H, left);
        v.g = load(memory + (gates - 2) * H, left);
        v.o = load(memory + (gates - 1) * H, left);
        v.old = load(row.c_old + j, left);
        v.c = v.f * v.old + v.i * v.g;
        return v;
    }
    // The gradient of c through its layer norm, for the whole row: `extra` receives it, then tanh of the normed c.
    void back_through_norm(const Row<T>& row, const T* dh, Sums<T>& sums) const {
        if (!norm_c) return;
        const long wide = padded<T>(H);
        for (long j = 0; j < H; j += L) store(row.extra + j, values(row, j, H - j).c);
        // Of these very values, not of the forward pass's: a c that is nearly constant would multiply what differs.
        const auto [c_mean, scale] = c_moments(row.extra);
        Vector<T> total = {}, along = {};
        for (long j = 0; j < H; j += L) {
            const long left = H - j;
            const Values v = values(row, j, left);
            const Vector<T> normal = (load(row.extra + j) - c_mean) * scale;
            const Vector<T> gain = load(norm_c + j, left);
            const Vector<T> squashed = tanh<T>(normal * gain + load(norm_c + H + j, left));
            const Vector<T> incoming = cut<T>(load(dh + j), left);
            const Vector<T> inside = incoming * v.o * (T(1) - squashed * squashed), inner = inside * gain;
            store(sums.norm_c + j, load(sums.norm_c + j) + inside * normal);
            store(sums.norm_c + wide + j, load(sums.norm_c + wide + j) + inside);
            store(row.extra + j, inner);
            store(row.extra + wide + j, squashed);
            total += inner;
            along += inner * normal;
        }
        const T mean = sum<T>(total) / T(H), slope = sum<T>(along) / T(H);
        for (long j = 0; j < H; j += L) {
            const Vector<T> normal = (values(row, j, H - j).c - c_mean) * scale;
            store(row.extra + j, scale * (load(row.extra + j) - mean - normal * slope));
        }
    }
    void back(const Row<T>& row, long block, Vector<T> dh, T* to, long stride, Sums<T>& sums) const {
        const long j = block * L, left = H - j;
        const Values v = values(row, j, left);
        const Vector<T> squashed = norm_c ? load(row.extra + padded<T>(H) + j) : tanh<T>(v.c);
        if (row.unprojected) store(row.unprojected + j, v.o * squashed, left);
        const Vector<T> d_o = dh * squashed * v.o * (T(1) - v.o);
        Vector<T> passed;
        Vector<T> dc = unzone<T>(load(row.c + j), passed, row.zone_c, j, left, rate_c);
        dc += norm_c ? load(row.extra + j) : dh * v.o * (T(1) - squashed * squashed);
        if (peephole) dc += d_o * load(peephole + (gates - 2) * H + j, left);
        const Vector<T> slope = v.i * (T(1) - v.i);
        const Vector<T> d_i = dc * (coupled ? v.g - v.old : v.g) * slope;
        const Vector<T> d_f = dc * v.old * v.f * (T(1) - v.f);
        Vector<T> old = passed + dc * v.f;
        if (peephole) {
            old += d_i * load(peephole + j, left);
            if (!coupled) old += d_f * load(peephole + H + j, left);
            peep_sums(sums, j, d_i, d_f, d_o, v);
        }
        store(row.c + j, old);
        Base::give(row, 0, j, d_i, to);
        if (!coupled) Base::give(row, 1, j, d_f, to + stride);
        Base::give(row, gates - 2, j, dc * v.i * (T(1) - v.g * v.g), to + (gates - 2) * stride);
        Base::give(row, gates - 1, j, d_o, to + (gates - 1) * stride);
    }
    void unnormalise_rows(const Row<T>& row, T* gradients, Sums<T>& sums) const {
        if (norm_h)
            unnormalise<T>(gradients, gates, 0, gates, H, norm_h, hat(row.memory), *inverse(row.memory), sums.norm_h);
    }

private:
    struct Moments {
        T mean, scale;
    };
    Moments c_moments(const T* c) const {
        Vector<T> total = {}, squares = {};
        for (long j = 0; j < H; j += L) total += load(c + j, H - j);
        const T mean = sum<T>(total) / T(H);
        for (long j = 0; j < H; j += L) {
            Vector<T> apart = load(c + j) - mean;
            for (long lane = H - j; lane < L; ++lane) apart[lane] = 0;
            squares += apart * apart;
        }
        return {mean, T(1) / std::sqrt(sum<T>(squares) / T(H) + T(epsilon))};
    }
    void peep_sums(Sums<T>& sums, long j, Vector<T> d_i, Vector<T> d_f, Vector<T> d_o, const Values& v) const {
        T* sum = sums.peephole + j;
        const long wide = padded<T>(H);
        store(sum, load(sum) + d_i * v.old);
        if (!coupled) store(sum + wide, load(sum + wide) + d_f * v.old);
        store(sum + (gates - 2) * wide, load(sum + (gates - 2) * wide) + d_o * v.c);
    }
};

// Memory of a row: r, z, n, and (reset after) the candidate's product with its bias; with norm_h the normalised products
// and one over the deviation of r and z together, and of n.
template <class T, bool after>
struct Gru : CellBase<T> {
    using Base = CellBase<T>;
    using Base::H, Base::L, Base::bias_h, Base::norm_h;
    static constexpr int gates = after ? 3 : 2, all_gates = 3;
    static constexpr bool second_always = !after, inputs_apart = true;
    using Base::Base;

    T* hat(T* memory) const { return memory ? memory + 4 * H : nullptr; }
    T* inverse(T* memory) const { return memory ? memory + 7 * H : nullptr; }
    T* inverse_n(T* memory) const { return memory ? memory + 7 * H + 1 : nullptr; }
    // `hat` of the second product, whose only gate is n.
    T* hat_n(T* memory) const { return memory ? memory + 6 * H : nullptr; }

    void normalise_rows(const Row<T>& row, T* product) const {
        if (!norm_h) return;
        normalise<T>(product, gates, 0, 2, H, norm_h, hat(row.memory), inverse(row.memory));
        if (after) normalise<T>(product, gates, 2, 3, H, norm_h, hat(row.memory), inverse_n(row.memory));
    }
    void normalise_second(const Row<T>& row, T* product) const {
        if (norm_h) normalise<T>(product, 1, 0, 1, H, norm_h + 2 * H, hat_n(row.memory), inverse_n(row.memory));
    }
    void point(const Row<T>& row, long block, const T* product) const {
        const long j = block * L, left = H - j;
        const Vector<T> r = sigmoid<T>(row.gate(0, block, left) + load(product));
        const Vector<T> z = sigmoid<T>(row.gate(1, block, left) + load(product + L));
        if (row.memory) {
            store(row.memory + j, r, left);
            store(row.memory + H + j, z, left);
        }
        if constexpr (after) {
            Vector<T> q = load(product + 2 * L);
            if (bias_h) q += load(bias_h + j, left);
            if (row.memory) store(row.memory + 3 * H + j, q, left);
            choose_candidate(row, block, z, tanh<T>(row.gate(2, block, left) + r * q));
        } else {
            store(place(row.second, block), cut<T>(r * load(place(row.seen, block)), left));
            store(row.extra + j, z);
        }
    }
    void finish_second(const Row<T>& row, long block, const T* product) const {
        const long j = block * L;
        choose_candidate(row, block, load(row.extra + j), tanh<T>(row.gate(2, block, H - j) + load(product)));
    }
    UNROLLED_INLINE void choose_candidate(const Row<T>& row, long block, Vector<T> z, Vector<T> n) const {
        const long j = block * L;
        if (row.memory) store(row.memory + 2 * H + j, n, H - j);
        Base::keep(row, block, z * load(row.h + j) + (T(1) - z) * n);
    }

    struct Values {
        Vector<T> r, z, n, old;
    };
    UNROLLED_INLINE Values values(const Row<T>& row, long j, long left) const {
        return {load(row.memory + j, left), load(row.memory + H + j, left), load(row.memory + 2 * H + j, left),
                load(row.h_old + j, left)};
    }
    // Reset before: the candidate's gradient, from which the second product makes that of r * h. row.extra keeps dh.
    void begin_back(const Row<T>& row, long block) const {
        const long j = block * L, left = H - j;
        const Values v = values(row, j, left);
        const Vector<T> dh = Base::incoming(row, block);
        store(row.extra + j, dh);
        const Vector<T> dn = dh * (T(1) - v.z) * (T(1) - v.n * v.n);
        store(place(row.second, block), cut<T>(dn, left));
        give_input(row, 2, j, dn);
    }
    void unnormalise_second(const Row<T>& row, T* gradients, Sums<T>& sums) const {
        if (norm_h)
            unnormalise<T>(gradients, 1, 0, 1, H, norm_h + 2 * H, hat_n(row.memory), *inverse_n(row.memory),
                           sums.norm_h + 2 * padded<T>(H));
    }
    // dh: the gradient of h (reset after), or of r * h (reset before).
    void back(const Row<T>& row, long block, Vector<T> dh, T* to, long stride, Sums<T>& sums) const {
        const long j = block * L, left = H - j;
        const Values v = values(row, j, left);
        Vector<T> dr;
        if constexpr (after) {
            const Vector<T> dn = dh * (T(1) - v.z) * (T(1) - v.n * v.n), dq = dn * v.r;
            dr = dn * load(row.memory + 3 * H + j, left);
            give_input(row, 2, j, dn);
            store(to + 2 * stride, cut<T>(dq, left));
            if (bias_h) store(sums.bias_h + j, load(sums.bias_h + j) + dq);
        } else {
            const Vector<T> seen = row.mask ? v.old * load(row.mask + j, left) : v.old;
            if (row.gated) store(row.gated + j, v.r * seen, left);
            dr = dh * seen;
            const Vector<T> through = dh * v.r;
            dh = load(row.extra + j);
            store(row.extra + j, through);
        }
        const Vector<T> d_r = dr * v.r * (T(1) - v.r);
        const Vector<T> d_z = dh * (v.old - v.n) * v.z * (T(1) - v.z);
        store(row.h + j, load(row.h + j) + dh * v.z);
        store(to, cut<T>(d_r, left));
        store(to + stride, cut<T>(d_z, left));
        give_input(row, 0, j, d_r);
        give_input(row, 1, j, d_z);
    }
    // The gradient of a projected gate, which differs from that of the recurrent product.
    void give_input(const Row<T>& row, long gate, long j, Vector<T> gradient) const {
        if (row.grad_gates) store(row.grad_gates + gate * H + j, gradient, H - j);
        if (row.inputs) store(place(row.inputs, j / L * all_gates + gate), cut<T>(gradient, H - j));
    }
    void unnormalise_rows(const Row<T>& row, T* gradients, Sums<T>& sums) const {
        if (!norm_h) return;
        T* memory = row.memory;
        unnormalise<T>(gradients, gates, 0, 2, H, norm_h, hat(memory), *inverse(memory), sums.norm_h);
        if (after) unnormalise<T>(gradients, gates, 2, 3, H, norm_h, hat(memory), *inverse_n(memory), sums.norm_h);
    }
};

}  // namespace unrolled::UNROLLED_LEVEL
