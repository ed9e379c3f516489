// One step of an optimizer over many tensors at once: the whole list is one flat range of elements, cut into pieces for
// the threads, so a hundred tiny parameters cost one call and a huge one uses all threads.
// The formulas, and the order of their operations, are those of PyTorch's loops over single tensors. Every operation is
// rounded by itself (no fma), so all instruction sets give the same bits. f16 and bf16 are computed in f32.
#pragma once

#include <cstdint>

#include "base/span.h"
#include "tensor/dtype.h"

namespace ember::cpu {

// One parameter: dense arrays of `size` elements of one dtype. Which buffers there are depends on the optimizer; rate
// and scale hold what depends on how many steps the parameter has had.
struct OptimSlot {
  void* param;
  const void* grad;
  void* state[3];
  int64_t size;
  double rate, scale;
};

// state: momentum buffer (if momentum != 0). On a `first` step the buffer becomes the gradient.
struct SgdArgs {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize, first;
};
// state: mean, mean of squares, their maximum (amsgrad). rate: lr / (1 - beta1^t), scale: sqrt(1 - beta2^t).
// shrink: the factor on the parameter, 1 - lr * weight_decay where decay is decoupled; weight_decay is 0 there.
struct AdamArgs {
  double beta1, beta2, eps, weight_decay, shrink;
  bool amsgrad, maximize;
};
// state: mean of squares, mean (centered), momentum buffer (if momentum > 0).
struct RmspropArgs {
  double lr, alpha, eps, weight_decay, momentum;
  bool centered, maximize;
};
// state: sum of squares. rate: lr / (1 + (t - 1) * lr_decay).
struct AdagradArgs {
  double eps, weight_decay;
  bool maximize;
};

// dtype: f16, bf16, f32 or f64, of every array.
void sgd_step(Span<OptimSlot> slots, DType dtype, const SgdArgs& args);
void adam_step(Span<OptimSlot> slots, DType dtype, const AdamArgs& args);
void rmsprop_step(Span<OptimSlot> slots, DType dtype, const RmspropArgs& args);
void adagrad_step(Span<OptimSlot> slots, DType dtype, const AdagradArgs& args);

// What isa/optim.cc gives, per instruction set and dtype: a slot's elements, on one thread.
struct OptimTable {
  void (*sgd)(const OptimSlot& slot, const SgdArgs& args);
  void (*adam)(const OptimSlot& slot, const AdamArgs& args);
  void (*rmsprop)(const OptimSlot& slot, const RmspropArgs& args);
  void (*adagrad)(const OptimSlot& slot, const AdagradArgs& args);
};

}  // namespace ember::cpu
