// Drivers of the row kernels: threads over rows, bands or channels; partial sums over fixed chunks, joined in order.
#include "kernel/cpu/rows.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "base/parallel.h"
#include "kernel/cpu/float_types.h"
#include "kernel/cpu/row_kernels.h"
#include "kernel/cpu/scratch.h"

namespace ember::cpu {

EMBER_PER_ISA(extern const RowTable<float, float> rows_f32; extern const RowTable<double, double> rows_f64;
              extern const RowTable<Half, float> rows_f16; extern const RowTable<BFloat16, float> rows_bf16;)

template <>
const RowTable<float, float>& row_table() {
  return EMBER_PICK(rows_f32);
}
template <>
const RowTable<double, double>& row_table() {
  return EMBER_PICK(rows_f64);
}
template <>
const RowTable<Half, float>& row_table() {
  return EMBER_PICK(rows_f16);
}
template <>
const RowTable<BFloat16, float>& row_table() {
  return EMBER_PICK(rows_bf16);
}

namespace {

constexpr int64_t kPiece = 1 << 14;  // elements worth a piece of their own
constexpr int64_t kChunks = 32;      // partial sums over rows are kept for at most so many chunks

int64_t grain_for(int64_t elements) { return std::max<int64_t>(1, kPiece / std::max<int64_t>(1, elements)); }

// sum over chunk partials [chunks][n] in order, stored as S.
template <class S, class T>
void join(const T* partial, int64_t chunks, int64_t n, void* out) {
  if (!out) return;
  for (int64_t j = 0; j < n; ++j) {
    double sum = 0;
    for (int64_t c = 0; c < chunks; ++c) sum += partial[c * n + j];
    narrow(static_cast<T>(sum), static_cast<S*>(out)[j]);
  }
}

// The backward of layer_norm (mean given) and rms_norm (mean null): dx row by row, and over fixed chunks of rows the
// sums dweight = g * (x - mean) * rstd and dbias = g, taken while a few rows are still in cache.
template <class S, class T>
void norm_backward(const S* g, const S* x, const T* w, const T* mean, const T* rstd, S* dx, void* dweight, void* dbias,
                   int64_t rows, int64_t dim) {
  constexpr int64_t kRows = 16;
  const auto& k = row_table<S, T>();
  const int64_t chunks = std::clamp<int64_t>(rows * dim / kPiece, 1, std::min(kChunks, std::max<int64_t>(1, rows)));
  const bool params = dweight || dbias;
  const Scratch memory(params ? 2 * chunks * dim * sizeof(T) : 0);
  T *sum_g = memory.as<T>(), *sum_gx = sum_g + chunks * dim;
  if (params) std::fill_n(sum_g, 2 * chunks * dim, T(0));
  parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const int64_t last = rows * (c + 1) / chunks;
      for (int64_t r0 = rows * c / chunks; r0 < last; r0 += kRows) {
        const int64_t n = std::min(kRows, last - r0);
        for (int64_t r = r0; dx && r < r0 + n; ++r) {
          const S *gr = g + r * dim, *xr = x + r * dim;
          const T m = mean ? mean[r] : T(0), s = rstd[r];
          T d[2];  // sum of g w, and of g w (x - mean)
          if (w) k.dots_weighted(gr, xr, w, dim, m, d);
          else k.dots(gr, xr, dim, m, d);
          k.combine(gr, xr, w, dx + r * dim, dim, m, s, -s * s * s * d[1] / static_cast<T>(dim),
                    mean ? -s * d[0] / static_cast<T>(dim) : T(0));
        }
        for (int64_t j = 0; params && j < dim; j += kBand)
          k.column_dots_rows(g + r0 * dim + j, x + r0 * dim + j, n, dim, std::min(kBand, dim - j),
                             mean ? mean + r0 : nullptr, rstd + r0, sum_g + c * dim + j, sum_gx + c * dim + j);
      }
    }
  });
  join<S, T>(sum_g, chunks, dim, dbias), join<S, T>(sum_gx, chunks, dim, dweight);
}

}  // namespace

// ---- softmax -------------------------------------------------------------------------------------------------------

