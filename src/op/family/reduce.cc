// Sums, products, extremes, truths and norms over dims. Every kernel takes any set of dims of any layout
// (kernel/cpu/reduce.h) and gives the same bits whatever the layout, the batch and the threads.
#include "op/family/reduce_common.h"

namespace ember {
namespace {

using cpu::DimMask;
using cpu::Finish;
using cpu::Reduction;

DType sum_dtype(const Tensor& x, OptDType dtype) {
  return dtype ? *dtype : category(x.dtype()) < 2 ? DType::kInt64 : x.dtype();
}
void check_float(std::string_view op, const Tensor& x, OptDType dtype) {
  const DType d = dtype ? *dtype : x.dtype();
  EMBER_CHECK(is_floating(d) || is_complex(d), op, "(): could not infer output dtype. ",
              dtype ? "Optional dtype" : "Input dtype", " must be either a floating point or complex dtype. Got: ", d);
}
// Extremes need an element: one at all, or one along each dim that was asked for.
void check_any(std::string_view op, const Tensor& x) {
  EMBER_CHECK(x.numel() != 0, op,
              "(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the "
              "'dim' argument.");
}
void check_nonempty(std::string_view op, const Tensor& x, DimMask mask) {
  if (x.numel() != 0) return;
  for (int64_t d = 0; d < x.dim(); ++d) {
    EMBER_CHECK_INDEX(!(mask >> d & 1) || x.sizes()[d] != 0, op, "(): Expected reduction dim ", d,
                      " to have non-zero size.");
  }
}
void check_real(std::string_view op, const Tensor& x) {
  EMBER_CHECK(!is_complex(x.dtype()), op, "(): does not support complex input, got ", x.dtype());
}

struct Sum {
  static constexpr auto schema =
      "sum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
  static constexpr auto doc = R"(The sum over `dim` (one, several, or all when None).

Integers and bool are summed in int64; f16 and bf16 in float32. The sum is pairwise: its error grows with log n.)";
  static constexpr auto kind = Kind::kReduce;
  static constexpr Reduces reduces{Reduction::kSum};
  static Meta infer(const Tensor& x, OptDims dim, bool keepdim, OptDType dtype) {
    return reduced_meta(x, dims_mask(x, dim), keepdim, sum_dtype(x, dtype));
  }
  static void cpu(Out y, const Tensor& x, OptDims dim, bool, OptDType) {
    cpu::reduce(y, x, dims_mask(x, dim), Reduction::kSum, compute_type(y.dtype()));
  }
  static void vjp(Grads& d, const Tensor& x, OptDims dim, bool keepdim, OptDType) {
    d.set(0, as_dtype_of(spread(d.g(), x, dims_mask(x, dim), keepdim), x));
  }
};

struct Nansum {
  static constexpr auto schema =
      "nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
  static constexpr auto doc = "The sum over `dim` with nan counted as zero.";
  static constexpr auto kind = Kind::kReduce;
  static constexpr Reduces reduces{Reduction::kNanSum};
  static constexpr Saves saves{.inputs = 1};
  static Meta infer(const Tensor& x, OptDims dim, bool keepdim, OptDType dtype) {
    check_real("nansum", x);
    return reduced_meta(x, dims_mask(x, dim), keepdim, sum_dtype(x, dtype));
  }
  static void cpu(Out y, const Tensor& x, OptDims dim, bool, OptDType) {
    const DType type = compute_type(y.dtype());
    cpu::reduce(y, x, dims_mask(x, dim), is_floating(type) ? Reduction::kNanSum : Reduction::kSum, type);
  }
  static void vjp(Grads& d, const Tensor& x, OptDims dim, bool keepdim, OptDType) {
    const Tensor g = as_dtype_of(spread(d.g(), x, dims_mask(x, dim), keepdim), x);
    d.set(0, masked_fill(g, isnan(x), 0.0));
  }
};

struct Mean {
  static constexpr auto schema =
      "mean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
  static constexpr auto doc = "The mean over `dim` (one, several, or all when None).";
  static constexpr auto kind = Kind::kReduce;
  static constexpr Reduces reduces{Reduction::kSum, Finish::kMean};
  static Meta infer(const Tensor& x, OptDims dim, bool keepdim, OptDType dtype) {
    check_float("mean", x, dtype);
    return reduced_meta(x, dims_mask(x, dim), keepdim, dtype.value_or(x.dtype()));
  }
  static void cpu(Out y, const Tensor& x, OptDims dim, bool, OptDType) {
    const DimMask mask = dims_mask(x, dim);
    if (is_complex(y.dtype())) {
      cpu::reduce(y, x, mask, Reduction::kSum, y.dtype(), Finish::kMean);
    } else {
      cpu::reduce(y, x, mask, Reduction::kSum, compute_type(y.dtype()), Finish::kMean);
    }
  }
  static void vjp(Grads& d, const Tensor& x, OptDims dim, bool keepdim, OptDType) {
    const DimMask mask = dims_mask(x, dim);
    d.set(0, as_dtype_of(spread(d.g() / reduced_count(x, mask), x, mask, keepdim), x));
  }
};

struct Prod {
  static constexpr auto schema =
      "prod(Tensor self, int? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
  static constexpr auto doc = "The product over `dim`, or of all elements.";
  static constexpr auto kind = Kind::kReduce;
  static constexpr Reduces reduces{Reduction::kProd};
  static constexpr Saves saves{.inputs = 1, .outputs = 1};
  static Meta infer(const Tensor& x, OptInt dim, bool keepdim, OptDType dtype) {
    return reduced_meta(x, dim_mask(x, dim), keepdim, sum_dtype(x, dtype));
  }
  static void cpu(Out y, const Tensor& x, OptInt dim, bool, OptDType) {
    cpu::reduce(y, x, dim_mask(x, dim), Reduction::kProd, compute_type(y.dtype()));
  }
  static void vjp(Grads& d, const Tensor& x, OptInt dim, bool keepdim, OptDType dtype) {
    const DimMask mask = dim_mask(x, dim);
    const Tensor g = spread(d.g(), x, mask, keepdim), y = spread(d.y(), x, mask, keepdim);
    if (x.is_meta() || !any(eq(x, 0)).item<bool>()) return d.set(0, as_dtype_of(g * conj(y / x), x));
    // Where there are zeros: the product of all before times the product of all after.
    const Tensor flat = dim ? x : reshape(x, {-1});
    const int64_t along = dim ? wrap_dim(*dim, x.dim()) : 0, n = flat.dim() ? flat.sizes()[along] : 1;
    if (flat.dim() == 0) return d.set(0, as_dtype_of(g, x));
    const Tensor one = ones_like(narrow(flat, along, 0, 1));
    const Tensor before = cumprod(cat({{one, narrow(flat, along, 0, n - 1)}}, along), along);
    const Tensor back = flip(cat({{narrow(flat, along, 1, n - 1), one}}, along), {along});
    const Tensor others = before * flip(cumprod(back, along), {along});
    d.set(0, as_dtype_of(g * conj(reshape(others, x.sizes())), x));
  }
};

// Shares a gradient equally among the elements that are the extreme.
Tensor share_extreme(const Tensor& g, const Tensor& x, const Tensor& y, DimMask mask, bool keepdim) {
  const Tensor hit = to_dtype(eq(x, keep_dims(y, x, mask, keepdim)), g.dtype());
  Dims dims;
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (mask >> d & 1) dims.push_back(d);
  }
  const Tensor count = x.dim() ? sum(hit, DimsView(dims), true) : hit;
  return hit * (keep_dims(g, x, mask, keepdim) / count);
}

