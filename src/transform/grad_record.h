// What the recorders of calls share: private to transform/.
#pragma once

#include "transform/grad.h"

namespace ember {

std::string node_name(const Op& op);  // "log_softmax" -> "LogSoftmaxBackward0"
void note_forward_trace(Node& node);  // in anomaly mode
// A gradient brought to its tensor's shape and dtype: broadcast dims summed, imaginary parts dropped for real numbers.
Tensor fit_gradient(Tensor gradient, const Dims& sizes, DType dtype);
// An input kept for backward. What the call is about to overwrite is kept as a copy, with the history it had.
SavedTensor save_input(const Tensor& t, const Tensor* overwritten);
void record_pointwise(Call& c);

}  // namespace ember
