// Threads of the OpenMP runtime that torch has loaded already; a second pool beside it would fight for the cores.
#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>

namespace unrolled {

// Addresses of GOMP_parallel, omp_get_thread_num and omp_get_num_threads; all null where there is no such runtime.
struct Runtime {
    void (*parallel)(void (*body)(void*), void* data, unsigned threads, unsigned flags) = nullptr;
    int (*thread_number)() = nullptr;
    int (*team_size)() = nullptr;
};

// Defined in module.cpp, shared by all levels.
extern Runtime runtime;

// Calls body(number, count) in each of `count` threads, at most `wanted`. Fewer may come than were asked, so whatever
// divides work or waits for others goes by `count`.
template <class Body>
void parallel(long wanted, Body&& body) {
    if (wanted <= 1 || runtime.parallel == nullptr) {
        body(0, 1);
        return;
    }
    auto run = [](void* data) {
        const int count = runtime.team_size();
        (*static_cast<Body*>(data))(runtime.thread_number(), count);
    };
    runtime.parallel(run, const_cast<void*>(static_cast<const void*>(&body)), static_cast<unsigned>(wanted), 0);
}

// All `count` threads of a team wait for each other. Bounded spinning, then the core is given away: on a loaded machine a
// thread that never yields would keep the one it waits for from running.
class Barrier {
public:
    void wait(int count) {
        if (count <= 1) return;
        const int turn = turn_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
            arrived_.store(0, std::memory_order_relaxed);
            turn_.store(turn + 1, std::memory_order_release);
            return;
        }
        for (int spins = 0; turn_.load(std::memory_order_acquire) == turn; ++spins) {
            if (spins < 4000) {
                pause();
            } else {
                sched_yield();
            }
        }
    }

private:
    static void pause() {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<int> turn_{0};
};

}  // namespace unrolled