template <bool kLargest>
struct Extreme {
  static constexpr auto kind = Kind::kReduce;
  static constexpr Reduces reduces{kLargest ? Reduction::kMax : Reduction::kMin};
  static constexpr Saves saves{.inputs = 1, .outputs = 1};
  static Meta infer(const Tensor& x, DimsView dim, bool keepdim) {
    const DimMask mask = dims_mask(x, dim);
    check_real(kLargest ? "amax" : "amin", x);
    if (dim.empty()) check_any(kLargest ? "amax" : "amin", x);
    check_nonempty(kLargest ? "amax" : "amin", x, mask);
    return reduced_meta(x, mask, keepdim, x.dtype());
  }
  static void cpu(Out y, const Tensor& x, DimsView dim, bool) {
    const DType type = x.dtype() == DType::kUInt64 ? x.dtype() : compute_type(x.dtype());
    cpu::reduce(y, x, dims_mask(x, dim), kLargest ? Reduction::kMax : Reduction::kMin, type);
  }
  static void vjp(Grads& d, const Tensor& x, DimsView dim, bool keepdim) {
    d.set(0, share_extreme(d.g(), x, d.y(), dims_mask(x, dim), keepdim));
  }
};
struct Amax : Extreme<true> {
  static constexpr auto schema = "amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor";
  static constexpr auto doc = "The largest element over `dim` (one, several or all); equals share the gradient.";
};
struct Amin : Extreme<false> {
  static constexpr auto schema = "amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor";
  static constexpr auto doc = "The smallest element over `dim` (one, several or all); equals share the gradient.";
};

