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

// N numbers at a time, as a register or a few.
template <int N, class T>
EMBER_INLINE void max_group(const T* x, int64_t pitch, const MaxWindows& w, int64_t o, T* best, int32_t* where) {
  typedef T Values __attribute__((vector_size(N * sizeof(T))));
  typedef int32_t Places __attribute__((vector_size(N * sizeof(int32_t))));
  const auto load = [&](int64_t at) __attribute__((always_inline)) {
    Values v;
    __builtin_memcpy(&v, x + at * pitch, sizeof v);
    return v;
  };
  const int64_t first = w.rows[0] + w.begin[o];
  Values top = load(first);
  Places place = Places{} + static_cast<int32_t>(first);
  for (int64_t r = 0; r < w.row_count; ++r)
    for (int64_t t = 0; t < w.count[o]; ++t) {
      const int64_t at = w.rows[r] + w.begin[o] + t * w.dilation;
      const Values v = load(at);
      const auto better = (v > top) | (v != v);
      top = better ? v : top;
      place = __builtin_convertvector(better, Places) ? Places{} + static_cast<int32_t>(at) : place;
    }
  __builtin_memcpy(best, &top, sizeof top);
  __builtin_memcpy(where, &place, sizeof place);
}
template <class T>
void max_lanes(const T* x, int64_t pitch, int64_t n, const MaxWindows& w, T* best, int32_t* where) {
  constexpr int64_t N = 16;
  for (int64_t o = 0; o < w.outputs; ++o, best += n, where += n) {
    int64_t i = 0;
    for (; i + N <= n; i += N) max_group<N>(x + i, pitch, w, o, best + i, where + i);
    if (i < n && n >= N) i = n - N, max_group<N>(x + i, pitch, w, o, best + i, where + i), i = n;  // the last, again
    for (; i < n; ++i) max_group<1>(x + i, pitch, w, o, best + i, where + i);
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
  const PoolTable<S, T> pool_##name = {max_row<S, T>, max_lanes<T>, add_row<S, T>, scatter_row<T>};
EMBER_POOL_TYPES(EMBER_POOL_TABLE)

}  // namespace ember::cpu::EMBER_ISA
