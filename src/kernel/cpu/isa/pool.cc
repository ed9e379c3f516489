// Rows of pooling for one instruction set. Plain loops without branches, which the compiler turns into vectors; the
// usual steps 1 and 2 are spelled out so that it knows them.
#include "kernel/cpu/isa/lanes.h"
#include "kernel/cpu/pool_kernels.h"

namespace ember::cpu::EMBER_ISA {
namespace {

template <class T, class S>
EMBER_INLINE T as(S x) {
  if constexpr (__is_same(S, T)) return x;
  else return to_f32(x);
}

template <class S, class T, class Step>
EMBER_INLINE void max_steps(const S* x, Step step, int64_t n, T* __restrict best, int32_t* __restrict where, int32_t at,
                            int32_t at_step) {
  for (int64_t i = 0; i < n; ++i) {
    const T v = as<T>(x[i * step]);
    const bool better = (v > best[i]) | (v != v);
    best[i] = better ? v : best[i];
    where[i] = better ? at + static_cast<int32_t>(i) * at_step : where[i];
  }
}
template <class S, class T>
void max_row(const S* x, int64_t step, int64_t n, T* best, int32_t* where, int32_t at, int32_t at_step) {
  struct One {
    EMBER_INLINE operator int64_t() const { return 1; }
  };
  struct Two {
    EMBER_INLINE operator int64_t() const { return 2; }
  };
  if (step == 1) max_steps(x, One{}, n, best, where, at, at_step);
  else if (step == 2) max_steps(x, Two{}, n, best, where, at, at_step);
  else max_steps(x, step, n, best, where, at, at_step);
}

template <class S, class T>
void max_windows(const S* x, const int32_t* base, const int32_t* offsets, int64_t taps, int64_t n, T* __restrict best,
                 int32_t* __restrict where) {
  for (int64_t i = 0; i < n; ++i) best[i] = as<T>(x[base[i]]), where[i] = base[i];
  for (int64_t t = 1; t < taps; ++t) {
    const S* tap = x + offsets[t];
    for (int64_t i = 0; i < n; ++i) {
      const T v = as<T>(tap[base[i]]);
      const bool better = (v > best[i]) | (v != v);
      best[i] = better ? v : best[i];
      where[i] = better ? base[i] + offsets[t] : where[i];
    }
  }
}

template <class S, class T>
void add_row(const S* x, int64_t step, int64_t n, T* __restrict sum) {
  if (step == 1)
    for (int64_t i = 0; i < n; ++i) sum[i] += as<T>(x[i]);
  else if (step == 2)
    for (int64_t i = 0; i < n; ++i) sum[i] += as<T>(x[2 * i]);
  else
    for (int64_t i = 0; i < n; ++i) sum[i] += as<T>(x[i * step]);
}
template <class T>
void scatter_row(const T* __restrict g, int64_t n, T* dx, int64_t step) {
  if (step == 1)
    for (int64_t i = 0; i < n; ++i) dx[i] += g[i];
  else
    for (int64_t i = 0; i < n; ++i) dx[i * step] += g[i];
}

}  // namespace

#define EMBER_POOL_TABLE(S, T, name) \
  extern const PoolTable<S, T> pool_##name; \
  const PoolTable<S, T> pool_##name = {max_row<S, T>, max_windows<S, T>, add_row<S, T>, scatter_row<T>};
EMBER_POOL_TYPES(EMBER_POOL_TABLE)

}  // namespace ember::cpu::EMBER_ISA
