// Softmax and the norms against formulas in double, values and gradients (gradients against central differences of the
// double formula), for all four float dtypes, lengths around the register edges, and both layouts of softmax and batch
// norm.
#include "kernel/cpu/rows.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "base/parallel.h"
#include "check.h"

using namespace ember;
using namespace ember::cpu;
using Doubles = std::vector<double>;

namespace {

std::mt19937 rng(2);

Doubles normal(int64_t n) {
  Doubles v(n);
  for (auto& x : v) x = std::normal_distribution<float>()(rng);
  return v;
}
template <class S>
std::vector<S> stored(Doubles& v) {  // rounds v to what S can hold
  std::vector<S> s(v.size());
  for (size_t i = 0; i < v.size(); ++i) {
    if constexpr (std::is_same_v<S, Half>) s[i] = to_half(v[i]), v[i] = to_float(s[i]);
    else if constexpr (std::is_same_v<S, BFloat16>) s[i] = to_bfloat16(v[i]), v[i] = to_float(s[i]);
    else s[i] = static_cast<S>(v[i]), v[i] = s[i];
  }
  return s;
}
template <class S>
double real(S x) {
  if constexpr (sizeof(S) == 2) return to_float(x);
  else return x;
}
template <class S>
constexpr double tolerance() {
  return std::is_same_v<S, double> ? 1e-12 : std::is_same_v<S, float> ? 3e-6 : std::is_same_v<S, Half> ? 2e-3 : 1.2e-2;
}
template <class S>
void near(const std::vector<S>& got, const Doubles& want, double scale = 1) {
  for (size_t i = 0; i < want.size(); ++i)
    if (!(std::abs(real(got[i]) - want[i]) <= scale * tolerance<S>() * (1 + std::abs(want[i]))))
      ember::test::fail(__FILE__, __LINE__, "at ", i, ": ", real(got[i]), " vs ", want[i]);
}
// d/dx of sum(f(x) * g), by central differences.
Doubles gradient(const std::function<Doubles(const Doubles&)>& f, Doubles x, const Doubles& g) {
  Doubles d(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double keep = x[i], h = 1e-5;
    x[i] = keep + h;
    const Doubles up = f(x);
    x[i] = keep - h;
    const Doubles down = f(x);
    x[i] = keep;
    for (size_t j = 0; j < g.size(); ++j) d[i] += g[j] * (up[j] - down[j]) / (2 * h);
  }
  return d;
}

Doubles softmax_formula(const Doubles& x, int64_t outer, int64_t dim, int64_t inner, bool log) {
  Doubles y(x.size());
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t j = 0; j < inner; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < dim; ++i) sum += std::exp(x[(o * dim + i) * inner + j]);
      for (int64_t i = 0; i < dim; ++i) {
        const int64_t at = (o * dim + i) * inner + j;
        y[at] = log ? x[at] - std::log(sum) : std::exp(x[at]) / sum;
      }
    }
  return y;
}
template <class S>
void check_softmax() {
  for (int64_t dim : {1, 5, 16, 67, 300})
    for (int64_t inner : {1, 3, 70})
      for (bool log : {false, true}) {
        const int64_t outer = 3, n = outer * dim * inner;
        Doubles x = normal(n), g = normal(n);
        const auto xs = stored<S>(x), gs = stored<S>(g);
        std::vector<S> y(n), dx(n);
        softmax(dtype_of<S>, xs.data(), y.data(), outer, dim, inner, log);
        const Doubles want = softmax_formula(x, outer, dim, inner, log);
        near(y, want);
        softmax_backward(dtype_of<S>, y.data(), gs.data(), dx.data(), outer, dim, inner, log);
        if (n <= 400)
          near(dx, gradient([&](const Doubles& v) { return softmax_formula(v, outer, dim, inner, log); }, x, g),
               std::is_same_v<S, double> ? 1e4 : 20);
      }
}

