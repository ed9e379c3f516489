// What the recorders of calls share: private to transform/.
#pragma once

#include "transform/grad.h"

namespace ember {

std::string node_name(const Op& op);  // "log_softmax" -> "LogSoftmaxBackward0"
void note_forward_trace(Node& node);  // in anomaly mode
// A gradient brought to its tensor's shape and dtype: broadcast dims summed, imaginary parts dropped for real numbers.
Tensor fit_gradient(Tensor gradient, const Dims& sizes, DType dtype);
void record_pointwise(Call& c);

}  // namespace ember
