// Variance and what is made of reductions: logsumexp, counts, differences, integrals, covariance.
#include "op/family/reduce_common.h"

namespace ember {
namespace {

using cpu::DimMask;

// ---- variance ------------------------------------------------------------------------------------------------------

void check_variance(std::string_view op, const Tensor& x) {
  EMBER_CHECK(is_floating(x.dtype()) || is_complex(x.dtype()), op,
              ": std and var only support floating point and complex dtypes, got ", x.dtype());
}
double correction_of(const std::optional<Scalar>& c) { return c ? c->to<double>() : 1; }

// d var / d x = 2 (x - mean) / (n - correction)
Tensor variance_slope(const Tensor& g, const Tensor& x, DimMask mask, OptDims dim, double correction, bool keepdim) {
  const double n = static_cast<double>(reduced_count(x, mask));
  const Tensor scaled = keep_dims(g, x, mask, keepdim) * (2 / std::max(0.0, n - correction));
  return scaled * (x - mean(x, dim, true));
}

template <bool kRoot>
struct Variance {
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves{.inputs = 1, .outputs = kRoot ? 1u : 0u};
  static Meta infer(const Tensor& x, OptDims dim, double, bool keepdim) {
    check_variance(kRoot ? "std" : "var", x);
    return reduced_meta(x, dims_mask(x, dim), keepdim, x.dtype());
  }
  static void cpu(Out y, const Tensor& x, OptDims dim, double correction, bool) {
    cpu::var_mean(y, {}, x, dims_mask(x, dim), correction, kRoot);
  }
  static void vjp(Grads& d, const Tensor& x, OptDims dim, double correction, bool keepdim) {
    const DimMask mask = dims_mask(x, dim);
    if (!kRoot) return d.set(0, variance_slope(d.g(), x, mask, dim, correction, keepdim));
    const Tensor y = d.y(), g = masked_fill(d.g() / (y * 2), eq(y, 0), 0);
    d.set(0, variance_slope(g, x, mask, dim, correction, keepdim));
  }
};
struct RealVar : Variance<false> {
  static constexpr auto schema = "_var(Tensor self, int[1]? dim, float correction, bool keepdim) -> Tensor";
  static constexpr auto doc = "var of real numbers.";
};
struct RealStd : Variance<true> {
  static constexpr auto schema = "_std(Tensor self, int[1]? dim, float correction, bool keepdim) -> Tensor";
  static constexpr auto doc = "std of real numbers.";
};

Tensor variance(const Tensor& x, OptDims dim, double correction, bool keepdim) {
  static const Op* const op = find_op("_var");
  check_variance("var", x);
  if (is_complex(x.dtype()))
    return variance(real(x), dim, correction, keepdim) + variance(imag(x), dim, correction, keepdim);
  return call_op(op, x, dim, correction, keepdim);
}
Tensor deviation(const Tensor& x, OptDims dim, double correction, bool keepdim) {
  static const Op* const op = find_op("_std");
  check_variance("std", x);
  if (is_complex(x.dtype())) return sqrt(variance(x, dim, correction, keepdim));
  return call_op(op, x, dim, correction, keepdim);
}

// The forms in which users meet them; `unbiased` is the older way to say correction = 1.
template <Tensor (*of)(const Tensor&, OptDims, double, bool)>
struct Spread {
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, OptDims dim, std::optional<Scalar> correction, bool keepdim) {
    return of(x, dim, correction_of(correction), keepdim);
  }
};
template <Tensor (*of)(const Tensor&, OptDims, double, bool)>
struct SpreadUnbiased {
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, bool unbiased) { return of(x, {}, unbiased, false); }
};
template <Tensor (*of)(const Tensor&, OptDims, double, bool)>
struct SpreadDim {
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, OptDims dim, bool unbiased, bool keepdim) {
    return of(x, dim, unbiased, keepdim);
  }
};
struct Var : Spread<variance> {
  static constexpr auto schema =
      "var(Tensor self, int[1]? dim=None, *, Scalar? correction=1, bool keepdim=False) -> Tensor";
  static constexpr auto doc = "The variance over `dim`: squared deviations from the mean, divided by n - correction.";
};
struct VarUnbiased : SpreadUnbiased<variance> {
  static constexpr auto schema = "var.unbiased(Tensor self, bool unbiased=True) -> Tensor";
  static constexpr auto doc = "The variance of all elements.";
};
struct VarDim : SpreadDim<variance> {
  static constexpr auto schema = "var.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor";
  static constexpr auto doc = "The variance over `dim`.";
};
struct Std : Spread<deviation> {
  static constexpr auto schema =
      "std(Tensor self, int[1]? dim=None, *, Scalar? correction=1, bool keepdim=False) -> Tensor";
  static constexpr auto doc = "The standard deviation over `dim`, the root of var.";
};
struct StdUnbiased : SpreadUnbiased<deviation> {
  static constexpr auto schema = "std.unbiased(Tensor self, bool unbiased=True) -> Tensor";
  static constexpr auto doc = "The standard deviation of all elements.";
};
struct StdDim : SpreadDim<deviation> {
  static constexpr auto schema = "std.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor";
  static constexpr auto doc = "The standard deviation over `dim`.";
};

