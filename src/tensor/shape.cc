// Sizes and strides, the definitions. Nothing here allocates for ranks up to five.
#include "tensor/shape.h"

#include <algorithm>

#include "tensor/scalar.h"

namespace ember {

void append(std::string& out, DimsView dims) {
  out += '[';
  for (size_t i = 0; i < dims.size(); ++i) {
    if (i) out += ", ";
    out += std::to_string(dims[i]);
  }
  out += ']';
}

void append(std::string& out, const Scalar& s) {
  switch (s.kind()) {
    case Scalar::Kind::kBool: return append(out, s.to<bool>());
    case Scalar::Kind::kInt: return append(out, s.to<int64_t>());
    case Scalar::Kind::kUInt: return append(out, s.to<uint64_t>());
    case Scalar::Kind::kDouble: return append(out, s.to<double>());
    case Scalar::Kind::kComplex: {
      auto c = s.to<std::complex<double>>();
      out += '(';
      append(out, c.real());
      if (!(c.imag() < 0)) out += '+';
      append(out, c.imag());
      out += "j)";
    }
  }
}

int64_t count(DimsView sizes) {
  int64_t n = 1;
  bool overflow = false, zero = false;
  for (int64_t s : sizes) {
    EMBER_CHECK(s >= 0, "Trying to create tensor with negative dimension ", s, ": ", sizes);
    zero |= s == 0;
    overflow |= __builtin_mul_overflow(n, s, &n);
  }
  EMBER_CHECK(zero || !overflow, "Storage size calculation overflowed with sizes=", sizes);
  return zero ? 0 : n;
}

// The step from one element of a dense dim to the next outer one. Only tensors without elements get past int64.
static int64_t dense_step(int64_t step, int64_t size) {
  return __builtin_mul_overflow(step, std::max<int64_t>(size, 1), &step) ? INT64_MAX : step;
}

Dims contiguous_strides(DimsView sizes) {
  Dims strides(sizes.size());
  int64_t step = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    strides[i] = step;
    step = dense_step(step, sizes[i]);
  }
  return strides;
}

// The order in memory, outermost first, of a channels-last layout of this rank.
static Dims channels_last_order(size_t rank) {
  Dims order{0};
  for (size_t i = 2; i < rank; ++i) order.push_back(static_cast<int64_t>(i));
  order.push_back(1);
  return order;
}

Dims strides_of(MemoryFormat format, DimsView sizes) {
  if (format == MemoryFormat::kContiguous || format == MemoryFormat::kPreserve) return contiguous_strides(sizes);
  size_t rank = format == MemoryFormat::kChannelsLast ? 4 : 5;
  EMBER_CHECK(sizes.size() == rank, "required rank ", rank, " tensor to use ", name(format), " format");
  Dims strides(rank), order = channels_last_order(rank);
  int64_t step = 1;
  for (size_t i = rank; i-- > 0;) {
    strides[order[i]] = step;
    step = dense_step(step, sizes[order[i]]);
  }
  return strides;
}

bool is_contiguous(DimsView sizes, DimsView strides, MemoryFormat format) {
  size_t rank = sizes.size();
  if (format == MemoryFormat::kChannelsLast || format == MemoryFormat::kChannelsLast3d) {
    if (rank != (format == MemoryFormat::kChannelsLast ? 4u : 5u)) return false;
    Dims order = channels_last_order(rank);
    int64_t step = 1;
    for (size_t i = rank; i-- > 0;) {
      int64_t d = order[i];
      if (sizes[d] == 0) return true;
      if (sizes[d] != 1 && strides[d] != step) return false;
      step = dense_step(step, sizes[d]);
    }
    return true;
  }
  int64_t step = 1;
  bool ok = true;
  for (size_t i = rank; i-- > 0;) {
    if (sizes[i] == 0) return true;
    if (sizes[i] != 1 && strides[i] != step) ok = false;
    if (ok) step = dense_step(step, sizes[i]);
  }
  return ok;
}

// Dimensions from the innermost outwards by stride; of equal strides the later one comes first.
static Dims by_stride(DimsView sizes, DimsView strides) {
  Dims order;
  for (size_t i = sizes.size(); i-- > 0;) order.push_back(static_cast<int64_t>(i));
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return strides[a] < strides[b]; });
  return order;
}

bool is_non_overlapping_and_dense(DimsView sizes, DimsView strides) {
  int64_t step = 1;
  for (int64_t d : by_stride(sizes, strides)) {
    if (sizes[d] == 0) return true;
    if (sizes[d] == 1) continue;
    if (strides[d] != step) return false;
    step = dense_step(step, sizes[d]);
  }
  return true;
}

