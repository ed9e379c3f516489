// The vocabulary of elementary functions on Vec<float> and Vec<double>: exp, log, circular, hyperbolic, their inverses,
// pow, and the divisions with remainder. One generic algorithm serves both types; only the polynomials differ.
// Accuracy and special values follow C's Annex F: within 2 ulp (the table is in vec_special.h), on every instruction
// set, with or without a fused multiply-add. Argument-dependent lookup finds everything; no state, no calls in loops.
#pragma once

#include "kernel/cpu/vec.h"
#include "kernel/cpu/vec_coef.h"

namespace ember::cpu::EMBER_ISA {

// ---- Tools ---------------------------------------------------------------------------------------------------------

template <class T>
using UInt = std::make_unsigned_t<Signed<T>>;
template <class T>
inline constexpr int kMantissa = sizeof(T) == 4 ? 23 : 52;
template <class T>
inline constexpr int kBias = sizeof(T) == 4 ? 127 : 1023;
template <class T>
inline constexpr T kInf = std::numeric_limits<T>::infinity();
template <class T>
inline constexpr T kNaN = std::numeric_limits<T>::quiet_NaN();

// A constant by its type: the first for float, the second for double.
template <class T>
EMBER_INLINE constexpr T pick(float f, double d) {
  if constexpr (sizeof(T) == 4) return f;
  return d;
}

// The polynomial with coefficients c, lowest first.
template <const auto& c, int i = 0, class T>
EMBER_INLINE Vec<T> poly(Vec<T> x) {
  if constexpr (i + 1 == static_cast<int>(sizeof(c) / sizeof(c[0]))) {
    return Vec<T>(c[i]);
  } else {
    return fma(poly<c, i + 1>(x), x, Vec<T>(c[i]));
  }
}

// A number to twice the precision: hi + lo, |lo| at most half an ulp of hi.
template <class T>
struct Pair {
  Vec<T> hi, lo;
};

template <class T>
EMBER_INLINE Pair<T> fast_two_sum(Vec<T> a, Vec<T> b) {  // |a| >= |b|
  const Vec<T> s = a + b;
  return {s, b - (s - a)};
}
template <class T>
EMBER_INLINE Pair<T> two_sum(Vec<T> a, Vec<T> b) {
  const Vec<T> s = a + b, c = s - a;
  return {s, (a - (s - c)) + (b - c)};
}
// x rounded to the upper half of its bits: products of two such numbers are exact.
template <class T>
EMBER_INLINE Vec<T> upper_half(Vec<T> x) {
  constexpr UInt<T> kUnit = UInt<T>{1} << (sizeof(T) == 4 ? 12 : 27);
  return bits_as<T>((bits_as<UInt<T>>(x) + kUnit / 2) & ~(kUnit - 1));
}
template <class T>
EMBER_INLINE Pair<T> two_prod(Vec<T> a, Vec<T> b) {
  const Vec<T> p = a * b;
  if constexpr (kHasFma) return {p, fma(a, b, -p)};
  const Vec<T> ah = upper_half(a), al = a - ah, bh = upper_half(b), bl = b - bh;
  return {p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}
template <class T>
EMBER_INLINE Pair<T> mul(Pair<T> a, Pair<T> b) {
  const Pair<T> p = two_prod(a.hi, b.hi);
  return fast_two_sum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}

// The nearest integer of |x| < 2^(kMantissa - 2), cheaper than round().
template <class T>
EMBER_INLINE Vec<T> nearest(Vec<T> x) {
  return (x + kRoundMagic<T>)-kRoundMagic<T>;
}

// 2^n for an integral n whose power is a normal number: n lands in the low bits of a sum, and from there in the
// exponent.
template <class T>
EMBER_INLINE Vec<T> pow2(Vec<T> n) {
  const auto bits = bits_as<UInt<T>>(n + (kRoundMagic<T> + kBias<T>));
  return bits_as<T>(Vec<UInt<T>>(bits.v << kMantissa<T>));
}
// x * 2^n for an integral n, to infinity and into the subnormal numbers, when x is near 1.
template <class T>
EMBER_INLINE Vec<T> ldexp(Vec<T> x, Vec<T> n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return Vec<T>((Raw<T>)_mm512_scalef_ps((__m512)x.v, (__m512)n.v));
  if constexpr (sizeof(T) == 8) return Vec<T>((Raw<T>)_mm512_scalef_pd((__m512d)x.v, (__m512d)n.v));
#else
  const Vec<T> half = nearest(n * T(0.5));
  return x * pow2(half) * pow2(n - half);
#endif
}

// The two halves of a float vector as doubles, and back: some float functions take double's road.
EMBER_INLINE Pair<double> widen(Vec<float> x) {
#if defined(__AVX512F__)
  return {Vec<double>((Raw<double>)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x.v))),
          Vec<double>((Raw<double>)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x.v, 1)))};
