// What one level offers for whole sequences of the gated cells.
#pragma once

#include "gated/backward.h"
#include "gated/forward.h"

namespace unrolled::UNROLLED_LEVEL {

// The memory of this thread's calls.
inline Arena& arena() {
    static thread_local Arena memory(huge_page);
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
