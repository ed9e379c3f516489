// GEMM's inner loops for one instruction set: the register tile, and the packers that bring A and B into its order.
// Tiles are instantiated for every height, so edges cost what they hold; columns end in a masked store. No threads, no
// blocking, no allocation here: the drivers are in gemm.cc.
#include "kernel/cpu/gemm_tiles.h"
#include "kernel/cpu/isa/lanes.h"

namespace ember::cpu::EMBER_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kRows = 12, kVectors = 2, kThinRows = 6;
#else
constexpr int kRows = 6, kVectors = 2, kThinRows = 2;
#endif

template <class T, bool kIndirect, int M, int N>
EMBER_INLINE void accumulate(const Tile<T>& t, Lanes<T> (&acc)[M][N]) {
  constexpr int L = kLanes<T>;
  const T* a = t.a;
  const T* b = t.b;
  for (int64_t p = 0; p < t.k; ++p, a += t.lda) {
    if constexpr (kIndirect) b = t.b + t.offsets[p];
    Lanes<T> row[N];
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) row[j] = load(b + j * L);
#pragma GCC unroll 12
    for (int i = 0; i < M; ++i) {
      const Lanes<T> x = splat(a[i]);
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) acc[i][j] = fma(x, row[j], acc[i][j]);
    }
    if constexpr (!kIndirect) b += t.ldb;
  }
}

template <class T, int M, int N>
EMBER_INLINE void write(const Tile<T>& t, const Lanes<T> (&acc)[M][N]) {
  constexpr int L = kLanes<T>;
  const Lanes<T> alpha = splat(t.alpha), beta = splat(t.beta);
  const bool full = t.columns == N * L;
#pragma GCC unroll 12
  for (int i = 0; i < M; ++i) {
    T* c = t.c + i * t.ldc;
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      const int64_t n = t.columns - j * L;
      Lanes<T> y;
      if (t.add == TileAdd::kNone) y = acc[i][j] * alpha;
      else if (t.add == TileAdd::kC) y = fma(alpha, acc[i][j], beta * (full ? load(c + j * L) : load_n(c + j * L, n)));
      else if (t.add == TileAdd::kRowBias) y = fma(alpha, acc[i][j], splat(t.bias[i]));
      else y = fma(alpha, acc[i][j], full ? load(t.bias + j * L) : load_n(t.bias + j * L, n));
      if (full) store(c + j * L, y);
      else if (n > 0) store_n(c + j * L, y, n);
    }
  }
}

template <class T, int M, int N>
void tile(const Tile<T>& t) {
  Lanes<T> acc[M][N];
#pragma GCC unroll 12
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) acc[i][j] = Lanes<T>{};
  }
  if (t.add == TileAdd::kC) {
    for (int i = 0; i < M; ++i) __builtin_prefetch(t.c + i * t.ldc, 1);
  }
  if (t.offsets) accumulate<T, true>(t, acc);
  else accumulate<T, false>(t, acc);
  write(t, acc);
}

// `columns` columns of `rows` rows of p, transposed; lanes from `rows` on are unspecified.
template <class T, class S>
EMBER_INLINE void square(const S* p, int64_t stride, int rows, int64_t columns, Lanes<T>* r) {
  constexpr int L = kLanes<T>;
  if constexpr (__is_same(S, T)) {
    if (columns == L) return load_transposed(p, stride, rows, r);
  }
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    if (i >= rows) r[i] = Lanes<T>{};
    else r[i] = columns == L ? load_as<T>(p + i * stride) : load_as_n<T>(p + i * stride, columns);
  }
  transpose(r);
}

template <class T, class S>
void pack_panel(const S* a, int64_t rs, int64_t cs, int h, int64_t k, T* out) {
  constexpr int L = kLanes<T>;
  if (cs == 1 && h > 1) {
    for (int i0 = 0; i0 < h; i0 += L) {  // strips of L rows, squares of L x L, transposed
      const int strip = h - i0 < L ? h - i0 : L;
      for (int64_t p = 0; p < k; p += L) {
        const int64_t n = k - p < L ? k - p : L;
        Lanes<T> r[L];
        // The rows of the next panel: too many streams, too short, for the hardware's own prefetching.
        for (int i = 0; i < strip; ++i) __builtin_prefetch(a + (h + i0 + i) * rs + p);
        square<T>(a + i0 * rs + p, rs, strip, n, r);
        T* o = out + p * h + i0;
        // A short strip's excess lanes fall on the next k, which a lone strip writes later; the last k is stored
        // exactly.
        if (n == L && (strip == L || (i0 == 0 && p + n < k))) {
#pragma GCC unroll 16
          for (int q = 0; q < L; ++q) store(o + q * h, r[q]);
        } else {
          for (int64_t q = 0; q < n; ++q) store_n(o + q * h, r[q], strip);
        }
      }
    }
  } else {
    for (int64_t p = 0; p < k; ++p)
      for (int i = 0; i < h; ++i) out[p * h + i] = to_f32(a[i * rs + p * cs]);
  }
}

