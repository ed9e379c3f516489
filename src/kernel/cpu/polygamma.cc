// polygamma(n, x) = (-1)^(n+1) n! zeta(n+1, x) for x > 0, Hurwitz's zeta by its sum up to where Euler and Maclaurin's
// series converges. Negative x goes by reflection: (-1)^n polygamma(n, 1 - x) - polygamma(n, x) is pi times the n-th
// derivative of cot(pi x), which is a polynomial in cot(pi x).
#include "kernel/cpu/polygamma.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/parallel.h"

namespace ember::cpu {
namespace {

// B(2j) / (2j)!
constexpr double kMaclaurin[] = {1.0 / 12,
                                 -1.0 / 720,
                                 1.0 / 30240,
                                 -1.0 / 1209600,
                                 1.0 / 47900160,
                                 -691.0 / 1307674368000.0,
                                 1.0 / 74724249600.0,
                                 -3617.0 / 10670622842880000.0};

// The sum over k >= 0 of (q + k)^-s, for q > 0 and s >= 2.
double zeta(double s, double q) {
  if (std::isinf(q)) return 0;
  double sum = 0, w = q;
  for (; w < s + 10; w += 1) {
    const double term = std::pow(w, -s);
    sum += term;
    if (!(term > sum * 1e-18)) return sum;  // also where both are 0, or infinite: s may be any number
  }
  const double last = std::pow(w, -s);
  sum += w * last / (s - 1) + last / 2;
  double factor = s * last / w;  // s (s + 1) ... (s + 2j) / w^(s + 2j + 1)
  for (int j = 0; j < 8; ++j) {
    sum += kMaclaurin[j] * factor;
    factor *= (s + 2 * j + 1) * (s + 2 * j + 2) / (w * w);
  }
  return sum;
}

// Coefficients of the polynomial in c = cot(t) that is the n-th derivative of cot(t): P' -> -(1 + c^2) P'(c).
std::vector<double> cot_derivative(int64_t n) {
  std::vector<double> p{0, 1};
  for (int64_t k = 0; k < n; ++k) {
    std::vector<double> next(p.size() + 1);
    for (size_t i = 1; i < p.size(); ++i) {
      next[i - 1] -= static_cast<double>(i) * p[i];
      next[i + 1] -= static_cast<double>(i) * p[i];
    }
    p = std::move(next);
  }
  return p;
}

}  // namespace

void polygamma(int64_t n, const double* x, double* y, int64_t count) {
  const double order = static_cast<double>(n), sign = n % 2 ? 1 : -1, factorial = std::tgamma(order + 1);
  const double turn = std::pow(std::numbers::pi, order + 1);
  const std::vector<double> p = cot_derivative(std::min<int64_t>(n, 170));  // n! is infinite from 171 on
  const auto positive = [&](double v) { return sign * factorial * zeta(order + 1, v); };
  parallel_for(0, count, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double v = x[i];
      if (v != v || v > 0) {
        y[i] = v != v ? v : positive(v);
      } else if (v == std::floor(v)) {
        y[i] = sign * INFINITY;
      } else {
        const double r = std::numbers::pi * (v - std::round(v)), c = std::cos(r) / std::sin(r);
        double derivative = 0;
        for (size_t k = p.size(); k-- > 0;) derivative = derivative * c + p[k];
        y[i] = -sign * positive(1 - v) - turn * derivative;
      }
    }
  });
}

}  // namespace ember::cpu
