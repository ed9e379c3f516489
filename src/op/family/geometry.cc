// The geometry of views, and the one scatter that is the gradient of them all.
#include "op/family/geometry.h"

#include <algorithm>

namespace ember {

// Of a dim with at most one element, or an empty tensor, strides may be so great that they wrap; nobody reads them.
static int64_t wrapping_product(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

Dims wrap_dims(DimsView dims, int64_t rank) {
  Dims out;
  for (int64_t d : dims) {
    int64_t w = wrap_dim(d, rank);
    EMBER_CHECK(std::find(out.begin(), out.end(), w) == out.end(), "dim ", w,
                " appears multiple times in the list of dims");
    out.push_back(w);
  }
  return out;
}

View select_geometry(View x, int64_t dim, int64_t index) {
  EMBER_CHECK_INDEX(!x.sizes.empty(), "select() cannot be applied to a 0-dim tensor.");
  size_t d = static_cast<size_t>(wrap_dim(dim, static_cast<int64_t>(x.sizes.size())));
  int64_t size = x.sizes[d];
  EMBER_CHECK_INDEX(-size <= index && index < size, "select(): index ", index, " out of range for tensor of size ",
                    x.sizes, " at dimension ", static_cast<int64_t>(d));
  x.offset += (index < 0 ? index + size : index) * x.strides[d];
  x.sizes.erase(x.sizes.begin() + d), x.strides.erase(x.strides.begin() + d);
  return x;
}

View slice_geometry(View x, int64_t dim, OptInt start, OptInt end, int64_t step) {
  EMBER_CHECK(!x.sizes.empty(), "slice() cannot be applied to a 0-dim tensor.");
  EMBER_CHECK_VALUE(step != 0, "slice step cannot be zero");
  size_t d = static_cast<size_t>(wrap_dim(dim, static_cast<int64_t>(x.sizes.size())));
  int64_t n = x.sizes[d], least = step > 0 ? 0 : -1, most = step > 0 ? n : n - 1;
  auto clamp = [&](int64_t i) { return std::clamp(i < 0 ? i + n : i, least, most); };
  int64_t from = start ? clamp(*start) : step > 0 ? 0 : n - 1, to = end ? clamp(*end) : step > 0 ? n : -1;
  int64_t span = step > 0 ? to - from : from - to;
  // Written so that a step of any size cannot overflow.
  uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : -static_cast<uint64_t>(step);
  x.sizes[d] = span <= 0 ? 0 : static_cast<int64_t>((static_cast<uint64_t>(span) - 1) / stride + 1);
  x.offset += x.sizes[d] > 0 || step > 0 ? from * x.strides[d] : 0;
  x.strides[d] = wrapping_product(x.strides[d], step);
  return x;
}

View diagonal_geometry(View x, int64_t offset, int64_t dim1, int64_t dim2) {
  int64_t rank = static_cast<int64_t>(x.sizes.size());
  size_t a = static_cast<size_t>(wrap_dim(dim1, rank)), b = static_cast<size_t>(wrap_dim(dim2, rank));
  EMBER_CHECK(a != b, "diagonal dimensions cannot be identical ", dim1, ", ", dim2);
  int64_t n = std::max<int64_t>(
      offset >= 0 ? std::min(x.sizes[a], x.sizes[b] - offset) : std::min(x.sizes[a] + offset, x.sizes[b]), 0);
  if (n > 0) x.offset += offset >= 0 ? wrapping_product(offset, x.strides[b]) : wrapping_product(-offset, x.strides[a]);
  int64_t stride = x.strides[a] + x.strides[b];
  for (size_t d : {std::max(a, b), std::min(a, b)}) {
    x.sizes.erase(x.sizes.begin() + d), x.strides.erase(x.strides.begin() + d);
  }
  x.sizes.push_back(n), x.strides.push_back(stride);
  return x;
}

View unfold_geometry(View x, int64_t dimension, int64_t size, int64_t step) {
  int64_t rank = static_cast<int64_t>(x.sizes.size());
  size_t d = static_cast<size_t>(wrap_dim(dimension, rank));
  int64_t n = rank ? x.sizes[d] : 1, stride = rank ? x.strides[d] : 1;
  EMBER_CHECK(size >= 0, "size is ", size, " but must be >= 0");
  EMBER_CHECK(size <= n, "maximum size for tensor at dimension ", static_cast<int64_t>(d), " is ", n, " but size is ",
              size);
  EMBER_CHECK(step > 0, "step is ", step, " but must be > 0");
  if (rank) x.sizes[d] = (n - size) / step + 1, x.strides[d] = wrapping_product(stride, step);
  x.sizes.push_back(size), x.strides.push_back(stride);
  return x;
}

View expand_geometry(View x, DimsView size) {
  EMBER_CHECK(size.size() >= x.sizes.size(), "expand: the number of sizes provided (",
              static_cast<int64_t>(size.size()),
              ") must be greater or equal to the number of dimensions in the tensor (",
              static_cast<int64_t>(x.sizes.size()), "): tensor ", x.sizes, ", size=", size);
  View out{Dims(size), Dims(size.size()), x.offset};
  size_t shift = size.size() - x.sizes.size();
  for (size_t d = 0; d < size.size(); ++d) {
    if (d < shift) {
      EMBER_CHECK(size[d] >= 0, "The expanded size of the tensor (", size[d],
                  ") isn't allowed in a leading, non-existing dimension ", static_cast<int64_t>(d));
      continue;
    }
    int64_t n = x.sizes[d - shift];
    if (size[d] == -1) out.sizes[d] = n;
    EMBER_CHECK(n == 1 || n == out.sizes[d], "The expanded size of the tensor (", size[d],
                ") must match the existing size (", n, ") at non-singleton dimension ", static_cast<int64_t>(d),
                ".  Target sizes: ", size, ".  Tensor sizes: ", x.sizes);
    EMBER_CHECK(out.sizes[d] >= 0, "expand: size ", size, " has a negative dimension other than -1");
    if (n == out.sizes[d]) out.strides[d] = x.strides[d - shift];
  }
  // Sizes of one before the tensor's own step over all of it, as PyTorch has them.
  for (size_t d = shift; d-- > 0 && !x.sizes.empty();) {
    if (out.sizes[d] == 1) out.strides[d] = out.sizes[d + 1] * out.strides[d + 1];
  }
  return out;
}

Tensor view_backward(const Tensor& g, DimsView sizes, const View& v) {
  EMBER_CALL("_view_backward", g, sizes, DimsView(v.sizes), DimsView(v.strides), v.offset);
}

}  // namespace ember
