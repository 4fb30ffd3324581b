// A lock that a forked child finds open: whoever held it in the parent is not there to open it.
#pragma once

#include <atomic>
#include <mutex>
#include <new>

namespace unrolled {

// How often this process has come out of a fork. Defined in module.cpp.
extern std::atomic<int> forks;

class Lock {
public:
    // To be called first, with the GIL, which lets no other thread of a child come in between.
    void renew() {
        const int now = forks.load(std::memory_order_relaxed);
        if (now == forks_) return;
        new (&mutex_) std::mutex;
        forks_ = now;
    }
    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }

private:
    std::mutex mutex_;
    int forks_ = forks.load(std::memory_order_relaxed);
};

}  // namespace unrolled
