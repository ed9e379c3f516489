// vec.h, vec_math.h, complex.h and convert.h under every instruction set that this machine has. The oracle is the C
// library's long double (64 bits of mantissa on x86); erfinv is judged by what erf makes of it, digamma by its
// recurrence and asymptotic series in long double. Bounds are in ulp, for float and double.
#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "check.h"
#include "isa/vec_isa_test.h"

namespace {

using ember::test::VecTable;
using Wide = long double;

std::vector<VecTable> tables() {
  std::vector<VecTable> all{ember::cpu::baseline::vec_test_table()};
#if defined(__x86_64__)
  if (ember::cpu_supports(ember::Isa::avx2)) all.push_back(ember::cpu::avx2::vec_test_table());
  if (ember::cpu_supports(ember::Isa::avx512)) all.push_back(ember::cpu::avx512::vec_test_table());
#endif
  return all;
}

constexpr Wide kPi = 3.141592653589793238462643383279503L;

Wide digamma(Wide x) {
  if (x < 0) return digamma(1 - x) - kPi / std::tan(kPi * x);
  Wide sum = 0;
  for (; x < 40; ++x) sum -= 1 / x;
  const Wide s = 1 / (x * x);
  const Wide series = s * (1 / 12.0L - s * (1 / 120.0L - s * (1 / 252.0L - s * (1 / 240.0L - s * (5 / 660.0L)))));
  return sum + std::log(x) - 0.5L / x - series;
}

// By bisection: slow and beyond doubt.
Wide erfinv(Wide x) {
  Wide lo = -7, hi = 7;
  for (int i = 0; i < 160; ++i) {
    const Wide mid = (lo + hi) / 2;
    const bool below = std::fabs(x) < 0.5L ? std::erf(mid) < x
                       : x > 0             ? std::erfc(mid) > 1 - x
                                           : std::erfc(-mid) < 1 + x;
    (below ? lo : hi) = mid;
  }
  return (lo + hi) / 2;
}

enum Range { kAll, kPositive, kUnit, kOver1, kSmall, kAngle, kGamma, kCloseTo0 };

struct Oracle {
  std::function<Wide(Wide, Wide)> f;
  Range range;
  double ulp32, ulp64;
};

template <class F>
Oracle one(F f, Range range, double ulp32, double ulp64) {
  return {[f](Wide x, Wide) { return f(x); }, range, ulp32, ulp64};
}

const std::map<std::string, Oracle>& oracles() {
#define ONE(f) [](Wide x) { return std::f(x); }
  static const std::map<std::string, Oracle> all{
      {"exp", one(ONE(exp), kSmall, 1, 1)},
      {"exp2", one(ONE(exp2), kSmall, 1.3, 1.3)},
      {"expm1", one(ONE(expm1), kSmall, 1.5, 1.5)},
      {"log", one(ONE(log), kPositive, 1, 1)},
      {"log2", one(ONE(log2), kPositive, 1, 1)},
      {"log10", one(ONE(log10), kPositive, 1, 1)},
      {"log1p", one([](Wide x) { return std::log1p(x); }, kPositive, 1, 1)},
      {"sin", one(ONE(sin), kAngle, 2, 1)},
      {"cos", one(ONE(cos), kAngle, 2, 1)},
      {"tan", one(ONE(tan), kAngle, 1, 2)},
      {"asin", one(ONE(asin), kUnit, 2, 2)},
      {"acos", one(ONE(acos), kUnit, 1.5, 1.5)},
      {"atan", one(ONE(atan), kAll, 1, 1)},
      {"sinh", one(ONE(sinh), kSmall, 2, 2)},
      {"cosh", one(ONE(cosh), kSmall, 1.5, 1.5)},
      {"tanh", one(ONE(tanh), kSmall, 1.5, 1.5)},
      {"asinh", one(ONE(asinh), kAll, 2, 2)},
      {"acosh", one(ONE(acosh), kOver1, 2, 2)},
      {"atanh", one(ONE(atanh), kUnit, 2, 2)},
      {"erf", one(ONE(erf), kSmall, 1.5, 1.5)},
      {"erfc", one(ONE(erfc), kCloseTo0, 1, 2)},
      {"erfinv", one(erfinv, kUnit, 1, 3)},
      {"lgamma", one(ONE(lgamma), kGamma, 1, 4)},
      {"digamma", one(digamma, kGamma, 1, 4)},
      {"sigmoid", one([](Wide x) { return 1 / (1 + std::exp(-x)); }, kSmall, 2.3, 2)},
      {"sqrt", one(ONE(sqrt), kPositive, 0.501, 0.501)},
      {"rsqrt", one([](Wide x) { return 1 / std::sqrt(x); }, kPositive, 1.6, 1.6)},
      {"floor", one(ONE(floor), kAll, 0, 0)},
      {"ceil", one(ONE(ceil), kAll, 0, 0)},
      {"trunc", one(ONE(trunc), kAll, 0, 0)},
      {"round", one(ONE(nearbyint), kAll, 0, 0)},
      {"sign", one([](Wide x) { return Wide((x > 0) - (x < 0)); }, kAll, 0, 0)},
      {"abs", one([](Wide x) { return std::fabs(x); }, kAll, 0, 0)},
      {"atan2", {[](Wide x, Wide y) { return std::atan2(x, y); }, kAll, 1.6, 1.6}},
      {"pow", {[](Wide x, Wide y) { return std::pow(x, y); }, kGamma, 1, 1.2}},
      {"hypot", {[](Wide x, Wide y) { return std::hypot(x, y); }, kAll, 1.3, 1.3}},
      {"fmod", {[](Wide x, Wide y) { return std::fmod(x, y); }, kAll, 0, 0}},
      {"copysign", {[](Wide x, Wide y) { return std::copysign(x, y); }, kAll, 0, 0}},
      {"min", {[](Wide x, Wide y) { return std::min(x, y); }, kAll, 0, 0}},
      {"max", {[](Wide x, Wide y) { return std::max(x, y); }, kAll, 0, 0}},
      {"fmin", {[](Wide x, Wide y) { return std::fmin(x, y); }, kAll, 0, 0}},
      {"fmax", {[](Wide x, Wide y) { return std::fmax(x, y); }, kAll, 0, 0}},
  };
#undef ONE
  return all;
}

template <class T>
T sample(Range range, std::mt19937& random) {
  auto uniform = [&](double lo, double hi) { return std::uniform_real_distribution<double>(lo, hi)(random); };
  const double spread = std::exp2(uniform(-30, 30)), sign = random() % 2 ? 1 : -1;
  switch (range) {
    case kAll: return static_cast<T>(random() % 2 ? sign * spread : uniform(-5, 5));
    case kPositive: return static_cast<T>(random() % 2 ? spread : uniform(0.5, 2));
    case kUnit: return static_cast<T>(random() % 4 ? uniform(-1, 1) : sign * std::exp2(uniform(-30, 0)));
    case kOver1: return static_cast<T>(random() % 2 ? 1 + spread : uniform(1, 3));
    case kSmall: return static_cast<T>(random() % 2 ? uniform(-80, 80) : uniform(-2, 2));
    case kAngle: return static_cast<T>(random() % 2 ? uniform(-20, 20) : sign * std::exp2(uniform(-20, 60)));
    case kGamma: return static_cast<T>(random() % 2 ? uniform(0.01, 12) : std::exp2(uniform(-10, 3)));
    case kCloseTo0: return static_cast<T>(uniform(-5, sizeof(T) == 4 ? 9 : 26));
  }
  return T(0);
}

template <class T>
double ulp_error(T got, Wide want) {
  const T rounded = static_cast<T>(want);
  if (std::isnan(rounded) || std::isinf(rounded)) return got == rounded || (got != got && rounded != rounded) ? 0 : 1e9;
  const T size = std::max(std::fabs(rounded), std::numeric_limits<T>::min());
  const T ulp = std::nextafter(size, std::numeric_limits<T>::infinity()) - size;
  const double error = static_cast<double>(std::fabs(static_cast<Wide>(got) - want) / ulp);
  return error == error ? error : 1e9;
}

template <class T>
void check_ulp(const VecTable& table, const char* name, ember::test::RowFunction<T> f, const Oracle& oracle) {
  constexpr int n = 2003;
  std::mt19937 random(17);
  std::vector<T> x(n), y(n), out(n);
  for (int i = 0; i < n; ++i) {
    x[i] = sample<T>(oracle.range, random);
    y[i] = sample<T>(oracle.range, random);
  }
  f(x.data(), y.data(), out.data(), n);
  const double bound = sizeof(T) == 4 ? oracle.ulp32 : oracle.ulp64;
  for (int i = 0; i < n; ++i) {
    const double error = ulp_error(out[i], oracle.f(x[i], y[i]));
    if (error > bound) {
      ember::test::fail(__FILE__, __LINE__, table.isa, ' ', name, sizeof(T) == 4 ? " f32(" : " f64(", double(x[i]),
                        ", ", double(y[i]), ") = ", double(out[i]), ", off by ", error, " ulp");
    }
  }
}

template <class T>
std::vector<T> call(const VecTable& table, const char* name, std::vector<T> x, std::vector<T> y = {}) {
  if (y.empty()) y = x;
  std::vector<T> out(x.size());
  for (int i = 0; i < table.real_count; ++i) {
    if (std::string(name) != table.real[i].name) continue;
    if constexpr (sizeof(T) == 4) table.real[i].f32(x.data(), y.data(), out.data(), x.size());
    if constexpr (sizeof(T) == 8) table.real[i].f64(x.data(), y.data(), out.data(), x.size());
    return out;
  }
  ember::test::fail(__FILE__, __LINE__, "no function ", name);
}

bool same(double a, double b) { return (a != a && b != b) || (a == b && std::signbit(a) == std::signbit(b)); }

template <class T>
void check_special(const VecTable& t) {
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const T tiny = std::numeric_limits<T>::denorm_min();
  auto expect = [&](const char* name, std::vector<T> x, std::vector<T> want) {
    const std::vector<T> got = call(t, name, x);
    for (size_t i = 0; i < x.size(); ++i) {
      if (!same(got[i], want[i])) {
        ember::test::fail(__FILE__, __LINE__, t.isa, ' ', name, '(', double(x[i]), ") = ", double(got[i]));
      }
    }
  };
  expect("exp", {inf, -inf, nan, T(0), T(-0.0), T(1e4), T(-1e4)}, {inf, 0, nan, 1, 1, inf, 0});
  expect("expm1", {inf, -inf, nan, T(-0.0), tiny}, {inf, -1, nan, T(-0.0), tiny});
  expect("log", {inf, -inf, nan, T(0), T(-0.0), T(-1), T(1)}, {inf, nan, nan, -inf, -inf, nan, 0});
  expect("log1p", {inf, T(-1), T(-2), T(-0.0), tiny}, {inf, -inf, nan, T(-0.0), tiny});
  expect("sin", {inf, nan, T(-0.0), tiny}, {nan, nan, T(-0.0), tiny});
  expect("cos", {-inf, nan, T(-0.0)}, {nan, nan, 1});
  expect("tan", {inf, nan, T(-0.0)}, {nan, nan, T(-0.0)});
  expect("tanh", {inf, -inf, nan, T(-0.0), tiny}, {1, -1, nan, T(-0.0), tiny});
  expect("sigmoid", {inf, -inf, nan, T(0)}, {1, 0, nan, T(0.5)});
  expect("asin", {T(1.5), nan, T(-0.0)}, {nan, nan, T(-0.0)});
  expect("acosh", {T(0.5), T(1), inf, nan, T(-3)}, {nan, 0, inf, nan, nan});
  expect("atanh", {T(1), T(-1), T(2), T(-0.0)}, {inf, -inf, nan, T(-0.0)});
  expect("erf", {inf, -inf, nan, T(-0.0)}, {1, -1, nan, T(-0.0)});
  expect("erfc", {inf, -inf, nan, T(0)}, {0, 2, nan, 1});
  expect("erfinv", {T(1), T(-1), T(1.5), T(-0.0)}, {inf, -inf, nan, T(-0.0)});
  expect("lgamma", {T(0), T(-1), T(-7), T(1), T(2), inf, nan, -inf}, {inf, inf, inf, 0, 0, inf, nan, inf});
  expect("digamma", {T(0), T(-0.0), T(-1), inf, nan}, {-inf, inf, nan, inf, nan});
  expect("round", {T(0.5), T(1.5), T(2.5), T(-0.4), inf, nan, T(1e30)}, {0, 2, 2, T(-0.0), inf, nan, T(1e30)});
  expect("floor", {T(-0.0), T(-0.5), T(0.5), -inf}, {T(-0.0), -1, 0, -inf});
  expect("sqrt", {T(-0.0), T(-1), inf}, {T(-0.0), nan, inf});

  const std::vector<T> ends{0, T(-0.0), 1, -1, 2, -2, T(0.5), 3, -3, inf, -inf, nan, tiny, T(1e30), T(-2.5)};
  std::vector<T> x, y;
  for (T a : ends) {
    for (T b : ends) {
      x.push_back(a);
      y.push_back(b);
    }
  }
  auto against = [&](const char* name, auto f, double tolerance) {
    const std::vector<T> got = call(t, name, x, y);
    for (size_t i = 0; i < x.size(); ++i) {
      const T want = f(x[i], y[i]);
      if (!same(got[i], want) && !(std::fabs(got[i] - want) <= tolerance * std::fabs(want))) {
        ember::test::fail(__FILE__, __LINE__, t.isa, ' ', name, '(', double(x[i]), ", ", double(y[i]),
                          ") = ", double(got[i]), ", not ", double(want));
      }
    }
  };
  const double close = 4 * std::numeric_limits<T>::epsilon();
  against(
      "pow", [](T a, T b) { return std::pow(a, b); }, close);
  against(
      "atan2", [](T a, T b) { return std::atan2(a, b); }, close);
  against(
      "hypot", [](T a, T b) { return std::hypot(a, b); }, close);
  against(
      "fmod", [](T a, T b) { return std::fmod(a, b); }, 0);
  against(
      "nextafter", [](T a, T b) { return std::nextafter(a, b); }, 0);
  auto remainder = [](T a, T b) {
    const T r = std::fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
  };
  against("remainder", remainder, 0);
  against(
      "min", [](T a, T b) { return a != a   ? a
                                   : b != b ? b
                                   : a < b  ? a
                                            : b; }, 0);
  against(
      "fmax", [](T a, T b) { return a != a   ? b
                                    : b != b ? a
                                    : b > a  ? b
                                             : a; }, 0);
}

template <class T>
void check_complex(const VecTable& t) {
  using C = std::complex<Wide>;
  const std::map<std::string, std::function<C(C, C)>> oracle{
      {"mul", [](C x, C y) { return x * y; }},
      {"div", [](C x, C y) { return x / y; }},
      {"pow", [](C x, C y) { return std::exp(y * std::log(x)); }},
#define CX(f) {#f, [](C x, C) { return std::f(x); }},
      CX(exp) CX(log) CX(sqrt) CX(sin) CX(cos) CX(tan) CX(sinh) CX(cosh) CX(tanh) CX(asin) CX(acos) CX(atan) CX(asinh)
          CX(acosh) CX(atanh)
#undef CX
  };
  constexpr int n = 501;
  std::mt19937 random(3);
  std::vector<T> x(2 * n), y(2 * n), out(2 * n);
  for (int i = 0; i < 2 * n; ++i) {
    x[i] = std::normal_distribution<T>()(random);
    y[i] = std::normal_distribution<T>()(random);
  }
  for (int k = 0; k < t.complex_count; ++k) {
    const auto& f = t.complex[k];
    if constexpr (sizeof(T) == 4) f.f32(x.data(), y.data(), out.data(), n);
    if constexpr (sizeof(T) == 8) f.f64(x.data(), y.data(), out.data(), n);
    const double bound = (std::string(f.name) == "pow" ? 20 : 4) * std::numeric_limits<T>::epsilon();
    for (int i = 0; i < n; ++i) {
      const C want = oracle.at(f.name)({x[2 * i], x[2 * i + 1]}, {y[2 * i], y[2 * i + 1]});
      const double error = static_cast<double>(std::abs(C(out[2 * i], out[2 * i + 1]) - want) / std::abs(want));
      if (!(error <= bound)) ember::test::fail(__FILE__, __LINE__, t.isa, " complex ", f.name, ": ", error);
    }
  }
}

template <class T>
T integer_oracle(const std::string& name, T a, T b) {
  using U = uint64_t;
  const bool signed_type = std::is_signed_v<T>, minus_one = signed_type && b == T(-1);
  const T q = b == 0 ? 0 : minus_one ? T(U{0} - U(a)) : T(a / b), r = b == 0 || minus_one ? T(0) : T(a % b);
  const bool down = r != 0 && signed_type && (a < 0) != (b < 0), wide = U(b) >= 64;
  if (name == "div") return q;
  if (name == "mod") return r;
  if (name == "remainder") return down ? r + b : r;
  if (name == "floor_div") return down ? q - 1 : q;
  if (name == "min") return std::min(a, b);
  if (name == "max") return std::max(a, b);
  if (name == "less") return a < b;
  if (name == "and") return a & b;
  if (name == "xor") return a ^ ~b;
  if (name == "shl") return wide ? T(0) : T(U(a) << b);
  if (name == "shr") return wide ? (signed_type && a < 0 ? T(-1) : T(0)) : T(a >> b);
  const auto size = [](T v) { return signed_type && v < 0 ? U{0} - U(v) : U(v); };
  U g = size(a), h = size(b);
  while (h != 0) {
    const U rest = g % h;
    g = h;
    h = rest;
  }
  if (name == "gcd") return T(g);
  if (name == "lcm") return g == 0 ? T(0) : T(size(T(U(a / T(g)) * U(b))));
  T p = 1;  // pow
  if (signed_type && b < 0) return a == 1 ? T(1) : a == T(-1) ? (b % 2 ? T(-1) : T(1)) : T(0);
  for (U i = 0; i < std::min<U>(b, 200); ++i) p = T(U(p) * U(a));
  return p;
}

template <class T>
void check_integers(const VecTable& t, const char* name, ember::test::RowFunction<T> f) {
  const std::vector<T> ends{0, 1, T(-1), 2, T(-2), 3, 7, T(-7), 12, 63, 64, 65, T(-64), 100, T(12345678901)};
  std::vector<T> x, y;
  for (T a : ends) {
    for (T b : ends) {
      if (std::string(name) == "pow" && (b > 150)) continue;
      x.push_back(a);
      y.push_back(b);
    }
  }
  std::vector<T> out(x.size());
  f(x.data(), y.data(), out.data(), x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const T want = integer_oracle<T>(name, x[i], y[i]);
    if (out[i] != want) {
      ember::test::fail(__FILE__, __LINE__, t.isa, ' ', name, '(', x[i], ", ", y[i], ") = ", out[i], ", not ", want);
    }
  }
}

}  // namespace