#elif defined(__AVX2__)
  return {Vec<double>((Raw<double>)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)x.v))),
          Vec<double>((Raw<double>)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)x.v, 1)))};
#elif defined(__SSE2__)
  return {Vec<double>((Raw<double>)_mm_cvtps_pd((__m128)x.v)),
          Vec<double>((Raw<double>)_mm_cvtps_pd(_mm_movehl_ps((__m128)x.v, (__m128)x.v)))};
#else
  Pair<double> r;
  for (int i = 0; i < Vec<double>::kLanes; ++i) {
    r.hi.v[i] = x.v[i];
    r.lo.v[i] = x.v[i + Vec<double>::kLanes];
  }
  return r;
#endif
}
EMBER_INLINE Vec<float> narrow(Vec<double> a, Vec<double> b) {
#if defined(__AVX512F__)
  const __m512 low = _mm512_castps256_ps512(_mm512_cvtpd_ps((__m512d)a.v));
  return Vec<float>((Raw<float>)_mm512_insertf32x8(low, _mm512_cvtpd_ps((__m512d)b.v), 1));
#elif defined(__AVX2__)
  return Vec<float>((Raw<float>)_mm256_set_m128(_mm256_cvtpd_ps((__m256d)b.v), _mm256_cvtpd_ps((__m256d)a.v)));
#elif defined(__SSE2__)
  return Vec<float>((Raw<float>)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)a.v), _mm_cvtpd_ps((__m128d)b.v)));
#else
  Vec<float> r;
  for (int i = 0; i < Vec<double>::kLanes; ++i) {
    r.v[i] = static_cast<float>(a.v[i]);
    r.v[i + Vec<double>::kLanes] = static_cast<float>(b.v[i]);
  }
  return r;
#endif
}
template <class F>
EMBER_INLINE Vec<float> in_double(Vec<float> x, F f) {
  const Pair<double> wide = widen(x);
  return narrow(f(wide.hi), f(wide.lo));
}

// ---- Exponentials --------------------------------------------------------------------------------------------------

template <class T>
inline constexpr T kLn2Hi = pick<T>(0x1.62e4p-1f, 0x1.62e42feep-1);  // times any exponent: exact
template <class T>
inline constexpr T kLn2Lo = pick<T>(0x1.7f7d1cf7p-20f, 0x1.a39ef35793c76p-33);

// exp(x) = 2^n (1 + r + q), |r| <= log(2) / 2, r without a rounding error and q small.
template <class T>
struct ExpParts {
  Vec<T> n, r, q;
};
template <class T>
EMBER_INLINE ExpParts<T> exp_parts(Vec<T> x) {
  const Vec<T> n = nearest(x * T(1.4426950408889634));
  const Vec<T> hi = fma(n, Vec<T>(-kLn2Hi<T>), x), r = fma(n, Vec<T>(-kLn2Lo<T>), hi);
  return {n, hi, fma(n, Vec<T>(-kLn2Lo<T>), r * r * poly<Coef<T>::exp>(r))};
}

// The same with x + more, for |more| of some ulps of x.
template <class T>
EMBER_INLINE ExpParts<T> exp_parts(Vec<T> x, Vec<T> more) {
  const ExpParts<T> e = exp_parts(x);
  return {e.n, e.r, e.q + fma(e.r + e.q, more, more)};
}

// exp(x) * 2^shift: nothing overflows before the result does.
template <int shift, class T>
EMBER_INLINE Vec<T> exp_shifted(Vec<T> x) {
  x = raw_max(Vec<T>(pick<T>(-105, -746)), raw_min(Vec<T>(pick<T>(90, 711)), x));  // NaN stays: it is the second
  const ExpParts<T> e = exp_parts(x);
  const Pair<T> sum = fast_two_sum(Vec<T>(1), e.r);
  return ldexp(sum.hi + (sum.lo + e.q), shift == 0 ? e.n : e.n + shift);
}
template <class T>
EMBER_INLINE Vec<T> exp(Vec<T> x) {
  return exp_shifted<0>(x);
}

template <class T>
EMBER_INLINE Vec<T> exp2(Vec<T> x) {
  x = raw_max(Vec<T>(pick<T>(-151, -1076)), raw_min(Vec<T>(pick<T>(129, 1025)), x));
  const Vec<T> n = nearest(x), r = x - n;
  return ldexp(fma(r, poly<Coef<T>::exp2>(r), Vec<T>(1)), n);
}

