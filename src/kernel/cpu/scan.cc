// Drivers of the running reductions: everything is brought into dense memory of the type computed in, where it is
// [outer, n, inner]; rows go through the row kernel, columns through the column kernel by tiles.
#include "kernel/cpu/scan.h"

#include <algorithm>
#include <cmath>
#include <complex>

#include "base/parallel.h"
#include "kernel/cpu/elementwise.h"
#include "kernel/cpu/reduce_kernels.h"
#include "kernel/cpu/scratch.h"

namespace ember::cpu {
namespace {

constexpr int64_t kTile = 256;  // columns at a time
int64_t grain_for(int64_t elements) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, elements)); }

struct Shape3 {
  int64_t outer = 1, n = 1, inner = 1;
  Shape3(const Tensor& x, int64_t dim) {
    for (int64_t d = 0; d < x.dim(); ++d) (d < dim ? outer : d == dim ? n : inner) *= x.sizes()[d];
  }
};

Tensor dense(const Tensor& x, DType dtype) {
  if (x.is_contiguous() && x.dtype() == dtype) return x;
  Tensor d = empty_raw(x.sizes(), dtype);
  copy(d, x);
  return d;
}
// Where to write results of `dtype` for y; deliver() takes them there.
Tensor beside(const Tensor& y, DType dtype) {
  return y.is_contiguous() && y.dtype() == dtype ? y : empty_raw(y.sizes(), dtype);
}
void deliver(const Tensor& y, const Tensor& from) {
  if (!y.is(from)) copy(y, from);
}

template <class T, class A>
void run(const ScanTable<T, A>& k, const T* x, T* y, Shape3 s, bool product) {
  const A none = product ? 1 : 0;
  if (s.inner == 1) {
    return parallel_for(0, s.outer, grain_for(s.n), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        A carry = none;
        k.run(x + r * s.n, y + r * s.n, s.n, product, &carry);
      }
    });
  }
  const int64_t tiles = (s.inner + kTile - 1) / kTile;
  parallel_for(0, s.outer * tiles, grain_for(s.n * std::min(kTile, s.inner)), [&](int64_t begin, int64_t end) {
    A carry[kTile];
    for (int64_t i = begin; i < end; ++i) {
      const int64_t j = i % tiles * kTile, width = std::min(kTile, s.inner - j), at = i / tiles * s.n * s.inner + j;
      std::fill_n(carry, width, none);
      for (int64_t r = 0; r < s.n; r += 8) {
        const int64_t o = at + r * s.inner;
        k.columns(x + o, y + o, std::min<int64_t>(8, s.n - r), s.inner, s.inner, width, product, carry);
      }
    }
  });
}

void sum_or_product(const Tensor& y, const Tensor& x, int64_t dim, bool product) {
  const ReduceTables& k = reduce_tables();
  Shape3 s(x, dim);
  const DType out = y.dtype();
  const DType type = is_complex(out) || out == DType::kFloat64 ? out
                     : is_floating(out)                        ? DType::kFloat32
                                                               : DType::kInt64;
  const Tensor from = dense(x, type), to = beside(y, type);
  switch (type) {
    case DType::kFloat32: run(k.scan_f32, from.data<float>(), to.data<float>(), s, product); break;
    case DType::kFloat64: run(k.scan_f64, from.data<double>(), to.data<double>(), s, product); break;
    case DType::kInt64: run(k.scan_i64, from.data<int64_t>(), to.data<int64_t>(), s, product); break;
    default:
      if (product) {
        visit(type, [&]<class C>(C) {
          if constexpr (std::is_same_v<C, std::complex<float>> || std::is_same_v<C, std::complex<double>>) {
            const C* in = from.data<C>();
            C* o = to.data<C>();
            parallel_for(0, s.outer * s.inner, grain_for(s.n), [&](int64_t begin, int64_t end) {
              for (int64_t i = begin; i < end; ++i) {
                std::complex<double> carry = 1;
                const int64_t at = i / s.inner * s.n * s.inner + i % s.inner;
                for (int64_t r = at; r < at + s.n * s.inner; r += s.inner) o[r] = C(carry *= in[r]);
              }
            });
          }
        });
      } else {
        s.inner *= 2;  // real and imaginary parts are columns of their own
        if (type == DType::kComplex64) run(k.scan_f32, from.data<float>(), to.data<float>(), s, false);
        else run(k.scan_f64, from.data<double>(), to.data<double>(), s, false);
      }
  }
  deliver(y, to);
}

