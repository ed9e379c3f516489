// Convolution's inner loops for one instruction set (conv_tiles.h). A tile broadcasts M neighbouring positions against
// N registers of output channels: with enough sums in registers the fma units are never idle, and neither alignment nor
// padding of the image matters. No threads, no allocation here.
#include "kernel/cpu/conv_tiles.h"
#include "kernel/cpu/isa/lanes.h"

namespace ember::cpu::EMBER_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kSums = 28;
#else
constexpr int kSums = 12;
#endif

// P: elements from one position to the next in x.
template <class T, int R, int M, int N, int P>
void tile(const ConvTile<T>& t) {
  constexpr int L = kLanes<T>;
  Lanes<T> sum[R * M][N];
#pragma GCC unroll 28
  for (int i = 0; i < R * M; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) sum[i][j] = Lanes<T>{};
  }
  const T* w = t.w;
  for (const Run *run = t.runs, *end = run + t.run_count; run < end; ++run) {
    const T* x[2] = {t.x + run->offset, t.x + run->offset + t.pitch};
    for (int64_t n = run->n; n > 0; --n, w += N * L) {
      Lanes<T> row[N];
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) row[j] = load(w + j * L);
#pragma GCC unroll 28
      for (int i = 0; i < R * M; ++i) {
        const Lanes<T> a = splat(x[i / M][i % M * P]);
#pragma GCC unroll 4
        for (int j = 0; j < N; ++j) sum[i][j] = fma(a, row[j], sum[i][j]);
      }
      x[0] += run->step;
      if (R > 1) x[1] += run->step;
    }
  }
#pragma GCC unroll 28
  for (int i = 0; i < R * M; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      T* out = t.out + (i * N + j) * L;
      store(out, sum[i][j] + load(t.add ? out : t.bias + j * L));
    }
  }
}

// Squares of lanes x lanes, transposed; the rows behind the last position are slack, read and dropped.
template <class T, class S>
void planes(const T* c, int64_t pitch, int64_t positions, int64_t channels, void* out, int64_t stride) {
  constexpr int L = kLanes<T>;
  S* y = static_cast<S*>(out);
  for (int64_t p = 0; p < positions; p += L) {
    const int64_t n = positions - p < L ? positions - p : L;
    for (int64_t ch = 0; ch < channels; ch += L) {
      Lanes<T> r[L];
      load_transposed(c + p * pitch + ch, pitch, L, r);
      const int64_t rows = channels - ch < L ? channels - ch : L;
      if (n == L) {
        for (int64_t q = 0; q < rows; ++q) store_as<T>(y + (ch + q) * stride + p, r[q]);
      } else {
        for (int64_t q = 0; q < rows; ++q) store_as_n<T>(y + (ch + q) * stride + p, r[q], n);
      }
    }
  }
}

// Whole registers run over a row's end into the next one, which is written later; the last row stops where it ends.
template <class T>
void pad_rows(const T* x, int64_t x_pitch, int64_t rows, int64_t n, int64_t left, int64_t pitch, T* out) {
  constexpr int L = kLanes<T>;
  for (int64_t r = 0; r < rows; ++r, x += x_pitch, out += pitch)
    for (int64_t j = 0; j < pitch; j += L) {
      const int64_t skip = left > j ? left - j : 0, end = left + n - j;
      const Lanes<T> v = skip == 0 && end >= L ? load(x + j - left)
                                               : load_between(x + j - left, skip < L ? skip : L, end > 0 ? end : 0);
      if (r + 1 < rows || j + L <= pitch) store(out + j, v);
      else store_n(out + j, v, pitch - j);
    }
}

