// Pointwise and reduction kernels of the table run by OpenCL on operands that lie in CPU memory: up, through the
// kernel, down again. The way on which the written kernels are held against the CPU's tiles; it is not a device that
// tensors live on.
#pragma once

#include "op/gpu_reduce.h"
#include "op/gpu_source.h"

namespace ember {

// What pointwise_run (which = -1) and pointwise_partial compute, computed there. For a partial, g and y are its own.
EMBER_API Tensor opencl_pointwise(const Op& op, int which, const Tensor& g, const Value* args, const Tensor& y);
// Compiles kernels of contiguous operands together, which is faster than one by one.
EMBER_API void opencl_prepare(Span<PointwiseKernel> kernels);
// What cpu::reduce computes, without the reduced dims; the result has the dtype `out`.
EMBER_API Tensor opencl_reduce(const Tensor& x, cpu::DimMask mask, cpu::Reduction rule, Compute compute, DType out,
                               cpu::Finish finish = cpu::Finish::kNone, double p = 0);

}  // namespace ember
