// The vector type of every CPU kernel: `Vec<T>` holds kLanes numbers, `Mask<T>` holds as many truths.
// Both are structs, so that operators and the vocabulary (vec_math.h) are found by argument-dependent lookup and a
// generic `eval(auto x)` compiles for vectors, symbols and tensors alike. Written over the compilers' vector
// extensions; x86 intrinsics stand only where they pay, and any other machine takes the generic lines.
// May be included only by files compiled once per instruction set: everything lives in ember::cpu::EMBER_ISA, is
// always inlined, and calls nothing from other namespaces.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#if defined(__SSE2__)
#pragma GCC diagnostic push  // GCC 12's own AVX-512 header starts from undefined registers
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

#include "base/export.h"

#ifndef EMBER_ISA
#error "vec.h is for files that are compiled once per instruction set (-DEMBER_ISA=...)"
#endif

namespace ember::cpu::EMBER_ISA {

#if defined(__AVX512F__)
inline constexpr int kVecBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVecBytes = 32;
#else
inline constexpr int kVecBytes = 16;
#endif

// True where fma() rounds once; algorithms that need the exact product use two_prod (vec_math.h) instead.
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
inline constexpr bool kHasFma = true;
#else
inline constexpr bool kHasFma = false;
#endif

template <int bytes>
struct SignedOf;
template <>
struct SignedOf<1> {
  using type = int8_t;
};
template <>
struct SignedOf<4> {
  using type = int32_t;
};
template <>
struct SignedOf<8> {
  using type = int64_t;
};
template <class T>
using Signed = typename SignedOf<sizeof(T)>::type;

template <class T, int n>
struct RawOf {
  typedef T type __attribute__((vector_size(n * sizeof(T))));
};
template <class T, int n = kVecBytes / sizeof(T)>
using Raw = typename RawOf<T, n>::type;

template <class T>
struct Vec;
template <class T>
struct Mask;

template <class S>
concept Number = std::is_arithmetic_v<S>;
template <class V>
inline constexpr bool kIsVec = false;
template <class T>
inline constexpr bool kIsVec<Vec<T>> = true;
template <class T>
inline constexpr bool kIsFloat = std::is_floating_point_v<T>;

template <class To, class From>
EMBER_INLINE To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

// ---- Mask ----------------------------------------------------------------------------------------------------------
// AVX-512 keeps one bit a lane; elsewhere a lane is all ones or all zeros, as wide as T.

#if defined(__AVX512F__)
template <int lanes>
struct MaskBits;
template <>
struct MaskBits<8> {
  using type = __mmask8;
};
template <>
struct MaskBits<16> {
  using type = __mmask16;
};
template <>
struct MaskBits<64> {
  using type = __mmask64;
};
#endif

template <class T>
struct Mask {
  static constexpr int kLanes = kVecBytes / sizeof(T);
#if defined(__AVX512F__)
  using Rep = typename MaskBits<kLanes>::type;
  static constexpr Rep kAll = static_cast<Rep>(~uint64_t{0});
#else
  using Rep = Raw<Signed<T>>;
  static constexpr Rep kAll = ~Rep{};
#endif
  Rep m;

  EMBER_INLINE Mask() : m{} {}
  EMBER_INLINE explicit Mask(Rep rep) : m(rep) {}
  EMBER_INLINE static Mask all_of(bool b) { return Mask(b ? kAll : Rep{}); }

  EMBER_INLINE friend Mask operator&(Mask a, Mask b) { return Mask(static_cast<Rep>(a.m & b.m)); }
  EMBER_INLINE friend Mask operator|(Mask a, Mask b) { return Mask(static_cast<Rep>(a.m | b.m)); }
  EMBER_INLINE friend Mask operator^(Mask a, Mask b) { return Mask(static_cast<Rep>(a.m ^ b.m)); }
  EMBER_INLINE friend Mask operator!(Mask a) { return Mask(static_cast<Rep>(a.m ^ kAll)); }
  EMBER_INLINE friend Mask operator~(Mask a) { return !a; }
  EMBER_INLINE friend Mask operator==(Mask a, Mask b) { return !(a ^ b); }
  EMBER_INLINE friend Mask operator!=(Mask a, Mask b) { return a ^ b; }
  EMBER_INLINE friend Mask select(Mask c, Mask a, Mask b) { return (c & a) | (!c & b); }

