// softmax and log_softmax: one pass over rows forward, one backward. Their gradients are ops of their own, with
// gradients of their own, so every derivative of any order stays fused.
#include "kernel/cpu/rows.h"
#include "op/family/checks.h"
#include "op/family/dense.h"

namespace ember {
namespace {

// A contiguous tensor as [outer, dim, inner].
struct Rows {
  int64_t outer = 1, size = 1, inner = 1;
  Rows(const Tensor& x, int64_t dim) {
    size_t at = static_cast<size_t>(wrap_dim(dim, x.dim()));
    for (size_t i = 0; i < x.sizes().size(); ++i) (i < at ? outer : i == at ? size : inner) *= x.sizes()[i];
  }
};

Meta softmax_meta(std::string_view op, std::string_view kernel, const Tensor& self, int64_t dim, OptDType dtype) {
  wrap_dim(dim, self.dim());
  DType d = dtype.value_or(self.dtype());
  EMBER_CHECK_NOT_IMPLEMENTED(is_floating(d), op, ": \"", kernel, "\" not implemented for '", type_word(d),
                              "'; it takes floating point tensors, or a floating point `dtype`");
  return {self.sizes(), d, self.device()};
}

Meta softmax_backward_meta(std::string_view op, const Tensor& grad, const Tensor& output, int64_t dim) {
  wrap_dim(dim, output.dim());
  check_floating(output, op, "softmax_backward_lastdim_kernel_impl");
  check_shape(op, "grad_output", grad, output.sizes());
  return {output.sizes(), output};
}

void softmax_rows(const Tensor& y, const Tensor& self, int64_t dim, bool log) {
  if (y.numel() == 0) return;
  Rows r(self, dim);
  Tensor x = dense(self, y.dtype());
  fill_dense(
      y, [&](const Tensor& out) { cpu::softmax(out.dtype(), x.data(), out.data(), r.outer, r.size, r.inner, log); });
}

void softmax_backward_rows(const Tensor& dx, const Tensor& grad, const Tensor& output, int64_t dim, bool log) {
  if (dx.numel() == 0) return;
  Rows r(output, dim);
  Tensor g = dense(grad, output.dtype()), y = dense(output);
  fill_dense(dx, [&](const Tensor& to) {
    cpu::softmax_backward(to.dtype(), y.data(), g.data(), to.data(), r.outer, r.size, r.inner, log);
  });
}

struct SoftmaxBackward {
  static constexpr auto schema = "_softmax_backward(Tensor grad_output, Tensor output, int dim) -> Tensor";
  static constexpr auto doc = "The gradient of softmax from its result: y * (g - sum(g * y))";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b11};
  static Meta infer(const Tensor& g, const Tensor& output, int64_t dim) {
    return softmax_backward_meta("_softmax_backward", g, output, dim);
  }
  static void cpu(Out dx, const Tensor& g, const Tensor& y, int64_t dim) {
    softmax_backward_rows(dx, g, y, dim, false);
  }
  static void vjp(Grads& d, const Tensor& g, const Tensor& y, int64_t dim) {
    Tensor v = d.g();
    auto total = [&](const Tensor& x) { return sum(x, Dims{dim}, true); };
    if (d.wants(0)) d.set(0, y * (v - total(v * y)));
    if (d.wants(1)) d.set(1, v * (g - total(g * y)) - g * total(v * y));
  }
};

struct LogSoftmaxBackward {
  static constexpr auto schema = "_log_softmax_backward(Tensor grad_output, Tensor output, int dim) -> Tensor";
  static constexpr auto doc = "The gradient of log_softmax from its result: g - exp(y) * sum(g)";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b11};
  static Meta infer(const Tensor& g, const Tensor& output, int64_t dim) {
    return softmax_backward_meta("_log_softmax_backward", g, output, dim);
  }
  static void cpu(Out dx, const Tensor& g, const Tensor& y, int64_t dim) { softmax_backward_rows(dx, g, y, dim, true); }
  static void vjp(Grads& d, const Tensor& g, const Tensor& y, int64_t dim) {
    Tensor v = d.g(), p = exp(y);
    auto total = [&](const Tensor& x) { return sum(x, Dims{dim}, true); };
    if (d.wants(0)) d.set(0, v - total(v * p));
    if (d.wants(1)) d.set(1, -(v * p * total(g)));
  }
};

struct Softmax {
  static constexpr auto schema = "softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor";
  static constexpr auto doc = "exp(x) / sum(exp(x)) along `dim`, without overflow; computed in `dtype` where given";
  static constexpr auto kind = Kind::kReduce;
  static constexpr Saves saves = {.outputs = 0b1};
  static Meta infer(const Tensor& self, int64_t dim, OptDType dtype) {
    return softmax_meta("softmax", "softmax_lastdim_kernel_impl", self, dim, dtype);
  }
  static void cpu(Out y, const Tensor& self, int64_t dim, OptDType) { softmax_rows(y, self, dim, false); }
  static void vjp(Grads& d, const Tensor&, int64_t dim, OptDType) { d.set(0, softmax_backward(d.g(), d.y(), dim)); }
};

struct LogSoftmax {
  static constexpr auto schema = "log_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor";
  static constexpr auto doc = "x - log(sum(exp(x))) along `dim`, without overflow; computed in `dtype` where given";
  static constexpr auto kind = Kind::kReduce;
  static constexpr Saves saves = {.outputs = 0b1};
  static Meta infer(const Tensor& self, int64_t dim, OptDType dtype) {
    return softmax_meta("log_softmax", "log_softmax_lastdim_kernel_impl", self, dim, dtype);
  }
  static void cpu(Out y, const Tensor& self, int64_t dim, OptDType) { softmax_rows(y, self, dim, true); }
  static void vjp(Grads& d, const Tensor&, int64_t dim, OptDType) { d.set(0, log_softmax_backward(d.g(), d.y(), dim)); }
};

}  // namespace

std::vector<std::unique_ptr<Op>> softmax_ops() {
  return make_family<Softmax, LogSoftmax, SoftmaxBackward, LogSoftmaxBackward>();
}

}  // namespace ember
