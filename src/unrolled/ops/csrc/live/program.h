// A live layer as a program: instructions over named buffers, all of which one call runs for one step.
#pragma once

#include <cstdint>
#include <vector>

#include "base/table.h"

namespace unrolled {

// What instructions do, in the order of their numbers. Places are those of ProgramStep, the last of them are written; `width`
// is of one of `groups` groups that stand side by side. Numbers n, m.
//
// linear        y = x @ weight^T + bias in each group: x, y; weight (groups, sizes[2], width), bias (groups sizes[2]) or 0
// layer         the live layer of the number `weight`: x, y; sizes[2] is the width of y
// window        y = bias + sum over its lines of weight * (past, x), and past moves on by x: x, weight, bias, past, y
// slstm         gates i, f, z, o, state h, c, n, m, y; exponential forget gate where sizes[2] is 1
// mlstm         q, k, v, i, f, state c, n, m, y; width is that of keys, sizes[2] that of values
// delta         q, decay, k, v, a, b, state s, y; sizes as for mlstm
// gather        y = row number x of weight (sizes[2], width), NaN where there is none: x, y
// group_sum     y (groups) = sum of x in each group: x, y
// group_max     y (groups) = the largest of x in each group: x, y
// spread        y (groups, width) = x (groups) at each unit: x, y
// layer_norm    (x - mean) / sqrt(variance + n) in each group: x, y
// rms_norm      x / sqrt(mean of squares + n): x, y
// unit_norm     x / max(norm, n): x, y
// l2_norm       x / sqrt(sum of squares + n): x, y
// The others are pointwise: of x (and a second and third operand) to y.
#define UNROLLED_PROGRAM_OPS(X)                                                                                        \
    X(linear) X(layer) X(window) X(slstm) X(mlstm) X(delta) X(gather) X(group_sum) X(group_max) X(spread)              \
    X(layer_norm) X(rms_norm) X(unit_norm) X(l2_norm)                                                                  \
    UNROLLED_PROGRAM_UNARY(X) UNROLLED_PROGRAM_BINARY(X) UNROLLED_PROGRAM_TERNARY(X)

// affine: n x + m.
#define UNROLLED_PROGRAM_UNARY(X)                                                                                      \
    X(copy) X(affine) X(exp) X(expm1) X(log) X(log1p) X(sqrt) X(sin) X(cos) X(abs) X(tanh) X(sigmoid) X(logsigmoid)    \
    X(silu) X(softplus) X(gelu) X(relu) X(square)
#define UNROLLED_PROGRAM_BINARY(X) X(add) X(subtract) X(multiply) X(divide) X(maximum) X(minimum)
// multiply_add: x second + third; lerp: x + third (second - x); choose: second where x >= 0, else third.
#define UNROLLED_PROGRAM_TERNARY(X) X(multiply_add) X(lerp) X(choose)

enum class ProgramOp : int64_t {
#define X(name) name,
    UNROLLED_PROGRAM_OPS(X)
#undef X
};

// One buffer of `lines` lines of `width` numbers for each row; or, with an address, a constant of the same for all rows.
struct ProgramBuffer {
    int64_t lines, width, address;
};

// Number `offset` of a buffer, counted over its lines as if they stood side by side, and what follows it in its line.
struct ProgramPlace {
    int64_t buffer, offset;
};

struct ProgramStep {
    static constexpr int most_places = 10;
    int64_t op;
    ProgramPlace places[most_places];
    // width, groups, and a third where the op has one.
    int64_t sizes[3];
    double numbers[2];
    int64_t weight, bias;
};

// A leaf of the state: a buffer, or, where `layer` is not -1, what the live layer of that number keeps there itself.
struct ProgramLeaf {
    int64_t buffer, layer;
};

// type, stored: as in LiveCall. The step's x goes to the first buffer. layers: made by live_create or program_create; they
// are the program's from then on.
struct ProgramCall {
    int64_t type, stored, batch, input, output;
    std::vector<ProgramBuffer> buffers;
    std::vector<ProgramStep> steps;
    std::vector<ProgramLeaf> leaves;
    std::vector<void*> layers;
    ProgramPlace y;
};

#if defined(UNROLLED_LEVEL)
namespace UNROLLED_LEVEL {
void* program_create(const ProgramCall& call);
}
#endif

}  // namespace unrolled
