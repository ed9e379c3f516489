// Picking and placing by index: x[indices], gather and scatter, masks, embedding. Kernels are in kernel/cpu/index.h.
#include "kernel/cpu/index.h"

#include "kernel/cpu/elementwise.h"
#include "op/family/checks.h"
#include "op/family/reduce_common.h"

namespace ember {
namespace {

using cpu::Bounds;
using cpu::Combine;

bool is_mask(const Tensor& t) { return t.dtype() == DType::kBool || t.dtype() == DType::kUInt8; }
void start_from(const Tensor& y, const Tensor& x) {
  if (!y.is(x)) cpu::copy(y, x);
}
Tensor zeros_of(const Tensor& x, const Tensor& g) { return zeros(x.sizes(), g.dtype(), g.device()); }
void check_index_type(std::string_view op, const Tensor& index) {
  EMBER_CHECK(index.dtype() == DType::kInt64 || index.dtype() == DType::kInt32, op,
              "(): Expected dtype int32/int64 for index, got ", index.dtype());
}

// ---- x[indices] ----------------------------------------------------------------------------------------------------

// Masks as the coordinates of their true elements. A mask without dims asks for one more dim of x, which `insert` adds.
template <class Insert>
Tensors without_masks(Tensor& x, Span<Tensor> indices, Insert&& insert) {
  Tensors out;
  for (const Tensor& i : indices) {
    const int64_t d = static_cast<int64_t>(out.size());
    if (!i.defined() || !is_mask(i)) {
      out.push_back(i);
      continue;
    }
    EMBER_CHECK_INDEX(d <= x.dim(), "too many indices for tensor of dimension ", x.dim());
    if (i.dim() == 0) insert(x, d);
    EMBER_CHECK_INDEX(d + std::max<int64_t>(i.dim(), 1) <= x.dim(), "too many indices for tensor of dimension ",
                      x.dim());
    for (int64_t k = 0; k < i.dim(); ++k) {
      EMBER_CHECK_INDEX(i.sizes()[k] == x.sizes()[d + k], "The shape of the mask ", i.sizes(), " at index ", k,
                        " does not match the shape of the indexed tensor ", x.sizes(), " at index ", d + k);
    }
    EMBER_CHECK_NOT_IMPLEMENTED(!i.is_meta(), "index: a mask on the meta device has no number of true elements");
    const Tensor at = cpu::nonzero(i.dim() ? i : alias_raw(i, {1}, {1}, i.storage_offset()));
    for (int64_t k = 0; k < at.sizes()[1]; ++k) out.push_back(alias_raw(at, {at.sizes()[0]}, {1}, k * at.strides()[1]));
  }
  return out;
}
bool has_masks(Span<Tensor> indices) {
  return std::any_of(indices.begin(), indices.end(), [](const Tensor& i) { return i.defined() && is_mask(i); });
}
void insert_dim_raw(Tensor& x, int64_t d) {
  Dims sizes(x.sizes()), strides(x.strides());
  sizes.insert(sizes.begin() + d, 1), strides.insert(strides.begin() + d, 1);
  x = alias_raw(x, sizes, strides, x.storage_offset());
}

struct IndexIntegers {
  static constexpr auto schema = "_index(Tensor self, Tensor?[] indices) -> Tensor";
  static constexpr auto doc = "index with integer indices only.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves{.inputs = 2};
  static Meta infer(const Tensor& x, List indices) { return Meta(cpu::picked_sizes(x, indices), x); }
  static void cpu(Out y, const Tensor& x, List indices) { cpu::Picked(x, indices).gather(y); }
  static void vjp(Grads& d, const Tensor& x, List indices) {
    d.set(0, index_put_(zeros_of(x, d.g()), indices, d.g(), true));
  }
};

struct Index {
  static constexpr auto schema = "index(Tensor self, Tensor?[] indices) -> Tensor";
  static constexpr auto doc = R"(x[indices]: one index tensor (or None) a dim, broadcast together.

Masks stand for the places of their true elements. The indexed dims are replaced where they stand if they are
adjacent, else they come first.)";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& self, List indices) {
    static const Op* const op = find_op("_index");
    if (!has_masks(indices)) return call_op(op, self, indices);
    if (indices.size() == 1 && indices[0].dim() == self.dim() && indices[0].sizes() == self.sizes() && self.dim())
      return masked_select(self, to_dtype(indices[0], DType::kBool));
    Tensor x = self;
    const Tensors all = without_masks(x, indices, [](Tensor& t, int64_t d) { t = unsqueeze(t, d); });
    return call_op(op, x, List(all));
  }
};

