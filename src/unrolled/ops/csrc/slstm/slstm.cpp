// The scalar long short-term memory.
#include "slstm/slstm.h"

#include "slstm/backward.h"
#include "slstm/forward.h"

namespace unrolled::UNROLLED_LEVEL {

namespace {

// The memory of this thread's calls.
Arena& own_arena() {
    static thread_local Arena memory(huge_page);
    return memory;
}

template <class T>
void run_forward(const SLSTMCall& call) {
    if (call.exponential) {
        SLSTMForward<T, true>(call).run(own_arena());
    } else {
        SLSTMForward<T, false>(call).run(own_arena());
    }
}

}  // namespace

void slstm_forward(const SLSTMCall& call) {
    const Arena::Use use(own_arena());
    call.type == 0 ? run_forward<float>(call) : run_forward<double>(call);
}

void slstm_backward(const SLSTMCall& call) {
    const Arena::Use use(own_arena());
    call.type == 0 ? SLSTMBackward<float>(call).run(own_arena()) : SLSTMBackward<double>(call).run(own_arena());
}

}  // namespace unrolled::UNROLLED_LEVEL
