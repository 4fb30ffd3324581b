// How the delta rule on a matrix state is spread over threads: heads of rows, and their value columns.
#include "delta/delta.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>
#include <numeric>
#include <vector>

#include "delta/walk.h"
#include "base/threads.h"

namespace unrolled::UNROLLED_LEVEL {

namespace {

// Numbers that live as long as a call, from the begin of a cache line on; with whatever was there.
template <class T>
class Numbers {
public:
    explicit Numbers(long count) {
        const size_t bytes = (static_cast<size_t>(std::max(count, 1L)) * sizeof(T) + 63) / 64 * 64;
        memory_ = static_cast<T*>(std::aligned_alloc(64, bytes));
        if (memory_ == nullptr) throw std::bad_alloc();
    }
    ~Numbers() { std::free(memory_); }
    Numbers(const Numbers&) = delete;
    Numbers& operator=(const Numbers&) = delete;
    T* at(long index) const { return memory_ + index; }

private:
    T* memory_;
};

// Vectors side by side in a tile: with the sums and operands of one key they fill the registers.
#if defined(__AVX512F__)
constexpr long most_forward = 4, most_backward = 4;
#else
constexpr long most_forward = 2, most_backward = 2;
#endif

// The columns of a head in blocks of equal width.
struct Blocks {
    long vectors, count;

    // At least `wanted` of them, where there are as many vectors.
    static Blocks of(long all, long most, long wanted) {
        const long count = std::min(all, std::max((all + most - 1) / most, wanted));
        const long vectors = (all + count - 1) / count;
        return {vectors, (all + vectors - 1) / vectors};
    }
    Columns columns(long number, long lanes, long values) const {
        const long begin = number * vectors * lanes;
        return {begin, std::min(vectors * lanes, values - begin)};
    }
};

// Calls visit.operator()<N>() with N = vectors.
template <class Visit>
void with_vectors(long vectors, Visit&& visit) {
    switch (vectors) {
        case 1: return visit.template operator()<1>();
        case 2: return visit.template operator()<2>();
#if defined(__AVX512F__)
        case 3: return visit.template operator()<3>();
        default: return visit.template operator()<4>();
#endif
    }
}

// Threads that are worth their start: each has at least some 20 microseconds of work.
template <class T>
long useful_threads(const Delta<T>& problem) {
    const long most = std::max<long>(1, problem.call.threads), each = 1 << 18;
    return std::clamp(problem.batch * problem.time * problem.heads * problem.keys * problem.values / each, 1L, most);
}

// Rows, the longest first, so that no thread begins a long one when the others are about to end.
template <class T>
std::vector<long> by_length(const Delta<T>& problem) {
    std::vector<long> rows(problem.batch);
    std::iota(rows.begin(), rows.end(), 0L);
    std::stable_sort(rows.begin(), rows.end(), [&](long a, long b) { return problem.length(a) > problem.length(b); });
    return rows;
}

// visit(thread, row, head, part) for all parts of all heads of all rows, each on the thread that comes first.
template <class T, class Visit>
void deal(const Delta<T>& problem, long threads, long parts, Visit&& visit) {
    const std::vector<long> rows = by_length(problem);
    const long tasks = problem.batch * problem.heads * parts;
    std::atomic<long> next{0};
    parallel(std::min(threads, tasks), [&](int thread, int) {
        for (long task = next++; task < tasks; task = next++) {
            visit(thread, rows[task / parts / problem.heads], task / parts % problem.heads, task % parts);
        }
    });
}

long rounded_up(long count, long unit) { return (count + unit - 1) / unit * unit; }

template <class T>
void run_forward(const DeltaCall& call) {
    const Delta<T> problem(call);
    const long threads = useful_threads(problem), rows = problem.batch * problem.heads;
    const Blocks cut = Blocks::of(blocks<T>(problem.values), most_forward, (threads + rows - 1) / rows);
    with_vectors(cut.vectors, [&]<int N>() {
        const long tile = problem.keys * Strip<T, N>::width;
        const long room = rounded_up(tile + padded<T>(problem.keys), 64);
        const Numbers<T> scratch(room * threads);
        deal(problem, threads, cut.count, [&](long thread, long row, long head, long part) {
            T* own = scratch.at(thread * room);
            walk_forward<T, N>(problem, row, head, cut.columns(part, lanes<T>, problem.values), own, own + tile);
        });
    });
}

// Where the key gradients go: those of the first share of a head's columns to their place, those of the others to memory
// of their own, since they are sums over all columns and two threads may not add to one number.
template <class T>
class Shares {
public:
    Shares(const Delta<T>& problem, long shares)
        : problem_(problem), count_(problem.batch * problem.time * problem.heads * problem.keys), shares_(shares),
          others_((shares - 1) * wanted() * count_) {}

