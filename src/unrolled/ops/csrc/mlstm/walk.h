// The walk through one head of one row, block by block, and how such walks are dealt to threads.
#pragma once

#include <atomic>
#include <vector>

#include "mlstm/block.h"
#include "base/pages.h"
#include "base/threads.h"

namespace unrolled::UNROLLED_LEVEL::mlstm {

// A reset can only stand at the beginning of a block.
struct Piece {
    long begin, steps;
    bool fresh;
};

// The blocks that cover [begin, end).
template <class T>
std::vector<Piece> pieces(const Problem<T>& problem, long row, long begin, long end) {
    std::vector<Piece> found;
    for (long t = begin; t < end;) {
        const long first = t++;
        while (t < end && t - first < together && !problem.resets(row, t)) ++t;
        found.push_back({first, t - first, problem.resets(row, first)});
    }
    return found;
}

template <class T>
class Forward {
public:
    explicit Forward(const Problem<T>& problem)
        : p_(problem),
          arena_(Block<T>::numbers(problem) + problem.state_size()),
          block_(problem, arena_),
          state_(problem.take_state(arena_)) {}

    void walk(long row, long head) {
        const MLSTMCall& call = p_.call;
        p_.read(state_, call.c0, call.n0, call.m0, row, head);
        const long length = p_.length(row);
        for (long begin = 0; begin < length; begin += p_.chunk) {
            if (call.memory) p_.remember(state_, row, head, begin / p_.chunk);
            for (const Piece& piece : pieces(p_, row, begin, std::min(begin + p_.chunk, length))) {
                if (piece.fresh) p_.start(state_, row, head);
                block_.open(row, head, piece.begin, piece.steps, state_.m);
                block_.read(state_);
                block_.advance(state_);
            }
        }
        p_.write(state_, call.c, call.n, call.m, row, head);
        p_.clear_padding(call.y, row, head, p_.values);
    }

private:
    const Problem<T>& p_;
    Arena<T> arena_;
    Block<T> block_;
    State<T> state_;
};

// From the last chunk to the first; inside a chunk forward once more for the states between blocks, then back.
template <class T>
class Backward {
public:
    explicit Backward(const Problem<T>& problem)
        : p_(problem),
          between_(problem.chunk / together + 2),
          arena_(Block<T>::numbers(problem) + (between_ + 4) * problem.state_size()),
          block_(problem, arena_),
          grad_(problem.take_state(arena_)),
          total_(problem.take_state(arena_)),
          start_(problem.take_state(arena_)),
          ending_{problem.take_state(arena_), T(0), T(0), T(0), false} {
        for (long number = 0; number < between_; ++number) states_.push_back(problem.take_state(arena_));
    }

    void walk(long row, long head) {
        const MLSTMCall& call = p_.call;
        const long length = p_.length(row);
        for (State<T>* state : {&grad_, &total_}) {
            std::fill_n(state->c.numbers, p_.state_size(), T(0));
            state->m = 0;
        }
        p_.read(ending_.grad, call.grad_c, call.grad_n, call.grad_m, row, head);
        const T* numbers = ending_.grad.c.numbers;
        ending_.some = std::any_of(numbers, numbers + p_.state_size(), [](T number) { return number != 0; });
        ending_.reach = ending_.chain = 1;
        ending_.later = 0;
        block_.cut();
        if (call.reset) p_.start(start_, row, head);
        for (long begin = (length - 1) / p_.chunk * p_.chunk; length > 0 && begin >= 0; begin -= p_.chunk) {
            walk_chunk(row, head, begin, std::min(begin + p_.chunk, length));
        }
        if (length == 0 || !p_.resets(row, 0)) {
            add_scaled(grad_.c.numbers, ending_.reach, ending_.grad.c.numbers, p_.state_size());
            grad_.m = length == 0 ? ending_.grad.m : block_.first();
        }
        p_.write(grad_, call.grad_c0, call.grad_n0, call.grad_m0, row, head);
        p_.write(total_, call.grad_start_c, call.grad_start_n, call.grad_start_m, row, head);
        for (int64_t address : {call.grad_q, call.grad_k}) p_.clear_padding(address, row, head, p_.keys);
        for (int64_t address : {call.grad_i, call.grad_f}) p_.clear_padding(address, row, head, 1);
        p_.clear_padding(call.grad_v, row, head, p_.values);
    }

private:
    void walk_chunk(long row, long head, long begin, long end) {
        const std::vector<Piece> all = pieces(p_, row, begin, end);
        // Only a block that is not fresh needs its state kept, and then it follows a whole block or begins the chunk.
        long last = 0;
        p_.recall(states_[0], row, head, begin / p_.chunk);
        for (std::size_t number = 0; number + 1 < all.size(); ++number) {
            const Piece& piece = all[number];
            if (all[number + 1].fresh) continue;
            const State<T>& before = piece.fresh ? start_ : states_[last];
            p_.copy(states_[last + 1], before);
            block_.open(row, head, piece.begin, piece.steps, before.m);
            block_.advance(states_[++last]);
        }
        for (auto piece = all.rbegin(); piece != all.rend(); ++piece) {
            const State<T>& before = piece->fresh ? start_ : states_[last];
            block_.open(row, head, piece->begin, piece->steps, before.m);
            block_.differentiate(before, grad_, ending_);
            if (piece->fresh) {
                arrive();
            } else if (piece->begin > begin) {
                --last;
            }
        }
    }
    // The whole gradient of the state goes to the start, and nothing to what stands before it.
    void arrive() {
        add_scaled(total_.c.numbers, T(1), grad_.c.numbers, p_.state_size());
        add_scaled(total_.c.numbers, ending_.reach, ending_.grad.c.numbers, p_.state_size());
        total_.m += block_.first();
        std::fill_n(grad_.c.numbers, p_.state_size(), T(0));
        ending_.reach = ending_.chain = ending_.later = 0;
        ending_.some = false;
        block_.cut();
    }

    const Problem<T>& p_;
    const long between_;
    Arena<T> arena_;
    Block<T> block_;
    State<T> grad_, total_, start_;
    Ending<T> ending_;
    std::vector<State<T>> states_;
};

// Every thread takes the next head of a row that nobody has; a walk's results do not depend on who walks.
template <class Walk, class T>
void spread(const Problem<T>& problem) {
    const long most = std::max<long>(1, problem.call.threads), each = 1 << 18;
    const long tasks = problem.batch * problem.heads;
    const long work = tasks * problem.time * problem.keys * problem.values / each;
    std::atomic<long> next{0};
    parallel(std::clamp(work, 1L, std::min(most, tasks)), [&](int, int) {
        Walk walk(problem);
        for (long task = next++; task < tasks; task = next++) walk.walk(task / problem.heads, task % problem.heads);
    });
}

}  // namespace unrolled::UNROLLED_LEVEL::mlstm
