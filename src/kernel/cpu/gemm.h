// General matrix product C = alpha * A B + beta * C (+ bias) for every dtype but bool, over strided matrices.
// f32/f64 run packed register tiles (isa/gemm.cc); f16/bf16 are widened while packing and accumulate in f32; complex
// runs as four real products; integers wrap around. A row of C has the same bits at any thread count, alone or among
// others: each element is a chain of fma in blocks of kGemmKc products, whose sums are added in order.
#pragma once

#include <complex>
#include <cstdint>

#include "tensor/dtype.h"

namespace ember::cpu {

enum class Bias { kNone, kColumn, kRow };  // one number a column of C (length n), or a row (length m)

// Strides are in elements and may be anything, 0 and negative included, for A and B; C's elements must be distinct.
// A, B, C and bias share one dtype. With a bias, beta must be 0. C is not read when beta is 0.
struct Gemm {
  int64_t m = 0, n = 0, k = 0;
  const void* a = nullptr;  // [m, k]
  int64_t a_row = 0, a_col = 1;
  const void* b = nullptr;  // [k, n]
  int64_t b_row = 0, b_col = 1;
  void* c = nullptr;  // [m, n]
  int64_t c_row = 0, c_col = 1;
  std::complex<double> alpha = 1, beta = 0;  // integers take the real part, rounded to the dtype
  const void* bias = nullptr;                // contiguous
  Bias bias_kind = Bias::kNone;
};

void gemm(DType dtype, const Gemm& g);

// `batch` products; operand i starts stride_x * i elements behind its pointer (0 repeats it). The bias is shared.
void gemm_batched(DType dtype, const Gemm& g, int64_t batch, int64_t stride_a, int64_t stride_b, int64_t stride_c);

// BLAS-like form over row-major matrices: op(A) is [m, k], op(B) is [k, n]; lda, ldb, ldc are the row pitches as
// stored.
void gemm(DType dtype, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, double alpha, const void* a,
          int64_t lda, const void* b, int64_t ldb, double beta, void* c, int64_t ldc);

}  // namespace ember::cpu
