// Distributions whose parameters are tensors: multinomial, and those drawn by rejection, where how many words an
// element takes depends on the words. Algorithms: Poisson by multiplication of uniforms (small rates) and Hoermann's
// PTRS; binomial by inversion and Hoermann's BTRS (both: W. Hoermann, 1993, the transformed rejection method); gamma by
// Marsaglia and Tsang (2000). Which intermediate is rounded to the element's type follows PyTorch, or samples would
// differ.
#include <limits>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "kernel/cpu/random.h"
#include "kernel/cpu/random_stream.h"

namespace ember::kernel {
namespace {

using Lock = std::lock_guard<std::mutex>;

double draw(Generator& generator) { return uniform53(generator.random64()); }

double log_gamma(double x) {  // std::lgamma writes to a global
  int sign;
  return lgamma_r(x, &sign);
}

int64_t sample_poisson(Generator& generator, double rate) {
  if (rate == 0) return 0;
  if (rate < 10) {
    double end = std::exp(-rate), product = 1;
    for (int64_t k = 0;; ++k)
      if ((product *= draw(generator)) <= end) return k;
  }
  double root = std::sqrt(rate), log_rate = std::log(rate);
  double b = 0.931 + 2.53 * root, a = -0.059 + 0.02483 * b;
  double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), v_r = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    double u = draw(generator) - 0.5, v = draw(generator), us = 0.5 - std::fabs(u);
    auto k = static_cast<int64_t>(std::floor((2 * a / us + b) * u + rate + 0.43));
    if (us >= 0.07 && v <= v_r) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    double log_k = static_cast<double>(k) * log_rate - rate - log_gamma(static_cast<double>(k) + 1);
    if (std::log(v) + std::log(inverse_alpha) - std::log(a / (us * us) + b) <= log_k) return k;
  }
}

// log k! - its Stirling approximation.
double stirling_tail(double k) {
  static constexpr double kTail[] = {0.0810614667953272,  0.0413406959554092, 0.0276779256849983, 0.02079067210376509,
                                     0.0166446911898211,  0.0138761288230707, 0.0118967099458917, 0.0104112652619720,
                                     0.00925546218271273, 0.00833056343336287};
  if (k < 10) return kTail[static_cast<size_t>(k)];
  double square = (k + 1) * (k + 1);
  return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1);
}

template <class C>
C binomial_inversion(Generator& generator, C count, C p) {
  double sum = 0, log_q = std::log1p(-p);
  for (C k = 0;; k += 1)
    if ((sum += std::ceil(std::log(draw(generator)) / log_q)) > count) return k;
}

template <class C>
C binomial_btrs(Generator& generator, C count, C p) {
  const double spread = std::sqrt(count * p * (1 - p));
  const double b = 1.15 + 2.53 * spread, a = -0.0873 + 0.0248 * b + 0.01 * p, c = count * p + 0.5;
  const double v_r = 0.92 - 4.2 / b, odds = p / (1 - p), alpha = (2.83 + 5.1 / b) * spread;
  const double mode = std::floor((count + 1) * p);
  for (;;) {
    double u = draw(generator) - 0.5, v = draw(generator), us = 0.5 - std::abs(u);
    C k = static_cast<C>(std::floor((2 * a / us + b) * u + c));
    if (k < 0 || k > count) continue;
    if (us >= 0.07 && v <= v_r) return k;
    v = std::log(v * alpha / (a / (us * us) + b));
    double bound = (mode + 0.5) * std::log((mode + 1) / (odds * (count - mode + 1))) +
                   (count + 1) * std::log((count - mode + 1) / (count - k + 1)) +
                   (k + 0.5) * std::log(odds * (count - k + 1) / (k + 1)) + stirling_tail(mode) +
                   stirling_tail(count - mode) - stirling_tail(k) - stirling_tail(count - k);
    if (v <= bound) return k;
  }
}

template <class C>
C sample_binomial(Generator& generator, C count, C p) {
  if (count <= 0 || p <= 0) return 0;
  if (p >= 1) return count;
  if (std::isnan(p)) return p;
  bool flip = p > C(0.5);
  if (flip) p = static_cast<C>(1.0 - p);
  C k = count * p >= 10 ? binomial_btrs(generator, count, p) : binomial_inversion(generator, count, p);
  return flip ? count - k : k;
}

