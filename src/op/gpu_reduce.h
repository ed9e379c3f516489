// Kernel texts of reductions, written from the same rules that the CPU's vectors take (kernel/reduce_rules.h).
// A work-group makes one result: its lanes walk the reduced elements in steps of the group, then the lanes' results are
// joined as a tree in local memory.
#pragma once

#include <string>

#include "kernel/cpu/reduce.h"
#include "kernel/gpu/prelude.h"
#include "op/pointwise.h"

namespace ember {

// What an entry of the table says it is: a rule, and what is done to the joined result.
struct Reduces {
  cpu::Reduction rule;
  cpu::Finish finish = cpu::Finish::kNone;
};

inline constexpr int kReduceGroup = 128;  // lanes of a work-group

struct ReduceKernel {
  cpu::Reduction rule = cpu::Reduction::kSum;
  cpu::Finish finish = cpu::Finish::kNone;
  Compute compute = Compute::kF32;
  DType in = DType::kFloat32, out = DType::kFloat32;  // as stored
  int kept = 0, reduced = 1;                          // dims of each sort
  bool wide = false;                                  // 64-bit indices

  std::string name() const;
};

// The types that a rule is defined for, as the CPU's table has them.
EMBER_API bool has_reduce_kernel(cpu::Reduction rule, Compute compute);
// Without the prelude. Arguments, in this order: the input, its element offset, its strides over the kept, then over
// the reduced dims; the result, its offset and its strides over the kept dims; the sizes of the kept, then of the
// reduced dims; how many elements are reduced; the order of a norm, in the compute type. One group a result.
EMBER_API std::string write_kernel(const ReduceKernel& kernel);

}  // namespace ember
