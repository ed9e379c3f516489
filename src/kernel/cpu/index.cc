// Indexing: offsets of all positions are computed and checked first, then rows are moved. Where what follows the
// indexed dims lies together it is moved as bytes.
#include "kernel/cpu/index.h"

#include <algorithm>
#include <complex>
#include <cstring>

#include "base/parallel.h"
#include "kernel/cpu/axes.h"
#include "kernel/cpu/elementwise.h"
#include "kernel/cpu/scratch.h"

namespace ember::cpu {
namespace {

constexpr int64_t kPiece = 16384;
int64_t grain_for(int64_t elements) { return std::max<int64_t>(1, kPiece / std::max<int64_t>(1, elements)); }

struct Wide {
  uint64_t a, b;
};
template <class F>
void with_item(int64_t size, F&& f) {
  switch (size) {
    case 1: return f(uint8_t{});
    case 2: return f(uint16_t{});
    case 4: return f(uint32_t{});
    case 8: return f(uint64_t{});
    default: return f(Wide{});
  }
}

Tensor dense(const Tensor& x, DType dtype) {
  if (x.is_contiguous() && x.dtype() == dtype) return x;
  Tensor d = empty_raw(x.sizes(), dtype);
  copy(d, x);
  return d;
}

// combine on stored elements; narrow floats pass through f32.
template <class T>
auto widen(T x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) return to_float(x);
  else return x;
}
template <class T, class W>
T narrow(W x) {
  if constexpr (std::is_same_v<T, Half>) return to_half(x);
  else if constexpr (std::is_same_v<T, BFloat16>) return to_bfloat16(x);
  else return static_cast<T>(x);
}
template <Combine c, class T>
T combine_as(T a, T b) {
  if constexpr (c == Combine::kReplace) {
    return b;
  } else if constexpr (std::is_same_v<T, bool>) {
    return c == Combine::kAdd || c == Combine::kMax ? a || b : a && b;
  } else {
    const auto x = widen(a), y = widen(b);
    if constexpr (c == Combine::kAdd) return narrow<T>(x + y);
    else if constexpr (c == Combine::kMultiply) return narrow<T>(x * y);
    else if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) return b;
    else if constexpr (c == Combine::kMax) return x != x || x > y ? a : b;
    else return x != x || x < y ? a : b;
  }
}
// Calls f(combination, T{}) with the combination as a constant.
template <class F>
void with_combine(Combine c, DType dtype, F&& f) {
  if (c == Combine::kReplace) {
    return with_item(item_size(dtype), [&](auto t) { f(std::integral_constant<Combine, Combine::kReplace>{}, t); });
  }
  visit(dtype, [&](auto t) {
    switch (c) {
      case Combine::kAdd: return f(std::integral_constant<Combine, Combine::kAdd>{}, t);
      case Combine::kMultiply: return f(std::integral_constant<Combine, Combine::kMultiply>{}, t);
      case Combine::kMax: return f(std::integral_constant<Combine, Combine::kMax>{}, t);
      default: return f(std::integral_constant<Combine, Combine::kMin>{}, t);
    }
  });
}

// An IndexError where a list of indices is meant, PyTorch's RuntimeError in gather and scatter.
template <class E>
[[noreturn]] EMBER_COLD void out_of_bounds(int64_t index, int64_t dim, int64_t size) {
  fail<E>("index ", index, " is out of bounds for dimension ", dim, " with size ", size);
}

// Offsets of all index places, in order.
std::vector<int64_t> offsets_of(DimsView sizes, DimsView strides) {
  Axes axes;
  for (size_t d = 0; d < sizes.size(); ++d) axes.add(sizes[d], strides[d], 0);
  std::vector<int64_t> out(static_cast<size_t>(ember::count(sizes)));
  Cursor c(axes, 0);
  for (int64_t& o : out) o = c.offset, c.advance(1);
  return out;
}

}  // namespace

// ---- advanced indexing ---------------------------------------------------------------------------------------------

namespace {

// What indexing by `indices` makes of x's shape.
struct PickedShape {
  Dims common;         // the indices, broadcast together
  bool split = false;  // indexed dims are not adjacent: theirs come first
  int64_t first = -1;
  Dims result;

