// What isa/pool.cc gives to pool.cc: one tap of a pooling window for a whole row of outputs, or whole windows by table.
// S stored, T compute type.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace ember::cpu {

template <class S, class T>
struct PoolTable {
  // best[i] = max(best[i], x[i * step]), first of equals, nan wins; where[i] follows as at + i * at_step.
  void (*max)(const S* x, int64_t step, int64_t n, T* best, int32_t* where, int32_t at, int32_t at_step);
  // best[i] = max over the taps of x[base[i] + offsets[tap]], where[i] = that index; offsets[0] is 0.
  void (*max_windows)(const S* x, const int32_t* base, const int32_t* offsets, int64_t taps, int64_t n, T* best,
                      int32_t* where);
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
