// The closed vocabulary of pointwise rules, beside the operators + - * / % & | ^ ~ ! << >> and comparisons.
// Each reader defines every word: vectors (kernel/cpu/vec_math.h), symbols (op/symbolic.h), tensors
// (op/tensor_words.h).
#pragma once

// clang-format off
#define EMBER_UNARY_WORDS(M) \
  M(abs) M(sqrt) M(rsqrt) M(exp) M(exp2) M(expm1) M(log) M(log2) M(log10) M(log1p) M(sin) M(cos) M(tan) M(asin) \
  M(acos) M(atan) M(sinh) M(cosh) M(tanh) M(asinh) M(acosh) M(atanh) M(erf) M(erfc) M(erfinv) M(lgamma) M(digamma) \
  M(floor) M(ceil) M(trunc) M(round) M(sign) M(sgn) M(sigmoid) M(conj) M(real) M(imag)

#define EMBER_TEST_WORDS(M) M(isnan) M(isinf) M(isfinite) M(signbit)

#define EMBER_BINARY_WORDS(M) \
  M(min) M(max) M(fmin) M(fmax) M(pow) M(fmod) M(remainder) M(floor_div) M(atan2) M(hypot) M(copysign) M(nextafter) \
  M(gcd) M(lcm)
// clang-format on