  PickedShape(const Tensor& x, Span<Tensor> indices) {
    EMBER_CHECK_INDEX(static_cast<int64_t>(indices.size()) <= x.dim(), "too many indices for tensor of dimension ",
                      x.dim());
    int64_t last = -1;
    for (size_t d = 0; d < indices.size(); ++d) {
      const Tensor& i = indices[d];
      if (!i.defined()) continue;
      EMBER_CHECK_INDEX(is_integral(i.dtype()), "tensors used as indices must be long, int, byte or bool tensors");
      if (first < 0) first = static_cast<int64_t>(d), common = i.sizes();
      else join(indices);
      split |= last >= 0 && last + 1 != static_cast<int64_t>(d);
      last = static_cast<int64_t>(d);
    }
    if (split) result = common;
    for (int64_t d = 0; d < x.dim(); ++d) {
      const bool indexed = d < static_cast<int64_t>(indices.size()) && indices[d].defined();
      if (d == first && !split) result.append(DimsView(common));
      if (!indexed) result.push_back(x.sizes()[d]);
    }
  }

 private:
  void join(Span<Tensor> indices) {
    Dims all;
    for (const Tensor& i : indices) {
      if (!i.defined()) continue;
      try {
        all = broadcast_shapes(all, i.sizes());
      } catch (const Error&) {
        std::string shapes;
        for (const Tensor& t : indices) {
          if (t.defined()) shapes += (shapes.empty() ? "" : ", ") + str(t.sizes());
        }
        fail<IndexError>("shape mismatch: indexing tensors could not be broadcast together with shapes ", shapes);
      }
    }
    common = all;
  }
};

}  // namespace

Dims picked_sizes(const Tensor& x, Span<Tensor> indices) { return PickedShape(x, indices).result; }

Picked::Picked(const Tensor& x, Span<Tensor> indices, Bounds bounds) : x_(x) {
  const PickedShape shape(x, indices);
  result_ = shape.result;
  positions_ = count(shape.common);
  offsets_.assign(static_cast<size_t>(positions_), 0);
  for (int64_t d = 0; d < x.dim(); ++d) {
    const int64_t size = x.sizes()[d], stride = x.strides()[d];
    if (d >= static_cast<int64_t>(indices.size()) || !indices[d].defined()) {
      const bool before = !shape.split && d < shape.first;
      (before ? before_ : after_).push_back(size), (before ? before_strides_ : after_strides_).push_back(stride);
      continue;
    }
    Tensor index = indices[d];
    if (index.dtype() != DType::kInt64 || !index.is_contiguous() || !(index.sizes() == shape.common)) {
      index = empty_raw(shape.common, DType::kInt64);
      copy(index, indices[d]);
    }
    const int64_t* at = index.data<int64_t>();
    parallel_for(0, positions_, kPiece, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t j = at[i];
        if (EMBER_UNLIKELY(j >= size || j < (bounds == Bounds::kWrap ? -size : 0)))
          out_of_bounds<IndexError>(j, d, size);
        offsets_[i] += (j < 0 ? j + size : j) * stride;
      }
    });
  }
}

void Picked::gather(const Tensor& y) const {
  const int64_t item = item_size(x_.dtype()), outer = count(before_), inner = count(after_);
  if (outer * positions_ * inner == 0) return;
  Axes before;
  for (size_t d = 0; d < before_.size(); ++d) before.add(before_[d], before_strides_[d], 0);
  const char* from = static_cast<const char*>(x_.data());
  char* to = static_cast<char*>(y.data());
  const bool block = is_contiguous(after_, after_strides_);
  const std::vector<int64_t> after = block ? std::vector<int64_t>() : offsets_of(after_, after_strides_);
  with_item(item, [&]<class U>(U) {
    parallel_for(0, outer * positions_, grain_for(inner), [&](int64_t begin, int64_t end) {
      int64_t p = begin % positions_;
      Cursor c(before, begin / positions_);
      for (int64_t i = begin; i < end; ++i) {
        const U* row = reinterpret_cast<const U*>(from) + c.offset + offsets_[p];
        U* out = reinterpret_cast<U*>(to) + i * inner;
        if (block && inner == 1) *out = *row;
        else if (block) std::memcpy(out, row, static_cast<size_t>(inner) * sizeof(U));
        else
          for (int64_t k = 0; k < inner; ++k) out[k] = row[after[k]];
        if (++p == positions_) p = 0, c.advance(1);
      }
    });
  });
}

