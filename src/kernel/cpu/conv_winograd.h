// Convolutions of 3 x 3 at stride 1 by Winograd's F(2 x 2, 3 x 3): 16 products for four outputs in place of 36.
#pragma once

#include <optional>

#include "kernel/cpu/conv_gather.h"

namespace ember::cpu::conv {

// Both directions as one: y[i, g * m + r] = bias + sum over channels and taps of w * x, x padded by `padding`.
struct Winograd {
  int64_t batch, groups, channels, m;  // channels and m per group
  int64_t in[2], out[2], padding[2];
  Strides from, to;
  bool turned;  // tap t is tap 8 - t of the filter
};

// c's forward, or its gradient to the data. None where it is impossible or not worth it: other kernels, and few
// channels, where the transforms outweigh what they save.
std::optional<Winograd> winograd_of(const Conv& c, bool to_data);
void winograd(const Winograd& c, const float* x, const Filter<float>& filter, const float* bias, float* y);
// The forward convolution's gradient to its weight, [groups * m][channels][9].
void winograd_weight(const Winograd& c, const float* x, const float* dy, float* dweight);

}  // namespace ember::cpu::conv