    KeyGradients<T> share(long number) const {
        long place = (number - 1) * wanted() * count_;
        T* found[5];
        for (int i = 0; i < 5; ++i) {
            found[i] = Delta<T>::at(addresses()[i]);
            if (found[i] == nullptr || number == 0) continue;
            found[i] = others_.at(place);
            place += count_;
        }
        return {found[0], found[1], found[2], found[3], found[4]};
    }
    // Adds up the shares of a head in a row, and clears its padding.
    void gather(long row, long head) const {
        for (int i = 0; i < 5; ++i) {
            T* to = Delta<T>::at(addresses()[i]);
            for (long t = 0; to && t < problem_.time; ++t) {
                T* here = to + problem_.of_keys(row, t, head);
                if (t >= problem_.length(row)) std::fill_n(here, problem_.keys, T(0));
                for (long number = 1; number < shares_ && t < problem_.length(row); ++number) {
                    const KeyGradients<T> more = share(number).at(problem_.of_keys(row, t, head));
                    const T* from[] = {more.q, more.w, more.k, more.a, more.b};
                    for (long j = 0; j < problem_.keys; ++j) here[j] += from[i][j];
                }
            }
        }
    }

private:
    std::array<int64_t, 5> addresses() const {
        const DeltaCall& call = problem_.call;
        return {call.grad_q, call.grad_w, call.grad_k, call.grad_a, call.grad_b};
    }
    long wanted() const {
        const auto all = addresses();
        return std::count_if(all.begin(), all.end(), [](int64_t address) { return address != 0; });
    }

    const Delta<T>& problem_;
    const long count_, shares_;
    const Numbers<T> others_;
};

template <class T>
void clear_start(const Delta<T>& problem, long row, long head, Columns columns) {
    if (!problem.call.grad_start_s) return;
    T* starts = Delta<T>::at(problem.call.grad_start_s) + problem.of_state(row, head) + columns.begin;
    for (long j = 0; j < problem.keys; ++j) std::fill_n(starts + j * problem.values, columns.count, T(0));
}

template <class T>
void run_backward(const DeltaCall& call) {
    const Delta<T> problem(call);
    const long threads = useful_threads(problem), rows = problem.batch * problem.heads;
    const Blocks cut = Blocks::of(blocks<T>(problem.values), most_backward, (threads + rows - 1) / rows);
    const long shares = std::min(cut.count, (threads + rows - 1) / rows);
    const Shares<T> gradients(problem, shares);
    with_vectors(cut.vectors, [&]<int N>() {
        const long room = rounded_up(Room<T, N>(problem).size(), 64);
        const Numbers<T> scratch(room * threads);
        deal(problem, threads, shares, [&](long thread, long row, long head, long share) {
            const KeyGradients<T> found = gradients.share(share);
            const long first = cut.count * share / shares, last = cut.count * (share + 1) / shares;
            for (long block = first; block < last; ++block) {
                const Columns columns = cut.columns(block, lanes<T>, problem.values);
                clear_start(problem, row, head, columns);
                WalkBack<T, N>(problem, found, row, head, columns, block > first, scratch.at(thread * room)).run();
            }
        });
    });
    deal(problem, threads, 1, [&](long, long row, long head, long) { gradients.gather(row, head); });
}

}  // namespace

void delta_forward(const DeltaCall& call) { call.type == 0 ? run_forward<float>(call) : run_forward<double>(call); }

void delta_backward(const DeltaCall& call) { call.type == 0 ? run_backward<float>(call) : run_backward<double>(call); }

}  // namespace unrolled::UNROLLED_LEVEL
