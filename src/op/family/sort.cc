// Sorting, selection, and what stands on sorted order: medians, quantiles, distinct elements, searching, counting.
#include "kernel/cpu/sort.h"

#include "kernel/cpu/elementwise.h"
#include "op/family/reduce_common.h"

namespace ember {
namespace {

void check_ordered(std::string_view op, const Tensor& x) {
  EMBER_CHECK(!is_complex(x.dtype()), op, "(): complex numbers have no order, got ", x.dtype());
}
// Gradients of picked elements go back to where these were.
void scatter_back(Grads& d, const Tensor& x, const Tensor& g, const Tensor& at, int64_t dim) {
  d.set(0, x.dim() ? scatter(zeros(x.sizes(), g.dtype(), g.device()), dim, at, g) : g);
}

// ---- sort, topk ----------------------------------------------------------------------------------------------------

struct Sort {
  static constexpr auto schema =
      "sort(Tensor self, int dim=-1, bool descending=False, bool stable=False) -> (Tensor values, Tensor indices)";
  static constexpr auto doc =
      "self sorted along `dim`, and where each element came from. Always stable; nan is the largest.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr Saves saves{.outputs = 2};
  static std::array<Meta, 2> infer(const Tensor& x, int64_t dim, bool, bool) {
    check_ordered("sort", x);
    wrap_dim(dim, x.dim());
    const Dims strides = dense_strides_like(x.sizes(), x.strides());
    return {Meta(x.sizes(), strides, x.dtype(), x.device()), Meta(x.sizes(), strides, DType::kInt64, x.device())};
  }
  static void cpu(Out values, Out indices, const Tensor& x, int64_t dim, bool descending, bool) {
    cpu::sort(values, indices, x, wrap_dim(dim, x.dim()), descending);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, bool, bool) { scatter_back(d, x, d.g(), d.y(1), dim); }
};
struct SortStable {
  static constexpr auto schema =
      "sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)";
  static constexpr auto doc = "sort; it is stable either way.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor2 call(const Tensor& x, std::optional<bool>, int64_t dim, bool descending) {
    return sort(x, dim, descending);
  }
};
struct Argsort {
  static constexpr auto schema = "argsort(Tensor self, int dim=-1, bool descending=False, bool stable=False) -> Tensor";
  static constexpr auto doc = "The indices that sort self along `dim`.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Meta infer(const Tensor& x, int64_t dim, bool, bool) { return Sort::infer(x, dim, false, true)[1]; }
  static void cpu(Out indices, const Tensor& x, int64_t dim, bool descending, bool) {
    cpu::sort({}, indices, x, wrap_dim(dim, x.dim()), descending);
  }
};
struct Msort {
  static constexpr auto schema = "msort(Tensor self) -> Tensor";
  static constexpr auto doc = "self sorted along its first dim.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x) { return std::get<0>(sort(x, 0)); }
};

struct Topk {
  static constexpr auto schema =
      "topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)";
  static constexpr auto doc =
      "The k largest (or smallest) elements along `dim` and where they are; of equals, the first ones.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr Saves saves{.outputs = 2};
  static std::array<Meta, 2> infer(const Tensor& x, int64_t k, int64_t dim, bool, bool) {
    check_ordered("topk", x);
    const int64_t d = wrap_dim(dim, x.dim());
    EMBER_CHECK(k >= 0 && k <= (x.dim() ? x.sizes()[d] : 1), "topk: selected index k out of range: ", k, " of ",
                x.dim() ? x.sizes()[d] : 1);
    Dims sizes(x.sizes());
    if (x.dim()) sizes[d] = k;
    return {Meta(sizes, x), Meta(sizes, DType::kInt64, x.device())};
  }
  static void cpu(Out values, Out indices, const Tensor& x, int64_t k, int64_t dim, bool largest, bool sorted) {
    cpu::topk(values, indices, x, k, wrap_dim(dim, x.dim()), largest, sorted);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t, int64_t dim, bool, bool) {
    scatter_back(d, x, d.g(), d.y(1), dim);
  }
};

// ---- one element a row ---------------------------------------------------------------------------------------------

std::array<Meta, 2> selected(std::string_view op, const Tensor& x, int64_t dim, bool keepdim) {
  check_ordered(op, x);
  const int64_t d = wrap_dim(dim, x.dim());
  EMBER_CHECK_INDEX(x.dim() == 0 || x.sizes()[d] != 0, op, "(): Expected reduction dim ", d, " to have non-zero size.");
  const cpu::DimMask mask = dim_mask(x, dim);
  return {reduced_meta(x, mask, keepdim, x.dtype()), reduced_meta(x, mask, keepdim, DType::kInt64)};
}
void selected_vjp(Grads& d, const Tensor& x, int64_t dim, bool keepdim) {
  const cpu::DimMask mask = dim_mask(x, dim);
  scatter_back(d, x, keep_dims(d.g(), x, mask, keepdim), keep_dims(d.y(1), x, mask, keepdim), dim);
}

struct Kthvalue {
  static constexpr auto schema =
      "kthvalue(Tensor self, SymInt k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)";
  static constexpr auto doc = "The k-th smallest element along `dim`, from 1, and where it is.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr Saves saves{.outputs = 2};
  static std::array<Meta, 2> infer(const Tensor& x, int64_t k, int64_t dim, bool keepdim) {
    const int64_t d = wrap_dim(dim, x.dim()), n = x.dim() ? x.sizes()[d] : 1;
    EMBER_CHECK(k >= 1 && k <= n, "kthvalue(): selected number k out of range for dimension ", d);
    return selected("kthvalue", x, dim, keepdim);
  }
  static void cpu(Out values, Out indices, const Tensor& x, int64_t k, int64_t dim, bool) {
    cpu::select_in_rows(values, indices, x, wrap_dim(dim, x.dim()), cpu::Select::kKth, k);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t, int64_t dim, bool keepdim) { selected_vjp(d, x, dim, keepdim); }
};

template <cpu::Select kWhat>
struct SelectDim {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr Saves saves{.outputs = 2};
  static std::array<Meta, 2> infer(const Tensor& x, int64_t dim, bool keepdim) {
    return selected(kWhat == cpu::Select::kMode ? "mode" : "median", x, dim, keepdim);
  }
  static void cpu(Out values, Out indices, const Tensor& x, int64_t dim, bool) {
    cpu::select_in_rows(values, indices, x, wrap_dim(dim, x.dim()), kWhat, 0);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, bool keepdim) { selected_vjp(d, x, dim, keepdim); }
};
struct MedianDim : SelectDim<cpu::Select::kMedian> {
  static constexpr auto schema =
      "median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)";
  static constexpr auto doc = "The lower median along `dim`, nan if there is one, and where it is.";
};
struct NanmedianDim : SelectDim<cpu::Select::kNanMedian> {
  static constexpr auto schema =
      "nanmedian.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)";
  static constexpr auto doc = "The lower median along `dim` of what is not nan, and where it is.";
};
struct Mode : SelectDim<cpu::Select::kMode> {
  static constexpr auto schema = "mode(Tensor self, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)";
  static constexpr auto doc =
      "The most frequent element along `dim`, the smallest of equally frequent ones, and its last place.";
};
Tensor median_of_all(const Tensor& x, std::string_view dim_op) {
  if (x.numel() == 0) return full({}, NAN, is_floating(x.dtype()) ? x.dtype() : default_dtype());
  const Results r = call_op(find_op(dim_op), reshape(x, {-1}), int64_t{0}, false);
  return r.values[0].tensor();
}
struct Median {
  static constexpr auto schema = "median(Tensor self) -> Tensor";
  static constexpr auto doc = "The lower median of all elements, nan if there is one.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x) { return median_of_all(x, "median.dim"); }
};
struct Nanmedian {
  static constexpr auto schema = "nanmedian(Tensor self) -> Tensor";
  static constexpr auto doc = "The lower median of all elements that are not nan.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x) { return median_of_all(x, "nanmedian.dim"); }
};

// ---- quantiles -----------------------------------------------------------------------------------------------------

Tensor quantiles(std::string_view op, const Tensor& self, const Tensor& q, OptInt dim, bool keepdim,
                 std::string_view way, bool skip_nan) {
  EMBER_CHECK(self.numel() > 0, op, "() input tensor must be non-empty");
  EMBER_CHECK(q.dim() <= 1, op, "() q must be a scalar or 1D tensor");
  EMBER_CHECK(self.dtype() == DType::kFloat32 || self.dtype() == DType::kFloat64, op,
              "() input tensor must be either float or double dtype, got ", self.dtype());
  EMBER_CHECK(q.dtype() == self.dtype(), op, "() q tensor must be same dtype as the input tensor");
  EMBER_CHECK(way == "linear" || way == "lower" || way == "higher" || way == "midpoint" || way == "nearest", op,
              "() interpolation must be one of linear, lower, higher, midpoint or nearest, but got ", way);
  const bool inside = q.is_meta() || q.numel() == 0 || all(bitwise_and(ge(q, 0), le(q, 1))).item<bool>();
  EMBER_CHECK(inside, op, "() q values must be in the range [0, 1]");

  // Sorted rows, with the reduced dim last.
  const int64_t d = dim ? wrap_dim(*dim, self.dim()) : 0;
  Tensor rows = reshape(self, {-1});
  if (dim && self.dim()) rows = transpose(unsqueeze(self, -1), d, -1);  // [.., 1 at d, .., n]
  rows = std::get<0>(sort(rows, -1));
  const int64_t n = rows.sizes().back();
  const Tensor nan = isnan(rows);
  Tensor last = full({}, static_cast<double>(n - 1), self.dtype(), self.device());
  if (skip_nan) last = maximum(to_dtype(sum(logical_not(nan), {{-1}}, true), self.dtype()) - 1, Tensor(0));
  // Ranks [.., number of quantiles]; with a nan in the row, the last place, which holds it.
  Dims broad(static_cast<size_t>(rows.dim()), 1);
  broad.back() = q.numel();
  Tensor ranks = reshape(q, broad) * last;
  if (!skip_nan) ranks = where(any(nan, {{-1}}, true), last, ranks);
  Dims sizes(rows.sizes());
  sizes.back() = q.numel();
  ranks = expand(ranks, sizes);
  if (way == "lower") ranks = floor(ranks);
  if (way == "higher") ranks = ceil(ranks);
  if (way == "nearest") ranks = round(ranks);
  const Tensor below = to_dtype(ranks, DType::kInt64);
  Tensor y = gather(rows, -1, below);
  if (way == "linear" || way == "midpoint") {
    const Tensor above = to_dtype(ceil(ranks), DType::kInt64);
    const Tensor weight = way == "midpoint" ? full_like(ranks, 0.5) : ranks - to_dtype(below, ranks.dtype());
    y = lerp(y, gather(rows, -1, above), weight);
  }
  // Quantiles come first, the reduced dim goes or stays as 1.
  Dims out;
  if (q.dim()) out.push_back(q.numel());
  if (!dim && keepdim) out.append(DimsView(Dims(static_cast<size_t>(self.dim()), 1)));
  for (int64_t k = 0; dim && k < self.dim(); ++k) {
    if (k != d) out.push_back(self.sizes()[k]);
    else if (keepdim) out.push_back(1);
  }
  Dims order{y.dim() - 1};
  for (int64_t k = 0; k + 1 < y.dim(); ++k) order.push_back(k);
  return reshape(permute(y, order), out);
}

#define EMBER_QUANTILE(Name, op, skip) \
  struct Name { \
    static constexpr auto schema = \
        op "(Tensor self, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation=\"linear\") -> Tensor"; \
    static constexpr auto doc = "The quantiles q of self along `dim`" skip; \
    static constexpr auto kind = Kind::kComposite; \
    static Tensor call(const Tensor& x, const Tensor& q, OptInt dim, bool keepdim, std::string_view way) { \
      return quantiles(op, x, q, dim, keepdim, way, sizeof(skip) > 2); \
    } \
  }; \
  struct Name##Number { \
    static constexpr auto schema = op \
        ".scalar" \
        "(Tensor self, float q, int? dim=None, bool keepdim=False, *, str interpolation=\"linear\") -> Tensor"; \
    static constexpr auto doc = "The quantile q of self along `dim`" skip; \
    static constexpr auto kind = Kind::kComposite; \
    static Tensor call(const Tensor& x, double q, OptInt dim, bool keepdim, std::string_view way) { \
      EMBER_CHECK(q >= 0 && q <= 1, op, "() q must be in the range [0, 1] but got ", q); \
      return quantiles(op, x, full({}, q, x.dtype(), x.device()), dim, keepdim, way, sizeof(skip) > 2); \
    } \
  };
