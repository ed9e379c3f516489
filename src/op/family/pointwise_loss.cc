// The elementwise parts of losses, and clamping. Every partial is exact where the naive composition would lose a digit
// or make a NaN: at equality, at saturation, at zero probability.
#include "op/pointwise_family.h"

namespace ember::EMBER_READER {

struct SquaredError {
  static constexpr auto schema = "_squared_error(Tensor self, Tensor target) -> Tensor";
  static constexpr auto doc = "(self - target)^2";
  static constexpr auto types = types::kReal;
  static constexpr auto forms = form::kFunction;
  static auto eval(auto x, auto t) {
    auto d = x - t;
    return d * d;
  }
  static auto d_self(auto g, auto x, auto t) { return g * (2 * (x - t)); }
  static auto d_other(auto g, auto x, auto t) { return g * (2 * (t - x)); }
};

struct SmoothL1 {
  static constexpr auto schema = "_smooth_l1(Tensor self, Tensor target, float beta) -> Tensor";
  static constexpr auto doc = "d^2 / (2 beta) where d = |self - target| < beta, else d - beta / 2";
  static constexpr auto types = types::kFloat;
  static constexpr auto forms = form::kFunction;
  static auto eval(auto x, auto t, auto beta) {
    auto d = abs(x - t);
    return select(d < beta, 0.5 * d * d / beta, d - 0.5 * beta);
  }
  static auto d_self(auto g, auto x, auto t, auto beta) {
    auto d = x - t;
    return g * select(abs(d) < beta, d / beta, sign(d));
  }
  static auto d_other(auto g, auto x, auto t, auto beta) {
    auto d = t - x;
    return g * select(abs(d) < beta, d / beta, sign(d));
  }
};

struct Huber {
  static constexpr auto schema = "_huber(Tensor self, Tensor target, float delta) -> Tensor";
  static constexpr auto doc = "d^2 / 2 where d = |self - target| <= delta, else delta * (d - delta / 2) (Huber, 1964)";
  static constexpr auto types = types::kFloat;
  static constexpr auto forms = form::kFunction;
  static auto eval(auto x, auto t, auto delta) {
    auto d = abs(x - t);
    return select(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta));
  }
  static auto d_self(auto g, auto x, auto t, auto delta) {
    auto d = x - t;
    return g * select(abs(d) <= delta, d, delta * sign(d));
  }
  static auto d_other(auto g, auto x, auto t, auto delta) {
    auto d = t - x;
    return g * select(abs(d) <= delta, d, delta * sign(d));
  }
};

struct BinaryCrossEntropy {
  static constexpr auto schema = "_binary_cross_entropy(Tensor self, Tensor target) -> Tensor";
  static constexpr auto doc = "-(t log x + (1 - t) log(1 - x)) of probabilities x, with logarithms of at least -100";
  static constexpr auto types = types::kFloat;
  static constexpr auto forms = form::kFunction;
  static auto eval(auto x, auto t) { return (t - 1) * max(log1p(-x), -100) - t * max(log(x), -100); }
  static auto d_self(auto g, auto x, auto t) {
    auto variance = (1 - x) * x;
    return g * (x - t) / select(variance > 1e-12, variance, 1e-12);
  }
  static auto d_other(auto g, auto x, auto) { return g * (log1p(-x) - log(x)); }
};

struct BinaryCrossEntropyLogits {
  static constexpr auto schema = "_binary_cross_entropy_logits(Tensor self, Tensor target) -> Tensor";
  static constexpr auto doc = "_binary_cross_entropy(sigmoid(x), t), without overflow";
  static constexpr auto types = types::kFloat;
  static constexpr auto forms = form::kFunction;
  static auto eval(auto x, auto t) { return max(x, 0) - x * t + log1p(exp(-abs(x))); }
  static auto d_self(auto g, auto x, auto t) { return g * (sigmoid(x) - t); }
  static auto d_other(auto g, auto x, auto) { return -g * x; }
};

struct KlDiv {
  static constexpr auto schema = "_kl_div(Tensor self, Tensor target) -> Tensor";
  static constexpr auto doc = "t * (log t - x) of log-probabilities x and probabilities t, where 0 log 0 is 0";
  static constexpr auto types = types::kFloat;
  static constexpr auto forms = form::kFunction;
  static auto eval(auto x, auto t) { return select(t == 0, 0, t * log(t)) - t * x; }
  static auto d_self(auto g, auto, auto t) { return -g * t; }
  static auto d_other(auto g, auto x, auto t) { return g * (log(t) + 1 - x); }
};

struct KlDivLog {
  static constexpr auto schema = "_kl_div_log(Tensor self, Tensor target) -> Tensor";
  static constexpr auto doc = "exp(t) * (t - x) of log-probabilities x and t";
  static constexpr auto types = types::kFloat;
  static constexpr auto forms = form::kFunction;
  static auto eval(auto x, auto t) { return exp(t) * (t - x); }
  static auto d_self(auto g, auto, auto t) { return -g * exp(t); }
  static auto d_other(auto g, auto x, auto t) { return g * (exp(t) * (t - x + 1)); }
};

// ---- clamping: the gradient passes where the bound is met, bounds included ----

struct Clamp {
  static constexpr auto schema = "_clamp(Tensor self, Tensor min, Tensor max) -> Tensor";
  static constexpr auto doc = "min(max(self, lower bound), upper bound)";
  static constexpr auto types = types::kReal;
  static constexpr auto forms = form::kFunction;
  static auto eval(auto x, auto lo, auto hi) { return min(max(x, lo), hi); }
  static auto d_self(auto g, auto x, auto lo, auto hi) { return select((x >= lo) & (x <= hi), g, 0); }
  static auto d_other(auto g, auto x, auto lo, auto hi) { return select((x < lo) & (lo < hi), g, 0); }
  static auto d_third(auto g, auto x, auto lo, auto hi) { return select((x > hi) | (hi < lo), g, 0); }
};

struct ClampMin {
  static constexpr auto schema = "_clamp_min(Tensor self, Tensor min) -> Tensor";
  static constexpr auto doc = "max(self, lower bound)";
  static constexpr auto types = types::kReal;
  static constexpr auto forms = form::kFunction;
  static auto eval(auto x, auto lo) { return max(x, lo); }
  static auto d_self(auto g, auto x, auto lo) { return select(x >= lo, g, 0); }
  static auto d_other(auto g, auto x, auto lo) { return select(x < lo, g, 0); }
};

struct ClampMax {
  static constexpr auto schema = "_clamp_max(Tensor self, Tensor max) -> Tensor";
  static constexpr auto doc = "min(self, upper bound)";
  static constexpr auto types = types::kReal;
  static constexpr auto forms = form::kFunction;
  static auto eval(auto x, auto hi) { return min(x, hi); }
  static auto d_self(auto g, auto x, auto hi) { return select(x <= hi, g, 0); }
  static auto d_other(auto g, auto x, auto hi) { return select(x > hi, g, 0); }
};

EMBER_POINTWISE_FAMILY(loss, SquaredError, SmoothL1, Huber, BinaryCrossEntropy, BinaryCrossEntropyLogits, KlDiv,
                       KlDivLog, Clamp, ClampMin, ClampMax)

}  // namespace ember::EMBER_READER
