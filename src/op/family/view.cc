// Views: ops that show their input's memory under another geometry. Each has one rule, which computes sizes, strides
// and an offset, and a gradient, which mostly scatters into zeros through the same geometry (_view_backward). Views of
// views, compositions of them and convenience names stand in view_composite.cc.
#include <algorithm>

#include "base/parallel.h"
#include "kernel/cpu/elementwise.h"
#include "op/family/checks.h"
#include "op/family/geometry.h"

namespace ember {
namespace {

struct ViewOp {
  static constexpr auto kind = Kind::kView;
  static constexpr auto forms = form::kFunction | form::kMethod;
};
struct InplaceViewOp {  // squeeze_: self itself takes the new geometry
  static constexpr auto kind = Kind::kView;
  static constexpr auto forms = form::kFunction | form::kMethod | form::kInplace;
};

void scatter_gradient(Grads& d, const Tensor& self, const View& dense_view) {
  d.set(0, view_backward(d.g(), self.sizes(), dense_view));
}

// ---- the same elements in the same order ----

struct ViewSizes : ViewOp {
  static constexpr auto schema = "view(Tensor(a) self, SymInt[] size) -> Tensor(a)";
  static constexpr auto doc =
      "The same memory as another shape; one size may be -1. RuntimeError where strides forbid it.";
  static constexpr auto forms = form::kMethod;
  static View view(const Tensor& self, DimsView size) {
    Dims sizes = infer_size(size, self.numel());
    auto strides = view_strides(self.sizes(), self.strides(), sizes);
    EMBER_CHECK(strides,
                "view size is not compatible with input tensor's size and stride (at least one dimension spans "
                "across two contiguous subspaces). Use .reshape(...) instead.");
    return {sizes, *strides, self.storage_offset()};
  }
  static void vjp(Grads& d, const Tensor& self, DimsView) { d.set(0, reshape(d.g(), self.sizes())); }
};

// Sizes, strides and offset in units of another element size.
struct ViewDType : ViewOp {
  static constexpr auto schema = "view.dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)";
  static constexpr auto doc =
      "The same bytes as elements of another dtype; the last dim grows or shrinks with their size.";
  static constexpr auto forms = form::kMethod;
  static View view(const Tensor& self, DType dtype) {
    View v = geometry_of(self);
    v.dtype = dtype;
    int64_t from = item_size(self.dtype()), to = item_size(dtype);
    if (from == to) return v;
    auto how = [&] { return str(" to view ", self.dtype(), " as ", dtype, " (different element sizes)"); };
    EMBER_CHECK(self.dim() > 0, "self.dim() cannot be 0", how());
    size_t last = v.sizes.size() - 1;
    if (from > to) {
      EMBER_CHECK(v.strides[last] == 1, "self.stride(-1) must be 1", how(), ", but got ", v.strides[last]);
      int64_t ratio = from / to;
      for (size_t i = 0; i < last; ++i) v.strides[i] *= ratio;
      v.sizes[last] *= ratio, v.offset *= ratio;
      return v;
    }
    int64_t ratio = to / from;
    EMBER_CHECK(v.sizes[last] % ratio == 0, "self.size(-1) must be divisible by ", ratio, how(), ", but got ",
                v.sizes[last]);
    EMBER_CHECK(v.offset % ratio == 0, "self.storage_offset() must be divisible by ", ratio, how(), ", but got ",
                v.offset);
    EMBER_CHECK(v.strides[last] == 1, "self.stride(-1) must be 1", how(), ", but got ", v.strides[last]);
    for (size_t i = 0; i < last; ++i) {
      EMBER_CHECK(v.strides[i] % ratio == 0, "self.stride(", static_cast<int64_t>(i), ") must be divisible by ", ratio,
                  how(), ", but got ", v.strides[i]);
      v.strides[i] /= ratio;
    }
    v.sizes[last] /= ratio, v.offset /= ratio;
    return v;
  }
};

struct Alias : ViewOp {
  static constexpr auto schema = "alias(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "A view of all of self";
  static constexpr auto forms = form::kFunction;
  static View view(const Tensor& self) { return geometry_of(self); }
  static void vjp(Grads& d, const Tensor&) { d.set(0, d.g()); }
};

View unsqueeze_geometry(View x, int64_t dim) {
  int64_t rank = static_cast<int64_t>(x.sizes.size());
  size_t d = static_cast<size_t>(wrap_dim(dim, rank + 1));
  int64_t stride = d < x.sizes.size() ? x.sizes[d] * x.strides[d] : 1;
  x.sizes.insert(x.sizes.begin() + d, 1), x.strides.insert(x.strides.begin() + d, stride);
  return x;
}

struct Unsqueeze : InplaceViewOp {
  static constexpr auto schema = "unsqueeze(Tensor(a) self, int dim) -> Tensor(a)";
  static constexpr auto doc = "Inserts a dim of size one at `dim`";
  static View view(const Tensor& self, int64_t dim) { return unsqueeze_geometry(geometry_of(self), dim); }
  static void vjp(Grads& d, const Tensor& self, int64_t) { d.set(0, reshape(d.g(), self.sizes())); }
};

View squeeze_geometry(const Tensor& x, auto&& drops) {
  View v{{}, {}, x.storage_offset()};
  for (size_t d = 0; d < x.sizes().size(); ++d) {
    if (x.sizes()[d] == 1 && drops(static_cast<int64_t>(d))) continue;
    v.sizes.push_back(x.sizes()[d]), v.strides.push_back(x.strides()[d]);
  }
  return v;
}

struct Squeeze : InplaceViewOp {
  static constexpr auto schema = "squeeze(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "Drops the dims of size one";
  static View view(const Tensor& self) {
    return squeeze_geometry(self, [](int64_t) { return true; });
  }
  static void vjp(Grads& d, const Tensor& self) { d.set(0, reshape(d.g(), self.sizes())); }
};

struct SqueezeDim : InplaceViewOp {
  static constexpr auto schema = "squeeze.dim(Tensor(a) self, int[1] dim) -> Tensor(a)";
  static constexpr auto doc = "Drops those of the dims `dim` that have size one";
  static View view(const Tensor& self, DimsView dim) {
    Dims dims = wrap_dims(dim, self.dim());
    return squeeze_geometry(self, [&](int64_t d) { return std::find(dims.begin(), dims.end(), d) != dims.end(); });
  }
  static void vjp(Grads& d, const Tensor& self, DimsView) { d.set(0, reshape(d.g(), self.sizes())); }
};

// ---- the same elements in another order ----

View transpose_geometry(View x, int64_t dim0, int64_t dim1) {
  int64_t rank = static_cast<int64_t>(x.sizes.size());
  int64_t a = wrap_dim(dim0, rank), b = wrap_dim(dim1, rank);
  if (a != b) std::swap(x.sizes[a], x.sizes[b]), std::swap(x.strides[a], x.strides[b]);
  return x;
}

struct Transpose : InplaceViewOp {
  static constexpr auto schema = "transpose(Tensor(a) self, int dim0, int dim1) -> Tensor(a)";
  static constexpr auto doc = "Swaps two dims";
  static View view(const Tensor& self, int64_t dim0, int64_t dim1) {
    return transpose_geometry(geometry_of(self), dim0, dim1);
  }
  static void vjp(Grads& d, const Tensor&, int64_t dim0, int64_t dim1) { d.set(0, transpose(d.g(), dim0, dim1)); }
};
struct SwapAxes : Transpose {
  static constexpr auto schema = "swapaxes(Tensor(a) self, int axis0, int axis1) -> Tensor(a)";
  static constexpr auto doc = "transpose by NumPy's name";
};
struct SwapDims : Transpose {
  static constexpr auto schema = "swapdims(Tensor(a) self, int dim0, int dim1) -> Tensor(a)";
  static constexpr auto doc = "transpose by another name";
};

struct T : InplaceViewOp {
  static constexpr auto schema = "t(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "The transpose of a matrix; vectors and numbers as they are";
  static View view(const Tensor& self) {
    EMBER_CHECK(self.dim() <= 2, "t() expects a tensor with <= 2 dimensions, but self is ", self.dim(), "D");
    return self.dim() < 2 ? geometry_of(self) : transpose_geometry(geometry_of(self), 0, 1);
  }
  static void vjp(Grads& d, const Tensor&) { d.set(0, t(d.g())); }
};

struct Permute : ViewOp {
  static constexpr auto schema = "permute(Tensor(a) self, int[] dims) -> Tensor(a)";
  static constexpr auto doc = "The dims in another order: dim i of the result is dim dims[i] of self";
  static Dims order(DimsView dims, int64_t rank) {
    EMBER_CHECK(
        static_cast<int64_t>(dims.size()) == rank,
        "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
        "ordering of dimensions i.e. input.dim() = ",
        rank, " is not equal to len(dims) = ", static_cast<int64_t>(dims.size()));
    Dims out;
    for (int64_t d : dims) {
      int64_t w = wrap_dim(d, rank);
      EMBER_CHECK(std::find(out.begin(), out.end(), w) == out.end(), "permute(): duplicate dims are not allowed.");
      out.push_back(w);
    }
    return out;
  }
  static View view(const Tensor& self, DimsView dims) {
    View v{{}, {}, self.storage_offset()};
    for (int64_t d : order(dims, self.dim())) {
      v.sizes.push_back(self.sizes()[d]), v.strides.push_back(self.strides()[d]);
    }
    return v;
  }
  static void vjp(Grads& d, const Tensor& self, DimsView dims) {
    Dims inverse(dims.size());
    Dims forward = order(dims, self.dim());
    for (size_t i = 0; i < forward.size(); ++i) inverse[forward[i]] = static_cast<int64_t>(i);
    d.set(0, permute(d.g(), inverse));
  }
};

// ---- some of the elements, or some of them repeatedly ----

struct Select : ViewOp {
  static constexpr auto schema = "select(Tensor(a) self, int dim, SymInt index) -> Tensor(a)";
  static constexpr auto doc = "The part at `index` along `dim`, without that dim";
  static View view(const Tensor& self, int64_t dim, int64_t index) {
    return select_geometry(geometry_of(self), dim, index);
  }
  static void vjp(Grads& d, const Tensor& self, int64_t dim, int64_t index) {
    scatter_gradient(d, self, select_geometry(dense_geometry(self.sizes()), dim, index));
  }
};

struct Slice : ViewOp {
  static constexpr auto schema =
      "slice(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor(a)";
  static constexpr auto doc = "self[start:end:step] along `dim`, as Python slices a list; the step may be negative";
  static View view(const Tensor& self, int64_t dim, OptInt start, OptInt end, int64_t step) {
    return slice_geometry(geometry_of(self), dim, start, end, step);
  }
  static void vjp(Grads& d, const Tensor& self, int64_t dim, OptInt start, OptInt end, int64_t step) {
    scatter_gradient(d, self, slice_geometry(dense_geometry(self.sizes()), dim, start, end, step));
  }
};

struct Diagonal : ViewOp {
  static constexpr auto schema = "diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)";
  static constexpr auto doc =
      "The diagonal of dims dim1 and dim2, as the last dim; `offset` > 0 lies above the main one";
  static View view(const Tensor& self, int64_t offset, int64_t dim1, int64_t dim2) {
    return diagonal_geometry(geometry_of(self), offset, dim1, dim2);
  }
  static void vjp(Grads& d, const Tensor& self, int64_t offset, int64_t dim1, int64_t dim2) {
    scatter_gradient(d, self, diagonal_geometry(dense_geometry(self.sizes()), offset, dim1, dim2));
  }
};

struct Unfold : ViewOp {
  static constexpr auto schema = "unfold(Tensor(a) self, int dimension, int size, int step) -> Tensor(a)";
  static constexpr auto doc = "Windows of `size` along a dim, every `step`; they become the last dim";
  static constexpr auto forms = form::kMethod;
  static View view(const Tensor& self, int64_t dimension, int64_t size, int64_t step) {
    return unfold_geometry(geometry_of(self), dimension, size, step);
  }
  static void vjp(Grads& d, const Tensor& self, int64_t dimension, int64_t size, int64_t step) {
    scatter_gradient(d, self, unfold_geometry(dense_geometry(self.sizes()), dimension, size, step));
  }
};

struct Expand : ViewOp {
  static constexpr auto schema = "expand(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)";
  static constexpr auto doc = "Repeats dims of size one without copying; -1 keeps a size, new dims come in front";
  static constexpr auto forms = form::kMethod;
  static View view(const Tensor& self, DimsView size, bool) { return expand_geometry(geometry_of(self), size); }
  static void vjp(Grads& d, const Tensor& self, DimsView, bool) { d.set(0, sum_to_size(d.g(), self.sizes())); }
};

// Elements that a geometry reaches: [first, last], as positions in the storage. What is beyond any memory is cut to a
// number that stays beyond it, so that callers can count in bytes without overflow.
std::pair<int64_t, int64_t> span_of(const View& v) {
  __int128 first = v.offset, last = v.offset;
  for (size_t d = 0; d < v.sizes.size(); ++d) {
    if (v.sizes[d] == 0) return {v.offset, v.offset - 1};
    (v.strides[d] < 0 ? first : last) += static_cast<__int128>(v.sizes[d] - 1) * v.strides[d];
  }
  constexpr __int128 kBeyond = int64_t{1} << 58;
  return {static_cast<int64_t>(std::clamp(first, -kBeyond, kBeyond)),
          static_cast<int64_t>(std::clamp(last, -kBeyond, kBeyond))};
}

struct AsStrided : InplaceViewOp {
  static constexpr auto schema =
      "as_strided(Tensor(a) self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor(a)";
  static constexpr auto saves = Saves{.geometry = true};
  static constexpr auto doc =
      "Any geometry over self's storage, in elements; views may overlap, strides may be negative";
  static View view(const Tensor& self, DimsView size, DimsView stride, OptInt storage_offset) {
    EMBER_CHECK(size.size() == stride.size(), "mismatch in length of strides and shape");
    count(size);
    View v{Dims(size), Dims(stride), storage_offset.value_or(self.storage_offset())};
    EMBER_CHECK(v.offset >= 0, "Tensor: invalid storage offset ", v.offset);
    auto [first, last] = span_of(v);
    if (self->storage && last >= first) {
      int64_t bytes = (last + 1) * item_size(self.dtype());
      EMBER_CHECK(first >= 0 && bytes <= self->storage->nbytes(), "setStorage: sizes ", size, ", strides ", stride,
                  ", storage offset ", v.offset, ", and itemsize ", item_size(self.dtype()),
                  " requiring a storage size of ", bytes, " are out of bounds for storage of size ",
                  self->storage->nbytes());
    }
    return v;
  }
  // The gradient of the part of the storage that either geometry reaches, read through self's. Where elements of self
  // coincide, each gets its share.
  static void vjp(Grads& d, const Tensor& self, DimsView size, DimsView stride, OptInt storage_offset) {
    View in = geometry_of(self), out{Dims(size), Dims(stride), storage_offset.value_or(self.storage_offset())};
    auto [in_first, in_last] = span_of(in);
    auto [out_first, out_last] = span_of(out);
    int64_t first = std::min(in_first, out_first), n = std::max<int64_t>(std::max(in_last, out_last) - first + 1, 0);
    in.offset -= first, out.offset -= first;
    Tensor memory = view_backward(d.g(), {n}, out);
    if (!is_non_overlapping_and_dense(in.sizes, in.strides)) {
      memory = memory / maximum(view_backward(ones(in.sizes, memory.dtype(), memory.device()), {n}, in), 1);
    }
    d.set(0, as_strided(memory, in.sizes, in.strides, in.offset));
  }
};

// Is every element of memory shown at most once? Sufficient, not necessary: sorted strides that clear each other.
bool shows_once(const View& v) {
  Dims order;  // the stride of a size of one, or where there are no elements, may be any number
  for (size_t d = 0; d < v.sizes.size(); ++d) {
    if (v.sizes[d] == 0) return true;
    if (v.sizes[d] > 1) order.push_back(static_cast<int64_t>(d));
  }
  std::sort(order.begin(), order.end(),
            [&](int64_t a, int64_t b) { return std::abs(v.strides[a]) < std::abs(v.strides[b]); });
  int64_t reach = 0;
  for (int64_t d : order) {
    if (std::abs(v.strides[d]) <= reach) return false;
    reach += (v.sizes[d] - 1) * std::abs(v.strides[d]);
  }
  return true;
}

// memory[geometry] += g, one element after the other: used where elements coincide.
template <class E>
void add_strided(E* memory, const E* g, const View& v) {
  Dims index(v.sizes.size());
  E* at = memory + v.offset;
  auto plus = [](E a, E b) -> E {
    if constexpr (std::is_same_v<E, Half>) return to_half(to_float(a) + to_float(b));
    else if constexpr (std::is_same_v<E, BFloat16>) return to_bfloat16(to_float(a) + to_float(b));
    else return static_cast<E>(a + b);
  };
  for (int64_t left = count(v.sizes); left > 0; --left, ++g) {
    *at = plus(*at, *g);
    for (size_t d = v.sizes.size(); d-- > 0;) {
      at += v.strides[d];
      if (++index[d] < v.sizes[d]) break;
      at -= v.sizes[d] * v.strides[d], index[d] = 0;
    }
  }
}

struct ViewBackward {
  static constexpr auto schema =
      "_view_backward(Tensor grad, SymInt[] input_sizes, SymInt[] size, SymInt[] stride, SymInt storage_offset) -> "
      "Tensor";
  static constexpr auto doc =
      "Zeros of input_sizes with grad summed in at the elements that a strided view of it shows";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& grad, DimsView input_sizes, DimsView size, DimsView stride, int64_t offset) {
    check_length("_view_backward", "stride", stride.size(), size.size());
    check_shape("_view_backward", "grad", grad, size);
    auto [first, last] = span_of(View{Dims(size), Dims(stride), offset});
    EMBER_CHECK(last < first || (first >= 0 && last < ember::count(input_sizes)), "_view_backward: a view of sizes ",
                size, ", strides ", stride, " and offset ", offset, " does not lie within an input of shape ",
                input_sizes);
    return Meta(input_sizes, grad);
  }
  static void cpu(Out y, const Tensor& grad, DimsView, DimsView size, DimsView stride, int64_t storage_offset) {
    cpu::fill(y, 0);
    if (grad.numel() == 0) return;  // then the offset may be anywhere
    View v{Dims(size), Dims(stride), storage_offset};
    if (shows_once(v)) return cpu::copy(alias_raw(y, size, stride, storage_offset), grad);
    Tensor g = grad;
    if (!g.is_contiguous()) g = empty_raw(size, grad.dtype()), cpu::copy(g, grad);
    visit(y.dtype(), [&]<class E>(E) { add_strided(y.data<E>(), g.data<E>(), v); });
  }
  static void vjp(Grads& d, const Tensor&, DimsView, DimsView size, DimsView stride, int64_t storage_offset) {
    Tensor g = contiguous(d.g());
    d.set(0, as_strided(g, size, stride, g.storage_offset() + storage_offset));
  }
};

// ---- several views at once ----

struct Split : ViewOp {
  static constexpr auto schema = "split(Tensor(a) self, SymInt split_size, int dim=0) -> Tensor[]";
  static constexpr auto doc = "Parts of split_size along `dim`, the last one with what remains";
  static Dims parts(const Tensor& self, int64_t split_size, int64_t dim) {
    EMBER_CHECK(self.dim() > 0, "split expects at least a 1-dimensional tensor");
    EMBER_CHECK(split_size >= 0, "split expects split_size be non-negative, but got split_size=", split_size);
    int64_t n = self.size(dim);
    EMBER_CHECK(split_size > 0 || n == 0, "split_size can only be 0 if dimension size is 0, but got dimension size of ",
                n);
    Dims sizes;
    for (int64_t at = 0; at < n; at += split_size) sizes.push_back(std::min(split_size, n - at));
    if (sizes.empty()) sizes.push_back(0);
    return sizes;
  }
  static std::vector<View> cut(const Tensor& self, DimsView sizes, int64_t dim) {
    size_t d = static_cast<size_t>(wrap_dim(dim, self.dim()));
    std::vector<View> views;
    View v = geometry_of(self);
    for (int64_t n : sizes) {
      v.sizes[d] = n;
      views.push_back(v);
      v.offset += n * v.strides[d];
    }
    return views;
  }
  static std::vector<View> views(const Tensor& self, int64_t split_size, int64_t dim) {
    return cut(self, parts(self, split_size, dim), dim);
  }
  static void join(Grads& d, size_t parts, int64_t dim) {
    Tensors list;
    for (size_t i = 0; i < parts; ++i) list.push_back(d.g(static_cast<int>(i)));
    d.set(0, cat(list, dim));
  }
  static void vjp(Grads& d, const Tensor& self, int64_t split_size, int64_t dim) {
    join(d, parts(self, split_size, dim).size(), dim);
  }
};

struct SplitSizes : ViewOp {
  static constexpr auto schema = "split.sizes(Tensor(a) self, SymInt[] split_size, int dim=0) -> Tensor[]";
  static constexpr auto doc = "Parts of the given sizes along `dim`";
  static std::vector<View> views(const Tensor& self, DimsView sizes, int64_t dim) {
    EMBER_CHECK(self.dim() > 0, "split expects at least a 1-dimensional tensor");
    int64_t n = self.size(dim), sum = 0;
    bool overflow = false;
    for (int64_t s : sizes) {
      EMBER_CHECK(s >= 0,
                  "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=", sizes);
      overflow |= __builtin_add_overflow(sum, s, &sum);
    }
    EMBER_CHECK(!overflow && sum == n, "split_with_sizes expects split_sizes to sum exactly to ", n,
                " (input tensor's size at dimension ", wrap_dim(dim, self.dim()), "), but got split_sizes=", sizes);
    return Split::cut(self, sizes, dim);
  }
  static void vjp(Grads& d, const Tensor&, DimsView sizes, int64_t dim) { Split::join(d, sizes.size(), dim); }
};
struct SplitWithSizes : SplitSizes {
  static constexpr auto schema = "split_with_sizes(Tensor(a) self, SymInt[] split_sizes, int dim=0) -> Tensor[]";
};

struct Unbind : ViewOp {
  static constexpr auto schema = "unbind(Tensor(a) self, int dim=0) -> Tensor[]";
  static constexpr auto doc = "All parts along `dim`, without that dim";
  static std::vector<View> views(const Tensor& self, int64_t dim) {
    EMBER_CHECK_INDEX(self.dim() > 0, "Dimension specified as ", dim, " but tensor has no dimensions");
    std::vector<View> list;
    for (int64_t i = 0; i < self.size(dim); ++i) list.push_back(select_geometry(geometry_of(self), dim, i));
    return list;
  }
  static void vjp(Grads& d, const Tensor& self, int64_t dim) {
    int64_t n = self.size(dim);
    Tensors list;
    for (int64_t i = 0; i < n; ++i) list.push_back(d.g(static_cast<int>(i)));
    d.set(0, n ? stack(list, dim) : zeros(self.sizes(), self.dtype(), self.device()));
  }
};

// ---- complex numbers as pairs ----

struct ViewAsReal : ViewOp {
  static constexpr auto schema = "view_as_real(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "A complex tensor as real parts: a last dim of size two";
  static constexpr auto forms = form::kFunction;
  static View view(const Tensor& self) {
    EMBER_CHECK(is_complex(self.dtype()), "view_as_real is only supported for complex tensors");
    View v{self.sizes(), self.strides(), self.storage_offset() * 2, real_of(self.dtype())};
    for (int64_t& s : v.strides) s *= 2;
    v.sizes.push_back(2), v.strides.push_back(1);
    return v;
  }
  static void vjp(Grads& d, const Tensor&) { d.set(0, view_as_complex(contiguous(d.g()))); }
};

struct ViewAsComplex : ViewOp {
  static constexpr auto schema = "view_as_complex(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "Pairs along a dense last dim of size two as complex numbers";
  static constexpr auto forms = form::kFunction;
  static View view(const Tensor& self) {
    EMBER_CHECK(
        self.dtype() == DType::kFloat32 || self.dtype() == DType::kFloat64,
        "view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: ",
        self.dtype());
    EMBER_CHECK(self.dim() > 0, "Input tensor must have one or more dimensions");
    View v{self.sizes(), self.strides(), self.storage_offset() / 2, complex_of(self.dtype())};
    EMBER_CHECK(v.sizes.back() == 2, "Tensor must have a last dimension of size 2");
    EMBER_CHECK(v.strides.back() == 1, "Tensor must have a last dimension with stride 1");
    v.sizes.pop_back(), v.strides.pop_back();
    for (int64_t& s : v.strides) {
      EMBER_CHECK(s % 2 == 0, "Tensor must have a stride divisible by 2 for all but last dimension");
      s /= 2;
    }
    EMBER_CHECK(self.storage_offset() % 2 == 0, "Tensor must have a storage_offset divisible by 2");
    return v;
  }
  static void vjp(Grads& d, const Tensor&) { d.set(0, view_as_real(d.g())); }
};

}  // namespace

std::vector<std::unique_ptr<Op>> view_ops() {
  return make_family<ViewSizes, ViewDType, Alias, Unsqueeze, Squeeze, SqueezeDim, Transpose, SwapAxes, SwapDims, T,
                     Permute, Select, Slice, Diagonal, Unfold, Expand, AsStrided, ViewBackward, Split, SplitSizes,
                     SplitWithSizes, Unbind, ViewAsReal, ViewAsComplex>();
}

}  // namespace ember