void softmax(DType dtype, const void* x, void* y, int64_t outer, int64_t dim, int64_t inner, bool log) {
  if (outer * dim * inner == 0) return;
  with_float("softmax", dtype, [&]<class S, class T>() {
    const auto& k = row_table<S, T>();
    const S* from = static_cast<const S*>(x);
    S* to = static_cast<S*>(y);
    if (inner == 1) {
      parallel_for(0, outer, grain_for(dim * 4), [&](int64_t begin, int64_t end) {
        const Scratch work(std::is_same_v<S, T> ? 0 : dim * sizeof(T));
        for (int64_t r = begin; r < end; ++r) k.softmax(from + r * dim, to + r * dim, work.as<T>(), dim, log);
      });
    } else {
      const int64_t bands = (inner + kBand - 1) / kBand;
      parallel_for(0, outer * bands, grain_for(dim * std::min(inner, kBand) * 4), [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
          const int64_t j = b % bands * kBand, at = b / bands * dim * inner + j;
          k.softmax_columns(from + at, to + at, dim, inner, std::min(kBand, inner - j), log);
        }
      });
    }
  });
}

void softmax_backward(DType dtype, const void* y, const void* g, void* dx, int64_t outer, int64_t dim, int64_t inner,
                      bool log) {
  if (outer * dim * inner == 0) return;
  with_float("softmax_backward", dtype, [&]<class S, class T>() {
    const auto& k = row_table<S, T>();
    const S *result = static_cast<const S*>(y), *grad = static_cast<const S*>(g);
    S* to = static_cast<S*>(dx);
    if (inner == 1) {
      parallel_for(0, outer, grain_for(dim * 2), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r)
          k.softmax_backward(result + r * dim, grad + r * dim, to + r * dim, dim, log);
      });
    } else {
      const int64_t bands = (inner + kBand - 1) / kBand;
      parallel_for(0, outer * bands, grain_for(dim * std::min(inner, kBand) * 2), [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
          const int64_t j = b % bands * kBand, at = b / bands * dim * inner + j;
          k.softmax_backward_columns(result + at, grad + at, to + at, dim, inner, std::min(kBand, inner - j), log);
        }
      });
    }
  });
}

// ---- layer_norm, rms_norm ------------------------------------------------------------------------------------------

void layer_norm(DType dtype, const void* x, const void* weight, const void* bias, double eps, void* y, void* mean,
                void* rstd, int64_t rows, int64_t dim) {
  if (dim == 0) return;
  with_float("layer_norm", dtype, [&]<class S, class T>() {
    const auto& k = row_table<S, T>();
    const Scratch ones_memory(bias && !weight ? dim * sizeof(T) : 0);
    const Widened<S, T> b(bias, dim), given(weight, dim);
    const T* w = given;
    if (bias && !weight) std::fill_n(ones_memory.as<T>(), dim, T(1)), w = ones_memory.as<T>();
    parallel_for(0, rows, grain_for(dim), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const S* row = static_cast<const S*>(x) + r * dim;
        const T m = k.sum(row, dim) / static_cast<T>(dim);
        const T s = 1 / std::sqrt(k.sum_squares(row, dim, m) / static_cast<T>(dim) + static_cast<T>(eps));
        S* to = static_cast<S*>(y) + r * dim;
        if (w) k.affine_weighted(row, to, dim, m, s, w, b);
        else k.affine(row, to, dim, m, s, 0);
        if (mean) static_cast<T*>(mean)[r] = m;
        if (rstd) static_cast<T*>(rstd)[r] = s;
      }
    });
  });
}

void layer_norm_backward(DType dtype, const void* g, const void* x, const void* weight, const void* mean,
                         const void* rstd, void* dx, void* dweight, void* dbias, int64_t rows, int64_t dim) {
  with_float("layer_norm_backward", dtype, [&]<class S, class T>() {
    const Widened<S, T> w(weight, dim);
    norm_backward<S, T>(static_cast<const S*>(g), static_cast<const S*>(x), w, static_cast<const T*>(mean),
                        static_cast<const T*>(rstd), static_cast<S*>(dx), dweight, dbias, rows, dim);
  });
}

void rms_norm(DType dtype, const void* x, const void* weight, double eps, void* y, void* rstd, int64_t rows,
              int64_t dim) {
  if (dim == 0) return;
  with_float("rms_norm", dtype, [&]<class S, class T>() {
    const auto& k = row_table<S, T>();
    const Widened<S, T> w(weight, dim);
    parallel_for(0, rows, grain_for(dim), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const S* row = static_cast<const S*>(x) + r * dim;
        const T s = 1 / std::sqrt(k.sum_squares(row, dim, 0) / static_cast<T>(dim) + static_cast<T>(eps));
        S* to = static_cast<S*>(y) + r * dim;
        if (w) k.affine_weighted(row, to, dim, 0, s, w, nullptr);
        else k.affine(row, to, dim, 0, s, 0);
        if (rstd) static_cast<T*>(rstd)[r] = s;
      }
    });
  });
}

