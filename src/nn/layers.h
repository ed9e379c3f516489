// Layers with parameters or options, under Python's names; options in braces by name:
//   nn::Conv2d convolution(1, 32, 3, {.padding = 1, .bias = false});
// A layer draws its initial weights when it is made, in Python's order.
#pragma once

#include <array>
#include <initializer_list>
#include <optional>

#include "nn/module.h"

namespace ember::nn {

// N sizes, written as one number for all of them or as a list: `3` or `{3, 5}`.
template <size_t N>
struct Sizes : std::array<int64_t, N> {
  Sizes(int64_t all) { this->fill(all); }
  Sizes(std::initializer_list<int64_t> list) {
    EMBER_CHECK_VALUE(list.size() == N || list.size() == 1, "expected one size or ", N, ", but got ", list.size());
    for (size_t i = 0; i < N; ++i) (*this)[i] = list.begin()[list.size() == N ? i : 0];
  }
};

struct EMBER_API LinearOptions {
  bool bias = true;
  OptDType dtype = {};
};
// x @ weight.T + bias: [*, in_features] -> [*, out_features].
class EMBER_API Linear : public Module {
 public:
  Linear(int64_t in_features, int64_t out_features, LinearOptions options = {});
  Tensor forward(const Tensor& input) override;
  const Tensor weight, bias;

 protected:
  std::string extra_repr() const override;
};

template <size_t N>
struct EMBER_API ConvOptions {
  Sizes<N> stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
  bool bias = true;
  std::string padding_mode = "zeros";  // or "reflect", "replicate", "circular"
  OptDType dtype = {};
};
// What the convolutions share: weight [out, in / groups, *kernel_size], bias [out].
template <size_t N>
class EMBER_API Convolution : public Module {
 public:
  Convolution(int64_t in_channels, int64_t out_channels, Sizes<N> kernel_size, ConvOptions<N> options = {});
  Tensor forward(const Tensor& input) override;

 protected:
  std::string extra_repr() const override;
  int64_t in_channels_, out_channels_;
  Sizes<N> kernel_size_;
  ConvOptions<N> options_;

 public:
  const Tensor weight, bias;
};
extern template class Convolution<1>;
extern template class Convolution<2>;
extern template class Convolution<3>;
struct EMBER_API Conv1d : Convolution<1> {
  using Convolution::Convolution;
};
struct EMBER_API Conv2d : Convolution<2> {
  using Convolution::Convolution;
};
struct EMBER_API Conv3d : Convolution<3> {
  using Convolution::Convolution;
};

struct EMBER_API BatchNormOptions {
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  // none: the plain average over all batches
  bool affine = true, track_running_stats = true;
  OptDType dtype = {};
};
class EMBER_API BatchNorm : public Module {
 public:
  BatchNorm(int64_t num_features, BatchNormOptions options = {});
  Tensor forward(const Tensor& input) override;

 protected:
  std::string extra_repr() const override;
  virtual void check_input_dim(const Tensor& input) const = 0;  // ValueError
  int64_t num_features_;
  BatchNormOptions options_;

 public:
  const Tensor weight, bias, running_mean, running_var, num_batches_tracked;
};
#define EMBER_BATCH_NORM(Class) \
  struct EMBER_API Class : BatchNorm { \
    using BatchNorm::BatchNorm; \
    void check_input_dim(const Tensor& input) const override; \
  };
EMBER_BATCH_NORM(BatchNorm1d)
EMBER_BATCH_NORM(BatchNorm2d)
EMBER_BATCH_NORM(BatchNorm3d)
#undef EMBER_BATCH_NORM

struct EMBER_API LayerNormOptions {
  double eps = 1e-5;
  bool elementwise_affine = true, bias = true;
  OptDType dtype = {};
};
class EMBER_API LayerNorm : public Module {
 public:
  LayerNorm(Dims normalized_shape, LayerNormOptions options = {});
  LayerNorm(int64_t last, LayerNormOptions options = {}) : LayerNorm(Dims{last}, options) {}
  Tensor forward(const Tensor& input) override;