// The same three forms with the mean beside.
template <Tensor (*of)(const Tensor&, OptDims, double, bool)>
struct SpreadMean {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor2 call(const Tensor& x, OptDims dim, std::optional<Scalar> correction, bool keepdim) {
    return {of(x, dim, correction_of(correction), keepdim), mean(x, dim, keepdim)};
  }
};
template <Tensor (*of)(const Tensor&, OptDims, double, bool)>
struct SpreadMeanUnbiased {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor2 call(const Tensor& x, bool unbiased) { return {of(x, {}, unbiased, false), mean(x, {}, false)}; }
};
template <Tensor (*of)(const Tensor&, OptDims, double, bool)>
struct SpreadMeanDim {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor2 call(const Tensor& x, OptDims dim, bool unbiased, bool keepdim) {
    return {of(x, dim, unbiased, keepdim), mean(x, dim, keepdim)};
  }
};
struct VarMean : SpreadMean<variance> {
  static constexpr auto schema =
      "var_mean(Tensor self, int[1]? dim=None, *, Scalar? correction=1, bool keepdim=False) -> (Tensor, Tensor)";
  static constexpr auto doc = "The variance and the mean over `dim`.";
};
struct VarMeanUnbiased : SpreadMeanUnbiased<variance> {
  static constexpr auto schema = "var_mean.unbiased(Tensor self, bool unbiased=True) -> (Tensor, Tensor)";
  static constexpr auto doc = "The variance and the mean of all elements.";
};
struct VarMeanDim : SpreadMeanDim<variance> {
  static constexpr auto schema =
      "var_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)";
  static constexpr auto doc = "The variance and the mean over `dim`.";
};
struct StdMean : SpreadMean<deviation> {
  static constexpr auto schema =
      "std_mean(Tensor self, int[1]? dim=None, *, Scalar? correction=1, bool keepdim=False) -> (Tensor, Tensor)";
  static constexpr auto doc = "The standard deviation and the mean over `dim`.";
};
struct StdMeanUnbiased : SpreadMeanUnbiased<deviation> {
  static constexpr auto schema = "std_mean.unbiased(Tensor self, bool unbiased=True) -> (Tensor, Tensor)";
  static constexpr auto doc = "The standard deviation and the mean of all elements.";
};
struct StdMeanDim : SpreadMeanDim<deviation> {
  static constexpr auto schema =
      "std_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)";
  static constexpr auto doc = "The standard deviation and the mean over `dim`.";
};

// ---- made of reductions --------------------------------------------------------------------------------------------

struct RealLogSumExp {
  static constexpr auto schema = "_logsumexp(Tensor self, int[1] dim, bool keepdim) -> Tensor";
  static constexpr auto doc = "logsumexp of real numbers.";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves{.inputs = 1, .outputs = 1};
  static Meta infer(const Tensor& x, DimsView dim, bool keepdim) {
    return reduced_meta(x, dims_mask(x, dim), keepdim, x.dtype());
  }
  static void cpu(Out y, const Tensor& x, DimsView dim, bool) { cpu::log_sum_exp(y, x, dims_mask(x, dim)); }
  static void vjp(Grads& d, const Tensor& x, DimsView dim, bool keepdim) {
    const DimMask mask = dims_mask(x, dim);
    const Tensor y = keep_dims(d.y(), x, mask, keepdim);
    d.set(0, keep_dims(d.g(), x, mask, keepdim) * exp(x - y));
  }
};
struct LogSumExp {
  static constexpr auto schema = "logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor";
  static constexpr auto doc = "log(sum(exp(x))) over `dim`, without overflow.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& self, DimsView dim, bool keepdim) {
    const Tensor x = category(self.dtype()) < 2 ? to_dtype(self, default_dtype()) : self;
    if (is_complex(x.dtype())) {
      const Tensor top = amax(real(x).detach(), dim, true), y = log(sum(exp(x - top), dim, true)) + top;
      return keepdim ? y : reshape(y, reduced_sizes(x, dims_mask(x, dim), false));
    }
    static const Op* const op = find_op("_logsumexp");
    return call_op(op, x, dim, keepdim);
  }
};