  EMBER_INLINE friend bool any(Mask a) {
#if defined(__AVX512F__)
    return a.m != 0;
#elif defined(__AVX2__)
    return !_mm256_testz_si256((__m256i)a.m, (__m256i)a.m);
#elif defined(__SSE2__)
    return _mm_movemask_epi8((__m128i)a.m) != 0;
#else
    Signed<T> bits = 0;
    for (int i = 0; i < kLanes; ++i) bits |= a.m[i];
    return bits != 0;
#endif
  }
  EMBER_INLINE friend bool all(Mask a) { return !any(!a); }

  EMBER_INLINE bool operator[](int i) const {
#if defined(__AVX512F__)
    return (m >> i) & 1;
#else
    return m[i] != 0;
#endif
  }

  // Bools in memory are bytes 0 and 1; any other byte counts as true when read.
  EMBER_INLINE static Mask load(const uint8_t* p);
  EMBER_INLINE static Mask load_n(const uint8_t* p, int64_t n) {
    uint8_t bytes[kLanes] = {};
    std::memcpy(bytes, p, n);
    return load(bytes);
  }
  EMBER_INLINE void store(uint8_t* p) const;
  EMBER_INLINE void store_n(uint8_t* p, int64_t n) const {
    uint8_t bytes[kLanes];
    store(bytes);
    std::memcpy(p, bytes, n);
  }
};

// ---- Vec -----------------------------------------------------------------------------------------------------------

template <class T>
struct Vec {
  using Scalar = T;
  using Bits = Raw<std::make_unsigned_t<Signed<T>>>;
  static constexpr int kLanes = kVecBytes / sizeof(T);
  Raw<T> v;

  EMBER_INLINE Vec() : v{} {}
  EMBER_INLINE explicit Vec(Raw<T> raw) : v(raw) {}
  template <Number S>
  EMBER_INLINE Vec(S s) : v(static_cast<T>(s) - Raw<T>{}) {}

  EMBER_INLINE static Vec load(const T* p) {
    Vec r;
    std::memcpy(&r.v, p, sizeof(r.v));
    return r;
  }
  EMBER_INLINE void store(T* p) const { std::memcpy(p, &v, sizeof(v)); }
  EMBER_INLINE static Vec load_n(const T* p, int64_t n);  // the lanes from n on are zero and their memory is not read
  EMBER_INLINE void store_n(T* p, int64_t n) const;
  EMBER_INLINE T operator[](int i) const { return v[i]; }
  EMBER_INLINE static Vec iota() {
    Vec r;
    for (int i = 0; i < kLanes; ++i) r.v[i] = static_cast<T>(i);
    return r;
  }

  EMBER_INLINE friend Vec operator+(Vec a, Vec b) { return Vec(wrap(wrap(a.v) + wrap(b.v))); }
  EMBER_INLINE friend Vec operator-(Vec a, Vec b) { return Vec(wrap(wrap(a.v) - wrap(b.v))); }
  EMBER_INLINE friend Vec operator*(Vec a, Vec b) { return Vec(wrap(wrap(a.v) * wrap(b.v))); }
  EMBER_INLINE friend Vec operator-(Vec a) { return Vec(wrap(-wrap(a.v))); }
  EMBER_INLINE friend Vec operator+(Vec a) { return a; }
  EMBER_INLINE friend Vec operator/(Vec a, Vec b) {
    if constexpr (kIsFloat<T>) {
      return Vec(a.v / b.v);
    } else {
      return divide<false>(a, b);
    }
  }
  EMBER_INLINE friend Vec operator%(Vec a, Vec b) requires(!kIsFloat<T>) { return divide<true>(a, b); }