void Picked::put(const Tensor& values, Combine combine, const Scalar& scale) const {
  const int64_t outer = count(before_), inner = count(after_);
  if (outer * positions_ * inner == 0) return;
  // Values as [before, positions, after], broadcast by zero strides.
  Dims strides;
  operand(values, result_, values.dtype(), strides);
  const size_t lead = before_.size(), common = result_.size() - lead - after_.size();
  const auto part = [&](size_t from, size_t n) {
    return offsets_of(DimsView(result_.data() + from, n), DimsView(strides.data() + from, n));
  };
  const auto v_before = part(0, lead), v_at = part(lead, common), v_after = part(lead + common, after_.size());
  const auto x_before = offsets_of(before_, before_strides_), x_after = offsets_of(after_, after_strides_);
  const bool block = is_contiguous(after_, after_strides_) &&
                     is_contiguous(after_, DimsView(strides.data() + lead + common, after_.size()));
  const bool scaled = !(scale == Scalar(1));
  with_combine(combine, x_.dtype(), [&]<class T>(auto c, T) {
    T* const x = static_cast<T*>(x_.data());
    const T* const v = static_cast<const T*>(values.data());
    T factor{};
    if constexpr (!std::is_same_v<T, Wide> && c() != Combine::kReplace) factor = scale.to<T>();
    // Columns of the rows, and everything before, are shared out; the list of positions is walked in order.
    const int64_t slab = std::max<int64_t>(64, grain_for(positions_)), slabs = (inner + slab - 1) / slab;
    parallel_for(0, outer * slabs, grain_for(positions_ * std::min(inner, slab)), [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t b = task / slabs, k0 = task % slabs * slab, k1 = std::min(inner, k0 + slab);
        for (int64_t p = 0; p < positions_; ++p) {
          T* to = x + x_before[b] + offsets_[p];
          const T* from = v + v_before[b] + v_at[p];
          const auto place = [&](T & at, T value) __attribute__((always_inline)) {
            if constexpr (c() == Combine::kAdd) {
              if (scaled) value = narrow<T>(widen(value) * widen(factor));
            }
            at = combine_as<c()>(at, value);
          };
          if (block)
            for (int64_t k = k0; k < k1; ++k) place(to[k], from[k]);
          else
            for (int64_t k = k0; k < k1; ++k) place(to[x_after[k]], from[v_after[k]]);
        }
      }
    });
  });
}

// ---- gather and scatter --------------------------------------------------------------------------------------------

namespace {

// An index tensor as [before, n, after] around `dim`, with the places of the outer and inner parts in other tensors.
struct Along {
  Tensor index;
  int64_t dim, n = 1, limit, stride;
  Dims before, after;

  Along(const Tensor& x, int64_t d, const Tensor& idx) : index(dense(idx, DType::kInt64)), dim(d) {
    limit = x.dim() ? x.sizes()[d] : 1, stride = x.dim() ? x.strides()[d] : 0;
    for (int64_t k = 0; k < idx.dim(); ++k) {
      if (k == d) n = idx.sizes()[k];
      else (k < d ? before : after).push_back(idx.sizes()[k]);
    }
  }
  std::vector<int64_t> outer_of(const Tensor& t) const {
    return offsets_of(before, DimsView(t.strides().data(), t.dim() ? before.size() : 0));
  }
  std::vector<int64_t> inner_of(const Tensor& t) const {
    return offsets_of(after, DimsView(t.strides().data() + (t.dim() ? dim + 1 : 0), t.dim() ? after.size() : 0));
  }
  int64_t check(int64_t j) const {
    if (EMBER_UNLIKELY(j < 0 || j >= limit)) out_of_bounds<Error>(j, dim, limit);
    return j * stride;
  }
  void check_all() const {
    const int64_t* at = index.data<int64_t>();
    parallel_for(0, index.numel(), kPiece, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) check(at[i]);
    });
  }
};

}  // namespace

