// What isa/rows.cc gives to rows.cc and attention.cc, per instruction set: loops over one row, or over a band of
// columns. S is the stored type, T the compute type (float for f16, bf16 and f32). No threads, no allocation.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace ember::cpu {

inline constexpr int64_t kBand = 64;  // columns that the `columns` kernels take at a time, at most

template <class S, class T>
struct RowTable {
  // One contiguous row of n; work: T[n], unused (and may be null) when S is T.
  void (*softmax)(const S* x, S* y, T* work, int64_t n, bool log);
  void (*softmax_backward)(const S* y, const S* g, S* dx, int64_t n, bool log);
  // A band of `width` <= kBand columns, rows `stride` apart.
  void (*softmax_columns)(const S* x, S* y, int64_t n, int64_t stride, int64_t width, bool log);
  void (*softmax_backward_columns)(const S* y, const S* g, S* dx, int64_t n, int64_t stride, int64_t width, bool log);

  T (*sum)(const S* x, int64_t n);
  T (*sum_squares)(const S* x, int64_t n, T center);                    // of x - center
  void (*dots)(const S* g, const S* x, int64_t n, T center, T out[2]);  // sum g, sum g * (x - center)
  void (*dots_weighted)(const S* g, const S* x, const T* w, int64_t n, T center, T out[2]);  // with g * w for g
  void (*affine)(const S* x, S* y, int64_t n, T center, T scale, T shift);  // (x - center) * scale + shift
  void (*affine_weighted)(const S* x, S* y, int64_t n, T center, T scale, const T* w, const T* b);  // b may be null
  // dx = a * g (* w) + b * (x - center) + c; w may be null
  void (*combine)(const S* g, const S* x, const T* w, S* dx, int64_t n, T center, T a, T b, T c);

  // Column forms over [rows, width] with rows `stride` apart; the sums are added to what is there.
  void (*column_sums)(const S* x, int64_t rows, int64_t stride, int64_t width, T* sum);
  void (*column_squares)(const S* x, int64_t rows, int64_t stride, int64_t width, const T* center, T* sum);
  void (*column_dots)(const S* g, const S* x, int64_t rows, int64_t stride, int64_t width, const T* center, T* sum_g,
                      T* sum_gx);
  // sum_g += g, sum_gx += g * (x - mean[row]) * rstd[row]; mean may be null (0)
  void (*column_dots_rows)(const S* g, const S* x, int64_t rows, int64_t stride, int64_t width, const T* mean,
                           const T* rstd, T* sum_g, T* sum_gx);
  void (*affine_columns)(const S* x, S* y, int64_t n, const T* center, const T* scale, const T* shift);
  void (*combine_columns)(const S* g, const S* x, S* dx, int64_t n, const T* center, const T* a, const T* b,
                          const T* c);
};

template <class S, class T>
const RowTable<S, T>& row_table();  // of the instruction set in use

}  // namespace ember::cpu