  EMBER_INLINE friend Vec operator&(Vec a, Vec b) requires(!kIsFloat<T>) { return Vec(a.v & b.v); }
  EMBER_INLINE friend Vec operator|(Vec a, Vec b) requires(!kIsFloat<T>) { return Vec(a.v | b.v); }
  EMBER_INLINE friend Vec operator^(Vec a, Vec b) requires(!kIsFloat<T>) { return Vec(a.v ^ b.v); }
  EMBER_INLINE friend Vec operator~(Vec a) requires(!kIsFloat<T>) { return Vec(~a.v); }
  // A shift by the width or more, or by a negative count, empties the number (a signed right shift leaves its sign).
  EMBER_INLINE friend Vec operator<<(Vec a, Vec n) requires(!kIsFloat<T>) {
    return select(in_width(n), Vec((Raw<T>)((Bits)a.v << (Bits)(n.v & (kWidth - 1)))), Vec(0));
  }
  EMBER_INLINE friend Vec operator>>(Vec a, Vec n) requires(!kIsFloat<T>) {
    if constexpr (std::is_signed_v<T>) return Vec(a.v >> select(in_width(n), n, Vec(kWidth - 1)).v);
    return select(in_width(n), Vec(a.v >> (n.v & (kWidth - 1))), Vec(0));
  }

  EMBER_INLINE friend Mask<T> operator==(Vec a, Vec b) { return compare<0>(a, b); }
  EMBER_INLINE friend Mask<T> operator<(Vec a, Vec b) { return compare<1>(a, b); }
  EMBER_INLINE friend Mask<T> operator<=(Vec a, Vec b) { return compare<2>(a, b); }
  EMBER_INLINE friend Mask<T> operator!=(Vec a, Vec b) { return compare<4>(a, b); }
  EMBER_INLINE friend Mask<T> operator>(Vec a, Vec b) { return compare<1>(b, a); }
  EMBER_INLINE friend Mask<T> operator>=(Vec a, Vec b) { return compare<2>(b, a); }

  EMBER_INLINE Vec& operator+=(Vec b) { return *this = *this + b; }
  EMBER_INLINE Vec& operator-=(Vec b) { return *this = *this - b; }
  EMBER_INLINE Vec& operator*=(Vec b) { return *this = *this * b; }
  EMBER_INLINE Vec& operator/=(Vec b) { return *this = *this / b; }

  // c ? a : b, lane by lane.
  EMBER_INLINE friend Vec select(Mask<T> c, Vec a, Vec b) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 1) {
      return Vec((Raw<T>)_mm512_mask_blend_epi8(c.m, (__m512i)b.v, (__m512i)a.v));
    } else if constexpr (std::is_same_v<T, float>) {
      return Vec((Raw<T>)_mm512_mask_blend_ps(c.m, b.v, a.v));
    } else if constexpr (std::is_same_v<T, double>) {
      return Vec((Raw<T>)_mm512_mask_blend_pd(c.m, b.v, a.v));
    } else if constexpr (sizeof(T) == 4) {
      return Vec((Raw<T>)_mm512_mask_blend_epi32(c.m, (__m512i)b.v, (__m512i)a.v));
    } else {
      return Vec((Raw<T>)_mm512_mask_blend_epi64(c.m, (__m512i)b.v, (__m512i)a.v));
    }
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) {
      return Vec((Raw<T>)_mm256_blendv_ps((__m256)b.v, (__m256)a.v, (__m256)c.m));
    } else if constexpr (sizeof(T) == 8) {
      return Vec((Raw<T>)_mm256_blendv_pd((__m256d)b.v, (__m256d)a.v, (__m256d)c.m));
    } else {
      return Vec((Raw<T>)_mm256_blendv_epi8((__m256i)b.v, (__m256i)a.v, (__m256i)c.m));
    }
#else
    return Vec((Raw<T>)(((Bits)a.v & (Bits)c.m) | ((Bits)b.v & ~(Bits)c.m)));