EMBER_QUANTILE(Quantile, "quantile", ".")
EMBER_QUANTILE(Nanquantile, "nanquantile", ", with nan left out.")
#undef EMBER_QUANTILE

// ---- distinct elements ---------------------------------------------------------------------------------------------

void check_known(std::string_view op, const Tensor& x) {
  EMBER_CHECK_NOT_IMPLEMENTED(!x.is_meta(), op, ": the shape of its result depends on data, which meta tensors lack");
}
Tensor or_empty(Tensor t) { return t.defined() ? t : empty_raw({0}, DType::kInt64); }

struct Unique2 {
  static constexpr auto schema =
      "_unique2(Tensor self, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, "
      "Tensor, Tensor)";
  static constexpr auto doc =
      "The distinct elements in ascending order, where each element went, and how often each occurs.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Tensor3 cpu(const Tensor& x, bool, bool want_inverse, bool want_counts) {
    check_known("unique", x);
    cpu::Unique u = cpu::unique(x, want_inverse, want_counts);
    return {u.values, or_empty(u.inverse), or_empty(u.counts)};
  }
};
template <bool kConsecutive>
Tensor3 distinct_slices(const Tensor& x, int64_t dim) {
  check_known("unique", x);
  EMBER_CHECK_INDEX(x.dim() > 0,
                    "unique: expected a tensor with at least one dimension when dim is given, got a 0-d one");
  const int64_t d = wrap_dim(dim, x.dim());
  cpu::UniqueSlices u = cpu::unique_slices(x, d, kConsecutive);
  const Without kernels_only(~Keys{0});
  return {movedim(index_select(movedim(x, {d}, {0}), 0, u.first), {0}, {d}), u.inverse, u.counts};  // slices lie whole
}
struct UniqueDim {
  static constexpr auto schema =
      "unique_dim(Tensor self, int dim, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> "
      "(Tensor, Tensor, Tensor)";
  static constexpr auto doc =
      "The distinct slices along `dim` in ascending order, where each went, and how often each occurs.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Tensor3 cpu(const Tensor& x, int64_t dim, bool, bool, bool) { return distinct_slices<false>(x, dim); }
};
struct UniqueConsecutive {
  static constexpr auto schema =
      "_unique_consecutive(Tensor self, bool return_inverse=False, bool return_counts=False, int? dim=None) -> "
      "(Tensor, Tensor, Tensor)";
  static constexpr auto doc =
      "Runs of equal elements (or slices along `dim`) as one each, with their places and lengths.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Tensor3 cpu(const Tensor& x, bool, bool, OptInt dim) {
    if (dim) return distinct_slices<true>(x, *dim);
    const Without kernels_only(~Keys{0});
    auto [values, inverse, counts] = distinct_slices<true>(reshape(x, {-1}), 0);
    return {values, reshape(inverse, x.sizes()), counts};
  }
};

