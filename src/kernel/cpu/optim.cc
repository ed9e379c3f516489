// Drivers of the optimizers' kernels: a list of tensors as one flat range, cut into pieces that may begin and end
// inside a tensor. Every element is computed by itself, so where the cuts lie changes no bit.
#include "kernel/cpu/optim.h"

#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "kernel/cpu/float_types.h"

namespace ember::cpu {

EMBER_PER_ISA(extern const OptimTable optim_tables[4];)

namespace {

constexpr int64_t kPiece = 1 << 15;  // elements worth handing to another thread

const OptimTable& table_for(DType dtype) {
  static const OptimTable* const tables = EMBER_PICK(optim_tables);
  switch (dtype) {
    case DType::kFloat16: return tables[0];
    case DType::kBFloat16: return tables[1];
    case DType::kFloat32: return tables[2];
    case DType::kFloat64: return tables[3];
    default: fail<NotImplementedError>("optimizer step: parameters must be floating point, but got ", dtype);
  }
}

// The part [begin, end) of a slot.
OptimSlot part(const OptimSlot& whole, int64_t begin, int64_t end, int64_t item) {
  OptimSlot s = whole;
  const int64_t skip = begin * item;
  s.param = static_cast<char*>(s.param) + skip;
  s.grad = static_cast<const char*>(s.grad) + skip;
  for (void*& state : s.state) {
    if (state) state = static_cast<char*>(state) + skip;
  }
  s.size = end - begin;
  return s;
}

template <class Args>
void run(Span<OptimSlot> slots, DType dtype, const Args& args, void (*kernel)(const OptimSlot&, const Args&)) {
  int64_t total = 0;
  for (const OptimSlot& s : slots) total += s.size;
  if (total <= kPiece) {
    for (const OptimSlot& s : slots) kernel(s, args);
    return;
  }
  std::vector<int64_t> ends;  // where each slot ends in the flat range
  ends.reserve(slots.size());
  for (const OptimSlot& s : slots) ends.push_back((ends.empty() ? 0 : ends.back()) + s.size);
  parallel_for(0, total, kPiece, [&](int64_t begin, int64_t end) {
    size_t k = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin());
    for (; begin < end; ++k) {
      const int64_t start = ends[k] - slots[k].size, stop = std::min(end, ends[k]);
      kernel(part(slots[k], begin - start, stop - start, item_size(dtype)), args);
      begin = stop;
    }
  });
}

}  // namespace

void sgd_step(Span<OptimSlot> slots, DType dtype, const SgdArgs& args) {
  run(slots, dtype, args, table_for(dtype).sgd);
}
void adam_step(Span<OptimSlot> slots, DType dtype, const AdamArgs& args) {
  run(slots, dtype, args, table_for(dtype).adam);
}
void rmsprop_step(Span<OptimSlot> slots, DType dtype, const RmspropArgs& args) {
  run(slots, dtype, args, table_for(dtype).rmsprop);
}
void adagrad_step(Span<OptimSlot> slots, DType dtype, const AdagradArgs& args) {
  run(slots, dtype, args, table_for(dtype).adagrad);
}

}  // namespace ember::cpu
