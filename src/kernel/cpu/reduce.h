// Reductions over any set of dims of any layout. A result's bits depend on the reduced elements in their logical order
// and on nothing else: not on strides, the other outputs, or threads (the tree stands in reduce_kernels.h).
// f16 and bf16 are computed in f32, integers in i64. Destinations may have any strides and dtype.
#pragma once

#include "kernel/cpu/reduce_kernels.h"
#include "tensor/tensor.h"

namespace ember::cpu {

// Bit d of a mask: dim d is reduced. Destinations have the shape of x without the reduced dims, or with them as 1.
using DimMask = uint64_t;

enum class Finish : uint8_t { kNone, kMean, kSqrt, kRoot };  // what is done to the joined result; kRoot: the p-th

// y = finish(reduction of x), computed in f32, f64, i64 or u64 (or complex, for kSum and kProd).
void reduce(const Tensor& y, const Tensor& x, DimMask mask, Reduction r, DType compute, Finish finish = Finish::kNone,
            double p = 0);
// log of the sum of exp(x), without overflow. Any floating dtype.
void log_sum_exp(const Tensor& y, const Tensor& x, DimMask mask);
// Is any (all) of the elements true?
void any_all(const Tensor& y, const Tensor& x, DimMask mask, bool all);
// Variance (or its root) and mean, each where it is defined. Any floating dtype.
void var_mean(const Tensor& var, const Tensor& mean, const Tensor& x, DimMask mask, double correction, bool root);
// The most extreme element and its index among the reduced ones, each where it is defined; the first of equals, and
// nan before everything. The index counts in logical order.
void extreme(const Tensor& values, const Tensor& indices, const Tensor& x, DimMask mask, bool largest);

}  // namespace ember::cpu
