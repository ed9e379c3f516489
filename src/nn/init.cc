// Initial values: bounds and deviations from fans and gains, in the same order of arithmetic as in Python, since a
// bound that differs in its last bit gives other weights.
#include "nn/init.h"

#include <cmath>
#include <numbers>

#include "transform/grad.h"

namespace ember::nn::init {

namespace {

double kaiming_std(const Tensor& x, double a, std::string_view mode, std::string_view nonlinearity) {
  EMBER_CHECK_VALUE(mode == "fan_in" || mode == "fan_out", "Mode ", mode,
                    " not supported, please use one of ['fan_in', 'fan_out']");
  auto [in, out] = fan_in_and_out(x);
  return calculate_gain(nonlinearity, a) / std::sqrt(static_cast<double>(mode == "fan_in" ? in : out));
}

}  // namespace

double calculate_gain(std::string_view nonlinearity, double param) {
  if (nonlinearity == "leaky_relu") return std::sqrt(2.0 / (1 + param * param));
  if (nonlinearity == "relu") return std::numbers::sqrt2;
  if (nonlinearity == "tanh") return 5.0 / 3;
  if (nonlinearity == "selu") return 3.0 / 4;
  EMBER_CHECK_VALUE(nonlinearity == "linear" || nonlinearity == "sigmoid" || nonlinearity.starts_with("conv"),
                    "Unsupported nonlinearity ", nonlinearity);
  return 1;
}

std::pair<int64_t, int64_t> fan_in_and_out(const Tensor& x) {
  EMBER_CHECK_VALUE(x.dim() >= 2, "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions");
  int64_t kernel = 1;
  for (int64_t d = 2; d < x.dim(); ++d) kernel *= x.size(d);
  return {x.size(1) * kernel, x.size(0) * kernel};
}

const Tensor& uniform_(const Tensor& x, double a, double b, Generator* generator) {
  NoGrad off;
  return ember::uniform_(x, a, b, generator);
}
const Tensor& normal_(const Tensor& x, double mean, double std, Generator* generator) {
  NoGrad off;
  return ember::normal_(x, mean, std, generator);
}
const Tensor& constant_(const Tensor& x, double value) {
  NoGrad off;
  return ember::fill_(x, value);
}

const Tensor& xavier_uniform_(const Tensor& x, double gain, Generator* generator) {
  auto [in, out] = fan_in_and_out(x);
  double a = std::sqrt(3.0) * (gain * std::sqrt(2.0 / static_cast<double>(in + out)));
  return init::uniform_(x, -a, a, generator);
}
const Tensor& xavier_normal_(const Tensor& x, double gain, Generator* generator) {
  auto [in, out] = fan_in_and_out(x);
  return init::normal_(x, 0, gain * std::sqrt(2.0 / static_cast<double>(in + out)), generator);
}

const Tensor& kaiming_uniform_(const Tensor& x, double a, std::string_view mode, std::string_view nonlinearity,
                               Generator* generator) {
  if (x.numel() == 0) return x;
  double bound = std::sqrt(3.0) * kaiming_std(x, a, mode, nonlinearity);
  return init::uniform_(x, -bound, bound, generator);
}
const Tensor& kaiming_normal_(const Tensor& x, double a, std::string_view mode, std::string_view nonlinearity,
                              Generator* generator) {
  if (x.numel() == 0) return x;
  return init::normal_(x, 0, kaiming_std(x, a, mode, nonlinearity), generator);
}

}  // namespace ember::nn::init
