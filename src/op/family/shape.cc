// Joining and rearranging: ops whose elements are those of their inputs at other places. Kernels move blocks
// of bytes; what is a composition of views and a copy is written as one.
#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "kernel/cpu/elementwise.h"
#include "op/family/checks.h"
#include "op/family/geometry.h"
#include "op/pointwise.h"

namespace ember {
namespace {

struct Native {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kMethod;
};
struct Composite {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kMethod;
};
struct CompositeList {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kOut;
};

// ---- cat and stack ----

// A part of the result along its joined dim: a shape-compatible input and where it starts.
struct Part {
  const Tensor* x;
  int64_t start, size;
};

// Dense parts of the result's dtype: the bytes of the result are split evenly over threads, each copying the pieces of
// rows that fall into its share.
void join_dense(const Tensor& y, Span<Part> parts, int64_t dim) {
  int64_t inner = item_size(y.dtype()), outer = 1;
  for (int64_t d = dim + 1; d < y.dim(); ++d) inner *= y.sizes()[d];
  for (int64_t d = 0; d < dim; ++d) outer *= y.sizes()[d];
  int64_t row = inner * y.sizes()[dim];
  char* out = static_cast<char*>(y.data());
  parallel_for(0, outer * row, int64_t{1} << 18, [&](int64_t begin, int64_t end) {
    int64_t at = begin, o = begin / row, within = begin % row;
    auto part = std::upper_bound(parts.begin(), parts.end(), within,
                                 [&](int64_t w, const Part& p) { return w < p.start * inner; }) -
                1;
    while (at < end) {
      int64_t width = part->size * inner, from = within - part->start * inner, n = std::min(width - from, end - at);
      const char* in = static_cast<const char*>(part->x->data());
      if (n > 0) std::memcpy(out + at, in + o * width + from, static_cast<size_t>(n));
      at += n, within += n;
      if (++part == parts.end()) part = parts.begin(), within = 0, ++o;
    }
  });
}

// Parts of one element a row (stack along the last dim): out[row][k] = parts[k][row].
template <class E>
void interleave(const Tensor& y, Span<Part> parts) {
  int64_t k = static_cast<int64_t>(parts.size()), rows = y.numel() / k;
  E* out = static_cast<E*>(y.data());
  parallel_for(0, rows, std::max<int64_t>(65536 / k, 1), [&](int64_t begin, int64_t end) {
    if (k == 2) {
      const E *a = static_cast<const E*>(parts[0].x->data()), *b = static_cast<const E*>(parts[1].x->data());
      for (int64_t i = begin; i < end; ++i) out[2 * i] = a[i], out[2 * i + 1] = b[i];
      return;
    }
    for (int64_t at = begin; at < end; at += 512) {  // rows that stay in cache while all parts write to them
      int64_t stop = std::min(at + 512, end);
      for (int64_t j = 0; j < k; ++j) {
        const E* in = static_cast<const E*>(parts[j].x->data());
        for (int64_t i = at; i < stop; ++i) out[i * k + j] = in[i];
      }
    }
  });
}
bool interleaves(const Tensor& y, Span<Part> parts, int64_t dim) {
  if (dim != y.dim() - 1 || y.sizes()[dim] != static_cast<int64_t>(parts.size())) return false;
  switch (item_size(y.dtype())) {
    case 1: return interleave<uint8_t>(y, parts), true;
    case 2: return interleave<uint16_t>(y, parts), true;
    case 4: return interleave<uint32_t>(y, parts), true;
    case 8: return interleave<uint64_t>(y, parts), true;
    default: return false;
  }
}

void join(const Tensor& y, Span<Part> parts, int64_t dim) {
  if (y.numel() == 0) return;
  bool dense = y.is_contiguous();
  for (const Part& p : parts) dense &= p.x->is_contiguous() && p.x->dtype() == y.dtype();
  if (dense && interleaves(y, parts, dim)) return;
  if (dense) return join_dense(y, parts, dim);
  for (const Part& p : parts) {
    View place = geometry_of(y);
    place.offset += p.start * place.strides[dim];
    place.sizes[dim] = p.size;
    if (p.x->dim() < y.dim()) {  // stack
      place.sizes.erase(place.sizes.begin() + dim), place.strides.erase(place.strides.begin() + dim);
    }
    cpu::copy(alias_raw(y, place.sizes, place.strides, place.offset), *p.x);
  }
}

// The order of memory that all tensors share, if it is a channels-last one.
std::optional<Dims> shared_channels_last(List tensors, DimsView sizes) {
  for (MemoryFormat f : {MemoryFormat::kChannelsLast, MemoryFormat::kChannelsLast3d}) {
    if (sizes.size() != (f == MemoryFormat::kChannelsLast ? 4u : 5u)) continue;
    bool all = true;
    for (const Tensor& x : tensors) all &= x.is_contiguous(f) && !x.is_contiguous();
    if (all) return strides_of(f, sizes);
  }
  return std::nullopt;
}

struct Cat {
  static constexpr auto schema = "cat(Tensor[] tensors, int dim=0) -> Tensor";
  static constexpr auto doc =
      "Tensors one after the other along `dim`; other sizes agree; dtypes are promoted; empty 1-d tensors are passed "
      "over";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kOut;
  static bool passed_over(const Tensor& x) { return x.dim() == 1 && x.sizes()[0] == 0; }
  // The first input that is not passed over decides the shape.
  static const Tensor& model(List tensors) {
    for (const Tensor& x : tensors) {
      if (!passed_over(x)) return x;
    }
    return tensors[0];
  }
  static Meta infer(List tensors, int64_t dim) {
    EMBER_CHECK_VALUE(!tensors.empty(), "torch.cat(): expected a non-empty list of Tensors");
    for (size_t i = 0; i < tensors.size(); ++i) {
      EMBER_CHECK(tensors[i].dim() > 0, "zero-dimensional tensor (at position ", static_cast<int64_t>(i),
                  ") cannot be concatenated");
    }
    const Tensor& first = model(tensors);
    Meta m(first.sizes(), result_type(tensors), first.device());
    int64_t d = wrap_dim(dim, first.dim());
    m.sizes[d] = 0;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const Tensor& x = tensors[i];
      if (passed_over(x)) continue;
      EMBER_CHECK(x.dim() == first.dim(), "Tensors must have same number of dimensions: got ", first.dim(), " and ",
                  x.dim());
      for (int64_t k = 0; k < x.dim(); ++k) {
        EMBER_CHECK(k == d || x.sizes()[k] == first.sizes()[k], "Sizes of tensors must match except in dimension ", d,
                    ". Expected size ", first.sizes()[k], " but got size ", x.sizes()[k], " for tensor number ",
                    static_cast<int64_t>(i), " in the list.");
      }
      m.sizes[d] += x.sizes()[d];
    }
    m.strides = shared_channels_last(tensors, m.sizes);
    return m;
  }
  static std::vector<Part> parts(List tensors, int64_t d) {
    std::vector<Part> list;
    int64_t start = 0;
    for (const Tensor& x : tensors) {
      if (x.numel() == 0) continue;
      list.push_back({&x, start, x.sizes()[d]});
      start += x.sizes()[d];
    }
    return list;
  }
  static void cpu(Out y, List tensors, int64_t dim) {
    int64_t d = wrap_dim(dim, y.dim());
    join(y, parts(tensors, d), d);
  }
  static void vjp(Grads& d, List tensors, int64_t dim) {
    int64_t at = wrap_dim(dim, model(tensors).dim()), start = 0;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const Tensor& x = tensors[i];
      if (passed_over(x)) {
        d.set(0, zeros({0}, x.dtype(), d.g().device()), static_cast<int>(i));
        continue;
      }
      int64_t end = start + x.sizes()[at];
      if (d.wants(0, static_cast<int>(i))) d.set(0, slice(d.g(), at, start, end), static_cast<int>(i));
      start = end;
    }
  }
};
struct Concat : Cat {
  static constexpr auto schema = "concat(Tensor[] tensors, int dim=0) -> Tensor";
};
struct Concatenate : Cat {
  static constexpr auto schema = "concatenate(Tensor[] tensors, int dim=0) -> Tensor";
};

