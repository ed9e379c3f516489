// GEMM drivers: which operand is packed when, how C is cut into tasks, and the dtypes that reduce to f32/f64.
// Two orders: `few_panels` packs all of a short A once and streams B panel by panel (or unpacked); `blocked` packs
// chunks of B for all threads and blocks of A per task. Cuts go along m and n only, never k, so bits do not depend on
// them.
#include "kernel/cpu/gemm.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/parallel.h"
#include "kernel/cpu/float_types.h"
#include "kernel/cpu/gemm_tiles.h"
#include "kernel/cpu/scratch.h"

namespace ember::cpu {

EMBER_PER_ISA(extern const GemmTable<float> gemm_f32; extern const GemmTable<double> gemm_f64;)

template <class T>
const GemmTable<T>& gemm_table() {
  static const GemmTable<T>& table = []() -> const GemmTable<T>& {
    if constexpr (std::is_same_v<T, float>) return EMBER_PICK(gemm_f32);
    else return EMBER_PICK(gemm_f64);
  }();
  return table;
}
template const GemmTable<float>& gemm_table<float>();
template const GemmTable<double>& gemm_table<double>();

namespace {

constexpr int64_t kTaskWork = 1 << 18;  // multiply-adds worth a task of their own
constexpr int64_t kWidePanels = 4;      // A of up to this many panels is packed whole
constexpr int64_t kChunk = 2 << 20;     // elements of B packed at a time for all threads
constexpr int64_t kFewRows = 8;         // A of up to this many rows streams a large B
constexpr int64_t kStreamed = 1 << 18;  // elements of B that count as large
constexpr int64_t kTaskColumns = 1024, kTaskPanels = 4;

// One product in the compute type T, source kinds 0 (T), 1 (f16), 2 (bf16).
template <class T>
struct Product {
  int64_t m, n, k;
  const char* a;
  int64_t a_row, a_col;
  const char* b;
  int64_t b_row, b_col;
  T* c;
  int64_t ldc;  // C's columns are contiguous
  T alpha, beta;
  TileAdd add;
  const T* bias;
  int kind;
  int64_t item;  // bytes of a source element
};

// Runs the tiles of A's panels [rows x k], packed or (lda given) in place, against one B panel; p0 is the first k,
// which alone adds beta * C or bias.
template <class T>
void run_panel(const GemmTable<T>& g, const Product<T>& x, int64_t i0, int64_t i1, int64_t j, int64_t width, int64_t p0,
               int64_t kc, const T* a, int64_t lda, const T* b, int64_t ldb) {
  Tile<T> t;
  t.k = kc, t.b = b, t.ldb = ldb, t.offsets = nullptr, t.ldc = x.ldc, t.columns = width;
  t.alpha = x.alpha, t.beta = p0 ? T(1) : x.beta, t.add = p0 ? TileAdd::kC : x.add;
  const int vectors = static_cast<int>(ceil_div(width, g.lanes));
  for (int64_t i = i0; i < i1; i += g.rows) {
    const int64_t h = std::min<int64_t>(g.rows, i1 - i);
    t.a = a + (i - i0) * (lda ? 1 : kc), t.lda = lda ? lda : h, t.c = x.c + i * x.ldc + j;
    t.bias = t.add == TileAdd::kRowBias ? x.bias + i : x.bias + j;
    g.tile[h][vectors](t);
  }
}

// C's columns [j, j + n) from the sums of one K block that starts at p0, as the tile itself would: a product with 1.
template <class T>
void finish(const GemmTable<T>& g, const Product<T>& x, const T* sums, int64_t pitch, int64_t j, int64_t n,
            int64_t p0) {
  const T one = 1;
  T piece[kMaxTileVectors * 16];
  Tile<T> t{
      1, &one, 1, piece, 0, nullptr, nullptr, x.ldc, 0, x.alpha, p0 ? T(1) : x.beta, p0 ? TileAdd::kC : x.add, nullptr};
  const int64_t width = int64_t{kMaxTileVectors} * g.lanes;
  for (int64_t i = 0; i < x.m; ++i)
    for (int64_t q = 0; q < n; q += width) {
      t.columns = std::min(width, n - q);
      std::copy_n(sums + i * pitch + q, t.columns, piece);
      t.c = x.c + i * x.ldc + j + q;
      t.bias = t.add == TileAdd::kRowBias ? x.bias + i : x.bias + j + q;
      g.tile[1][ceil_div(t.columns, g.lanes)](t);
    }
}

// Few rows against a transposed B (a linear layer's weight): each column of B is contiguous along k and is read once.
template <class T>
void few_dots(const GemmTable<T>& g, const Product<T>& x, const T* a, int64_t lda, int64_t j0, int64_t j1) {
  constexpr int64_t kStrip = kMaxTileVectors * 16;
  T sums[kDotRows * kStrip];
  const int64_t strip = int64_t{kMaxTileVectors} * g.lanes, step = 2 * g.lanes;
  for (int64_t j = j0; j < j1; j += strip) {
    const int64_t n = std::min(strip, j1 - j);
    for (int64_t p = 0; p < x.k; p += kGemmKc) {
      for (int64_t q = 0; q < n; q += step)
        g.dots[x.kind](a + p, lda, x.m, x.b + ((j + q) * x.b_col + p) * x.item, x.b_col, std::min(kGemmKc, x.k - p),
                       std::min(step, n - q), sums + q, kStrip);
      finish(g, x, sums, kStrip, j, n, p);
    }
  }
}

// Few rows against a B that does not fit in cache: B is read once, in order, eight rows of a strip at a time, while the
// sums of the strip stay in L1. The sums are the tile's, bit for bit: the same chain over k, block by block.
template <class T>
void few_rows(const GemmTable<T>& g, const Product<T>& x, int64_t j0, int64_t j1) {
  constexpr int64_t kStrip = 1024, kStep = 8;
  T sums[kFewRows * kStrip];
  const T *a = reinterpret_cast<const T*>(x.a), *b = reinterpret_cast<const T*>(x.b);
  for (int64_t j = j0; j < j1; j += kStrip) {
    const int64_t n = std::min(kStrip, j1 - j);
    for (int64_t p0 = 0; p0 < x.k; p0 += kGemmKc) {
      const int64_t p1 = std::min(x.k, p0 + kGemmKc);
      for (int64_t p = p0; p < p1; p += kStep)
        for (int64_t i = 0; i < x.m; ++i)
          g.row_times(a + i * x.a_row + p, b + p * x.b_row + j, x.b_row, std::min(kStep, p1 - p), n, p == p0,
                      sums + i * kStrip);
      finish(g, x, sums, kStrip, j, n, p0);
    }
  }
}

template <class T>
void few_panels(const GemmTable<T>& g, const Product<T>& x) {
  const int64_t nr = int64_t{g.lanes} * (x.m <= g.thin_rows ? kMaxTileVectors : g.vectors);
  const bool stream = x.b_col == 1 && x.kind == 0, row_major = x.a_col == 1 && x.kind == 0;
  if (stream && row_major && x.m <= kFewRows && x.n >= 2 * nr && x.k > 0 && (x.m == 1 || x.n * x.k > kStreamed)) {
    const int64_t grain = std::max<int64_t>(1024, ceil_div(kTaskWork / 2, x.k) / 256 * 256);
    return parallel_for(0, x.n, grain, [&](int64_t j0, int64_t j1) { few_rows(g, x, j0, j1); });
  }
  if (x.b_row == 1 && x.b_col != 1 && x.m <= kDotRows && x.k > 0) {
    const Scratch rows_memory(row_major ? 0 : x.m * x.k * sizeof(T));
    if (!row_major)
      for (int64_t i = 0; i < x.m; ++i)
        g.pack_a[x.kind](x.a + i * x.a_row * x.item, x.a_row, x.a_col, 1, x.k, rows_memory.as<T>() + i * x.k);
    const T* rows = row_major ? reinterpret_cast<const T*>(x.a) : rows_memory.as<T>();
    const int64_t strip = int64_t{kMaxTileVectors} * g.lanes;
    return parallel_for(0, x.n, strip * std::max<int64_t>(1, kTaskWork / 2 / (x.k * strip)),
                        [&](int64_t j0, int64_t j1) { few_dots(g, x, rows, row_major ? x.a_row : x.k, j0, j1); });
  }
  const bool bare_row = x.m == 1 && row_major;
  const Scratch a_memory(bare_row ? 0 : (x.m * x.k + kTileSlack) * sizeof(T));
  const T* packed_a = reinterpret_cast<const T*>(x.a);
  if (!bare_row) {
    for (int64_t p = 0; p < x.k; p += kGemmKc)
      g.pack_a[x.kind](x.a + p * x.a_col * x.item, x.a_row, x.a_col, x.m, std::min(kGemmKc, x.k - p),
                       a_memory.as<T>() + p * x.m);
    packed_a = a_memory.as<T>();
  }
  const bool direct = stream && (x.m <= g.rows || x.k * nr <= 4096);
  const int64_t panels = ceil_div(x.n, nr);
  const int64_t grain = std::max<int64_t>(1, kTaskWork / (x.m * x.k * nr + nr * x.k * 2 + 1));
  parallel_for(0, panels, grain, [&](int64_t begin, int64_t end) {
    const Scratch b_memory((std::min(kGemmKc, x.k) * nr + kTileSlack) * sizeof(T));
    T* packed = b_memory.as<T>();
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t j = panel * nr, width = std::min(nr, x.n - j);
      const bool bare = direct && width % g.lanes == 0;
      for (int64_t p = 0; p == 0 || p < x.k; p += kGemmKc) {
        const int64_t kc = std::min(kGemmKc, x.k - p);
        const char* b = x.b + (p * x.b_row + j * x.b_col) * x.item;
        if (!bare) g.pack_b[x.kind](b, x.b_row, x.b_col, kc, width, nr, packed);
        run_panel(g, x, 0, x.m, j, width, p, kc, packed_a + p * x.m, 0, bare ? reinterpret_cast<const T*>(b) : packed,
                  bare ? x.b_row : nr);
      }
    }
  });
}

template <class T>
void blocked(const GemmTable<T>& g, const Product<T>& x) {
  const int64_t nr = int64_t{g.lanes} * g.vectors;
  const int64_t nc = std::min(ceil_div(x.n, nr) * nr, std::max(nr, kChunk / kGemmKc / 2 / nr * nr));
  const int64_t kg = std::min(x.k, std::max(kGemmKc, kChunk / nc / kGemmKc * kGemmKc));
  const Scratch b_memory((kg * nc + kTileSlack) * sizeof(T));
  T* packed_b = b_memory.as<T>();
  int64_t task_rows = kTaskPanels * g.rows, task_columns = kTaskColumns;
  // Enough tasks for a few threads, but none below kTaskWork.
  while (ceil_div(x.m, task_rows) * ceil_div(x.n, task_columns) < 16 &&
         task_rows * std::min(task_columns, x.n) * x.k > 4 * kTaskWork) {
    if (task_rows > 4 * g.rows || (task_columns <= 4 * nr && task_rows > g.rows)) task_rows /= 2;
    else if (task_columns > 4 * nr) task_columns /= 2;
    else break;
  }
  task_rows = ceil_div(task_rows, g.rows) * g.rows, task_columns = ceil_div(task_columns, nr) * nr;
  const bool serial = x.m * x.n * x.k < 2 * kTaskWork;
  // A may be k-major as it is, unless its rows fall into few of the cache's sets.
  const bool in_place = x.a_row == 1 && x.kind == 0 && x.a_col % (1024 / sizeof(T)) != 0;
  for (int64_t jc = 0; jc < x.n; jc += nc) {
    const int64_t n = std::min(nc, x.n - jc), panels = ceil_div(n, nr);
    for (int64_t pg = 0; pg < x.k; pg += kg) {
      const int64_t k = std::min(kg, x.k - pg);
      // Layout: K block after K block, in each panel after panel.
      parallel_for(0, panels, serial ? panels : std::max<int64_t>(1, kTaskWork / (4 * k * nr)),
                   [&](int64_t b, int64_t e) {
                     for (int64_t p = 0; p < k; p += kGemmKc) {
                       const int64_t kc = std::min(kGemmKc, k - p);
                       g.pack_b[x.kind](x.b + ((pg + p) * x.b_row + (jc + b * nr) * x.b_col) * x.item, x.b_row, x.b_col,
                                        kc, std::min(e * nr, n) - b * nr, nr, packed_b + p * panels * nr + b * nr * kc);
                     }
                   });
      const int64_t rows = ceil_div(x.m, task_rows), columns = ceil_div(n, task_columns);
      parallel_for(0, rows * columns, serial ? rows * columns : 1, [&](int64_t begin, int64_t end) {
        const Scratch a_memory((task_rows * kGemmKc + kTileSlack) * sizeof(T));
        T* packed_a = a_memory.as<T>();
        for (int64_t task = begin; task < end; ++task) {
          const int64_t i0 = task / columns * task_rows, i1 = std::min(x.m, i0 + task_rows);
          const int64_t j0 = task % columns * task_columns, j1 = std::min(n, j0 + task_columns);
          for (int64_t p = 0; p < k; p += kGemmKc) {
            const int64_t kc = std::min(kGemmKc, k - p);
            const char* a = x.a + (i0 * x.a_row + (pg + p) * x.a_col) * x.item;
            if (!in_place) g.pack_a[x.kind](a, x.a_row, x.a_col, i1 - i0, kc, packed_a);
            for (int64_t j = j0; j < j1; j += nr)
              run_panel(g, x, i0, i1, jc + j, std::min(nr, j1 - j), pg + p, kc,
                        in_place ? reinterpret_cast<const T*>(a) : packed_a, in_place ? x.a_col : 0,
                        packed_b + p * panels * nr + j * kc, nr);
          }
        }
      });
    }
  }
}

template <class T>
void real_gemm(const Product<T>& x) {
  const GemmTable<T>& g = gemm_table<T>();
  if (x.m <= kWidePanels * g.rows || x.k == 0) few_panels(g, x);
  else blocked(g, x);
}

// S is the stored type, T the compute type. C that is not row-contiguous T is computed in scratch and copied.
template <class S, class T>
void float_gemm(Gemm g) {
  if (g.m == 0 || g.n == 0) return;
  // A column-contiguous C, and a narrow one, are their transpose's problem: the tile's long side is the column side.
  const bool flip = g.c_col != 1 ? g.c_row == 1 : g.n == 1 && g.m > 1 && g.c_row == 1;
  const bool thin = g.n <= 4 && g.m >= 16 * g.n;
  if (flip || thin) {
    std::swap(g.m, g.n), std::swap(g.a, g.b), std::swap(g.c_row, g.c_col);
    std::swap(g.a_row, g.b_col), std::swap(g.a_col, g.b_row);
    if (g.bias_kind != Bias::kNone) g.bias_kind = g.bias_kind == Bias::kRow ? Bias::kColumn : Bias::kRow;
  }
  const bool in_place = std::is_same_v<S, T> && g.c_col == 1;
  const int64_t bias_size = g.bias_kind == Bias::kNone ? 0 : g.bias_kind == Bias::kRow ? g.m : g.n;
  const Scratch c_memory(in_place ? 0 : g.m * g.n * sizeof(T)), bias_memory(bias_size * sizeof(T));
  S* c = static_cast<S*>(g.c);
  Product<T> x{g.m,
               g.n,
               g.k,
               static_cast<const char*>(g.a),
               g.a_row,
               g.a_col,
               static_cast<const char*>(g.b),
               g.b_row,
               g.b_col,
               in_place ? reinterpret_cast<T*>(c) : c_memory.as<T>(),
               in_place ? g.c_row : g.n,
               static_cast<T>(g.alpha.real()),
               static_cast<T>(g.beta.real()),
               TileAdd::kNone,
               nullptr,
               kKind<S>,
               sizeof(S)};
  if (bias_size) {
    T* bias = bias_memory.as<T>();
    for (int64_t i = 0; i < bias_size; ++i) bias[i] = wide(static_cast<const S*>(g.bias)[i]);
    x.bias = bias, x.add = g.bias_kind == Bias::kRow ? TileAdd::kRowBias : TileAdd::kColumnBias;
  } else if (x.beta != 0) {
    x.add = TileAdd::kC;
    if (!in_place)
      for (int64_t i = 0; i < g.m; ++i)
        for (int64_t j = 0; j < g.n; ++j) x.c[i * g.n + j] = wide(c[i * g.c_row + j * g.c_col]);
  }
  real_gemm(x);
  if (!in_place)
    parallel_for(0, g.m, std::max<int64_t>(1, (1 << 15) / g.n), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < g.n; ++j) narrow(x.c[i * g.n + j], c[i * g.c_row + j * g.c_col]);
    });
}