template <class T>
EMBER_INLINE Vec<T> expm1(Vec<T> x) {
  const ExpParts<T> e = exp_parts(raw_max(Vec<T>(-40), raw_min(Vec<T>(pick<T>(90, 711)), x)));
  const Vec<T> half = pow2(raw_min(Vec<T>(kBias<T>), e.n - 1));
  const Vec<T> r = 2 * fma(half, e.q, fma(half, e.r, half - T(0.5)));
  return select(abs(x) < T(1e-30), x, select(x > pick<T>(88.8f, 709.8), Vec<T>(kInf<T>), r));
}

// 1 / (1 + exp(-x)), written so that neither side overflows: x / (1 + x) at exp(x) for x < 0.
template <class T>
EMBER_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> e = exp(-abs(x));
  return select(x < 0, e, Vec<T>(1)) / (1 + e);
}

template <class T>
EMBER_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> a = abs(x), z = a * a;
  const ExpParts<T> e = exp_parts(2 * raw_min(Vec<T>(pick<T>(10, 20)), a));
  const Vec<T> scale = pow2(e.n), large = 1 - 2 / (fma(scale, e.r + e.q, scale) + 1);
  return copysign(select(a < T(0.625), fma(a * z, poly<Coef<T>::tanh>(z), a), large), x);
}

template <class T>
EMBER_INLINE Vec<T> sinh(Vec<T> x) {
  const Vec<T> a = abs(x), z = a * a, h = exp_shifted<-1>(a);
  return copysign(select(a < 1, fma(a * z, poly<Coef<T>::sinh>(z), a), h - T(0.25) / h), x);
}
template <class T>
EMBER_INLINE Vec<T> cosh(Vec<T> x) {
  const Vec<T> h = exp_shifted<-1>(abs(x));
  return h + T(0.25) / h;
}

// ---- Logarithms ----------------------------------------------------------------------------------------------------

// x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for a positive finite x.
template <class T>
struct Split {
  Vec<T> k, f;
};
template <class T>
EMBER_INLINE Split<T> split(Vec<T> x) {
  const Mask<T> tiny = x < std::numeric_limits<T>::min();
  constexpr T kUp = pick<T>(0x1p25f, 0x1p54);
  const auto bits = bits_as<UInt<T>>(select(tiny, x * kUp, x));
  constexpr UInt<T> kOne = UInt<T>{kBias<T>} << kMantissa<T>;
  constexpr UInt<T> kRoot = sizeof(T) == 4 ? UInt<T>(0x3f3504f3) : UInt<T>(0x3fe6a09e667f3bcdull);  // sqrt(1/2)
  const Vec<UInt<T>> biased((bits.v + (kOne - kRoot)) >> kMantissa<T>);
  const Vec<T> m = bits_as<T>(Vec<UInt<T>>(bits.v - ((biased.v - kBias<T>) << kMantissa<T>)));
  constexpr T kWhole = pick<T>(0x1p23f, 0x1p52);  // whose low bits an integer may be laid into
  const Vec<T> k = bits_as<T>(biased | bits_as<UInt<T>>(Vec<T>(kWhole))) - (kWhole + kBias<T>);
  return {select(tiny, k - pick<T>(25, 54), k), m - 1};
}

// What log(1 + f) has beyond f - f^2 / 2, and f^2 / 2.
template <class T>
struct LogTail {
  Vec<T> tail, half_square;
};
template <class T>
EMBER_INLINE LogTail<T> log_tail(Vec<T> f) {
  const Vec<T> s = f / (2 + f), z = s * s, h = T(0.5) * f * f;
  return {s * (h + z * poly<Coef<T>::log>(z)), h};
}

// 0 gives -inf, a negative number NaN, inf and NaN themselves.
template <class T>
EMBER_INLINE Vec<T> log_ends(Vec<T> x, Vec<T> r) {
  r = select(x < kInf<T>, r, x);
  return select(x > 0, r, select(x == 0, Vec<T>(-kInf<T>), Vec<T>(kNaN<T>)));
}

template <class T>
EMBER_INLINE Vec<T> log(Vec<T> x) {
  const auto [k, f] = split(x);
  const auto [tail, h] = log_tail(f);
  return log_ends(x, fma(k, Vec<T>(kLn2Hi<T>), f - (h - fma(k, Vec<T>(kLn2Lo<T>), tail))));
}

template <class T>
EMBER_INLINE Vec<T> log1p(Vec<T> x) {
  const Vec<T> u = 1 + x;
  const Split<T> parts = split(u);
  const Mask<T> direct = parts.k == 0;
  const Vec<T> lost = select(u > x + x, x - (u - 1), 1 - (u - x));  // of 1 + x, by rounding
  const Vec<T> c = select(direct, Vec<T>(0), lost / u), f = select(direct, x, parts.f);
  const auto [tail, h] = log_tail(f);
  const Vec<T> r = fma(parts.k, Vec<T>(kLn2Hi<T>), f - (h - (fma(parts.k, Vec<T>(kLn2Lo<T>), c) + tail)));
  return select(abs(x) < T(1e-30), x, log_ends(u, r));
}

