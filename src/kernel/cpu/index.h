// Picking and placing elements by index. Indices are bound-checked before anything is written. Everything is
// deterministic: where several indices name one place, they are taken in order, and threads share out places that
// cannot meet (columns of rows, rows of a table), never the list of indices.
#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace ember::cpu {

enum class Bounds : uint8_t { kWrap, kStrict };  // kWrap: -1 is the last
enum class Combine : uint8_t { kReplace, kAdd, kMultiply, kMax, kMin };

// A tensor indexed by integer tensors in some of its dims (undefined: the whole dim), which are broadcast together.
// `gather` and `put` see it as [before, positions, after].
class Picked {
 public:
  Picked(const Tensor& x, Span<Tensor> indices, Bounds bounds = Bounds::kWrap);
  const Dims& sizes() const { return result_; }  // of the indexed view, PyTorch's and NumPy's rule
  void gather(const Tensor& y) const;            // y: contiguous, of x's dtype
  // x[...] = combine(x[...], values * scale); values broadcast to sizes(), of x's dtype.
  void put(const Tensor& values, Combine combine = Combine::kReplace, const Scalar& scale = 1) const;

 private:
  const Tensor x_;
  Dims before_, after_, result_, before_strides_, after_strides_;
  int64_t positions_ = 1;
  std::vector<int64_t> offsets_;  // of each position, in elements
};

// Shape of the indexed view alone; checks dtypes and shapes, not values.
Dims picked_sizes(const Tensor& x, Span<Tensor> indices);

// y[i][j][k] = x[i][index[i][j][k]][k] for dim 1, as torch.gather. y: contiguous, index: any layout.
void gather(const Tensor& y, const Tensor& x, int64_t dim, const Tensor& index);
// x[i][index[i][j][k]][k] = combine(x[..], src[i][j][k]); src of x's dtype, or a 0-dim tensor.
void scatter(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src, Combine combine);

// Places of the true elements, [count, dims] as coordinates, the last varying fastest.
Tensor nonzero(const Tensor& x);
int64_t count_true(const Tensor& mask);
// Elements of x where mask is true, in logical order; both have one shape. y: [count].
Tensor masked_select(const Tensor& x, const Tensor& mask);
// y[mask] = source, in logical order.
void masked_scatter(const Tensor& y, const Tensor& mask, const Tensor& source);

// Sums rows g[i] into y[indices[i]]; y is zeroed first, rows of `padding` are left out, and each row's sum is divided
// by its count when `mean_by_count`. y: [rows, width] contiguous of g's dtype.
void embedding_backward(const Tensor& y, const Tensor& g, const Tensor& indices, int64_t padding, bool by_count);

}  // namespace ember::cpu
