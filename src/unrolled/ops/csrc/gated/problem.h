// A call with typed pointers, the memory a walk works in, and how rows and columns are dealt to threads.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <vector>

#include "base/gemm.h"
#include "base/pages.h"
#include "base/table.h"
#include "base/threads.h"

namespace unrolled::UNROLLED_LEVEL {

template <class T>
struct Problem {
    explicit Problem(const GatedCall& call) : call(call) {}

    const GatedCall& call;

    long batch() const { return call.batch; }
    long time() const { return call.time; }
    long hidden() const { return call.hidden; }
    long output() const { return call.output; }

    template <class U = T>
    static U* at(int64_t address) {
        return reinterpret_cast<U*>(address);
    }
    // Row (b, t) of a (B, T, width) tensor, or of a (T, B, width) one in live steps; null if it is absent.
    // In a walk from right to left time t is the t-th step from the row's end; what follows the end stays where it is.
    template <class U = T>
    U* step(int64_t address, long b, long t, long width) const {
        if (call.reverse && t < length(b)) t = length(b) - 1 - t;
        const long row = call.time_first ? t * call.batch + b : b * call.time + t;
        return address ? at<U>(address) + row * width : nullptr;
    }
    const T* mask(long b, long t) const {
        if (!call.mask_h) return nullptr;
        return call.mask_steps ? step(call.mask_h, b, t, call.output) : at(call.mask_h) + b * call.output;
    }
    bool resets(long b, long t) const {
        const uint8_t* reset = step<uint8_t>(call.reset, b, t, 1);
        return reset != nullptr && *reset != 0;
    }
    const T* start(int64_t address, long b, long width) const {
        return at(address) + (call.start_rows == 1 ? 0 : b * width);
    }
    // Whatever stands there by now: lengths may have been written over since they were checked.
    long length(long b) const {
        return call.lengths ? std::clamp<int64_t>(at<int64_t>(call.lengths)[b], 0, call.time) : call.time;
    }
};

// Aligned memory of one call, kept for the next one: fresh pages cost more than a small sequence. It is cut from slabs of
// at least `least` bytes: what is used together then stands together, and large slabs ask for huge pages, so that no two
// parts of it drive each other out of the cache by the luck of where their pages fell.
class Arena {
public:
    explicit Arena(size_t least = 0) : least_(least) {}

    template <class T>
    T* take(long count) {
        const size_t bytes = (static_cast<size_t>(std::max(count, 1L)) * sizeof(T) + 63) / 64 * 64;
        while (next_ < slabs_.size() && (used_ + bytes > slabs_[next_].size || (apart && used_ > 0))) ++next_, used_ = 0;
        if (next_ == slabs_.size()) add(apart ? bytes : std::max(bytes, least_));
        char* memory = slabs_[next_].memory.get() + used_;
        used_ += bytes;
        return reinterpret_cast<T*>(memory);
    }
    template <class T>
    T* zeros(long count) {
        T* memory = take<T>(count);
        std::fill(memory, memory + count, T(0));
        return memory;
    }
    void rewind() {
        next_ = used_ = 0;
        // A thread that once met a large model does not hold its memory for ever.
        size_t total = 0;
        for (const Slab& slab : slabs_) total += slab.size;
        if (total > kept) slabs_.clear();
    }

    // One call's use of the memory, from the first slab on.
    class Use {
    public:
        explicit Use(Arena& arena) : arena_(arena) { arena_.rewind(); }
        ~Use() { arena_.rewind(); }
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;

    private:
        Arena& arena_;
    };

private:
    // A sanitizer sees a step over the end of a slab alone, so for it every piece has one of its own.
#if defined(__SANITIZE_ADDRESS__)
    static constexpr bool apart = true;
#else
    static constexpr bool apart = false;
#endif
    static constexpr size_t kept = size_t(64) << 20, huge = huge_page;
    struct Free {
        void operator()(char* memory) const { std::free(memory); }
    };
    struct Slab {
        std::unique_ptr<char, Free> memory;
        size_t size = 0;
    };
    std::vector<Slab> slabs_;
    size_t least_, next_ = 0, used_ = 0;