// log(x) / log(base) as k * (k_hi + k_lo) + log(1 + f) * (hi + lo), each hi short enough for an exact product.
template <class T>
EMBER_INLINE Vec<T> log_to_base(Vec<T> x, T k_hi, T k_lo, T hi, T lo) {
  const auto [k, f] = split(x);
  const auto [tail, h] = log_tail(f);
  const Vec<T> a = upper_half(f - h), b = ((f - a) - h) + tail;
  const Vec<T> big = k * k_hi, top = a * hi, w = big + top;
  const Vec<T> rest = fma(k, Vec<T>(k_lo), fma(a + b, Vec<T>(lo), b * hi));
  return log_ends(x, w + (rest + ((big - w) + top)));
}
template <class T>
EMBER_INLINE Vec<T> log2(Vec<T> x) {
  return log_to_base(x, T(1), T(0), pick<T>(0x1.714p+0f, 0x1.715476p+0),
                     pick<T>(0x1.47652b82p-12f, 0x1.4ae0bf85ddf44p-26));
}
template <class T>
EMBER_INLINE Vec<T> log10(Vec<T> x) {
  return log_to_base(x, pick<T>(0x1.344p-2f, 0x1.34413508p-2), pick<T>(0x1.3509f79fp-18f, 0x1.f79fef311f12bp-34),
                     pick<T>(0x1.bcap-2f, 0x1.bcb7b1p-2), pick<T>(0x1.7b1526e5p-14f, 0x1.49b9438ca9aaep-28));
}

// ---- Circular functions --------------------------------------------------------------------------------------------

// 2/pi as a row of 64-bit words, after one word of zeros.
inline constexpr uint64_t kTwoOverPi[] = {0,
                                          0xa2f9836e4e441529,
                                          0xfc2757d1f534ddc0,
                                          0xdb6295993c439041,
                                          0xfe5163abdebbc561,
                                          0xb7246e3a424dd2e0,
                                          0x06492eea09d1921c,
                                          0xfe1deb1cb129a73e,
                                          0xe88235f52ebb4484,
                                          0xe99c7026b45f7e41,
                                          0x3991d639835339f4,
                                          0x9c845f8bbdf9283b,
                                          0x1ff897ffde05980f,
                                          0xef2f118b5a0a6d1f,
                                          0x6d367ecf27cb09b7,
                                          0x4f463f669e5fea2d,
                                          0x7527bac7ebe5f17b,
                                          0x3d0739f78a5292ea,
                                          0x6bfb5fb11f8d5d08,
                                          0x56033046fc7b6bab};

// x = n pi/2 + hi + lo for |x| >= 2^17, n mod 4, by Payne and Hanek: the words of 2/pi that make multiples of 4 are
// left out, three words are enough for the rest.
inline __attribute__((noinline)) void reduce_huge(double x, double* n, double* hi, double* lo) {
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const int exponent = static_cast<int>(bits >> 52 & 2047);
  if (exponent == 2047) {
    *n = 0;
    *hi = *lo = __builtin_nan("");
    return;
  }
  const uint64_t m = (bits & ((uint64_t{1} << 52) - 1)) | uint64_t{1} << 52;
  const int start = exponent - 1075 - 2 + 64, word = start / 64, shift = start % 64;
  uint64_t w[3];
  for (int i = 0; i < 3; ++i) {
    w[i] = kTwoOverPi[word + i] << shift;
    if (shift != 0) w[i] |= kTwoOverPi[word + i + 1] >> (64 - shift);
  }
  using u128 = unsigned __int128;
  const u128 p2 = static_cast<u128>(m) * w[2], p1 = static_cast<u128>(m) * w[1] + (p2 >> 64);
  const uint64_t p0 = m * w[0] + static_cast<uint64_t>(p1 >> 64);
  u128 fraction = (static_cast<u128>(p0) << 66) | (p1 << 64 >> 62) | static_cast<uint64_t>(p2) >> 62;
  int quarter = static_cast<int>(p0 >> 62);
  const bool past_half = fraction >> 127;
  if (past_half) {
    ++quarter;
    fraction = -fraction;
  }
  // to double: 53 leading bits, then the 53 after them
  const uint64_t head = static_cast<uint64_t>(fraction >> 64);
  const int zeros = head != 0 ? __builtin_clzll(head) : 64;
  fraction <<= zeros;
  const double unit = __builtin_ldexp(past_half ? -1.0 : 1.0, -zeros);
  const double f = static_cast<double>(static_cast<uint64_t>(fraction >> 75)) * 0x1p-53 * unit;
  const double g = static_cast<double>(static_cast<uint64_t>(fraction << 53 >> 75)) * 0x1p-106 * unit;
  static_assert(sizeof(kTwoOverPi) == 20 * sizeof(uint64_t));
  constexpr double kHi = 0x1.921fb54442d18p+0, kLo = 0x1.1a62633145c07p-54;
  const double product = f * kHi, error = __builtin_fma(f, kHi, -product) + (f * kLo + g * kHi);
  *n = quarter & 3;
  *hi = product + error;
  *lo = error - (*hi - product);
}

