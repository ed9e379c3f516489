// Small compositions over pointwise ops: clamping with optional bounds, division with a rounding mode, approximate
// equality, activations of several parts, and PyTorch's second names for ops.
#include <cmath>
#include <limits>
#include <numbers>

#include "op/family/dense.h"
#include "op/pointwise.h"

namespace ember {
namespace {

struct Composite {
  static constexpr auto kind = Kind::kComposite;
};
struct WithInplace : Composite {
  static constexpr auto forms = form::kAll;
};

// ---- clamping ----

Tensor clamp_both(const Tensor& x, const Tensor& low, const Tensor& high) { EMBER_CALL("_clamp", x, low, high); }
Tensor clamp_low(const Tensor& x, const Tensor& low) { EMBER_CALL("_clamp_min", x, low); }
Tensor clamp_high(const Tensor& x, const Tensor& high) { EMBER_CALL("_clamp_max", x, high); }

Tensor clamped(const Tensor& x, const Tensor& low, const Tensor& high) {
  EMBER_CHECK(low.defined() || high.defined(), "clamp: At least one of 'min' or 'max' must not be None");
  if (!high.defined()) return clamp_low(x, low);
  return low.defined() ? clamp_both(x, low, high) : clamp_high(x, high);
}
Tensor bound(const std::optional<Scalar>& s) { return s ? Tensor(*s) : Tensor(); }

#define EMBER_CLAMP(Struct, name) \
  struct Struct : WithInplace { \
    static constexpr auto schema = name "(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor"; \
    static constexpr auto doc = "min(max(self, lower bound), upper bound); one of the bounds may be left out"; \
    static Tensor call(const Tensor& x, std::optional<Scalar> low, std::optional<Scalar> high) { \
      return clamped(x, bound(low), bound(high)); \
    } \
  }; \
  struct Struct##Tensor : WithInplace { \
    static constexpr auto schema = name ".Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor"; \
    static constexpr auto doc = "min(max(self, min), max) with bounds that broadcast"; \
    static Tensor call(const Tensor& x, const OptTensor& low, const OptTensor& high) { return clamped(x, low, high); } \
  };
EMBER_CLAMP(ClampNumbers, "clamp")
EMBER_CLAMP(ClipNumbers, "clip")
#undef EMBER_CLAMP

struct ClampMinOp : WithInplace {
  static constexpr auto schema = "clamp_min(Tensor self, Tensor min) -> Tensor";
  static constexpr auto doc = "max(self, min)";
  static Tensor call(const Tensor& x, const Tensor& low) { return clamp_low(x, low); }
};
struct ClampMaxOp : WithInplace {
  static constexpr auto schema = "clamp_max(Tensor self, Tensor max) -> Tensor";
  static constexpr auto doc = "min(self, max)";
  static Tensor call(const Tensor& x, const Tensor& high) { return clamp_high(x, high); }
};

Tensor nearest(const Tensor& x) { EMBER_CALL("round", x); }

struct RoundDecimals : WithInplace {
  static constexpr auto schema = "round.decimals(Tensor self, *, int decimals) -> Tensor";
  static constexpr auto doc = "self rounded to `decimals` digits behind the point, before it where negative";
  static Tensor call(const Tensor& x, int64_t decimals) {
    if (decimals == 0) return nearest(x);
    EMBER_CHECK_NOT_IMPLEMENTED(is_floating(x.dtype()), "round: decimals of '", x.dtype(), "' are not implemented");
    const Scalar scale(std::pow(10.0, static_cast<double>(std::abs(decimals))));
    return decimals > 0 ? nearest(x * scale) / scale : nearest(x / scale) * scale;
  }
};

// ---- division ----

Tensor trunc_divide(const Tensor& x, const Tensor& y) { EMBER_CALL("_trunc_divide", x, y); }

Tensor divided(const Tensor& x, const Tensor& y, std::optional<std::string_view> mode) {
  if (!mode) return div(x, y);
  if (*mode == "trunc") return trunc_divide(x, y);
  EMBER_CHECK(*mode == "floor", "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '", *mode,
              "'");
  return floor_divide(x, y);
}

struct DivMode : WithInplace {
  static constexpr auto schema = "div.mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor";
  static constexpr auto doc = "self / other; rounding_mode \"trunc\" rounds towards zero, \"floor\" down";
  static Tensor call(const Tensor& x, const Tensor& y, std::optional<std::string_view> mode) {
    return divided(x, y, mode);
  }
};
struct Divide : WithInplace {
  static constexpr auto schema = "divide(Tensor self, Tensor other, *, str? rounding_mode=None) -> Tensor";
  static constexpr auto doc = "Another name of `div`";
  static Tensor call(const Tensor& x, const Tensor& y, std::optional<std::string_view> mode) {
    return divided(x, y, mode);
  }
};
struct Subtract : WithInplace {
  static constexpr auto schema = "subtract(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor";
  static constexpr auto doc = "Another name of `sub`";
  static Tensor call(const Tensor& x, const Tensor& y, Scalar alpha) { return sub(x, y, alpha); }
};
struct FloatPower : Composite {
  static constexpr auto schema = "float_power(Tensor self, Tensor exponent) -> Tensor";
  static constexpr auto doc = "pow in float64, or complex128 where either is complex";
  static Tensor call(const Tensor& x, const Tensor& y) {
    DType d = is_complex(x.dtype()) || is_complex(y.dtype()) ? DType::kComplex128 : DType::kFloat64;
    return pow(to_dtype(x, d), to_dtype(y, d));
  }
};
struct FloatPowerInplace : Composite {
  static constexpr auto schema = "float_power.inplace(Tensor self, Tensor exponent) -> Tensor";
  static constexpr auto doc = "float_power into self, which must have the dtype that it is computed in";
  static constexpr auto forms = form::kInplace;
  static Tensor call(const Tensor& x, const Tensor& y) {
    DType d = is_complex(x.dtype()) || is_complex(y.dtype()) ? DType::kComplex128 : DType::kFloat64;
    EMBER_CHECK(x.dtype() == d, "float_power_: the base has dtype ", type_word(x.dtype()),
                ", but the operation's result requires dtype ", type_word(d));
    return pow(x, to_dtype(y, d));
  }
};

// ---- comparing ----

struct BitwiseNot : WithInplace {
  static constexpr auto schema = "bitwise_not(Tensor self) -> Tensor";
  static constexpr auto doc = "All bits flipped; of bools the logical opposite";
  static Tensor call(const Tensor& x) { return x.dtype() == DType::kBool ? logical_not(x) : flipped(x); }
  static Tensor flipped(const Tensor& self) { EMBER_CALL("_bitwise_not_int", self); }
};

Tensor close(const Tensor& x, const Tensor& y, double rtol, double atol, bool equal_nan) {
  EMBER_CHECK(x.dtype() == y.dtype(), "isclose: ", type_word(x.dtype()), " did not match ", type_word(y.dtype()));
  EMBER_CHECK(rtol >= 0, "isclose: rtol must be greater than or equal to zero, but got ", rtol);
  EMBER_CHECK(atol >= 0, "isclose: atol must be greater than or equal to zero, but got ", atol);
  Tensor same = eq(x, y);
  if (equal_nan && is_differentiable(x.dtype())) same = logical_or(same, logical_and(isnan(x), isnan(y)));
  if (rtol == 0 && atol == 0) return same;
  bool exact = !is_differentiable(x.dtype());  // differences of integers may wrap; of floats they round
  Tensor a = exact ? to_dtype(x, DType::kFloat64) : x, b = exact ? to_dtype(y, DType::kFloat64) : y;
  Tensor gap = abs(a - b);
  return logical_or(same, logical_and(isfinite(gap), le(gap, Tensor(atol) + abs(Tensor(rtol) * b))));
}

struct IsClose : Composite {
  static constexpr auto schema =
      "isclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> Tensor";
  static constexpr auto doc = "|self - other| <= atol + rtol * |other|";
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Tensor call(const Tensor& x, const Tensor& y, double rtol, double atol, bool equal_nan) {
    return close(x, y, rtol, atol, equal_nan);
  }
};
struct AllClose : Composite {
  static constexpr auto schema =
      "allclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> bool";
  static constexpr auto doc = "Is |self - other| <= atol + rtol * |other| everywhere?";
  static constexpr auto forms = form::kFunction | form::kMethod;
  static bool call(const Tensor& x, const Tensor& y, double rtol, double atol, bool equal_nan) {
    return all(close(x, y, rtol, atol, equal_nan)).item<bool>();
  }
};
struct Equal : Composite {
  static constexpr auto schema = "equal(Tensor self, Tensor other) -> bool";
  static constexpr auto doc = "Have both the same size and the same elements?";
  static constexpr auto forms = form::kFunction | form::kMethod;
  static bool call(const Tensor& x, const Tensor& y) { return x.sizes() == y.sizes() && all(eq(x, y)).item<bool>(); }
};
struct IsReal : Composite {
  static constexpr auto schema = "isreal(Tensor self) -> Tensor";
  static constexpr auto doc = "Is the imaginary part zero?";
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Tensor call(const Tensor& x) { return is_complex(x.dtype()) ? eq(imag(x), 0) : ones_like(x, DType::kBool); }
};
template <bool positive>
struct IsInfinite : Composite {
  static constexpr auto schema = positive ? "isposinf(Tensor self) -> Tensor" : "isneginf(Tensor self) -> Tensor";
  static constexpr auto doc = positive ? "Is it infinity?" : "Is it minus infinity?";
  static Tensor call(const Tensor& x) {
    EMBER_CHECK(!is_complex(x.dtype()), positive ? "isposinf" : "isneginf", " does not support complex inputs.");
    if (!is_floating(x.dtype())) return zeros_like(x, DType::kBool);
    double inf = std::numeric_limits<double>::infinity();
    return eq(x, Tensor(positive ? inf : -inf));
  }
};

// ---- functions of a few pieces ----

struct NanToNum : WithInplace {
  static constexpr auto schema =
      "nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor";
  static constexpr auto doc = "NaN becomes `nan` (0), infinities become the dtype's largest and lowest numbers";
  static Tensor call(const Tensor& x, std::optional<double> nan, std::optional<double> high,
                     std::optional<double> low) {
    if (!is_floating(x.dtype())) return clone(x);
    double largest = x.dtype() == DType::kFloat16    ? 65504
                     : x.dtype() == DType::kBFloat16 ? 0x1.fep127
                     : x.dtype() == DType::kFloat64  ? std::numeric_limits<double>::max()
                                                     : std::numeric_limits<float>::max();
    double inf = std::numeric_limits<double>::infinity();
    Tensor y = where(isnan(x), Tensor(nan.value_or(0)), x);
    y = where(eq(x, Tensor(inf)), Tensor(high.value_or(largest)), y);
    return where(eq(x, Tensor(-inf)), Tensor(low.value_or(-largest)), y);
  }
};
struct Xlogy : WithInplace {
  static constexpr auto schema = "xlogy(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self * log(other), and 0 where self is 0 (NaN where other is)";
  static Tensor call(const Tensor& x, const Tensor& other) {
    const Tensor pair[] = {x, other};  // the logarithm of a Python number has x's precision
    const Tensor y = other->wrapped_number ? to_dtype(other, result_type(pair)) : other;
    Tensor zero = logical_and(eq(x, 0), logical_not(isnan(y)));
    return where(zero, 0, x * log(where(zero, 1, y)));
  }
};
struct Logit : WithInplace {
  static constexpr auto schema = "logit(Tensor self, float? eps=None) -> Tensor";
  static constexpr auto doc = "log(x / (1 - x)), of x clamped to [eps, 1 - eps] where eps is given";
  static Tensor call(const Tensor& x, std::optional<double> eps) {
    Tensor p = eps ? clamp_both(x, Tensor(*eps), Tensor(1 - *eps)) : x;
    if (p.dtype() == DType::kBool) p = to_dtype(p, default_dtype());
    return log(p / (1 - p));
  }
};
Tensor real_part(const Tensor& x) { return is_complex(x.dtype()) ? real(x) : x; }
// max + log(1 + base^-|difference|); equal infinities have no difference to speak of.
template <bool two>
struct LogAddExp : Composite {
  static constexpr auto schema =
      two ? "logaddexp2(Tensor self, Tensor other) -> Tensor" : "logaddexp(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = two ? "log2(2^self + 2^other)" : "log(exp(self) + exp(other))";
  static Tensor call(const Tensor& x, const Tensor& y) {
    if (!two && (is_complex(x.dtype()) || is_complex(y.dtype()))) {  // by the one whose exponential is larger
      Tensor left = ge(real_part(x), real_part(y)), a = where(left, x, y), b = where(left, y, x);
      return where(logical_and(eq(a, b), isinf(a)), a, a + log1p(exp(b - a)));
    }
    Tensor same = logical_and(eq(x, y), isinf(x)), top = maximum(x, y);
    Tensor gap = where(same, 0, -abs(x - y));
    Tensor rest = two ? log1p(exp2(gap)) * Tensor(1 / std::numbers::ln2) : log1p(exp(gap));
    return where(same, x, top + rest);
  }
};
struct Heaviside : WithInplace {
  static constexpr auto schema = "heaviside(Tensor self, Tensor values) -> Tensor";
  static constexpr auto doc = "1 above zero, `values` at zero, else 0";
  static Tensor call(const Tensor& x, const Tensor& values) {
    EMBER_CHECK(x.dtype() == values.dtype(),
                "heaviside is not yet implemented for tensors with different dtypes: ", x.dtype(), " and ",
                values.dtype());
    return where(eq(x, 0), values, where(gt(x, 0), ones_like(x), zeros_like(x)));
  }
};
struct Ldexp : WithInplace {
  static constexpr auto schema = "ldexp(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self * 2^other";
  static Tensor call(const Tensor& x, const Tensor& y) { return x * pow(2.0, y); }
};
struct Sinc : WithInplace {
  static constexpr auto schema = "sinc(Tensor self) -> Tensor";
  static constexpr auto doc = "sin(pi x) / (pi x), and 1 at 0";
  static Tensor call(const Tensor& x) {
    Tensor zero = eq(x, 0), z = where(zero, 1, x) * Tensor(std::numbers::pi);
    return where(zero, 1, sin(z) / z);
  }
};
struct Deg2Rad : WithInplace {
  static constexpr auto schema = "deg2rad(Tensor self) -> Tensor";
  static constexpr auto doc = "Degrees as radians";
  static Tensor call(const Tensor& x) { return x * Tensor(std::numbers::pi / 180); }
};
struct Rad2Deg : WithInplace {
  static constexpr auto schema = "rad2deg(Tensor self) -> Tensor";
  static constexpr auto doc = "Radians as degrees";
  static Tensor call(const Tensor& x) { return x * Tensor(180 / std::numbers::pi); }
};

// ---- activations ----

struct Gelu : WithInplace {
  static constexpr auto schema = "gelu(Tensor self, *, str approximate=\"none\") -> Tensor";
  static constexpr auto doc =
      "x times the normal distribution function of x, or its tanh form (Hendrycks and Gimpel, 2016)";
  static Tensor call(const Tensor& x, std::string_view approximate) {
    if (approximate == "none") return exact(x);
    EMBER_CHECK(approximate == "tanh", "gelu: approximate argument must be either none or tanh.");
    return by_tanh(x);
  }
  static Tensor exact(const Tensor& self) { EMBER_CALL("_gelu_erf", self); }
  static Tensor by_tanh(const Tensor& self) { EMBER_CALL("_gelu_tanh", self); }
};

struct Prelu : Composite {
  static constexpr auto schema = "prelu(Tensor self, Tensor weight) -> Tensor";
  static constexpr auto doc = "x where x > 0, else weight * x; one weight, or one a channel (He et al., 2015)";
  static Tensor call(const Tensor& x, const Tensor& weight) {
    EMBER_CHECK(x.dtype() == weight.dtype(), "prelu: Type promoting not supported. Got ", type_word(x.dtype()), " and ",
                type_word(weight.dtype()));
    EMBER_CHECK(weight.dim() <= 1,
                "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = ", weight.dim());
    if (weight.numel() == 1) return kernel(x, weight.dim() && x.dim() == 0 ? reshape(weight, {}) : weight);
    EMBER_CHECK(x.dim() > 0, "prelu: Not allow zero-dim input tensor.");
    int64_t channels = x.dim() > 1 ? x->sizes[1] : 1;
    EMBER_CHECK(channels == weight.numel(),
                "prelu: Mismatch of parameter numbers and input channel size. Found parameter "
                "numbers = ",
                weight.numel(), " and channel size = ", channels, ".");
    Dims shape(x.sizes().size(), 1);
    shape[1] = channels;
    return kernel(x, reshape(weight, shape));
  }
  static Tensor kernel(const Tensor& self, const Tensor& weight) { EMBER_CALL("_prelu_kernel", self, weight); }
};

struct Glu : Composite {
  static constexpr auto schema = "glu(Tensor self, int dim=-1) -> Tensor";
  static constexpr auto doc = "a * sigmoid(b) of the halves a, b of self along `dim` (Dauphin et al., 2017)";
  static Tensor call(const Tensor& x, int64_t dim) {
    EMBER_CHECK(x.dim() > 0, "glu does not support 0-dimensional tensors");
    int64_t size = x.size(dim);
    EMBER_CHECK(size % 2 == 0, "glu: Halving dimension must be even, but dimension ", wrap_dim(dim, x.dim()),
                " is size ", size);
    return narrow(x, dim, 0, size / 2) * sigmoid(narrow(x, dim, size / 2, size / 2));
  }
};

// ---- second names ----

#define EMBER_ALIAS(Struct, name, op) \
  struct Struct : WithInplace { \
    static constexpr auto schema = name "(Tensor self) -> Tensor"; \
    static constexpr auto doc = "Another name of `" #op "`"; \
    static Tensor call(const Tensor& x) { return op(x); } \
  };
EMBER_ALIAS(Absolute, "absolute", abs)
EMBER_ALIAS(Arccos, "arccos", acos)
EMBER_ALIAS(Arccosh, "arccosh", acosh)
EMBER_ALIAS(Arcsin, "arcsin", asin)
EMBER_ALIAS(Arcsinh, "arcsinh", asinh)
EMBER_ALIAS(Arctan, "arctan", atan)
EMBER_ALIAS(Arctanh, "arctanh", atanh)
EMBER_ALIAS(Fix, "fix", trunc)
EMBER_ALIAS(Negative, "negative", neg)
#undef EMBER_ALIAS

#define EMBER_ALIAS2(Struct, name, op) \
  struct Struct : WithInplace { \
    static constexpr auto schema = name "(Tensor self, Tensor other) -> Tensor"; \
    static constexpr auto doc = "Another name of `" #op "`"; \
    static Tensor call(const Tensor& x, const Tensor& y) { return op(x, y); } \
  };
EMBER_ALIAS2(Arctan2, "arctan2", atan2)
EMBER_ALIAS2(Multiply, "multiply", mul)
EMBER_ALIAS2(TrueDivide, "true_divide", div)
EMBER_ALIAS2(Greater, "greater", gt)
EMBER_ALIAS2(GreaterEqual, "greater_equal", ge)
EMBER_ALIAS2(Less, "less", lt)
EMBER_ALIAS2(LessEqual, "less_equal", le)
EMBER_ALIAS2(NotEqual, "not_equal", ne)
#undef EMBER_ALIAS2

struct SoftshrinkChecked : Composite {
  static constexpr auto schema = "softshrink(Tensor self, float lambd=0.5) -> Tensor";
  static constexpr auto doc = "x moved towards zero by lambd";
  static constexpr auto forms = form::kFunction | form::kOut;
  static Tensor call(const Tensor& x, double lambd) {
    EMBER_CHECK(lambd >= 0 && std::isfinite(lambd), "softshrink: lambda must be finite and not negative, but found ",
                lambd);
    return shrunk(x, lambd);
  }
  static Tensor shrunk(const Tensor& self, double lambd) { EMBER_CALL("_softshrink", self, lambd); }
};
struct Positive : Composite {
  static constexpr auto schema = "positive(Tensor self) -> Tensor";
  static constexpr auto doc = "self; of numbers only, not of bools";
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Tensor call(const Tensor& x) {
    EMBER_CHECK(x.dtype() != DType::kBool, "The `+` operator, on a bool tensor is not supported.");
    return x;
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> composite_math_ops() {
  return make_family<ClampNumbers, ClampNumbersTensor, ClipNumbers, ClipNumbersTensor, ClampMinOp, ClampMaxOp,
                     RoundDecimals, DivMode, Divide, Subtract, FloatPower, FloatPowerInplace, BitwiseNot,
                     SoftshrinkChecked, IsClose, AllClose, Equal, IsReal, IsInfinite<true>, IsInfinite<false>, NanToNum,
                     Xlogy, Logit, LogAddExp<false>, LogAddExp<true>, Heaviside, Ldexp, Sinc, Deg2Rad, Rad2Deg, Gelu,
                     Prelu, Glu, Absolute, Arccos, Arccosh, Arcsin, Arcsinh, Arctan, Arctanh, Fix, Negative, Arctan2,
                     Multiply, TrueDivide, Greater, GreaterEqual, Less, LessEqual, NotEqual, Positive>();
}

}  // namespace ember
