// The part of random filling that is worth compiling once per instruction set: pure functions from raw 32-bit words to
// numbers, over contiguous arrays. Every set gives the same bits (the fused multiply-adds of the baseline are made in
// double, which can round differently once in 10^8). kernel/cpu/random.cc owns the order of draws.
#pragma once

#include <cstdint>

namespace ember::cpu {

struct RandomKernels {
  void (*renew)(uint32_t* state);  // MT19937's next 624 words
  void (*temper)(const uint32_t* state, uint32_t* out, int64_t n);
  // from + (to - from) * u, u = a word's low 24 bits / 2^24, or a pair's low 53 bits / 2^53 (high word first). Rounding
  // can reach `to`, which is not of the range: such an element becomes `from`.
  void (*uniform_f32)(const uint32_t* words, float* out, int64_t n, float from, float to);
  void (*uniform_f64)(const uint32_t* words, double* out, int64_t n, double from, double to);
  // Box-Muller on blocks of 16 words: word j gives the radius and word j + 8 the angle of outputs j and j + 8.
  void (*normal_f32)(const uint32_t* words, float* out, int64_t blocks, float mean, float std);
  // scale * log(1 - u), u of 53 bits.
  void (*exponential_f32)(const uint32_t* words, float* out, int64_t n, double scale);
  // Whether the pair's low 53 bits are below `limit`.
  void (*below)(const uint32_t* words, bool* out, int64_t n, int64_t limit);
  // word % divisor, and word k % (divisor - k), for divisors in [2, 2^31).
  void (*remainder)(const uint32_t* words, uint32_t* out, int64_t n, uint32_t divisor);
  void (*remainder_down)(const uint32_t* words, uint32_t* out, int64_t n, uint32_t divisor);
};

namespace baseline {
extern const RandomKernels kRandomKernels;
}
namespace avx2 {
extern const RandomKernels kRandomKernels;
}
namespace avx512 {
extern const RandomKernels kRandomKernels;
}

}  // namespace ember::cpu
