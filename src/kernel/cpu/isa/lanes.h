// The few vector words that the contraction kernels need, over compiler vector extensions: Lanes<T> is one hardware
// register of f32 or f64. Loads convert f16/bf16 to f32 on the way. The `_n` forms touch only the first n lanes.
// vec.h is the general vector type; this one stays apart because GEMM wants raw registers, tails by mask, transposes.
// Included by files of isa/ only, once per instruction set; nothing here may have a symbol outside that namespace.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#pragma GCC diagnostic push  // GCC 12's own AVX-512 header starts from undefined registers
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

#include "base/export.h"
#include "tensor/dtype.h"

namespace ember::cpu::EMBER_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));
typedef float F32Lanes __attribute__((vector_size(kVectorBytes)));
typedef double F64Lanes __attribute__((vector_size(kVectorBytes)));
template <class T>
struct LanesOf;
template <>
struct LanesOf<float> {
  using type = F32Lanes;
};
template <>
struct LanesOf<double> {
  using type = F64Lanes;
};
template <class T>
using Lanes = typename LanesOf<T>::type;

template <class T>
EMBER_INLINE Lanes<T> splat(T x) {
  return x - Lanes<T>{};
}  // x - (+0) keeps -0, which x + 0 would not

template <class T>
EMBER_INLINE Lanes<T> load(const T* p) {
  Lanes<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
EMBER_INLINE void store(T* p, Lanes<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

EMBER_INLINE F32Lanes fma(F32Lanes a, F32Lanes b, F32Lanes c) {
#if defined(__AVX512F__)
  return (F32Lanes)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (F32Lanes)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}
EMBER_INLINE F64Lanes fma(F64Lanes a, F64Lanes b, F64Lanes c) {
#if defined(__AVX512F__)
  return (F64Lanes)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
  return (F64Lanes)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  return a * b + c;
#endif
}

// Partial loads give zero in the lanes from n on; partial stores leave memory from n on alone.
#if defined(__AVX512F__)
EMBER_INLINE unsigned first_lanes(int64_t n) { return n >= 16 ? ~0u : (1u << n) - 1; }
#elif defined(__AVX2__)
EMBER_INLINE __m256i first_lanes(int64_t n, const int32_t*) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
}
EMBER_INLINE __m256i first_lanes(int64_t n, const int64_t*) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
template <class T>
EMBER_INLINE __m256i first_lanes(int64_t n) {
  const int64_t m = n < 0 ? 0 : n < kLanes<T> ? n : kLanes<T>;
  if constexpr (sizeof(T) == 4) return first_lanes(m, static_cast<const int32_t*>(nullptr));
  else return first_lanes(m, static_cast<const int64_t*>(nullptr));
}
#endif
template <class T>
EMBER_INLINE Lanes<T> load_n(const T* p, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return (Lanes<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>(first_lanes(n)), p);
  else return (Lanes<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>(first_lanes(n)), p);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) return (Lanes<T>)_mm256_maskload_ps(p, first_lanes<T>(n));
  else return (Lanes<T>)_mm256_maskload_pd(p, first_lanes<T>(n));
#else
  Lanes<T> v{};
  for (int64_t i = 0; i < n && i < kLanes<T>; ++i) v[i] = p[i];
  return v;
#endif
}
template <class T>
EMBER_INLINE void store_n(T* p, Lanes<T> v, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) _mm512_mask_storeu_ps(p, static_cast<__mmask16>(first_lanes(n)), (__m512)v);
  else _mm512_mask_storeu_pd(p, static_cast<__mmask8>(first_lanes(n)), (__m512d)v);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) _mm256_maskstore_ps(p, first_lanes<T>(n), (__m256)v);
  else _mm256_maskstore_pd(p, first_lanes<T>(n), (__m256d)v);
#else
  for (int64_t i = 0; i < n && i < kLanes<T>; ++i) p[i] = v[i];
#endif
}
// What load_n gives with the lanes below `skip` zero too; those are not read.
template <class T>
EMBER_INLINE Lanes<T> load_between(const T* p, int64_t skip, int64_t n) {
#if defined(__AVX512F__)
  const unsigned mask = first_lanes(n) & ~first_lanes(skip);
  if constexpr (sizeof(T) == 4) return (Lanes<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p);
  else return (Lanes<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), p);
#elif defined(__AVX2__)
  const __m256i mask = _mm256_andnot_si256(first_lanes<T>(skip), first_lanes<T>(n));
  if constexpr (sizeof(T) == 4) return (Lanes<T>)_mm256_maskload_ps(p, mask);
  else return (Lanes<T>)_mm256_maskload_pd(p, mask);
#else
  Lanes<T> v{};
  for (int64_t i = skip; i < n && i < kLanes<T>; ++i) v[i] = p[i];
  return v;
#endif
}

