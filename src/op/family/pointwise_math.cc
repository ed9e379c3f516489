// Functions of one number: powers, exponentials, logarithms, circular and hyperbolic functions, rounding.
// A partial that can be written with the result reads the result, so that in-place forms are differentiable.
#include "op/pointwise_family.h"

namespace ember::EMBER_READER {

struct Abs {
  static constexpr auto schema = "abs(Tensor self) -> Tensor";
  static constexpr auto doc = "The absolute value; of a complex number its magnitude";
  static constexpr auto types = types::kAll;
  static auto eval(auto x) { return abs(x); }
  static auto d_self(auto g, auto x) { return g * sign(x); }
#ifndef EMBER_ISA
  static void vjp(Grads& d, const Tensor& self) { d.set(0, d.g() * sgn(self)); }
#endif
};

struct Neg {
  static constexpr auto schema = "neg(Tensor self) -> Tensor";
  static constexpr auto doc = "-self";
  static constexpr auto types = types::kNumber;
  static constexpr auto promote = Promote::kNoBool;
  static auto eval(auto x) { return -x; }
  static auto d_self(auto g, auto) { return -g; }
};

struct Square {
  static constexpr auto schema = "square(Tensor self) -> Tensor";
  static constexpr auto doc = "self * self";
  static constexpr auto types = types::kNumber;
  static constexpr auto promote = Promote::kToInt;
  static auto eval(auto x) { return x * x; }
  static auto d_self(auto g, auto x) { return g * (2 * x); }
};

struct Reciprocal {
  static constexpr auto schema = "reciprocal(Tensor self) -> Tensor";
  static constexpr auto doc = "1 / self";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return 1 / x; }
  static auto d_self(auto g, auto, auto y) { return -g * (y * y); }
};

struct Sqrt {
  static constexpr auto schema = "sqrt(Tensor self) -> Tensor";
  static constexpr auto doc = "The square root";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return sqrt(x); }
  static auto d_self(auto g, auto, auto y) { return g / (2 * y); }
};

struct Rsqrt {
  static constexpr auto schema = "rsqrt(Tensor self) -> Tensor";
  static constexpr auto doc = "1 / sqrt(self)";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return 1 / sqrt(x); }
  static auto d_self(auto g, auto, auto y) { return -0.5 * g * (y * y * y); }
};

struct Exp {
  static constexpr auto schema = "exp(Tensor self) -> Tensor";
  static constexpr auto doc = "e to the power of self";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return exp(x); }
  static auto d_self(auto g, auto, auto y) { return g * y; }
};

struct Exp2 {
  static constexpr auto schema = "exp2(Tensor self) -> Tensor";
  static constexpr auto doc = "2 to the power of self";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return exp2(x); }
  static auto d_self(auto g, auto, auto y) { return g * (y * 0.693147180559945309417); }
};

struct Expm1 {
  static constexpr auto schema = "expm1(Tensor self) -> Tensor";
  static constexpr auto doc = "exp(self) - 1, accurate near zero";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return expm1(x); }
  static auto d_self(auto g, auto, auto y) { return g * (y + 1); }
};

struct Log {
  static constexpr auto schema = "log(Tensor self) -> Tensor";
  static constexpr auto doc = "The natural logarithm";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return log(x); }
  static auto d_self(auto g, auto x) { return g / x; }
};

struct Log2 {
  static constexpr auto schema = "log2(Tensor self) -> Tensor";
  static constexpr auto doc = "The logarithm to base 2";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return log2(x); }
  static auto d_self(auto g, auto x) { return g / (x * 0.693147180559945309417); }
};

struct Log10 {
  static constexpr auto schema = "log10(Tensor self) -> Tensor";
  static constexpr auto doc = "The logarithm to base 10";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return log10(x); }
  static auto d_self(auto g, auto x) { return g / (x * 2.30258509299404568402); }
};

struct Log1p {
  static constexpr auto schema = "log1p(Tensor self) -> Tensor";
  static constexpr auto doc = "log(1 + self), accurate near zero";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return log1p(x); }
  static auto d_self(auto g, auto x) { return g / (x + 1); }
};

struct Sin {
  static constexpr auto schema = "sin(Tensor self) -> Tensor";
  static constexpr auto doc = "The sine of self radians";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return sin(x); }
  static auto d_self(auto g, auto x) { return g * cos(x); }
};

