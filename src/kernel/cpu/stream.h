// Results that the caches would hardly hold are written past them (isa/stream.cc): a plain store reads its line from
// memory first, which for a + b is a quarter of all traffic.
#pragma once

#include <cstdint>

namespace ember::cpu {

inline constexpr int64_t kPastCaches = 32 << 20;  // bytes of a result from which on

// Copies past the caches. Before another thread may read what was written, fence() must have been called.
using StreamFn = void (*)(const void* from, void* to, int64_t bytes);

#define EMBER_STREAM(isa) \
  namespace isa { \
  void stream(const void* from, void* to, int64_t bytes); \
  }
EMBER_STREAM(baseline)
EMBER_STREAM(avx2)
EMBER_STREAM(avx512)
#undef EMBER_STREAM

inline void stream_fence() {
#if defined(__SSE2__)
  __builtin_ia32_sfence();
#endif
}

}  // namespace ember::cpu