#endif
  }

 private:
  static constexpr int kWidth = 8 * sizeof(T);

  // Signed arithmetic wraps as PyTorch's does: it is done on the unsigned form.
  template <class R>
  EMBER_INLINE static auto wrap(R raw) {
    if constexpr (kIsFloat<T>) {
      return raw;
    } else if constexpr (std::is_same_v<R, Bits>) {
      return (Raw<T>)raw;
    } else {
      return (Bits)raw;
    }
  }

  EMBER_INLINE static Mask<T> in_width(Vec n) {
    return Mask<T>((Vec<std::make_unsigned_t<Signed<T>>>((Bits)n.v) < kWidth).m);
  }

  // No lane may trap: x / 0 and x % 0 are 0, the smallest number divided by -1 wraps to itself.
  template <bool rest>
  EMBER_INLINE static Vec divide(Vec a, Vec b) {
    Vec r;
    for (int i = 0; i < kLanes; ++i) {
      const T x = a.v[i], y = b.v[i];
      if (y == 0) {
        r.v[i] = 0;
      } else if (std::is_signed_v<T> && y == static_cast<T>(-1)) {
        r.v[i] = rest ? T{0} : static_cast<T>(std::make_unsigned_t<T>{0} - static_cast<std::make_unsigned_t<T>>(x));
      } else {
        r.v[i] = static_cast<T>(rest ? x % y : x / y);
      }
    }
    return r;
  }

  // predicate: 0 equal, 1 less, 2 less or equal, 4 not equal (the immediate of the AVX-512 instructions).
  template <int predicate>
  EMBER_INLINE static Mask<T> compare(Vec a, Vec b) {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<T, float>) {
      return Mask<T>(_mm512_cmp_ps_mask(a.v, b.v, predicate));
    } else if constexpr (std::is_same_v<T, double>) {
      return Mask<T>(_mm512_cmp_pd_mask(a.v, b.v, predicate));
    } else if constexpr (std::is_same_v<T, int64_t>) {
      return Mask<T>(_mm512_cmp_epi64_mask((__m512i)a.v, (__m512i)b.v, predicate));
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      return Mask<T>(_mm512_cmp_epu64_mask((__m512i)a.v, (__m512i)b.v, predicate));
    } else if constexpr (std::is_same_v<T, int32_t>) {
      return Mask<T>(_mm512_cmp_epi32_mask((__m512i)a.v, (__m512i)b.v, predicate));
    } else if constexpr (std::is_same_v<T, uint32_t>) {
      return Mask<T>(_mm512_cmp_epu32_mask((__m512i)a.v, (__m512i)b.v, predicate));
    } else {
      static_assert(std::is_same_v<T, uint8_t>);
      return Mask<T>(_mm512_cmp_epu8_mask((__m512i)a.v, (__m512i)b.v, predicate));
    }
#else
    if constexpr (predicate == 0) {
      return Mask<T>((typename Mask<T>::Rep)(a.v == b.v));
    } else if constexpr (predicate == 1) {
      return Mask<T>((typename Mask<T>::Rep)(a.v < b.v));
    } else if constexpr (predicate == 2) {
      return Mask<T>((typename Mask<T>::Rep)(a.v <= b.v));
    } else {
      return Mask<T>((typename Mask<T>::Rep)(a.v != b.v));
    }
#endif
  }
};

// ---- Loads and stores of a tail, and of bools ----------------------------------------------------------------------

template <class T>
EMBER_INLINE Vec<T> Vec<T>::load_n(const T* p, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return Vec((Raw<T>)_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), p));
  } else if constexpr (sizeof(T) == 8) {
    return Vec((Raw<T>)_mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << n) - 1), p));
  } else {
    return Vec((Raw<T>)_mm512_maskz_loadu_epi8(n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1, p));
  }
#else
  Vec r;
  std::memcpy(&r.v, p, n * sizeof(T));
  return r;
#endif
}

template <class T>
EMBER_INLINE void Vec<T>::store_n(T* p, int64_t n) const {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1), (__m512i)v);
  } else if constexpr (sizeof(T) == 8) {
    _mm512_mask_storeu_epi64(p, static_cast<__mmask8>((1u << n) - 1), (__m512i)v);
  } else {
    _mm512_mask_storeu_epi8(p, n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1, (__m512i)v);
  }
#else
  std::memcpy(p, &v, n * sizeof(T));
#endif
}

template <class T>
EMBER_INLINE Mask<T> Mask<T>::load(const uint8_t* p) {
  Raw<uint8_t, kLanes> bytes;
  std::memcpy(&bytes, p, sizeof(bytes));
#if defined(__AVX512F__)
  if constexpr (kLanes == 64) {
    return Mask(_mm512_test_epi8_mask((__m512i)bytes, (__m512i)bytes));
  } else if constexpr (kLanes == 16) {
    return Mask(_mm_test_epi8_mask((__m128i)bytes, (__m128i)bytes));
  } else {
    int64_t eight;
    std::memcpy(&eight, p, sizeof(eight));
    return Mask(static_cast<Rep>(_mm_test_epi8_mask(_mm_cvtsi64_si128(eight), _mm_cvtsi64_si128(eight))));
  }
#else
  return Mask((Rep)(__builtin_convertvector(bytes, Rep) != 0));
#endif
}