template <class T, class S>
void pack_a(const void* source, int64_t rs, int64_t cs, int64_t m, int64_t k, T* out) {
  constexpr int L = kLanes<T>;
  const S* a = static_cast<const S*>(source);
  auto height = [&](int64_t i) { return static_cast<int>(m - i < kRows ? m - i : kRows); };
  if (rs == 1 && m > 1) {  // columns lie together: each is read once, through all panels
    for (int64_t p = 0; p < k; ++p, a += cs) {
      for (int64_t i = 0; i < m; i += 64 / sizeof(S)) __builtin_prefetch(a + 8 * cs + i);
      for (int64_t i = 0; i < m; i += kRows) {
        const int h = height(i);
        for (int i0 = 0; i0 < h; i0 += L)
          store_n(out + i * k + p * h + i0, load_as_n<T>(a + i + i0, h - i0), h - i0 < L ? h - i0 : L);
      }
    }
    return;
  }
  for (int64_t i = 0; i < m; i += kRows) pack_panel<T, S>(a + i * rs, rs, cs, height(i), k, out + i * k);
}

template <class T, class S>
void pack_strip(const S* b, int64_t rs, int64_t cs, int64_t k, int64_t n, int64_t width, T* out) {
  constexpr int L = kLanes<T>;
  if (rs == 1 && n > 1) {
    for (int64_t p = 0; p < k; p += L) {
      const int64_t m = k - p < L ? k - p : L;
      Lanes<T> r[L];
      square<T>(b + p, cs, static_cast<int>(n < L ? n : L), m, r);
      if (m == L) {
#pragma GCC unroll 16
        for (int q = 0; q < L; ++q) store(out + (p + q) * width, r[q]);
      } else {
        for (int64_t q = 0; q < m; ++q) store(out + (p + q) * width, r[q]);
      }
    }
  } else if (cs == 1) {
    for (int64_t p = 0; p < k; ++p)
      store(out + p * width, n >= L ? load_as<T>(b + p * rs) : load_as_n<T>(b + p * rs, n));
  } else {
    for (int64_t p = 0; p < k; ++p)
      for (int64_t j = 0; j < L; ++j) out[p * width + j] = j < n ? to_f32(b[p * rs + j * cs]) : T(0);
  }
}

template <class T, class S>
void pack_b(const void* source, int64_t rs, int64_t cs, int64_t k, int64_t n, int64_t width, T* out) {
  const S* b = static_cast<const S*>(source);
  for (int64_t j = 0; j < n; j += width, out += width * k) {
    const int64_t end = n - j < width ? n : j + width;
    if (cs == 1 && end - j == width && width == kVectors * kLanes<T>) {  // the common copy, without strips
      for (int64_t p = 0; p < k; ++p)
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v)
          store(out + p * width + v * kLanes<T>, load_as<T>(b + p * rs + j + v * kLanes<T>));
    } else {
      for (int64_t s = j; s < end; s += kLanes<T>)
        pack_strip<T, S>(b + s * cs, rs, cs, k, end - s, width, out + (s - j));
    }
  }
}

template <class T>
void row_times(const T* x, const T* b, int64_t ldb, int64_t k, int64_t n, bool first, T* out) {
  constexpr int L = kLanes<T>, kStep = 8;
  if (first)
    for (int64_t j = 0; j < n; ++j) out[j] = 0;
  int64_t p = 0;
  for (; p + kStep <= k; p += kStep) {
    Lanes<T> xs[kStep];
#pragma GCC unroll 8
    for (int q = 0; q < kStep; ++q) xs[q] = splat(x[p + q]);
    const T* row = b + p * ldb;
    int64_t j = 0;
    for (; j + L <= n; j += L) {
      Lanes<T> y = load(out + j);
#pragma GCC unroll 8
      for (int q = 0; q < kStep; ++q) y = fma(xs[q], load(row + q * ldb + j), y);
      store(out + j, y);
    }
    if (j < n) {
      Lanes<T> y = load_n(out + j, n - j);
#pragma GCC unroll 8
      for (int q = 0; q < kStep; ++q) y = fma(xs[q], load_n(row + q * ldb + j, n - j), y);
      store_n(out + j, y, n - j);
    }
  }
  for (; p < k; ++p) {
    const Lanes<T> s = splat(x[p]);
    for (int64_t j = 0; j < n; j += L)
      store_n(out + j, fma(s, load_n(b + p * ldb + j, n - j), load_n(out + j, n - j)), n - j);
  }
}

