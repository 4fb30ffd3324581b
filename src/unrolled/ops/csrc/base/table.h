// What Python hands over, and what one instruction-set level offers. Nothing here depends on the level.
#pragma once

#include <cstdint>

namespace unrolled {

// B batch, T time, H hidden, O output (O < H only with a projection), G gates. Addresses are of contiguous memory; 0 means
// absent. Floating tensors have the type that `type` names.
//
// cell      0 RNN tanh, 1 RNN relu, 2 LSTM, 3 LSTM coupled, 4 GRU reset after, 5 GRU reset before
// type      0 float, 1 double
// threads   the most that may be used
// reverse   1: from right to left, each row from its own end
// time_first  1: gates, y and whatever else has a time are (T, B, ...); without lengths only
// gates (B, T, G H), or x (B, T, I), weight_x (G H, I) and bias (G H), of which the gates are made here; h0 (B, O), c0 (B, H), weight_h (G H, O), peephole (G - 1, H), weight_p (O, H), bias_h (H),
// norm_h (G H), norm_c (2, H), mask_h (B, T, O) or, with mask_steps 0, (B, O) for all steps, zone_h (B, T, O) bool,
// zone_c (B, T, H) bool, lengths (B) int64, reset (B, T) bool, start_h (start_rows, O), start_c (start_rows, H)
// y (B, T, O), h (B, O), c (B, H), memory (B, T, memory_width)
//
// Of the backward pass: grad_y, grad_h, grad_c come in; all else goes out, each where its address is given.
// grad_x, grad_weight_x, grad_bias, grad_weight_h: as what they are the gradients of (grad_weight_h not for reset before)
// grad_recurrent (B, T, G H): of weight_h's product before its layer norm, where it differs from grad_gates
// previous (B, T, O): the masked h that weight_h saw; grad_projected (B, T, O) and unprojected (B, T, H): of weight_p's product;
// gated (B, T, H): r * h that the candidate's matrix saw (reset before)
#define UNROLLED_GATED_FIELDS(X)                                                                                       \
    X(cell) X(type) X(threads) X(batch) X(time) X(time_first) X(reverse) X(hidden) X(output)                                     \
    X(gates) X(x) X(input) X(weight_x) X(bias) X(h0) X(c0) X(weight_h) X(peephole) X(weight_p) X(bias_h) X(norm_h) X(norm_c)                            \
    X(mask_h) X(mask_steps) X(zone_h) X(zone_c) X(lengths) X(reset) X(start_h) X(start_c) X(start_rows)               \
    X(y) X(h) X(c) X(memory) X(memory_width)                                                                          \
    X(grad_y) X(grad_h) X(grad_c) X(grad_gates) X(grad_recurrent) X(grad_h0) X(grad_c0) X(grad_peephole)              \
    X(grad_bias_h) X(grad_norm_h) X(grad_norm_c) X(grad_mask_h) X(grad_start_h) X(grad_start_c)                       \
    X(grad_x) X(grad_weight_x) X(grad_bias) X(grad_weight_h)                                                           \
    X(previous) X(grad_projected) X(unprojected) X(gated)

struct GatedCall {
#define X(name) int64_t name;
    UNROLLED_GATED_FIELDS(X)
#undef X
    double rate_h;
    double rate_c;
};

// h_t = a_t h_(t-1) + b_t over (B, T, W). The same rules for lengths, reset and start.
//
// form      0 decay holds a and drive holds b
//           1 minGRU: gates (B, T, 2 W), in the order z, candidate, of which a and b are made here
//           2 minLSTM: gates (B, T, 3 W), in the order f, i, candidate
//           3 complex, one a for all times: decay (2, W), drive and y (B, T, 2, W), states (B, 2, W), real parts first;
//             grad_decay (B, 2, W) is to be added up
// positive  1: the candidate of forms 1 and 2 goes through g(x) = x + 0.5 for x >= 0, else sigmoid(x)
#define UNROLLED_DIAGONAL_FIELDS(X)                                                                                    \
    X(type) X(threads) X(batch) X(time) X(width) X(form) X(positive)                                                  \
    X(decay) X(drive) X(gates) X(h0) X(lengths) X(reset) X(start_h) X(start_rows) X(y) X(h)                            \
    X(grad_y) X(grad_h) X(grad_decay) X(grad_drive) X(grad_gates) X(grad_h0) X(grad_start_h)

struct DiagonalCall {
#define X(name) int64_t name;
    UNROLLED_DIAGONAL_FIELDS(X)
#undef X
};

// The ops slstm, mlstm and delta: fields by the names of the op's tensors, in the shapes of its reference.py; grad_ and such
// a name is the gradient of that tensor, start gradients (B, ...) even where start has one row. width, keys, values: of one
// head. chunk: steps between two states that the memory keeps. exponential: sLSTM's forget gate is exp, else a sigmoid.
#define UNROLLED_SLSTM_FIELDS(X)                                                                                       \
    X(type) X(threads) X(batch) X(time) X(heads) X(width) X(exponential)                                              \
    X(gates) X(h0) X(c0) X(n0) X(m0) X(weight_h) X(lengths) X(reset)                                                   \
    X(start_h) X(start_c) X(start_n) X(start_m) X(start_rows) X(y) X(h) X(c) X(n) X(m) X(memory)                       \
    X(grad_y) X(grad_h) X(grad_c) X(grad_n) X(grad_m)                                                                  \
    X(grad_gates) X(grad_h0) X(grad_c0) X(grad_n0) X(grad_m0) X(grad_weight_h)                                         \
    X(grad_start_h) X(grad_start_c) X(grad_start_n) X(grad_start_m)

struct SLSTMCall {
#define X(name) int64_t name;
    UNROLLED_SLSTM_FIELDS(X)
#undef X
};

#define UNROLLED_MLSTM_FIELDS(X)                                                                                       \
    X(type) X(threads) X(batch) X(time) X(heads) X(keys) X(values) X(chunk)                                            \
    X(q) X(c0) X(n0) X(m0) X(k) X(v) X(i) X(f) X(lengths) X(reset) X(start_c) X(start_n) X(start_m) X(start_rows)      \
    X(y) X(c) X(n) X(m) X(memory) X(grad_y) X(grad_c) X(grad_n) X(grad_m)                                              \
    X(grad_q) X(grad_c0) X(grad_n0) X(grad_m0) X(grad_k) X(grad_v) X(grad_i) X(grad_f)                                 \
    X(grad_start_c) X(grad_start_n) X(grad_start_m)

struct MLSTMCall {
#define X(name) int64_t name;
    UNROLLED_MLSTM_FIELDS(X)
#undef X
};

#define UNROLLED_DELTA_FIELDS(X)                                                                                       \
    X(type) X(threads) X(batch) X(time) X(heads) X(keys) X(values) X(chunk)                                            \
    X(q) X(s0) X(w) X(k) X(v) X(a) X(b) X(lengths) X(reset) X(start_s) X(start_rows)                                   \
    X(y) X(s) X(memory) X(grad_y) X(grad_s)                                                                            \
    X(grad_q) X(grad_s0) X(grad_w) X(grad_k) X(grad_v) X(grad_a) X(grad_b) X(grad_start_s)

struct DeltaCall {
#define X(name) int64_t name;
    UNROLLED_DELTA_FIELDS(X)
#undef X
};

// One layer of a stepper. Of the gated fields it reads the kind of cell, the sizes and the weights, and copies what it
// needs; norm_x (G H). stored: 0 weights as they are, 1 bf16, 2 int8.
#define UNROLLED_LIVE_FIELDS(X) X(norm_x) X(stored)

struct LiveCall : GatedCall {
#define X(name) int64_t name;
    UNROLLED_LIVE_FIELDS(X)
#undef X
};

// Rows of the state: those listed in `rows`, or, if it is null, the first `count`. leaves: of a gated cell h (count, O),
// and c (count, H) where it has one; of a program those that it declares.
struct LiveState {
    void* const* leaves;
    int64_t leaf_count;
    const int64_t* rows;
    int64_t count;
};

// Defined in live/program.h.
struct ProgramCall;

struct Table {
    const char* name;
    void (*gated_forward)(const GatedCall&);
    void (*gated_backward)(const GatedCall&);
    void (*diagonal_forward)(const DiagonalCall&);
    void (*diagonal_backward)(const DiagonalCall&);
    void (*slstm_forward)(const SLSTMCall&);
    void (*slstm_backward)(const SLSTMCall&);
    void (*mlstm_forward)(const MLSTMCall&);
    void (*mlstm_backward)(const MLSTMCall&);
    void (*delta_forward)(const DeltaCall&);
    void (*delta_backward)(const DeltaCall&);
    // live_step: x (time, B, I) -> y (time, B, O), on at most `threads` threads; the state stays in the layer.
    void* (*live_create)(const LiveCall&);
    void* (*program_create)(const ProgramCall&);
    void (*live_step)(void* layer, const void* x, void* y, long time, long threads);
    void (*live_get)(void* layer, const LiveState&);
    void (*live_set)(void* layer, const LiveState&);
    void (*live_free)(void* layer);
};

// The table of the level in use, defined in module.cpp.
const Table* current_table();

}  // namespace unrolled
