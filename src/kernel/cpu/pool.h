// Pooling over 1, 2 or 3 spatial dimensions, forward and backward: max (with indices), average, and the adaptive forms.
// Sums of f16/bf16 run in f32. An output element is reduced in row-major order of its window, whatever the threads.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace ember::cpu {

// x: [planes, in..., inner], y: [planes, out..., inner]. Channels-first memory has planes = batch * channels, inner =
// 1; channels-last has planes = batch, inner = channels. Unused dimensions keep size 1. ceil_mode is in `out` already.
struct Pool {
  int64_t planes = 0, inner = 1;
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, padding[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
  bool adaptive = false;          // window i is [i * in / out, ceil((i + 1) * in / out)); kernel etc. are ignored
  bool count_include_pad = true;  // averages only
  int64_t divisor_override = 0;   // 0: none
};

// indices (may be null): where in its plane's `in` volume each maximum lies, the first of equals; nan wins.
// Any real dtype but bool.
void max_pool(DType dtype, const Pool& pool, const void* x, void* y, int64_t* indices);
void max_pool_backward(DType dtype, const Pool& pool, const void* dy, const int64_t* indices, void* dx);

// f16, bf16, f32, f64, and int64 (forward; truncating division).
void avg_pool(DType dtype, const Pool& pool, const void* x, void* y);
void avg_pool_backward(DType dtype, const Pool& pool, const void* dy, void* dx);

}  // namespace ember::cpu
