// Row and column loops of softmax and the norms for one instruction set. A sum runs in four registers that are joined
// in a fixed order, so its tree depends on the length only; tails are padded loads, never a scalar loop of another
// shape.
#include "kernel/cpu/isa/lanes.h"
#include "kernel/cpu/row_kernels.h"
#include "kernel/cpu/vec_math.h"

namespace ember::cpu::EMBER_ISA {
namespace {

template <class T, class S>
EMBER_INLINE Vec<T> get(const S* p) {
  return Vec<T>(load_as<T>(p));
}
template <class T, class S>
EMBER_INLINE Vec<T> get_n(const S* p, int64_t n) {
  return Vec<T>(load_as_n<T>(p, n));
}
template <class T, class S>
EMBER_INLINE void put(S* p, Vec<T> x) {
  store_as<T>(p, x.v);
}
template <class T, class S>
EMBER_INLINE void put_n(S* p, Vec<T> x, int64_t n) {
  store_as_n<T>(p, x.v, n);
}

template <class T>
EMBER_INLINE T total(Vec<T> x) {
  constexpr int n = Vec<T>::kLanes;
  T lane[n];
  x.store(lane);
  for (int w = n / 2; w; w /= 2)
    for (int i = 0; i < w; ++i) lane[i] += lane[i + w];
  return lane[0];
}
template <class T>
EMBER_INLINE T largest(Vec<T> x) {  // nan wins
  constexpr int n = Vec<T>::kLanes;
  T lane[n];
  x.store(lane);
  for (int w = n / 2; w; w /= 2)
    for (int i = 0; i < w; ++i) lane[i] = lane[i] != lane[i] || lane[i] > lane[i + w] ? lane[i] : lane[i + w];
  return lane[0];
}
template <class T>
EMBER_INLINE Vec<T> first(Vec<T> x, int64_t n) {
  return select(Vec<T>::iota() < static_cast<T>(n), x, Vec<T>(0));
}

// K sums of f(i, valid lanes) -> K registers, over i in steps of a register; `valid` is full but at the end.
template <int K, class T, class F>
EMBER_INLINE void reduce(int64_t n, T* out, F f) {
  constexpr int L = Vec<T>::kLanes;
  Vec<T> sum[4][K];
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) {
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u) f(i + u * L, L, sum[u]);
  }
  for (int u = 0; i < n; i += L, u = (u + 1) % 4) f(i, n - i < L ? n - i : L, sum[u]);
#pragma GCC unroll 4
  for (int k = 0; k < K; ++k) out[k] = total((sum[0][k] + sum[1][k]) + (sum[2][k] + sum[3][k]));
}
// One register at p + i, of which the first n lanes count; each() walks a row by them.
template <class T, class S>
EMBER_INLINE Vec<T> at(const S* p, int64_t i, int64_t n) {
  return n == Vec<T>::kLanes ? get<T>(p + i) : get_n<T>(p + i, n);
}
template <class T, class S>
EMBER_INLINE void set(S* p, int64_t i, int64_t n, Vec<T> x) {
  if (n == Vec<T>::kLanes) put(p + i, x);
  else put_n(p + i, x, n);
}
template <class T, class F>
EMBER_INLINE void each(int64_t n, F f) {
  constexpr int L = Vec<T>::kLanes;
  int64_t i = 0;
  for (; i + L <= n; i += L) f(i, int64_t{L});
  if (i < n) f(i, n - i);
}

// ---- softmax -------------------------------------------------------------------------------------------------------

template <class S, class T>
T row_max(const S* x, int64_t n) {
  constexpr int L = Vec<T>::kLanes;
  const Vec<T> low(-__builtin_inf());
  Vec<T> m[4] = {low, low, low, low};
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) {
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u) m[u] = max(m[u], get<T>(x + i + u * L));
  }
  for (; i < n; i += L) {
    const Vec<T> v = at<T>(x, i, n - i < L ? n - i : L);
    m[0] = max(m[0], n - i < L ? select(Vec<T>::iota() < static_cast<T>(n - i), v, low) : v);
  }
  return largest(max(max(m[0], m[1]), max(m[2], m[3])));
}

