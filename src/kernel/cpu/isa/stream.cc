// Stores that pass the caches by, for one instruction set: a result larger than the caches is written without reading
// its lines from memory first.
#include "kernel/cpu/stream.h"

#include <cstring>

#include "kernel/cpu/vec.h"

namespace ember::cpu::EMBER_ISA {

// What lies before the first whole line of `to` and after the last goes the ordinary way.
void stream(const void* from, void* to, int64_t bytes) {
  const char* src = static_cast<const char*>(from);
  char* dst = static_cast<char*>(to);
  int64_t i = 0;
#if defined(__SSE2__)
  const int64_t head = -reinterpret_cast<uintptr_t>(dst) & (kVecBytes - 1);
  i = head < bytes ? head : bytes;
  std::memcpy(dst, src, static_cast<size_t>(i));
  for (; i + kVecBytes <= bytes; i += kVecBytes) {
    Raw<float> line;
    std::memcpy(&line, src + i, sizeof line);
#if defined(__AVX512F__)
    _mm512_stream_ps(reinterpret_cast<float*>(dst + i), (__m512)line);
#elif defined(__AVX2__)
    _mm256_stream_ps(reinterpret_cast<float*>(dst + i), (__m256)line);
#else
    _mm_stream_ps(reinterpret_cast<float*>(dst + i), (__m128)line);
#endif
  }
#endif
  std::memcpy(dst + i, src + i, static_cast<size_t>(bytes - i));
}

}  // namespace ember::cpu::EMBER_ISA
