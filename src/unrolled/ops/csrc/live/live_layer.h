// What a stepper holds at one instruction-set level.
#pragma once

#include "base/table.h"

namespace unrolled::UNROLLED_LEVEL {

// A layer as Python's object holds it; which cell, type and storage it has is known below only.
class LiveLayer {
public:
    virtual ~LiveLayer() = default;
    virtual void step(const void* x, void* y, long time, long threads) = 0;
    virtual void get(const LiveState& state) = 0;
    virtual void set(const LiveState& state) = 0;
};

}  // namespace unrolled::UNROLLED_LEVEL
