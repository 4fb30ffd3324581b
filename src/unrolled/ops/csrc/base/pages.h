// What large fresh results cost beside the work on them: page faults, and lines that are read only to be overwritten.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/vector.h"

namespace unrolled::UNROLLED_LEVEL {

// Bytes from which a result is large, of a huge page, and of a cache line.
constexpr int64_t large_bytes = int64_t(4) << 20, huge_page = int64_t(2) << 20, line = 64;

// Asks the system to back the whole huge pages inside the memory by huge pages, where it has not backed them yet. It is
// advice: contents stay as they are, and a system that cannot or will not follow does nothing. Below `least` bytes nothing
// is asked.
inline void prefer_huge_pages([[maybe_unused]] int64_t address, [[maybe_unused]] int64_t bytes,
                              [[maybe_unused]] int64_t least = large_bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const int64_t begin = (address + huge_page - 1) / huge_page * huge_page;
    const int64_t end = (address + bytes) / huge_page * huge_page;
    if (address != 0 && bytes >= least && begin < end) {
        madvise(reinterpret_cast<void*>(begin), static_cast<size_t>(end - begin), MADV_HUGEPAGE);
    }
#endif
}

// Stores a vector past the caches, where the processor can; `to` is aligned to it. No vector type of the compiler's
// expresses it, so this is the one place that names instructions.
template <class T, class Vector>
UNROLLED_INLINE void store_around(T* to, Vector value) {
#if defined(__AVX512F__)
    if constexpr (sizeof value == 64) return _mm512_stream_ps(reinterpret_cast<float*>(to), (__m512)value);
#endif
#if defined(__AVX__)
    if constexpr (sizeof value == 32) return _mm256_stream_ps(reinterpret_cast<float*>(to), (__m256)value);
#endif
#if defined(__x86_64__)
    if constexpr (sizeof value == 16) return _mm_stream_ps(reinterpret_cast<float*>(to), (__m128)value);
#endif
    std::memcpy(to, &value, sizeof value);
}

// What was stored around the caches is seen by other threads after this.
inline void finish_stores() {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

}  // namespace unrolled::UNROLLED_LEVEL
