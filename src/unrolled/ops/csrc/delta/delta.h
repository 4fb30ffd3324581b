// Forward and backward walk of the delta rule on a matrix state.
#pragma once

#include "base/table.h"

namespace unrolled::UNROLLED_LEVEL {

void delta_forward(const DeltaCall& call);

// Every gradient that has an address.
void delta_backward(const DeltaCall& call);

}  // namespace unrolled::UNROLLED_LEVEL