struct Stack {
  static constexpr auto schema = "stack(Tensor[] tensors, int dim=0) -> Tensor";
  static constexpr auto doc = "Tensors of one shape along a new dim";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kOut;
  static Meta infer(List tensors, int64_t dim) {
    EMBER_CHECK(!tensors.empty(), "stack expects a non-empty TensorList");
    for (size_t i = 1; i < tensors.size(); ++i) {
      EMBER_CHECK(tensors[i].sizes() == tensors[0].sizes(), "stack expects each tensor to be equal size, but got ",
                  tensors[0].sizes(), " at entry 0 and ", tensors[i].sizes(), " at entry ", static_cast<int64_t>(i));
    }
    Dims sizes = tensors[0].sizes();
    sizes.insert(sizes.begin() + wrap_dim(dim, tensors[0].dim() + 1), static_cast<int64_t>(tensors.size()));
    return Meta(sizes, result_type(tensors), tensors[0].device());
  }
  static void cpu(Out y, List tensors, int64_t dim) {
    std::vector<Part> parts;
    for (size_t i = 0; i < tensors.size(); ++i) parts.push_back({&tensors[i], static_cast<int64_t>(i), 1});
    join(y, parts, wrap_dim(dim, y.dim()));
  }
  static void vjp(Grads& d, List tensors, int64_t dim) {
    for (int i = 0; i < static_cast<int>(tensors.size()); ++i) {
      if (d.wants(0, i)) d.set(0, select(d.g(), dim, i), i);
    }
  }
};

