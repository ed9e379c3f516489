// Complex numbers and their parts. Real and imaginary parts are views; conjugation is a copy, made at once: there is no
// lazy conjugate bit that kernels would have to know.
#include <numbers>

#include "op/make.h"
#include "op/ops.h"

namespace ember {
namespace {

struct Function {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
};
struct FunctionOut {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kOut;
};
struct FunctionMethod {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kMethod;
};

Tensor pair_up(const Tensor& a, const Tensor& b) {
  Dims sizes = broadcast_shapes(a.sizes(), b.sizes());
  Tensor parts[] = {expand(a, sizes), expand(b, sizes)};
  return view_as_complex(stack(List(parts, 2), -1));
}
void check_parts(const Tensor& a, const Tensor& b) {
  EMBER_CHECK(is_floating(a.dtype()) && is_floating(b.dtype()),
              "Expected both inputs to be Half, Float or Double tensors but got ", a.dtype(), " and ", b.dtype());
  EMBER_CHECK(a.dtype() == b.dtype(), "Expected object of scalar type ", a.dtype(), " but got scalar type ", b.dtype(),
              " for second argument");
}
struct Complex : FunctionOut {
  static constexpr auto schema = "complex(Tensor real, Tensor imag) -> Tensor";
  static constexpr auto doc = "real + imag j, of two float32 or float64 tensors";
  static Tensor call(const Tensor& real, const Tensor& imag) {
    check_parts(real, imag);
    return pair_up(real, imag);
  }
};
struct Polar : FunctionOut {
  static constexpr auto schema = "polar(Tensor abs, Tensor angle) -> Tensor";
  static constexpr auto doc = "abs (cos(angle) + sin(angle) j)";
  static Tensor call(const Tensor& abs, const Tensor& angle) {
    check_parts(abs, angle);
    return pair_up(abs * cos(angle), abs * sin(angle));
  }
};

struct Real : Function {
  static constexpr auto schema = "real(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "The real parts, a view; real tensors as they are";
  static Tensor call(const Tensor& self) { return is_complex(self.dtype()) ? select(view_as_real(self), -1, 0) : self; }
};
struct Imag : Function {
  static constexpr auto schema = "imag(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "The imaginary parts of a complex tensor, a view";
  static Tensor call(const Tensor& self) {
    EMBER_CHECK(is_complex(self.dtype()), "imag is not implemented for tensors with non-complex dtypes.");
    return select(view_as_real(self), -1, 1);
  }
};

struct Conj : FunctionMethod {
  static constexpr auto schema = "conj(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "The complex conjugate; real tensors as they are";
  static Tensor call(const Tensor& self) {
    static const Op* const op = find_op("conj_physical");
    return is_complex(self.dtype()) ? Tensor(call_op(op, self)) : self;
  }
};
struct ResolveConj : FunctionMethod {
  static constexpr auto schema = "resolve_conj(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "self: conjugates are never pending here";
  static Tensor call(const Tensor& self) { return self; }
};
struct ResolveNeg : ResolveConj {
  static constexpr auto schema = "resolve_neg(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "self: negations are never pending here";
};

struct Angle : FunctionMethod {
  static constexpr auto schema = "angle(Tensor self) -> Tensor";
  static constexpr auto doc = "The angle of complex numbers in radians; of real ones 0, or pi where they are negative";
  static constexpr auto forms = form::kFunction | form::kMethod | form::kOut;
  static Tensor call(const Tensor& self) {
    if (is_complex(self.dtype())) return atan2(imag(self), real(self));
    Tensor x = is_floating(self.dtype()) ? self : to_dtype(self, default_dtype());
    Tensor angles = where(x < 0, Tensor(std::numbers::pi), Tensor(0.0));
    return where(isnan(x), x, to_dtype(angles, x.dtype()));
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> complex_ops() {
  return make_family<Complex, Polar, Real, Imag, Conj, ResolveConj, ResolveNeg, Angle>();
}

}  // namespace ember