template <class T, int N>
EMBER_INLINE void taps_of(const T* x, const int64_t* offsets, const T* w, int64_t count, T bias, int64_t n, T* y) {
  constexpr int L = kLanes<T>;
  Lanes<T> sum[N];
#pragma GCC unroll 4
  for (int v = 0; v < N; ++v) sum[v] = splat(bias);
  for (int64_t t = 0; t < count; ++t) {
    const Lanes<T> a = splat(w[t]);
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) sum[v] = fma(a, load(x + offsets[t] + v * L), sum[v]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < N - 1; ++v) store(y + v * L, sum[v]);
  if (n == N * L) store(y + (N - 1) * L, sum[N - 1]);
  else store_n(y + (N - 1) * L, sum[N - 1], n - (N - 1) * L);
}
template <class T>
void taps(const T* x, const int64_t* offsets, const T* w, int64_t count, T bias, int64_t n, T* y) {
  constexpr int L = kLanes<T>;
  for (; n > 0; n -= 4 * L, x += 4 * L, y += 4 * L) {
    if (n > 3 * L) taps_of<T, 4>(x, offsets, w, count, bias, n < 4 * L ? n : 4 * L, y);
    else if (n > 2 * L) taps_of<T, 3>(x, offsets, w, count, bias, n, y);
    else if (n > L) taps_of<T, 2>(x, offsets, w, count, bias, n, y);
    else taps_of<T, 1>(x, offsets, w, count, bias, n, y);
  }
}

// C taps at a time; lanes from a row's end on multiply a zero of g.
template <class T, int C>
EMBER_INLINE void tap_sums_of(const T* x, int64_t x_pitch, const T* g, int64_t g_pitch, int64_t rows, int64_t n,
                              const int64_t* offsets, T* sums) {
  constexpr int L = kLanes<T>;
  Lanes<T> sum[C];
#pragma GCC unroll 10
  for (int t = 0; t < C; ++t) sum[t] = Lanes<T>{};
  for (int64_t r = 0; r < rows; ++r, x += x_pitch, g += g_pitch) {
    for (int64_t j = 0; j < n; j += L) {
      const Lanes<T> y = n - j >= L ? load(g + j) : load_n(g + j, n - j);
#pragma GCC unroll 10
      for (int t = 0; t < C; ++t) {
        const T* source = x + offsets[t] + j;
        sum[t] = fma(y, n - j >= L ? load(source) : load_n(source, n - j), sum[t]);
      }
    }
  }
#pragma GCC unroll 10
  for (int t = 0; t < C; ++t) {
    T total = 0;
    for (int l = 0; l < L; ++l) total += sum[t][l];
    sums[t] += total;
  }
}
template <class T>
void tap_sums(const T* x, int64_t x_pitch, const T* g, int64_t g_pitch, int64_t rows, int64_t n, const int64_t* offsets,
              int64_t count, T* sums) {
  for (; count >= 9; count -= 9, offsets += 9, sums += 9)
    tap_sums_of<T, 9>(x, x_pitch, g, g_pitch, rows, n, offsets, sums);
  for (; count >= 5; count -= 5, offsets += 5, sums += 5)
    tap_sums_of<T, 5>(x, x_pitch, g, g_pitch, rows, n, offsets, sums);
  for (; count > 0; --count, ++offsets, ++sums) tap_sums_of<T, 1>(x, x_pitch, g, g_pitch, rows, n, offsets, sums);
}

// ---- F(2 x 2, 3 x 3) ----

template <class T>
void to_lanes(const T* x, int64_t stride, int64_t channels, int64_t positions, int64_t width, int64_t pitch, T* out) {
  constexpr int L = kLanes<T>;
  int64_t column = 0;
  for (int64_t p = 0; p < positions; p += L) {
    const int64_t n = positions - p < L ? positions - p : L;
    Lanes<T> r[L];
    if (n == L && channels == L) {
      load_transposed(x + p, stride, L, r);
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) r[i] = i < channels ? load_n(x + i * stride + p, n) : Lanes<T>{};
      transpose(r);
    }
    for (int64_t q = 0; q < n; ++q, out += L) {
      store(out, r[q]);
      if (++column == width) column = 0, out += (pitch - width) * L;
    }
  }
}

