// Forward and backward walk of the scalar long short-term memory.
#pragma once

#include "base/table.h"

namespace unrolled::UNROLLED_LEVEL {

void slstm_forward(const SLSTMCall& call);

// Every gradient that has an address; those of the start are (B, heads * width), to be added up where it is one row.
void slstm_backward(const SLSTMCall& call);

}  // namespace unrolled::UNROLLED_LEVEL
