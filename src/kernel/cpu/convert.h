// Rows of one element type into rows of another: `convert(src, dst, n)` between every storage type and every compute
// type, and complex numbers between memory (re, im, re, im) and a pair of vectors.
// Casts are C's, as PyTorch's: a float loses its fraction on the way to an integer, NaN is true, f16 and bf16 go
// through float and round to nearest even. Plain loops that the compiler vectorises stand wherever they are as fast.
// For files compiled once per instruction set only; rows may be unaligned, and may not overlap.
#pragma once

#include <utility>

#include "kernel/cpu/complex.h"
#include "kernel/cpu/vec.h"
#include "tensor/dtype.h"

namespace ember::cpu::EMBER_ISA {

template <class T>
inline constexpr bool kIsNarrow = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;

// ---- Narrow floats -------------------------------------------------------------------------------------------------
// One number each, without branches, so that the loops around them become vectors.

EMBER_INLINE float widen_bits(BFloat16 x) { return bit_cast<float>(uint32_t{x.bits} << 16); }
EMBER_INLINE uint16_t bfloat16_bits(float x) {
  const uint32_t u = bit_cast<uint32_t>(x), rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
  return static_cast<uint16_t>((u & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded);
}

// The exponent is moved by a product, which also makes subnormal numbers normal.
EMBER_INLINE float widen_bits(Half x) {
  const uint32_t rest = uint32_t{x.bits} << 13 & 0x0fffe000, sign = uint32_t{x.bits} << 16 & 0x80000000;
  const uint32_t moved = bit_cast<uint32_t>(bit_cast<float>(rest) * 0x1p112f);
  return bit_cast<float>((rest >= 0x0f800000 ? rest | 0x7f800000 : moved) | sign);
}
EMBER_INLINE uint16_t half_bits(float x) {
  const uint32_t u = bit_cast<uint32_t>(x), a = u & 0x7fffffff, sign = u >> 16 & 0x8000;
  const uint32_t normal = (a + 0xfff + (a >> 13 & 1) - (112u << 23)) >> 13;
  const uint32_t small = bit_cast<uint32_t>(bit_cast<float>(a) + 0.5f) - bit_cast<uint32_t>(0.5f);  // unit: 2^-24
  uint32_t r = a < (113u << 23) ? small : normal;
  r = a >= 0x477ff000 ? 0x7c00 : r;  // from 65520 on: infinity
  r = a > 0x7f800000 ? 0x7e00 : r;
  return static_cast<uint16_t>(r | sign);
}

inline void convert(const BFloat16* __restrict src, float* __restrict dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = widen_bits(src[i]);
}
inline void convert(const float* __restrict src, BFloat16* __restrict dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i].bits = bfloat16_bits(src[i]);
}

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__F16C__))
#if defined(__AVX512F__)
using HalfRow = __m256i;
EMBER_INLINE __m512 half_to_float(HalfRow x) { return _mm512_cvtph_ps(x); }
EMBER_INLINE HalfRow float_to_half(Raw<float> x) { return _mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT); }
#else
using HalfRow = __m128i;
EMBER_INLINE __m256 half_to_float(HalfRow x) { return _mm256_cvtph_ps(x); }
EMBER_INLINE HalfRow float_to_half(Raw<float> x) { return _mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT); }
#endif
inline void convert(const Half* __restrict src, float* __restrict dst, int64_t n) {
  for (int64_t i = 0; i < n; i += Vec<float>::kLanes) {
    const int64_t left = n - i;
    HalfRow row{};
    if (left >= Vec<float>::kLanes) {
      std::memcpy(&row, src + i, sizeof(row));
      Vec<float>((Raw<float>)half_to_float(row)).store(dst + i);
    } else {
      std::memcpy(&row, src + i, left * sizeof(Half));
      Vec<float>((Raw<float>)half_to_float(row)).store_n(dst + i, left);
    }
  }
}
inline void convert(const float* __restrict src, Half* __restrict dst, int64_t n) {
  for (int64_t i = 0; i < n; i += Vec<float>::kLanes) {
    const int64_t left = n - i;
    if (left >= Vec<float>::kLanes) {
      const HalfRow row = float_to_half(Vec<float>::load(src + i).v);
      std::memcpy(dst + i, &row, sizeof(row));
    } else {
      const HalfRow row = float_to_half(Vec<float>::load_n(src + i, left).v);
      std::memcpy(dst + i, &row, left * sizeof(Half));
    }
  }
}
#else
inline void convert(const Half* __restrict src, float* __restrict dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = widen_bits(src[i]);
}
inline void convert(const float* __restrict src, Half* __restrict dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i].bits = half_bits(src[i]);
}
#endif

// ---- All pairs -----------------------------------------------------------------------------------------------------

