// What isa/pool.cc gives to pool.cc: one tap of a pooling window for a whole row of outputs, or whole windows by table.
// S stored, T compute type.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace ember::cpu {

struct MaxWindows {
  const int64_t* rows;  // the first position of each input row that the outputs see
  int64_t row_count;
  const int64_t *begin, *count;  // of each output's taps along the row
  int64_t dilation, outputs;
};

template <class S, class T>
struct PoolTable {
  // best[i] = max(best[i], x[i * step]), first of equals, nan wins; where[i] follows as at + i * at_step.
  void (*max)(const S* x, int64_t step, int64_t n, T* best, int32_t* where, int32_t at, int32_t at_step);
  // best[i] = max over the taps of x[base[i] + offsets[tap]], where[i] = that index; offsets[0] is 0.
  // One row of outputs for n numbers at each position, `pitch` apart: best[o * n + i] is the largest of those that
  // output o sees, where[o * n + i] its position; a tap lies at rows[r] + begin[o] + t * dilation.
  void (*max_lanes)(const T* x, int64_t pitch, int64_t n, const MaxWindows& w, T* best, int32_t* where);
  void (*add)(const S* x, int64_t step, int64_t n, T* sum);     // sum[i] += x[i * step]
  void (*scatter)(const T* g, int64_t n, T* dx, int64_t step);  // dx[i * step] += g[i]
};

#define EMBER_POOL_TYPES(M) \
  M(float, float, f32) \
  M(double, double, f64) \
  M(Half, float, f16) \
  M(BFloat16, float, bf16) \
  M(int64_t, int64_t, i64) \
  M(int32_t, int32_t, i32) \
  M(int16_t, int16_t, i16) \
  M(int8_t, int8_t, i8) \
  M(uint8_t, uint8_t, u8) M(uint16_t, uint16_t, u16) M(uint32_t, uint32_t, u32) M(uint64_t, uint64_t, u64)

}  // namespace ember::cpu
