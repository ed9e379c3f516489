// The heavy half of the vocabulary: erf, erfc, erfinv, lgamma, digamma, pow. Double carries the algorithms; float takes
// them through double where speed is no concern. The heavy ones are functions of their own, not inlined.
// Included at the end of vec_math.h, never by itself.
//
// Largest errors seen, in ulp (float against double, 400,000 arguments; double against mpmath, 6,000; the larger of the
// instruction sets; tests/cpp/vec_test.cc holds the bounds):
//            f32   f64 |            f32   f64 |            f32   f64 |            f32   f64
//   exp      0.7   0.7 |  sin       1.5   0.7 |  sinh      1.6   1.4 |  erf       1.4   0.9
//   exp2     1.2   1.1 |  cos       1.5   0.7 |  cosh      1.2   1.1 |  erfc      0.5   1.9
//   expm1    1.1   1.0 |  tan       0.6   1.9 |  tanh      1.3   1.1 |  erfinv    0.5   2.1
//   log      0.8   0.8 |  asin      1.9   2.0 |  asinh     1.6   1.4 |  lgamma    0.5   3.4
//   log2     0.8   0.7 |  acos      1.2   1.0 |  acosh     2.0   1.9 |  digamma   0.5   2.5
//   log10    0.7   0.7 |  atan      0.9   0.8 |  atanh     1.7   1.6 |  sigmoid   2.2   1.9
//   log1p    0.9   0.8 |  atan2     1.5   1.4 |  hypot     1.2   1.1 |  pow       0.5   0.9
// lgamma and digamma of negative arguments: next to their roots there the error is absolute, not relative.
#pragma once

#include "kernel/cpu/vec_math.h"

