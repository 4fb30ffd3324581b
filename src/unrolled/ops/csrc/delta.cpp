// The delta rule on a matrix state.
#include "delta.h"

namespace unrolled::UNROLLED_LEVEL {

void delta_forward(const DeltaCall&) {}

void delta_backward(const DeltaCall&) {}

}  // namespace unrolled::UNROLLED_LEVEL