template <class T>
EMBER_INLINE void Mask<T>::store(uint8_t* p) const {
#if defined(__AVX512F__)
  if constexpr (kLanes == 64) {
    _mm512_storeu_si512(p, _mm512_maskz_set1_epi8(m, 1));
  } else {
    const __m128i bytes = _mm_maskz_set1_epi8(m, 1);
    std::memcpy(p, &bytes, kLanes);
  }
#else
  const Raw<uint8_t, kLanes> bytes = __builtin_convertvector(m & 1, Raw<uint8_t, kLanes>);
  std::memcpy(p, &bytes, sizeof(bytes));
#endif
}

// Masks of types of one width are the same truths.
template <class To, class T>
EMBER_INLINE Mask<To> mask_cast(Mask<T> m) {
  static_assert(sizeof(To) == sizeof(T));
  return Mask<To>(m.m);
}

// The bits of v as lanes of another type of one width.
template <class To, class T>
EMBER_INLINE Vec<To> bits_as(Vec<T> v) {
  static_assert(sizeof(To) == sizeof(T));
  return Vec<To>((Raw<To>)v.v);
}

// cast<To>(v) converts the numbers of a vector to a type of one width, and truths to 0 and 1.
template <class To, class T>
EMBER_INLINE Vec<To> cast(Vec<T> v) {
  if constexpr (std::is_same_v<To, T>) {
    return v;
  } else {
    static_assert(sizeof(To) == sizeof(T), "cast keeps the number of lanes; convert.h changes it");
    return Vec<To>(__builtin_convertvector(v.v, Raw<To>));
  }
}
template <class To, class T>
EMBER_INLINE Vec<To> cast(Mask<T> m) {
  static_assert(sizeof(To) == sizeof(T));
  return select(mask_cast<To>(m), Vec<To>(1), Vec<To>(0));
}

// ---- The plain part of the vocabulary ------------------------------------------------------------------------------

template <class T>
inline constexpr T kSignBit = T{1} << (8 * sizeof(T) - 1);

template <class T>
EMBER_INLINE Vec<T> abs(Vec<T> x) {
  if constexpr (kIsFloat<T>) {
    using U = std::make_unsigned_t<Signed<T>>;
    return bits_as<T>(bits_as<U>(x) & ~kSignBit<U>);
  } else if constexpr (std::is_signed_v<T>) {
    return select(x < 0, -x, x);
  } else {
    return x;
  }
}
template <class T>
EMBER_INLINE Vec<T> neg(Vec<T> x) {
  return -x;
}

// |x| with the sign of s.
template <class T>
EMBER_INLINE Vec<T> copysign(Vec<T> x, Vec<T> s) {
  using U = std::make_unsigned_t<Signed<T>>;
  return bits_as<T>((bits_as<U>(x) & ~kSignBit<U>) | (bits_as<U>(s) & kSignBit<U>));
}
template <class T>
EMBER_INLINE Mask<T> signbit(Vec<T> x) {
  if constexpr (std::is_unsigned_v<T>) {
    return Mask<T>();
  } else {
    return mask_cast<T>(bits_as<Signed<T>>(x) < 0);
  }
}
template <class T>
EMBER_INLINE Mask<T> isnan(Vec<T> x) {
  return x != x;
}
template <class T>
EMBER_INLINE Mask<T> isinf(Vec<T> x) {
  if constexpr (kIsFloat<T>) {
    return abs(x) == std::numeric_limits<T>::infinity();
  } else {
    return Mask<T>();
  }
}
template <class T>
EMBER_INLINE Mask<T> isfinite(Vec<T> x) {
  if constexpr (kIsFloat<T>) {
    return abs(x) < std::numeric_limits<T>::infinity();
  } else {
    return Mask<T>::all_of(true);
  }
}

// a * b + c, rounded once where the machine can (kHasFma).
template <class T>
EMBER_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) return Vec<T>((Raw<T>)_mm512_fmadd_ps(a.v, b.v, c.v));
  if constexpr (std::is_same_v<T, double>) return Vec<T>((Raw<T>)_mm512_fmadd_pd(a.v, b.v, c.v));
#elif defined(__FMA__)
  if constexpr (std::is_same_v<T, float>) return Vec<T>((Raw<T>)_mm256_fmadd_ps(a.v, b.v, c.v));
  if constexpr (std::is_same_v<T, double>) return Vec<T>((Raw<T>)_mm256_fmadd_pd(a.v, b.v, c.v));
