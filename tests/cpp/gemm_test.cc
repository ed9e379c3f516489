// GEMM against a naive product in double (or wrapping integers): sizes around every tile edge, strides, transposes,
// alpha/beta/bias, every dtype; and the promise of equal bits for a row alone, in a batch, and at any thread count.
#include "kernel/cpu/gemm.h"

#include <complex>
#include <cstring>
#include <random>
#include <type_traits>
#include <vector>

#include "base/parallel.h"
#include "check.h"

using namespace ember;
using namespace ember::cpu;

namespace {

std::mt19937 rng(1);

template <class T>
T draw() {
  const float x = std::normal_distribution<float>()(rng);
  if constexpr (std::is_same_v<T, Half>) return to_half(x);
  else if constexpr (std::is_same_v<T, BFloat16>) return to_bfloat16(x);
  else if constexpr (std::is_integral_v<T>) return static_cast<T>(rng());
  else if constexpr (is_complex(dtype_of<T>)) return T(x, std::normal_distribution<float>()(rng));
  else return static_cast<T>(x);
}
template <class T>
std::vector<T> random(int64_t n) {
  std::vector<T> v(n);
  for (auto& x : v) x = draw<T>();
  return v;
}
template <class T>
std::complex<double> wide(T x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) return to_float(x);
  else if constexpr (is_complex(dtype_of<T>)) return {x.real(), x.imag()};
  else return static_cast<double>(x);
}

template <class T>
void check(const Gemm& shape, double tolerance) {
  Gemm g = shape;
  auto extent = [](int64_t r, int64_t c, int64_t rs, int64_t cs) {
    return r && c ? (r - 1) * rs + (c - 1) * cs + 1 : 1;
  };
  const auto a = random<T>(extent(g.m, g.k, g.a_row, g.a_col)), b = random<T>(extent(g.k, g.n, g.b_row, g.b_col));
  const auto bias = random<T>(std::max(g.m, g.n));
  auto c = random<T>(extent(g.m, g.n, g.c_row, g.c_col));
  const auto before = c;
  g.a = a.data(), g.b = b.data(), g.c = c.data(), g.bias = bias.data();
  gemm(dtype_of<T>, g);
  for (int64_t i = 0; i < g.m; ++i)
    for (int64_t j = 0; j < g.n; ++j) {
      std::complex<double> sum = 0;
      for (int64_t p = 0; p < g.k; ++p) sum += wide(a[i * g.a_row + p * g.a_col]) * wide(b[p * g.b_row + j * g.b_col]);
      sum *= g.alpha;
      if (g.beta != 0.0) sum += g.beta * wide(before[i * g.c_row + j * g.c_col]);
      if (g.bias_kind != Bias::kNone) sum += wide(bias[g.bias_kind == Bias::kRow ? i : j]);
      const auto got = wide(c[i * g.c_row + j * g.c_col]);
      if (!(std::abs(got - sum) <= tolerance * (std::abs(sum) + std::sqrt(g.k + 1.0))))
        ember::test::fail(__FILE__, __LINE__, g.m, "x", g.n, "x", g.k, " at ", i, ",", j, ": ", got, " vs ", sum);
    }
}

Gemm shape(int64_t m, int64_t n, int64_t k, bool ta = false, bool tb = false) {
  Gemm g;
  g.m = m, g.n = n, g.k = k;
  g.a_row = ta ? 1 : k, g.a_col = ta ? m : 1, g.b_row = tb ? 1 : n, g.b_col = tb ? k : 1, g.c_row = n;
  return g;
}

template <class T>
void check_sizes(double tolerance) {
  for (int64_t m : {1, 2, 5, 12, 13, 40, 61})
    for (int64_t n : {1, 3, 8, 16, 33, 70, 130})
      for (int64_t k : {0, 1, 7, 64, 257}) check<T>(shape(m, n, k, (m + k) % 2, (n + k / 2) % 2), tolerance);
  for (int t = 0; t < 4; ++t) check<T>(shape(150, 170, 300, t & 1, t & 2), tolerance);
}

}  // namespace

TEST(gemm_f32_sizes) { check_sizes<float>(2e-6); }
TEST(gemm_f64_sizes) { check_sizes<double>(1e-14); }
TEST(gemm_f16_sizes) { check_sizes<Half>(1e-3); }
TEST(gemm_bf16_sizes) { check_sizes<BFloat16>(8e-3); }

TEST(gemm_complex) {
  for (int t = 0; t < 4; ++t) {
    auto g = shape(13, 40, 65, t & 1, t & 2);
    check<std::complex<float>>(g, 2e-6);
    g.alpha = {0.5, 2}, g.beta = {1, -1};
    check<std::complex<double>>(g, 1e-14);
  }
}