// Four real products over separated parts: re = ar br - ai bi, im = ar bi + ai br.
template <class T>
void complex_gemm(const Gemm& g) {
  using C = std::complex<T>;
  if (g.m == 0 || g.n == 0) return;
  const int64_t am = g.m * g.k, bm = g.k * g.n, cm = g.m * g.n;
  const Scratch memory((2 * (am + bm + cm)) * sizeof(T));
  T *ar = memory.as<T>(), *ai = ar + am, *br = ai + am, *bi = br + bm, *cr = bi + bm, *ci = cr + cm;
  auto split = [](const C* x, int64_t rows, int64_t cols, int64_t rs, int64_t cs, T* re, T* im) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j)
        re[i * cols + j] = x[i * rs + j * cs].real(), im[i * cols + j] = x[i * rs + j * cs].imag();
  };
  split(static_cast<const C*>(g.a), g.m, g.k, g.a_row, g.a_col, ar, ai);
  split(static_cast<const C*>(g.b), g.k, g.n, g.b_row, g.b_col, br, bi);
  auto multiply = [&](T* a, T* b, T* c, T alpha, T beta) {
    Product<T> x{g.m,
                 g.n,
                 g.k,
                 reinterpret_cast<char*>(a),
                 g.k,
                 1,
                 reinterpret_cast<char*>(b),
                 g.n,
                 1,
                 c,
                 g.n,
                 alpha,
                 beta,
                 beta != 0 ? TileAdd::kC : TileAdd::kNone,
                 nullptr,
                 0,
                 sizeof(T)};
    real_gemm(x);
  };
  multiply(ar, br, cr, 1, 0), multiply(ai, bi, cr, -1, 1);
  multiply(ar, bi, ci, 1, 0), multiply(ai, br, ci, 1, 1);
  const C alpha(g.alpha), beta(g.beta);
  const C* bias = static_cast<const C*>(g.bias);
  C* c = static_cast<C*>(g.c);
  for (int64_t i = 0; i < g.m; ++i)
    for (int64_t j = 0; j < g.n; ++j) {
      C& y = c[i * g.c_row + j * g.c_col];
      C sum = alpha == C(1) ? C(cr[i * g.n + j], ci[i * g.n + j]) : alpha * C(cr[i * g.n + j], ci[i * g.n + j]);
      if (g.bias_kind != Bias::kNone) sum += bias[g.bias_kind == Bias::kRow ? i : j];
      y = beta == C(0) ? sum : sum + beta * y;
    }
}

