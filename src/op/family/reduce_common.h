// What families that reduce dims share: reading `dim` arguments, shapes of results, and bringing a reduced gradient
// back to the input's shape.
#pragma once

#include "kernel/cpu/reduce.h"
#include "op/gpu_reduce.h"
#include "op/make.h"
#include "op/ops.h"

namespace ember {

// The dims that `dims` names, as a mask; none or an empty list names all of them.
inline cpu::DimMask dims_mask(const Tensor& x, OptDims dims) {
  const int64_t rank = x.dim();
  const cpu::DimMask every = rank >= 64 ? ~cpu::DimMask{0} : (cpu::DimMask{1} << rank) - 1;
  EMBER_CHECK(rank <= 64, "only tensors with up to 64 dims are supported");
  if (!dims || dims->empty()) return every;
  cpu::DimMask mask = 0;
  for (int64_t d : *dims) {
    const cpu::DimMask bit = cpu::DimMask{1} << wrap_dim(d, rank);
    EMBER_CHECK(!(mask & bit), "dim ", wrap_dim(d, rank), " appears multiple times in the list of dims");
    mask |= bit;
  }
  return mask & every;
}
inline cpu::DimMask dim_mask(const Tensor& x, OptInt dim) {
  return dim ? dims_mask(x, DimsView(&*dim, 1)) : dims_mask(x, {});
}

inline Dims reduced_sizes(const Tensor& x, cpu::DimMask mask, bool keepdim) {
  Dims sizes;
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (!(mask >> d & 1)) sizes.push_back(x.sizes()[d]);
    else if (keepdim) sizes.push_back(1);
  }
  return sizes;
}
inline int64_t reduced_count(const Tensor& x, cpu::DimMask mask) {
  int64_t n = 1;
  for (int64_t d = 0; d < x.dim(); ++d) n *= mask >> d & 1 ? x.sizes()[d] : 1;
  return n;
}
inline Meta reduced_meta(const Tensor& x, cpu::DimMask mask, bool keepdim, DType dtype) {
  return Meta(reduced_sizes(x, mask, keepdim), dtype, x.device());
}

// g of a reduced shape, with the reduced dims back as 1; and spread over x's shape.
inline Tensor keep_dims(const Tensor& g, const Tensor& x, cpu::DimMask mask, bool keepdim) {
  return keepdim || g.dim() == x.dim() ? g : reshape(g, reduced_sizes(x, mask, true));
}
inline Tensor spread(const Tensor& g, const Tensor& x, cpu::DimMask mask, bool keepdim) {
  return expand(keep_dims(g, x, mask, keepdim), x.sizes());
}
inline Tensor as_dtype_of(const Tensor& g, const Tensor& x) {
  return g.dtype() == x.dtype() ? g : to_dtype(g, x.dtype());
}

// The type that kernels compute a dtype in.
inline DType compute_type(DType d) {
  return is_reduced_float(d) ? DType::kFloat32 : is_floating(d) || is_complex(d) ? d : DType::kInt64;
}

}  // namespace ember