EMBER_INLINE float to_f32(float x) { return x; }
EMBER_INLINE double to_f32(double x) { return x; }
EMBER_INLINE float to_f32(BFloat16 x) { return __builtin_bit_cast(float, static_cast<uint32_t>(x.bits) << 16); }
EMBER_INLINE float to_f32(Half x) {
#if defined(__F16C__)
  return _cvtsh_ss(x.bits);
#else
  const uint32_t sign = (x.bits & 0x8000u) << 16, rest = x.bits & 0x7fffu;
  // Exponents are rebased by a multiplication, which also makes subnormals right; inf and nan need the top exponent.
  float y = __builtin_bit_cast(float, rest << 13) * 0x1p112f;
  if (rest >= 0x7c00u) y = __builtin_bit_cast(float, 0x7f800000u | (rest << 13));
  return __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, y) | sign);
#endif
}

template <class T, class S>
EMBER_INLINE Lanes<T> widen(const S* p) {
#if defined(__AVX512F__)
  const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  if constexpr (__is_same(S, Half)) return (Lanes<T>)_mm512_cvtph_ps(raw);
  else return (Lanes<T>)_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16);
#elif defined(__AVX2__)
  const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  if constexpr (__is_same(S, Half)) return (Lanes<T>)_mm256_cvtph_ps(raw);
  else return (Lanes<T>)_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16);
#else
  Lanes<T> v;
  for (int i = 0; i < kLanes<T>; ++i) v[i] = to_f32(p[i]);
  return v;
#endif
}
// load_as<T>: a full register of T from memory that holds T, or f16/bf16 when T is float.
template <class T, class S>
EMBER_INLINE Lanes<T> load_as(const S* p) {
  if constexpr (__is_same(T, S)) return load(p);
  else return widen<T>(p);
}
template <class T, class S>
EMBER_INLINE Lanes<T> load_as_n(const S* p, int64_t n) {
  if constexpr (__is_same(T, S)) {
    return load_n(p, n);
  } else {
    Lanes<T> v{};
    for (int64_t i = 0; i < n && i < kLanes<T>; ++i) v[i] = to_f32(p[i]);
    return v;
  }
}

// store_as: the other way, rounding to nearest even.
EMBER_INLINE void narrow_to(float x, float& y) { y = x; }
EMBER_INLINE void narrow_to(double x, double& y) { y = x; }
EMBER_INLINE void narrow_to(float x, BFloat16& y) {
  const uint32_t u = __builtin_bit_cast(uint32_t, x);
  y.bits = static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : (u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}
EMBER_INLINE void narrow_to(float x, Half& y) {
#if defined(__F16C__)
  y.bits = static_cast<uint16_t>(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#else
  const uint32_t u = __builtin_bit_cast(uint32_t, x), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
  uint32_t h;
  if (a > 0x7f800000u) h = 0x7e00u;        // nan
  else if (a >= 0x477ff000u) h = 0x7c00u;  // rounds to infinity
  else if (a < 0x38800000u)                // subnormal: let a float addition round at the right bit
    h = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, a) + 0.5f) - 0x3f000000u;
  else h = (a - 0x38000000u + 0xfffu + ((a >> 13) & 1)) >> 13;
  y.bits = static_cast<uint16_t>(sign | h);
#endif
}
template <class T, class S>
EMBER_INLINE void store_as(S* p, Lanes<T> v) {
  if constexpr (__is_same(T, S)) {
    store(p, v);
  } else {
#if defined(__F16C__)
    if constexpr (__is_same(S, Half)) {
#if defined(__AVX512F__)
      _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#else
      _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#endif
      return;
    }
#endif
    float x[kLanes<T>];
    store(x, v);
    for (int i = 0; i < kLanes<T>; ++i) narrow_to(x[i], p[i]);
  }
}
template <class T, class S>
EMBER_INLINE void store_as_n(S* p, Lanes<T> v, int64_t n) {
  if constexpr (__is_same(T, S)) store_n(p, v, n);
  else
    for (int64_t i = 0; i < n && i < kLanes<T>; ++i) narrow_to(v[i], p[i]);
}

