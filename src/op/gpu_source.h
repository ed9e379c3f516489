// The symbol reader's other end: kernel texts of pointwise ops, written from what their rules recorded.
// A kernel loads its operands as they are stored (any dtype, any strides), computes in the compute type, every node of
// the expression one temporary, and converts at the store. Host and text agree on the order of arguments here.
#pragma once

#include <string>
#include <vector>

#include "kernel/gpu/prelude.h"
#include "op/pointwise.h"

namespace ember {

struct PointwiseKernel {
  const Op* op = nullptr;
  int which = -1;  // forward, else a partial
  Compute compute = Compute::kF32;
  // Operands as they are stored: g, the inputs, the result (as SymNode::index counts); empty: as they are computed.
  std::vector<DType> dtypes{};
  DType out = DType::kFloat32;
  int rank = 0;       // dims of the loop; 0: all operands are contiguous
  bool wide = false;  // 64-bit indices

  std::string name() const;  // of the kernel: unique in its text and meaning
};

struct KernelText {
  std::string text;  // without the prelude
  // Which operands it takes, by bit. Its arguments, in this order: for each of these operands its buffer, its element
  // offset and `rank` strides; the same of the result; `rank` sizes; the number of elements; the attributes in the
  // compute type (complex ones as two). Offsets, strides, sizes and number are i64 where `wide`, else i32.
  uint32_t reads = 0;
};

// Does the op have this: a type that it is defined for, a partial that exists and is differentiable in it?
EMBER_API bool has_kernel(const Op& op, int which, Compute compute);
// The dtype that the expression yields when it computes in `compute`.
EMBER_API DType kernel_result(const Op& op, int which, Compute compute);
EMBER_API KernelText write_kernel(const PointwiseKernel& kernel);
// A whole program: the prelude and the contiguous and the strided kernel over operands stored as they are computed.
EMBER_API std::string pointwise_source(const Op& op, int which, Compute compute, gpu::Dialect dialect);

}  // namespace ember