// One row of tiles: B' d B, where B' d = (d0 - d2, d1 + d2, d2 - d1, d1 - d3).
template <class T>
void winograd_input(const T* x, int64_t pitch, int64_t tiles, T* v, int64_t v_pitch) {
  constexpr int L = kLanes<T>;
  for (int64_t t = 0; t < tiles; ++t, x += 2 * L, v += L) {
    Lanes<T> w[4][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const Lanes<T> d0 = load(x + j * L), d1 = load(x + (pitch + j) * L), d2 = load(x + (2 * pitch + j) * L),
                     d3 = load(x + (3 * pitch + j) * L);
      w[0][j] = d0 - d2, w[1][j] = d1 + d2, w[2][j] = d2 - d1, w[3][j] = d1 - d3;
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      store(v + (4 * i) * v_pitch, w[i][0] - w[i][2]);
      store(v + (4 * i + 1) * v_pitch, w[i][1] + w[i][2]);
      store(v + (4 * i + 2) * v_pitch, w[i][2] - w[i][1]);
      store(v + (4 * i + 3) * v_pitch, w[i][1] - w[i][3]);
    }
  }
}

// One row of tiles: A' m A + bias, where A' m = (m0 + m1 + m2, m1 - m2 - m3).
template <class T>
void winograd_output(const T* m, int64_t m_pitch, int64_t width, int64_t tiles, const T* bias, T* top, T* bottom) {
  constexpr int L = kLanes<T>;
  for (int64_t t = 0; t < tiles; ++t, m += width, top += 2 * width, bottom += 2 * width)
    for (int64_t k = 0; k < width; k += L) {
      Lanes<T> w[2][4];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const T* from = m + j * m_pitch + k;
        const Lanes<T> m0 = load(from), m1 = load(from + 4 * m_pitch), m2 = load(from + 8 * m_pitch),
                       m3 = load(from + 12 * m_pitch);
        w[0][j] = m0 + m1 + m2, w[1][j] = m1 - m2 - m3;
      }
      const Lanes<T> b = load(bias + k);
      store(top + k, w[0][0] + w[0][1] + w[0][2] + b), store(top + width + k, w[0][1] - w[0][2] - w[0][3] + b);
      store(bottom + k, w[1][0] + w[1][1] + w[1][2] + b), store(bottom + width + k, w[1][1] - w[1][2] - w[1][3] + b);
    }
}

// G g G', where G g = (g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2); `turned` reads g from its end.
template <class T>
void winograd_filter(const T* g, int64_t width, int64_t channels, bool turned, T* u, int64_t u_pitch) {
  constexpr int L = kLanes<T>;
  const Lanes<T> half = splat(T(0.5));
  auto expand = [&](const Lanes<T>* a, int step, Lanes<T>* out) __attribute__((always_inline)) {
    const Lanes<T> ends = a[0] + a[2 * step], middle = a[step];
    out[0] = a[0], out[1] = (ends + middle) * half, out[2] = (ends - middle) * half, out[3] = a[2 * step];
  };
  for (int64_t c = 0; c < channels; ++c, g += 9 * width, u += width)
    for (int64_t k = 0; k < width; k += L) {
      Lanes<T> a[9], w[3][4], out[4];
#pragma GCC unroll 9
      for (int t = 0; t < 9; ++t) a[t] = load(g + (turned ? 8 - t : t) * width + k);
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j) expand(a + j, 3, w[j]);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const Lanes<T> row[3] = {w[0][i], w[1][i], w[2][i]};
        expand(row, 1, out);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) store(u + (4 * i + j) * u_pitch + k, out[j]);
      }
    }
}