Dims dense_strides_like(DimsView sizes, DimsView strides) {
  Dims out(sizes.size());
  Dims order;
  for (size_t i = sizes.size(); i-- > 0;) order.push_back(static_cast<int64_t>(i));
  // Insertion sort as a comparison by stride alone is not a strict order where broadcast dims (stride 0) take part.
  auto before = [&](int64_t a, int64_t b) {  // is a inside of b?
    if (strides[a] == 0 || strides[b] == 0) return 0;
    if (strides[a] != strides[b]) return strides[a] < strides[b] ? -1 : 1;
    return sizes[a] > sizes[b] ? 1 : 0;
  };
  for (size_t i = 1; i < order.size(); ++i) {
    size_t at = i;
    for (size_t j = i; j-- > 0;) {
      int c = before(order[j], order[at]);
      if (c > 0) std::swap(order[j], order[at]), at = j;
      else if (c < 0) break;
    }
  }
  int64_t step = 1;
  for (int64_t d : order) out[d] = step, step = dense_step(step, sizes[d]);
  return out;
}

std::optional<Dims> view_strides(DimsView sizes, DimsView strides, DimsView new_sizes) {
  Dims out(new_sizes.size());
  int64_t numel = count(sizes);
  if (numel == 0) {
    if (DimsView(sizes) == new_sizes) return Dims(strides);
    return contiguous_strides(new_sizes);
  }
  // Walk both shapes from the right: each run of dims that is contiguous in memory must be cut by whole new dims.
  int64_t v = static_cast<int64_t>(new_sizes.size()) - 1;
  int64_t base = sizes.empty() ? 1 : strides[sizes.size() - 1], run = 1, cut = 1;
  for (int64_t d = static_cast<int64_t>(sizes.size()) - 1; d >= 0; --d) {
    run *= sizes[d];
    if (d == 0 || (sizes[d - 1] != 1 && strides[d - 1] != run * base)) {
      while (v >= 0 && (cut < run || new_sizes[v] == 1)) {
        out[v] = cut * base;
        cut *= new_sizes[v--];
      }
      if (cut != run) return std::nullopt;
      if (d > 0) base = strides[d - 1], run = cut = 1;
    }
  }
  for (; v >= 0; --v) out[v] = cut * base;  // a 0-dim source: all new sizes are one
  return out;
}

Dims infer_size(DimsView sizes, int64_t numel) {
  Dims out(sizes);
  int64_t known = 1, unknown = -1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == -1) {
      EMBER_CHECK(unknown < 0, "only one dimension can be inferred");
      unknown = static_cast<int64_t>(i);
    } else {
      EMBER_CHECK(sizes[i] >= 0, "invalid shape dimension ", sizes[i], " at index ", i, " of shape ", sizes);
      bool overflow = __builtin_mul_overflow(known, sizes[i], &known);
      EMBER_CHECK(!overflow, "shape '", sizes, "' is invalid for input of size ", numel);
    }
  }
  if (unknown >= 0) {
    EMBER_CHECK(known != 0, "cannot reshape tensor of ", numel, " elements into shape ", sizes,
                " because the unspecified dimension size -1 can be any value and is ambiguous");
    EMBER_CHECK(numel % known == 0, "shape '", sizes, "' is invalid for input of size ", numel);
    out[unknown] = numel / known;
  } else {
    EMBER_CHECK(known == numel, "shape '", sizes, "' is invalid for input of size ", numel);
  }
  return out;
}

Dims broadcast_shapes(DimsView a, DimsView b) {
  bool swapped = a.size() < b.size();
  if (swapped) std::swap(a, b);
  Dims out(a);
  size_t shift = a.size() - b.size();
  for (size_t i = 0; i < b.size(); ++i) {
    int64_t &x = out[shift + i], y = b[i];
    EMBER_CHECK(x == y || x == 1 || y == 1, "The size of tensor a (", swapped ? y : x,
                ") must match the size of tensor b (", swapped ? x : y, ") at non-singleton dimension ", shift + i);
    if (x == 1) x = y;
  }
  return out;
}

void dim_out_of_range(int64_t dim, int64_t rank) {
  if (rank == 0) rank = 1;
  fail<IndexError>("Dimension out of range (expected to be in range of [", -rank, ", ", rank - 1, "], but got ", dim,
                   ")");
}

}  // namespace ember