template <bool kLargest>
struct ExtremeOfAll {
  static constexpr auto kind = Kind::kReduce;
  static constexpr Reduces reduces{kLargest ? Reduction::kMax : Reduction::kMin};
  static constexpr Saves saves{.inputs = 1, .outputs = 1};
  static Meta infer(const Tensor& x) {
    check_real(kLargest ? "max" : "min", x);
    check_any(kLargest ? "max" : "min", x);
    return Meta({}, x);
  }
  static void cpu(Out y, const Tensor& x) { Extreme<kLargest>::cpu(y, x, {}, false); }
  static void vjp(Grads& d, const Tensor& x) { d.set(0, share_extreme(d.g(), x, d.y(), dims_mask(x, {}), false)); }
};
struct Max : ExtremeOfAll<true> {
  static constexpr auto schema = "max(Tensor self) -> Tensor";
  static constexpr auto doc = "The largest of all elements; nan if there is one.";
};
struct Min : ExtremeOfAll<false> {
  static constexpr auto schema = "min(Tensor self) -> Tensor";
  static constexpr auto doc = "The smallest of all elements; nan if there is one.";
};

template <bool kLargest>
struct ExtremeDim {
  static constexpr auto kind = Kind::kReduce;
  static std::array<Meta, 2> infer(const Tensor& x, int64_t dim, bool keepdim) {
    check_real(kLargest ? "max" : "min", x);
    const DimMask mask = dim_mask(x, dim);
    check_nonempty(kLargest ? "max" : "min", x, mask);
    return {reduced_meta(x, mask, keepdim, x.dtype()), reduced_meta(x, mask, keepdim, DType::kInt64)};
  }
  static void cpu(Out values, Out indices, const Tensor& x, int64_t dim, bool) {
    cpu::extreme(values, indices, x, dim_mask(x, dim), kLargest);
  }
  static constexpr Saves saves{.outputs = 2};
  static void vjp(Grads& d, const Tensor& x, int64_t dim, bool keepdim) {
    if (x.dim() == 0) return d.set(0, d.g());
    const DimMask mask = dim_mask(x, dim);
    const Tensor at = keep_dims(d.y(1), x, mask, keepdim), g = keep_dims(d.g(), x, mask, keepdim);
    d.set(0, scatter(zeros(x.sizes(), g.dtype(), g.device()), dim, at, g));
  }
};
struct MaxDim : ExtremeDim<true> {
  static constexpr auto schema = "max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)";
  static constexpr auto doc = "The largest element along `dim` and its index, the first of equals.";
};
struct MinDim : ExtremeDim<false> {
  static constexpr auto schema = "min.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)";
  static constexpr auto doc = "The smallest element along `dim` and its index, the first of equals.";
};
struct MaxOther {
  static constexpr auto schema = "max.other(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "maximum(self, other)";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, const Tensor& y) { return maximum(x, y); }
};
struct MinOther {
  static constexpr auto schema = "min.other(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "minimum(self, other)";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, const Tensor& y) { return minimum(x, y); }
};
struct Aminmax {
  static constexpr auto schema =
      "aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)";
  static constexpr auto doc = "The smallest and the largest element.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor2 call(const Tensor& x, OptInt dim, bool keepdim) {
    const DimsView dims = dim ? DimsView(&*dim, 1) : DimsView();
    return {amin(x, dims, keepdim), amax(x, dims, keepdim)};
  }
};

