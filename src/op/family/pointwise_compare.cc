// Comparisons and tests: results are bool.
#include "op/pointwise_family.h"

namespace ember::EMBER_READER {

struct Eq {
  static constexpr auto schema = "eq(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self == other";
  static constexpr auto types = types::kAll;
  static auto eval(auto x, auto y) { return x == y; }
};

struct Ne {
  static constexpr auto schema = "ne(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self != other";
  static constexpr auto types = types::kAll;
  static auto eval(auto x, auto y) { return x != y; }
};

struct Lt {
  static constexpr auto schema = "lt(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self < other";
  static constexpr auto types = types::kRealBool;
  static auto eval(auto x, auto y) { return x < y; }
};

struct Le {
  static constexpr auto schema = "le(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self <= other";
  static constexpr auto types = types::kRealBool;
  static auto eval(auto x, auto y) { return x <= y; }
};

struct Gt {
  static constexpr auto schema = "gt(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self > other";
  static constexpr auto types = types::kRealBool;
  static auto eval(auto x, auto y) { return x > y; }
};

struct Ge {
  static constexpr auto schema = "ge(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self >= other";
  static constexpr auto types = types::kRealBool;
  static auto eval(auto x, auto y) { return x >= y; }
};

struct Isnan {
  static constexpr auto schema = "isnan(Tensor self) -> Tensor";
  static constexpr auto doc = "Is self not a number?";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto forms = form::kPlain;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return isnan(x); }
};

struct Isinf {
  static constexpr auto schema = "isinf(Tensor self) -> Tensor";
  static constexpr auto doc = "Is self infinite?";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto forms = form::kPlain;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return isinf(x); }
};

struct Isfinite {
  static constexpr auto schema = "isfinite(Tensor self) -> Tensor";
  static constexpr auto doc = "Is self neither infinite nor NaN?";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto forms = form::kPlain;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return isfinite(x); }
};

struct Signbit {
  static constexpr auto schema = "signbit(Tensor self) -> Tensor";
  static constexpr auto doc = "Is the sign bit set (so for -0.0)?";
  static constexpr auto types = types::kRealBool;
  static constexpr auto forms = form::kPlain;
  static auto eval(auto x) { return signbit(x); }
};

EMBER_POINTWISE_FAMILY(compare, Eq, Ne, Lt, Le, Gt, Ge, Isnan, Isinf, Isfinite, Signbit)

}  // namespace ember::EMBER_READER