struct NanMean {
  static constexpr auto schema =
      "nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
  static constexpr auto doc = "The mean over `dim` of what is not nan.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, OptDims dim, bool keepdim, OptDType dtype) {
    EMBER_CHECK(is_floating(x.dtype()) || is_complex(x.dtype()),
                "nanmean(): expected input to have floating point or complex dtype but got ", x.dtype());
    static const Op* const nansum = find_op("nansum");
    const Tensor count = sum(logical_not(isnan(x)), dim, keepdim);
    const Tensor total = call_op(nansum, x, dim, keepdim, dtype);
    return total / count;
  }
};

struct CountNonzero {
  static constexpr auto schema = "count_nonzero(Tensor self, int[1]? dim=None) -> Tensor";
  static constexpr auto doc = "How many elements over `dim` are not zero.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, OptDims dim) { return sum(ne(x, 0), dim); }
};

struct Diff {
  static constexpr auto schema =
      "diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor";
  static constexpr auto doc = "The n-th difference of neighbours along `dim`.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& self, int64_t n, int64_t dim, const Tensor& prepend, const Tensor& append) {
    EMBER_CHECK(self.dim() > 0, "diff expects input to be at least one-dimensional");
    EMBER_CHECK(n >= 0, "order must be non-negative but got ", n);
    if (n == 0) return clone(self);
    Tensors parts;
    if (prepend.defined()) parts.push_back(prepend);
    parts.push_back(self);
    if (append.defined()) parts.push_back(append);
    Tensor x = parts.size() > 1 ? cat(parts, dim) : self;
    const int64_t d = wrap_dim(dim, x.dim());
    for (int64_t i = 0; i < n && x.sizes()[d] > 0; ++i) {
      const int64_t len = x.sizes()[d] - 1;
      const Tensor after = narrow(x, d, 1, len), before = narrow(x, d, 0, len);
      x = x.dtype() == DType::kBool ? logical_xor(after, before) : after - before;
    }
    return x;
  }
};

// Neighbours' mean times their distance.
Tensor trapezoids(const Tensor& y, const Tensor& dx, int64_t dim) {
  const int64_t n = y.sizes()[dim] - 1;
  return (narrow(y, dim, 1, n) + narrow(y, dim, 0, n)) * dx / 2.0;
}
Tensor spacing(const Tensor& y, const Tensor& x, int64_t dim) {
  Tensor at = x;
  if (x.dim() == 1) {
    Dims shape(static_cast<size_t>(y.dim()), 1);
    shape[dim] = x.sizes()[0];
    at = view(x, shape);
  }
  const int64_t d = at.dim() - (y.dim() - dim);
  return narrow(at, d, 1, at.sizes()[d] - 1) - narrow(at, d, 0, at.sizes()[d] - 1);
}
struct TrapezoidX {
  static constexpr auto schema = "trapezoid.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor";
  static constexpr auto doc = "The integral of y at places x along `dim`, by trapezoids.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& y, const Tensor& x, int64_t dim) {
    const int64_t d = wrap_dim(dim, y.dim());
    return sum(trapezoids(y, spacing(y, x, d), d), {{d}});
  }
};
struct TrapezoidDx {
  static constexpr auto schema = "trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor";
  static constexpr auto doc = "The integral of y at places `dx` apart along `dim`, by trapezoids.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& y, Scalar dx, int64_t dim) {
    const int64_t d = wrap_dim(dim, y.dim());
    return sum(trapezoids(y, Tensor(dx), d), {{d}});
  }
};
struct CumulativeTrapezoidX {
  static constexpr auto schema = "cumulative_trapezoid.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor";
  static constexpr auto doc = "The running integral of y at places x along `dim`.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& y, const Tensor& x, int64_t dim) {
    const int64_t d = wrap_dim(dim, y.dim());
    return cumsum(trapezoids(y, spacing(y, x, d), d), d);
  }
};
struct CumulativeTrapezoidDx {
  static constexpr auto schema = "cumulative_trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor";
  static constexpr auto doc = "The running integral of y at places `dx` apart along `dim`.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& y, Scalar dx, int64_t dim) {
    const int64_t d = wrap_dim(dim, y.dim());
    return cumsum(trapezoids(y, Tensor(dx), d), d);
  }
};

