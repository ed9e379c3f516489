// Activations: the nonlinearities between layers.
#include "op/pointwise_family.h"

namespace ember::EMBER_READER {

struct Relu {
  static constexpr auto schema = "relu(Tensor self) -> Tensor";
  static constexpr auto doc = "max(self, 0)";
  static constexpr auto types = types::kReal;
  static auto eval(auto x) { return max(x, 0); }
  static auto d_self(auto g, auto, auto y) { return select(y > 0, g, 0); }
};

struct Sigmoid {
  static constexpr auto schema = "sigmoid(Tensor self) -> Tensor";
  static constexpr auto doc = "1 / (1 + exp(-self))";
  static constexpr auto types = types::kFloatComplex;
  static constexpr auto promote = Promote::kToFloat;
  static auto eval(auto x) { return sigmoid(x); }
  static auto d_self(auto g, auto, auto y) { return g * (y * (1 - y)); }
};

struct Silu {
  static constexpr auto schema = "silu(Tensor self) -> Tensor";
  static constexpr auto doc = "x * sigmoid(x) (Elfwing et al. 2017, arXiv:1702.03118)";
  static constexpr auto types = types::kFloatComplex;
  static auto eval(auto x) { return x * sigmoid(x); }
  static auto d_self(auto g, auto x) {
    auto s = sigmoid(x);
    return g * s * (1 + x * (1 - s));
  }
};

struct GeluErf {
  static constexpr auto schema = "_gelu_erf(Tensor self) -> Tensor";
  static constexpr auto doc =
      "x times the normal distribution function at x (Hendrycks and Gimpel 2016, arXiv:1606.08415)";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x) { return x * 0.5 * (1 + erf(x * 0.70710678118654752440)); }
  static auto d_self(auto g, auto x) {
    auto cdf = 0.5 * (1 + erf(x * 0.70710678118654752440));
    return g * (cdf + x * 0.39894228040143267794 * exp(-0.5 * x * x));
  }
};

struct GeluTanh {
  static constexpr auto schema = "_gelu_tanh(Tensor self) -> Tensor";
  static constexpr auto doc = "GELU by its tanh approximation";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x) { return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))); }
  static auto d_self(auto g, auto x) {
    auto t = tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x));
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.79788456080286535588 * (1 + 0.134145 * x * x));
  }
};

struct Elu {
  static constexpr auto schema = "elu(Tensor self, float alpha=1.0, float scale=1.0, float input_scale=1.0) -> Tensor";
  static constexpr auto doc = "scale * x where x > 0, else scale * alpha * (exp(input_scale * x) - 1)";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x, auto alpha, auto scale, auto input_scale) {
    return select(x > 0, scale * x, scale * alpha * expm1(input_scale * x));
  }
  static auto d_self(auto g, auto x, auto alpha, auto scale, auto input_scale) {
    return select(x > 0, g * scale, g * scale * alpha * input_scale * exp(input_scale * x));
  }
};

struct LeakyRelu {
  static constexpr auto schema = "leaky_relu(Tensor self, float negative_slope=0.01) -> Tensor";
  static constexpr auto doc = "x where x > 0, else negative_slope * x";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x, auto negative_slope) { return select(x > 0, x, negative_slope * x); }
  static auto d_self(auto g, auto x, auto negative_slope) { return select(x > 0, g, negative_slope * g); }
};

struct Softplus {
  static constexpr auto schema = "softplus(Tensor self, float beta=1.0, float threshold=20.0) -> Tensor";
  static constexpr auto doc = "log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x, auto beta, auto threshold) {
    return select(beta * x > threshold, x, log1p(exp(beta * x)) / beta);
  }
  static auto d_self(auto g, auto x, auto beta, auto threshold) {
    return select(beta * x > threshold, g, g * sigmoid(beta * x));
  }
};

struct Hardtanh {
  static constexpr auto schema = "hardtanh(Tensor self, float min_val=-1.0, float max_val=1.0) -> Tensor";
  static constexpr auto doc = "x clamped to [min_val, max_val]";
  static constexpr auto types = types::kReal;
  static auto eval(auto x, auto min_val, auto max_val) { return max(min(x, max_val), min_val); }
  static auto d_self(auto g, auto x, auto min_val, auto max_val) { return select((x > min_val) & (x < max_val), g, 0); }
};

struct Relu6 {
  static constexpr auto schema = "relu6(Tensor self) -> Tensor";
  static constexpr auto doc = "x clamped to [0, 6]";
  static constexpr auto types = types::kReal;
  static auto eval(auto x) { return max(min(x, 6), 0); }
  static auto d_self(auto g, auto x) { return select((x > 0) & (x < 6), g, 0); }
};

struct Hardsigmoid {
  static constexpr auto schema = "hardsigmoid(Tensor self) -> Tensor";
  static constexpr auto doc = "clamp(x / 6 + 1/2, 0, 1)";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x) { return max(min(x + 3, 6), 0) / 6; }
  static auto d_self(auto g, auto x) { return select((x > -3) & (x < 3), g / 6, 0); }
};

