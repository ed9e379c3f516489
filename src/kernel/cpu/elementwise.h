// Element-wise loops over strided operands.
// A tile function computes n contiguous elements in its compute types; everything else about operands (strides,
// broadcasting, storage dtypes) is the business of the load and store stages here: each tile's operands are pointed at
// directly where they are dense and of the compute type, else gathered and converted into buffers that fit L1.
#pragma once

#include "base/span.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

namespace ember::cpu {

// out and in[i]: n contiguous elements; params: attributes in the compute type.
using TileFn = void (*)(void* out, const void* const* in, const void* params, int64_t n);
// n contiguous elements of one dtype to another, as a C cast (narrow floats round to even, nan is true).
using ConvertFn = void (*)(const void* from, void* to, int64_t n);
EMBER_API ConvertFn converter(DType from, DType to);

struct Operand {
  char* data;
  const int64_t* strides;  // in elements, one a dim of the loop's shape; 0 where it is broadcast
  DType dtype;             // as stored
  DType compute;           // as the tile reads or writes it
};

// The operand of a loop of shape `sizes` that broadcasts x; `strides` is room for its strides.
EMBER_API Operand operand(const Tensor& x, DimsView sizes, DType compute, Dims& strides);

// For all elements of `sizes`: out = tile(in...). `out` may be one of `in` (exactly, not shifted).
EMBER_API void elementwise(TileFn tile, DimsView sizes, const Operand& out, Span<Operand> in, const void* params);

// out = in[0] ? in[1] : in[2] for elements of `size` bytes; in[0] are bools.
EMBER_API TileFn select_tile(int64_t size);

// The same for n elements of dense operands that have the tile's own types, of so many bytes each.
EMBER_API void elementwise_dense(TileFn tile, void* out, int64_t out_size, Span<const void*> in,
                                 const int64_t* in_sizes, const void* params, int64_t n);

// dst = src, broadcast and converted. dst and src must not overlap unless they are the same.
EMBER_API void copy(const Tensor& dst, const Tensor& src);
EMBER_API void fill(const Tensor& dst, const Scalar& value);

}  // namespace ember::cpu
