// The matrix long short-term memory.
#include "mlstm/mlstm.h"

#include "mlstm/walk.h"

namespace unrolled::UNROLLED_LEVEL {

namespace {

template <class T>
void run_forward(const MLSTMCall& call) {
    const mlstm::Problem<T> problem(call);
    prefer_huge_pages(call.y, call.batch * call.time * call.heads * call.values * static_cast<int64_t>(sizeof(T)));
    mlstm::spread<mlstm::Forward<T>>(problem);
}

template <class T>
void run_backward(const MLSTMCall& call) {
    const mlstm::Problem<T> problem(call);
    const int64_t steps = call.batch * call.time * call.heads * static_cast<int64_t>(sizeof(T));
    for (int64_t address : {call.grad_q, call.grad_k}) prefer_huge_pages(address, steps * call.keys);
    prefer_huge_pages(call.grad_v, steps * call.values);
    mlstm::spread<mlstm::Backward<T>>(problem);
}

}  // namespace

void mlstm_forward(const MLSTMCall& call) { call.type == 0 ? run_forward<float>(call) : run_forward<double>(call); }

void mlstm_backward(const MLSTMCall& call) { call.type == 0 ? run_backward<float>(call) : run_backward<double>(call); }

}  // namespace unrolled::UNROLLED_LEVEL