Tensors at_least(List tensors, int64_t rank) {
  Tensors out;
  for (const Tensor& x : tensors) {
    if (rank == 1) out.push_back(x.dim() == 0 ? reshape(x, {1}) : x);
    else if (rank == 2) out.push_back(x.dim() == 0 ? reshape(x, {1, 1}) : x.dim() == 1 ? unsqueeze(x, 0) : x);
    else
      out.push_back(x.dim() == 0   ? reshape(x, {1, 1, 1})
                    : x.dim() == 1 ? unsqueeze(unsqueeze(x, 0), -1)
                    : x.dim() == 2 ? unsqueeze(x, -1)
                                   : x);
  }
  return out;
}
struct Hstack : CompositeList {
  static constexpr auto schema = "hstack(Tensor[] tensors) -> Tensor";
  static constexpr auto doc = "cat along the second dim (vectors along their only one)";
  static Tensor call(List tensors) {
    EMBER_CHECK(!tensors.empty(), "hstack expects a non-empty TensorList");
    Tensors list = at_least(tensors, 1);
    return cat(list, list[0].dim() == 1 ? 0 : 1);
  }
};
struct Vstack : CompositeList {
  static constexpr auto schema = "vstack(Tensor[] tensors) -> Tensor";
  static constexpr auto doc = "cat along the first dim, vectors as rows";
  static Tensor call(List tensors) {
    EMBER_CHECK(!tensors.empty(), "vstack expects a non-empty TensorList");
    return cat(at_least(tensors, 2), 0);
  }
};
struct RowStack : Vstack {
  static constexpr auto schema = "row_stack(Tensor[] tensors) -> Tensor";
};
struct Dstack : CompositeList {
  static constexpr auto schema = "dstack(Tensor[] tensors) -> Tensor";
  static constexpr auto doc = "cat along the third dim";
  static Tensor call(List tensors) {
    EMBER_CHECK(!tensors.empty(), "dstack expects a non-empty TensorList");
    return cat(at_least(tensors, 3), 2);
  }
};
struct ColumnStack : CompositeList {
  static constexpr auto schema = "column_stack(Tensor[] tensors) -> Tensor";
  static constexpr auto doc = "Vectors and matrices as columns of one matrix";
  static Tensor call(List tensors) {
    EMBER_CHECK(!tensors.empty(), "column_stack expects a non-empty TensorList");
    Tensors list;
    for (const Tensor& x : tensors) list.push_back(x.dim() <= 1 ? reshape(x, {x.numel(), 1}) : x);
    return cat(list, 1);
  }
};