struct IndexPut {
  static constexpr auto schema =
      "index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor";
  static constexpr auto doc =
      "self with self[indices] replaced by `values` (broadcast), or `values` added to it, in order.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kMethod | form::kInplace;
  static constexpr Saves saves{.inputs = 2};
  static Meta infer(const Tensor& x, List, const Tensor& values, bool) {
    EMBER_CHECK(values.dtype() == x.dtype(), "Index put requires the source and destination dtypes match, got ",
                x.dtype(), " for the destination and ", values.dtype(), " for the source.");
    return Meta(x.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, List indices, const Tensor& values, bool accumulate) {
    start_from(y, x);
    Tensor to = y;
    const Tensors all = without_masks(to, indices, insert_dim_raw);
    const cpu::Picked picked(to, all);
    const Dims& want = picked.sizes();
    bool fits = values.dim() <= static_cast<int64_t>(want.size());
    for (int64_t d = 0; fits && d < values.dim(); ++d) {
      const int64_t v = values.sizes()[d];
      fits = v == 1 || v == want[want.size() - values.dim() + d];
    }
    EMBER_CHECK(fits, "shape mismatch: value tensor of shape ", values.sizes(),
                " cannot be broadcast to indexing result of shape ", want);
    picked.put(values, accumulate ? Combine::kAdd : Combine::kReplace);
  }
  static void vjp(Grads& d, const Tensor& x, List indices, const Tensor& values, bool accumulate) {
    const Tensor g = d.g();
    if (d.wants(0)) d.set(0, accumulate ? g : index_put(g, indices, zeros({}, g.dtype(), g.device())));
    if (d.wants(2)) d.set(2, sum_to_size(index(g, indices), values.sizes()));
  }
};

// ---- along one dim, by a list of indices ---------------------------------------------------------------------------

Tensors at_dim(const Tensor& x, int64_t dim, const Tensor& index) {
  Tensors all(static_cast<size_t>(dim) + 1);
  all[static_cast<size_t>(dim)] = index.dim() ? index : alias_raw(index, {1}, {1}, index.storage_offset());
  return all;
}
// A 0-dim tensor has one element along its dim.
Tensor at_least_1d(const Tensor& x) { return x.dim() ? x : alias_raw(x, {1}, {1}, x.storage_offset()); }

struct IndexSelect {
  static constexpr auto schema = "index_select(Tensor self, int dim, Tensor index) -> Tensor";
  static constexpr auto doc = "The slices of self along `dim` that the vector `index` names.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr Saves saves{.inputs = 4};
  static Meta infer(const Tensor& x, int64_t dim, const Tensor& index) {
    EMBER_CHECK_INDEX(index.dim() <= 1, "index_select(): Index is supposed to be a vector");
    EMBER_CHECK(index.dtype() == DType::kInt64 || index.dtype() == DType::kInt32,
                "index_select(): Expected dtype int32 or int64 for index");
    Dims sizes(x.sizes());
    const int64_t d = wrap_dim(dim, x.dim());
    if (!sizes.empty()) sizes[d] = index.numel();
    else
      EMBER_CHECK_INDEX(index.numel() == 1, "index_select(): Index to scalar can have only 1 value, got ",
                        index.numel(), " value(s)");
    return Meta(sizes, x);
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, const Tensor& index) {
    cpu::Picked(at_least_1d(x), at_dim(x, wrap_dim(dim, x.dim()), index), Bounds::kStrict).gather(y);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, const Tensor& index) {
    d.set(0, index_add(zeros_of(x, d.g()), dim, index, d.g()));
  }
};

void check_rows(std::string_view op, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
  EMBER_CHECK_INDEX(index.dim() <= 1, op, "(): Index is supposed to be a vector, got a tensor of ", index.dim(),
                    " dims");
  check_index_type(op, index);
  EMBER_CHECK(x.dtype() == source.dtype(), op, "(): self (", x.dtype(), ") and source (", source.dtype(),
              ") must have the same scalar type");
  const Dims a(at_least_1d(x).sizes()), b(at_least_1d(source).sizes());
  bool fits = a.size() == b.size();
  for (size_t d = 0; fits && d < a.size(); ++d) fits = static_cast<int64_t>(d) == dim || a[d] == b[d];
  EMBER_CHECK(
      fits, op,
      "(): source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = ",
      x.sizes(), " source.shape = ", source.sizes());
  EMBER_CHECK_INDEX(b[dim] == index.numel(), op, "(): Number of indices (", index.numel(),
                    ") should be equal to source.size(dim) (", b[dim], ")");
}

struct IndexAdd {
  static constexpr auto schema =
      "index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor";
  static constexpr auto doc = "self with alpha * source's slices added along `dim` at `index`, in order.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kAll;
  static constexpr Saves saves{.inputs = 4};
  static Meta infer(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source, Scalar) {
    check_rows("index_add", x, wrap_dim(dim, x.dim()), index, source);
    return Meta(x.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source, Scalar alpha) {
    start_from(y, x);
    const int64_t d = wrap_dim(dim, x.dim());
    cpu::Picked(at_least_1d(y), at_dim(x, d, index), Bounds::kStrict).put(at_least_1d(source), Combine::kAdd, alpha);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source, Scalar alpha) {
    d.set(0, d.g());
    if (d.wants(3)) d.set(3, reshape(index_select(d.g(), dim, index), source.sizes()) * Tensor(alpha));
  }
};

struct IndexCopy {
  static constexpr auto schema = "index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor";
  static constexpr auto doc = "self with its slices along `dim` at `index` replaced by source's.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kAll;
  static constexpr Saves saves{.inputs = 4};
  static Meta infer(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
    check_rows("index_copy_", x, wrap_dim(dim, x.dim()), index, source);
    return Meta(x.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
    start_from(y, x);
    const int64_t d = wrap_dim(dim, x.dim());
    cpu::Picked(at_least_1d(y), at_dim(x, d, index)).put(at_least_1d(source));
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
    static const Op* const fill = find_op("index_fill");
    if (d.wants(0)) d.set(0, call_op(fill, d.g(), dim, index, Scalar(0)));
    if (d.wants(3)) d.set(3, reshape(index_select(d.g(), dim, index), source.sizes()));
  }
};

struct IndexFill {
  static constexpr auto schema = "index_fill(Tensor self, int dim, Tensor index, Scalar value) -> Tensor";
  static constexpr auto doc = "self with its slices along `dim` at `index` filled with a number.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kAll;
  static constexpr Saves saves{.inputs = 4};
  static Meta infer(const Tensor& x, int64_t dim, const Tensor& index, Scalar) {
    EMBER_CHECK_INDEX(index.dtype() == DType::kInt64 || index.dtype() == DType::kInt32,
                      "index_fill_(): Expected dtype int64 for index.");
    EMBER_CHECK(index.dim() <= 1, "Index has to be a vector/scalar");
    wrap_dim(dim, x.dim());
    return Meta(x.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, const Tensor& index, Scalar value) {
    start_from(y, x);
    const Tensor v = empty_raw({}, x.dtype());
    cpu::fill(v, value);
    cpu::Picked(at_least_1d(y), at_dim(x, wrap_dim(dim, x.dim()), index)).put(v);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, const Tensor& index, Scalar) {
    static const Op* const fill = find_op("index_fill");
    d.set(0, call_op(fill, d.g(), dim, index, Scalar(0)));
  }
};
struct IndexFillTensor {
  static constexpr auto schema = "index_fill.tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor";
  static constexpr auto doc = "index_fill with the number in a tensor without dims.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kMethod | form::kInplace;
  static Tensor call(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& value) {
    EMBER_CHECK(value.dim() == 0, "index_fill_ only supports a 0-dimensional value tensor, but got tensor with ",
                value.dim(), " dimension(s).");
    static const Op* const fill = find_op("index_fill");
    const Tensor filled = call_op(fill, zeros(x.sizes(), DType::kBool, x.device()), dim, index, Scalar(true));
    return where(filled, to_dtype(value, x.dtype()), x);
  }
};

// ---- gather and scatter --------------------------------------------------------------------------------------------

// index may be smaller than `of` apart from dim. A number counts as one element in one dim.
bool index_fits(const Tensor& index, const Tensor& of, int64_t dim, bool also_dim) {
  if (std::max<int64_t>(index.dim(), 1) != std::max<int64_t>(of.dim(), 1)) return false;
  for (int64_t d = 0; d < index.dim(); ++d) {
    if ((d != dim || also_dim) && index.sizes()[d] > (of.dim() ? of.sizes()[d] : 1)) return false;
  }
  return true;
}
void check_rank(const Tensor& index, const Tensor& x, std::string_view what) {
  EMBER_CHECK(std::max<int64_t>(index.dim(), 1) == std::max<int64_t>(x.dim(), 1),
              "Index tensor must have the same number of dimensions as ", what, " tensor");
}

struct Gather {
  static constexpr auto schema = "gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor";
  static constexpr auto doc = "y[i][j] = self[index[i][j]][j] for dim 0, self[i][index[i][j]] for dim 1, and so on.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr Saves saves{.inputs = 4};
  static Meta infer(const Tensor& x, int64_t dim, const Tensor& index, bool) {
    const int64_t d = wrap_dim(dim, x.dim());
    if (index.numel() == 0) return Meta(index.sizes(), x);  // of any dtype and rank
    check_index_type("gather", index);
    check_rank(index, x, "input");
    for (int64_t k = 0; k < index.dim() && x.dim(); ++k) {
      EMBER_CHECK(k == d || index.sizes()[k] <= x.sizes()[k], "Size does not match at dimension ", k,
                  " expected index ", index.sizes(), " to be no larger than self ", x.sizes(), " apart from dimension ",
                  d);
    }
    return Meta(index.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, const Tensor& index, bool) {
    cpu::gather(y, x, wrap_dim(dim, x.dim()), index);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, const Tensor& index, bool) {
    d.set(0, scatter_add(zeros_of(x, d.g()), dim, index, d.g()));
  }
};

void check_scatter(std::string_view op, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
  const int64_t d = wrap_dim(dim, x.dim());
  if (index.numel() != 0) check_index_type(op, index);
  EMBER_CHECK(x.dtype() == src.dtype(), op, "(): Expected self.dtype to be equal to src.dtype, got ", x.dtype(),
              " and ", src.dtype());
  if (index.numel() == 0) return;
  check_rank(index, x, "self"), check_rank(index, src, "src");
  EMBER_CHECK(index_fits(index, x, d, false) && index_fits(index, src, d, true), "Expected index ", index.sizes(),
              " to be no larger than self ", x.sizes(), " apart from dimension ", d,
              " and to be no larger size than src ", src.sizes());
}
Tensor number_of(const Tensor& x, const Scalar& value) {
  const Tensor v = empty_raw({}, x.dtype());
  cpu::fill(v, value);
  return v;
}
void run_scatter(const Tensor& y, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
                 Combine combine) {
  start_from(y, x);
  const Tensor from = src.dim() == 0 && index.dim() ? at_least_1d(src) : src;
  cpu::scatter(y, wrap_dim(dim, x.dim()), index, index.dim() ? from : src, combine);
}
// src's part that index reaches takes g there; the rest of src has none.
Tensor gathered_gradient(const Tensor& g, int64_t dim, const Tensor& index, const Tensor& src) {
  const Tensor part = gather(g, dim, index);
  if (part.sizes() == src.sizes()) return part;
  Dims padding;
  for (int64_t d = src.dim(); d-- > 0;) padding.push_back(0), padding.push_back(src.sizes()[d] - index.sizes()[d]);
  return pad(part, padding);
}

struct Scatter {
  static constexpr auto schema = "scatter(Tensor self, int dim, Tensor index, Tensor src) -> Tensor";
  static constexpr auto doc =
      "self with self[index[i][j]][j] = src[i][j] for dim 0, and so on; gather's opposite. The last of equals stays.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kAll;
  static constexpr Saves saves{.inputs = 4};
  static Meta infer(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
    check_scatter("scatter", x, dim, index, src);
    return Meta(x.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
    run_scatter(y, x, dim, index, src, Combine::kReplace);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
    static const Op* const fill = find_op("scatter.value");
    if (d.wants(0)) d.set(0, call_op(fill, d.g(), dim, index, Scalar(0)));
    if (d.wants(3)) d.set(3, gathered_gradient(d.g(), dim, index, src));
  }
};

struct ScatterValue {
  static constexpr auto schema = "scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor";
  static constexpr auto doc = "scatter of one number.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kAll;
  static constexpr Saves saves{.inputs = 4};
  static Meta infer(const Tensor& x, int64_t dim, const Tensor& index, Scalar) {
    const int64_t d = wrap_dim(dim, x.dim());
    if (index.numel() == 0) return Meta(x.sizes(), x);
    check_index_type("scatter", index);
    check_rank(index, x, "self");
    EMBER_CHECK(index_fits(index, x, d, false), "Expected index ", index.sizes(), " to be no larger than self ",
                x.sizes(), " apart from dimension ", d);
    return Meta(x.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, const Tensor& index, Scalar value) {
    start_from(y, x);
    cpu::scatter(y, wrap_dim(dim, x.dim()), index, number_of(x, value), Combine::kReplace);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, const Tensor& index, Scalar) {
    static const Op* const fill = find_op("scatter.value");
    d.set(0, call_op(fill, d.g(), dim, index, Scalar(0)));
  }
};

struct ScatterAdd {
  static constexpr auto schema = "scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor";
  static constexpr auto doc = "self with src's elements added at the places that scatter would write, in order.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kAll;
  static constexpr Saves saves{.inputs = 4};
  static Meta infer(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
    check_scatter("scatter_add", x, dim, index, src);
    return Meta(x.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
    run_scatter(y, x, dim, index, src, Combine::kAdd);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
    d.set(0, d.g());
    if (d.wants(3)) d.set(3, gathered_gradient(d.g(), dim, index, src));
  }
};

Combine combine_named(std::string_view reduce) {
  if (reduce == "sum" || reduce == "add" || reduce == "mean") return Combine::kAdd;
  if (reduce == "prod" || reduce == "multiply") return Combine::kMultiply;
  if (reduce == "amax") return Combine::kMax;
  if (reduce == "amin") return Combine::kMin;
  fail<Error>("reduce argument must be either sum, prod, mean, amax or amin, got ", reduce, ".");
}
void check_old_reduce(std::string_view reduce) {
  EMBER_CHECK(reduce == "add" || reduce == "multiply", "reduce argument must be either add or multiply.");
}

struct ScatterReduceSrc {
  static constexpr auto schema =
      "scatter.reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor";
  static constexpr auto doc = "scatter that adds (\"add\") or multiplies (\"multiply\").";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kAll;
  static Meta infer(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src, std::string_view reduce) {
    check_old_reduce(reduce);
    check_scatter("scatter", x, dim, index, src);
    return Meta(x.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
                  std::string_view reduce) {
    run_scatter(y, x, dim, index, src, combine_named(reduce));
  }
};
struct ScatterReduceValue {
  static constexpr auto schema =
      "scatter.value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor";
  static constexpr auto doc = "scatter of one number that adds (\"add\") or multiplies (\"multiply\").";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kAll;
  static Meta infer(const Tensor& x, int64_t dim, const Tensor& index, Scalar value, std::string_view reduce) {
    check_old_reduce(reduce);
    return ScatterValue::infer(x, dim, index, value);
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, const Tensor& index, Scalar value, std::string_view reduce) {
    start_from(y, x);
    cpu::scatter(y, wrap_dim(dim, x.dim()), index, number_of(x, value), combine_named(reduce));
  }
};

struct ScatterReduce {
  static constexpr auto schema =
      "scatter_reduce(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor";
  static constexpr auto doc =
      "Joins src's elements at the places that scatter would write: \"sum\", \"prod\", \"mean\", \"amax\" or \"amin\".";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kAll;
  static constexpr Saves saves{.inputs = 13, .outputs = 1};
  static Meta infer(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src, std::string_view reduce,
                    bool) {
    combine_named(reduce);
    check_scatter("scatter_reduce", x, dim, index, src);
    return Meta(x.sizes(), x);
  }
  static Scalar identity(std::string_view reduce, DType d) {
    if (reduce == "prod") return 1;
    if (reduce == "sum" || reduce == "mean") return 0;
    const bool most = reduce == "amax";
    if (is_floating(d)) return most ? -INFINITY : INFINITY;
    return visit(d, [&]<class T>(T) {
      if constexpr (std::is_integral_v<T>)
        return Scalar(most ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max());
      else return Scalar(0);
    });
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src, std::string_view reduce,
                  bool include_self) {
    start_from(y, x);
    const int64_t d = wrap_dim(dim, x.dim());
    if (!include_self) cpu::scatter(y, d, index, number_of(x, identity(reduce, x.dtype())), Combine::kReplace);
    run_scatter(y, y, dim, index, src, combine_named(reduce));
    if (reduce != "mean") return;
    const Tensor counts = empty_raw(x.sizes(), x.dtype());
    cpu::fill(counts, include_self ? 1 : 0);
    cpu::scatter(counts, d, index, number_of(x, 1), Combine::kAdd);
    const Without kernels_only(~Keys{0});
    if (!include_self) cpu::copy(counts, maximum(counts, Tensor(1)));
    const Tensor quotient = is_integral(x.dtype()) ? floor_divide(y, counts) : y / counts;
    cpu::copy(y, quotient);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
                  std::string_view reduce, bool include_self) {
    static const Op* const fill = find_op("scatter.value");
    const Tensor g = d.g();
    const auto cleared = [&](const Tensor& t) -> Tensor { return call_op(fill, t, dim, index, Scalar(0)); };
    Tensor to_self = g, to_src;
    if (reduce == "sum") {
      to_src = gathered_gradient(g, dim, index, src);
    } else if (reduce == "mean") {
      const Tensor one = ones_like(x);
      const Tensor n = maximum(scatter_add(include_self ? one : cleared(one), dim, index, ones_like(src)), Tensor(1));
      to_self = g / n, to_src = gathered_gradient(g / n, dim, index, src);
    } else if (reduce == "prod") {
      const Tensor y = d.y();
      to_self = masked_fill(g * y / x, eq(x, 0), 0);
      to_src = masked_fill(gathered_gradient(g * y, dim, index, src) / src, eq(src, 0), 0);
    } else {  // equals share the gradient
      const Tensor y = d.y(), own = to_dtype(eq(x, y), g.dtype());
      const Tensor hit = to_dtype(eq(src, gathered_gradient(y, dim, index, src)), g.dtype());
      const Tensor n = scatter_add(own, dim, index, hit);
      const Tensor share = g / maximum(n, Tensor(1));
      to_self = own * share, to_src = hit * gathered_gradient(share, dim, index, src);
    }
    if (d.wants(0)) d.set(0, include_self ? to_self : cleared(to_self));
    if (d.wants(3)) d.set(3, to_src);
  }
};

// The rows' rules are scatter_reduce's with each row's index repeated.
struct IndexReduce {
  static constexpr auto schema =
      "index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> "
      "Tensor";
  static constexpr auto doc =
      "Joins source's slices along `dim` at `index`: \"prod\", \"mean\", \"amax\" or \"amin\"; see scatter_reduce.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kAll;
  static constexpr Saves saves{.inputs = 13, .outputs = 1};
  static Meta infer(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source, std::string_view reduce,
                    bool) {
    EMBER_CHECK(reduce == "prod" || reduce == "mean" || reduce == "amax" || reduce == "amin",
                "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got ", reduce, ".");
    EMBER_CHECK_NOT_IMPLEMENTED(!is_complex(x.dtype()) && x.dtype() != DType::kBool,
                                "index_reduce: not implemented for ", x.dtype());
    check_rows("index_reduce", x, wrap_dim(dim, x.dim()), index, source);
    return Meta(x.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                  std::string_view reduce, bool include_self) {
    start_from(y, x);
    const Tensor rows = at_least_1d(y);
    const int64_t d = wrap_dim(dim, x.dim());
    const cpu::Picked picked(rows, at_dim(x, d, index), Bounds::kStrict);
    if (!include_self) picked.put(number_of(x, ScatterReduce::identity(reduce, x.dtype())));
    picked.put(at_least_1d(source), combine_named(reduce));
    if (reduce != "mean") return;
    Dims column(rows.sizes().size(), 1);
    column[d] = rows.sizes()[d];
    const Tensor counts = empty_raw(column, x.dtype());
    cpu::fill(counts, include_self ? 1 : 0);
    cpu::Picked(counts, at_dim(x, d, index)).put(number_of(x, 1), Combine::kAdd);
    const Without kernels_only(~Keys{0});
    const Tensor n = maximum(counts, Tensor(1));
    cpu::copy(rows, is_integral(x.dtype()) ? floor_divide(rows, n) : rows / n);
  }
  static void vjp(Grads& d, const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                  std::string_view reduce, bool include_self) {
    Dims column(source.sizes().size(), 1);
    if (source.dim()) column[wrap_dim(dim, source.dim())] = index.numel();
    const Tensor every = expand(reshape(index, column), source.sizes());
    ScatterReduce::vjp(d, x, dim, every, source, reduce, include_self);
  }
};

struct TakeAlongDim {
  static constexpr auto schema = "take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor";
  static constexpr auto doc =
      "gather with self and indices broadcast against each other apart from `dim`; -1 names the last element.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, const Tensor& indices, OptInt dim) {
    if (!dim) return from_either_end(reshape(x, {-1}), 0, reshape(indices, {-1}));
    EMBER_CHECK(x.dim() == indices.dim(),
                "torch.take_along_dim(): input and indices should have the same number of dimensions, but got ",
                x.dim(), " dimensions for input, and ", indices.dim(), " dimensions for indices");
    const int64_t d = wrap_dim(*dim, x.dim());
    Dims a(x.sizes()), b(indices.sizes());
    a[d] = b[d] = 1;
    Dims both = broadcast_shapes(a, b), self_sizes = both;
    both[d] = indices.sizes()[d], self_sizes[d] = x.sizes()[d];
    return from_either_end(expand(x, self_sizes), d, expand(indices, both));
  }

