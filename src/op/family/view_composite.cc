// Views by other names: compositions of the view ops, which every interpreter sees through. What returns a view where
// it can and a copy where it must (reshape, flatten) says so in its line.
#include <algorithm>

#include "op/family/geometry.h"
#include "tensor/allocator.h"

namespace ember {
namespace {

struct Composite {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kMethod;
};
struct CompositeMethod {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kMethod;
};
struct CompositeFunction {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
};

struct Reshape : Composite {
  static constexpr auto schema = "reshape(Tensor(a) self, SymInt[] shape) -> Tensor(a)";
  static constexpr auto doc =
      "The same elements as another shape: a view where strides allow it, else a copy; one size may be -1";
  static Tensor call(const Tensor& self, DimsView shape) {
    Dims sizes = infer_size(shape, self.numel());
    if (view_strides(self.sizes(), self.strides(), sizes)) return view(self, sizes);
    return view(clone(self, MemoryFormat::kContiguous), sizes);
  }
};
struct ReshapeAs : CompositeMethod {
  static constexpr auto schema = "reshape_as(Tensor(a) self, Tensor other) -> Tensor(a)";
  static constexpr auto doc = "self in the shape of other";
  static Tensor call(const Tensor& self, const Tensor& other) { return reshape(self, other.sizes()); }
};
struct ViewAs : CompositeMethod {
  static constexpr auto schema = "view_as(Tensor(a) self, Tensor other) -> Tensor(a)";
  static constexpr auto doc = "A view of self in the shape of other";
  static Tensor call(const Tensor& self, const Tensor& other) { return view(self, other.sizes()); }
};
struct ExpandAs : CompositeMethod {
  static constexpr auto schema = "expand_as(Tensor(a) self, Tensor other) -> Tensor(a)";
  static constexpr auto doc = "self broadcast to the shape of other";
  static Tensor call(const Tensor& self, const Tensor& other) { return expand(self, other.sizes()); }
};
struct BroadcastTo : Composite {
  static constexpr auto schema = "broadcast_to(Tensor(a) self, SymInt[] size) -> Tensor(a)";
  static constexpr auto doc = "self broadcast to a shape";
  static Tensor call(const Tensor& self, DimsView size) { return expand(self, size); }
};

struct BroadcastTensors : CompositeFunction {
  static constexpr auto schema = "broadcast_tensors(Tensor[] tensors) -> Tensor[]";
  static constexpr auto doc = "All tensors broadcast to the shape that they have together";
  static Tensors call(List tensors) {
    Dims sizes;
    for (const Tensor& x : tensors) sizes = broadcast_shapes(sizes, x.sizes());
    Tensors out;
    for (const Tensor& x : tensors) out.push_back(expand(x, sizes));
    return out;
  }
};

struct Flatten : Composite {
  static constexpr auto schema = "flatten(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)";
  static constexpr auto doc = "Dims start_dim to end_dim as one: a view where strides allow it, else a copy";
  static Tensor call(const Tensor& self, int64_t start_dim, int64_t end_dim) {
    int64_t start = wrap_dim(start_dim, self.dim()), end = wrap_dim(end_dim, self.dim());
    EMBER_CHECK(start <= end, "flatten() has invalid args: start_dim cannot come after end_dim");
    if (self.dim() == 0) return reshape(self, {1});
    if (start == end) return self;
    Dims sizes;
    int64_t n = 1;
    for (int64_t d = 0; d < self.dim(); ++d) {
      if (d < start || d > end) sizes.push_back(self.sizes()[d]);
      else if (n *= self.sizes()[d]; d == end) sizes.push_back(n);
    }
    return reshape(self, sizes);
  }
};
struct Ravel : Composite {
  static constexpr auto schema = "ravel(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "All elements in one dim: a view of what is contiguous, else a copy";
  static Tensor call(const Tensor& self) { return view(contiguous(self), {-1}); }
};
struct Unflatten : Composite {
  static constexpr auto schema = "unflatten(Tensor(a) self, int dim, SymInt[] sizes) -> Tensor(a)";
  static constexpr auto doc = "One dim as several, whose sizes multiply up to it; one may be -1";
  static Tensor call(const Tensor& self, int64_t dim, DimsView sizes) {
    int64_t d = wrap_dim(dim, self.dim());
    EMBER_CHECK(!sizes.empty(), "unflatten: sizes must be non-empty");
    int64_t n = self.size(d), known = 1, unknown = 0;
    bool overflow = false;
    for (int64_t s : sizes) s == -1 ? void(++unknown) : void(overflow |= __builtin_mul_overflow(known, s, &known));
    EMBER_CHECK(!overflow && (unknown ? known != 0 && n % known == 0 : known == n), "unflatten: Provided sizes ", sizes,
                " don't multiply up to the size of dim ", d, " (", n, ") in the input tensor");
    Dims inner = infer_size(sizes, n), out(DimsView(self.sizes().data(), static_cast<size_t>(d)));
    out.append(inner);
    for (int64_t i = d + 1; i < self.dim(); ++i) out.push_back(self.sizes()[i]);
    return view(self, out);
  }
};

struct Narrow : Composite {
  static constexpr auto schema = "narrow(Tensor(a) self, int dim, SymInt start, SymInt length) -> Tensor(a)";
  static constexpr auto doc = "`length` parts along `dim` from `start` on";
  static Tensor call(const Tensor& self, int64_t dim, int64_t start, int64_t length) {
    EMBER_CHECK(self.dim() > 0, "narrow() cannot be applied to a 0-dim tensor.");
    EMBER_CHECK(length >= 0, "narrow(): length must be non-negative.");
    int64_t n = self.size(dim);
    EMBER_CHECK_INDEX(-n <= start && start <= n, "start out of range (expected to be in range of [", -n, ", ", n,
                      "], but got ", start, ")");
    if (start < 0) start += n;
    EMBER_CHECK(start <= n - length, "start (", start, ") + length (", length, ") exceeds dimension size (", n, ").");
    return slice(self, dim, start, start + length, 1);
  }
};
struct NarrowTensor : Composite {
  static constexpr auto schema = "narrow.Tensor(Tensor(a) self, int dim, Tensor start, SymInt length) -> Tensor(a)";
  static constexpr auto doc = "narrow with the start in a 0-dim integer tensor";
  static Tensor call(const Tensor& self, int64_t dim, const Tensor& start, int64_t length) {
    EMBER_CHECK(start.dim() == 0 && is_integral(start.dtype()), "start must be an 0-dim integral Tensor.");
    return narrow(self, dim, start.item<int64_t>(), length);
  }
};

Tensor move_dims(const Tensor& self, DimsView source, DimsView destination) {
  EMBER_CHECK(source.size() == destination.size(), "movedim: Invalid source or destination dims: source (", source,
              " dims) should contain the same number of dims as destination (", destination, " dims)");
  int64_t rank = self.dim();
  auto wrap = [&](DimsView dims, std::string_view which) {
    Dims out;
    for (int64_t d : dims) {
      int64_t w = wrap_dim(d, rank);
      EMBER_CHECK(std::find(out.begin(), out.end(), w) == out.end(), "movedim: repeated dim in `", which, "` (", dims,
                  ")");
      out.push_back(w);
    }
    return out;
  };
  Dims from = wrap(source, "source"), to = wrap(destination, "destination"), order(static_cast<size_t>(rank), -1);
  if (rank == 0) return view(self, {});
  for (size_t i = 0; i < from.size(); ++i) order[to[i]] = from[i];
  int64_t next = 0;
  for (int64_t& d : order) {
    if (d >= 0) continue;
    while (std::find(from.begin(), from.end(), next) != from.end()) ++next;
    d = next++;
  }
  return permute(self, order);
}
struct MoveDim : Composite {
  static constexpr auto schema = "movedim(Tensor(a) self, int[1] source, int[1] destination) -> Tensor(a)";
  static constexpr auto doc = "Moves dims to other places; the rest keep their order";
  static Tensor call(const Tensor& self, DimsView source, DimsView destination) {
    return move_dims(self, source, destination);
  }
};
struct MoveAxis : MoveDim {
  static constexpr auto schema = "moveaxis(Tensor(a) self, int[1] source, int[1] destination) -> Tensor(a)";
};

// ---- cutting ----

struct Chunk : Composite {
  static constexpr auto schema = "chunk(Tensor(a) self, int chunks, int dim=0) -> Tensor[]";
  static constexpr auto doc = "At most `chunks` parts of equal size along `dim`, the last may be smaller";
  static Tensors call(const Tensor& self, int64_t chunks, int64_t dim) {
    EMBER_CHECK(self.dim() > 0, "chunk expects at least a 1-dimensional tensor");
    EMBER_CHECK(chunks > 0, "chunk expects `chunks` to be greater than 0, got: ", chunks);
    int64_t n = self.size(dim), size = n / chunks + (n % chunks != 0);
    if (size == 0) check_fits_memory(chunks, sizeof(TensorImpl));
    if (size == 0) return split(self, Dims(static_cast<size_t>(chunks), 0), dim);
    return split(self, size, dim);
  }
};

Tensors split_at(const Tensor& self, DimsView indices, int64_t dim) {
  EMBER_CHECK(self.dim() > 0, "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims");
  Tensors out;
  int64_t start = 0;
  for (int64_t end : indices) out.push_back(slice(self, dim, start, end)), start = end;
  out.push_back(slice(self, dim, start));
  return out;
}
Tensors split_evenly(const Tensor& self, int64_t sections, int64_t dim) {
  EMBER_CHECK(self.dim() > 0, "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims");
  EMBER_CHECK(sections > 0, "number of sections must be larger than 0, got ", sections);
  check_fits_memory(sections, sizeof(TensorImpl));
  int64_t n = self.size(dim), small = n / sections, larger = n % sections;
  Dims indices;
  for (int64_t i = 1; i < sections; ++i) indices.push_back(i * small + std::min(i, larger));
  return split_at(self, indices, dim);
}

struct TensorSplit : Composite {
  static constexpr auto schema = "tensor_split.sections(Tensor(a) self, SymInt sections, int dim=0) -> Tensor[]";
  static constexpr auto doc = "`sections` parts along `dim`, whose sizes differ by one at most";
  static Tensors call(const Tensor& self, int64_t sections, int64_t dim) { return split_evenly(self, sections, dim); }
};
struct TensorSplitIndices : Composite {
  static constexpr auto schema = "tensor_split.indices(Tensor(a) self, SymInt[] indices, int dim=0) -> Tensor[]";
  static constexpr auto doc = "Parts along `dim`, cut at the indices";
  static Tensors call(const Tensor& self, DimsView indices, int64_t dim) { return split_at(self, indices, dim); }
};
struct TensorSplitTensor : Composite {
  static constexpr auto schema =
      "tensor_split.tensor_indices_or_sections(Tensor(a) self, Tensor tensor_indices_or_sections, int dim=0) -> "
      "Tensor[]";
  static constexpr auto doc = "tensor_split with a number of sections, or indices, in an int64 tensor";
  static Tensors call(const Tensor& self, const Tensor& where, int64_t dim) {
    EMBER_CHECK(where.dtype() == DType::kInt64,
                "tensor_split expected tensor_indices_or_sections to have dtype of long, "
                "but got ",
                where.dtype());
    EMBER_CHECK(where.dim() <= 1,
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or "
                "one-dimensional tensor, but got a tensor with ",
                where.dim(), " dims");
    if (where.dim() == 0) return split_evenly(self, where.item<int64_t>(), dim);
    Tensor dense = contiguous(where);
    return split_at(self, DimsView(dense.data<int64_t>(), static_cast<size_t>(dense.numel())), dim);
  }
};

int64_t axis_of(std::string_view op, const Tensor& self, int64_t least, int64_t axis) {
  EMBER_CHECK(self.dim() >= least, "torch.", op, " requires a tensor with at least ", least,
              " dimension, but got a tensor with ", self.dim(), " dimensions!");
  return axis;
}
Tensors split_exactly(std::string_view op, const Tensor& self, int64_t sections, int64_t dim) {
  EMBER_CHECK(sections != 0 && self.size(dim) % sections == 0, "torch.", op, " attempted to split along dimension ",
              dim, ", but the size of the dimension ", self.size(dim), " is not divisible by the split_size ", sections,
              "!");
  return split_evenly(self, sections, dim);
}
#define EMBER_AXIS_SPLIT(Name, word, least, axis) \
  struct Name##Int : Composite { \
    static constexpr auto schema = word ".int(Tensor(a) self, int sections) -> Tensor[]"; \
    static constexpr auto doc = "tensor_split along the dim that " word " stands for, into equal parts"; \
    static Tensors call(const Tensor& self, int64_t sections) { \
      return split_exactly(word, self, sections, axis_of(word, self, least, axis)); \
    } \
  }; \
  struct Name##Array : Composite { \
    static constexpr auto schema = word ".array(Tensor(a) self, int[] indices) -> Tensor[]"; \
    static constexpr auto doc = "tensor_split along the dim that " word " stands for, at the indices"; \
    static Tensors call(const Tensor& self, DimsView indices) { \
      return split_at(self, indices, axis_of(word, self, least, axis)); \
    } \
  };
