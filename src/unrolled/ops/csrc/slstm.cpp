// The scalar long short-term memory.
#include "slstm.h"

namespace unrolled::UNROLLED_LEVEL {

void slstm_forward(const SLSTMCall&) {}

void slstm_backward(const SLSTMCall&) {}

}  // namespace unrolled::UNROLLED_LEVEL
