// Live steps: what every layer has whose packed weights and state stay between calls.
#pragma once

#include <chrono>
#include <limits>

#include "gated/gated.h"
#include "live/live_layer.h"

namespace unrolled::UNROLLED_LEVEL {

// The call of a live layer, with copies of the small weights that are read at every step, and the layer's memory.
template <class T>
struct LiveCopy {
    explicit LiveCopy(const LiveCall& given) : call(given) {
        const auto [gates, H] = sizes(given);
        copy(call.peephole, (gates - 1) * H);
        copy(call.bias_h, H);
        copy(call.norm_h, gates * H);
        copy(call.norm_c, 2 * H);
        copy(call.bias, gates * H);
        copy(call.norm_x, gates * H);
        call.time_first = 1;
        call.time = std::numeric_limits<int64_t>::max();
    }
    LiveCall call;
    Arena arena;

private:
    static std::pair<long, long> sizes(const LiveCall& given) {
        return {given.cell < 2 ? 1 : given.cell == 2 ? 4 : 3, given.hidden};
    }
    void copy(int64_t& address, long count) {
        if (!address) return;
        T* memory = arena.take<T>(count);
        std::copy_n(Problem<T>::at(address), count, memory);
        address = reinterpret_cast<int64_t>(memory);
    }
};

// How many threads take the next steps of a layer. Threads of the pool fall asleep some time after their last work, and
// to wake them costs more than a step; and where other programs hold the cores, to wait for each other costs more than
// it saves. So steps that follow one another closely are shared, while that is sooner than one thread alone was.
class Turns {
public:
    // work: multiply-adds of one step.
    Turns(double work, long threads) : work_(work), most_(threads) {}

    // body(threads) takes `time` steps.
    template <class Body>
    void take(long offered, long time, Body body) {
        const double whole = work_ * static_cast<double>(time);
        if (whole < little || std::min(offered, most_) < 2) return body(1);
        const auto began = Clock::now();
        const bool ready = whole > long_call || (began - ended_ < nap && tried_ >= trials);
        const bool shared = ready && rest_ <= 0;
        body(shared ? std::min(offered, most_) : 1);
        ended_ = Clock::now();
        judge(std::chrono::duration<double>(ended_ - began).count(), whole, time, shared);
    }

private:
    using Clock = std::chrono::steady_clock;
    // Multiply-adds that one thread does sooner than two begin, and those that pay for waking them.
    static constexpr double little = 1 << 17, long_call = 1 << 23;
    // Steps that come so soon after one another find the threads awake.
    static constexpr std::chrono::microseconds nap{200};
    // So many single steps show what one thread takes. After a loss it goes on alone for a while, a long one after a wait
    // that even the slowest core (multiply-adds a second) would not need. Losses double the next, gains shorten it.
    static constexpr long trials = 16, short_rest = 64, long_rest = 4096, longest_rest = 1 << 20, gain = 8;
    static constexpr double slow = 1e9;

    double work_, alone_ = std::numeric_limits<double>::infinity();
    long most_, tried_ = 0, rest_ = 0, next_rest_ = short_rest;
    Clock::time_point ended_{};

    void judge(double took, double whole, long time, bool shared) {
        if (!shared) {
            rest_ -= time;
            if (time > 1) return;
            ++tried_;
            alone_ = std::min(alone_, took);
        } else if (took > whole / slow || (time == 1 && took > alone_)) {
            rest_ = took > whole / slow ? std::max(next_rest_, long_rest) : next_rest_;
            next_rest_ = std::min(2 * rest_, longest_rest);
        } else {
            next_rest_ = std::max(next_rest_ - gain, short_rest);
        }
    }
};

}  // namespace unrolled::UNROLLED_LEVEL