EMBER_AXIS_SPLIT(Hsplit, "hsplit", 1, self.dim() == 1 ? 0 : 1)
EMBER_AXIS_SPLIT(Vsplit, "vsplit", 2, 0)
EMBER_AXIS_SPLIT(Dsplit, "dsplit", 3, 2)
#undef EMBER_AXIS_SPLIT

// ---- transposes of matrices ----

Tensor swap_last(std::string_view name, const Tensor& self) {
  EMBER_CHECK(self.dim() >= 2, "tensor.", name, " is only supported on matrices or batches of matrices. Got ",
              self.dim(), "-D tensor.");
  return transpose(self, -2, -1);
}
struct Adjoint : Composite {
  static constexpr auto schema = "adjoint(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "Matrices transposed and conjugated";
  static Tensor call(const Tensor& self) {
    Tensor swapped = swap_last("adjoint()", self);
    return is_complex(self.dtype()) ? conj(swapped) : swapped;
  }
};
// mT, mH, T and H are attributes in Python; here they are functions.
struct MatrixTranspose : Composite {
  static constexpr auto schema = "mT(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "Matrices transposed: the last two dims swapped";
  static constexpr auto forms = Forms{0};
  static Tensor call(const Tensor& self) { return swap_last("mT", self); }
};
struct MatrixAdjoint : Composite {
  static constexpr auto schema = "mH(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "Matrices transposed and conjugated";
  static constexpr auto forms = Forms{0};
  static Tensor call(const Tensor& self) {
    Tensor swapped = swap_last("mH", self);
    return is_complex(self.dtype()) ? conj(swapped) : swapped;
  }
};
struct NumpyT : Composite {
  static constexpr auto schema = "numpy_T(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "All dims in reverse order";
  static constexpr auto forms = Forms{0};
  static Tensor call(const Tensor& self) {
    Dims order;
    for (int64_t d = self.dim(); d-- > 0;) order.push_back(d);
    return permute(self, order);
  }
};
struct MatrixH : Composite {
  static constexpr auto schema = "matrix_H(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "A matrix transposed and conjugated";
  static constexpr auto forms = Forms{0};
  static Tensor call(const Tensor& self) {
    EMBER_CHECK(self.dim() == 2 || self.dim() == 0, "tensor.H is only supported on matrices (2-D tensors). Got ",
                self.dim(), "-D tensor.", self.dim() > 2 ? " For batches of matrices, consider using tensor.mH" : "");
    Tensor swapped = self.dim() == 0 ? self : transpose(self, 0, 1);
    return is_complex(self.dtype()) ? conj(swapped) : swapped;
  }
};