// The transforms' adjoints, for the filters' gradient. A y A', where A y = (y0, y0 + y1, y0 - y1, -y1).
template <class T>
void winograd_spread(const T* y, int64_t pitch, int64_t tiles, T* z, int64_t z_pitch, int64_t width) {
  constexpr int L = kLanes<T>;
  for (int64_t t = 0; t < tiles; ++t, y += 2 * L, z += width) {
    Lanes<T> w[4][2];
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      const Lanes<T> y0 = load(y + j * L), y1 = load(y + (pitch + j) * L);
      w[0][j] = y0, w[1][j] = y0 + y1, w[2][j] = y0 - y1, w[3][j] = -y1;
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      store(z + (4 * i) * z_pitch, w[i][0]), store(z + (4 * i + 1) * z_pitch, w[i][0] + w[i][1]);
      store(z + (4 * i + 2) * z_pitch, w[i][0] - w[i][1]), store(z + (4 * i + 3) * z_pitch, -w[i][1]);
    }
  }
}

// G' u G, where G' u = (u0 + (u1 + u2) / 2, (u1 - u2) / 2, (u1 + u2) / 2 + u3).
template <class T>
void winograd_gather(const T* u, int64_t u_pitch, int64_t width, int64_t channels, T* g) {
  constexpr int L = kLanes<T>;
  const Lanes<T> half = splat(T(0.5));
  auto fold = [&](const Lanes<T>* a, int step, Lanes<T>* out) __attribute__((always_inline)) {
    const Lanes<T> sum = (a[step] + a[2 * step]) * half;
    out[0] = a[0] + sum, out[1] = (a[step] - a[2 * step]) * half, out[2] = sum + a[3 * step];
  };
  for (int64_t c = 0; c < channels; ++c, u += width, g += 9 * width)
    for (int64_t k = 0; k < width; k += L) {
      Lanes<T> a[16], w[4][3], out[3];
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) a[i] = load(u + i * u_pitch + k);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) fold(a + j, 4, w[j]);
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) {
        const Lanes<T> row[4] = {w[0][i], w[1][i], w[2][i], w[3][i]};
        fold(row, 1, out);
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) store(g + (3 * i + j) * width + k, out[j]);
      }
    }
}

template <class T, int R, int N, int M>
constexpr void fill_columns(ConvTable<T>& t) {
  t.tile[R][M][N] = tile<T, R, M, N, 1>;
  if constexpr (R == 1 && sizeof(T) == 4) t.blocked[M][N] = tile<T, R, M, N, kLanes<T>>;
  if constexpr (M > 1) fill_columns<T, R, N, M - 1>(t);
}
template <class T, int R, int N>
constexpr void fill_tiles(ConvTable<T>& t) {
  constexpr int kMost = kSums / (R * N), kLimit = R == 1 ? kMaxConvColumns : kMaxConvColumns / 2;
  fill_columns<T, R, N, (kMost < kLimit ? kMost : kLimit)>(t);
}

template <class T>
constexpr ConvTable<T> make_table() {
  ConvTable<T> t{};
  t.lanes = kLanes<T>;
  t.sums = kSums;
  fill_tiles<T, 1, 1>(t), fill_tiles<T, 1, 2>(t), fill_tiles<T, 1, 4>(t);
  fill_tiles<T, 2, 1>(t), fill_tiles<T, 2, 2>(t), fill_tiles<T, 2, 4>(t);
  t.planes[0] = planes<T, T>;
  if constexpr (sizeof(T) == 4) t.planes[1] = planes<T, Half>, t.planes[2] = planes<T, BFloat16>;
  if constexpr (sizeof(T) == 4) {
    t.to_lanes = to_lanes<T>;
    t.winograd_input = winograd_input<T>;
    t.winograd_output = winograd_output<T>;
    t.winograd_filter = winograd_filter<T>;
    t.winograd_spread = winograd_spread<T>;
    t.winograd_gather = winograd_gather<T>;
  }
  t.pad_rows = pad_rows<T>;
  t.taps = taps<T>;
  t.tap_sums = tap_sums<T>;
  return t;
}

}  // namespace

extern const ConvTable<float> conv_f32;
extern const ConvTable<double> conv_f64;
const ConvTable<float> conv_f32 = make_table<float>();
const ConvTable<double> conv_f64 = make_table<double>();

}  // namespace ember::cpu::EMBER_ISA