// a = n pi/2 + hi + lo, |hi| <= pi/4 and a little, for 0 <= a < kFarAngle.
template <class T>
struct Turned {
  Vec<T> n, hi, lo;
};
inline constexpr double kHalfPi1 = 0x1.921fb544p+0, kHalfPi2 = 0x1.0b4611a6p-34, kHalfPi3 = 0x1.3198a2e0p-69,
                        kHalfPi4 = 0x1.b839a252049c1p-104;  // the first three have 33 bits: n times them is exact
template <class T>
inline constexpr T kFarAngle = pick<T>(kHasFma ? 0x1p14f : 0x1p19f, 0x1p19);

EMBER_INLINE Turned<double> turn(Vec<double> a) {
  const Vec<double> n = nearest(a * 0.6366197723675814);
  const Vec<double> first = a - n * kHalfPi1;
  const Pair<double> second = two_sum(first, -(n * kHalfPi2));
  const Pair<double> third = two_sum(second.hi, -(n * kHalfPi3));
  const Pair<double> r = fast_two_sum(third.hi, (second.lo + third.lo) - n * kHalfPi4);
  return {n, r.hi, r.lo};
}
// A float's angle in double, where two constants are enough.
EMBER_INLINE Turned<double> turn_float(Vec<double> a) {
  const Vec<double> n = nearest(a * 0.6366197723675814);
  return {n, (a - n * kHalfPi1) - n * (kHalfPi2 + kHalfPi3), Vec<double>(0)};
}
EMBER_INLINE Turned<float> turn(Vec<float> a) {
  if constexpr (kHasFma) {
    constexpr float k1 = 0x1.921fb6p+0f, k2 = -0x1.777a5cp-25f, k3 = -0x1.ee59dap-50f;
    const Vec<float> n = nearest(a * 0.63661977f), t = fma(n, Vec<float>(-k1), a);
    const Vec<float> hi = fma(n, Vec<float>(-k2), t), lo = fma(n, Vec<float>(-k2), t - hi);
    return {n, hi, fma(n, Vec<float>(-k3), lo)};
  } else {
    const Pair<double> wide = widen(a);
    const Turned<double> s = turn_float(wide.hi), t = turn_float(wide.lo);
    return {narrow(s.n, t.n), narrow(s.hi, t.hi), Vec<float>(0)};
  }
}
inline __attribute__((noinline)) Turned<double> turn_any(Vec<double> a) {
  Turned<double> t = turn(a);
  for (int i = 0; i < Vec<double>::kLanes; ++i) {
    if (a.v[i] >= kFarAngle<double>) {
      double n, hi, lo;
      reduce_huge(a.v[i], &n, &hi, &lo);
      t.n.v[i] = n;
      t.hi.v[i] = hi;
      t.lo.v[i] = lo;
    }
  }
  return t;
}

// sin and cos of hi + lo, |hi| <= pi/4, to the precision of C's polynomials.
template <class C, class T>
EMBER_INLINE Vec<T> sin_near(Vec<T> hi, Vec<T> lo) {
  const Vec<T> z = hi * hi;
  return hi + fma(hi * z, poly<C::sin>(z), lo * (1 - T(0.5) * z));
}
template <class C, class T>
EMBER_INLINE Vec<T> cos_near(Vec<T> hi, Vec<T> lo) {
  const Vec<T> z = hi * hi, h = T(0.5) * z, w = 1 - h;
  return w + (((1 - w) - h) + (z * z * poly<C::cos>(z) - hi * lo));
}

template <class T>
EMBER_INLINE Vec<UInt<T>> quarter(Turned<T> t) {
  return bits_as<UInt<T>>(t.n + kRoundMagic<T>);
}
template <class T>
EMBER_INLINE Mask<T> is_odd(Vec<UInt<T>> q) {
  return mask_cast<T>((q & 1) != 0);
}
template <class T>
EMBER_INLINE Vec<T> flip_sign(Vec<T> x, Vec<UInt<T>> by) {
  return bits_as<T>(bits_as<UInt<T>>(x) ^ (by & kSignBit<UInt<T>>));
}