struct Hardswish {
  static constexpr auto schema = "hardswish(Tensor self) -> Tensor";
  static constexpr auto doc = "x * hardsigmoid(x) (Howard et al. 2019, arXiv:1905.02244)";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x) { return x * max(min(x + 3, 6), 0) / 6; }
  static auto d_self(auto g, auto x) { return select(x < -3, 0, select(x <= 3, g * (x / 3 + 0.5), g)); }
};

struct Mish {
  static constexpr auto schema = "mish(Tensor self) -> Tensor";
  static constexpr auto doc = "x * tanh(log(1 + exp(x))) (Misra 2019, arXiv:1908.08681)";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x) { return x * tanh(select(x > 20, x, log1p(exp(x)))); }
  static auto d_self(auto g, auto x) {
    auto t = tanh(select(x > 20, x, log1p(exp(x))));
    return g * (t + x * sigmoid(x) * (1 - t * t));
  }
};

struct Selu {
  static constexpr auto schema = "selu(Tensor self) -> Tensor";
  static constexpr auto doc = "Scaled ELU (Klambauer et al. 2017, arXiv:1706.02515)";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x) {
    return 1.0507009873554804934193349852946 * select(x > 0, x, 1.6732632423543772848170429916717 * expm1(x));
  }
  static auto d_self(auto g, auto x) {
    return g * 1.0507009873554804934193349852946 * select(x > 0, 1 + 0 * x, 1.6732632423543772848170429916717 * exp(x));
  }
};

struct Softsign {
  static constexpr auto schema = "softsign(Tensor self) -> Tensor";
  static constexpr auto doc = "x / (1 + |x|)";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x) { return x / (1 + abs(x)); }
  static auto d_self(auto g, auto x) {
    auto r = 1 + abs(x);
    return g / (r * r);
  }
};

struct LogSigmoid {
  static constexpr auto schema = "log_sigmoid(Tensor self) -> Tensor";
  static constexpr auto doc = "log(sigmoid(x)), without overflow";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x) { return min(x, 0) - log1p(exp(-abs(x))); }
  static auto d_self(auto g, auto x) { return g * sigmoid(-x); }
};

struct Tanhshrink {
  static constexpr auto schema = "tanhshrink(Tensor self) -> Tensor";
  static constexpr auto doc = "x - tanh(x)";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x) { return x - tanh(x); }
  static auto d_self(auto g, auto x) {
    auto t = tanh(x);
    return g * (t * t);
  }
};

struct Softshrink {
  static constexpr auto schema = "_softshrink(Tensor self, float lambd) -> Tensor";
  static constexpr auto doc = "softshrink of any lambd";
  static constexpr auto types = types::kFloat;
  static constexpr auto forms = form::kFunction;
  static auto eval(auto x, auto lambd) { return select(x > lambd, x - lambd, select(x < -lambd, x + lambd, 0)); }
  static auto d_self(auto g, auto x, auto lambd) { return select((x > lambd) | (x < -lambd), g, 0); }
};

struct Hardshrink {
  static constexpr auto schema = "hardshrink(Tensor self, float lambd=0.5) -> Tensor";
  static constexpr auto doc = "x, and 0 where |x| <= lambd";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x, auto lambd) { return select((x > lambd) | (x < -lambd), x, 0); }
  static auto d_self(auto g, auto x, auto lambd) { return select((x > lambd) | (x < -lambd), g, 0); }
};

struct Celu {
  static constexpr auto schema = "celu(Tensor self, float alpha=1.0) -> Tensor";
  static constexpr auto doc = "max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x, auto alpha) { return select(x > 0, x, alpha * expm1(x / alpha)); }
  static auto d_self(auto g, auto x, auto alpha) { return select(x > 0, g, g * exp(x / alpha)); }
};

struct Threshold {
  static constexpr auto schema = "threshold(Tensor self, float threshold, float value) -> Tensor";
  static constexpr auto doc = "x where x > threshold, else value";
  static constexpr auto types = types::kReal;
  static auto eval(auto x, auto threshold, auto value) { return select(x > threshold, x, value); }
  static auto d_self(auto g, auto x, auto threshold, auto value) { return select(x > threshold, g, 0); }
};

struct Prelu {
  static constexpr auto schema = "_prelu_kernel(Tensor self, Tensor weight) -> Tensor";
  static constexpr auto doc = "x where x > 0, else weight * x, with weight broadcast";
  static constexpr auto types = types::kFloat;
  static auto eval(auto x, auto w) { return select(x > 0, x, w * x); }
  static auto d_self(auto g, auto x, auto w) { return select(x > 0, g, g * w); }
  static auto d_other(auto g, auto x, auto) { return select(x > 0, 0, g * x); }
};

EMBER_POINTWISE_FAMILY(activation, Relu, Sigmoid, Silu, GeluErf, GeluTanh, Elu, LeakyRelu, Softplus, Hardtanh, Relu6,
                       Hardsigmoid, Hardswish, Mish, Selu, Softsign, LogSigmoid, Tanhshrink, Softshrink, Hardshrink,
                       Celu, Threshold, Prelu)

}  // namespace ember::EMBER_READER
