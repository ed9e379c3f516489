// Arithmetic of two and three operands. Each op is an expression and its partials; types, broadcasting, in-place and
// out= follow from the kind. `conj` in a partial is the identity for real numbers: vjp hands conjugated operands.
#include "op/pointwise_family.h"

namespace ember::EMBER_READER {

struct Add {
  static constexpr auto schema = "add(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor";
  static constexpr auto doc = "self + alpha * other";
  static constexpr auto types = types::kAll;
  static auto eval(auto x, auto y, auto alpha) { return x + alpha * y; }
  static auto d_self(auto g, auto, auto, auto) { return g; }
  static auto d_other(auto g, auto, auto, auto alpha) { return g * conj(alpha); }
};

struct Sub {
  static constexpr auto schema = "sub(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor";
  static constexpr auto doc = "self - alpha * other";
  static constexpr auto types = types::kNumber;
  static constexpr auto promote = Promote::kNoBool;
  static auto eval(auto x, auto y, auto alpha) { return x - alpha * y; }
  static auto d_self(auto g, auto, auto, auto) { return g; }
  static auto d_other(auto g, auto, auto, auto alpha) { return -g * conj(alpha); }
};

struct Rsub {
  static constexpr auto schema = "rsub(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor";
  static constexpr auto doc = "other - alpha * self";
  static constexpr auto types = types::kNumber;
  static constexpr auto promote = Promote::kNoBool;
  static auto eval(auto x, auto y, auto alpha) { return y - alpha * x; }
  static auto d_self(auto g, auto, auto, auto alpha) { return -g * conj(alpha); }
  static auto d_other(auto g, auto, auto, auto) { return g; }
};

struct Mul {
  static constexpr auto schema = "mul(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self * other";
  static constexpr auto types = types::kAll;
  static auto eval(auto x, auto y) { return x * y; }
  static auto d_self(auto g, auto, auto y) { return g * y; }
  static auto d_other(auto g, auto x, auto) { return g * x; }
};

struct Div {
  static constexpr auto schema = "div(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self / other, true division: integers become the default float";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x, auto y) { return x / y; }
  static auto d_self(auto g, auto, auto y) { return g / y; }
  static auto d_other(auto g, auto x, auto y) { return -g * ((x / y) / y); }
};

struct FloorDivide {
  static constexpr auto schema = "floor_divide(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "floor(self / other)";
  static constexpr auto types = types::kReal;
  static constexpr bool divides = true;
  static auto eval(auto x, auto y) { return floor_div(x, y); }
};

struct TruncDivide {
  static constexpr auto schema = "_trunc_divide(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self / other rounded towards zero";
  static constexpr auto types = types::kReal;
  static constexpr bool divides = true;
  static auto eval(auto x, auto y) { return trunc(x / y); }
  static auto d_self(auto g, auto, auto) { return g * 0; }
  static auto d_other(auto g, auto, auto) { return g * 0; }
};

struct Remainder {
  static constexpr auto schema = "remainder(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self - other * floor(self / other): the sign of the divisor, as Python's %";
  static constexpr auto types = types::kReal;
  static constexpr bool divides = true;
  static auto eval(auto x, auto y) { return remainder(x, y); }
  static auto d_self(auto g, auto, auto) { return g; }
  static auto d_other(auto g, auto x, auto y) { return -g * floor_div(x, y); }
};

struct Fmod {
  static constexpr auto schema = "fmod(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "The remainder with the sign of the dividend, as C's fmod";
  static constexpr auto types = types::kReal;
  static constexpr bool divides = true;
  static auto eval(auto x, auto y) { return fmod(x, y); }
  static auto d_self(auto g, auto, auto) { return g; }
  static auto d_other(auto g, auto x, auto y) { return -g * trunc(x / y); }
};

struct Pow {
  static constexpr auto schema = "pow(Tensor self, Tensor exponent) -> Tensor";
  static constexpr auto doc = "self to the power of exponent";
  static constexpr auto types = types::kNumber;
  static auto eval(auto x, auto y) { return pow(x, y); }
  static auto d_self(auto g, auto x, auto y) { return select(y == 0, 0, g * (y * pow(x, y - 1))); }
  static auto d_other(auto g, auto x, auto y, auto r) { return select(x == 0, 0, g * (r * log(x))); }
};

struct Atan2 {
  static constexpr auto schema = "atan2(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "The angle of the point (other, self), in radians from -pi to pi";
  static constexpr auto types = types::kFloat;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto y, auto x) { return atan2(y, x); }
  static auto d_self(auto g, auto y, auto x) { return g * x / (x * x + y * y); }
  static auto d_other(auto g, auto y, auto x) { return -g * y / (x * x + y * y); }
};

struct Hypot {
  static constexpr auto schema = "hypot(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "sqrt(self^2 + other^2), without overflow";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x, auto y) { return hypot(x, y); }
  static auto d_self(auto g, auto x, auto, auto r) { return g * (x / r); }
  static auto d_other(auto g, auto, auto y, auto r) { return g * (y / r); }
};

struct Copysign {
  static constexpr auto schema = "copysign(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "The magnitude of self with the sign of other";
  static constexpr auto types = types::kFloat;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x, auto y) { return copysign(x, y); }
  static auto d_self(auto g, auto x, auto, auto r) { return select(x == 0, 0, g * (r / x)); }
  static auto d_other(auto g, auto, auto) { return g * 0; }
};