 protected:
  std::string extra_repr() const override;
  Dims normalized_shape_;
  LayerNormOptions options_;

 public:
  const Tensor weight, bias;
};

struct EMBER_API GroupNormOptions {
  double eps = 1e-5;
  bool affine = true;
  OptDType dtype = {};
};
class EMBER_API GroupNorm : public Module {
 public:
  GroupNorm(int64_t num_groups, int64_t num_channels, GroupNormOptions options = {});
  Tensor forward(const Tensor& input) override;

 protected:
  std::string extra_repr() const override;
  int64_t num_groups_, num_channels_;
  GroupNormOptions options_;

 public:
  const Tensor weight, bias;
};

struct EMBER_API EmbeddingOptions {
  OptInt padding_idx = {};  // a row that starts at zero and is not trained
  OptDType dtype = {};
};
// A table of vectors: integer indices [*] -> [*, embedding_dim].
class EMBER_API Embedding : public Module {
 public:
  Embedding(int64_t num_embeddings, int64_t embedding_dim, EmbeddingOptions options = {});
  Tensor forward(const Tensor& input) override;

 protected:
  std::string extra_repr() const override;
  OptInt padding_idx_;

 public:
  const Tensor weight;
};

// Zeroes elements with probability p and scales the others by 1 / (1 - p), in training.
class EMBER_API Dropout : public Module {
 public:
  explicit Dropout(double p = 0.5);
  Tensor forward(const Tensor& input) override { return dropout(input, p_, is_training()); }

 protected:
  std::string extra_repr() const override { return str("p=", p_, ", inplace=", false); }
  double p_;
};

template <size_t N>
struct EMBER_API MaxPoolOptions {
  std::optional<Sizes<N>> stride = {};  // the kernel's size unless given
  Sizes<N> padding = 0, dilation = 1;
  bool ceil_mode = false;
};
template <size_t N>
class EMBER_API MaxPool : public Module {
 public:
  explicit MaxPool(Sizes<N> kernel_size, MaxPoolOptions<N> options = {})
      : kernel_size_(kernel_size), options_(options) {}
  Tensor forward(const Tensor& input) override;

 protected:
  std::string extra_repr() const override;
  Sizes<N> kernel_size_;
  MaxPoolOptions<N> options_;
};
extern template class MaxPool<1>;
extern template class MaxPool<2>;
extern template class MaxPool<3>;
struct EMBER_API MaxPool1d : MaxPool<1> {
  using MaxPool::MaxPool;
};
struct EMBER_API MaxPool2d : MaxPool<2> {
  using MaxPool::MaxPool;
};
struct EMBER_API MaxPool3d : MaxPool<3> {
  using MaxPool::MaxPool;
};

class EMBER_API AdaptiveAvgPool2d : public Module {
 public:
  explicit AdaptiveAvgPool2d(Sizes<2> output_size) : output_size_(output_size) {}
  Tensor forward(const Tensor& input) override { return adaptive_avg_pool2d(input, output_size_); }

 protected:
  std::string extra_repr() const override;
  Sizes<2> output_size_;
};

// The dims start_dim..end_dim as one; by default all but the batch.
class EMBER_API Flatten : public Module {
 public:
  explicit Flatten(int64_t start_dim = 1, int64_t end_dim = -1) : start_dim_(start_dim), end_dim_(end_dim) {}
  Tensor forward(const Tensor& input) override { return flatten(input, start_dim_, end_dim_); }

 protected:
  std::string extra_repr() const override { return str("start_dim=", start_dim_, ", end_dim=", end_dim_); }
  int64_t start_dim_, end_dim_;
};

struct EMBER_API Identity : Module {
  Tensor forward(const Tensor& input) override { return input; }
};

}  // namespace ember::nn