// A float out of an integer's range is nobody's number; the detours make it the same on every instruction set.
template <class Dst, class Src>
EMBER_INLINE Dst convert_one(Src x) {
  if constexpr (std::is_same_v<Src, Dst>) {
    return x;
  } else if constexpr (kIsNarrow<Src>) {
    return convert_one<Dst>(widen_bits(x));
  } else if constexpr (std::is_same_v<Dst, Half>) {
    return {half_bits(static_cast<float>(x))};
  } else if constexpr (std::is_same_v<Dst, BFloat16>) {
    return {bfloat16_bits(static_cast<float>(x))};
  } else if constexpr (std::is_same_v<Dst, bool>) {
    return x != 0;
  } else if constexpr (kIsFloat<Src> && std::is_same_v<Dst, uint64_t>) {
    const Src half = 0x1p63;
    const Src low = x >= half ? x - half : x;
    return static_cast<uint64_t>(static_cast<int64_t>(low)) + (x >= half ? uint64_t{1} << 63 : 0);
  } else if constexpr (kIsFloat<Src> && std::is_same_v<Dst, uint32_t>) {
    return static_cast<uint32_t>(static_cast<int64_t>(x));
  } else if constexpr (kIsFloat<Src> && std::is_integral_v<Dst> && sizeof(Dst) < 4) {
    return static_cast<Dst>(static_cast<int32_t>(x));
  } else {
    return static_cast<Dst>(x);
  }
}

template <class Src, class Dst>
inline void convert(const Src* __restrict src, Dst* __restrict dst, int64_t n) {
  constexpr int64_t kTile = 256;
  if constexpr (std::is_same_v<Src, Dst>) {
    std::memcpy(dst, src, n * sizeof(Src));
  } else if constexpr (kIsNarrow<Src> || kIsNarrow<Dst>) {  // through a tile of floats
    float tile[kTile];
    for (int64_t i = 0; i < n; i += kTile) {
      const int64_t count = n - i < kTile ? n - i : kTile;
      convert(src + i, tile, count);
      convert(static_cast<const float*>(tile), dst + i, count);
    }
  } else if constexpr (std::is_same_v<Src, bool>) {  // any byte but 0 is true
    const auto* bytes = reinterpret_cast<const uint8_t*>(src);
    for (int64_t i = 0; i < n; ++i) dst[i] = static_cast<Dst>(bytes[i] != 0);
  } else {
    for (int64_t i = 0; i < n; ++i) dst[i] = convert_one<Dst>(src[i]);
  }
}

// ---- Complex numbers -----------------------------------------------------------------------------------------------

template <class T, int64_t... i>
EMBER_INLINE Cx<Vec<T>> load_complex(const T* p, std::integer_sequence<int64_t, i...>) {
  const Raw<T> a = Vec<T>::load(p).v, b = Vec<T>::load(p + sizeof...(i)).v;
  return {Vec<T>(__builtin_shufflevector(a, b, (2 * i)...)), Vec<T>(__builtin_shufflevector(a, b, (2 * i + 1)...))};
}
template <class T, int64_t... i>
EMBER_INLINE void store_complex(Cx<Vec<T>> z, T* p, std::integer_sequence<int64_t, i...>) {
  constexpr int64_t n = sizeof...(i);
  Vec<T>(__builtin_shufflevector(z.re.v, z.im.v, (i / 2 + i % 2 * n)...)).store(p);
  Vec<T>(__builtin_shufflevector(z.re.v, z.im.v, (n / 2 + i / 2 + i % 2 * n)...)).store(p + n);
}
template <class T>
using LaneIndices = std::make_integer_sequence<int64_t, Vec<T>::kLanes>;

// kLanes numbers from re, im, re, im ... at p, or the first n of them and zeros.
template <class T>
EMBER_INLINE Cx<Vec<T>> load_complex(const T* p) {
  return load_complex(p, LaneIndices<T>());
}
template <class T>
EMBER_INLINE Cx<Vec<T>> load_complex_n(const T* p, int64_t n) {
  T row[2 * Vec<T>::kLanes] = {};
  std::memcpy(row, p, 2 * n * sizeof(T));
  return load_complex(static_cast<const T*>(row));
}
template <class T>
EMBER_INLINE void store_complex(Cx<Vec<T>> z, T* p) {
  store_complex(z, p, LaneIndices<T>());
}
template <class T>
EMBER_INLINE void store_complex_n(Cx<Vec<T>> z, T* p, int64_t n) {
  T row[2 * Vec<T>::kLanes];
  store_complex(z, static_cast<T*>(row));
  std::memcpy(p, row, 2 * n * sizeof(T));
}

}  // namespace ember::cpu::EMBER_ISA
