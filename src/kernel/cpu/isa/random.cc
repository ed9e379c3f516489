// Raw words to numbers, compiled once per instruction set: plain loops that the compiler turns into vectors.
// The logarithm, sine and cosine are Cephes' single-precision ones (S. Moshier), with a fused multiply-add at each step
// in the order that PyTorch's AVX2 build ends up with: so float normals equal that build's bit for bit.
#include "kernel/cpu/random_isa.h"
#include "kernel/cpu/vec_math.h"
#include "tensor/generator.h"

namespace ember::cpu::EMBER_ISA {
namespace {

#ifdef __FMA__
EMBER_INLINE float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
EMBER_INLINE float fused(float a, float b, float c) { return static_cast<float>(double(a) * double(b) + double(c)); }
#endif
EMBER_INLINE double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

EMBER_INLINE int32_t bits(float x) { return __builtin_bit_cast(int32_t, x); }
EMBER_INLINE float from_bits(int32_t x) { return __builtin_bit_cast(float, x); }
EMBER_INLINE float unit(uint32_t word) { return static_cast<float>(static_cast<int32_t>(word & 0xffffff)) * 0x1p-24f; }

// log x for normal x > 0: x = m 2^e with m in [sqrt(1/2), sqrt 2), a polynomial in m - 1, ln 2 in two parts.
EMBER_INLINE float log_f32(float x) {
  float m = from_bits((bits(x) & 0x007fffff) | 0x3f000000);
  float e = static_cast<float>((bits(x) >> 23) - 126);
  bool small = m < 0.707106781186547524f;
  e -= small ? 1.0f : 0.0f;
  m = m - 1.0f + (small ? m : 0.0f);
  float z = m * m;
  float y = 7.0376836292e-2f;
  y = fused(y, m, -1.1514610310e-1f);
  y = fused(y, m, 1.1676998740e-1f);
  y = fused(y, m, -1.2420140846e-1f);
  y = fused(y, m, 1.4249322787e-1f);
  y = fused(y, m, -1.6668057665e-1f);
  y = fused(y, m, 2.0000714765e-1f);
  y = fused(y, m, -2.4999993993e-1f);
  y = fused(y, m, 3.3333331174e-1f);
  y = y * m;
  y = fused(y, z, e * -2.12194440e-4f);
  y = fused(z, -0.5f, y);
  return fused(e, 0.693359375f, m + y);
}

// sin x and cos x for 0 <= x < 8192: the nearest multiple of pi/2 comes off in three parts, two polynomials do the
// rest.
EMBER_INLINE void sincos_f32(float x, float& sin, float& cos) {
  int32_t octant = (static_cast<int32_t>(x * 1.27323954473516f) + 1) & ~1;
  float y = static_cast<float>(octant);
  x = fused(y, -0.78515625f, x);
  x = fused(y, -2.4187564849853515625e-4f, x);
  x = fused(y, -3.77489497744594108e-8f, x);
  float z = x * x;
  float c = fused(2.443315711809948e-5f, z, -1.388731625493765e-3f);
  c = fused(c, z, 4.166664568298827e-2f) * z;
  c = fused(c, z, z * -0.5f) + 1.0f;
  float s = fused(-1.9515295891e-4f, z, 8.3321608736e-3f);
  s = fused(s, z, -1.6666654611e-1f) * z;
  s = fused(s, x, x);
  bool swap = (octant & 2) != 0;
  int32_t sin_sign = (octant & 4) << 29, cos_sign = (~(octant - 2) & 4) << 29;
  sin = from_bits(bits(swap ? c : s) ^ sin_sign);
  cos = from_bits(bits(swap ? s : c) ^ cos_sign);
}

void renew(uint32_t* state) { mt_renew(state); }

void temper(const uint32_t* state, uint32_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = mt_temper(state[i]);
}

void uniform_f32(const uint32_t* words, float* out, int64_t n, float from, float to) {
  float width = to - from;
  for (int64_t i = 0; i < n; ++i) {
    float x = fused(unit(words[i]), width, from);
    out[i] = x == to ? from : x;
  }
}

void uniform_f64(const uint32_t* words, double* out, int64_t n, double from, double to) {
  double width = to - from;
  for (int64_t i = 0; i < n; ++i) {  // each half converts exactly on its own, also where 64-bit integers cannot
    double high = static_cast<int32_t>(words[2 * i] & 0x1fffff);
    double low = static_cast<double>(static_cast<int32_t>(words[2 * i + 1] ^ 0x80000000u)) + 0x1p31;
    double x = fused((high * 0x1p32 + low) * 0x1p-53, width, from);
    out[i] = x == to ? from : x;
  }
}

void normal_f32(const uint32_t* words, float* out, int64_t blocks, float mean, float std) {
  constexpr int kTile = 16;  // blocks taken apart and put together again, so that the loop between is of any width
  float first[8 * kTile], second[8 * kTile];
  for (; blocks > 0; blocks -= kTile, words += 16 * kTile, out += 16 * kTile) {
    int count = blocks < kTile ? static_cast<int>(blocks) : kTile;
    for (int b = 0; b < count; ++b)
      for (int j = 0; j < 8; ++j) {
        first[8 * b + j] = unit(words[16 * b + j]);
        second[8 * b + j] = unit(words[16 * b + j + 8]);
      }
    for (int i = 0; i < 8 * count; ++i) {
      float radius = __builtin_sqrtf(-2.0f * log_f32(1.0f - first[i])), sin, cos;  // 1 - u is never 0
      sincos_f32(6.2831853071795864769f * second[i], sin, cos);
      first[i] = fused(radius * cos, std, mean);
      second[i] = fused(radius * sin, std, mean);
    }
    for (int b = 0; b < count; ++b)
      for (int j = 0; j < 8; ++j) {
        out[16 * b + j] = first[8 * b + j];
        out[16 * b + j + 8] = second[8 * b + j];
      }
  }
}

// 1 - u is exact, so its logarithm is log1p(-u) and free of cancellation; in double, because that is what is rounded.
void exponential_f32(const uint32_t* words, float* out, int64_t n, double scale) {
  constexpr int kTile = 256, kLanes = Vec<double>::kLanes;
  double tile[kTile];
  for (; n > 0; n -= kTile, words += 2 * kTile, out += kTile) {
    int count = n < kTile ? static_cast<int>(n) : kTile;
    uniform_f64(words, tile, count, 1, 0);
    for (int i = count; i % kLanes != 0; ++i) tile[i] = 1;
    for (int i = 0; i < count; i += kLanes) (log(Vec<double>::load(tile + i)) * scale).store(tile + i);
    for (int i = 0; i < count; ++i) out[i] = static_cast<float>(tile[i]);
  }
}

void below(const uint32_t* words, bool* out, int64_t n, int64_t limit) {
  for (int64_t i = 0; i < n; ++i) {
    int64_t high = words[2 * i] & 0x1fffff;
    out[i] = (high << 32 | words[2 * i + 1]) < limit;
  }
}

// word % divisor for 2 <= divisor < 2^31. A quotient that is no integer is at least 2^-31 away from one, far more than
// a double's rounding, so the truncated quotient is exact; it is below 2^31, which every instruction set can truncate.
EMBER_INLINE uint32_t exact_remainder(uint32_t word, uint32_t divisor) {
  double dividend = static_cast<double>(static_cast<int32_t>(word ^ 0x80000000u)) + 0x1p31;
  double quotient = dividend / static_cast<double>(static_cast<int32_t>(divisor));
  return word - static_cast<uint32_t>(static_cast<int32_t>(quotient)) * divisor;
}

void remainder(const uint32_t* words, uint32_t* out, int64_t n, uint32_t divisor) {
  for (int64_t i = 0; i < n; ++i) out[i] = exact_remainder(words[i], divisor);
}

void remainder_down(const uint32_t* words, uint32_t* out, int64_t n, uint32_t divisor) {
  for (int64_t i = 0; i < n; ++i) out[i] = exact_remainder(words[i], divisor - static_cast<uint32_t>(i));
}

}  // namespace

extern const RandomKernels kRandomKernels;
const RandomKernels kRandomKernels = {renew,           temper, uniform_f32, uniform_f64,   normal_f32,
                                      exponential_f32, below,  remainder,   remainder_down};

}  // namespace ember::cpu::EMBER_ISA