// ---- at least so many dims ----

struct AtLeast1d : CompositeFunction {
  static constexpr auto schema = "atleast_1d(Tensor self) -> Tensor";
  static constexpr auto doc = "0-dim tensors as one element in one dim, others as they are";
  static Tensor call(const Tensor& x) { return x.dim() == 0 ? reshape(x, {1}) : x; }
};
struct AtLeast2d : CompositeFunction {
  static constexpr auto schema = "atleast_2d(Tensor self) -> Tensor";
  static constexpr auto doc = "Vectors as one row, others as they are";
  static Tensor call(const Tensor& x) { return x.dim() == 0 ? reshape(x, {1, 1}) : x.dim() == 1 ? unsqueeze(x, 0) : x; }
};
struct AtLeast3d : CompositeFunction {
  static constexpr auto schema = "atleast_3d(Tensor self) -> Tensor";
  static constexpr auto doc = "Vectors as [1, n, 1], matrices as [n, m, 1], others as they are";
  static Tensor call(const Tensor& x) {
    if (x.dim() == 0) return reshape(x, {1, 1, 1});
    if (x.dim() == 1) return unsqueeze(unsqueeze(x, 0), -1);
    return x.dim() == 2 ? unsqueeze(x, -1) : x;
  }
};
template <class One>
struct EachOf : CompositeFunction {
  static constexpr auto doc = One::doc;
  static Tensors call(List tensors) {
    Tensors out;
    for (const Tensor& x : tensors) out.push_back(One::call(x));
    return out;
  }
};
struct AtLeast1dList : EachOf<AtLeast1d> {
  static constexpr auto schema = "atleast_1d.Sequence(Tensor[] tensors) -> Tensor[]";
};
struct AtLeast2dList : EachOf<AtLeast2d> {
  static constexpr auto schema = "atleast_2d.Sequence(Tensor[] tensors) -> Tensor[]";
};
struct AtLeast3dList : EachOf<AtLeast3d> {
  static constexpr auto schema = "atleast_3d.Sequence(Tensor[] tensors) -> Tensor[]";
};