template <bool kLargest>
struct ArgExtreme {
  static constexpr auto kind = Kind::kReduce;
  static Meta infer(const Tensor& x, OptInt dim, bool keepdim) {
    constexpr auto name = kLargest ? "argmax" : "argmin";
    const DimMask mask = dim_mask(x, dim);
    check_real(name, x);
    EMBER_CHECK_INDEX(dim || x.numel() != 0, name,
                      "(): Expected reduction dim to be specified for input.numel() == 0.");
    check_nonempty(name, x, mask);
    return reduced_meta(x, mask, keepdim, DType::kInt64);
  }
  static void cpu(Out y, const Tensor& x, OptInt dim, bool) { cpu::extreme({}, y, x, dim_mask(x, dim), kLargest); }
};
struct Argmax : ArgExtreme<true> {
  static constexpr auto schema = "argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor";
  static constexpr auto doc = "The index of the largest element along `dim`, or among all in logical order.";
};
struct Argmin : ArgExtreme<false> {
  static constexpr auto schema = "argmin(Tensor self, int? dim=None, bool keepdim=False) -> Tensor";
  static constexpr auto doc = "The index of the smallest element along `dim`, or among all in logical order.";
};

template <bool kAll>
struct Truth {
  static constexpr auto kind = Kind::kReduce;
  static constexpr Reduces reduces{kAll ? Reduction::kMin : Reduction::kMax};
  static Meta infer(const Tensor& x, OptDims dim, bool keepdim) {
    return reduced_meta(x, dim && dim->empty() ? 0 : dims_mask(x, dim), keepdim,
                        x.dtype() == DType::kUInt8 ? DType::kUInt8 : DType::kBool);
  }
  static void cpu(Out y, const Tensor& x, OptDims dim, bool) {
    cpu::any_all(y, x, dim && dim->empty() ? 0 : dims_mask(x, dim), kAll);
  }
};
struct All : Truth<true> {
  static constexpr auto schema = "all(Tensor self, int[1]? dim=None, bool keepdim=False) -> Tensor";
  static constexpr auto doc = "Are all elements true (not zero)? True for none at all.";
};
struct Any : Truth<false> {
  static constexpr auto schema = "any(Tensor self, int[1]? dim=None, bool keepdim=False) -> Tensor";
  static constexpr auto doc = "Is any element true (not zero)?";
};

struct HashTensor {
  static constexpr auto schema = "hash_tensor(Tensor self, int[1] dim=[], *, bool keepdim=False, int mode=0) -> Tensor";
  static constexpr auto doc = R"(A hash of the elements over `dim` (one, several or all), as uint64.

Mode 0, the only one, is the exclusive or of the elements' bits, each as a float64 or an int64.)";
  static constexpr auto kind = Kind::kReduce;
  static Meta infer(const Tensor& x, DimsView dim, bool keepdim, int64_t mode) {
    EMBER_CHECK(mode == 0, "hash_tensor: Unknown hash_tensor mode: ", mode, "; there is 0");
    EMBER_CHECK_NOT_IMPLEMENTED(!is_complex(x.dtype()), "hash_tensor: not implemented for ", x.dtype());
    const DimMask mask = dims_mask(x, dim);
    if (dim.empty()) check_any("hash_tensor", x);
    check_nonempty("hash_tensor", x, mask);
    return reduced_meta(x, mask, keepdim, DType::kUInt64);
  }
  static void cpu(Out y, const Tensor& x, DimsView dim, bool, int64_t) {
    const Without kernels_only(~Keys{0});
    const Tensor bits = is_floating(x.dtype()) ? view(x.to(DType::kFloat64), DType::kInt64) : x;
    cpu::reduce(y, bits, dims_mask(x, dim), Reduction::kXor, DType::kInt64);
  }
};