namespace ember::cpu::EMBER_ISA {

#define EMBER_HEAVY inline __attribute__((noinline))

// ---- The error function --------------------------------------------------------------------------------------------

// erf(a) for 0 <= a < 0.8, in double to 0.9.
template <class T>
EMBER_INLINE Vec<T> erf_near(Vec<T> a) {
  return fma(a, poly<Coef<T>::erf>(a * a), a);
}

// erfc(a) for a > 0.44, as exp(-a^2) times a slow function of a.
EMBER_INLINE Vec<double> erfc_far(Vec<double> a) {
  a = raw_min(Vec<double>(27.5), a);
  const Vec<double> top = poly<Coef<double>::erfcx>((a - 4) / (a + 4));
  const Pair<double> bottom = two_sum(a + a, Vec<double>(1)), square = two_prod(a, a);
  const Vec<double> slow = top / bottom.hi;
  const Pair<double> back = two_prod(slow, bottom.hi);
  const Vec<double> slow_lo = (((top - back.hi) - back.lo) - slow * bottom.lo) / bottom.hi;
  const ExpParts<double> e = exp_parts(-square.hi, -square.lo);
  return ldexp(slow + fma(e.r + e.q, slow, slow_lo), e.n);
}

// The far side is 1 - 2^t: what is taken off is small enough for t to need no second part.
EMBER_INLINE Vec<float> erf(Vec<float> x) {
  const Vec<float> a = abs(x), t = poly<Coef<float>::erf_tail>(raw_min(Vec<float>(4), a));
  const Vec<float> n = nearest(t), r = t - n, rest = fma(r, poly<Coef<float>::exp2>(r), Vec<float>(1));
  const Vec<float> far = fma(-pow2(n), rest, Vec<float>(1));
  return copysign(select(a < 0.8f, erf_near(a), far), x);
}
EMBER_HEAVY Vec<double> erf(Vec<double> x) {
  const Vec<double> a = abs(x);
  return copysign(select(a < 0.9, erf_near(a), 1 - erfc_far(a)), x);
}

EMBER_HEAVY Vec<double> erfc(Vec<double> x) {
  const Vec<double> a = abs(x), near = 1 - copysign(erf_near(a), x), far = erfc_far(a);
  return select(a < 0.5, near, select(x < 0, 2 - far, far));
}
EMBER_INLINE Vec<float> erfc(Vec<float> x) {
  return in_double(x, [](Vec<double> v) { return erfc(v); });
}

// Winitzki's estimate (2e-3), then Halley's steps, which cube the error (slower at the far ends: three for double, two
// for float). Each half uses the side without cancellation.
EMBER_HEAVY Vec<double> erfinv_steps(Vec<double> x, int steps) {
  const Vec<double> a = abs(x);
  const Vec<double> t = log((1 - a) * (1 + a)), u = 0.5 * t + 4.330746750799873;  // 2 / (pi 0.147)
  Vec<double> y = sqrt(sqrt(u * u - t * 6.802721088435374) - u);                  // 1 / 0.147
  y = select(a < 0.1, a * (0.8862269254527580 + 0.2320136665346545 * (a * a)), y);
  for (int step = 0; step < steps; ++step) {
    const Vec<double> miss = select(a < 0.5, erf_near(y) - a, (1 - a) - erfc_far(y));
    const Vec<double> d = miss * 0.8862269254527580 * exp(y * y);
    y = y - d / (1 + y * d);
  }
  y = select(a == 1, Vec<double>(kInf<double>), y);
  return copysign(select(a <= 1, y, Vec<double>(kNaN<double>)), x);
}
EMBER_INLINE Vec<double> erfinv(Vec<double> x) { return erfinv_steps(x, 3); }
EMBER_INLINE Vec<float> erfinv(Vec<float> x) {
  return in_double(x, [](Vec<double> v) { return erfinv_steps(v, 2); });
}

// ---- The gamma function --------------------------------------------------------------------------------------------

// B(2k) / (2k (2k - 1)) and B(2k) / (2k), the coefficients of Stirling's series and of its derivative.
inline constexpr double kStirling[] = {0.083333333333333333,    -0.0027777777777777778, 0.00079365079365079365,
                                       -0.00059523809523809524, 0.00084175084175084175, -0.0019175269175269175,
                                       0.0064102564102564103,   -0.029550653594771242};
inline constexpr double kStirlingSlope[] = {
    0.083333333333333333,  -0.0083333333333333333, 0.0039682539682539683, -0.0041666666666666667, 0.0075757575757575758,
    -0.021092796092796093, 0.083333333333333333,   -0.44325980392156863,  3.0539543302701197,     -26.456212121212121};

// sin and cos of pi a for a >= 0, exact in the turns.
struct SinCos {
  Vec<double> sin, cos;
};
EMBER_INLINE SinCos sin_cos_pi(Vec<double> a) {
  const Vec<double> whole = round(a), r = abs(a - whole), low = select(r > 0.25, 0.5 - r, r);
  constexpr double kPi = 3.141592653589793, kPiLow = 1.2246467991473532e-16;
  const Vec<double> hi = low * kPi, lo = low * kPiLow;
  const Vec<double> s = sin_near<Coef<double>>(hi, lo), c = cos_near<Coef<double>>(hi, lo);
  const Mask<double> turned = r > 0.25;
  return {copysign(select(turned, c, s), a - whole), select(turned, s, c)};  // up to the sign of (-1)^whole in both
}

// log(gamma(a)) for a > 0: a polynomial about each of the zeros 1 and 2, steps down to there, or Stirling's series.
EMBER_INLINE Vec<double> lgamma_positive(Vec<double> a) {
  const Mask<double> large = a >= 8, below_half = a < 0.5, about_one = a < 1.5;
  Vec<double> y = select(large, Vec<double>(2), a), product(1);
  for (int i = 0; i < 6; ++i) {
    const Mask<double> step = y >= 2.5;
    y = select(step, y - 1, y);
    product = select(step, product * y, product);
  }
  const Vec<double> one = select(below_half, y, y - 1), two = y - 2;
  const Vec<double> near =
      select(about_one, one * poly<Coef<double>::lgamma1>(one), two * poly<Coef<double>::lgamma2>(two));
  const Vec<double> l = log(select(large | below_half, a, product)), inverse = 1 / a;
  const Vec<double> far = (a - 0.5) * (l - 1) + (0.41893853320467274 + inverse * poly<kStirling>(inverse * inverse));
  return select(large, select(a == kInf<double>, a, far), near + select(below_half, -l, l));
}

EMBER_HEAVY Vec<double> lgamma(Vec<double> x) {
  const Vec<double> a = abs(x);
  Vec<double> r = lgamma_positive(a);
  const Mask<double> negative = x < 0;
  if (any(negative)) {  // by reflection: gamma(-a) gamma(a) = -pi / (a sin(pi a))
    const Vec<double> sine = abs(sin_cos_pi(a).sin);
    const Vec<double> mirrored = select(sine == 0, Vec<double>(kInf<double>), log(3.141592653589793 / (a * sine)) - r);
    r = select(negative & (a > 1e-100), select(a == kInf<double>, a, mirrored), r);
  }
  return r;
}
EMBER_INLINE Vec<float> lgamma(Vec<float> x) {
  return in_double(x, [](Vec<double> v) { return lgamma(v); });
}

// digamma(a) for a > 0: its root divided out on [1, 3), steps down to there as one fraction, or the series.
EMBER_INLINE Vec<double> digamma_positive(Vec<double> a) {
  const Mask<double> large = a >= 8, below_one = a < 1;
  Vec<double> y = select(large, Vec<double>(2), select(below_one, a + 1, a)), top(0), bottom(1);
  for (int i = 0; i < 5; ++i) {  // top / bottom += 1 / (y - 1)
    const Mask<double> step = y >= 3;
    y = select(step, y - 1, y);
    top = select(step, fma(top, y, bottom), top);
    bottom = select(step, bottom * y, bottom);
  }
  top = select(below_one, Vec<double>(-1), top);
  bottom = select(below_one, a, bottom);
  const Vec<double> from_root = (y - 1.4616321449683622) - 9.549995429965697e-17;
  const Vec<double> near = from_root * poly<Coef<double>::digamma>(y - 2) + top / bottom;
  const Vec<double> inverse = 1 / a, square = inverse * inverse;
  const Vec<double> far = log(a) - (0.5 * inverse + square * poly<kStirlingSlope>(square));
  return select(large, far, near);
}

EMBER_HEAVY Vec<double> digamma(Vec<double> x) {
  const Vec<double> a = abs(x);
  const Mask<double> negative = signbit(x);
  Vec<double> r = digamma_positive(select(negative, a + 1, a));
  if (any(negative)) {  // by reflection: digamma(-a) = digamma(1 + a) + pi / tan(pi a)
    const SinCos sc = sin_cos_pi(a);
    const Vec<double> pole = select(sc.sin == 0, Vec<double>(kNaN<double>), 3.141592653589793 * (sc.cos / sc.sin));
    r = select(negative, r + pole, r);
  }
  r = select(x == 0, copysign(Vec<double>(kInf<double>), -x), r);
  return select(x == x, r, x);
}
EMBER_INLINE Vec<float> digamma(Vec<float> x) {
  return in_double(x, [](Vec<double> v) { return digamma(v); });
}

// ---- Powers --------------------------------------------------------------------------------------------------------

// C's rules for the ends, given r = |x|^y.
template <class T>
EMBER_INLINE Vec<T> pow_ends(Vec<T> x, Vec<T> y, Vec<T> r) {
  const Vec<T> half = y * T(0.5);
  const Mask<T> whole = round(y) == y, odd = whole & (round(half) != half);
  r = select(signbit(x) & odd, -r, r);
  r = select((x < 0) & !whole & isfinite(x) & isfinite(y), Vec<T>(kNaN<T>), r);
  return select((y == 0) | (x == 1) | ((x == -1) & isinf(y)), Vec<T>(1), r);
}

// log(a) to about 2^-65 of itself, for a positive finite a.
EMBER_INLINE Pair<double> log_pair(Vec<double> a) {
  using V = Vec<double>;
  const auto [k, f] = split(a);
  const Pair<double> below = fast_two_sum(V(2), f);
  const V s = f / below.hi;
  const Pair<double> back = two_prod(s, below.hi);
  const Pair<double> quotient{s, (((f - back.hi) - back.lo) - s * below.lo) / below.hi};
  const Pair<double> z = mul(quotient, quotient);
  const Pair<double> thirds = mul(z, {V(0.6666666666666666), V(0x1.5555555555555p-55)});
  Pair<double> sum = fast_two_sum(V(2), thirds.hi);
  sum.lo = sum.lo + (thirds.lo + z.hi * z.hi * poly<Coef<double>::pow>(z.hi));
  const Pair<double> m = mul(quotient, fast_two_sum(sum.hi, sum.lo));
  const Pair<double> all = two_sum(k * kLn2Hi<double>, m.hi);
  return fast_two_sum(all.hi, all.lo + (m.lo + k * kLn2Lo<double>));
}

EMBER_HEAVY Vec<double> pow(Vec<double> x, Vec<double> y) {
  const Vec<double> a = abs(x), far(1e25);  // a y beyond that only says 0, 1 or inf
  const Pair<double> l = log_pair(a);
  const Vec<double> exponent = raw_max(-far, raw_min(far, y));
  const Pair<double> p = two_prod(exponent, l.hi);
  const Vec<double> more = p.lo + exponent * l.lo, zero(0);
  const ExpParts<double> e =
      exp_parts(raw_max(Vec<double>(-746), raw_min(Vec<double>(711), p.hi)), select(abs(p.hi) < 750, more, zero));
  Vec<double> result = ldexp(1 + (e.r + e.q), e.n);
  const Mask<double> up = (a > 1) ^ (y < 0);  // 0 and inf have no logarithm here
  const Vec<double> end = select(up, Vec<double>(kInf<double>), Vec<double>(0));
  result = select((a == 0) | (a == kInf<double>), end, result);
  return pow_ends(x, y, select((x == x) & (y == y), result, x + y));
}
EMBER_HEAVY Vec<float> pow(Vec<float> x, Vec<float> y) {
  const Pair<double> a = widen(abs(x)), b = widen(y);
  return pow_ends(x, y, narrow(exp(b.hi * log(a.hi)), exp(b.lo * log(a.lo))));
}

// Integers: by squaring; a negative power of anything but 1 and -1 is 0.
template <class T>
requires(!kIsFloat<T>) EMBER_INLINE Vec<T> pow(Vec<T> x, Vec<T> y) {
  Vec<T> r(1), base = x, e = y;
  while (any(e > 0)) {
    r = select((e & 1) != 0, r * base, r);
    base = base * base;
    e = Vec<T>(e.v >> 1);
    if constexpr (std::is_signed_v<T>) e = select(y < 0, Vec<T>(0), e);
  }
  if constexpr (std::is_signed_v<T>) {
    const Vec<T> ones = select((x == -1) & ((y & 1) != 0), Vec<T>(-1), Vec<T>(1));
    r = select(y < 0, select((x == 1) | (x == -1), ones, Vec<T>(0)), r);
  }
  return r;
}
EMBER_WITH_NUMBERS(pow)

}  // namespace ember::cpu::EMBER_ISA