// ---- writing into a view of a copy ----

struct SelectScatter : Composite {
  static constexpr auto schema = "select_scatter(Tensor self, Tensor src, int dim, SymInt index) -> Tensor";
  static constexpr auto doc = "A copy of self with src at select(dim, index)";
  static Tensor call(const Tensor& self, const Tensor& src, int64_t dim, int64_t index) {
    return scatter_into(self, src, [&](const Tensor& y) { return select(y, dim, index); });
  }
  template <class F>
  static Tensor scatter_into(const Tensor& self, const Tensor& src, F&& part) {
    Tensor y = clone(self), place = part(y);
    EMBER_CHECK(place.sizes() == src.sizes(),
                "expected src to have a size equal to the slice of self. src size = ", src.sizes(),
                ", slice size = ", place.sizes());
    copy_(place, src);
    return y;
  }
};
struct SliceScatter : Composite {
  static constexpr auto schema =
      "slice_scatter(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> "
      "Tensor";
  static constexpr auto doc = "A copy of self with src at slice(dim, start, end, step)";
  static constexpr auto forms = form::kPlain;
  static Tensor call(const Tensor& self, const Tensor& src, int64_t dim, OptInt start, OptInt end, int64_t step) {
    return SelectScatter::scatter_into(self, src, [&](const Tensor& y) { return slice(y, dim, start, end, step); });
  }
};
struct DiagonalScatter : Composite {
  static constexpr auto schema =
      "diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor";
  static constexpr auto doc = "A copy of self with src on a diagonal";
  static Tensor call(const Tensor& self, const Tensor& src, int64_t offset, int64_t dim1, int64_t dim2) {
    return SelectScatter::scatter_into(self, src, [&](const Tensor& y) { return diagonal(y, offset, dim1, dim2); });
  }
};
struct AsStridedScatter : Composite {
  static constexpr auto schema =
      "as_strided_scatter(Tensor self, Tensor src, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> "
      "Tensor";
  static constexpr auto doc = "A copy of self with src at as_strided(size, stride, storage_offset)";
  static Tensor call(const Tensor& self, const Tensor& src, DimsView size, DimsView stride, OptInt offset) {
    return SelectScatter::scatter_into(self, src, [&](const Tensor& y) { return as_strided(y, size, stride, offset); });
  }
};

