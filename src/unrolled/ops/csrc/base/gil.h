// A call without the GIL, whose thread may be left behind when the interpreter ends.
#pragma once

#include <Python.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace unrolled {

// Is the interpreter ending, and in which thread. Defined in module.cpp.
extern std::atomic<bool> ending;
extern std::thread::id ending_in;

class WithoutGil {
public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;
    // Python ends a thread that asks for the GIL too late by unwinding it, which no destructor survives: such a thread
    // waits here for the process to end.
    ~WithoutGil() {
        while (ending.load(std::memory_order_acquire) && std::this_thread::get_id() != ending_in) pause();
        PyEval_RestoreThread(state_);
    }

private:
    PyThreadState* state_;
};

}  // namespace unrolled