// Weights of `observations` columns: how often each counts.
void check_weights(std::string_view name, const Tensor& w, bool right_type, std::string_view type,
                   int64_t observations) {
  EMBER_CHECK(w.dim() <= 1, "cov(): expected ", name, " to have one or fewer dimensions but got ", name, " with ",
              w.dim(), " dimensions");
  EMBER_CHECK(right_type, "cov(): expected ", name, " to have ", type, " dtype but got ", name, " with ", w.dtype());
  EMBER_CHECK(w.numel() == observations, "cov(): expected ", name, " to have as many elements as there are ",
              "observations, but got ", w.numel(), " != ", observations);
  EMBER_CHECK(w.is_meta() || w.numel() == 0 || ge(min(w), Tensor(0)).item<bool>(), "cov(): ", name,
              " cannot be negative");
}
Tensor covariance(const Tensor& self, int64_t correction, const Tensor& fweights, const Tensor& aweights) {
  EMBER_CHECK(self.dim() <= 2, "cov(): expected input to have two or fewer dimensions but got an input with ",
              self.dim(), " dimensions");
  EMBER_CHECK(self.dtype() != DType::kBool, "cov(): bool dtype is not supported for input");
  Tensor x = self.dim() < 2 ? view(self, {1, -1}) : self;
  const int64_t observations = x.sizes()[1];
  if (fweights.defined()) check_weights("fweights", fweights, is_integral(fweights.dtype()), "integral", observations);
  if (aweights.defined())
    check_weights("aweights", aweights, is_floating(aweights.dtype()), "floating point", observations);
  Tensor w = fweights;
  if (aweights.defined()) w = w.defined() ? w * aweights : aweights;
  const Tensor total = w.defined() ? sum(w) : Tensor(x.sizes()[1]);
  const Tensor average = w.defined() ? sum(x * w, {{1}}) / total : sum(x, {{1}}) / total;
  Tensor norm;
  if (w.defined() && aweights.defined() && correction != 0) norm = total - sum(w * aweights) * correction / total;
  else norm = total - correction;
  norm = maximum(norm, Tensor(0));
  x = x - unsqueeze(average, 1);
  const Tensor c = mm(x, conj(t(w.defined() ? x * w : x)));
  return squeeze(c / norm);
}
struct Cov {
  static constexpr auto schema =
      "cov(Tensor self, *, int correction=1, Tensor? fweights=None, Tensor? aweights=None) -> Tensor";
  static constexpr auto doc = "The covariances of the rows of a matrix, whose columns are observations.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, int64_t correction, const Tensor& fweights, const Tensor& aweights) {
    return covariance(x, correction, fweights, aweights);
  }
};
struct Corrcoef {
  static constexpr auto schema = "corrcoef(Tensor self) -> Tensor";
  static constexpr auto doc = "Pearson's correlations of the rows of a matrix, whose columns are observations.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x) {
    EMBER_CHECK(x.dim() <= 2, "corrcoef(): expected input to have two or fewer dimensions but got an input with ",
                x.dim(), " dimensions");
    const Tensor c = covariance(x, 1, {}, {});
    if (c.dim() == 0) return c / c;
    const Tensor v = diagonal(c), s = sqrt(is_complex(v.dtype()) ? real(v) : v);
    const Tensor r = c / unsqueeze(s, 1) / unsqueeze(s, 0);
    return is_complex(r.dtype()) ? r : maximum(minimum(r, Tensor(1)), Tensor(-1));
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> statistics() {
  return make_family<RealVar, RealStd, Var, VarUnbiased, VarDim, Std, StdUnbiased, StdDim, VarMean, VarMeanUnbiased,
                     VarMeanDim, StdMean, StdMeanUnbiased, StdMeanDim, RealLogSumExp, LogSumExp, NanMean, CountNonzero,
                     Diff, TrapezoidX, TrapezoidDx, CumulativeTrapezoidX, CumulativeTrapezoidDx, Cov, Corrcoef>();
}

}  // namespace ember