// ---- searching and counting ----------------------------------------------------------------------------------------

struct Searchsorted {
  static constexpr auto schema =
      "searchsorted(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, str? side=None, "
      "Tensor? sorter=None) -> Tensor";
  static constexpr auto doc =
      "Where each element of self would go into the sorted rows: before equals, or after them with right.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kOut;
  static Meta infer(const Tensor& sorted, const Tensor& x, bool out_int32, bool right,
                    std::optional<std::string_view> side, const Tensor& sorter) {
    EMBER_CHECK(!side || *side == "left" || *side == "right",
                "torch.searchsorted(): side can only be 'left' or 'right' but got ", side.value_or(""));
    EMBER_CHECK(
        !side || !right || *side == "right",
        "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True");
    bool same = sorted.dim() <= 1 || sorted.dim() == x.dim();
    for (int64_t d = 0; same && sorted.dim() > 1 && d + 1 < x.dim(); ++d) same = sorted.sizes()[d] == x.sizes()[d];
    EMBER_CHECK(same,
                "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of "
                "boundaries tensor and input value tensor must match, but we got boundaries tensor ",
                sorted.sizes(), " and input value tensor ", x.sizes());
    EMBER_CHECK(!sorter.defined() || sorter.sizes() == sorted.sizes(),
                "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor ",
                sorted.sizes(), " and got sorter tensor ", sorter.defined() ? sorter.sizes() : Dims());
    return Meta(x.sizes(), out_int32 ? DType::kInt32 : DType::kInt64, x.device());
  }
  static void cpu(Out y, const Tensor& sorted, const Tensor& x, bool, bool right, std::optional<std::string_view> side,
                  const Tensor& sorter) {
    const DType type = promote_types(sorted.dtype(), x.dtype());
    auto dense = [](const Tensor& t, DType d) {
      if (t.is_contiguous() && t.dtype() == d) return t;
      const Tensor copy = empty_raw(t.sizes(), d);
      cpu::copy(copy, t);
      return copy;
    };
    const Tensor order = sorter.defined() ? dense(sorter, DType::kInt64) : Tensor();
    const Tensor to = y.is_contiguous() ? static_cast<const Tensor&>(y) : empty_raw(y.sizes(), y.dtype());
    cpu::search_sorted(to, dense(sorted, type), dense(x, type), right || (side && *side == "right"), order);
    if (!to.is(y)) cpu::copy(y, to);
  }
};
struct SearchsortedScalar {
  static constexpr auto schema =
      "searchsorted.Scalar(Tensor sorted_sequence, Scalar self, *, bool out_int32=False, bool right=False, "
      "str? side=None, Tensor? sorter=None) -> Tensor";
  static constexpr auto doc = "Where a number would go into a sorted row.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& sorted, Scalar x, bool out_int32, bool right, std::optional<std::string_view> side,
                     const Tensor& sorter) {
    static const Op* const op = find_op("searchsorted");
    return call_op(op, sorted, full({}, x, sorted.dtype()), out_int32, right, side, sorter);
  }
};
struct Bucketize {
  static constexpr auto schema =
      "bucketize(Tensor self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor";
  static constexpr auto doc = "The bucket, between sorted boundaries, of each element.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kOut;
  static Tensor call(const Tensor& x, const Tensor& boundaries, bool out_int32, bool right) {
    static const Op* const op = find_op("searchsorted");
    EMBER_CHECK(boundaries.dim() == 1, "bucketize(): boundaries tensor must be 1 dimension, but got dim(",
                boundaries.dim(), ")");
    return call_op(op, boundaries, x, out_int32, right, std::optional<std::string_view>(), Tensor());
  }
};
struct BucketizeScalar {
  static constexpr auto schema =
      "bucketize.Scalar(Scalar self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor";
  static constexpr auto doc = "The bucket, between sorted boundaries, of a number.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(Scalar x, const Tensor& boundaries, bool out_int32, bool right) {
    return Bucketize::call(full({}, x, boundaries.dtype()), boundaries, out_int32, right);
  }
};

