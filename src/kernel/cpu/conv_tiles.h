// What isa/conv.cc gives to convolution (conv_gather.h, conv_weight.cc), per instruction set: register tiles whose
// lanes are output channels, so that a position of the image is one broadcast wherever it lies; and, for convolutions
// of one channel to one channel, loops whose lanes are positions. Sums are chains of fma over k in order, as in
// gemm_tiles.h.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace ember::cpu {

inline constexpr int kMaxConvColumns = 14;  // positions along a row that a tile may take
inline constexpr int kMaxConvVectors = 4;

// Sources of n consecutive k: x[offset], x[offset + step] ...
struct Run {
  int64_t offset, n, step;
};

// out[position][lane] = bias[lane] + sum over the runs of x[position + source] * w[k][lane], for R rows of M positions
// (the second row `pitch` elements behind the first in x) and N registers of lanes.
template <class T>
struct ConvTile {
  const T* x;
  int64_t pitch;
  const Run* runs;
  int64_t run_count;
  const T* w;     // [k][N * lanes]
  const T* bias;  // [N * lanes]
  T* out;         // [R * M][N * lanes]
  bool add;       // to what is in out in place of the bias: K blocks after the first
};

template <class T>
struct ConvTable {
  int lanes;
  int sums;  // registers that hold sums: R * M * N at most
  void (*tile[3][kMaxConvColumns + 1][kMaxConvVectors + 1])(const ConvTile<T>&);  // [R][M][N]; null where not built
  // The same for one row whose positions are `lanes` elements apart in x (f32 only, as what is Winograd's below).
  void (*blocked[kMaxConvColumns + 1][kMaxConvVectors + 1])(const ConvTile<T>&);
  // y[channel * stride + position] = c[position * pitch + channel], as f32/f64, f16 or bf16 (the packers' kinds).
  void (*planes[3])(const T* c, int64_t pitch, int64_t positions, int64_t channels, void* y, int64_t stride);
  // Rows of `pitch` numbers: `left` zeros, n numbers of x, zeros.
  void (*pad_rows)(const T* x, int64_t x_pitch, int64_t rows, int64_t n, int64_t left, int64_t pitch, T* out);

  // y[j] = bias + sum_t w[t] * x[offsets[t] + j], j < n.
  void (*taps)(const T* x, const int64_t* offsets, const T* w, int64_t count, T bias, int64_t n, T* y);
  // sums[t] += sum_j g[j] * x[offsets[t] + j], j < n: row after row of an image, `g_pitch` and `x_pitch` apart.
  void (*tap_sums)(const T* x, int64_t x_pitch, const T* g, int64_t g_pitch, int64_t rows, int64_t n,
                   const int64_t* offsets, int64_t count, T* sums);

  // conv_winograd.cc's: pixels of `channels` <= lanes planes as [position][lane], rows of `width` pixels laid `pitch`
  // apart; rows of tiles transformed, 16 parts each `pitch` elements apart; 3 x 3 filters [channel][9][width].
  void (*to_lanes)(const T* x, int64_t stride, int64_t channels, int64_t positions, int64_t width, int64_t pitch,
                   T* out);
  void (*winograd_input)(const T* x, int64_t pitch, int64_t tiles, T* v, int64_t v_pitch);
  void (*winograd_output)(const T* m, int64_t m_pitch, int64_t width, int64_t tiles, const T* bias, T* top, T* bottom);
  void (*winograd_filter)(const T* g, int64_t width, int64_t channels, bool turned, T* u, int64_t u_pitch);
  void (*winograd_spread)(const T* y, int64_t pitch, int64_t tiles, T* z, int64_t z_pitch, int64_t width);
  void (*winograd_gather)(const T* u, int64_t u_pitch, int64_t width, int64_t channels, T* g);
};

template <class T>
const ConvTable<T>& conv_table();  // of the instruction set in use
template <>
const ConvTable<float>& conv_table<float>();
template <>
const ConvTable<double>& conv_table<double>();

}  // namespace ember::cpu
