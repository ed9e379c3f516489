// Convolution over 1, 2 or 3 spatial dimensions: forward, gradients to data and weight, groups, dilation; the
// transposed convolution is backward_data. f32 and f64; f16/bf16 are widened on the way in and rounded on the way out.
// One padded copy of each image is made, split by the stride's phases so that output positions are neighbours in
// memory; GEMM's tile then reads it through a table of offsets: no columns are built, no flop is spent on holes.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace ember::cpu {

// Always the shapes of the forward convolution x -> y; unused trailing dimensions keep their defaults.
//   x: [batch, in_channels, in...], y: [batch, out_channels, out...], or channels last where x_last / y_last say so;
//   weight: [out_channels, in_channels / groups, kernel...], contiguous. Negative padding crops.
struct Conv {
  int64_t batch = 0, in_channels = 0, out_channels = 0, groups = 1;
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, padding[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
  bool x_last = false, y_last = false;
};

// y = conv(x, weight) + bias; bias: [out_channels] or null.
void conv_forward(DType dtype, const Conv& conv, const void* x, const void* weight, const void* bias, void* y);

// dx from dy. As a transposed convolution, dy is the input, dx the output; bias: [in_channels] or null is added to dx.
void conv_backward_data(DType dtype, const Conv& conv, const void* dy, const void* weight, const void* bias, void* dx);

void conv_backward_weight(DType dtype, const Conv& conv, const void* x, const void* dy, void* dweight);

// dbias[c] = sum of dy over batch and space.
void conv_backward_bias(DType dtype, const Conv& conv, const void* dy, void* dbias);

}  // namespace ember::cpu