// ---- copies of views, and writing to one ----

struct NarrowCopy : Composite {
  static constexpr auto schema = "narrow_copy(Tensor self, int dim, SymInt start, SymInt length) -> Tensor";
  static constexpr auto doc = "A copy of narrow(dim, start, length)";
  static constexpr auto forms = form::kPlain;
  static Tensor call(const Tensor& self, int64_t dim, int64_t start, int64_t length) {
    return clone(narrow(self, dim, start, length), MemoryFormat::kContiguous);
  }
};
struct FillDiagonal {
  static constexpr auto schema = "fill_diagonal(Tensor self, Scalar fill_value, bool wrap=False) -> Tensor";
  static constexpr auto doc =
      "Fills the main diagonal; with `wrap` it starts anew below the square top of a tall matrix";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kInplace;
  static Tensor call(const Tensor& self, Scalar value, bool wrap) {
    EMBER_CHECK(self.dim() >= 2, "dimensions must larger than 1");
    int64_t step = 0, n = self.sizes()[0];
    for (int64_t d = 0; d < self.dim(); ++d) {
      EMBER_CHECK(self.dim() == 2 || self.sizes()[d] == self.sizes()[0],
                  "all dimensions of input must be of equal length");
      step += self.strides()[d];
      n = std::min(n, self.sizes()[d]);
    }
    fill_(as_strided(self, {n}, {step}, self.storage_offset()), Tensor(value));
    int64_t width = self.sizes()[1];
    if (wrap && self.dim() == 2 && self.sizes()[0] > width + 1) {
      int64_t more = (self.numel() + width) / (width + 1) - n;
      fill_(as_strided(self, {more}, {step}, self.storage_offset() + self.strides()[0] * (width + 1)), Tensor(value));
    }
    return self;
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> view_composite_ops() {
  return make_family<Reshape, ReshapeAs, ViewAs, ExpandAs, BroadcastTo, BroadcastTensors, Flatten, Ravel, Unflatten,
                     Narrow, NarrowTensor, MoveDim, MoveAxis, Chunk, TensorSplit, TensorSplitIndices, TensorSplitTensor,
                     HsplitInt, HsplitArray, VsplitInt, VsplitArray, DsplitInt, DsplitArray, Adjoint, MatrixTranspose,
                     MatrixAdjoint, NumpyT, MatrixH, AtLeast1d, AtLeast1dList, AtLeast2d, AtLeast2dList, AtLeast3d,
                     AtLeast3dList, SelectScatter, SliceScatter, DiagonalScatter, AsStridedScatter, NarrowCopy,
                     FillDiagonal>();
}

}  // namespace ember