void gather(const Tensor& y, const Tensor& x, int64_t dim, const Tensor& idx) {
  if (idx.numel() == 0) return;
  const Along a(x, dim, idx);
  const auto outer = a.outer_of(x), inner = a.inner_of(x);
  const int64_t width = static_cast<int64_t>(inner.size()), rows = static_cast<int64_t>(outer.size()) * a.n;
  const int64_t* at = a.index.data<int64_t>();
  with_item(item_size(x.dtype()), [&]<class U>(U) {
    const U* from = static_cast<const U*>(x.data());
    U* to = static_cast<U*>(y.data());
    parallel_for(0, rows * width, kPiece, [&](int64_t begin, int64_t end) {
      if (width == 1) {
        for (int64_t i = begin; i < end;) {
          const U* row = from + outer[i / a.n];
          const int64_t stop = std::min(end, (i / a.n + 1) * a.n);
          for (; i < stop; ++i) to[i] = row[a.check(at[i])];
        }
        return;
      }
      for (int64_t i = begin; i < end;) {
        const U* row = from + outer[i / width / a.n];
        const int64_t stop = std::min(end, (i / width + 1) * width);
        for (int64_t k = i % width; i < stop; ++i, ++k) to[i] = row[inner[k] + a.check(at[i])];
      }
    });
  });
}

void scatter(const Tensor& x, int64_t dim, const Tensor& idx, const Tensor& src, Combine combine) {
  if (idx.numel() == 0) return;
  const Along a(x, dim, idx);
  a.check_all();
  const auto outer = a.outer_of(x), inner = a.inner_of(x);
  const bool number = src.dim() == 0;
  std::vector<int64_t> src_outer, src_inner;
  if (!number) src_outer = a.outer_of(src), src_inner = a.inner_of(src);
  const int64_t src_stride = number ? 0 : src.strides()[dim];
  const int64_t width = static_cast<int64_t>(inner.size()), groups = static_cast<int64_t>(outer.size());
  const int64_t* at = a.index.data<int64_t>();
  with_combine(combine, x.dtype(), [&]<class T>(auto c, T) {
    T* const to = static_cast<T*>(x.data());
    const T* const from = static_cast<const T*>(src.data());
    const int64_t slab = std::max<int64_t>(16, grain_for(a.n)), slabs = (width + slab - 1) / slab;
    parallel_for(0, groups * slabs, grain_for(a.n * std::min(width, slab)), [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t g = task / slabs, k0 = task % slabs * slab, k1 = std::min(width, k0 + slab);
        for (int64_t i = 0; i < a.n; ++i) {
          const int64_t* row = at + (g * a.n + i) * width;
          for (int64_t k = k0; k < k1; ++k) {
            T& place = to[outer[g] + inner[k] + row[k] * a.stride];
            const T value = number ? *from : from[src_outer[g] + src_inner[k] + i * src_stride];
            place = combine_as<c()>(place, value);
          }
        }
      }
    });
  });
}

// ---- masks ---------------------------------------------------------------------------------------------------------

namespace {

// Where each piece's true elements go.
struct TruePlaces {
  Tensor mask;  // bool, contiguous
  int64_t n, total = 0;
  std::vector<int64_t> start;
  explicit TruePlaces(const Tensor& m) : mask(dense(m, DType::kBool)), n(m.numel()) {
    const uint8_t* p = mask.data<uint8_t>();
    start.assign(static_cast<size_t>((n + kPiece - 1) / kPiece), 0);
    parallel_for(0, n, kPiece, [&](int64_t begin, int64_t end) {
      int64_t count = 0;
      for (int64_t i = begin; i < end; ++i) count += p[i] != 0;
      start[begin / kPiece] = count;
    });
    for (int64_t& s : start) {
      const int64_t count = s;
      s = total, total += count;
    }
  }
  // Calls f(linear index, rank among the true ones).
  template <class F>
  void each(F&& f) const {
    const uint8_t* p = mask.data<uint8_t>();
    parallel_for(0, n, kPiece, [&](int64_t begin, int64_t end) {
      int64_t rank = start[begin / kPiece];
      int64_t i = begin;
      for (; i + 8 <= end; i += 8) {
        uint64_t eight;
        std::memcpy(&eight, p + i, 8);
        if (!eight) continue;
        for (int64_t k = i; k < i + 8; ++k)
          if (p[k]) f(k, rank++);
      }
      for (; i < end; ++i)
        if (p[i]) f(i, rank++);
    });
  }
};

}  // namespace