// Integers wrap: arithmetic in the unsigned type of the same size (at least 32 bits, so that promotion stays unsigned).
template <class T>
void integer_gemm(const Gemm& g) {
  using U = std::conditional_t<(sizeof(T) < 4), uint32_t, std::make_unsigned_t<T>>;
  const T *a = static_cast<const T*>(g.a), *b = static_cast<const T*>(g.b), *bias = static_cast<const T*>(g.bias);
  T* c = static_cast<T*>(g.c);
  const U alpha = static_cast<U>(static_cast<int64_t>(g.alpha.real())),
          beta = static_cast<U>(static_cast<int64_t>(g.beta.real()));
  const Scratch b_memory(g.b_col == 1 ? 0 : g.k * g.n * sizeof(T));
  int64_t ldb = g.b_row;
  if (g.b_col != 1) {
    for (int64_t p = 0; p < g.k; ++p)
      for (int64_t j = 0; j < g.n; ++j) b_memory.as<T>()[p * g.n + j] = b[p * g.b_row + j * g.b_col];
    b = b_memory.as<T>(), ldb = g.n;
  }
  parallel_for(0, g.m, std::max<int64_t>(1, kTaskWork / (g.n * g.k + 1)), [&](int64_t begin, int64_t end) {
    const Scratch memory(g.n * sizeof(U));
    U* sum = memory.as<U>();
    for (int64_t i = begin; i < end; ++i) {
      std::fill_n(sum, g.n, U{0});
      int64_t p = 0;
      for (; p + 4 <= g.k; p += 4) {
        U x[4];
        for (int q = 0; q < 4; ++q) x[q] = static_cast<U>(a[i * g.a_row + (p + q) * g.a_col]);
        const T *b0 = b + p * ldb, *b1 = b0 + ldb, *b2 = b1 + ldb, *b3 = b2 + ldb;
        for (int64_t j = 0; j < g.n; ++j)
          sum[j] += x[0] * static_cast<U>(b0[j]) + x[1] * static_cast<U>(b1[j]) + x[2] * static_cast<U>(b2[j]) +
                    x[3] * static_cast<U>(b3[j]);
      }
      for (; p < g.k; ++p) {
        const U x = static_cast<U>(a[i * g.a_row + p * g.a_col]);
        for (int64_t j = 0; j < g.n; ++j) sum[j] += x * static_cast<U>(b[p * ldb + j]);
      }
      for (int64_t j = 0; j < g.n; ++j) {
        T& y = c[i * g.c_row + j * g.c_col];
        U value = alpha * sum[j];
        if (beta != 0) value += beta * static_cast<U>(y);
        if (g.bias_kind != Bias::kNone) value += static_cast<U>(bias[g.bias_kind == Bias::kRow ? i : j]);
        y = static_cast<T>(value);
      }
    }
  });
}

}  // namespace

