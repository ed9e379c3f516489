// Activations as modules, for Sequential: each calls the op of its name.
#pragma once

#include <string>

#include "nn/module.h"

namespace ember::nn {

#define EMBER_ACTIVATION(Class, op) \
  struct EMBER_API Class : Module { \
    Tensor forward(const Tensor& input) override { return op(input); } \
  };
EMBER_ACTIVATION(ReLU, relu)
EMBER_ACTIVATION(ReLU6, relu6)
EMBER_ACTIVATION(SELU, selu)
EMBER_ACTIVATION(SiLU, silu)
EMBER_ACTIVATION(Mish, mish)
EMBER_ACTIVATION(Sigmoid, sigmoid)
EMBER_ACTIVATION(LogSigmoid, log_sigmoid)
EMBER_ACTIVATION(Hardsigmoid, hardsigmoid)
EMBER_ACTIVATION(Hardswish, hardswish)
EMBER_ACTIVATION(Softsign, softsign)
EMBER_ACTIVATION(Tanh, tanh)
EMBER_ACTIVATION(Tanhshrink, tanhshrink)
#undef EMBER_ACTIVATION

class EMBER_API GELU : public Module {
 public:
  explicit GELU(std::string approximate = "none") : approximate_(std::move(approximate)) {}
  Tensor forward(const Tensor& input) override { return gelu(input, approximate_); }

 protected:
  std::string extra_repr() const override { return "approximate='" + approximate_ + "'"; }
  std::string approximate_;
};

class EMBER_API ELU : public Module {
 public:
  explicit ELU(double alpha = 1) : alpha_(alpha) {}
  Tensor forward(const Tensor& input) override { return elu(input, alpha_); }

 protected:
  std::string extra_repr() const override { return str("alpha=", alpha_); }
  double alpha_;
};

class EMBER_API LeakyReLU : public Module {
 public:
  explicit LeakyReLU(double negative_slope = 0.01) : negative_slope_(negative_slope) {}
  Tensor forward(const Tensor& input) override { return leaky_relu(input, negative_slope_); }

 protected:
  std::string extra_repr() const override { return str("negative_slope=", negative_slope_); }
  double negative_slope_;
};

class EMBER_API Softplus : public Module {
 public:
  explicit Softplus(double beta = 1, double threshold = 20) : beta_(beta), threshold_(threshold) {}
  Tensor forward(const Tensor& input) override { return softplus(input, beta_, threshold_); }

 protected:
  std::string extra_repr() const override { return str("beta=", beta_, ", threshold=", threshold_); }
  double beta_, threshold_;
};

class EMBER_API Hardtanh : public Module {
 public:
  explicit Hardtanh(double min_val = -1, double max_val = 1) : min_val_(min_val), max_val_(max_val) {}
  Tensor forward(const Tensor& input) override { return hardtanh(input, min_val_, max_val_); }

 protected:
  std::string extra_repr() const override { return str("min_val=", min_val_, ", max_val=", max_val_); }
  double min_val_, max_val_;
};

class EMBER_API Softmax : public Module {
 public:
  explicit Softmax(int64_t dim) : dim_(dim) {}
  Tensor forward(const Tensor& input) override { return softmax(input, dim_); }

 protected:
  std::string extra_repr() const override { return str("dim=", dim_); }
  int64_t dim_;
};

class EMBER_API LogSoftmax : public Module {
 public:
  explicit LogSoftmax(int64_t dim) : dim_(dim) {}
  Tensor forward(const Tensor& input) override { return log_softmax(input, dim_); }

 protected:
  std::string extra_repr() const override { return str("dim=", dim_); }
  int64_t dim_;
};

}  // namespace ember::nn
