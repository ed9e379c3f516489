// Special functions that take an order beside the number, whose kernels are loops of their own rather than pointwise
// expressions.
#include "kernel/cpu/polygamma.h"
#include "op/family/dense.h"

namespace ember {
namespace {

struct Polygamma {
  static constexpr auto schema = "polygamma(int n, Tensor self) -> Tensor";
  static constexpr auto doc = "The n-th derivative of digamma; n = 0 is digamma itself";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kOut;
  static constexpr Saves saves = {.inputs = 0b10};
  static Meta infer(int64_t n, const Tensor& x) {
    EMBER_CHECK(n >= 0, "polygamma(n, x) does not support negative n.");
    EMBER_CHECK_NOT_IMPLEMENTED(!is_complex(x.dtype()), "polygamma: not implemented for '", type_word(x.dtype()), "'");
    const DType d = is_floating(x.dtype()) ? x.dtype() : default_dtype();
    return Meta(x.sizes(), dense_strides_like(x.sizes(), x.strides()), d, x.device());
  }
  static void cpu(Out y, int64_t n, const Tensor& self) {
    const Without kernels_only(~Keys{0});
    if (n == 0) return cpu::copy(y, digamma(self));
    const Tensor x = dense(self, DType::kFloat64), to = empty_raw(x.sizes(), DType::kFloat64);
    if (x.numel()) cpu::polygamma(n, x.data<double>(), to.data<double>(), x.numel());
    cpu::copy(y, to);
  }
  static void vjp(Grads& d, int64_t n, const Tensor& x) { d.set(1, d.g() * polygamma(n + 1, x)); }
};

// The method x.polygamma(n), whose tensor comes first.
struct PolygammaMethod {
  static constexpr auto schema = "polygamma.method(Tensor self, int n) -> Tensor";
  static constexpr auto doc = Polygamma::doc;
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kMethod | form::kInplace;
  static Tensor call(const Tensor& self, int64_t n) { return polygamma(n, self); }
};

}  // namespace

std::vector<std::unique_ptr<Op>> special_ops() { return make_family<Polygamma, PolygammaMethod>(); }

}  // namespace ember