#elif defined(__ARM_FEATURE_FMA)
  if constexpr (kIsFloat<T>) {
    for (int i = 0; i < Vec<T>::kLanes; ++i) c.v[i] += a.v[i] * b.v[i];
    return c;
  }
#endif
  return a * b + c;
}

template <class T>
EMBER_INLINE Vec<T> sqrt(Vec<T> x) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) return Vec<T>((Raw<T>)_mm512_sqrt_ps(x.v));
  if constexpr (std::is_same_v<T, double>) return Vec<T>((Raw<T>)_mm512_sqrt_pd(x.v));
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<T, float>) return Vec<T>((Raw<T>)_mm256_sqrt_ps(x.v));
  if constexpr (std::is_same_v<T, double>) return Vec<T>((Raw<T>)_mm256_sqrt_pd(x.v));
#elif defined(__SSE2__)
  if constexpr (std::is_same_v<T, float>) return Vec<T>((Raw<T>)_mm_sqrt_ps(x.v));
  if constexpr (std::is_same_v<T, double>) return Vec<T>((Raw<T>)_mm_sqrt_pd(x.v));
#else
  for (int i = 0; i < Vec<T>::kLanes; ++i) x.v[i] = sizeof(T) == 4 ? __builtin_sqrtf(x.v[i]) : __builtin_sqrt(x.v[i]);
  return x;
#endif
}
template <class T>
EMBER_INLINE Vec<T> rsqrt(Vec<T> x) {
  return 1 / sqrt(x);
}

// The bare machine forms: a < b ? a : b and a > b ? a : b, so b where either is NaN.
template <class T>
EMBER_INLINE Vec<T> raw_min(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) return Vec<T>((Raw<T>)_mm512_min_ps(a.v, b.v));
  if constexpr (std::is_same_v<T, double>) return Vec<T>((Raw<T>)_mm512_min_pd(a.v, b.v));
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<T, float>) return Vec<T>((Raw<T>)_mm256_min_ps(a.v, b.v));
  if constexpr (std::is_same_v<T, double>) return Vec<T>((Raw<T>)_mm256_min_pd(a.v, b.v));
#elif defined(__SSE2__)
  if constexpr (std::is_same_v<T, float>) return Vec<T>((Raw<T>)_mm_min_ps(a.v, b.v));
  if constexpr (std::is_same_v<T, double>) return Vec<T>((Raw<T>)_mm_min_pd(a.v, b.v));
#endif
  return select(a < b, a, b);
}
template <class T>
EMBER_INLINE Vec<T> raw_max(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) return Vec<T>((Raw<T>)_mm512_max_ps(a.v, b.v));
  if constexpr (std::is_same_v<T, double>) return Vec<T>((Raw<T>)_mm512_max_pd(a.v, b.v));
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<T, float>) return Vec<T>((Raw<T>)_mm256_max_ps(a.v, b.v));
  if constexpr (std::is_same_v<T, double>) return Vec<T>((Raw<T>)_mm256_max_pd(a.v, b.v));
#elif defined(__SSE2__)
  if constexpr (std::is_same_v<T, float>) return Vec<T>((Raw<T>)_mm_max_ps(a.v, b.v));
  if constexpr (std::is_same_v<T, double>) return Vec<T>((Raw<T>)_mm_max_pd(a.v, b.v));
#endif
  return select(a > b, a, b);
}

// min and max carry NaN on, fmin and fmax pass it over.
template <class T>
EMBER_INLINE Vec<T> min(Vec<T> a, Vec<T> b) {
  if constexpr (kIsFloat<T>) return select(a != a, a, raw_min(a, b));
  return raw_min(a, b);
}
template <class T>
EMBER_INLINE Vec<T> max(Vec<T> a, Vec<T> b) {
  if constexpr (kIsFloat<T>) return select(a != a, a, raw_max(a, b));
  return raw_max(a, b);
}
template <class T>
EMBER_INLINE Vec<T> fmin(Vec<T> a, Vec<T> b) {
  return select(a != a, b, raw_min(b, a));
}
template <class T>
EMBER_INLINE Vec<T> fmax(Vec<T> a, Vec<T> b) {
  return select(a != a, b, raw_max(b, a));
}