// The sine, turned by `quarters` more, of the angle that was taken apart.
template <int quarters, class T>
EMBER_INLINE Vec<T> sin_turned(Turned<T> t) {
  const Vec<UInt<T>> q = quarters == 0 ? quarter(t) : quarter(t) + quarters;
  const Vec<T> r = select(is_odd<T>(q), cos_near<Coef<T>>(t.hi, t.lo), sin_near<Coef<T>>(t.hi, t.lo));
  return flip_sign(r, Vec<UInt<T>>(q.v << (kMantissa<T> == 23 ? 30 : 62)));
}
template <class C>
EMBER_INLINE Vec<double> tan_turned(Turned<double> t) {
  const Vec<double> s = sin_near<C>(t.hi, t.lo), c = cos_near<C>(t.hi, t.lo);
  const Mask<double> odd = is_odd<double>(quarter(t));
  return select(odd, -c, s) / select(odd, s, c);
}

// sin, cos and tan of |x| where a lane is far out: functions of their own, so that the loops stay light.
template <int quarters>
inline __attribute__((noinline)) Vec<double> sin_far(Vec<double> x) {
  return sin_turned<quarters>(turn_any(abs(x)));
}
template <int quarters>
inline __attribute__((noinline)) Vec<float> sin_far(Vec<float> x) {
  return in_double(x, [](Vec<double> v) { return sin_far<quarters>(v); });
}
inline __attribute__((noinline)) Vec<double> tan_far(Vec<double> x) {
  return tan_turned<Coef<double>>(turn_any(abs(x)));
}

template <int quarters, class T>
EMBER_INLINE Vec<T> sin_of_abs(Vec<T> x) {
  const Vec<T> a = abs(x);
  if (__builtin_expect(any(a >= kFarAngle<T>), 0)) return sin_far<quarters>(x);
  return sin_turned<quarters>(turn(a));
}
template <class T>
EMBER_INLINE Vec<T> sin(Vec<T> x) {
  return flip_sign(sin_of_abs<0>(x), bits_as<UInt<T>>(x));
}
template <class T>
EMBER_INLINE Vec<T> cos(Vec<T> x) {
  return sin_of_abs<1>(x);
}
EMBER_INLINE Vec<double> tan(Vec<double> x) {
  const Vec<double> a = abs(x);
  const bool far = __builtin_expect(any(a >= kFarAngle<double>), 0);
  return flip_sign(far ? tan_far(x) : tan_turned<Coef<double>>(turn(a)), bits_as<uint64_t>(x));
}
EMBER_INLINE Vec<float> tan(Vec<float> x) {  // a quotient of floats would lose 2 ulp
  const bool far = __builtin_expect(any(abs(x) >= 0x1p19f), 0);
  const Vec<float> r =
      in_double(abs(x), [=](Vec<double> a) { return far ? tan_far(a) : tan_turned<Coef<float>>(turn_float(a)); });
  return flip_sign(r, bits_as<uint32_t>(x));
}

// ---- Their inverses ------------------------------------------------------------------------------------------------

// k pi/4 + v without loss, k from 0 to 4.
template <class T>
EMBER_INLINE Vec<T> add_eighths(Vec<T> k, Vec<T> v) {
  constexpr T kHi = pick<T>(0x1.92p-1f, 0x1.921fb544p-1), kLo = pick<T>(0x1.fb5444p-13f, 0x1.0b4611a626331p-35);
  const Pair<T> sum = fast_two_sum(k * kHi, v);
  return sum.hi + (sum.lo + k * kLo);
}

// atan(y / x) for 0 <= y, 0 <= x: by symmetry 0 <= y <= x, then y/x <= 0.6, where the quotient loses least. Where
// `obtuse`, pi minus it.
template <class T>
EMBER_INLINE Vec<T> atan_quotient(Vec<T> y, Vec<T> x, Mask<T> obtuse) {
  const Vec<T> small = raw_min(y, x), large = raw_max(y, x);
  const Mask<T> steep = y > x, middle = small > large * T(0.6);
  const Vec<T> t = select(middle, small - large, small) / select(middle, small + large, large), z = t * t;
  const Vec<T> v = fma(t * z, poly<Coef<T>::atan>(z), t);
  // eighths of a turn: v + middle, then 2 - that if steep, then 4 - that if obtuse
  Vec<T> k = select(middle, Vec<T>(1), Vec<T>(0));
  k = select(steep, 2 - k, k);
  k = select(obtuse, 4 - k, k);
  return add_eighths(k, select(steep ^ obtuse, -v, v));
}