struct Isin {
  static constexpr auto schema =
      "isin(Tensor elements, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor";
  static constexpr auto doc = "Is each of `elements` among `test_elements`?";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kOut;
  static Tensor call(const Tensor& x, const Tensor& test, bool, bool invert) {
    const int64_t n = test.numel();
    if (n == 0) return full(x.sizes(), invert, DType::kBool);
    const DType type = promote_types(x.dtype(), test.dtype());
    const Tensor row = std::get<0>(sort(reshape(to_dtype(test, type), {-1}))), value = to_dtype(x, type);
    static const Op* const op = find_op("searchsorted");
    const Tensor at = call_op(op, row, value, false, false, std::optional<std::string_view>(), Tensor());
    const Tensor near = take(row, minimum(at, Tensor(n - 1)));
    return invert ? ne(near, value) : eq(near, value);
  }
};
struct IsinScalar {
  static constexpr auto schema =
      "isin.Tensor_Scalar(Tensor elements, Scalar test_element, *, bool assume_unique=False, bool invert=False) -> "
      "Tensor";
  static constexpr auto doc = "Is each of `elements` this number?";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& x, Scalar test, bool, bool invert) { return invert ? ne(x, test) : eq(x, test); }
};

struct Bincount {
  static constexpr auto schema = "bincount(Tensor self, Tensor? weights=None, SymInt minlength=0) -> Tensor";
  static constexpr auto doc = "How often each of 0, 1, 2, ... occurs, or the sum of its weights.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Tensor cpu(const Tensor& x, const Tensor& weights, int64_t minlength) {
    check_known("bincount", x);
    EMBER_CHECK(minlength >= 0, "minlength should be >= 0");
    EMBER_CHECK(x.dim() == 1 && category(x.dtype()) <= 1, "bincount only supports 1-d non-negative integral inputs.");
    EMBER_CHECK(!weights.defined() || weights.sizes() == x.sizes(),
                "weights should be 1-d and have the same length as input");
    const Tensor at = empty_raw(x.sizes(), DType::kInt64);
    cpu::copy(at, x);
    const int64_t n = x.numel(), *p = n ? at.data<int64_t>() : nullptr;
    int64_t length = minlength;
    for (int64_t i = 0; i < n; ++i) {
      EMBER_CHECK(p[i] >= 0, "bincount only supports 1-d non-negative integral inputs.");
      length = std::max(length, p[i] + 1);
    }
    const bool single = weights.defined() && weights.dtype() == DType::kFloat32;
    const DType type = !weights.defined() ? DType::kInt64 : single ? DType::kFloat32 : DType::kFloat64;
    const Tensor y = empty_raw({length}, type);
    cpu::fill(y, 0);
    if (!weights.defined()) {
      for (int64_t i = 0; i < n; ++i) ++y.data<int64_t>()[p[i]];
      return y;
    }
    const Tensor w = empty_raw(x.sizes(), type);
    cpu::copy(w, weights);
    for (int64_t i = 0; i < n; ++i) {
      if (single) y.data<float>()[p[i]] += w.data<float>()[i];
      else y.data<double>()[p[i]] += w.data<double>()[i];
    }
    return y;
  }
};