// ---- reversing, rotating ----

struct Flip : Native {
  static constexpr auto schema = "flip(Tensor self, int[] dims) -> Tensor";
  static constexpr auto doc = "A copy with the order of elements reversed along dims";
  static Meta infer(const Tensor& self, DimsView dims) {
    wrap_dims(dims, self.dim());
    return Meta(self.sizes(), dense_strides_like(self.sizes(), self.strides()), self.dtype(), self.device());
  }
  static void cpu(Out y, const Tensor& self, DimsView dims) {
    View v = geometry_of(self);
    for (int64_t d : wrap_dims(dims, self.dim())) {
      if (self.dim() == 0 || v.sizes[d] == 0) continue;
      v.offset += (v.sizes[d] - 1) * v.strides[d];
      v.strides[d] = -v.strides[d];
    }
    cpu::copy(y, alias_raw(self, v.sizes, v.strides, v.offset));
  }
  static void vjp(Grads& d, const Tensor&, DimsView dims) { d.set(0, flip(d.g(), dims)); }
};
struct Fliplr : Composite {
  static constexpr auto schema = "fliplr(Tensor self) -> Tensor";
  static constexpr auto doc = "flip along the second dim";
  static Tensor call(const Tensor& self) {
    EMBER_CHECK(self.dim() >= 2, "Input must be >= 2-d.");
    return flip(self, {1});
  }
};
struct Flipud : Composite {
  static constexpr auto schema = "flipud(Tensor self) -> Tensor";
  static constexpr auto doc = "flip along the first dim";
  static Tensor call(const Tensor& self) {
    EMBER_CHECK(self.dim() >= 1, "Input must be >= 1-d.");
    return flip(self, {0});
  }
};

struct Rot90 : Composite {
  static constexpr auto schema = "rot90(Tensor self, int k=1, int[] dims=[0,1]) -> Tensor";
  static constexpr auto doc =
      "A copy turned k times by 90 degrees in the plane of two dims, from the first to the second";
  static Tensor call(const Tensor& self, int64_t k, DimsView dims) {
    EMBER_CHECK(dims.size() == 2,
                "expected total rotation dims == 2, but got dims = ", static_cast<int64_t>(dims.size()));
    EMBER_CHECK(self.dim() >= 2, "expected total dims >= 2, but got total dims = ", self.dim());
    int64_t a = wrap_dim(dims[0], self.dim()), b = wrap_dim(dims[1], self.dim());
    EMBER_CHECK(a != b, "expected rotation dims to be different, but got dim0 = ", dims[0], " and dim1 = ", dims[1]);
    switch ((k % 4 + 4) % 4) {
      case 1: return transpose(flip(self, {b}), a, b);
      case 2: return flip(self, {a, b});
      case 3: return transpose(flip(self, {a}), a, b);
      default: return clone(self, MemoryFormat::kContiguous);
    }
  }
};