// Normalises groups of elements: `group(i)` and `channel(i)` say where element i belongs.
struct Norm {
  int64_t groups;
  std::function<int64_t(int64_t)> group, channel;
  bool rms = false;
  Doubles operator()(const Doubles& x, const Doubles& w, const Doubles& b) const {
    Doubles mean(groups), var(groups), y(x.size());
    Doubles count(groups);
    for (size_t i = 0; i < x.size(); ++i) mean[group(i)] += x[i], count[group(i)] += 1;
    for (int64_t k = 0; k < groups; ++k) mean[k] = rms ? 0 : mean[k] / count[k];
    for (size_t i = 0; i < x.size(); ++i) var[group(i)] += std::pow(x[i] - mean[group(i)], 2) / count[group(i)];
    for (size_t i = 0; i < x.size(); ++i)
      y[i] = (x[i] - mean[group(i)]) / std::sqrt(var[group(i)] + 1e-5) * w[channel(i)] + b[channel(i)];
    return y;
  }
};
struct Buffers {
  void *y, *stat0, *stat1, *dx, *dw, *db;
  const void *x, *w, *b, *g;
};
template <class S>
void check_norm(const Norm& norm, int64_t n, int64_t channels, const std::function<void(DType, const Buffers&)>& run) {
  using T = std::conditional_t<std::is_same_v<S, double>, double, float>;
  Doubles x = normal(n), w = normal(channels), b = normal(channels), g = normal(n);
  if (norm.rms) b.assign(channels, 0);
  const auto xs = stored<S>(x), ws = stored<S>(w), bs = stored<S>(b), gs = stored<S>(g);
  std::vector<S> y(n), dx(n), dw(channels), db(channels);
  std::vector<T> stat0(n), stat1(n);
  run(dtype_of<S>, {y.data(), stat0.data(), stat1.data(), dx.data(), dw.data(), db.data(), xs.data(), ws.data(),
                    bs.data(), gs.data()});
  near(y, norm(x, w, b), 4);
  near(dx, gradient([&](const Doubles& v) { return norm(v, w, b); }, x, g), std::is_same_v<S, double> ? 1e4 : 300);
  near(dw, gradient([&](const Doubles& v) { return norm(x, v, b); }, w, g), std::is_same_v<S, double> ? 1e4 : 300);
  if (!norm.rms)
    near(db, gradient([&](const Doubles& v) { return norm(x, w, v); }, b, g), std::is_same_v<S, double> ? 1e4 : 300);
}
template <class S>
void check_norms() {
  for (int64_t dim : {1, 7, 40}) {
    const int64_t rows = 9;
    Norm norm{rows, [=](int64_t i) { return i / dim; }, [=](int64_t i) { return i % dim; }};
    check_norm<S>(norm, rows * dim, dim, [=](DType d, const Buffers& v) {
      layer_norm(d, v.x, v.w, v.b, 1e-5, v.y, v.stat0, v.stat1, rows, dim);
      layer_norm_backward(d, v.g, v.x, v.w, v.stat0, v.stat1, v.dx, v.dw, v.db, rows, dim);
    });
    norm.rms = true;
    check_norm<S>(norm, rows * dim, dim, [=](DType d, const Buffers& v) {
      rms_norm(d, v.x, v.w, 1e-5, v.y, v.stat0, rows, dim);
      rms_norm_backward(d, v.g, v.x, v.w, v.stat0, v.dx, v.dw, rows, dim);
    });
  }
  for (int64_t inner : {1, 5, 19}) {
    const int64_t n = 5, c = 6, groups = 3;
    auto channel = [=](int64_t i) { return i / inner % c; };
    if (inner > 1)
      check_norm<S>({n * groups, [=](int64_t i) { return i / (c / groups * inner); }, channel}, n * c * inner, c,
                    [=](DType d, const Buffers& v) {
                      group_norm(d, v.x, v.w, v.b, 1e-5, v.y, v.stat0, v.stat1, n, c, inner, groups);
                      group_norm_backward(d, v.g, v.x, v.w, v.stat0, v.stat1, v.dx, v.dw, v.db, n, c, inner, groups);
                    });
    check_norm<S>({c, channel, channel}, n * c * inner, c, [=](DType d, const Buffers& v) {
      using T = std::conditional_t<std::is_same_v<S, double>, double, float>;
      batch_norm_stats(d, v.x, v.stat0, v.stat1, n, c, inner);
      for (int64_t i = 0; i < c; ++i)
        static_cast<T*>(v.stat1)[i] = 1 / std::sqrt(static_cast<T*>(v.stat1)[i] + T(1e-5));
      batch_norm_apply(d, v.x, v.stat0, v.stat1, v.w, v.b, v.y, n, c, inner);
      batch_norm_backward(d, v.g, v.x, v.stat0, v.stat1, v.w, true, v.dx, v.dw, v.db, n, c, inner);
    });
  }
}

}  // namespace

TEST(softmax_f32) { check_softmax<float>(); }
TEST(softmax_f64) { check_softmax<double>(); }
TEST(softmax_f16) { check_softmax<Half>(); }
TEST(softmax_bf16) { check_softmax<BFloat16>(); }
TEST(norms_f32) { check_norms<float>(); }
TEST(norms_f64) { check_norms<double>(); }
TEST(norms_f16) { check_norms<Half>(); }
TEST(norms_bf16) { check_norms<BFloat16>(); }

TEST(softmax_specials) {
  const float inf = INFINITY;
  std::vector<float> x{-inf, 0, -inf, -inf, -inf, -inf, NAN, 1, 2, 1000, 1000, -1000}, y(12);
  softmax(DType::kFloat32, x.data(), y.data(), 4, 3, 1, false);
  CHECK(y[0] == 0 && y[1] == 1 && std::isnan(y[3]) && std::isnan(y[7]) && y[9] == 0.5f && y[11] == 0);
}

TEST(rows_bits_do_not_depend_on_threads_or_position) {
  const int64_t rows = 500, dim = 203;
  Doubles v = normal(rows * dim), g = normal(rows * dim);
  const auto x = stored<float>(v), gs = stored<float>(g);
  std::vector<float> y(rows * dim), z(rows * dim), one(dim), dw(dim), dw1(dim), rstd(rows);
  layer_norm(DType::kFloat32, x.data(), nullptr, nullptr, 1e-5, y.data(), nullptr, rstd.data(), rows, dim);
  rms_norm_backward(DType::kFloat32, gs.data(), x.data(), nullptr, rstd.data(), nullptr, dw.data(), rows, dim);
  const int threads = num_threads();
  set_num_threads(1);
  layer_norm(DType::kFloat32, x.data(), nullptr, nullptr, 1e-5, z.data(), nullptr, nullptr, rows, dim);
  rms_norm_backward(DType::kFloat32, gs.data(), x.data(), nullptr, rstd.data(), nullptr, dw1.data(), rows, dim);
  set_num_threads(threads);
  CHECK(y == z && dw == dw1);
  layer_norm(DType::kFloat32, x.data() + 77 * dim, nullptr, nullptr, 1e-5, one.data(), nullptr, nullptr, 1, dim);
  CHECK(!std::memcmp(one.data(), y.data() + 77 * dim, dim * 4));
}
