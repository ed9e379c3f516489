// Running reductions along a dim: sums, products, log-sums and extremes of everything up to an element.
#include "kernel/cpu/scan.h"

#include "op/family/dense.h"
#include "op/family/reduce_common.h"

namespace ember {
namespace {

DType running_dtype(const Tensor& x, OptDType dtype) {
  return dtype ? *dtype : category(x.dtype()) < 2 ? DType::kInt64 : x.dtype();
}
// The sum of everything from an element on.
Tensor sum_after(const Tensor& g, int64_t dim) { return flip(cumsum(flip(g, {dim}), dim), {dim}); }

struct Cumsum {
  static constexpr auto schema = "cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor";
  static constexpr auto doc = "The running sum along `dim`; integers become int64.";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kAll;
  static Meta infer(const Tensor& x, int64_t dim, OptDType dtype) {
    wrap_dim(dim, x.dim());
    return Meta(x.sizes(), running_dtype(x, dtype), x.device());
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, OptDType) { cpu::running_sum(y, x, wrap_dim(dim, x.dim())); }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, OptDType) {
    d.set(0, as_dtype_of(x.dim() ? sum_after(d.g(), dim) : d.g(), x));
  }
};

struct Cumprod {
  static constexpr auto schema = "cumprod(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor";
  static constexpr auto doc = "The running product along `dim`; integers become int64.";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kAll;
  static constexpr Saves saves{.inputs = 1, .outputs = 1};
  static Meta infer(const Tensor& x, int64_t dim, OptDType dtype) { return Cumsum::infer(x, dim, dtype); }
  static void cpu(Out y, const Tensor& x, int64_t dim, OptDType) { cpu::running_product(y, x, wrap_dim(dim, x.dim())); }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, OptDType) {
    const Tensor g = d.g(), y = d.y();
    if (x.dim() == 0) return d.set(0, as_dtype_of(g, x));
    if (x.is_meta() || !any(eq(x, 0)).item<bool>())
      return d.set(0, as_dtype_of(sum_after(g * conj(y), dim) / conj(x), x));
    // With zeros: element k's gradient is the sum over j >= k of g[j] * (product of x[0..j] without x[k]), one k a
    // time.
    const int64_t along = wrap_dim(dim, x.dim()), n = x.sizes()[along];
    Tensors parts;
    for (int64_t k = 0; k < n; ++k) {
      const Tensor before = k ? prod(narrow(x, along, 0, k), along, true) : ones_like(narrow(x, along, 0, 1));
      const Tensor rest =
          n - k > 1 ? cat({{before, before * cumprod(narrow(x, along, k + 1, n - k - 1), along)}}, along) : before;
      parts.push_back(sum(narrow(g, along, k, n - k) * conj(rest), {{along}}, true));
    }
    d.set(0, as_dtype_of(cat(parts, along), x));
  }
};

struct Logcumsumexp {
  static constexpr auto schema = "logcumsumexp(Tensor self, int dim) -> Tensor";
  static constexpr auto doc = "log of the running sum of exp(x) along `dim`, without overflow.";
  static constexpr auto kind = Kind::kReduce;
  static constexpr Saves saves{.inputs = 1, .outputs = 1};
  static Meta infer(const Tensor& x, int64_t dim) {
    wrap_dim(dim, x.dim());
    EMBER_CHECK_NOT_IMPLEMENTED(is_differentiable(x.dtype()), "\"logcumsumexp_out_cpu\" not implemented for '",
                                x.dtype(), "'");
    return Meta(x.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, int64_t dim) { cpu::running_logsumexp(y, x, wrap_dim(dim, x.dim())); }
  static void vjp(Grads& d, const Tensor& x, int64_t dim) {
    const Tensor g = d.g(), y = d.y();
    if (x.dim() == 0) return d.set(0, g);
    // sum over j >= k of g[j] exp(x[k] - y[j]), in logarithms, which real numbers have for each sign of g
    static const Op* const op = find_op("logcumsumexp");
    const DType real = real_of(x.dtype());
    const double low = real == DType::kFloat64 ? -1e300 : real == DType::kFloat16 ? -6e4 : -1e38;
    auto part = [&](const Tensor& weight, const Tensor& none) {  // of none: a number, as -inf would give nan in
      const Tensor logs = masked_fill(log(masked_fill(weight, none, 1)), none, low);  // second derivatives
      const Tensor back = flip(logs - conj_of(y), {dim});
      const Tensor sums = call_op(op, back, dim);
      return exp(flip(sums, {dim}) + conj_of(x));
    };
    d.set(0, is_complex(x.dtype()) ? part(g, eq(g, 0)) : part(g, le(g, 0)) - part(-g, ge(g, 0)));
  }
};

template <bool kLargest>
struct RunningExtreme {
  static constexpr auto kind = Kind::kReduce;
  static constexpr Saves saves{.outputs = 2};
  static std::array<Meta, 2> infer(const Tensor& x, int64_t dim) {
    wrap_dim(dim, x.dim());
    EMBER_CHECK(!is_complex(x.dtype()), kLargest ? "cummax" : "cummin", "(): does not support complex input");
    return {Meta(x.sizes(), x), Meta(x.sizes(), DType::kInt64, x.device())};
  }
  static void cpu(Out values, Out indices, const Tensor& x, int64_t dim) {
    cpu::running_extreme(values, indices, x, wrap_dim(dim, x.dim()), kLargest);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim) {
    const Tensor g = d.g();
    d.set(0, x.dim() ? scatter_add(zeros(x.sizes(), g.dtype(), g.device()), dim, d.y(1), g) : g);
  }
};
struct Cummax : RunningExtreme<true> {
  static constexpr auto schema = "cummax(Tensor self, int dim) -> (Tensor values, Tensor indices)";
  static constexpr auto doc = "The largest element so far along `dim`, and where it last was.";
};
struct Cummin : RunningExtreme<false> {
  static constexpr auto schema = "cummin(Tensor self, int dim) -> (Tensor values, Tensor indices)";
  static constexpr auto doc = "The smallest element so far along `dim`, and where it last was.";
};

}  // namespace

std::vector<std::unique_ptr<Op>> scans() { return make_family<Cumsum, Cumprod, Logcumsumexp, Cummax, Cummin>(); }

}  // namespace ember
