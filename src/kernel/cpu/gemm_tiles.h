// What the per-instruction-set part of GEMM (isa/gemm.cc) gives to the drivers (gemm.cc, conv.cc, attention.cc):
// packers and register tiles for f32 and f64, as a table of plain functions. The tile is the one inner loop of every
// contraction: C[m, n] (+)= alpha * sum_k A[k, m] * B[k, n], with A and B k-major, packed or where they are, and B's
// rows found by a stride or by a table of offsets (which is how convolution reads its image without building columns).
// Every element of C is one chain of fma over k in order, whatever the tile: bits depend on k and the K blocking only.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace ember::cpu {

inline constexpr int64_t kGemmKc = 256;  // K block: partial sums of this many products are added up in order
inline constexpr int kMaxTileRows = 12;  // upper bound over instruction sets
inline constexpr int kMaxTileVectors = 4;
inline constexpr int kDotRows = 4;
inline constexpr int64_t kTileSlack = 64;  // elements that packers and tiles may touch behind a buffer they were given

enum class TileAdd : int { kNone, kC, kColumnBias, kRowBias };  // what alpha * A B is added to

template <class T>
struct Tile {
  int64_t k;
  const T* a;  // a[p * lda + i]
  int64_t lda;
  const T* b;  // row p is at b + p * ldb, or at b + offsets[p] when offsets is given; whole registers are read
  int64_t ldb;
  const int64_t* offsets;
  T* c;  // c[i * ldc + j]
  int64_t ldc;
  int64_t columns;  // columns of C that are written: at most vectors * lanes
  T alpha, beta;
  TileAdd add;  // kC: beta * C; k*Bias: bias[j] or bias[i]
  const T* bias;
};

template <class T>
struct GemmTable {
  int lanes;  // elements of a register
  int rows;   // the full tile is rows x (vectors * lanes)
  int vectors;
  int thin_rows;  // up to this many rows a tile may be kMaxTileVectors wide
  void (*tile[kMaxTileRows + 1][kMaxTileVectors + 1])(const Tile<T>&);  // [rows][vectors]; null where not built

  // Source kinds for the packers: 0 = T itself, 1 = f16, 2 = bf16 (f32 only).
  // pack_a: panels of `rows` rows (the last one as high as what is left), each [k][height].
  void (*pack_a[3])(const void* a, int64_t row_stride, int64_t col_stride, int64_t m, int64_t k, T* out);
  // pack_b: panels of `width` columns, each [k][width]; the last one is filled up to whole registers.
  void (*pack_b[3])(const void* b, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n, int64_t width, T* out);
  // out[j] (+)= sum_p x[p] * b[p * ldb + j] over contiguous rows of b: the tile of one row, turned inside out so that a
  // wide matrix streams. `first` starts from 0.
  void (*row_times)(const T* x, const T* b, int64_t ldb, int64_t k, int64_t n, bool first, T* out);
  // out[i * ldout + j] = sum_p x[i * ldx + p] * b[j * ldb + p] for rows i < m <= kDotRows and up to 2 * lanes columns
  // j, by transposing b in registers: the tile of few rows, without a packed copy. b's kind as for the packers.
  void (*dots[3])(const T* x, int64_t ldx, int64_t m, const void* b, int64_t ldb, int64_t k, int64_t n, T* out,
                  int64_t ldout);
};

template <class T>
const GemmTable<T>& gemm_table();  // of the instruction set in use
extern template const GemmTable<float>& gemm_table<float>();
extern template const GemmTable<double>& gemm_table<double>();

}  // namespace ember::cpu
