// Forward and backward walk of the matrix long short-term memory.
#pragma once

#include "base/table.h"

namespace unrolled::UNROLLED_LEVEL {

void mlstm_forward(const MLSTMCall& call);

// Every gradient that has an address.
void mlstm_backward(const MLSTMCall& call);

}  // namespace unrolled::UNROLLED_LEVEL
