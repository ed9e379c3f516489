// The geometry of views as plain functions: from sizes, strides and an offset to others, without tensors.
// A view op's rule applies one to its input; its gradient applies the same one to a dense input of the same shape, and
// scatters there. Checks and their messages live here; nothing here allocates memory or knows autograd.
#pragma once

#include "op/make.h"
#include "op/ops.h"

namespace ember {

inline View geometry_of(const Tensor& x) { return {x.sizes(), x.strides(), x.storage_offset()}; }
inline View dense_geometry(DimsView sizes) { return {Dims(sizes), contiguous_strides(sizes), 0}; }

View select_geometry(View x, int64_t dim, int64_t index);
// Python's slicing: None and negative bounds, and negative steps, mean what they mean for a list.
View slice_geometry(View x, int64_t dim, OptInt start, OptInt end, int64_t step);
View diagonal_geometry(View x, int64_t offset, int64_t dim1, int64_t dim2);
View unfold_geometry(View x, int64_t dimension, int64_t size, int64_t step);
View expand_geometry(View x, DimsView size);

// Zeros of shape `sizes` with `g` at the elements that the view `v` of a dense tensor shows, summed where they
// coincide.
Tensor view_backward(const Tensor& g, DimsView sizes, const View& v);

// `dims` as 0 <= d < rank, each at most once.
Dims wrap_dims(DimsView dims, int64_t rank);

}  // namespace ember