struct VectorNorm {
  static constexpr auto schema =
      "_vector_norm(Tensor self, float ord, int[1]? dim, bool keepdim, ScalarType dtype) -> Tensor";
  static constexpr auto doc = "linalg_vector_norm of real numbers.";
  static constexpr auto kind = Kind::kReduce;
  static constexpr Reduces reduces{Reduction::kPowSum, Finish::kRoot};
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves{.inputs = 1, .outputs = 1};
  static Meta infer(const Tensor& x, double p, OptDims dim, bool keepdim, DType dtype) {
    const DimMask mask = dims_mask(x, dim);
    EMBER_CHECK(is_floating(dtype) && !is_complex(x.dtype()),
                "_vector_norm: expected real numbers and a floating point "
                "dtype, but got ",
                x.dtype(), " and ", dtype);
    EMBER_CHECK(x.numel() != 0 || (p >= 0 && p != INFINITY) || reduced_count(x, mask) != 0,
                "linalg.vector_norm: The operation of order ", p, " on a tensor that has no elements is undefined");
    return reduced_meta(x, mask, keepdim, dtype);
  }
  static void cpu(Out y, const Tensor& x, double p, OptDims dim, bool, DType) {
    const DimMask mask = dims_mask(x, dim);
    const DType type = compute_type(y.dtype());
    if (p == 2) cpu::reduce(y, x, mask, Reduction::kSquareSum, type, Finish::kSqrt);
    else if (p == 1) cpu::reduce(y, x, mask, Reduction::kAbsSum, type);
    else if (p == INFINITY) cpu::reduce(y, x, mask, Reduction::kAbsMax, type);
    else if (p == -INFINITY) cpu::reduce(y, x, mask, Reduction::kAbsMin, type);
    else cpu::reduce(y, x, mask, Reduction::kPowSum, type, Finish::kRoot, p);
  }
  static void vjp(Grads& d, const Tensor& x, double p, OptDims dim, bool keepdim, DType) {
    const DimMask mask = dims_mask(x, dim);
    const Tensor g = as_dtype_of(keep_dims(d.g(), x, mask, keepdim), x);
    const Tensor y = as_dtype_of(keep_dims(d.y(), x, mask, keepdim), x);
    if (p == 1) return d.set(0, g * sgn(x));
    if (p == 2) return d.set(0, masked_fill(x * (g / y), eq(y, 0), 0));
    const Tensor size = abs(x);
    if (p == INFINITY || p == -INFINITY) return d.set(0, sgn(x) * share_extreme(g, size, y, mask, true));
    if (p < 1) {
      const Tensor slope = masked_fill(sgn(x) * pow(size, p - 1), eq(x, 0), 0);
      return d.set(0, slope * masked_fill(g * pow(y, 1 - p), eq(y, 0), 0));
    }
    const Tensor slope = p < 2 ? sgn(x) * pow(size, p - 1) : x * pow(size, p - 2);
    d.set(0, slope * masked_fill(g / pow(y, p - 1), eq(y, 0), 0));
  }
};

struct LinalgVectorNorm {
  static constexpr auto schema =
      "linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) "
      "-> Tensor";
  static constexpr auto doc =
      "The norm of order `ord` of the elements over `dim`: sum(|x|^ord)^(1/ord); inf and -inf are extremes, 0 counts.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kOut;
  static Tensor call(const Tensor& x, Scalar ord, OptDims dim, bool keepdim, OptDType dtype) {
    EMBER_CHECK(is_floating(x.dtype()) || is_complex(x.dtype()),
                "linalg.vector_norm: Expected a floating point or complex tensor as input. Got ", x.dtype());
    const double p = ord.to<double>();
    const DType type = real_of(dtype.value_or(x.dtype()));
    if (p == 0) return to_dtype(sum(ne(x, 0), dim, keepdim, {}), type);
    static const Op* const op = find_op("_vector_norm");
    return call_op(op, is_complex(x.dtype()) ? abs(x) : x, p, dim, keepdim, type);
  }
};
struct Norm {
  static constexpr auto schema =
      "norm(Tensor self, Scalar? p=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
  static constexpr auto doc = "The p-norm of the elements over `dim`; see linalg_vector_norm.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, std::optional<Scalar> p, OptDims dim, bool keepdim, OptDType dtype) {
    return LinalgVectorNorm::call(x, p.value_or(Scalar(2)), dim, keepdim, dtype);
  }
};
struct NormFro {
  static constexpr auto schema =
      "norm.fro(Tensor self, str p, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
  static constexpr auto doc = "The Frobenius norm, which is the 2-norm of all elements.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, std::string_view p, OptDims dim, bool keepdim, OptDType dtype) {
    EMBER_CHECK_VALUE(p == "fro", "norm: only 'fro' and numbers name a norm here, got '", p, "'");
    return LinalgVectorNorm::call(x, 2, dim, keepdim, dtype);
  }
};
struct Dist {
  static constexpr auto schema = "dist(Tensor self, Tensor other, Scalar p=2) -> Tensor";
  static constexpr auto doc = "The p-norm of self - other.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, const Tensor& other, Scalar p) { return norm(x - other, p); }
};

}  // namespace

std::vector<std::unique_ptr<Op>> reductions() {
  return make_family<Sum, Nansum, Mean, Prod, Amax, Amin, Max, MaxOther, MaxDim, Min, MinOther, MinDim, Aminmax, Argmax,
                     Argmin, All, Any, HashTensor, VectorNorm, LinalgVectorNorm, Norm, NormFro, Dist>();
}

}  // namespace ember