    void add(size_t bytes) {
        const size_t alignment = bytes < huge ? 64 : huge, size = (bytes + alignment - 1) / alignment * alignment;
        Slab slab{std::unique_ptr<char, Free>(static_cast<char*>(std::aligned_alloc(alignment, size))), size};
        if (!slab.memory) throw std::bad_alloc();
        prefer_huge_pages(reinterpret_cast<int64_t>(slab.memory.get()), static_cast<int64_t>(size), huge_page);
        slabs_.push_back(std::move(slab));
    }
};

// Rows that walk through time together, longest first, so that those still alive are always the first ones.
struct Rows {
    std::vector<long> row, length;
    long per_chunk = 1;

    long count() const { return static_cast<long>(row.size()); }
    long chunks() const { return (count() + per_chunk - 1) / per_chunk; }
    long longest() const { return row.empty() ? 0 : length.front(); }
    long chunk(long slot) const { return slot / per_chunk; }
    long place(long slot) const { return slot % per_chunk; }
    // How many are alive at time t, given a first guess that only needs to shrink or grow a little.
    long alive(long t, long guess) const {
        while (guess > 0 && length[guess - 1] <= t) --guess;
        while (guess < count() && length[guess] > t) ++guess;
        return guess;
    }
};

// All rows of the batch, dealt to `teams` like cards, so that every team has long and short ones.
template <class T>
std::vector<Rows> deal(const Problem<T>& problem, long teams) {
    std::vector<long> order(problem.batch());
    std::iota(order.begin(), order.end(), 0L);
    // Not std::stable_sort: it would leave a function that every level compiles in its own way under one name.
    std::sort(order.begin(), order.end(), [&](long a, long b) {
        const long left = problem.length(a), right = problem.length(b);
        return left != right ? left > right : a < b;
    });
    std::vector<Rows> dealt(teams);
    for (size_t i = 0; i < order.size(); ++i) {
        Rows& rows = dealt[i % teams];
        rows.row.push_back(order[i]);
        rows.length.push_back(problem.length(order[i]));
    }
    for (Rows& rows : dealt) {
        const long chunks = std::max(1L, (rows.count() + row_slots - 1) / row_slots);
        rows.per_chunk = std::max(1L, (rows.count() + chunks - 1) / chunks);
    }
    return dealt;
}

// Blocks of units [first, last) of one member of a team; an even first block keeps panels whole.
struct Range {
    long first, last;
};

inline Range share(long count, int member, int members) {
    const long pairs = (count + 1) / 2;
    return {std::min(count, pairs * member / members * 2), std::min(count, pairs * (member + 1) / members * 2)};
}

// How a call is spread: `teams` of one thread each with rows of their own and no waiting; or, where there are fewer rows
// than threads (with weights too large for one core's cache: fewer than four rows a thread), one team whose members share
// the columns of each step. They wait for each other and for each other's part of h, which costs more than it saves else.
struct Spread {
    long teams, members;
    // One row and two threads: while one walks, the other makes what a window of steps takes in or leaves.
    bool assisted = false;
};

template <class T>
Spread spread(const Problem<T>& problem, long gates, bool whole_rows, bool windows) {
    const GatedCall& call = problem.call;
    const long weights = gates * call.hidden * call.output, threads = std::max<long>(1, call.threads);
    const double work = static_cast<double>(call.batch) * weights;
    constexpr double little = 1 << 18, least_step = 1 << 18, cache = 400 << 10;
    if (threads == 1 || work * call.time < little) return {1, 1};
    const bool large = static_cast<double>(weights) * sizeof(T) > cache;
    if (!whole_rows && work > least_step && ((large && call.batch < 4 * threads) || call.batch < threads)) return {1, threads};
    return {std::min<long>(threads, call.batch), 1, windows && call.batch == 1};
}

}  // namespace unrolled::UNROLLED_LEVEL