// Interleaves the low (or high) halves of a and b over the whole register; log2(lanes) rounds of it transpose a square.
template <bool kHigh, class V>
EMBER_INLINE V interleave(V a, V b) {
  constexpr int n = sizeof(V) / sizeof(a[0]), o = kHigh ? n / 2 : 0;
  if constexpr (n == 16)
    return __builtin_shufflevector(a, b, o, o + 16, o + 1, o + 17, o + 2, o + 18, o + 3, o + 19, o + 4, o + 20, o + 5,
                                   o + 21, o + 6, o + 22, o + 7, o + 23);
  else if constexpr (n == 8) return __builtin_shufflevector(a, b, o, o + 8, o + 1, o + 9, o + 2, o + 10, o + 3, o + 11);
  else if constexpr (n == 4) return __builtin_shufflevector(a, b, o, o + 4, o + 1, o + 5);
  else return __builtin_shufflevector(a, b, o, o + 2);
}
template <class V>
EMBER_INLINE void transpose(V* r) {
  constexpr int n = sizeof(V) / sizeof(r[0][0]);
#pragma GCC unroll 4
  for (int round = 1; round < n; round *= 2) {
    V t[n];
#pragma GCC unroll 8
    for (int i = 0; i < n / 2; ++i) {
      t[2 * i] = interleave<false>(r[i], r[i + n / 2]);
      t[2 * i + 1] = interleave<true>(r[i], r[i + n / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) r[i] = t[i];
  }
}

#if defined(__AVX2__)
// Transposes within each 128-bit piece: 4 x 4 floats, 2 x 2 doubles.
EMBER_INLINE void transpose_pieces(const F32Lanes* v, F32Lanes* r) {
#if defined(__AVX512F__)
  const __m512 a = _mm512_unpacklo_ps((__m512)v[0], (__m512)v[1]), b = _mm512_unpackhi_ps((__m512)v[0], (__m512)v[1]);
  const __m512 c = _mm512_unpacklo_ps((__m512)v[2], (__m512)v[3]), d = _mm512_unpackhi_ps((__m512)v[2], (__m512)v[3]);
  r[0] = (F32Lanes)_mm512_shuffle_ps(a, c, 0x44), r[1] = (F32Lanes)_mm512_shuffle_ps(a, c, 0xee);
  r[2] = (F32Lanes)_mm512_shuffle_ps(b, d, 0x44), r[3] = (F32Lanes)_mm512_shuffle_ps(b, d, 0xee);
#else
  const __m256 a = _mm256_unpacklo_ps((__m256)v[0], (__m256)v[1]), b = _mm256_unpackhi_ps((__m256)v[0], (__m256)v[1]);
  const __m256 c = _mm256_unpacklo_ps((__m256)v[2], (__m256)v[3]), d = _mm256_unpackhi_ps((__m256)v[2], (__m256)v[3]);
  r[0] = (F32Lanes)_mm256_shuffle_ps(a, c, 0x44), r[1] = (F32Lanes)_mm256_shuffle_ps(a, c, 0xee);
  r[2] = (F32Lanes)_mm256_shuffle_ps(b, d, 0x44), r[3] = (F32Lanes)_mm256_shuffle_ps(b, d, 0xee);
#endif
}
EMBER_INLINE void transpose_pieces(const F64Lanes* v, F64Lanes* r) {
#if defined(__AVX512F__)
  r[0] = (F64Lanes)_mm512_unpacklo_pd((__m512d)v[0], (__m512d)v[1]);
  r[1] = (F64Lanes)_mm512_unpackhi_pd((__m512d)v[0], (__m512d)v[1]);
#else
  r[0] = (F64Lanes)_mm256_unpacklo_pd((__m256d)v[0], (__m256d)v[1]);
  r[1] = (F64Lanes)_mm256_unpackhi_pd((__m256d)v[0], (__m256d)v[1]);
#endif
}
#endif

// The square that starts in `rows` rows of p, `stride` apart, transposed into r; lanes from `rows` on are unspecified.
// 128-bit pieces are loaded into the right lanes at once, which leaves half of the shuffles.
template <class T>
EMBER_INLINE void load_transposed(const T* p, int64_t stride, int rows, Lanes<T>* r) {
  constexpr int L = kLanes<T>;
#if defined(__AVX2__)
  constexpr int kPiece = 16 / sizeof(T), kPieces = L / kPiece;  // numbers in 128 bits, such pieces in a register
  if (rows % kPiece == 0) {
    // GCC would keep a pointer for each row of the caller's loop, in memory; four and two strides stay in registers.
    asm("" : "+r"(p));
    const T* first[kPieces];
#pragma GCC unroll 4
    for (int l = 0; l < kPieces; ++l) first[l] = p + (l * kPiece < rows ? l * kPiece * stride : 0);
#pragma GCC unroll 4
    for (int c = 0; c < kPieces; ++c) {  // columns c * kPiece and on
      Lanes<T> v[kPiece];
#pragma GCC unroll 4
      for (int q = 0; q < kPiece; ++q) {
        auto piece = [&](int l) __attribute__((always_inline)) {
          __m128 x;
          __builtin_memcpy(&x, first[l] + q * stride + c * kPiece, sizeof x);
          return x;
        };
#if defined(__AVX512F__)
        __m512 x = _mm512_castps128_ps512(piece(0));
        x = _mm512_insertf32x4(x, piece(1), 1), x = _mm512_insertf32x4(x, piece(2), 2),
        x = _mm512_insertf32x4(x, piece(3), 3);
#else
        const __m256 x = _mm256_insertf128_ps(_mm256_castps128_ps256(piece(0)), piece(1), 1);
#endif
        v[q] = (Lanes<T>)x;
      }
      transpose_pieces(v, r + c * kPiece);
    }
    return;
  }
#endif
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) r[i] = i < rows ? load(p + i * stride) : Lanes<T>{};
  transpose(r);
}

}  // namespace ember::cpu::EMBER_ISA
