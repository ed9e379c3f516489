// The tensor reader: the vocabulary of pointwise rules as ops, so that a rule read with tensors is differentiable.
// Words that are also names of ops come from op/ops.h; here stand those that PyTorch spells otherwise.
#pragma once

#include "op/ops.h"

namespace ember {

inline Tensor min(const Tensor& x, const Tensor& y) { return minimum(x, y); }
inline Tensor max(const Tensor& x, const Tensor& y) { return maximum(x, y); }
inline Tensor floor_div(const Tensor& x, const Tensor& y) { return floor_divide(x, y); }
inline Tensor fma(const Tensor& x, const Tensor& y, const Tensor& z) { return x * y + z; }
inline Tensor select(const Tensor& c, const Tensor& x, const Tensor& y) { return where(c, x, y); }

}  // namespace ember