TEST(gemm_strides_scales_bias) {
  for (int64_t m : {1, 9, 64, 200})
    for (int64_t n : {1, 2, 17, 96}) {
      auto g = shape(m, n, 70);
      g.alpha = 0.5, g.beta = 2;
      check<float>(g, 2e-6);
      g.c_row = 1, g.c_col = m + 3;  // column-major C
      check<float>(g, 2e-6);
      g.c_row = 2 * n * 3, g.c_col = 3, g.a_row = 211, g.a_col = 3, g.b_row = 2, g.b_col = 200;
      check<float>(g, 2e-6);
      g.beta = 0;
      for (auto bias : {Bias::kColumn, Bias::kRow}) {
        g.bias_kind = bias;
        check<double>(g, 1e-14);
        auto h = shape(m, n, 300, true, true);
        h.bias_kind = bias;
        check<float>(h, 2e-6);
        check<BFloat16>(h, 8e-3);
      }
    }
  auto zero_stride = shape(20, 30, 40);
  zero_stride.a_row = 0, zero_stride.b_col = 0;
  check<float>(zero_stride, 2e-6);
}

template <class T>
void check_integers() {
  const int64_t m = 9, n = 21, k = 39;
  const auto a = random<T>(m * k), b = random<T>(n * k);
  std::vector<T> c(m * n, T(3));
  gemm(dtype_of<T>, false, true, m, n, k, 2, a.data(), k, b.data(), k, 1, c.data(), n);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      uint64_t sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += static_cast<uint64_t>(a[i * k + p]) * static_cast<uint64_t>(b[j * k + p]);
      CHECK_EQ(c[i * n + j], static_cast<T>(2 * sum + 3));
    }
}
TEST(gemm_integers_wrap) {
  check_integers<int64_t>(), check_integers<uint64_t>(), check_integers<int32_t>(), check_integers<int16_t>();
  check_integers<int8_t>(), check_integers<uint8_t>(), check_integers<uint16_t>(), check_integers<uint32_t>();
}
TEST(gemm_bool_raises) { CHECK_THROWS(gemm(DType::kBool, Gemm{}), "gemm: dtype bool"); }

TEST(gemm_beta_zero_does_not_read_c) {
  std::vector<float> a(64, 1), b(64, 1), c(64, NAN);
  gemm(DType::kFloat32, false, false, 8, 8, 8, 1, a.data(), 8, b.data(), 8, 0, c.data(), 8);
  for (float x : c) CHECK_EQ(x, 8.f);
}

TEST(gemm_batched_matches_single) {
  const int64_t m = 20, n = 40, k = 30;
  for (int64_t batch : {1, 3, 20}) {
    const auto a = random<float>(batch * m * k), b = random<float>(k * n);
    std::vector<float> c(batch * m * n), d(m * n);
    gemm_batched(
        DType::kFloat32,
        [&] {
          auto g = shape(m, n, k);
          g.a = a.data(), g.b = b.data(), g.c = c.data();
          return g;
        }(),
        batch, m * k, 0, m * n);
    for (int64_t i = 0; i < batch; ++i) {
      gemm(DType::kFloat32, false, false, m, n, k, 1, a.data() + i * m * k, k, b.data(), n, 0, d.data(), n);
      CHECK(!std::memcmp(d.data(), c.data() + i * m * n, d.size() * 4));
    }
  }
}

TEST(gemm_bits_of_a_row_depend_on_nothing_else) {
  for (bool tb : {false, true})
    for (int64_t n : {3, 100, 515})
      for (int64_t k : {20, 700}) {
        const int64_t m = 300;
        const auto a = random<float>(m * k), b = random<float>(k * n), bias = random<float>(n);
        std::vector<float> all(m * n), again(m * n), row(n);
        auto g = shape(m, n, k, false, tb);
        g.a = a.data(), g.b = b.data(), g.c = all.data(), g.bias = bias.data(), g.bias_kind = Bias::kColumn;
        gemm(DType::kFloat32, g);
        const int threads = num_threads();
        set_num_threads(1);
        g.c = again.data();
        gemm(DType::kFloat32, g);
        set_num_threads(threads);
        CHECK(!std::memcmp(all.data(), again.data(), all.size() * 4));
        for (int64_t i : {0, 7, 299}) {
          auto one = g;
          one.m = 1, one.a = a.data() + i * k, one.c = row.data();
          gemm(DType::kFloat32, one);
          CHECK(!std::memcmp(row.data(), all.data() + i * n, n * 4));
        }
      }
}
