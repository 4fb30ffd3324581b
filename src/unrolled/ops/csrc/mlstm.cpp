// The matrix long short-term memory.
#include "mlstm.h"

namespace unrolled::UNROLLED_LEVEL {

void mlstm_forward(const MLSTMCall&) {}

void mlstm_backward(const MLSTMCall&) {}

}  // namespace unrolled::UNROLLED_LEVEL