void gemm(DType dtype, const Gemm& g) {
  visit(dtype, [&]<class T>(T) {
    if constexpr (std::is_same_v<T, bool>) EMBER_FAIL("gemm: dtype bool is not supported; cast to an integer first");
    else if constexpr (std::is_same_v<T, double>) float_gemm<double, double>(g);
    else if constexpr (is_floating(dtype_of<T>)) float_gemm<T, float>(g);
    else if constexpr (is_complex(dtype_of<T>)) complex_gemm<typename T::value_type>(g);
    else integer_gemm<T>(g);
  });
}

void gemm_batched(DType dtype, const Gemm& g, int64_t batch, int64_t stride_a, int64_t stride_b, int64_t stride_c) {
  const int64_t item = item_size(dtype), work = g.m * g.n * g.k;
  auto one = [&](int64_t i) {
    Gemm x = g;
    x.a = static_cast<const char*>(g.a) + i * stride_a * item;
    x.b = static_cast<const char*>(g.b) + i * stride_b * item;
    x.c = static_cast<char*>(g.c) + i * stride_c * item;
    gemm(dtype, x);
  };
  // Threads go across the batch unless there are few, large products.
  if (batch < 8 && work >= 16 * kTaskWork) {
    for (int64_t i = 0; i < batch; ++i) one(i);
  } else {
    parallel_for(0, batch, std::max<int64_t>(1, kTaskWork / (work + 1)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) one(i);
    });
  }
}

void gemm(DType dtype, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, double alpha, const void* a,
          int64_t lda, const void* b, int64_t ldb, double beta, void* c, int64_t ldc) {
  gemm(dtype, {m, n, k, a, trans_a ? 1 : lda, trans_a ? lda : 1, b, trans_b ? 1 : ldb, trans_b ? ldb : 1, c, ldc, 1,
               alpha, beta});
}

}  // namespace ember::cpu
