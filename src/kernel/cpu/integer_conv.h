// Convolution of int64 images: exact (modulo 2^64), by the definition. There is no GEMM of integers to build on, and
// nobody trains on them.
#pragma once

#include "kernel/cpu/conv.h"

namespace ember::cpu {

// y = conv(x, weight) + bias as conv_forward; `transposed`: dx from dy as conv_backward_data. `from` is x or dy, `to`
// the other; bias: one number a channel of `to`, or null.
void conv_integer(const Conv& conv, bool transposed, const int64_t* from, const int64_t* weight, const int64_t* bias,
                  int64_t* to);

}  // namespace ember::cpu