template <class C>
C sample_gamma(Generator& generator, C alpha) {
  double scale = 1;
  if (alpha < 1) {  // a larger shape is accepted more often; the power takes it back
    if (alpha == 0) return 0;
    scale = std::pow(1 - draw(generator), static_cast<double>(1 / alpha));
    alpha += 1;
  }
  const double d = alpha - 1.0f / 3.0f, c = 1 / std::sqrt(9 * d);
  for (;;) {
    double x, y;
    do {
      x = next_normal(generator);
      y = 1 + c * x;
    } while (y <= 0);
    double v = y * y * y, u = 1 - draw(generator), xx = x * x;
    if (u < 1 - double{0.0331f} * xx * xx || std::log(u) < 0.5 * xx + d * (1 - v + std::log(v)))
      return static_cast<C>(scale * d * v);
  }
}

// Cumulative sums, then one binary search a sample.
template <class T>
void with_replacement(Generator& generator, const T* weights, int64_t rows, int64_t columns, int64_t samples,
                      int64_t* out) {
  using C = compute_t<T>;
  std::vector<C> sums(static_cast<size_t>(columns));
  Lock lock(generator.mutex());
  for (int64_t row = 0; row < rows; ++row, weights += columns, out += samples) {
    C sum = 0;
    for (int64_t j = 0; j < columns; ++j) {
      C value = load(weights[j]);
      EMBER_CHECK(value >= 0, "invalid multinomial distribution (encountering probability entry < 0)");
      EMBER_CHECK(std::isfinite(value),
                  "invalid multinomial distribution (encountering probability entry = infinity or NaN)");
      sums[static_cast<size_t>(j)] = sum += value;
    }
    EMBER_CHECK(sum > 0, "invalid multinomial distribution (sum of probabilities <= 0)");
    for (C& s : sums) s /= sum;
    sums.back() = 1;
    for (int64_t j = 0; j < samples; ++j)
      out[j] = std::lower_bound(sums.begin(), sums.end(), draw(generator)) - sums.begin();
  }
}

// The `samples` largest of weight / q with q exponential: each category's waiting time, turned upside down.
template <class T>
void without_replacement(Generator& generator, DType dtype, const T* weights, int64_t rows, int64_t columns,
                         int64_t samples, int64_t* out) {
  using C = compute_t<T>;
  for (int64_t row = 0; row < rows; ++row) {
    C sum = 0;
    for (int64_t j = 0; j < columns; ++j) {
      C value = load(weights[row * columns + j]);
      EMBER_CHECK(value >= 0 && std::isfinite(value), "probability tensor contains either `inf`, `nan` or element < 0");
      sum += value;
    }
    EMBER_CHECK(sum != 0, "invalid multinomial distribution (sum of probabilities <= 0)");
  }
  std::vector<T> score(static_cast<size_t>(rows * columns));
  exponential(generator, dtype, score.data(), rows * columns, 1);
  for (int64_t i = 0; i < rows * columns; ++i) {
    T& s = score[static_cast<size_t>(i)];
    s = cast<T>(load(weights[i]) / load(s));
  }
  // Equal scores (all those of weight zero) come in the order that torch.topk leaves them in: its selection, step by
  // step.
  std::vector<std::pair<C, int64_t>> order(static_cast<size_t>(columns));
  auto larger = [](const auto& a, const auto& b) { return a.first > b.first; };
  for (int64_t row = 0; row < rows; ++row, out += samples) {
    for (int64_t j = 0; j < columns; ++j)
      order[static_cast<size_t>(j)] = {load(score[static_cast<size_t>(row * columns + j)]), j};
    auto begin = order.begin(), last = begin + (samples - 1);
    if (samples == 1) {
      std::swap(*begin, *std::min_element(begin, order.end(), larger));
    } else if (samples * 64 <= columns) {
      std::partial_sort(begin, last + 1, order.end(), larger);
    } else {
      std::nth_element(begin, last, order.end(), larger);
      std::sort(begin, last, larger);
    }
    for (int64_t j = 0; j < samples; ++j) out[j] = order[static_cast<size_t>(j)].second;
  }
}

}  // namespace