template <class T, class S, int M>
void dots_of(const T* x, int64_t ldx, const S* b, int64_t ldb, int64_t k, int64_t n, T* out, int64_t ldout) {
  constexpr int L = kLanes<T>;
  const int width[2] = {static_cast<int>(n < L ? n : L), static_cast<int>(n - L)};
  Lanes<T> acc[2][M];
#pragma GCC unroll 4
  for (int i = 0; i < M; ++i) acc[0][i] = acc[1][i] = Lanes<T>{};
  for (int64_t p = 0; p < k; p += L) {
    const int64_t m = k - p < L ? k - p : L;
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {  // two chains of fma, so that one's latency hides the other's shuffles
      if (half && width[1] <= 0) break;
      Lanes<T> r[L];
      square<T>(b + half * L * ldb + p, ldb, width[half], m, r);
      if (m == L) {
#pragma GCC unroll 16
        for (int q = 0; q < L; ++q) {
#pragma GCC unroll 4
          for (int i = 0; i < M; ++i) acc[half][i] = fma(splat(x[i * ldx + p + q]), r[q], acc[half][i]);
        }
      } else {
        for (int64_t q = 0; q < m; ++q) {
#pragma GCC unroll 4
          for (int i = 0; i < M; ++i) acc[half][i] = fma(splat(x[i * ldx + p + q]), r[q], acc[half][i]);
        }
      }
    }
  }
  for (int i = 0; i < M; ++i) {
    store_n(out + i * ldout, acc[0][i], width[0]);
    if (width[1] > 0) store_n(out + i * ldout + L, acc[1][i], width[1]);
  }
}
template <class T, class S>
void dots(const T* x, int64_t ldx, int64_t m, const void* b, int64_t ldb, int64_t k, int64_t n, T* out, int64_t ldout) {
  const S* s = static_cast<const S*>(b);
  if (m == 1) dots_of<T, S, 1>(x, ldx, s, ldb, k, n, out, ldout);
  else if (m == 2) dots_of<T, S, 2>(x, ldx, s, ldb, k, n, out, ldout);
  else if (m == 3) dots_of<T, S, 3>(x, ldx, s, ldb, k, n, out, ldout);
  else dots_of<T, S, 4>(x, ldx, s, ldb, k, n, out, ldout);
}

template <class T, int M>
constexpr void fill_row(GemmTable<T>& t) {
  t.tile[M][1] = tile<T, M, 1>;
  t.tile[M][2] = tile<T, M, 2>;
  if constexpr (M <= kThinRows) {
    t.tile[M][3] = tile<T, M, 3>;
    t.tile[M][4] = tile<T, M, 4>;
  }
  if constexpr (M > 1) fill_row<T, M - 1>(t);
}

template <class T>
constexpr GemmTable<T> make_table() {
  GemmTable<T> t{};
  t.lanes = kLanes<T>;
  t.rows = kRows;
  t.vectors = kVectors;
  t.thin_rows = kThinRows;
  fill_row<T, kRows>(t);
  t.pack_a[0] = pack_a<T, T>;
  t.pack_b[0] = pack_b<T, T>;
  t.dots[0] = dots<T, T>;
  if constexpr (sizeof(T) == 4) {
    t.pack_a[1] = pack_a<T, Half>;
    t.pack_a[2] = pack_a<T, BFloat16>;
    t.pack_b[1] = pack_b<T, Half>;
    t.pack_b[2] = pack_b<T, BFloat16>;
    t.dots[1] = dots<T, Half>;
    t.dots[2] = dots<T, BFloat16>;
  }
  t.row_times = row_times<T>;
  return t;
}

}  // namespace

extern const GemmTable<float> gemm_f32;
extern const GemmTable<double> gemm_f64;
const GemmTable<float> gemm_f32 = make_table<float>();
const GemmTable<double> gemm_f64 = make_table<double>();

}  // namespace ember::cpu::EMBER_ISA