struct Roll : Native {
  static constexpr auto schema = "_roll(Tensor self, SymInt[] shifts, int[] dims) -> Tensor";
  static constexpr auto doc = "roll along named dims, one shift each";
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& self, DimsView shifts, DimsView dims) {
    check_length("_roll", "shifts", shifts.size(), dims.size());
    if (self.dim() == 0) EMBER_CHECK(dims.empty(), "_roll: a tensor without dims has none to roll, but got ", dims);
    wrap_dims(dims, self.dim());
    return Meta(self.sizes(), self);
  }
  // The result is 2^k blocks, each before or behind the seam of each of k dims.
  static void cpu(Out y, const Tensor& self, DimsView shifts, DimsView dims) {
    if (y.numel() == 0) return;
    for (uint32_t block = 0; block < 1u << dims.size(); ++block) {
      View from = geometry_of(self), to = geometry_of(y);
      for (size_t i = 0; i < dims.size(); ++i) {
        int64_t d = wrap_dim(dims[i], self.dim()), n = self.sizes()[d], shift = (shifts[i] % n + n) % n;
        bool head = block >> i & 1;  // the last `shift` elements, which come first
        from.sizes[d] = to.sizes[d] = head ? shift : n - shift;
        if (head) from.offset += (n - shift) * from.strides[d];
        else to.offset += shift * to.strides[d];
      }
      cpu::copy(alias_raw(y, to.sizes, to.strides, to.offset), alias_raw(self, from.sizes, from.strides, from.offset));
    }
  }
  static void vjp(Grads& d, const Tensor&, DimsView shifts, DimsView dims) {
    Dims back;
    for (int64_t s : shifts) back.push_back(-s);
    d.set(0, roll(d.g(), back, dims));
  }
};
struct RollAny : Composite {
  static constexpr auto schema = "roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor";
  static constexpr auto doc =
      "A copy shifted along dims, what leaves at one end entering at the other; no dims: flattened";
  static Tensor call(const Tensor& self, DimsView shifts, DimsView dims) {
    static const Op* const op = find_op("_roll");
    EMBER_CHECK(!shifts.empty(), "`shifts` required");
    if (dims.empty() && shifts.size() == 1) {
      return view(Tensor(call_op(op, reshape(self, {-1}), shifts, DimsView({0}))), self.sizes());
    }
    EMBER_CHECK(shifts.size() == dims.size(),
                "shifts and dimensions must align. shifts: ", static_cast<int64_t>(shifts.size()),
                ", dims:", static_cast<int64_t>(dims.size()));
    // A dim that is named twice turns twice: one call a dim.
    Dims seen;
    bool twice = false;
    for (int64_t d : dims) {
      EMBER_CHECK_INDEX(self.dim() > 0, "Dimension specified as ", d, " but tensor has no dimensions");
      int64_t w = wrap_dim(d, self.dim());
      twice |= std::find(seen.begin(), seen.end(), w) != seen.end();
      seen.push_back(w);
    }
    if (!twice) return call_op(op, self, shifts, dims);
    Tensor y = self;
    for (size_t i = 0; i < dims.size(); ++i) y = call_op(op, y, DimsView(&shifts[i], 1), DimsView(&dims[i], 1));
    return y;
  }
};

// ---- summing back to a shape ----

struct SumToSize : Composite {
  static constexpr auto schema = "sum_to_size(Tensor self, SymInt[] size) -> Tensor";
  static constexpr auto doc = "Sums over the dims along which a tensor of shape `size` would be broadcast to self";
  static constexpr auto forms = form::kMethod;
  static Tensor call(const Tensor& self, DimsView size) {
    if (size.empty() && category(self.dtype()) < 2) return sum(self);  // in int64, as every sum of integers
    if (DimsView(self.sizes()) == size) return self;
    int64_t extra = self.dim() - static_cast<int64_t>(size.size());
    Dims dims;
    bool fits = extra >= 0;
    for (int64_t d = 0; fits && d < self.dim(); ++d) {
      if (d < extra || (size[d - extra] == 1 && self.sizes()[d] != 1)) dims.push_back(d);
      else fits = size[d - extra] == self.sizes()[d];
    }
    EMBER_CHECK(fits, "size {", size, "} is not expandable to size {", self.sizes(), "}.");
    Tensor y = dims.empty() ? self : sum(self, OptDims(dims), true);
    return extra > 0 ? view(y, size) : y;
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> shape_ops() {
  return make_family<Cat, Concat, Concatenate, Stack, Hstack, Vstack, RowStack, Dstack, ColumnStack, Flip, Fliplr,
                     Flipud, Rot90, Roll, RollAny, SumToSize>();
}

}  // namespace ember