void rms_norm_backward(DType dtype, const void* g, const void* x, const void* weight, const void* rstd, void* dx,
                       void* dweight, int64_t rows, int64_t dim) {
  with_float("rms_norm_backward", dtype, [&]<class S, class T>() {
    const Widened<S, T> w(weight, dim);
    norm_backward<S, T>(static_cast<const S*>(g), static_cast<const S*>(x), w, static_cast<const T*>(nullptr),
                        static_cast<const T*>(rstd), static_cast<S*>(dx), dweight, nullptr, rows, dim);
  });
}

// ---- group_norm ----------------------------------------------------------------------------------------------------

void group_norm(DType dtype, const void* x, const void* weight, const void* bias, double eps, void* y, void* mean,
                void* rstd, int64_t n, int64_t channels, int64_t inner, int64_t groups) {
  const int64_t per = channels / groups, dim = per * inner;
  if (dim == 0) return;
  with_float("group_norm", dtype, [&]<class S, class T>() {
    const auto& k = row_table<S, T>();
    const Widened<S, T> w(weight, channels), b(bias, channels);
    parallel_for(0, n * groups, grain_for(dim), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const S* row = static_cast<const S*>(x) + r * dim;
        const T m = k.sum(row, dim) / static_cast<T>(dim);
        const T s = 1 / std::sqrt(k.sum_squares(row, dim, m) / static_cast<T>(dim) + static_cast<T>(eps));
        for (int64_t j = 0; j < per; ++j) {
          const int64_t c = r % groups * per + j;
          k.affine(row + j * inner, static_cast<S*>(y) + r * dim + j * inner, inner, m, w ? s * w[c] : s,
                   b ? b[c] : T(0));
        }
        if (mean) static_cast<T*>(mean)[r] = m;
        if (rstd) static_cast<T*>(rstd)[r] = s;
      }
    });
  });
}

void group_norm_backward(DType dtype, const void* g, const void* x, const void* weight, const void* mean,
                         const void* rstd, void* dx, void* dweight, void* dbias, int64_t n, int64_t channels,
                         int64_t inner, int64_t groups) {
  const int64_t per = channels / groups, dim = per * inner;
  with_float("group_norm_backward", dtype, [&]<class S, class T>() {
    const auto& k = row_table<S, T>();
    const Widened<S, T> w(weight, channels);
    const T *means = static_cast<const T*>(mean), *scales = static_cast<const T*>(rstd);
    const Scratch memory(2 * n * channels * sizeof(T));
    T* sums = memory.as<T>();  // [n, channels, 2]: sum of g, and of g (x - mean)
    parallel_for(0, n * groups, grain_for(dim), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const S *gr = static_cast<const S*>(g) + r * dim, *xr = static_cast<const S*>(x) + r * dim;
        const T m = means[r], s = scales[r];
        T dot[2] = {0, 0};
        for (int64_t j = 0; j < per; ++j) {
          T* d = sums + 2 * (r * per + j);
          k.dots(gr + j * inner, xr + j * inner, inner, m, d);
          const T wc = w ? w[r % groups * per + j] : T(1);
          dot[0] += wc * d[0], dot[1] += wc * d[1];
        }
        if (dx)
          for (int64_t j = 0; j < per; ++j) {
            const T wc = w ? w[r % groups * per + j] : T(1);
            k.combine(gr + j * inner, xr + j * inner, nullptr, static_cast<S*>(dx) + r * dim + j * inner, inner, m,
                      s * wc, -s * s * s * dot[1] / static_cast<T>(dim), -s * dot[0] / static_cast<T>(dim));
          }
      }
    });
    for (int64_t c = 0; c < channels; ++c) {
      double dw = 0, db = 0;
      for (int64_t i = 0; i < n; ++i) {
        const T* d = sums + 2 * (i * channels + c);
        db += d[0], dw += static_cast<double>(d[1]) * scales[i * groups + c / per];
      }
      if (dweight) narrow(static_cast<T>(dw), static_cast<S*>(dweight)[c]);
      if (dbias) narrow(static_cast<T>(db), static_cast<S*>(dbias)[c]);
    }
  });
}