struct Histc {
  static constexpr auto schema = "histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor";
  static constexpr auto doc =
      "Counts in `bins` equal bins from min to max (by default those of the data); what lies outside is not counted.";
  static constexpr auto kind = Kind::kOpaque;
  static Meta infer(const Tensor& x, int64_t bins, Scalar, Scalar) {
    EMBER_CHECK(is_floating(x.dtype()), "\"histogram_cpu\" not implemented for '", x.dtype(), "'");
    EMBER_CHECK(bins > 0, "histc: bins must be > 0, but got ", bins);
    return Meta({bins}, x);
  }
  static void cpu(Out y, const Tensor& self, int64_t bins, Scalar min, Scalar max) {
    const Tensor x = empty_raw(self.sizes(), DType::kFloat64);
    cpu::copy(x, self);
    const int64_t n = x.numel();
    const double* p = n ? x.data<double>() : nullptr;
    double low = min.to<double>(), high = max.to<double>();
    if (low == high && n) {
      const auto [a, b] = std::minmax_element(p, p + n);
      low = *a, high = *b;
    }
    if (low == high) low -= 1, high += 1;
    EMBER_CHECK(std::isfinite(low) && std::isfinite(high), "histc: range of [", low, ", ", high, "] is not finite");
    EMBER_CHECK(low < high, "histc: max must be larger than min");
    const Tensor counts = empty_raw({bins}, DType::kFloat64);
    cpu::fill(counts, 0);
    const double width = (high - low) / static_cast<double>(bins);
    for (int64_t i = 0; i < n; ++i) {
      if (!(p[i] >= low && p[i] <= high)) continue;
      ++counts.data<double>()[std::min(static_cast<int64_t>((p[i] - low) / width), bins - 1)];
    }
    cpu::copy(y, counts);
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> sort_ops() {
  return make_family<Sort, SortStable, Argsort, Msort, Topk, Kthvalue, Median, MedianDim, Nanmedian, NanmedianDim, Mode,
                     Quantile, QuantileNumber, Nanquantile, NanquantileNumber, Unique2, UniqueDim, UniqueConsecutive,
                     Searchsorted, SearchsortedScalar, Bucketize, BucketizeScalar, Isin, IsinScalar, Bincount, Histc>();
}

}  // namespace ember
