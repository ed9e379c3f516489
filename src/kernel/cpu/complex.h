// Complex numbers over any real type V that speaks the vocabulary: a SIMD vector today, a symbol as well. Every
// function is written by V's own operators and functions (found by argument-dependent lookup), with select() instead of
// branches, so the file knows no instruction set and its one text serves every reader.
// Branch cuts, signed zeros and the common infinities follow C's Annex G where PyTorch does; division scales (Smith),
// so it neither overflows nor loses a quotient that is representable. May not name a type's width or a machine's
// limits.
#pragma once

#include <type_traits>

#include "base/export.h"

namespace ember::cx {

template <class V>
struct Cx {
  using Real = V;
  V re, im;

  EMBER_INLINE Cx() : re(0), im(0) {}
  EMBER_INLINE Cx(V real, V imag) : re(real), im(imag) {}
  EMBER_INLINE Cx(V real) : re(real), im(0) {}
  template <class S>
  requires std::is_arithmetic_v<S> EMBER_INLINE Cx(S real) : re(real), im(0) {}

  EMBER_INLINE friend Cx operator+(Cx a, Cx b) { return {a.re + b.re, a.im + b.im}; }
  EMBER_INLINE friend Cx operator-(Cx a, Cx b) { return {a.re - b.re, a.im - b.im}; }
  EMBER_INLINE friend Cx operator-(Cx a) { return {-a.re, -a.im}; }
  EMBER_INLINE friend Cx operator+(Cx a) { return a; }
  EMBER_INLINE friend Cx operator*(Cx a, Cx b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
  EMBER_INLINE friend Cx operator/(Cx a, Cx b) {
    const auto steep = abs(b.re) < abs(b.im);
    const V p = select(steep, b.im, b.re), q = select(steep, b.re, b.im);
    const V ratio = select(p == 0, V(0), q / p), below = p + q * ratio;
    const V re = select(steep, a.re * ratio + a.im, a.re + a.im * ratio);
    const V im = select(steep, a.im * ratio - a.re, a.im - a.re * ratio);
    return {re / below, im / below};
  }
  EMBER_INLINE friend auto operator==(Cx a, Cx b) { return (a.re == b.re) & (a.im == b.im); }
  EMBER_INLINE friend auto operator!=(Cx a, Cx b) { return (a.re != b.re) | (a.im != b.im); }
  template <class M>
  EMBER_INLINE friend Cx select(M c, Cx a, Cx b) {
    return {select(c, a.re, b.re), select(c, a.im, b.im)};
  }
};

// ---- Parts ---------------------------------------------------------------------------------------------------------

template <class V>
EMBER_INLINE V real(Cx<V> z) {
  return z.re;
}
template <class V>
EMBER_INLINE V imag(Cx<V> z) {
  return z.im;
}
template <class V>
EMBER_INLINE Cx<V> conj(Cx<V> z) {
  return {z.re, -z.im};
}
template <class V>
EMBER_INLINE Cx<V> neg(Cx<V> z) {
  return -z;
}
template <class V>
EMBER_INLINE V abs(Cx<V> z) {
  return hypot(z.re, z.im);
}
template <class V>
EMBER_INLINE V angle(Cx<V> z) {
  return atan2(z.im, z.re);
}
template <class V>
EMBER_INLINE V arg(Cx<V> z) {
  return atan2(z.im, z.re);
}
template <class V>
EMBER_INLINE Cx<V> polar(V radius, V angle) {
  return {radius * cos(angle), radius * sin(angle)};
}
template <class V>
EMBER_INLINE auto isnan(Cx<V> z) {
  return isnan(z.re) | isnan(z.im);
}
template <class V>
EMBER_INLINE auto isinf(Cx<V> z) {
  return isinf(z.re) | isinf(z.im);
}
template <class V>
EMBER_INLINE auto isfinite(Cx<V> z) {
  return isfinite(z.re) & isfinite(z.im);
}
template <class V>
EMBER_INLINE Cx<V> times_i(Cx<V> z) {
  return {-z.im, z.re};
}
template <class V>
EMBER_INLINE Cx<V> over_i(Cx<V> z) {
  return {z.im, -z.re};
}
template <class V>
EMBER_INLINE Cx<V> sgn(Cx<V> z) {  // z / |z|, 0 at 0
  const V r = abs(z);
  return {select(r == 0, V(0), z.re / r), select(r == 0, V(0), z.im / r)};
}
template <class V>
EMBER_INLINE Cx<V> reciprocal(Cx<V> z) {
  return Cx<V>(1) / z;
}

// ---- Exponential, logarithm, power ---------------------------------------------------------------------------------

// radius * (cos, sin) of an angle, where an angle of 0 keeps the axis and a radius of 0 silences any angle.
template <class V>
EMBER_INLINE Cx<V> on_circle(V radius, V angle) {
  const V re = radius * cos(angle), im = select(angle == 0, angle, radius * sin(angle));
  return {select(radius == 0, V(0), re), select(radius == 0, V(0) * sign(angle), im)};
}
template <class V>
EMBER_INLINE Cx<V> exp(Cx<V> z) {
  return on_circle(exp(z.re), z.im);
}
template <class V>
EMBER_INLINE Cx<V> exp2(Cx<V> z) {
  return on_circle(exp2(z.re), z.im * 0.6931471805599453);
}
template <class V>
EMBER_INLINE Cx<V> expm1(Cx<V> z) {
  const V half = sin(z.im * 0.5);
  const V im = select(z.im == 0, z.im, exp(z.re) * sin(z.im));
  return {select(z.im == 0, expm1(z.re), expm1(z.re) * cos(z.im) - 2 * half * half), im};
}

// log(hypot(a, b)), sound near 1: there from hypot^2 - 1 without rounding 1 in.
template <class V>
EMBER_INLINE V log_hypot(V a, V b) {
  a = abs(a);
  b = abs(b);
  const V most = max(a, b), least = min(a, b), size = hypot(a, b);
  const V near = 0.5 * log1p((most - 1) * (most + 1) + least * least);
  return select((size > 0.7) & (size < 1.5), near, log(size));
}
template <class V>
EMBER_INLINE Cx<V> log(Cx<V> z) {
  return {log_hypot(z.re, z.im), angle(z)};
}
template <class V>
EMBER_INLINE Cx<V> log2(Cx<V> z) {
  const Cx<V> l = log(z);
  return {l.re * 1.4426950408889634, l.im * 1.4426950408889634};
}
template <class V>
EMBER_INLINE Cx<V> log10(Cx<V> z) {
  const Cx<V> l = log(z);
  return {l.re * 0.4342944819032518, l.im * 0.4342944819032518};
}
template <class V>
EMBER_INLINE Cx<V> log1p(Cx<V> z) {
  const V moved = z.re + 1;
  const auto small = (abs(z.re) < 0.5) & (abs(z.im) < 0.5);
  const V near = 0.5 * log1p(z.re * (z.re + 2) + z.im * z.im);
  return {select(small, near, log_hypot(moved, z.im)), atan2(z.im, moved)};
}
template <class V>
EMBER_INLINE Cx<V> pow(Cx<V> z, Cx<V> w) {
  const Cx<V> at_zero(select(w == Cx<V>(0), V(1), V(0)));
  return select((z == Cx<V>(0)) | (w == Cx<V>(0)), at_zero, exp(w * log(z)));
}

// By the larger part m: sqrt(m) times the root of z / m, so that no square overflows.
template <class V>
EMBER_INLINE Cx<V> sqrt(Cx<V> z) {
  const V a = abs(z.re), b = abs(z.im), m = max(a, b), ratio = min(a, b) / m;
  const V wide = sqrt(m) * sqrt(0.5 * (a / m + sqrt(1 + ratio * ratio)));
  const V thin = b / (wide + wide);
  Cx<V> r{select(z.re < 0, thin, wide), copysign(select(z.re < 0, wide, thin), z.im)};
  r = select(m == 0, Cx<V>(V(0), z.im), r);
  const Cx<V> along_re{select(z.re < 0, V(0), a), copysign(select(z.re < 0, a, V(0)), z.im)};  // re is infinite
  r = select(isinf(a) & isfinite(b), along_re, r);
  return select(isinf(b), Cx<V>(b, z.im), r);
}
template <class V>
EMBER_INLINE Cx<V> rsqrt(Cx<V> z) {
  return reciprocal(sqrt(z));
}

// The side whose exponential does not overflow.
template <class V>
EMBER_INLINE Cx<V> sigmoid(Cx<V> z) {
  const auto left = z.re < 0;
  const Cx<V> e = exp(select(left, z, -z));
  return select(left, e, Cx<V>(1)) / (1 + e);
}

// ---- Circular and hyperbolic ---------------------------------------------------------------------------------------
// The circular ones are the hyperbolic ones turned by i.

template <class V>
EMBER_INLINE Cx<V> sinh(Cx<V> z) {
  return {sinh(z.re) * cos(z.im), select(z.im == 0, z.im, cosh(z.re) * sin(z.im))};
}
template <class V>
EMBER_INLINE Cx<V> cosh(Cx<V> z) {
  const V product = sinh(z.re) * sin(z.im), zero = z.re * z.im;
  return {cosh(z.re) * cos(z.im), select((z.im == 0) & (z.re == z.re), copysign(V(0), zero), product)};
}
// Kahan's form; from |re| = 20 on the real part is 1 and the imaginary part fades as exp(-2 |re|).
template <class V>
EMBER_INLINE Cx<V> tanh(Cx<V> z) {
  const V a = abs(z.re), t = tan(z.im), beta = 1 + t * t, s = sinh(min(a, V(20)));
  const V below = 1 + beta * s * s;
  const auto far = a > 20;
  const V re = select(far, V(1), beta * sqrt(1 + s * s) * s / below);
  const V fading = select(isinf(a), V(0), 4 * sin(z.im) * cos(z.im) * exp(-2 * a));
  return {copysign(re, z.re), select(far, fading, t / below)};
}
template <class V>
EMBER_INLINE Cx<V> sin(Cx<V> z) {
  return over_i(sinh(times_i(z)));
}
template <class V>
EMBER_INLINE Cx<V> cos(Cx<V> z) {
  return cosh(times_i(z));
}
template <class V>
EMBER_INLINE Cx<V> tan(Cx<V> z) {
  return over_i(tanh(times_i(z)));
}

// Kahan's inverses: built on the roots of 1 - z and 1 + z, which carry the branch cuts.
// At infinity only the direction counts: infinite parts become 1, finite ones 0, with their signs.
template <class V>
EMBER_INLINE Cx<V> direction(Cx<V> z) {
  return {copysign(select(isinf(z.re), V(1), V(0)), z.re), copysign(select(isinf(z.im), V(1), V(0)), z.im)};
}
template <class V>
EMBER_INLINE Cx<V> asin(Cx<V> z) {
  const Cx<V> p = sqrt(Cx<V>(1 - z.re, -z.im)), q = sqrt(Cx<V>(1 + z.re, z.im));
  const Cx<V> r{atan2(z.re, p.re * q.re - p.im * q.im), asinh(p.re * q.im - p.im * q.re)}, d = direction(z);
  return select(isinf(z), Cx<V>(atan2(d.re, abs(d.im)), copysign(abs(z.re) + abs(z.im), z.im)), r);
}
template <class V>
EMBER_INLINE Cx<V> acos(Cx<V> z) {
  const Cx<V> p = sqrt(Cx<V>(1 - z.re, -z.im)), q = sqrt(Cx<V>(1 + z.re, z.im));
  const Cx<V> r{2 * atan2(p.re, q.re), asinh(q.re * p.im - q.im * p.re)}, d = direction(z);
  return select(isinf(z), Cx<V>(atan2(abs(d.im), d.re), copysign(abs(z.re) + abs(z.im), -z.im)), r);
}
template <class V>
EMBER_INLINE Cx<V> acosh(Cx<V> z) {
  const Cx<V> p = sqrt(Cx<V>(z.re - 1, z.im)), q = sqrt(Cx<V>(z.re + 1, z.im));
  const Cx<V> r{asinh(p.re * q.re + p.im * q.im), 2 * atan2(p.im, q.re)}, d = direction(z);
  return select(isinf(z), Cx<V>(abs(z.re) + abs(z.im), atan2(d.im, d.re)), r);
}
template <class V>
EMBER_INLINE Cx<V> atanh(Cx<V> z) {
  const V a = abs(z.re), square = z.im * z.im, rest = 1 - a;
  const V re = 0.25 * log1p(4 * a / (rest * rest + square));
  const V im = 0.5 * atan2(2 * z.im, rest * (1 + a) - square);
  const Cx<V> far(V(0), copysign(V(1.5707963267948966), z.im)), r = select(isinf(z), far, Cx<V>(re, im));
  return {copysign(r.re, z.re), r.im};
}
template <class V>
EMBER_INLINE Cx<V> asinh(Cx<V> z) {
  return over_i(asin(times_i(z)));
}
template <class V>
EMBER_INLINE Cx<V> atan(Cx<V> z) {
  return over_i(atanh(times_i(z)));
}

// ---- Beside real numbers -------------------------------------------------------------------------------------------

template <class V, class S>
requires std::is_arithmetic_v<S> EMBER_INLINE Cx<V> pow(Cx<V> z, S w) { return pow(z, Cx<V>(w)); }
template <class V, class S>
requires std::is_arithmetic_v<S> EMBER_INLINE Cx<V> pow(S z, Cx<V> w) { return pow(Cx<V>(z), w); }

}  // namespace ember::cx

namespace ember {
using cx::Cx;
}