// ---- batch_norm ----------------------------------------------------------------------------------------------------
namespace {

// [n, channels, inner] is a matrix of n rows where images are small (or single numbers): what stands per channel is
// repeated along its `inner` columns. Each larger image is a row of its own.
constexpr int64_t kSmallImage = 256;
struct Images {
  int64_t n, channels, inner;
  bool columns() const { return inner <= kSmallImage; }
  int64_t width() const { return channels * inner; }
};

template <class T>
class Repeated {
 public:
  Repeated(const T* values, const Images& of) : memory_(needed(of) ? of.width() * sizeof(T) : 0), values_(values) {
    if (!needed(of)) return;
    values_ = memory_.as<T>();
    for (int64_t c = 0; c < of.channels; ++c) std::fill_n(memory_.as<T>() + c * of.inner, of.inner, values[c]);
  }
  operator const T*() const { return values_; }

 private:
  static bool needed(const Images& of) { return of.columns() && of.inner > 1; }
  Scratch memory_;
  const T* values_;
};

// Calls f(first element, columns, first column) over bands of columns that stay in L1, each down all its rows.
template <class F>
void each_band(const Images& of, F f) {
  constexpr int64_t kColumns = 1024;
  parallel_for(0, of.n * ((of.width() + kColumns - 1) / kColumns), grain_for(std::min(kColumns, of.width())),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t j = i / of.n * kColumns;
                   f(i % of.n * of.width() + j, std::min(kColumns, of.width() - j), j);
                 }
               });
}

// K sums per channel, as doubles, to total(c, sums). Of columns, over fixed chunks of rows: `columns(row, rows, column,
// width, out)` adds to K sums per column, [K][width()] apart. Otherwise `row(at, c, out)` gives those of one image.
template <class T, int K, class Columns, class Row, class Total>
void channel_sums(const Images& of, Columns columns, Row row, Total total) {
  const int64_t n = of.n, width = of.width();
  if (of.columns()) {
    const int64_t bands = (width + kBand - 1) / kBand, most = std::clamp<int64_t>(n, 1, 1 + kChunks / (bands + 1));
    const int64_t chunks = std::clamp<int64_t>(n * width / kPiece, 1, most);
    const Scratch memory(chunks * K * width * sizeof(T));
    T* partial = memory.as<T>();
    std::fill_n(partial, chunks * K * width, T(0));
    parallel_for(0, chunks * bands, grain_for(n / chunks * kBand), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t c = i / bands, j = i % bands * kBand, r0 = n * c / chunks, r1 = n * (c + 1) / chunks;
        columns(r0, r1 - r0, j, std::min(kBand, width - j), partial + c * K * width + j);
      }
    });
    const auto sum = [&](const T* part) { return of.inner == 1 ? *part : row_table<T, T>().sum(part, of.inner); };
    for (int64_t c = 0; c < of.channels; ++c) {
      double sums[K] = {};
      for (int64_t i = 0; i < chunks; ++i)
        for (int q = 0; q < K; ++q) sums[q] += sum(partial + (i * K + q) * width + c * of.inner);
      total(c, sums);
    }
  } else {
    parallel_for(0, of.channels, grain_for(n * of.inner), [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        double sums[K] = {};
        for (int64_t i = 0; i < n; ++i) {
          T out[K];
          row((i * of.channels + c) * of.inner, c, out);
          for (int q = 0; q < K; ++q) sums[q] += out[q];
        }
        total(c, sums);
      }
    });
  }
}

}  // namespace

void batch_norm_stats(DType dtype, const void* x, void* mean, void* var, int64_t n, int64_t channels, int64_t inner) {
  with_float("batch_norm", dtype, [&]<class S, class T>() {
    const auto& k = row_table<S, T>();
    const Images of{n, channels, inner};
    const S* from = static_cast<const S*>(x);
    T *means = static_cast<T*>(mean), *vars = static_cast<T*>(var);
    const double count = static_cast<double>(n * inner);
    channel_sums<T, 1>(
        of,
        [&](int64_t r, int64_t rows, int64_t j, int64_t width, T* out) {
          k.column_sums(from + r * of.width() + j, rows, of.width(), width, out);
        },
        [&](int64_t at, int64_t, T* out) { *out = k.sum(from + at, inner); },
        [&](int64_t c, const double* sums) { means[c] = static_cast<T>(sums[0] / count); });
    const Repeated<T> centers(means, of);
    channel_sums<T, 1>(
        of,
        [&](int64_t r, int64_t rows, int64_t j, int64_t width, T* out) {
          k.column_squares(from + r * of.width() + j, rows, of.width(), width, centers + j, out);
        },
        [&](int64_t at, int64_t c, T* out) { *out = k.sum_squares(from + at, inner, means[c]); },
        [&](int64_t c, const double* sums) { vars[c] = static_cast<T>(sums[0] / count); });
  });
}

