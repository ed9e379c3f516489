// Sizes and strides: the arithmetic of shapes, without data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/small_vector.h"
#include "base/span.h"
#include "tensor/device.h"

namespace ember {

using Dims = SmallVector<int64_t, 5>;
using DimsView = Span<int64_t>;

// Product of sizes; raises when it overflows int64.
EMBER_API int64_t count(DimsView sizes);
EMBER_API Dims contiguous_strides(DimsView sizes);
EMBER_API Dims strides_of(MemoryFormat format, DimsView sizes);  // RuntimeError when the rank does not fit
EMBER_API bool is_contiguous(DimsView sizes, DimsView strides, MemoryFormat format = MemoryFormat::kContiguous);
// No two indices share an element and the elements fill a block without holes.
EMBER_API bool is_non_overlapping_and_dense(DimsView sizes, DimsView strides);
// Dense strides in the same order as `strides`; what an elementwise result gets from an input like that.
EMBER_API Dims dense_strides_like(DimsView sizes, DimsView strides);
// The strides of a view with new sizes, or nothing when no view can show them.
EMBER_API std::optional<Dims> view_strides(DimsView sizes, DimsView strides, DimsView new_sizes);
// Replaces one -1; `who` names the op in the error ("view", "reshape").
EMBER_API Dims infer_size(DimsView sizes, int64_t numel);
EMBER_API Dims broadcast_shapes(DimsView a, DimsView b);  // RuntimeError in PyTorch's words
// Wraps a negative dim; IndexError "Dimension out of range (expected to be in range of [-2, 1], but got 5)".
inline int64_t wrap_dim(int64_t dim, int64_t rank, bool wrap_scalar = true);
EMBER_API void append(std::string& out, DimsView dims);  // [2, 3]

[[noreturn]] EMBER_API void dim_out_of_range(int64_t dim, int64_t rank);
inline int64_t wrap_dim(int64_t dim, int64_t rank, bool wrap_scalar) {
  int64_t r = rank == 0 && wrap_scalar ? 1 : rank;
  if (EMBER_UNLIKELY(dim < -r || dim >= r)) dim_out_of_range(dim, rank);
  return dim < 0 ? dim + r : dim;
}

}  // namespace ember