struct Cos {
  static constexpr auto schema = "cos(Tensor self) -> Tensor";
  static constexpr auto doc = "The cosine of self radians";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return cos(x); }
  static auto d_self(auto g, auto x) { return -g * sin(x); }
};

struct Tan {
  static constexpr auto schema = "tan(Tensor self) -> Tensor";
  static constexpr auto doc = "The tangent of self radians";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return tan(x); }
  static auto d_self(auto g, auto, auto y) { return g * (1 + y * y); }
};

struct Asin {
  static constexpr auto schema = "asin(Tensor self) -> Tensor";
  static constexpr auto doc = "The inverse sine, in radians";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return asin(x); }
  static auto d_self(auto g, auto x) { return g / sqrt(1 - x * x); }
};

struct Acos {
  static constexpr auto schema = "acos(Tensor self) -> Tensor";
  static constexpr auto doc = "The inverse cosine, in radians";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return acos(x); }
  static auto d_self(auto g, auto x) { return -g / sqrt(1 - x * x); }
};

struct Atan {
  static constexpr auto schema = "atan(Tensor self) -> Tensor";
  static constexpr auto doc = "The inverse tangent, in radians";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return atan(x); }
  static auto d_self(auto g, auto x) { return g / (x * x + 1); }
};

struct Sinh {
  static constexpr auto schema = "sinh(Tensor self) -> Tensor";
  static constexpr auto doc = "The hyperbolic sine";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return sinh(x); }
  static auto d_self(auto g, auto x) { return g * cosh(x); }
};

struct Cosh {
  static constexpr auto schema = "cosh(Tensor self) -> Tensor";
  static constexpr auto doc = "The hyperbolic cosine";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return cosh(x); }
  static auto d_self(auto g, auto x) { return g * sinh(x); }
};

struct Tanh {
  static constexpr auto schema = "tanh(Tensor self) -> Tensor";
  static constexpr auto doc = "The hyperbolic tangent";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return tanh(x); }
  static auto d_self(auto g, auto, auto y) { return g * (1 - y * y); }
};

struct Asinh {
  static constexpr auto schema = "asinh(Tensor self) -> Tensor";
  static constexpr auto doc = "The inverse hyperbolic sine";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return asinh(x); }
  static auto d_self(auto g, auto x) { return g / sqrt(x * x + 1); }
};

struct Acosh {
  static constexpr auto schema = "acosh(Tensor self) -> Tensor";
  static constexpr auto doc = "The inverse hyperbolic cosine";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return acosh(x); }
  static auto d_self(auto g, auto x) { return g / (sqrt(x - 1) * sqrt(x + 1)); }
};

struct Atanh {
  static constexpr auto schema = "atanh(Tensor self) -> Tensor";
  static constexpr auto doc = "The inverse hyperbolic tangent";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return atanh(x); }
  static auto d_self(auto g, auto x) { return g / (1 - x * x); }
};

struct Erf {
  static constexpr auto schema = "erf(Tensor self) -> Tensor";
  static constexpr auto doc = "The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to self";
  static constexpr auto types = types::kFloat;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return erf(x); }
  static auto d_self(auto g, auto x) { return g * (1.12837916709551257390 * exp(-x * x)); }
};

struct Erfc {
  static constexpr auto schema = "erfc(Tensor self) -> Tensor";
  static constexpr auto doc = "1 - erf(self), accurate for large self";
  static constexpr auto types = types::kFloat;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return erfc(x); }
  static auto d_self(auto g, auto x) { return g * (-1.12837916709551257390 * exp(-x * x)); }
};

struct Erfinv {
  static constexpr auto schema = "erfinv(Tensor self) -> Tensor";
  static constexpr auto doc = "The inverse of erf";
  static constexpr auto types = types::kFloat;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return erfinv(x); }
  static auto d_self(auto g, auto, auto y) { return g * (0.886226925452758013649 * exp(y * y)); }
};

struct Lgamma {
  static constexpr auto schema = "lgamma(Tensor self) -> Tensor";
  static constexpr auto doc = "The logarithm of the absolute value of the gamma function";
  static constexpr auto types = types::kFloat;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return lgamma(x); }
  static auto d_self(auto g, auto x) { return g * digamma(x); }
};

struct Digamma {
  static constexpr auto schema = "digamma(Tensor self) -> Tensor";
  static constexpr auto doc = "The derivative of lgamma";
  static constexpr auto types = types::kFloat;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return digamma(x); }