// -1, 0 or 1; 0 for NaN, as torch.sign.
template <class T>
EMBER_INLINE Vec<T> sign(Vec<T> x) {
  const Vec<T> one = select(x > 0, Vec<T>(1), Vec<T>(0));
  if constexpr (std::is_unsigned_v<T>) return one;
  return select(x < 0, Vec<T>(-1), one);
}

// ---- Rounding to integers ------------------------------------------------------------------------------------------

// Adding and taking away 1.5 * 2^mantissa rounds |x| < 2^(mantissa - 1) to the nearest integer, halves to even.
template <class T>
inline constexpr T kRoundMagic = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);

enum class Rounding { kNearest, kDown, kUp, kZero };

template <Rounding way, class T>
EMBER_INLINE Vec<T> round_as(Vec<T> x) {
  if constexpr (!kIsFloat<T>) {
    return x;
  } else {
#if defined(__AVX2__)
    constexpr int kHow = static_cast<int>(way) | 8;  // 8: raise no inexact flag
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return Vec<T>((Raw<T>)_mm512_roundscale_ps((__m512)x.v, kHow));
    if constexpr (sizeof(T) == 8) return Vec<T>((Raw<T>)_mm512_roundscale_pd((__m512d)x.v, kHow));
#else
    if constexpr (sizeof(T) == 4) return Vec<T>((Raw<T>)_mm256_round_ps((__m256)x.v, kHow));
    if constexpr (sizeof(T) == 8) return Vec<T>((Raw<T>)_mm256_round_pd((__m256d)x.v, kHow));
#endif
#else
    constexpr T kWhole = sizeof(T) == 4 ? T(8388608.0) : T(4503599627370496.0);  // from here on all are integers
    const Vec<T> a = abs(x), near = (a + kWhole) - kWhole;
    Vec<T> r = copysign(near, x);
    if constexpr (way == Rounding::kDown) r = copysign(r - select(r > x, Vec<T>(1), Vec<T>(0)), x);
    if constexpr (way == Rounding::kUp) r = copysign(r + select(r < x, Vec<T>(1), Vec<T>(0)), x);
    if constexpr (way == Rounding::kZero) r = copysign(near - select(near > a, Vec<T>(1), Vec<T>(0)), x);
    return select(a < kWhole, r, x);
#endif
  }
}
template <class T>
EMBER_INLINE Vec<T> round(Vec<T> x) {
  return round_as<Rounding::kNearest>(x);
}  // halves to even
template <class T>
EMBER_INLINE Vec<T> floor(Vec<T> x) {
  return round_as<Rounding::kDown>(x);
}
template <class T>
EMBER_INLINE Vec<T> ceil(Vec<T> x) {
  return round_as<Rounding::kUp>(x);
}
template <class T>
EMBER_INLINE Vec<T> trunc(Vec<T> x) {
  return round_as<Rounding::kZero>(x);
}

// ---- Numbers beside vectors ----------------------------------------------------------------------------------------

// max(x, 0), pow(2, x), ...: a number next to a vector takes the vector's type. The operators do so by themselves.
template <class A, class B>
concept VecAndNumber = (kIsVec<A> && Number<B>) || (Number<A> && kIsVec<B>);
template <class A, class B>
using VecOf = std::conditional_t<kIsVec<A>, A, B>;

#define EMBER_WITH_NUMBERS(name) \
  template <class A, class B> \
  requires VecAndNumber<A, B> EMBER_INLINE VecOf<A, B> name(A a, B b) { return name(VecOf<A, B>(a), VecOf<A, B>(b)); }
EMBER_WITH_NUMBERS(min)
EMBER_WITH_NUMBERS(max)
EMBER_WITH_NUMBERS(fmin)
EMBER_WITH_NUMBERS(fmax)
EMBER_WITH_NUMBERS(copysign)

template <class T, Number A, Number B>
EMBER_INLINE Vec<T> select(Mask<T> c, A a, B b) {
  return select(c, Vec<T>(a), Vec<T>(b));
}
template <class T, class B, class C>
requires(Number<B> || Number<C>) EMBER_INLINE Vec<T> fma(Vec<T> a, B b, C c) { return fma(a, Vec<T>(b), Vec<T>(c)); }

}  // namespace ember::cpu::EMBER_ISA