template <class T>
EMBER_INLINE Vec<T> atan(Vec<T> x) {
  const Vec<T> r = atan_quotient(raw_min(abs(x), Vec<T>(pick<T>(1e30f, 1e300))), Vec<T>(1), Mask<T>());
  return select(x == x, copysign(r, x), x);
}

template <class T>
EMBER_INLINE Vec<T> atan2(Vec<T> y, Vec<T> x) {
  Vec<T> ay = abs(y), ax = abs(x);
  const Vec<T> most = raw_max(ay, ax);
  const Mask<T> endless = most == kInf<T>;
  const Vec<T> up = select(most < pick<T>(0x1p-100f, 0x1p-1000), Vec<T>(pick<T>(0x1p26f, 0x1p56)), Vec<T>(1));
  const Vec<T> scale = select(most > pick<T>(0x1p126f, 0x1p1022), Vec<T>(T(0.25)), up);
  ay = select(endless, select(ay == kInf<T>, Vec<T>(1), Vec<T>(0)), ay * scale);
  ax = select(endless, select(ax == kInf<T>, Vec<T>(1), Vec<T>(0)), ax * scale);
  ax = select(most == 0, Vec<T>(1), ax);
  const Vec<T> r = copysign(atan_quotient(ay, ax, signbit(x)), y);
  return select((x == x) & (y == y), r, x + y);
}

template <class T>
EMBER_INLINE Vec<T> asin(Vec<T> x) {
  const Vec<T> a = abs(x);
  const Mask<T> far = a > T(0.5);
  const Vec<T> z = select(far, T(0.5) - T(0.5) * a, a * a), s = select(far, sqrt(z), a);
  const Vec<T> v = fma(s * z, poly<Coef<T>::asin>(z), s);
  return copysign(select(far, add_eighths(Vec<T>(2), T(-2) * v), v), x);
}
template <class T>
EMBER_INLINE Vec<T> acos(Vec<T> x) {
  const Vec<T> a = abs(x);
  const Mask<T> far = a > T(0.5);
  const Vec<T> z = select(far, T(0.5) - T(0.5) * a, a * a), s = select(far, sqrt(z), x);
  const Vec<T> v = fma(s * z, poly<Coef<T>::asin>(z), s);
  const Vec<T> k = select(far, select(x < 0, Vec<T>(4), Vec<T>(0)), Vec<T>(2));
  return add_eighths(k, v * select(far, select(x < 0, Vec<T>(-2), Vec<T>(2)), Vec<T>(-1)));
}

// From here on a^2 +- 1 is a^2.
template <class T>
inline constexpr T kHugeArea = pick<T>(0x1p14f, 0x1p28);

template <class T>
EMBER_INLINE Vec<T> asinh(Vec<T> x) {
  const Vec<T> a = abs(x), z = a * a;
  const Mask<T> huge = a > kHugeArea<T>;
  const Vec<T> r = log1p(select(huge, a - 1, a + z / (1 + sqrt(z + 1))));
  return copysign(r + select(huge, Vec<T>(0.6931471805599453), Vec<T>(0)), x);
}
template <class T>
EMBER_INLINE Vec<T> acosh(Vec<T> x) {
  const Vec<T> t = x - 1;
  const Mask<T> huge = x > kHugeArea<T>;
  const Vec<T> r = log1p(select(huge, t, t + sqrt(fma(t, t, t + t))));
  return select(x < 1, Vec<T>(kNaN<T>), r + select(huge, Vec<T>(0.6931471805599453), Vec<T>(0)));
}
template <class T>
EMBER_INLINE Vec<T> atanh(Vec<T> x) {
  const Vec<T> a = abs(x), t = a + a, rest = 1 - a;
  return copysign(T(0.5) * log1p(select(a < T(0.5), t + t * a / rest, t / rest)), x);
}

template <class T>
EMBER_INLINE Vec<T> hypot(Vec<T> x, Vec<T> y) {
  const Vec<T> ax = abs(x), ay = abs(y), most = raw_max(ax, ay);
  const Mask<T> large = most > pick<T>(0x1p60f, 0x1p500), small = most < pick<T>(0x1p-50f, 0x1p-450);
  const Vec<T> scale =
      select(large, Vec<T>(pick<T>(0x1p-70f, 0x1p-600)), select(small, Vec<T>(pick<T>(0x1p90f, 0x1p700)), Vec<T>(1)));
  const Vec<T> back =
      select(large, Vec<T>(pick<T>(0x1p70f, 0x1p600)), select(small, Vec<T>(pick<T>(0x1p-90f, 0x1p-700)), Vec<T>(1)));
  const Vec<T> sx = ax * scale, sy = ay * scale;
  return select(isinf(x) | isinf(y), Vec<T>(kInf<T>), sqrt(fma(sx, sx, sy * sy)) * back);
}