template <class S, class T>
void softmax(const S* x, S* y, T* work, int64_t n, bool log_form) {
  const Vec<T> top(row_max<S, T>(x, n));
  T sum;
  if (log_form) {
    reduce<1>(
        n, &sum, [&](int64_t i, int64_t m, Vec<T> * s) __attribute__((always_inline)) {
          s[0] += m == Vec<T>::kLanes ? exp(at<T>(x, i, m) - top) : first(exp(at<T>(x, i, m) - top), m);
        });
    const Vec<T> shift(log(Vec<T>(sum))[0]);
    each<T>(
        n, [&](int64_t i, int64_t m) __attribute__((always_inline)) { set(y, i, m, at<T>(x, i, m) - top - shift); });
  } else {
    T* e = work;
    if constexpr (__is_same(S, T)) e = y;
    reduce<1>(
        n, &sum, [&](int64_t i, int64_t m, Vec<T> * s) __attribute__((always_inline)) {
          const Vec<T> v = exp(at<T>(x, i, m) - top);
          set(e, i, m, v);
          s[0] += m == Vec<T>::kLanes ? v : first(v, m);
        });
    const Vec<T> scale(1 / sum);
    each<T>(
        n, [&](int64_t i, int64_t m) __attribute__((always_inline)) { set(y, i, m, at<T>(e, i, m) * scale); });
  }
}

template <class S, class T>
void softmax_backward(const S* y, const S* g, S* dx, int64_t n, bool log_form) {
  T sum;
  if (log_form) {
    reduce<1>(
        n, &sum, [&](int64_t i, int64_t m, Vec<T> * s) __attribute__((always_inline)) { s[0] += at<T>(g, i, m); });
    const Vec<T> total_g(sum);
    each<T>(
        n, [&](int64_t i, int64_t m)
               __attribute__((always_inline)) { set(dx, i, m, at<T>(g, i, m) - exp(at<T>(y, i, m)) * total_g); });
  } else {
    reduce<1>(
        n, &sum, [&](int64_t i, int64_t m, Vec<T> * s) __attribute__((always_inline)) {
          s[0] = fma(at<T>(y, i, m), at<T>(g, i, m), s[0]);
        });
    const Vec<T> dot(sum);
    each<T>(
        n, [&](int64_t i, int64_t m)
               __attribute__((always_inline)) { set(dx, i, m, at<T>(y, i, m) * (at<T>(g, i, m) - dot)); });
  }
}

template <class S, class T>
void softmax_columns(const S* x, S* y, int64_t n, int64_t stride, int64_t width, bool log_form) {
  each<T>(
      width, [&](int64_t j, int64_t m) __attribute__((always_inline)) {
        Vec<T> top(-__builtin_inf()), sum;
        for (int64_t i = 0; i < n; ++i) top = max(top, at<T>(x + i * stride, j, m));
        for (int64_t i = 0; i < n; ++i) {
          const Vec<T> e = exp(at<T>(x + i * stride, j, m) - top);
          sum += e;
          if constexpr (__is_same(S, T))
            if (!log_form) set(y + i * stride, j, m, e);
        }
        const Vec<T> shift = log_form ? log(sum) : Vec<T>(0), scale = 1 / sum;
        for (int64_t i = 0; i < n; ++i) {
          if (log_form) set(y + i * stride, j, m, at<T>(x + i * stride, j, m) - top - shift);
          else if constexpr (__is_same(S, T)) set(y + i * stride, j, m, at<T>(y + i * stride, j, m) * scale);
          else set(y + i * stride, j, m, exp(at<T>(x + i * stride, j, m) - top) * scale);
        }
      });
}

template <class S, class T>
void softmax_backward_columns(const S* y, const S* g, S* dx, int64_t n, int64_t stride, int64_t width, bool log_form) {
  each<T>(
      width, [&](int64_t j, int64_t m) __attribute__((always_inline)) {
        Vec<T> sum;
        for (int64_t i = 0; i < n; ++i) {
          const Vec<T> gi = at<T>(g + i * stride, j, m);
          sum = log_form ? sum + gi : fma(at<T>(y + i * stride, j, m), gi, sum);
        }
        for (int64_t i = 0; i < n; ++i) {
          const Vec<T> gi = at<T>(g + i * stride, j, m), yi = at<T>(y + i * stride, j, m);
          set(dx + i * stride, j, m, log_form ? gi - exp(yi) * sum : yi * (gi - sum));
        }
      });
}

// ---- rows of the norms ---------------------------------------------------------------------------------------------

