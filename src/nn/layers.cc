// Layers: making and filling their parameters as Python does, calling their op, printing their options.
#include "nn/layers.h"

#include <cmath>

#include "nn/init.h"

namespace ember::nn {

namespace {

// (3, 5), and (3,) for a single one, as Python prints tuples.
std::string tuple(DimsView sizes) {
  std::string out = "(";
  for (size_t i = 0; i < sizes.size(); ++i) out += (i ? ", " : "") + std::to_string(sizes[i]);
  return out + (sizes.size() == 1 ? ",)" : ")");
}
// A size as it was given: Python keeps the number that stands for all.
std::string number_or_tuple(DimsView sizes) {
  for (int64_t s : sizes)
    if (s != sizes[0]) return tuple(sizes);
  return std::to_string(sizes[0]);
}
bool all_are(DimsView sizes, int64_t value) {
  for (int64_t s : sizes)
    if (s != value) return false;
  return true;
}

// Weights and bias of U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
void reset(const Tensor& weight, const Tensor& bias) {
  init::kaiming_uniform_(weight, std::sqrt(5.0));
  int64_t fan_in = init::fan_in_and_out(weight).first;
  if (!bias.defined()) return;
  double bound = fan_in > 0 ? 1 / std::sqrt(static_cast<double>(fan_in)) : 0;
  init::uniform_(bias, -bound, bound);
}

Tensor maybe(bool wanted, Tensor (*make)(DimsView, OptDType, OptDevice), DimsView sizes, OptDType dtype) {
  return wanted ? make(sizes, dtype, {}) : Tensor();
}

template <size_t N>
Dims conv_weight_sizes(int64_t in, int64_t out, int64_t groups, const Sizes<N>& kernel_size) {
  EMBER_CHECK_VALUE(groups > 0, "groups must be a positive integer");
  EMBER_CHECK_VALUE(in % groups == 0, "in_channels must be divisible by groups");
  EMBER_CHECK_VALUE(out % groups == 0, "out_channels must be divisible by groups");
  Dims sizes{out, in / groups};
  sizes.append(kernel_size);
  return sizes;
}

}  // namespace

// ---- Linear ----

Linear::Linear(int64_t in_features, int64_t out_features, LinearOptions options)
    : weight(register_parameter("weight", empty({out_features, in_features}, options.dtype))),
      bias(register_parameter("bias", maybe(options.bias, empty, {out_features}, options.dtype))) {
  reset(weight, bias);
}
Tensor Linear::forward(const Tensor& input) { return linear(input, weight, bias); }
std::string Linear::extra_repr() const {
  return str("in_features=", weight.size(1), ", out_features=", weight.size(0), ", bias=", bias.defined());
}

// ---- convolutions ----

template <size_t N>
Convolution<N>::Convolution(int64_t in_channels, int64_t out_channels, Sizes<N> kernel_size, ConvOptions<N> options)
    : in_channels_(in_channels),
      out_channels_(out_channels),
      kernel_size_(kernel_size),
      options_(std::move(options)),
      weight(register_parameter(
          "weight", empty(conv_weight_sizes(in_channels, out_channels, options_.groups, kernel_size), options_.dtype))),
      bias(register_parameter("bias", maybe(options_.bias, empty, {out_channels}, options_.dtype))) {
  reset(weight, bias);
}

template <size_t N>
Tensor Convolution<N>::forward(const Tensor& input) {
  const ConvOptions<N>& o = options_;
  static const Op* const op = find_op(str("conv", N, "d"));
  if (o.padding_mode == "zeros")
    return call_op(op, input, weight, bias, DimsView(o.stride), DimsView(o.padding), DimsView(o.dilation), o.groups);
  Dims sides;  // before and after each dim, last dim first
  for (size_t d = N; d-- > 0;) sides.append({o.padding[d], o.padding[d]});
  Tensor padded = pad(input, sides, o.padding_mode);
  return call_op(op, padded, weight, bias, DimsView(o.stride), DimsView(Sizes<N>(0)), DimsView(o.dilation), o.groups);
}

template <size_t N>
std::string Convolution<N>::extra_repr() const {
  const ConvOptions<N>& o = options_;
  std::string s =
      str(in_channels_, ", ", out_channels_, ", kernel_size=", tuple(kernel_size_), ", stride=", tuple(o.stride));
  if (!all_are(o.padding, 0)) s += ", padding=" + tuple(o.padding);
  if (!all_are(o.dilation, 1)) s += ", dilation=" + tuple(o.dilation);
  if (o.groups != 1) s += str(", groups=", o.groups);
  if (!o.bias) s += ", bias=False";
  if (o.padding_mode != "zeros") s += ", padding_mode=" + o.padding_mode;
  return s;
}

template class Convolution<1>;
template class Convolution<2>;
template class Convolution<3>;

// ---- norms ----

BatchNorm::BatchNorm(int64_t num_features, BatchNormOptions options)
    : num_features_(num_features),
      options_(options),
      weight(register_parameter("weight", maybe(options.affine, ones, {num_features}, options.dtype))),
      bias(register_parameter("bias", maybe(options.affine, zeros, {num_features}, options.dtype))),
      running_mean(
          register_buffer("running_mean", maybe(options.track_running_stats, zeros, {num_features}, options.dtype))),
      running_var(
          register_buffer("running_var", maybe(options.track_running_stats, ones, {num_features}, options.dtype))),
      num_batches_tracked(
          register_buffer("num_batches_tracked", maybe(options.track_running_stats, zeros, {}, DType::kInt64))) {}

Tensor BatchNorm::forward(const Tensor& input) {
  check_input_dim(input);
  const bool tracked = options_.track_running_stats, training = is_training();
  double momentum = options_.momentum.value_or(0);
  if (training && tracked) {
    num_batches_tracked += 1;
    if (!options_.momentum) momentum = 1 / num_batches_tracked.item<double>();
  }
  return batch_norm(input, weight, bias, running_mean, running_var, training || !tracked, momentum, options_.eps);
}

std::string BatchNorm::extra_repr() const {
  std::string momentum = options_.momentum ? str(*options_.momentum) : "None";
  return str(num_features_, ", eps=", options_.eps, ", momentum=", momentum, ", affine=", options_.affine,
             ", bias=", bias.defined(), ", track_running_stats=", options_.track_running_stats);
}

void BatchNorm1d::check_input_dim(const Tensor& x) const {
  EMBER_CHECK_VALUE(x.dim() == 2 || x.dim() == 3, "expected 2D or 3D input (got ", x.dim(), "D input)");
}
void BatchNorm2d::check_input_dim(const Tensor& x) const {
  EMBER_CHECK_VALUE(x.dim() == 4, "expected 4D input (got ", x.dim(), "D input)");
}
void BatchNorm3d::check_input_dim(const Tensor& x) const {
  EMBER_CHECK_VALUE(x.dim() == 5, "expected 5D input (got ", x.dim(), "D input)");
}

LayerNorm::LayerNorm(Dims normalized_shape, LayerNormOptions options)
    : normalized_shape_(normalized_shape),
      options_(options),
      weight(register_parameter("weight", maybe(options.elementwise_affine, ones, normalized_shape, options.dtype))),
      bias(register_parameter(
          "bias", maybe(options.elementwise_affine && options.bias, zeros, normalized_shape, options.dtype))) {}
Tensor LayerNorm::forward(const Tensor& input) {
  return layer_norm(input, normalized_shape_, weight, bias, options_.eps);
}
std::string LayerNorm::extra_repr() const {
  return str(tuple(normalized_shape_), ", eps=", options_.eps, ", elementwise_affine=", options_.elementwise_affine,
             ", bias=", bias.defined());
}

GroupNorm::GroupNorm(int64_t num_groups, int64_t num_channels, GroupNormOptions options)
    : num_groups_(num_groups),
      num_channels_(num_channels),
      options_(options),
      weight(register_parameter("weight", maybe(options.affine, ones, {num_channels}, options.dtype))),
      bias(register_parameter("bias", maybe(options.affine, zeros, {num_channels}, options.dtype))) {
  EMBER_CHECK_VALUE(num_groups > 0 && num_channels % num_groups == 0, "num_channels (", num_channels,
                    ") must be divisible by num_groups (", num_groups, ")");
}
Tensor GroupNorm::forward(const Tensor& input) { return group_norm(input, num_groups_, weight, bias, options_.eps); }
std::string GroupNorm::extra_repr() const {
  return str(num_groups_, ", ", num_channels_, ", eps=", options_.eps, ", affine=", options_.affine,
             ", bias=", bias.defined());
}

// ---- the rest ----

Embedding::Embedding(int64_t num_embeddings, int64_t embedding_dim, EmbeddingOptions options)
    : padding_idx_(options.padding_idx),
      weight(register_parameter("weight", empty({num_embeddings, embedding_dim}, options.dtype))) {
  init::normal_(weight);
  if (!padding_idx_) return;
  EMBER_CHECK_INDEX(-num_embeddings <= *padding_idx_ && *padding_idx_ < num_embeddings,
                    "Padding_idx must be within num_embeddings");
  if (*padding_idx_ < 0) *padding_idx_ += num_embeddings;
  init::zeros_(detach(weight)[*padding_idx_]);
}
Tensor Embedding::forward(const Tensor& input) { return embedding(weight, input, padding_idx_.value_or(-1)); }
std::string Embedding::extra_repr() const {
  std::string s = str(weight.size(0), ", ", weight.size(1));
  return padding_idx_ ? s + str(", padding_idx=", *padding_idx_) : s;
}

Dropout::Dropout(double p) : p_(p) {
  EMBER_CHECK_VALUE(p >= 0 && p <= 1, "dropout probability has to be between 0 and 1, but got ", p);
}

template <size_t N>
Tensor MaxPool<N>::forward(const Tensor& input) {
  static const Op* const op = find_op(str("max_pool", N, "d"));
  const Sizes<N> stride = options_.stride.value_or(kernel_size_);
  return call_op(op, input, DimsView(kernel_size_), DimsView(stride), DimsView(options_.padding),
                 DimsView(options_.dilation), options_.ceil_mode);
}
template <size_t N>
std::string MaxPool<N>::extra_repr() const {
  return str("kernel_size=", number_or_tuple(kernel_size_),
             ", stride=", number_or_tuple(options_.stride.value_or(kernel_size_)),
             ", padding=", number_or_tuple(options_.padding), ", dilation=", number_or_tuple(options_.dilation),
             ", ceil_mode=", options_.ceil_mode);
}
template class MaxPool<1>;
template class MaxPool<2>;
template class MaxPool<3>;

std::string AdaptiveAvgPool2d::extra_repr() const { return "output_size=" + number_or_tuple(output_size_); }

}  // namespace ember::nn