struct Nextafter {
  static constexpr auto schema = "nextafter(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "The next number after self in the direction of other";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x, auto y) { return nextafter(x, y); }
  static auto d_self(auto g, auto, auto) { return g; }
  static auto d_other(auto g, auto, auto) { return g * 0; }
};

// Of equal operands each takes half of the gradient.
struct Maximum {
  static constexpr auto schema = "maximum(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "The larger of both; a NaN wins";
  static constexpr auto types = types::kRealBool;
  static constexpr auto forms = form::kPlain;
  static auto eval(auto x, auto y) { return max(x, y); }
  static auto d_self(auto g, auto x, auto y) { return select(x == y, g / 2, select(x < y, 0, g)); }
  static auto d_other(auto g, auto x, auto y) { return select(x == y, g / 2, select(x > y, 0, g)); }
};

struct Minimum {
  static constexpr auto schema = "minimum(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "The smaller of both; a NaN wins";
  static constexpr auto types = types::kRealBool;
  static constexpr auto forms = form::kPlain;
  static auto eval(auto x, auto y) { return min(x, y); }
  static auto d_self(auto g, auto x, auto y) { return select(x == y, g / 2, select(x > y, 0, g)); }
  static auto d_other(auto g, auto x, auto y) { return select(x == y, g / 2, select(x < y, 0, g)); }
};

struct Fmax {
  static constexpr auto schema = "fmax(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "The larger of both; a number wins over a NaN";
  static constexpr auto types = types::kReal;
  static constexpr auto forms = form::kPlain;
  static auto eval(auto x, auto y) { return fmax(x, y); }
  static auto d_self(auto g, auto x, auto y) { return select((x >= y) | isnan(y), g, 0); }
  static auto d_other(auto g, auto x, auto y) { return select((x >= y) | isnan(y), 0, g); }
};

struct Fmin {
  static constexpr auto schema = "fmin(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "The smaller of both; a number wins over a NaN";
  static constexpr auto types = types::kReal;
  static constexpr auto forms = form::kPlain;
  static auto eval(auto x, auto y) { return fmin(x, y); }
  static auto d_self(auto g, auto x, auto y) { return select((x <= y) | isnan(y), g, 0); }
  static auto d_other(auto g, auto x, auto y) { return select((x <= y) | isnan(y), 0, g); }
};

struct Gcd {
  static constexpr auto schema = "gcd(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "The greatest common divisor of integers";
  static constexpr auto types = types::kInt;
  static auto eval(auto x, auto y) { return gcd(x, y); }
};

struct Lcm {
  static constexpr auto schema = "lcm(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "The least common multiple of integers";
  static constexpr auto types = types::kInt;
  static auto eval(auto x, auto y) { return lcm(x, y); }
};

struct Addcmul {
  static constexpr auto schema = "addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor";
  static constexpr auto doc = "self + value * tensor1 * tensor2";
  static constexpr auto types = types::kNumber;
  static auto eval(auto x, auto a, auto b, auto value) { return x + value * a * b; }
  static auto d_self(auto g, auto, auto, auto, auto) { return g; }
  static auto d_other(auto g, auto, auto, auto b, auto value) { return g * conj(value) * b; }
  static auto d_third(auto g, auto, auto a, auto, auto value) { return g * conj(value) * a; }
};

struct Addcdiv {
  static constexpr auto schema = "addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor";
  static constexpr auto doc = "self + value * tensor1 / tensor2, of floating-point or complex numbers";
  static constexpr auto types = types::kFloatComplex;
  static auto eval(auto x, auto a, auto b, auto value) { return x + value * (a / b); }
  static auto d_self(auto g, auto, auto, auto, auto) { return g; }
  static auto d_other(auto g, auto, auto, auto b, auto value) { return g * conj(value) / b; }
  static auto d_third(auto g, auto, auto a, auto b, auto value) { return -g * conj(value) * a / (b * b); }
};

// From both ends, so that weight 1 gives `end` exactly.
struct Lerp {
  static constexpr auto schema = "lerp(Tensor self, Tensor end, Tensor weight) -> Tensor";
  static constexpr auto doc = "self + weight * (end - self)";
  static constexpr auto types = types::kFloatComplex;
  static auto eval(auto x, auto end, auto w) {
    return select(abs(w) < 0.5, x + w * (end - x), end - (end - x) * (1 - w));
  }
  static auto d_self(auto g, auto, auto, auto w) { return g * (1 - w); }
  static auto d_other(auto g, auto, auto, auto w) { return g * w; }
  static auto d_third(auto g, auto x, auto end, auto) { return g * (end - x); }
};

struct Where {
  static constexpr auto schema = "where.self(Tensor condition, Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self where condition holds, else other";
  static constexpr auto types = types::kAll;
  static constexpr auto forms = form::kPlain;
  static constexpr uint32_t masks = 0b001;
  static auto eval(auto c, auto x, auto y) { return select(c, x, y); }
  static auto d_self(auto g, auto c, auto, auto) { return select(c, g, 0); }
  static auto d_other(auto g, auto c, auto, auto) { return select(c, 0, g); }
};

EMBER_POINTWISE_FAMILY(arithmetic, Add, Sub, Rsub, Mul, Div, FloorDivide, TruncDivide, Remainder, Fmod, Pow, Atan2,
                       Hypot, Copysign, Nextafter, Maximum, Minimum, Fmax, Fmin, Gcd, Lcm, Addcmul, Addcdiv, Lerp,
                       Where)

}  // namespace ember::EMBER_READER