template <class S, class T>
T sum(const S* x, int64_t n) {
  T out;
  reduce<1>(
      n, &out, [&](int64_t i, int64_t m, Vec<T> * s) __attribute__((always_inline)) { s[0] += at<T>(x, i, m); });
  return out;
}
template <class S, class T>
T sum_squares(const S* x, int64_t n, T center) {
  T out;
  const Vec<T> c(center);
  reduce<1>(
      n, &out, [&](int64_t i, int64_t m, Vec<T> * s) __attribute__((always_inline)) {
        const Vec<T> d = at<T>(x, i, m) - c, v = m == Vec<T>::kLanes ? d : first(d, m);
        s[0] = fma(v, v, s[0]);
      });
  return out;
}
template <class S, class T>
void dots(const S* g, const S* x, int64_t n, T center, T out[2]) {
  const Vec<T> c(center);
  reduce<2>(
      n, out, [&](int64_t i, int64_t m, Vec<T> * s) __attribute__((always_inline)) {
        const Vec<T> gi = at<T>(g, i, m);
        s[0] += gi, s[1] = fma(gi, at<T>(x, i, m) - c, s[1]);
      });
}
template <class S, class T>
void dots_weighted(const S* g, const S* x, const T* w, int64_t n, T center, T out[2]) {
  const Vec<T> c(center);
  reduce<2>(
      n, out, [&](int64_t i, int64_t m, Vec<T> * s) __attribute__((always_inline)) {
        const Vec<T> gi = at<T>(g, i, m) * at<T>(w, i, m);
        s[0] += gi, s[1] = fma(gi, at<T>(x, i, m) - c, s[1]);
      });
}
template <class S, class T>
void affine(const S* x, S* y, int64_t n, T center, T scale, T shift) {
  const Vec<T> c(center), a(scale), b(shift);
  each<T>(
      n, [&](int64_t i, int64_t m) __attribute__((always_inline)) { set(y, i, m, fma(at<T>(x, i, m) - c, a, b)); });
}
template <class S, class T>
void affine_weighted(const S* x, S* y, int64_t n, T center, T scale, const T* w, const T* b) {
  const Vec<T> c(center), a(scale);
  if (b) {
    each<T>(
        n, [&](int64_t i, int64_t m) __attribute__((always_inline)) {
          set(y, i, m, fma((at<T>(x, i, m) - c) * a, at<T>(w, i, m), at<T>(b, i, m)));
        });
  } else {
    each<T>(
        n, [&](int64_t i, int64_t m)
               __attribute__((always_inline)) { set(y, i, m, (at<T>(x, i, m) - c) * a * at<T>(w, i, m)); });
  }
}
template <class S, class T>
void combine(const S* g, const S* x, const T* w, S* dx, int64_t n, T center, T a, T b, T c) {
  const Vec<T> o(center), va(a), vb(b), vc(c);
  if (w) {
    each<T>(
        n, [&](int64_t i, int64_t m) __attribute__((always_inline)) {
          set(dx, i, m, fma(va, at<T>(g, i, m) * at<T>(w, i, m), fma(vb, at<T>(x, i, m) - o, vc)));
        });
  } else {
    each<T>(
        n, [&](int64_t i, int64_t m) __attribute__((always_inline)) {
          set(dx, i, m, fma(va, at<T>(g, i, m), fma(vb, at<T>(x, i, m) - o, vc)));
        });
  }
}

// ---- columns -------------------------------------------------------------------------------------------------------

// Adds to the K sums at out[k] of each column, four registers of columns at a time: f(row, column, valid lanes, sums).
template <int K, class T, class F>
EMBER_INLINE void columns(int64_t rows, int64_t width, T* const (&out)[K], F f) {
  constexpr int L = Vec<T>::kLanes;
  int64_t j = 0;
  for (; j + 4 * L <= width; j += 4 * L) {
    Vec<T> s[4][K];
#pragma GCC unroll 8
    for (int u = 0; u < 4 * K; ++u) s[u / K][u % K] = get<T>(out[u % K] + j + u / K * L);
    for (int64_t i = 0; i < rows; ++i) {
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u) f(i, j + u * L, L, s[u]);
    }
#pragma GCC unroll 8
    for (int u = 0; u < 4 * K; ++u) put(out[u % K] + j + u / K * L, s[u / K][u % K]);
  }
  for (; j < width; j += L) {
    const int64_t m = width - j < L ? width - j : L;
    Vec<T> s[K];
    for (int k = 0; k < K; ++k) s[k] = at<T>(out[k], j, m);
    for (int64_t i = 0; i < rows; ++i) f(i, j, m, s);
    for (int k = 0; k < K; ++k) set(out[k], j, m, s[k]);
  }
}