// The next number after x on the way to y.
template <class T>
EMBER_INLINE Vec<T> nextafter(Vec<T> x, Vec<T> y) {
  using U = UInt<T>;
  const Vec<U> bits = bits_as<U>(x);
  const Vec<U> outward = select(mask_cast<U>((x < y) == (x > 0)), bits + 1, bits - 1);
  const Vec<T> from_zero = copysign(bits_as<T>(Vec<U>(1)), y);
  const Vec<T> r = select(x == y, y, select(x == 0, from_zero, bits_as<T>(outward)));
  return select((x == x) & (y == y), r, x + y);
}

// ---- Division with a remainder -------------------------------------------------------------------------------------

// The lanes whose quotient does not fit the mantissa.
template <class T>
inline __attribute__((noinline)) Vec<T> fmod_far(Vec<T> x, Vec<T> y, Vec<T> r, Mask<T> far) {
  for (int i = 0; i < Vec<T>::kLanes; ++i) {
    if (far[i]) r.v[i] = sizeof(T) == 4 ? __builtin_fmodf(x.v[i], y.v[i]) : __builtin_fmod(x.v[i], y.v[i]);
  }
  return r;
}

// x - y trunc(x / y), exactly, with the sign of x (C's fmod and %).
template <class T>
EMBER_INLINE Vec<T> fmod(Vec<T> x, Vec<T> y) {
  if constexpr (!kIsFloat<T>) {
    return x % y;
  } else {
    const Vec<T> a = abs(x), b = abs(y), q = trunc(a / b);
    const Pair<T> p = two_prod(q, b);
    Vec<T> r = (a - p.hi) - p.lo;  // q may be one too many
    r = select(r < 0, r + b, r);
    const Mask<T> easy = (a < b) | ((a < pick<T>(0x1p100f, 0x1p900)) & (b > pick<T>(0x1p-60f, 0x1p-900)) &
                                    (q < pick<T>(0x1p22f, 0x1p51)));
    r = select(a < b, a, r);
    if (__builtin_expect(!all(easy), 0)) r = fmod_far(a, b, r, !easy);
    return copysign(r, x);
  }
}

template <class T>
EMBER_INLINE Vec<T> remainder(Vec<T> x, Vec<T> y) {  // the sign of y (Python's %)
  const Vec<T> r = fmod(x, y);
  if constexpr (std::is_unsigned_v<T>) return r;
  return select((r != 0) & ((r < 0) ^ (y < 0)), r + y, r);
}

template <class T>
EMBER_INLINE Vec<T> floor_div(Vec<T> x, Vec<T> y) {
  if constexpr (!kIsFloat<T>) {
    const Vec<T> q = x / y;
    if constexpr (std::is_unsigned_v<T>) return q;
    return select((x - q * y != 0) & ((x < 0) ^ (y < 0)) & (y != 0), q - 1, q);
  } else {  // from the exact remainder, so that the quotient is whole, then the nearest whole number
    const Vec<T> m = fmod(x, y);
    Vec<T> q = (x - m) / y;
    q = select((m != 0) & ((m < 0) ^ (y < 0)), q - 1, q);
    const Vec<T> whole = floor(q), r = select(q - whole > T(0.5), whole + 1, whole);
    return select(y == 0, x / y, select(q == 0, copysign(Vec<T>(0), x / y), r));
  }
}

// Lane by lane: Euclid's loop has no vector form that pays.
template <class T>
EMBER_INLINE Vec<T> gcd(Vec<T> x, Vec<T> y) {
  using U = UInt<T>;
  const Vec<T> ax = abs(x), ay = abs(y);
  Vec<T> r;
  for (int i = 0; i < Vec<T>::kLanes; ++i) {
    U a = static_cast<U>(ax.v[i]), b = static_cast<U>(ay.v[i]);
    while (b != 0) {
      const U rest = a % b;
      a = b;
      b = rest;
    }
    r.v[i] = static_cast<T>(a);
  }
  return r;
}
template <class T>
EMBER_INLINE Vec<T> lcm(Vec<T> x, Vec<T> y) {
  return abs(x / gcd(x, y) * y);
}  // 0 / 0 is 0 here

EMBER_WITH_NUMBERS(atan2)
EMBER_WITH_NUMBERS(hypot)
EMBER_WITH_NUMBERS(nextafter)
EMBER_WITH_NUMBERS(fmod)
EMBER_WITH_NUMBERS(remainder)
EMBER_WITH_NUMBERS(floor_div)
EMBER_WITH_NUMBERS(gcd)
EMBER_WITH_NUMBERS(lcm)

}  // namespace ember::cpu::EMBER_ISA

#include "kernel/cpu/vec_special.h"  // erf, erfc, erfinv, lgamma, digamma, pow