 private:
  static Tensor from_either_end(const Tensor& x, int64_t dim, const Tensor& at) {
    check_index_type("take_along_dim", at);
    return gather(x, dim, where(lt(at, 0), at + Tensor(x.size(dim)), at));
  }
};

// ---- flat indices --------------------------------------------------------------------------------------------------

void check_flat(const Tensor& x, const Tensor& index) {
  const Tensor at = empty_raw(index.sizes(), DType::kInt64);
  cpu::copy(at, index);
  const int64_t n = x.numel(), *p = at.numel() ? at.data<int64_t>() : nullptr;
  for (int64_t i = 0; i < at.numel(); ++i) {
    EMBER_CHECK_INDEX(p[i] < n && p[i] >= -n, "out of range: tried to access index ", p[i], " on a tensor of ", n,
                      " elements.");
  }
}
Tensor flat_view(const Tensor& x) {
  Tensor dense = x;
  if (!x.is_contiguous()) dense = empty_raw(x.sizes(), x.dtype()), cpu::copy(dense, x);
  return alias_raw(dense, {x.numel()}, {1}, dense.storage_offset());
}

struct Take {
  static constexpr auto schema = "take(Tensor self, Tensor index) -> Tensor";
  static constexpr auto doc = "The elements of self, seen as one row, that `index` names.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr Saves saves{.inputs = 2};
  static Meta infer(const Tensor& x, const Tensor& index) {
    EMBER_CHECK(index.dtype() == DType::kInt64, "take(): Expected a long tensor for index, but got ", index.dtype());
    EMBER_CHECK_INDEX(x.numel() != 0 || index.numel() == 0, "take(): tried to take from an empty tensor");
    return Meta(index.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, const Tensor& index) {
    check_flat(x, index);
    cpu::Picked(flat_view(x), {{index}}).gather(y);
  }
  static void vjp(Grads& d, const Tensor& x, const Tensor& index) {
    static const Op* const put = find_op("put");
    d.set(0, call_op_inplace(put, zeros_of(x, d.g()), index, d.g(), true));
  }
};

struct Put {
  static constexpr auto schema = "put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor";
  static constexpr auto doc = "self, seen as one row, with the elements that `index` names replaced, or added to.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kMethod | form::kInplace;
  static constexpr Saves saves{.inputs = 2};
  static Meta infer(const Tensor& x, const Tensor& index, const Tensor& source, bool) {
    EMBER_CHECK(index.dtype() == DType::kInt64, "put_(): Expected a long tensor for index, but got ", index.dtype());
    EMBER_CHECK(x.dtype() == source.dtype(),
                "put_(): self and source expected to have the same dtype, but got self.dtype = ", x.dtype(),
                " and source.dtype = ", source.dtype());
    EMBER_CHECK(index.numel() == source.numel(),
                "put_(): Expected source and index to have the same number of elements, but got source.numel() = ",
                source.numel(), ", index.numel() = ", index.numel());
    return Meta(x.sizes(), x);
  }
  static void cpu(Out y, const Tensor& x, const Tensor& index, const Tensor& source, bool accumulate) {
    check_flat(x, index);
    start_from(y, x);
    const Tensor flat = flat_view(y);
    cpu::Picked(flat, {{flat_view(index)}}).put(flat_view(source), accumulate ? Combine::kAdd : Combine::kReplace);
    if (flat->storage != y->storage)
      cpu::copy(y, alias_raw(flat, y.sizes(), contiguous_strides(y.sizes()), flat.storage_offset()));
  }
  static void vjp(Grads& d, const Tensor& x, const Tensor& index, const Tensor& source, bool accumulate) {
    static const Op* const put = find_op("put");
    if (d.wants(0))
      d.set(0, accumulate ? d.g() : call_op(put, d.g(), index, zeros(source.sizes(), d.g().dtype()), false));
    if (d.wants(2)) d.set(2, reshape(take(d.g(), index), source.sizes()));
  }
};

// ---- masks ---------------------------------------------------------------------------------------------------------

struct NonzeroOp {
  static constexpr auto schema = "nonzero(Tensor self) -> Tensor";
  static constexpr auto doc = "The coordinates of the elements that are not zero, one row each, in logical order.";
  static constexpr auto kind = Kind::kOpaque;
  static Tensor cpu(const Tensor& x) {
    EMBER_CHECK_NOT_IMPLEMENTED(!x.is_meta(),
                                "nonzero: the shape of its result depends on data, which meta tensors lack");
    return cpu::nonzero(x);
  }
};
struct NonzeroNumpy {
  static constexpr auto schema = "nonzero_numpy(Tensor self) -> Tensor[]";
  static constexpr auto doc = "nonzero as one vector of coordinates a dim, as indices for self.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Tensors call(const Tensor& x) { return unbind(nonzero(x.dim() ? x : unsqueeze(x, 0)), 1); }
};
struct WhereCondition {
  static constexpr auto schema = "where.condition(Tensor condition) -> Tensor[]";
  static constexpr auto doc = "The places where the condition holds, one vector of coordinates a dim.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensors call(const Tensor& x) { return NonzeroNumpy::call(x); }
};
struct Argwhere {
  static constexpr auto schema = "argwhere(Tensor self) -> Tensor";
  static constexpr auto doc = "nonzero.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Tensor call(const Tensor& x) { return nonzero(x); }
};

struct MaskedSelectSame {
  static constexpr auto schema = "_masked_select(Tensor self, Tensor mask) -> Tensor";
  static constexpr auto doc = "masked_select of two tensors of one shape.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves{.inputs = 2};
  static Tensor cpu(const Tensor& x, const Tensor& mask) {
    EMBER_CHECK_NOT_IMPLEMENTED(!x.is_meta(),
                                "masked_select: the shape of its result depends on data, which meta tensors lack");
    check_made("_masked_select", "mask", mask, Meta(x.sizes(), DType::kBool, x.device()));
    return cpu::masked_select(x, mask);
  }
  static void vjp(Grads& d, const Tensor& x, const Tensor& mask) {
    d.set(0, masked_scatter(zeros_of(x, d.g()), mask, d.g()));
  }
};
struct MaskedSelect {
  static constexpr auto schema = "masked_select(Tensor self, Tensor mask) -> Tensor";
  static constexpr auto doc =
      "The elements of self where mask is true, as a vector in logical order; both are broadcast.";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& x, const Tensor& mask) {
    static const Op* const op = find_op("_masked_select");
    EMBER_CHECK(mask.dtype() == DType::kBool, "masked_select: expected BoolTensor for mask, got ", mask.dtype());
    if (x.sizes() == mask.sizes()) return call_op(op, x, mask);
    const Dims sizes = broadcast_shapes(x.sizes(), mask.sizes());
    return call_op(op, expand(x, sizes), expand(mask, sizes));
  }
};

struct MaskedScatter {
  static constexpr auto schema = "masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor";
  static constexpr auto doc = "self with the elements where mask is true replaced by source's, one after the other.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kMethod | form::kInplace;
  static constexpr Saves saves{.inputs = 2};
  static Meta infer(const Tensor& x, const Tensor& mask, const Tensor& source) {
    EMBER_CHECK(x.dtype() == source.dtype(), "masked_scatter: expected self and source to have same dtypes but got ",
                x.dtype(), " and ", source.dtype());
    EMBER_CHECK(mask.dtype() == DType::kBool, "masked_scatter_ only supports boolean masks, but got mask with dtype ",
                mask.dtype());
    return Meta(broadcast_shapes(x.sizes(), mask.sizes()), x);
  }
  static void cpu(Out y, const Tensor& x, const Tensor& mask, const Tensor& source) {
    start_from(y, x);
    Tensor full = mask;
    if (!(mask.sizes() == y.sizes())) full = empty_raw(y.sizes(), DType::kBool), cpu::copy(full, mask);
    cpu::masked_scatter(y, full, source);
  }
  static void vjp(Grads& d, const Tensor& x, const Tensor& mask, const Tensor& source) {
    const Tensor g = d.g();
    if (d.wants(0)) d.set(0, sum_to_size(masked_fill(g, mask, 0), x.sizes()));
    if (!d.wants(2)) return;
    const Tensor part = masked_select(g, mask);
    const int64_t rest = source.numel() - part.numel();
    d.set(2, reshape(rest > 0 ? cat({{part, zeros({rest}, g.dtype(), g.device())}}) : part, source.sizes()));
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> index_ops() {
  return make_family<IndexIntegers, Index, IndexPut, IndexSelect, IndexAdd, IndexCopy, IndexFillTensor, IndexFill,
                     Gather, Scatter, ScatterValue, ScatterAdd, ScatterReduceSrc, ScatterReduceValue, ScatterReduce,
                     IndexReduce, TakeAlongDim, Take, Put, NonzeroOp, NonzeroNumpy, WhereCondition, Argwhere,
                     MaskedSelectSame, MaskedSelect, MaskedScatter>();
}

}  // namespace ember
