// Ways to fill a tensor with initial values, drawn as Python's ember.nn.init draws them: one seed gives the same
// weights in both languages (and in PyTorch). Each changes its tensor in place, unrecorded, and returns it.
#pragma once

#include <string_view>
#include <utility>

#include "op/ops.h"

namespace ember::nn::init {

// The factor by which weights make up for what a nonlinearity takes from the variance ("relu", "tanh", "leaky_relu"
// ..., whose slope is `param`); ValueError for one that is not known.
EMBER_API double calculate_gain(std::string_view nonlinearity, double param = 0.01);
// (inputs, outputs) of one unit of a weight: linear [out, in] or convolution [out, in, ...]; ValueError below rank 2.
EMBER_API std::pair<int64_t, int64_t> fan_in_and_out(const Tensor& x);

EMBER_API const Tensor& uniform_(const Tensor& x, double a = 0, double b = 1, Generator* generator = nullptr);
EMBER_API const Tensor& normal_(const Tensor& x, double mean = 0, double std = 1, Generator* generator = nullptr);
EMBER_API const Tensor& constant_(const Tensor& x, double value);
inline const Tensor& ones_(const Tensor& x) { return constant_(x, 1); }
inline const Tensor& zeros_(const Tensor& x) { return constant_(x, 0); }
// Glorot and Bengio, 2010.
EMBER_API const Tensor& xavier_uniform_(const Tensor& x, double gain = 1, Generator* generator = nullptr);
EMBER_API const Tensor& xavier_normal_(const Tensor& x, double gain = 1, Generator* generator = nullptr);
// He et al., 2015; `a` is leaky_relu's slope, `mode` "fan_in" or "fan_out".
EMBER_API const Tensor& kaiming_uniform_(const Tensor& x, double a = 0, std::string_view mode = "fan_in",
                                         std::string_view nonlinearity = "leaky_relu", Generator* generator = nullptr);
EMBER_API const Tensor& kaiming_normal_(const Tensor& x, double a = 0, std::string_view mode = "fan_in",
                                        std::string_view nonlinearity = "leaky_relu", Generator* generator = nullptr);

}  // namespace ember::nn::init