void multinomial(Generator& generator, DType dtype, const void* weights, int64_t rows, int64_t columns, int64_t samples,
                 bool replacement, int64_t* out) {
  EMBER_CHECK(samples > 0, "multinomial: cannot sample n_sample <= 0 samples");
  EMBER_CHECK(replacement || samples <= columns,
              "multinomial: cannot sample n_sample > prob_dist.size(-1) samples without replacement");
  EMBER_CHECK(columns <= 1 << 24, "multinomial: number of categories cannot exceed 2^24");
  if (rows == 0) return;
  visit_floating("multinomial", dtype, [&]<class T>(T) {
    const T* given = static_cast<const T*>(weights);
    if (replacement) {
      with_replacement(generator, given, rows, columns, samples, out);
    } else {
      without_replacement(generator, dtype, given, rows, columns, samples, out);
    }
  });
}

void poisson(Generator& generator, DType dtype, const void* rate, void* out, int64_t n) {
  visit_floating("poisson", dtype, [&]<class T>(T) {
    Lock lock(generator.mutex());
    for (int64_t i = 0; i < n; ++i) {
      auto value = static_cast<double>(load(static_cast<const T*>(rate)[i]));
      EMBER_CHECK(value >= 0, "invalid Poisson rate, expected rate to be non-negative");
      static_cast<T*>(out)[i] = cast<T>(sample_poisson(generator, value));
    }
  });
}

void binomial(Generator& generator, DType dtype, const void* count, const void* p, void* out, int64_t n) {
  visit_floating("binomial", dtype, [&]<class T>(T) {
    Lock lock(generator.mutex());
    for (int64_t i = 0; i < n; ++i)
      static_cast<T*>(out)[i] =
          cast<T>(sample_binomial(generator, load(static_cast<const T*>(count)[i]), load(static_cast<const T*>(p)[i])));
  });
}

void standard_gamma(Generator& generator, DType dtype, const void* shape, void* out, int64_t n) {
  visit_floating("_standard_gamma", dtype, [&]<class T>(T) {
    const auto smallest = std::is_same_v<T, Half> ? compute_t<T>(0x1p-14f) : std::numeric_limits<compute_t<T>>::min();
    Lock lock(generator.mutex());
    for (int64_t i = 0; i < n; ++i)
      static_cast<T*>(out)[i] =
          cast<T>(std::max(smallest, sample_gamma(generator, load(static_cast<const T*>(shape)[i]))));
  });
}

void dirichlet(Generator& generator, DType dtype, const void* concentration, void* out, int64_t rows, int64_t columns) {
  visit_floating("_sample_dirichlet", dtype, [&]<class T>(T) {
    using C = compute_t<T>;
    // The result stays strictly inside (0, 1) in its own type.
    const C low = std::is_same_v<T, Half> ? C(0x1p-14f) : std::numeric_limits<C>::min();
    const C high = std::is_same_v<T, Half>       ? C(1 - 0x1p-11)
                   : std::is_same_v<T, BFloat16> ? C(1 - 0x1p-8)
                                                 : C(1) - std::numeric_limits<C>::epsilon() / 2;
    std::vector<double> gamma(static_cast<size_t>(rows * columns));
    Lock lock(generator.mutex());
    for (size_t i = 0; i < gamma.size(); ++i) {
      auto alpha = static_cast<double>(load(static_cast<const T*>(concentration)[i]));
      gamma[i] = std::max(std::numeric_limits<double>::min(), sample_gamma(generator, alpha));
    }
    for (int64_t row = 0; row < rows; ++row) {
      const double* g = gamma.data() + row * columns;
      double sum = std::accumulate(g, g + columns, 0.0);
      for (int64_t j = 0; j < columns; ++j)
        static_cast<T*>(out)[row * columns + j] = cast<T>(std::min(high, std::max(low, static_cast<C>(g[j] / sum))));
    }
  });
}

}  // namespace ember::kernel