TEST(vec_basics) {
  for (const VecTable& t : tables()) {
    if (const char* wrong = t.basics()) ember::test::fail(__FILE__, __LINE__, t.isa, ": ", wrong);
  }
}

TEST(vec_ulp) {
  for (const VecTable& t : tables()) {
    for (int i = 0; i < t.real_count; ++i) {
      const auto found = oracles().find(t.real[i].name);
      if (found == oracles().end()) continue;
      check_ulp<float>(t, t.real[i].name, t.real[i].f32, found->second);
      check_ulp<double>(t, t.real[i].name, t.real[i].f64, found->second);
    }
  }
}

TEST(vec_special_values) {
  for (const VecTable& t : tables()) {
    check_special<float>(t);
    check_special<double>(t);
  }
}

TEST(vec_complex) {
  for (const VecTable& t : tables()) {
    check_complex<float>(t);
    check_complex<double>(t);
  }
}

TEST(vec_integers) {
  for (const VecTable& t : tables()) {
    for (int i = 0; i < t.integer_count; ++i) {
      check_integers<int64_t>(t, t.integer[i].name, t.integer[i].i64);
      check_integers<uint64_t>(t, t.integer[i].name, t.integer[i].u64);
    }
  }
}

TEST(vec_convert) {
  constexpr int n = 65536;
  std::vector<ember::Half> half(n), back(n);
  std::vector<ember::BFloat16> brain(n), brain_back(n);
  for (int i = 0; i < n; ++i) half[i].bits = brain[i].bits = static_cast<uint16_t>(i);
  for (const VecTable& t : tables()) {
    std::vector<float> f(n), g(n);
    t.from_half(half.data(), f.data(), n - 3);  // an odd count: the last rows are partial
    t.from_half(half.data() + n - 3, f.data() + n - 3, 3);
    t.from_bfloat16(brain.data(), g.data(), n);
    for (int i = 0; i < n; ++i) {
      CHECK(same(f[i], to_float(half[i])));
      CHECK(same(g[i], to_float(brain[i])));
    }
    for (float step : {1.0f, 1 + 0x1p-11f, 1 + 0x1p-8f, 1 + 0x1p-12f, 1 + 3 * 0x1p-11f}) {
      std::vector<float> from(f);
      for (float& v : from) v *= step;
      t.to_half(from.data(), back.data(), n);
      t.to_bfloat16(from.data(), brain_back.data(), n);
      for (int i = 0; i < n; ++i) {
        if (from[i] != from[i]) {
          CHECK((back[i].bits & 0x7fff) > 0x7c00 && (brain_back[i].bits & 0x7fff) > 0x7f80);
        } else {
          CHECK_EQ(back[i].bits, ember::to_half(from[i]).bits);
          CHECK_EQ(brain_back[i].bits, ember::to_bfloat16(from[i]).bits);
        }
      }
    }
    int64_t whole[3];
    t.half_to_int(std::vector<ember::Half>{{0x4248}, {0xc500}, {0x0001}}.data(), whole, 3);  // 3.14, -5, tiny
    CHECK(whole[0] == 3 && whole[1] == -5 && whole[2] == 0);
    bool truth[4];
    t.float_to_bool(std::vector<float>{0, -0.0f, NAN, 1e-45f}.data(), truth, 4);
    CHECK(!truth[0] && !truth[1] && truth[2] && truth[3]);
    uint64_t big[3];
    t.double_to_uint64(std::vector<double>{-1, 0x1.8p63, 3.9}.data(), big, 3);
    CHECK(big[0] == ~uint64_t{0} && big[1] == uint64_t{3} << 62 && big[2] == 3);
  }
}