template <class S, class T>
void column_sums(const S* x, int64_t rows, int64_t stride, int64_t width, T* out) {
  columns<1, T>(
      rows, width, {out}, [&](int64_t i, int64_t j, int64_t m, Vec<T> * s) __attribute__((always_inline)) {
        s[0] += at<T>(x + i * stride, j, m);
      });
}
template <class S, class T>
void column_squares(const S* x, int64_t rows, int64_t stride, int64_t width, const T* center, T* out) {
  columns<1, T>(
      rows, width, {out}, [&](int64_t i, int64_t j, int64_t m, Vec<T> * s) __attribute__((always_inline)) {
        const Vec<T> d = at<T>(x + i * stride, j, m) - at<T>(center, j, m);
        s[0] = fma(d, d, s[0]);
      });
}
template <class S, class T>
void column_dots(const S* g, const S* x, int64_t rows, int64_t stride, int64_t width, const T* center, T* sum_g,
                 T* sum_gx) {
  columns<2, T>(
      rows, width, {sum_g, sum_gx}, [&](int64_t i, int64_t j, int64_t m, Vec<T> * s) __attribute__((always_inline)) {
        const Vec<T> gi = at<T>(g + i * stride, j, m);
        s[0] += gi, s[1] = fma(gi, at<T>(x + i * stride, j, m) - at<T>(center, j, m), s[1]);
      });
}
template <class S, class T>
void column_dots_rows(const S* g, const S* x, int64_t rows, int64_t stride, int64_t width, const T* mean, const T* rstd,
                      T* sum_g, T* sum_gx) {
  columns<2, T>(
      rows, width, {sum_g, sum_gx}, [&](int64_t i, int64_t j, int64_t m, Vec<T> * s) __attribute__((always_inline)) {
        const Vec<T> gi = at<T>(g + i * stride, j, m), c(mean ? mean[i] : T(0)), r(rstd[i]);
        s[0] += gi, s[1] = fma(gi, (at<T>(x + i * stride, j, m) - c) * r, s[1]);
      });
}
template <class S, class T>
void affine_columns(const S* x, S* y, int64_t n, const T* center, const T* scale, const T* shift) {
  each<T>(
      n, [&](int64_t i, int64_t m) __attribute__((always_inline)) {
        set(y, i, m, fma(at<T>(x, i, m) - at<T>(center, i, m), at<T>(scale, i, m), at<T>(shift, i, m)));
      });
}
template <class S, class T>
void combine_columns(const S* g, const S* x, S* dx, int64_t n, const T* center, const T* a, const T* b, const T* c) {
  each<T>(
      n, [&](int64_t i, int64_t m) __attribute__((always_inline)) {
        const Vec<T> d = at<T>(x, i, m) - at<T>(center, i, m);
        set(dx, i, m, fma(at<T>(a, i, m), at<T>(g, i, m), fma(at<T>(b, i, m), d, at<T>(c, i, m))));
      });
}

template <class S, class T>
constexpr RowTable<S, T> make_table() {
  return {softmax<S, T>,
          softmax_backward<S, T>,
          softmax_columns<S, T>,
          softmax_backward_columns<S, T>,
          sum<S, T>,
          sum_squares<S, T>,
          dots<S, T>,
          dots_weighted<S, T>,
          affine<S, T>,
          affine_weighted<S, T>,
          combine<S, T>,
          column_sums<S, T>,
          column_squares<S, T>,
          column_dots<S, T>,
          column_dots_rows<S, T>,
          affine_columns<S, T>,
          combine_columns<S, T>};
}

}  // namespace

extern const RowTable<float, float> rows_f32;
extern const RowTable<double, double> rows_f64;
extern const RowTable<Half, float> rows_f16;
extern const RowTable<BFloat16, float> rows_bf16;
const RowTable<float, float> rows_f32 = make_table<float, float>();
const RowTable<double, double> rows_f64 = make_table<double, double>();
const RowTable<Half, float> rows_f16 = make_table<Half, float>();
const RowTable<BFloat16, float> rows_bf16 = make_table<BFloat16, float>();

}  // namespace ember::cpu::EMBER_ISA