#ifndef EMBER_ISA
  static void vjp(Grads& d, const Tensor& self) { d.set(0, d.g() * polygamma(1, self)); }
#endif
};

struct Entr {
  static constexpr auto schema = "special_entr(Tensor self) -> Tensor";
  static constexpr auto doc = "The entropy -self * ln(self) of each element: 0 at 0, -inf below it";
  static constexpr auto types = types::kFloat;
  static constexpr auto promote = Promote::kToFloat;
  static constexpr auto forms = form::kFunction | form::kOut;
  static auto eval(auto x) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    return select(x == 0, 0, select(x < 0, -kInfinity, -x * log(x)));
  }
  static auto d_self(auto g, auto x) { return g * (-1 - log(x)); }
};

struct Floor {
  static constexpr auto schema = "floor(Tensor self) -> Tensor";
  static constexpr auto doc = "The largest integer not above self";
  static constexpr auto types = types::kReal;
  static auto eval(auto x) { return floor(x); }
  static auto d_self(auto g, auto) { return g * 0; }
};

struct Ceil {
  static constexpr auto schema = "ceil(Tensor self) -> Tensor";
  static constexpr auto doc = "The smallest integer not below self";
  static constexpr auto types = types::kReal;
  static auto eval(auto x) { return ceil(x); }
  static auto d_self(auto g, auto) { return g * 0; }
};

struct Trunc {
  static constexpr auto schema = "trunc(Tensor self) -> Tensor";
  static constexpr auto doc = "self without its fraction";
  static constexpr auto types = types::kReal;
  static auto eval(auto x) { return trunc(x); }
  static auto d_self(auto g, auto) { return g * 0; }
};

struct Round {
  static constexpr auto schema = "round(Tensor self) -> Tensor";
  static constexpr auto doc = "The nearest integer, halves to the even one";
  static constexpr auto types = types::kReal;
  static auto eval(auto x) { return round(x); }
  static auto d_self(auto g, auto) { return g * 0; }
};

struct Frac {
  static constexpr auto schema = "frac(Tensor self) -> Tensor";
  static constexpr auto doc = "self - trunc(self)";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x) { return x - trunc(x); }
  static auto d_self(auto g, auto) { return g; }
};

struct Sign {
  static constexpr auto schema = "sign(Tensor self) -> Tensor";
  static constexpr auto doc = "-1, 0 or 1";
  static constexpr auto types = types::kRealBool;
  static auto eval(auto x) { return sign(x); }
  static auto d_self(auto g, auto) { return g * 0; }
};

struct Sgn {
  static constexpr auto schema = "sgn(Tensor self) -> Tensor";
  static constexpr auto doc = "sign(self); of a complex number self / abs(self), or 0";
  static constexpr auto types = types::kAll;
  static auto eval(auto x) { return sgn(x); }
#ifndef EMBER_ISA
  // d(x / |x|) = (g - Re(conj(g) y) y) / |x|, which is 0 for real numbers.
  static void vjp(Grads& d, const Tensor& self) {
    if (!is_complex(self.dtype())) return d.set(0, zeros_like(d.g()));
    Tensor r = abs(self), y = sgn(self);
    d.set(0, where(r == 0, Tensor(0), (d.g() - real(conj(d.g()) * y) * y) / r));
  }
#endif
};

struct ConjPhysical {
  static constexpr auto schema = "conj_physical(Tensor self) -> Tensor";
  static constexpr auto doc = "A copy with imaginary parts negated; of real numbers a copy";
  static constexpr auto types = types::kAll;
  static auto eval(auto x) { return conj(x); }
  static auto d_self(auto g, auto) { return g; }
#ifndef EMBER_ISA
  static void vjp(Grads& d, const Tensor&) { d.set(0, conj(d.g())); }
#endif
};

EMBER_POINTWISE_FAMILY(math, Abs, Neg, Square, Reciprocal, Sqrt, Rsqrt, Exp, Exp2, Expm1, Log, Log2, Log10, Log1p, Sin,
                       Cos, Tan, Asin, Acos, Atan, Sinh, Cosh, Tanh, Asinh, Acosh, Atanh, Erf, Erfc, Erfinv, Lgamma,
                       Digamma, Entr, Floor, Ceil, Trunc, Round, Frac, Sign, Sgn, ConjPhysical)

}  // namespace ember::EMBER_READER
