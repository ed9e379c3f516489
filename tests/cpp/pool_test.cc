// Pooling against the window written out in double, element by element: max with indices, averages in every counting
// mode, adaptive windows, 1 to 3 dimensions, both layouts; gradients are the transposes of the same windows.
#include "kernel/cpu/pool.h"

#include <cmath>
#include <random>
#include <vector>

#include "check.h"

using namespace ember;
using namespace ember::cpu;

namespace {

std::mt19937 rng(4);

template <class S>
S from_double(double x) {
  if constexpr (std::is_same_v<S, Half>) return to_half(static_cast<float>(x));
  else if constexpr (std::is_same_v<S, BFloat16>) return to_bfloat16(static_cast<float>(x));
  else return static_cast<S>(x);
}
template <class S>
double real(S x) {
  if constexpr (std::is_same_v<S, Half> || std::is_same_v<S, BFloat16>) return to_float(x);
  else return static_cast<double>(x);
}
int64_t volume(const int64_t* x) { return x[0] * x[1] * x[2]; }

// The inputs of output o, in row-major order, and the divisor of its average.
std::vector<int64_t> window(const Pool& p, int64_t o, double& divisor) {
  const int64_t out[3] = {o / p.out[2] / p.out[1], o / p.out[2] % p.out[1], o % p.out[2]};
  std::vector<int64_t> dims[3];
  divisor = 1;
  for (int d = 0; d < 3; ++d) {
    if (p.adaptive) {
      const int64_t b = std::floor(double(out[d]) * p.in[d] / p.out[d]),
                    e = std::ceil(double(out[d] + 1) * p.in[d] / p.out[d]);
      for (int64_t i = b; i < e; ++i) dims[d].push_back(i);
      divisor *= e - b;
      continue;
    }
    const int64_t start = out[d] * p.stride[d] - p.padding[d];
    int64_t padded = 0;
    for (int64_t k = 0; k < p.kernel[d]; ++k) {
      const int64_t i = start + k * p.dilation[d];
      if (i >= 0 && i < p.in[d]) dims[d].push_back(i);
      if (start + k < p.in[d] + p.padding[d]) ++padded;
    }
    divisor *= p.count_include_pad ? padded : dims[d].size();
  }
  if (p.divisor_override) divisor = p.divisor_override;
  std::vector<int64_t> all;
  for (int64_t a : dims[0])
    for (int64_t b : dims[1])
      for (int64_t c : dims[2]) all.push_back((a * p.in[1] + b) * p.in[2] + c);
  return all;
}

template <class S>
void check(const Pool& p, bool average) {
  const int64_t in = volume(p.in), out = volume(p.out), nx = p.planes * in * p.inner, ny = p.planes * out * p.inner;
  std::vector<S> x(nx), y(ny), g(ny), dx(nx);
  std::vector<int64_t> where(ny);
  for (auto& v : x) v = from_double<S>(std::round(std::normal_distribution<double>(0, 5)(rng)));  // with ties
  for (auto& v : g) v = from_double<S>(std::normal_distribution<double>()(rng));
  std::vector<double> want(ny), want_dx(nx);
  std::vector<int64_t> want_where(ny);
  for (int64_t plane = 0; plane < p.planes; ++plane)
    for (int64_t o = 0; o < out; ++o)
      for (int64_t c = 0; c < p.inner; ++c) {
        double divisor, best = -INFINITY, sum = 0;
        const int64_t to = (plane * out + o) * p.inner + c;
        const auto taps = window(p, o, divisor);
        for (int64_t i : taps) {
          const double v = real(x[(plane * in + i) * p.inner + c]);
          if (v > best) best = v, want_where[to] = i;
          sum += v;
          if (average) want_dx[(plane * in + i) * p.inner + c] += real(g[to]) / divisor;
        }
        want[to] = average ? sum / divisor : best;
        if (!average) want_dx[(plane * in + want_where[to]) * p.inner + c] += real(g[to]);
      }
  const DType d = dtype_of<S>;
  if (average) avg_pool(d, p, x.data(), y.data());
  else max_pool(d, p, x.data(), y.data(), where.data());
  const double tolerance = sizeof(S) == 2 ? 1e-2 : 1e-5;
  for (int64_t i = 0; i < ny; ++i) CHECK_NEAR(real(y[i]), want[i], tolerance * (1 + std::abs(want[i])));
  if (!average) CHECK(where == want_where);
  if constexpr (is_floating(dtype_of<S>)) {
    if (average) avg_pool_backward(d, p, g.data(), dx.data());
    else max_pool_backward(d, p, g.data(), where.data(), dx.data());
    for (int64_t i = 0; i < nx; ++i) CHECK_NEAR(real(dx[i]), want_dx[i], tolerance * (1 + std::abs(want_dx[i])));
  }
}

template <class S>
void check_all() {
  std::vector<Pool> shapes = {
      {3, 1, {1, 1, 20}, {1, 1, 10}, {1, 1, 2}, {1, 1, 2}},
      {3, 1, {1, 9, 35}, {1, 5, 18}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}},
      {2, 1, {1, 7, 40}, {1, 5, 38}, {1, 3, 3}, {1, 1, 1}},
      {2, 1, {1, 8, 8}, {1, 4, 4}, {1, 3, 3}, {1, 2, 2}, {0, 0, 0}},  // ceil_mode: the last window is cut short
      {2, 1, {4, 6, 9}, {2, 3, 3}, {2, 2, 3}, {2, 2, 3}},
      {2, 1, {1, 6, 11}, {1, 3, 4}, {}, {}, {}, {}, true},
      {2, 1, {1, 6, 11}, {1, 1, 1}, {}, {}, {}, {}, true},
      {2, 1, {3, 4, 5}, {5, 3, 2}, {}, {}, {}, {}, true},
  };
  for (Pool p : shapes)
    for (int64_t inner : {1, 5}) {
      p.inner = inner;
      check<S>(p, false);
      if constexpr (is_floating(dtype_of<S>)) {
        check<S>(p, true);
        p.count_include_pad = false;
        check<S>(p, true);
        p.divisor_override = 3;
        check<S>(p, true);
        p.count_include_pad = true, p.divisor_override = 0;
      }
    }
  check<S>({2, 1, {1, 9, 12}, {1, 5, 4}, {1, 3, 3}, {1, 1, 2}, {0, 0, 1}, {1, 2, 3}}, false);  // dilation
}

}  // namespace

TEST(pool_f32) { check_all<float>(); }
TEST(pool_f64) { check_all<double>(); }
TEST(pool_f16) { check_all<Half>(); }
TEST(pool_bf16) { check_all<BFloat16>(); }
TEST(pool_integers) { check_all<int64_t>(), check_all<int32_t>(), check_all<int8_t>(); }
TEST(max_pool_nan_wins) {
  const float x[4] = {1, NAN, 3, 2};
  float y[2];
  int64_t at[2];
  max_pool(DType::kFloat32, {1, 1, {1, 1, 4}, {1, 1, 2}, {1, 1, 2}, {1, 1, 2}}, x, y, at);
  CHECK(std::isnan(y[0]) && at[0] == 1 && y[1] == 3 && at[1] == 2);
}
TEST(pool_of_bool_raises) {
  CHECK_THROWS(max_pool(DType::kBool, {1}, nullptr, nullptr, nullptr), "\"max_pool\" not implemented for 'bool'");
}