// log(exp(a) + exp(b))
double log_add(double a, double b) {
  const double most = a != a || a > b ? a : b, least = a != a || a > b ? b : a;
  if (most == least && std::isinf(most)) return most;
  return most != most || least != least ? most + least : most + std::log1p(std::exp(least - most));
}

// The same of complex numbers: most is the one whose exponential is larger.
std::complex<double> log_add(std::complex<double> a, std::complex<double> b) {
  const bool first = a.real() != a.real() || a.real() > b.real();
  const std::complex<double> most = first ? a : b, least = first ? b : a;
  if (std::isinf(most.real()) && most.real() < 0) return most;
  if (most == least && std::isinf(most.real())) return most;
  const std::complex<double> e = std::exp(least - most);
  const double re = e.real(), im = e.imag();
  return most + std::complex<double>(0.5 * std::log1p(re * (2 + re) + im * im), std::atan2(im, 1 + re));
}

template <class T>
void log_sums(const Tensor& y, const Tensor& x, int64_t dim, DType type) {
  const Shape3 s(x, dim);
  const Tensor from = dense(x, type), to = beside(y, type);
  const T* in = from.data<T>();
  T* out = to.data<T>();
  parallel_for(0, s.outer * s.inner, grain_for(s.n * 16), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T carry = -INFINITY;
      const int64_t at = i / s.inner * s.n * s.inner + i % s.inner;
      for (int64_t r = at; r < at + s.n * s.inner; r += s.inner) out[r] = carry = log_add(carry, in[r]);
    }
  });
  deliver(y, to);
}

}  // namespace

void running_sum(const Tensor& y, const Tensor& x, int64_t dim) { sum_or_product(y, x, dim, false); }
void running_product(const Tensor& y, const Tensor& x, int64_t dim) { sum_or_product(y, x, dim, true); }

void running_logsumexp(const Tensor& y, const Tensor& x, int64_t dim) {
  if (is_complex(x.dtype())) log_sums<std::complex<double>>(y, x, dim, DType::kComplex128);
  else log_sums<double>(y, x, dim, DType::kFloat64);
}

void running_extreme(const Tensor& values, const Tensor& indices, const Tensor& x, int64_t dim, bool largest) {
  const DType d = x.dtype();
  const DType type = d == DType::kFloat64 || d == DType::kUInt64 ? d : is_floating(d) ? DType::kFloat32 : DType::kInt64;
  const Shape3 s(x, dim);
  const Tensor from = dense(x, type), to = beside(values, type), places = beside(indices, DType::kInt64);
  visit(type, [&]<class T>(T) {
    if constexpr (std::is_arithmetic_v<T>) {
      const T* in = from.data<T>();
      T* out = to.data<T>();
      int64_t* place = places.data<int64_t>();
      parallel_for(0, s.outer * s.inner, grain_for(s.n), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t at = i / s.inner * s.n * s.inner + i % s.inner;
          if (s.n == 0) continue;
          T best = in[at];
          int64_t found = 0;
          for (int64_t r = 0; r < s.n; ++r) {
            const T v = in[at + r * s.inner];
            if (v != v || (best == best && (largest ? v >= best : v <= best))) best = v, found = r;
            out[at + r * s.inner] = best, place[at + r * s.inner] = found;
          }
        }
      });
    }
  });
  deliver(values, to), deliver(indices, places);
}

}  // namespace ember::cpu
