// Sorting along one dim, selection, and searching in sorted rows. Sorting is always stable; nan is greater than
// everything. All dtypes but the complex ones; tensors may have any strides.
#pragma once

#include "tensor/tensor.h"

namespace ember::cpu {

// values and indices have x's shape; either may be undefined.
void sort(const Tensor& values, const Tensor& indices, const Tensor& x, int64_t dim, bool descending);
// The k first of the sorted row; `sorted` orders them (else they come in the row's order).
void topk(const Tensor& values, const Tensor& indices, const Tensor& x, int64_t k, int64_t dim, bool largest,
          bool sorted);
enum class Select : uint8_t { kKth, kMedian, kNanMedian, kMode };
// One element a row, and its index. kKth: the k-th smallest, from 1. Medians are the lower ones; kMedian of a row with
// nan is nan. kMode: the most frequent, the smallest of equals, its last index.
void select_in_rows(const Tensor& values, const Tensor& indices, const Tensor& x, int64_t dim, Select what, int64_t k);

// Where values would go into the rows of `sorted` (its last dim; one row for all, or one a row of values), before
// equals, or after them with `right`; through `sorter` if defined. out: int64 or int32, contiguous.
void search_sorted(const Tensor& out, const Tensor& sorted, const Tensor& values, bool right, const Tensor& sorter);

// The distinct elements of x, ascending, into a new tensor; `inverse` (x's shape) and `counts` if wanted.
struct Unique {
  Tensor values, inverse, counts;
};
Unique unique(const Tensor& x, bool want_inverse, bool want_counts);
// Of slices along dim: their order among the distinct ones. first[i]: a slice that shows the i-th distinct one.
struct UniqueSlices {
  Tensor first, inverse, counts;
};
UniqueSlices unique_slices(const Tensor& x, int64_t dim, bool consecutive);

}  // namespace ember::cpu