void batch_norm_apply(DType dtype, const void* x, const void* mean, const void* rstd, const void* weight,
                      const void* bias, void* y, int64_t n, int64_t channels, int64_t inner) {
  with_float("batch_norm", dtype, [&]<class S, class T>() {
    const auto& k = row_table<S, T>();
    const Images of{n, channels, inner};
    const Scratch memory(2 * channels * sizeof(T));
    T *scale = memory.as<T>(), *shift = scale + channels;
    const T* means = static_cast<const T*>(mean);
    for (int64_t c = 0; c < channels; ++c) {
      scale[c] =
          static_cast<const T*>(rstd)[c] * (weight ? static_cast<T>(wide(static_cast<const S*>(weight)[c])) : T(1));
      shift[c] = bias ? static_cast<T>(wide(static_cast<const S*>(bias)[c])) : T(0);
    }
    const S* from = static_cast<const S*>(x);
    S* to = static_cast<S*>(y);
    if (of.columns()) {
      const Repeated<T> centers(means, of), scales(scale, of), shifts(shift, of);
      each_band(of, [&](int64_t at, int64_t width, int64_t j) {
        k.affine_columns(from + at, to + at, width, centers + j, scales + j, shifts + j);
      });
    } else {
      parallel_for(0, n * channels, grain_for(inner), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          const int64_t c = r % channels;
          k.affine(from + r * inner, to + r * inner, inner, means[c], scale[c], shift[c]);
        }
      });
    }
  });
}

void batch_norm_backward(DType dtype, const void* g, const void* x, const void* mean, const void* rstd,
                         const void* weight, bool training, void* dx, void* dweight, void* dbias, int64_t n,
                         int64_t channels, int64_t inner) {
  with_float("batch_norm_backward", dtype, [&]<class S, class T>() {
    const auto& k = row_table<S, T>();
    const Images of{n, channels, inner};
    const S *grad = static_cast<const S*>(g), *from = static_cast<const S*>(x);
    const T *means = static_cast<const T*>(mean), *scales = static_cast<const T*>(rstd);
    const Scratch memory(3 * channels * sizeof(T));  // dx = a g + b (x - mean) + c, by channel
    T *a = memory.as<T>(), *b = a + channels, *shift = b + channels;
    const double count = static_cast<double>(n * inner);
    const Repeated<T> centers(means, of);
    channel_sums<T, 2>(
        of,
        [&](int64_t r, int64_t rows, int64_t j, int64_t width, T* out) {
          const int64_t at = r * of.width() + j;
          k.column_dots(grad + at, from + at, rows, of.width(), width, centers + j, out, out + of.width());
        },
        [&](int64_t at, int64_t c, T* out) { k.dots(grad + at, from + at, inner, means[c], out); },
        [&](int64_t c, const double* sums) {
          const double s = scales[c], ws = weight ? s * wide(static_cast<const S*>(weight)[c]) : s;
          a[c] = static_cast<T>(ws);
          b[c] = training ? static_cast<T>(-ws * s * s * sums[1] / count) : T(0);
          shift[c] = training ? static_cast<T>(-ws * sums[0] / count) : T(0);
          if (dweight) narrow(static_cast<T>(sums[1] * s), static_cast<S*>(dweight)[c]);
          if (dbias) narrow(static_cast<T>(sums[0]), static_cast<S*>(dbias)[c]);
        });
    if (!dx) return;
    S* to = static_cast<S*>(dx);
    if (of.columns()) {
      const Repeated<T> as(a, of), bs(b, of), shifts(shift, of);
      each_band(of, [&](int64_t at, int64_t width, int64_t j) {
        k.combine_columns(grad + at, from + at, to + at, width, centers + j, as + j, bs + j, shifts + j);
      });
    } else {
      parallel_for(0, n * channels, grain_for(inner), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          const int64_t c = r % channels;
          k.combine(grad + r * inner, from + r * inner, nullptr, to + r * inner, inner, means[c], a[c], b[c], shift[c]);
        }
      });
    }
  });
}

}  // namespace ember::cpu