int64_t count_true(const Tensor& mask) { return TruePlaces(mask).total; }

Tensor nonzero(const Tensor& x) {
  const TruePlaces places(x);
  const int64_t rank = x.dim();
  const int64_t strides[2] = {1, places.total}, sizes[2] = {places.total, rank};
  const Tensor y = empty_strided_raw(DimsView(sizes, 2), DimsView(strides, 2), DType::kInt64, x.device());
  int64_t* out = y.numel() ? y.data<int64_t>() : nullptr;
  const Dims& shape = x.sizes();
  places.each([&](int64_t at, int64_t row) {
    for (int64_t d = rank; d-- > 0;) {
      const int64_t size = shape[d];
      out[d * places.total + row] = d ? at % size : at;
      if (d) at /= size;
    }
  });
  return y;
}

Tensor masked_select(const Tensor& x, const Tensor& mask) {
  const TruePlaces places(mask);
  const Tensor from = dense(x, x.dtype()), y = empty_raw({places.total}, x.dtype());
  if (places.total == 0) return y;
  with_item(item_size(x.dtype()), [&]<class U>(U) {
    const U* in = static_cast<const U*>(from.data());
    U* out = static_cast<U*>(y.data());
    places.each([&](int64_t at, int64_t rank) { out[rank] = in[at]; });
  });
  return y;
}

void masked_scatter(const Tensor& y, const Tensor& mask, const Tensor& source) {
  const TruePlaces places(mask);
  EMBER_CHECK(source.numel() >= places.total,
              "masked_scatter: expected self and source to have same number of elements where mask is true: Number of "
              "elements of source < number of ones in mask");
  if (places.total == 0) return;
  const Tensor from = dense(source, y.dtype()), to = dense(y, y.dtype());
  with_item(item_size(y.dtype()), [&]<class U>(U) {
    const U* in = static_cast<const U*>(from.data());
    U* out = static_cast<U*>(to.data());
    places.each([&](int64_t at, int64_t rank) { out[at] = in[rank]; });
  });
  if (!to.is(y)) copy(y, to);
}

// ---- embedding -----------------------------------------------------------------------------------------------------

void embedding_backward(const Tensor& y, const Tensor& grad, const Tensor& indices, int64_t padding, bool by_count) {
  const int64_t rows = y.sizes()[0], width = y.sizes()[1], n = indices.numel();
  const bool narrow_type = is_reduced_float(y.dtype());
  const DType type = narrow_type ? DType::kFloat32 : y.dtype();
  const Tensor g = dense(grad, type), at = dense(indices, DType::kInt64);
  const Tensor sums = narrow_type ? empty_raw(y.sizes(), type) : y;
  const int64_t* index = at.data<int64_t>();
  std::vector<int64_t> counts(by_count ? static_cast<size_t>(rows) : 0);
  for (int64_t i = 0; i < (by_count ? n : 0); ++i) ++counts[index[i]];
  visit(type, [&]<class T>(T) {
    if constexpr (std::is_floating_point_v<T>) {
      T* out = sums.data<T>();
      const T* from = g.data<T>();
      parallel_for(0, rows, grain_for(width),
                   [&](int64_t b, int64_t e) { std::fill(out + b * width, out + e * width, T(0)); });
      const int64_t slab = std::max<int64_t>(32, std::min<int64_t>(width, grain_for(n)));
      parallel_for(0, width, slab, [&](int64_t b, int64_t e) {
        for (int64_t i = 0; i < n; ++i) {
          if (index[i] == padding) continue;
          const T scale = by_count ? T(1) / static_cast<T>(counts[index[i]]) : T(1);
          T* to = out + index[i] * width;
          const T* row = from + i * width;
          for (int64_t k = b; k < e; ++k) to[k] += row[k] * scale;
        }
      });
    }
  });
  if (narrow_type) copy(y, sums);
}

}  // namespace ember::cpu
