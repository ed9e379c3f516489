// Every op as a C++ function, with its defaults: the C++ API, meant to be read. What each does stands in its family's
// file (its schema has the same argument order). In-place forms end in an underscore.
#pragma once

#include "op/op.h"

namespace ember {

// Looks the op up once, at the first call.
#define EMBER_CALL(name, ...) \
  static const Op* const op = find_op(name); \
  return call_op(op __VA_OPT__(, ) __VA_ARGS__)
#define EMBER_CALL_INPLACE(name, self, ...) \
  static const Op* const op = find_op(name); \
  return call_op_inplace(op, self __VA_OPT__(, ) __VA_ARGS__)

using Tensors = std::vector<Tensor>;
using Tensor2 = std::tuple<Tensor, Tensor>;
using Tensor3 = std::tuple<Tensor, Tensor, Tensor>;
using List = Span<Tensor>;

// ---- arithmetic, pointwise ----
inline Tensor add(const Tensor& self, const Tensor& other, Scalar alpha = 1) { EMBER_CALL("add", self, other, alpha); }
inline const Tensor& add_(const Tensor& self, const Tensor& other, Scalar alpha = 1) {
  EMBER_CALL_INPLACE("add", self, other, alpha);
}
inline Tensor sub(const Tensor& self, const Tensor& other, Scalar alpha = 1) { EMBER_CALL("sub", self, other, alpha); }
inline const Tensor& sub_(const Tensor& self, const Tensor& other, Scalar alpha = 1) {
  EMBER_CALL_INPLACE("sub", self, other, alpha);
}
inline Tensor mul(const Tensor& self, const Tensor& other) { EMBER_CALL("mul", self, other); }
inline const Tensor& mul_(const Tensor& self, const Tensor& other) { EMBER_CALL_INPLACE("mul", self, other); }
inline Tensor div(const Tensor& self, const Tensor& other) { EMBER_CALL("div", self, other); }
inline const Tensor& div_(const Tensor& self, const Tensor& other) { EMBER_CALL_INPLACE("div", self, other); }
inline Tensor floor_divide(const Tensor& self, const Tensor& other) { EMBER_CALL("floor_divide", self, other); }
inline Tensor remainder(const Tensor& self, const Tensor& other) { EMBER_CALL("remainder", self, other); }
inline Tensor fmod(const Tensor& self, const Tensor& other) { EMBER_CALL("fmod", self, other); }
inline Tensor pow(const Tensor& self, const Tensor& exponent) { EMBER_CALL("pow", self, exponent); }
inline Tensor atan2(const Tensor& self, const Tensor& other) { EMBER_CALL("atan2", self, other); }
inline Tensor hypot(const Tensor& self, const Tensor& other) { EMBER_CALL("hypot", self, other); }
inline Tensor copysign(const Tensor& self, const Tensor& other) { EMBER_CALL("copysign", self, other); }
inline Tensor polygamma(int64_t n, const Tensor& self) { EMBER_CALL("polygamma", n, self); }
inline Tensor nextafter(const Tensor& self, const Tensor& other) { EMBER_CALL("nextafter", self, other); }
inline Tensor maximum(const Tensor& self, const Tensor& other) { EMBER_CALL("maximum", self, other); }
inline Tensor minimum(const Tensor& self, const Tensor& other) { EMBER_CALL("minimum", self, other); }
inline Tensor fmax(const Tensor& self, const Tensor& other) { EMBER_CALL("fmax", self, other); }
inline Tensor fmin(const Tensor& self, const Tensor& other) { EMBER_CALL("fmin", self, other); }
inline Tensor gcd(const Tensor& self, const Tensor& other) { EMBER_CALL("gcd", self, other); }
inline Tensor lcm(const Tensor& self, const Tensor& other) { EMBER_CALL("lcm", self, other); }
inline Tensor addcmul(const Tensor& self, const Tensor& tensor1, const Tensor& tensor2, Scalar value = 1) {
  EMBER_CALL("addcmul", self, tensor1, tensor2, value);
}
inline Tensor addcdiv(const Tensor& self, const Tensor& tensor1, const Tensor& tensor2, Scalar value = 1) {
  EMBER_CALL("addcdiv", self, tensor1, tensor2, value);
}
inline Tensor lerp(const Tensor& self, const Tensor& end, const Tensor& weight) {
  EMBER_CALL("lerp", self, end, weight);
}
inline Tensor where(const Tensor& condition, const Tensor& self, const Tensor& other) {
  EMBER_CALL("where.self", condition, self, other);
}
inline Tensor clamp(const Tensor& self, std::optional<Scalar> min, std::optional<Scalar> max = {}) {
  EMBER_CALL("clamp", self, min, max);
}
inline Tensor clamp_min(const Tensor& self, const Tensor& min) { EMBER_CALL("clamp_min", self, min); }
inline Tensor clamp_max(const Tensor& self, const Tensor& max) { EMBER_CALL("clamp_max", self, max); }
inline Tensor masked_fill(const Tensor& self, const Tensor& mask, const Tensor& value) {
  EMBER_CALL("masked_fill", self, mask, value);
}

#define EMBER_UNARY_OP(name) \
  inline Tensor name(const Tensor& self) { EMBER_CALL(#name, self); }
// clang-format off
EMBER_UNARY_OP(abs) EMBER_UNARY_OP(neg) EMBER_UNARY_OP(sqrt) EMBER_UNARY_OP(rsqrt) EMBER_UNARY_OP(exp)
EMBER_UNARY_OP(exp2) EMBER_UNARY_OP(expm1) EMBER_UNARY_OP(log) EMBER_UNARY_OP(log2) EMBER_UNARY_OP(log10)
EMBER_UNARY_OP(log1p) EMBER_UNARY_OP(sin) EMBER_UNARY_OP(cos) EMBER_UNARY_OP(tan) EMBER_UNARY_OP(asin)
EMBER_UNARY_OP(acos) EMBER_UNARY_OP(atan) EMBER_UNARY_OP(sinh) EMBER_UNARY_OP(cosh) EMBER_UNARY_OP(tanh)
EMBER_UNARY_OP(asinh) EMBER_UNARY_OP(acosh) EMBER_UNARY_OP(atanh) EMBER_UNARY_OP(erf) EMBER_UNARY_OP(erfc)
EMBER_UNARY_OP(erfinv) EMBER_UNARY_OP(lgamma) EMBER_UNARY_OP(digamma) EMBER_UNARY_OP(floor) EMBER_UNARY_OP(ceil)
EMBER_UNARY_OP(trunc) EMBER_UNARY_OP(round) EMBER_UNARY_OP(frac) EMBER_UNARY_OP(sign) EMBER_UNARY_OP(sigmoid)
EMBER_UNARY_OP(reciprocal) EMBER_UNARY_OP(square) EMBER_UNARY_OP(isnan) EMBER_UNARY_OP(isinf)
EMBER_UNARY_OP(isfinite) EMBER_UNARY_OP(signbit) EMBER_UNARY_OP(angle) EMBER_UNARY_OP(conj) EMBER_UNARY_OP(real)
EMBER_UNARY_OP(imag) EMBER_UNARY_OP(logical_not) EMBER_UNARY_OP(bitwise_not) EMBER_UNARY_OP(relu)
EMBER_UNARY_OP(silu) EMBER_UNARY_OP(mish) EMBER_UNARY_OP(hardswish) EMBER_UNARY_OP(hardsigmoid)
EMBER_UNARY_OP(relu6) EMBER_UNARY_OP(selu) EMBER_UNARY_OP(softsign) EMBER_UNARY_OP(log_sigmoid)
EMBER_UNARY_OP(tanhshrink) EMBER_UNARY_OP(sgn) EMBER_UNARY_OP(special_entr)
// clang-format on
#undef EMBER_UNARY_OP

// ---- comparison and logic ----
#define EMBER_BINARY_OP(name) \
  inline Tensor name(const Tensor& self, const Tensor& other) { EMBER_CALL(#name, self, other); }
// clang-format off
EMBER_BINARY_OP(eq) EMBER_BINARY_OP(ne) EMBER_BINARY_OP(lt) EMBER_BINARY_OP(le) EMBER_BINARY_OP(gt)
EMBER_BINARY_OP(ge) EMBER_BINARY_OP(logical_and) EMBER_BINARY_OP(logical_or) EMBER_BINARY_OP(logical_xor)
EMBER_BINARY_OP(bitwise_and) EMBER_BINARY_OP(bitwise_or) EMBER_BINARY_OP(bitwise_xor)
EMBER_BINARY_OP(bitwise_left_shift) EMBER_BINARY_OP(bitwise_right_shift)
// clang-format on
#undef EMBER_BINARY_OP
inline bool equal(const Tensor& self, const Tensor& other) { EMBER_CALL("equal", self, other); }
inline bool allclose(const Tensor& self, const Tensor& other, double rtol = 1e-5, double atol = 1e-8,
                     bool equal_nan = false) {
  EMBER_CALL("allclose", self, other, rtol, atol, equal_nan);
}

inline Tensor div(const Tensor& self, const Tensor& other, std::optional<std::string_view> rounding_mode) {
  EMBER_CALL("div.mode", self, other, rounding_mode);
}
inline Tensor float_power(const Tensor& self, const Tensor& exponent) { EMBER_CALL("float_power", self, exponent); }
inline Tensor isclose(const Tensor& self, const Tensor& other, double rtol = 1e-05, double atol = 1e-08,
                      bool equal_nan = false) {
  EMBER_CALL("isclose", self, other, rtol, atol, equal_nan);
}
inline Tensor isreal(const Tensor& self) { EMBER_CALL("isreal", self); }
inline Tensor isposinf(const Tensor& self) { EMBER_CALL("isposinf", self); }
inline Tensor isneginf(const Tensor& self) { EMBER_CALL("isneginf", self); }
inline Tensor nan_to_num(const Tensor& self, std::optional<double> nan = {}, std::optional<double> posinf = {},
                         std::optional<double> neginf = {}) {
  EMBER_CALL("nan_to_num", self, nan, posinf, neginf);
}
inline Tensor xlogy(const Tensor& self, const Tensor& other) { EMBER_CALL("xlogy", self, other); }
inline Tensor logit(const Tensor& self, std::optional<double> eps = {}) { EMBER_CALL("logit", self, eps); }
inline Tensor logaddexp(const Tensor& self, const Tensor& other) { EMBER_CALL("logaddexp", self, other); }
inline Tensor logaddexp2(const Tensor& self, const Tensor& other) { EMBER_CALL("logaddexp2", self, other); }
inline Tensor heaviside(const Tensor& self, const Tensor& values) { EMBER_CALL("heaviside", self, values); }
inline Tensor ldexp(const Tensor& self, const Tensor& other) { EMBER_CALL("ldexp", self, other); }
inline Tensor sinc(const Tensor& self) { EMBER_CALL("sinc", self); }
inline Tensor deg2rad(const Tensor& self) { EMBER_CALL("deg2rad", self); }
inline Tensor rad2deg(const Tensor& self) { EMBER_CALL("rad2deg", self); }

// ---- activations with numbers ----
inline Tensor gelu(const Tensor& self, std::string_view approximate = "none") { EMBER_CALL("gelu", self, approximate); }
inline Tensor elu(const Tensor& self, double alpha = 1) { EMBER_CALL("elu", self, alpha); }
inline Tensor leaky_relu(const Tensor& self, double negative_slope = 0.01) {
  EMBER_CALL("leaky_relu", self, negative_slope);
}
inline Tensor softplus(const Tensor& self, double beta = 1, double threshold = 20) {
  EMBER_CALL("softplus", self, beta, threshold);
}
inline Tensor hardtanh(const Tensor& self, double min_val = -1, double max_val = 1) {
  EMBER_CALL("hardtanh", self, min_val, max_val);
}

// ---- creation ----
inline Tensor empty(DimsView size, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("empty", size, dtype, device);
}
inline Tensor zeros(DimsView size, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("zeros", size, dtype, device);
}
inline Tensor ones(DimsView size, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("ones", size, dtype, device);
}
inline Tensor full(DimsView size, Scalar fill_value, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("full", size, fill_value, dtype, device);
}
inline Tensor empty_like(const Tensor& self, OptDType dtype = {}, OptDevice device = {},
                         std::optional<MemoryFormat> format = {}) {
  EMBER_CALL("empty_like", self, dtype, device, format);
}
inline Tensor zeros_like(const Tensor& self, OptDType dtype = {}, OptDevice device = {},
                         std::optional<MemoryFormat> format = {}) {
  EMBER_CALL("zeros_like", self, dtype, device, format);
}
inline Tensor ones_like(const Tensor& self, OptDType dtype = {}, OptDevice device = {},
                        std::optional<MemoryFormat> format = {}) {
  EMBER_CALL("ones_like", self, dtype, device, format);
}
inline Tensor full_like(const Tensor& self, Scalar fill_value, OptDType dtype = {}, OptDevice device = {},
                        std::optional<MemoryFormat> format = {}) {
  EMBER_CALL("full_like", self, fill_value, dtype, device, format);
}
inline Tensor arange(Scalar start, Scalar end, Scalar step = 1, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("arange.start_step", start, end, step, dtype, device);
}
inline Tensor linspace(Scalar start, Scalar end, int64_t steps, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("linspace", start, end, steps, dtype, device);
}
inline Tensor eye(int64_t n, OptInt m = {}, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("eye", n, m, dtype, device);
}
inline Tensor tril(const Tensor& self, int64_t diagonal = 0) { EMBER_CALL("tril", self, diagonal); }
inline Tensor triu(const Tensor& self, int64_t diagonal = 0) { EMBER_CALL("triu", self, diagonal); }
inline Tensor empty_strided(DimsView size, DimsView stride, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("empty_strided", size, stride, dtype, device);
}
inline Tensor scalar_tensor(Scalar s, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("scalar_tensor", s, dtype, device);
}
inline Tensor logspace(Scalar start, Scalar end, int64_t steps, double base = 10, OptDType dtype = {},
                       OptDevice device = {}) {
  EMBER_CALL("logspace", start, end, steps, base, dtype, device);
}
inline Tensor tril_indices(int64_t row, int64_t col, int64_t offset = 0, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("tril_indices", row, col, offset, dtype, device);
}
inline Tensor triu_indices(int64_t row, int64_t col, int64_t offset = 0, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("triu_indices", row, col, offset, dtype, device);
}
inline Tensor diag(const Tensor& self, int64_t diagonal = 0) { EMBER_CALL("diag", self, diagonal); }
inline Tensor diag_embed(const Tensor& self, int64_t offset = 0, int64_t dim1 = -2, int64_t dim2 = -1) {
  EMBER_CALL("diag_embed", self, offset, dim1, dim2);
}
inline Tensor complex(const Tensor& real, const Tensor& imag) { EMBER_CALL("complex", real, imag); }
inline Tensor polar(const Tensor& abs, const Tensor& angle) { EMBER_CALL("polar", abs, angle); }
inline Tensors meshgrid(List tensors, std::optional<std::string_view> indexing = {}) {
  EMBER_CALL("meshgrid", tensors, indexing);
}
inline Tensor cartesian_prod(List tensors) { EMBER_CALL("cartesian_prod", tensors); }
inline Tensor combinations(const Tensor& self, int64_t r = 2, bool with_replacement = false) {
  EMBER_CALL("combinations", self, r, with_replacement);
}
inline Tensor vander(const Tensor& x, OptInt N = {}, bool increasing = false) {
  EMBER_CALL("vander", x, N, increasing);
}
inline Tensor hann_window(int64_t window_length, bool periodic = true, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("hann_window", window_length, periodic, dtype, device);
}
inline Tensor hamming_window(int64_t window_length, bool periodic = true, double alpha = 0.54, double beta = 0.46,
                             OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("hamming_window", window_length, periodic, alpha, beta, dtype, device);
}
inline Tensor blackman_window(int64_t window_length, bool periodic = true, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("blackman_window", window_length, periodic, dtype, device);
}
inline Tensor bartlett_window(int64_t window_length, bool periodic = true, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("bartlett_window", window_length, periodic, dtype, device);
}

// ---- random ----
inline Tensor rand(DimsView size, Generator* generator = nullptr, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("rand", size, generator, dtype, device);
}
inline Tensor randn(DimsView size, Generator* generator = nullptr, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("randn", size, generator, dtype, device);
}
inline Tensor randint(int64_t low, int64_t high, DimsView size, Generator* generator = nullptr, OptDType dtype = {},
                      OptDevice device = {}) {
  EMBER_CALL("randint.low", low, high, size, generator, dtype, device);
}
inline Tensor randperm(int64_t n, Generator* generator = nullptr, OptDType dtype = {}, OptDevice device = {}) {
  EMBER_CALL("randperm", n, generator, dtype, device);
}
inline const Tensor& uniform_(const Tensor& self, double from = 0, double to = 1, Generator* generator = nullptr) {
  EMBER_CALL_INPLACE("uniform", self, from, to, generator);
}
inline const Tensor& normal_(const Tensor& self, double mean = 0, double std = 1, Generator* generator = nullptr) {
  EMBER_CALL_INPLACE("normal", self, mean, std, generator);
}
inline Tensor bernoulli(const Tensor& self, Generator* generator = nullptr) {
  EMBER_CALL("bernoulli", self, generator);
}
inline Tensor multinomial(const Tensor& self, int64_t num_samples, bool replacement = false,
                          Generator* generator = nullptr) {
  EMBER_CALL("multinomial", self, num_samples, replacement, generator);
}
inline Tensor dropout(const Tensor& self, double p = 0.5, bool train = true) { EMBER_CALL("dropout", self, p, train); }
inline Tensor rand_like(const Tensor& self, Generator* generator = nullptr, OptDType dtype = {}, OptDevice device = {},
                        std::optional<MemoryFormat> format = {}) {
  EMBER_CALL("rand_like", self, generator, dtype, device, format);
}
inline Tensor randn_like(const Tensor& self, Generator* generator = nullptr, OptDType dtype = {}, OptDevice device = {},
                         std::optional<MemoryFormat> format = {}) {
  EMBER_CALL("randn_like", self, generator, dtype, device, format);
}
inline Tensor randint_like(const Tensor& self, int64_t low, int64_t high, Generator* generator = nullptr,
                           OptDType dtype = {}, OptDevice device = {}, std::optional<MemoryFormat> format = {}) {
  EMBER_CALL("randint_like.low", self, low, high, generator, dtype, device, format);
}
inline Tensor normal(double mean, double std, DimsView size, Generator* generator = nullptr, OptDType dtype = {},
                     OptDevice device = {}) {
  EMBER_CALL("normal.float_float", mean, std, size, generator, dtype, device);
}
inline Tensor normal(const Tensor& mean, const Tensor& std, Generator* generator = nullptr) {
  EMBER_CALL("normal.Tensor_Tensor", mean, std, generator);
}
inline const Tensor& exponential_(const Tensor& self, double lambd = 1, Generator* generator = nullptr) {
  EMBER_CALL_INPLACE("exponential", self, lambd, generator);
}
inline const Tensor& geometric_(const Tensor& self, double p, Generator* generator = nullptr) {
  EMBER_CALL_INPLACE("geometric", self, p, generator);
}
inline const Tensor& cauchy_(const Tensor& self, double median = 0, double sigma = 1, Generator* generator = nullptr) {
  EMBER_CALL_INPLACE("cauchy", self, median, sigma, generator);
}
inline const Tensor& log_normal_(const Tensor& self, double mean = 1, double std = 2, Generator* generator = nullptr) {
  EMBER_CALL_INPLACE("log_normal", self, mean, std, generator);
}
inline const Tensor& random_(const Tensor& self, Generator* generator = nullptr) {
  EMBER_CALL_INPLACE("random", self, generator);
}
inline const Tensor& random_(const Tensor& self, int64_t from, OptInt to, Generator* generator = nullptr) {
  EMBER_CALL_INPLACE("random.from", self, from, to, generator);
}
inline const Tensor& bernoulli_(const Tensor& self, double p = 0.5, Generator* generator = nullptr) {
  EMBER_CALL_INPLACE("bernoulli.float", self, p, generator);
}
inline const Tensor& bernoulli_(const Tensor& self, const Tensor& p, Generator* generator = nullptr) {
  EMBER_CALL_INPLACE("bernoulli.Tensor", self, p, generator);
}
inline Tensor bernoulli(const Tensor& self, double p, Generator* generator = nullptr) {
  EMBER_CALL("bernoulli.p", self, p, generator);
}
inline Tensor poisson(const Tensor& self, Generator* generator = nullptr) { EMBER_CALL("poisson", self, generator); }
inline Tensor binomial(const Tensor& count, const Tensor& prob, Generator* generator = nullptr) {
  EMBER_CALL("binomial", count, prob, generator);
}
inline Tensor feature_dropout(const Tensor& self, double p = 0.5, bool train = true) {
  EMBER_CALL("feature_dropout", self, p, train);
}
inline Tensor alpha_dropout(const Tensor& self, double p = 0.5, bool train = true) {
  EMBER_CALL("alpha_dropout", self, p, train);
}
inline Tensor feature_alpha_dropout(const Tensor& self, double p = 0.5, bool train = true) {
  EMBER_CALL("feature_alpha_dropout", self, p, train);
}
inline Tensor rrelu(const Tensor& self, double lower = 1.0 / 8, double upper = 1.0 / 3, bool training = false,
                    Generator* generator = nullptr) {
  EMBER_CALL("rrelu", self, lower, upper, training, generator);
}

// ---- copies and casts ----
inline Tensor copy(const Tensor& self, const Tensor& src) { EMBER_CALL("copy", self, src, false); }
inline const Tensor& copy_(const Tensor& self, const Tensor& src) { EMBER_CALL_INPLACE("copy", self, src, false); }
inline const Tensor& fill_(const Tensor& self, const Tensor& value) { EMBER_CALL_INPLACE("fill", self, value); }
inline const Tensor& zero_(const Tensor& self) { EMBER_CALL_INPLACE("zero", self); }
inline Tensor clone(const Tensor& self, std::optional<MemoryFormat> format = {}) { EMBER_CALL("clone", self, format); }
inline Tensor contiguous(const Tensor& self, MemoryFormat format = MemoryFormat::kContiguous) {
  EMBER_CALL("contiguous", self, format);
}
inline Tensor to_dtype(const Tensor& self, DType dtype) {
  EMBER_CALL("_to_copy", self, OptDType(dtype), OptDevice(), std::optional<MemoryFormat>());
}
inline const Tensor& masked_fill_(const Tensor& self, const Tensor& mask, const Tensor& value) {
  EMBER_CALL_INPLACE("masked_fill", self, mask, value);
}
inline const Tensor& resize_(const Tensor& self, DimsView size, std::optional<MemoryFormat> format = {}) {
  EMBER_CALL_INPLACE("resize", self, size, format);
}
inline const Tensor& set_(const Tensor& self, const Tensor& source) {
  EMBER_CALL_INPLACE("set.source_Tensor", self, source);
}

// ---- views and shape ----
inline Tensor view(const Tensor& self, DimsView size) { EMBER_CALL("view", self, size); }
inline Tensor reshape(const Tensor& self, DimsView shape) { EMBER_CALL("reshape", self, shape); }
inline Tensor as_strided(const Tensor& self, DimsView size, DimsView stride, OptInt storage_offset = {}) {
  EMBER_CALL("as_strided", self, size, stride, storage_offset);
}
inline Tensor select(const Tensor& self, int64_t dim, int64_t index) { EMBER_CALL("select", self, dim, index); }
inline Tensor slice(const Tensor& self, int64_t dim = 0, OptInt start = {}, OptInt end = {}, int64_t step = 1) {
  EMBER_CALL("slice", self, dim, start, end, step);
}
inline Tensor narrow(const Tensor& self, int64_t dim, int64_t start, int64_t length) {
  EMBER_CALL("narrow", self, dim, start, length);
}
inline Tensor transpose(const Tensor& self, int64_t dim0, int64_t dim1) { EMBER_CALL("transpose", self, dim0, dim1); }
inline Tensor t(const Tensor& self) { EMBER_CALL("t", self); }
inline Tensor permute(const Tensor& self, DimsView dims) { EMBER_CALL("permute", self, dims); }
inline Tensor expand(const Tensor& self, DimsView size) { EMBER_CALL("expand", self, size, false); }
inline Tensor unsqueeze(const Tensor& self, int64_t dim) { EMBER_CALL("unsqueeze", self, dim); }
inline Tensor squeeze(const Tensor& self) { EMBER_CALL("squeeze", self); }
inline Tensor squeeze(const Tensor& self, DimsView dim) { EMBER_CALL("squeeze.dim", self, dim); }
inline Tensor flatten(const Tensor& self, int64_t start_dim = 0, int64_t end_dim = -1) {
  EMBER_CALL("flatten", self, start_dim, end_dim);
}
inline Tensor diagonal(const Tensor& self, int64_t offset = 0, int64_t dim1 = 0, int64_t dim2 = 1) {
  EMBER_CALL("diagonal", self, offset, dim1, dim2);
}
inline Tensor unfold(const Tensor& self, int64_t dimension, int64_t size, int64_t step) {
  EMBER_CALL("unfold", self, dimension, size, step);
}
inline Tensors split(const Tensor& self, int64_t split_size, int64_t dim = 0) {
  EMBER_CALL("split", self, split_size, dim);
}
inline Tensors split(const Tensor& self, DimsView split_sizes, int64_t dim = 0) {
  EMBER_CALL("split.sizes", self, split_sizes, dim);
}
inline Tensors chunk(const Tensor& self, int64_t chunks, int64_t dim = 0) { EMBER_CALL("chunk", self, chunks, dim); }
inline Tensors unbind(const Tensor& self, int64_t dim = 0) { EMBER_CALL("unbind", self, dim); }
inline Tensor cat(List tensors, int64_t dim = 0) { EMBER_CALL("cat", tensors, dim); }
inline Tensor stack(List tensors, int64_t dim = 0) { EMBER_CALL("stack", tensors, dim); }
inline Tensor flip(const Tensor& self, DimsView dims) { EMBER_CALL("flip", self, dims); }
inline Tensor roll(const Tensor& self, DimsView shifts, DimsView dims = {}) { EMBER_CALL("roll", self, shifts, dims); }
inline Tensor repeat(const Tensor& self, DimsView repeats) { EMBER_CALL("repeat", self, repeats); }
inline Tensor view_as_real(const Tensor& self) { EMBER_CALL("view_as_real", self); }
inline Tensor view_as_complex(const Tensor& self) { EMBER_CALL("view_as_complex", self); }
inline Tensor pad(const Tensor& self, DimsView pad, std::string_view mode = "constant",
                  std::optional<double> value = {}) {
  EMBER_CALL("pad", self, pad, mode, value);
}
inline Tensor view(const Tensor& self, DType dtype) { EMBER_CALL("view.dtype", self, dtype); }
inline Tensor mT(const Tensor& self) { EMBER_CALL("mT", self); }
inline Tensor adjoint(const Tensor& self) { EMBER_CALL("adjoint", self); }
inline Tensor movedim(const Tensor& self, DimsView source, DimsView destination) {
  EMBER_CALL("movedim", self, source, destination);
}
inline Tensor unflatten(const Tensor& self, int64_t dim, DimsView sizes) { EMBER_CALL("unflatten", self, dim, sizes); }
inline Tensor ravel(const Tensor& self) { EMBER_CALL("ravel", self); }
inline Tensor broadcast_to(const Tensor& self, DimsView size) { EMBER_CALL("broadcast_to", self, size); }
inline Tensors broadcast_tensors(List tensors) { EMBER_CALL("broadcast_tensors", tensors); }
inline Tensors tensor_split(const Tensor& self, int64_t sections, int64_t dim = 0) {
  EMBER_CALL("tensor_split.sections", self, sections, dim);
}
inline Tensors tensor_split(const Tensor& self, DimsView indices, int64_t dim = 0) {
  EMBER_CALL("tensor_split.indices", self, indices, dim);
}
inline const Tensor& transpose_(const Tensor& self, int64_t dim0, int64_t dim1) {
  EMBER_CALL_INPLACE("transpose", self, dim0, dim1);
}
inline const Tensor& t_(const Tensor& self) { EMBER_CALL_INPLACE("t", self); }
inline const Tensor& squeeze_(const Tensor& self, DimsView dim) { EMBER_CALL_INPLACE("squeeze.dim", self, dim); }
inline const Tensor& unsqueeze_(const Tensor& self, int64_t dim) { EMBER_CALL_INPLACE("unsqueeze", self, dim); }
inline Tensor hstack(List tensors) { EMBER_CALL("hstack", tensors); }
inline Tensor vstack(List tensors) { EMBER_CALL("vstack", tensors); }
inline Tensor dstack(List tensors) { EMBER_CALL("dstack", tensors); }
inline Tensor column_stack(List tensors) { EMBER_CALL("column_stack", tensors); }
inline Tensor fliplr(const Tensor& self) { EMBER_CALL("fliplr", self); }
inline Tensor flipud(const Tensor& self) { EMBER_CALL("flipud", self); }
inline Tensor rot90(const Tensor& self, int64_t k = 1, DimsView dims = {0, 1}) { EMBER_CALL("rot90", self, k, dims); }
inline Tensor tile(const Tensor& self, DimsView dims) { EMBER_CALL("tile", self, dims); }
inline Tensor repeat_interleave(const Tensor& self, int64_t repeats, OptInt dim = {}) {
  EMBER_CALL("repeat_interleave.self_int", self, repeats, dim, OptInt());
}
inline Tensor repeat_interleave(const Tensor& self, const Tensor& repeats, OptInt dim = {}) {
  EMBER_CALL("repeat_interleave.self_Tensor", self, repeats, dim, OptInt());
}
inline Tensor kron(const Tensor& self, const Tensor& other) { EMBER_CALL("kron", self, other); }
inline Tensor block_diag(List tensors) { EMBER_CALL("block_diag", tensors); }
inline Tensor pixel_shuffle(const Tensor& self, int64_t upscale_factor) {
  EMBER_CALL("pixel_shuffle", self, upscale_factor);
}
inline Tensor pixel_unshuffle(const Tensor& self, int64_t downscale_factor) {
  EMBER_CALL("pixel_unshuffle", self, downscale_factor);
}
inline Tensor channel_shuffle(const Tensor& self, int64_t groups) { EMBER_CALL("channel_shuffle", self, groups); }
inline Tensor im2col(const Tensor& self, DimsView kernel_size, DimsView dilation, DimsView padding, DimsView stride) {
  EMBER_CALL("im2col", self, kernel_size, dilation, padding, stride);
}
inline Tensor col2im(const Tensor& self, DimsView output_size, DimsView kernel_size, DimsView dilation,
                     DimsView padding, DimsView stride) {
  EMBER_CALL("col2im", self, output_size, kernel_size, dilation, padding, stride);
}

// ---- reductions ----
inline Tensor sum(const Tensor& self, OptDims dim = {}, bool keepdim = false, OptDType dtype = {}) {
  EMBER_CALL("sum", self, dim, keepdim, dtype);
}
inline Tensor mean(const Tensor& self, OptDims dim = {}, bool keepdim = false, OptDType dtype = {}) {
  EMBER_CALL("mean", self, dim, keepdim, dtype);
}
inline Tensor prod(const Tensor& self, OptInt dim = {}, bool keepdim = false, OptDType dtype = {}) {
  EMBER_CALL("prod", self, dim, keepdim, dtype);
}
inline Tensor var(const Tensor& self, OptDims dim = {}, Scalar correction = 1, bool keepdim = false) {
  EMBER_CALL("var", self, dim, correction, keepdim);
}
inline Tensor std(const Tensor& self, OptDims dim = {}, Scalar correction = 1, bool keepdim = false) {
  EMBER_CALL("std", self, dim, correction, keepdim);
}
inline Tensor amax(const Tensor& self, DimsView dim = {}, bool keepdim = false) {
  EMBER_CALL("amax", self, dim, keepdim);
}
inline Tensor amin(const Tensor& self, DimsView dim = {}, bool keepdim = false) {
  EMBER_CALL("amin", self, dim, keepdim);
}
inline Tensor max(const Tensor& self) { EMBER_CALL("max", self); }
inline Tensor min(const Tensor& self) { EMBER_CALL("min", self); }
inline Tensor2 max(const Tensor& self, int64_t dim, bool keepdim = false) { EMBER_CALL("max.dim", self, dim, keepdim); }
inline Tensor2 min(const Tensor& self, int64_t dim, bool keepdim = false) { EMBER_CALL("min.dim", self, dim, keepdim); }
inline Tensor argmax(const Tensor& self, OptInt dim = {}, bool keepdim = false) {
  EMBER_CALL("argmax", self, dim, keepdim);
}
inline Tensor argmin(const Tensor& self, OptInt dim = {}, bool keepdim = false) {
  EMBER_CALL("argmin", self, dim, keepdim);
}
inline Tensor all(const Tensor& self, OptDims dim = {}, bool keepdim = false) { EMBER_CALL("all", self, dim, keepdim); }
inline Tensor any(const Tensor& self, OptDims dim = {}, bool keepdim = false) { EMBER_CALL("any", self, dim, keepdim); }
inline Tensor logsumexp(const Tensor& self, DimsView dim, bool keepdim = false) {
  EMBER_CALL("logsumexp", self, dim, keepdim);
}
inline Tensor nansum(const Tensor& self, OptDims dim = {}, bool keepdim = false, OptDType dtype = {}) {
  EMBER_CALL("nansum", self, dim, keepdim, dtype);
}
inline Tensor nanmean(const Tensor& self, OptDims dim = {}, bool keepdim = false, OptDType dtype = {}) {
  EMBER_CALL("nanmean", self, dim, keepdim, dtype);
}
inline Tensor count_nonzero(const Tensor& self, OptDims dim = {}) { EMBER_CALL("count_nonzero", self, dim); }
inline Tensor2 var_mean(const Tensor& self, OptDims dim = {}, Scalar correction = 1, bool keepdim = false) {
  EMBER_CALL("var_mean", self, dim, correction, keepdim);
}
inline Tensor2 std_mean(const Tensor& self, OptDims dim = {}, Scalar correction = 1, bool keepdim = false) {
  EMBER_CALL("std_mean", self, dim, correction, keepdim);
}
inline Tensor hash_tensor(const Tensor& self, DimsView dim = {}, bool keepdim = false, int64_t mode = 0) {
  EMBER_CALL("hash_tensor", self, dim, keepdim, mode);
}
inline Tensor2 aminmax(const Tensor& self, OptInt dim = {}, bool keepdim = false) {
  EMBER_CALL("aminmax", self, dim, keepdim);
}
inline Tensor dist(const Tensor& self, const Tensor& other, Scalar p = 2) { EMBER_CALL("dist", self, other, p); }
inline Tensor diff(const Tensor& self, int64_t n = 1, int64_t dim = -1, const OptTensor& prepend = {},
                   const OptTensor& append = {}) {
  EMBER_CALL("diff", self, n, dim, prepend, append);
}
inline Tensor cov(const Tensor& self, int64_t correction = 1, const OptTensor& fweights = {},
                  const OptTensor& aweights = {}) {
  EMBER_CALL("cov", self, correction, fweights, aweights);
}
inline Tensor corrcoef(const Tensor& self) { EMBER_CALL("corrcoef", self); }
inline Tensor logcumsumexp(const Tensor& self, int64_t dim) { EMBER_CALL("logcumsumexp", self, dim); }
inline Tensor2 cummax(const Tensor& self, int64_t dim) { EMBER_CALL("cummax", self, dim); }
inline Tensor2 cummin(const Tensor& self, int64_t dim) { EMBER_CALL("cummin", self, dim); }
inline Tensor norm(const Tensor& self, Scalar p = 2, OptDims dim = {}, bool keepdim = false) {
  EMBER_CALL("linalg_vector_norm", self, p, dim, keepdim, OptDType());
}
inline Tensor cumsum(const Tensor& self, int64_t dim, OptDType dtype = {}) { EMBER_CALL("cumsum", self, dim, dtype); }
inline Tensor cumprod(const Tensor& self, int64_t dim, OptDType dtype = {}) { EMBER_CALL("cumprod", self, dim, dtype); }
inline Tensor sum_to_size(const Tensor& self, DimsView size) { EMBER_CALL("sum_to_size", self, size); }

// ---- indexing, sorting ----
inline Tensor index(const Tensor& self, List indices) { EMBER_CALL("index", self, indices); }
inline Tensor index_put(const Tensor& self, List indices, const Tensor& values, bool accumulate = false) {
  EMBER_CALL("index_put", self, indices, values, accumulate);
}
inline const Tensor& index_put_(const Tensor& self, List indices, const Tensor& values, bool accumulate = false) {
  EMBER_CALL_INPLACE("index_put", self, indices, values, accumulate);
}
inline Tensor index_select(const Tensor& self, int64_t dim, const Tensor& index) {
  EMBER_CALL("index_select", self, dim, index);
}
inline Tensor index_add(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source, Scalar alpha = 1) {
  EMBER_CALL("index_add", self, dim, index, source, alpha);
}
inline Tensor gather(const Tensor& self, int64_t dim, const Tensor& index) { EMBER_CALL("gather", self, dim, index); }
inline Tensor scatter(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src) {
  EMBER_CALL("scatter", self, dim, index, src);
}
inline Tensor scatter_add(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src) {
  EMBER_CALL("scatter_add", self, dim, index, src);
}
inline Tensor masked_select(const Tensor& self, const Tensor& mask) { EMBER_CALL("masked_select", self, mask); }
inline Tensor masked_scatter(const Tensor& self, const Tensor& mask, const Tensor& source) {
  EMBER_CALL("masked_scatter", self, mask, source);
}
inline Tensor take(const Tensor& self, const Tensor& index) { EMBER_CALL("take", self, index); }
inline Tensor nonzero(const Tensor& self) { EMBER_CALL("nonzero", self); }
inline Tensor2 sort(const Tensor& self, int64_t dim = -1, bool descending = false, bool stable = false) {
  EMBER_CALL("sort", self, dim, descending, stable);
}
inline Tensor argsort(const Tensor& self, int64_t dim = -1, bool descending = false, bool stable = false) {
  EMBER_CALL("argsort", self, dim, descending, stable);
}
inline Tensor2 topk(const Tensor& self, int64_t k, int64_t dim = -1, bool largest = true, bool sorted = true) {
  EMBER_CALL("topk", self, k, dim, largest, sorted);
}
inline Tensor embedding(const Tensor& weight, const Tensor& indices, int64_t padding_idx = -1,
                        bool scale_grad_by_freq = false, bool sparse = false) {
  EMBER_CALL("embedding", weight, indices, padding_idx, scale_grad_by_freq, sparse);
}
inline Tensor one_hot(const Tensor& self, int64_t num_classes = -1) { EMBER_CALL("one_hot", self, num_classes); }
inline Tensor index_copy(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source) {
  EMBER_CALL("index_copy", self, dim, index, source);
}
inline Tensor index_fill(const Tensor& self, int64_t dim, const Tensor& index, Scalar value) {
  EMBER_CALL("index_fill", self, dim, index, value);
}
inline Tensor scatter(const Tensor& self, int64_t dim, const Tensor& index, Scalar value) {
  EMBER_CALL("scatter.value", self, dim, index, value);
}
inline Tensor index_reduce(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
                           std::string_view reduce, bool include_self = true) {
  EMBER_CALL("index_reduce", self, dim, index, source, reduce, include_self);
}
inline Tensor scatter_reduce(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src,
                             std::string_view reduce, bool include_self = true) {
  EMBER_CALL("scatter_reduce", self, dim, index, src, reduce, include_self);
}
inline Tensor put(const Tensor& self, const Tensor& index, const Tensor& source, bool accumulate = false) {
  EMBER_CALL("put", self, index, source, accumulate);
}
inline Tensor take_along_dim(const Tensor& self, const Tensor& indices, OptInt dim = {}) {
  EMBER_CALL("take_along_dim", self, indices, dim);
}
inline Tensor msort(const Tensor& self) { EMBER_CALL("msort", self); }
inline Tensor2 kthvalue(const Tensor& self, int64_t k, int64_t dim = -1, bool keepdim = false) {
  EMBER_CALL("kthvalue", self, k, dim, keepdim);
}
inline Tensor median(const Tensor& self) { EMBER_CALL("median", self); }
inline Tensor nanmedian(const Tensor& self) { EMBER_CALL("nanmedian", self); }
inline Tensor2 median(const Tensor& self, int64_t dim, bool keepdim = false) {
  EMBER_CALL("median.dim", self, dim, keepdim);
}
inline Tensor2 nanmedian(const Tensor& self, int64_t dim, bool keepdim = false) {
  EMBER_CALL("nanmedian.dim", self, dim, keepdim);
}
inline Tensor2 mode(const Tensor& self, int64_t dim = -1, bool keepdim = false) {
  EMBER_CALL("mode", self, dim, keepdim);
}
inline Tensor quantile(const Tensor& self, const Tensor& q, OptInt dim = {}, bool keepdim = false,
                       std::string_view interpolation = "linear") {
  EMBER_CALL("quantile", self, q, dim, keepdim, interpolation);
}
inline Tensor3 unique(const Tensor& self, bool sorted = true, bool return_inverse = false, bool return_counts = false) {
  EMBER_CALL("_unique2", self, sorted, return_inverse, return_counts);
}
inline Tensor searchsorted(const Tensor& sorted_sequence, const Tensor& self, bool out_int32 = false,
                           bool right = false) {
  EMBER_CALL("searchsorted", sorted_sequence, self, out_int32, right, std::optional<std::string_view>(), Tensor());
}
inline Tensor bucketize(const Tensor& self, const Tensor& boundaries, bool out_int32 = false, bool right = false) {
  EMBER_CALL("bucketize", self, boundaries, out_int32, right);
}
inline Tensor isin(const Tensor& elements, const Tensor& test_elements, bool assume_unique = false,
                   bool invert = false) {
  EMBER_CALL("isin", elements, test_elements, assume_unique, invert);
}
inline Tensor bincount(const Tensor& self, const OptTensor& weights = {}, int64_t minlength = 0) {
  EMBER_CALL("bincount", self, weights, minlength);
}
inline Tensor histc(const Tensor& self, int64_t bins = 100, Scalar min = 0, Scalar max = 0) {
  EMBER_CALL("histc", self, bins, min, max);
}

// ---- matrices ----
inline Tensor matmul(const Tensor& self, const Tensor& other) { EMBER_CALL("matmul", self, other); }
inline Tensor mm(const Tensor& self, const Tensor& mat2) { EMBER_CALL("mm", self, mat2); }
inline Tensor bmm(const Tensor& self, const Tensor& mat2) { EMBER_CALL("bmm", self, mat2); }
inline Tensor mv(const Tensor& self, const Tensor& vec) { EMBER_CALL("mv", self, vec); }
inline Tensor dot(const Tensor& self, const Tensor& tensor) { EMBER_CALL("dot", self, tensor); }
inline Tensor addmm(const Tensor& self, const Tensor& mat1, const Tensor& mat2, Scalar beta = 1, Scalar alpha = 1) {
  EMBER_CALL("addmm", self, mat1, mat2, beta, alpha);
}
inline Tensor baddbmm(const Tensor& self, const Tensor& batch1, const Tensor& batch2, Scalar beta = 1,
                      Scalar alpha = 1) {
  EMBER_CALL("baddbmm", self, batch1, batch2, beta, alpha);
}
inline Tensor linear(const Tensor& input, const Tensor& weight, const OptTensor& bias = {}) {
  EMBER_CALL("linear", input, weight, bias);
}
inline Tensor einsum(std::string_view equation, List operands) { EMBER_CALL("einsum", equation, operands); }

inline Tensor vdot(const Tensor& self, const Tensor& other) { EMBER_CALL("vdot", self, other); }
inline Tensor outer(const Tensor& self, const Tensor& vec2) { EMBER_CALL("outer", self, vec2); }
inline Tensor addmv(const Tensor& self, const Tensor& mat, const Tensor& vec, Scalar beta = 1, Scalar alpha = 1) {
  EMBER_CALL("addmv", self, mat, vec, beta, alpha);
}
inline Tensor addbmm(const Tensor& self, const Tensor& batch1, const Tensor& batch2, Scalar beta = 1,
                     Scalar alpha = 1) {
  EMBER_CALL("addbmm", self, batch1, batch2, beta, alpha);
}
inline Tensor addr(const Tensor& self, const Tensor& vec1, const Tensor& vec2, Scalar beta = 1, Scalar alpha = 1) {
  EMBER_CALL("addr", self, vec1, vec2, beta, alpha);
}
inline Tensor inner(const Tensor& self, const Tensor& other) { EMBER_CALL("inner", self, other); }
inline Tensor trace(const Tensor& self) { EMBER_CALL("trace", self); }
inline Tensor tensordot(const Tensor& self, const Tensor& other, DimsView dims_self, DimsView dims_other) {
  EMBER_CALL("tensordot", self, other, dims_self, dims_other);
}
inline Tensor bilinear(const Tensor& input1, const Tensor& input2, const Tensor& weight, const OptTensor& bias = {}) {
  EMBER_CALL("bilinear", input1, input2, weight, bias);
}
inline Tensor chain_matmul(List matrices) { EMBER_CALL("chain_matmul", matrices); }
inline Tensor linalg_cross(const Tensor& self, const Tensor& other, int64_t dim = -1) {
  EMBER_CALL("linalg_cross", self, other, dim);
}
inline Tensor cross(const Tensor& self, const Tensor& other, OptInt dim = {}) { EMBER_CALL("cross", self, other, dim); }
inline Tensor cdist(const Tensor& x1, const Tensor& x2, double p = 2, OptInt compute_mode = {}) {
  EMBER_CALL("cdist", x1, x2, p, compute_mode);
}
inline Tensor pdist(const Tensor& self, double p = 2) { EMBER_CALL("pdist", self, p); }

// ---- networks ----
inline Tensor softmax(const Tensor& self, int64_t dim, OptDType dtype = {}) { EMBER_CALL("softmax", self, dim, dtype); }
inline Tensor log_softmax(const Tensor& self, int64_t dim, OptDType dtype = {}) {
  EMBER_CALL("log_softmax", self, dim, dtype);
}
inline Tensor softmax_backward(const Tensor& grad_output, const Tensor& output, int64_t dim) {
  EMBER_CALL("_softmax_backward", grad_output, output, dim);
}
inline Tensor log_softmax_backward(const Tensor& grad_output, const Tensor& output, int64_t dim) {
  EMBER_CALL("_log_softmax_backward", grad_output, output, dim);
}
inline Tensor convolution(const Tensor& input, const Tensor& weight, const OptTensor& bias, DimsView stride,
                          DimsView padding, DimsView dilation, bool transposed, DimsView output_padding,
                          int64_t groups) {
  EMBER_CALL("convolution", input, weight, bias, stride, padding, dilation, transposed, output_padding, groups);
}
inline Tensor conv_backward_weight(const Tensor& input, const Tensor& grad_output, DimsView weight_size,
                                   DimsView stride, DimsView padding, DimsView dilation, int64_t groups) {
  EMBER_CALL("_conv_backward_weight", input, grad_output, weight_size, stride, padding, dilation, groups);
}
inline Tensor conv1d(const Tensor& input, const Tensor& weight, const OptTensor& bias = {}, DimsView stride = {1},
                     DimsView padding = {0}, DimsView dilation = {1}, int64_t groups = 1) {
  EMBER_CALL("conv1d", input, weight, bias, stride, padding, dilation, groups);
}
inline Tensor conv2d(const Tensor& input, const Tensor& weight, const OptTensor& bias = {}, DimsView stride = {1, 1},
                     DimsView padding = {0, 0}, DimsView dilation = {1, 1}, int64_t groups = 1) {
  EMBER_CALL("conv2d", input, weight, bias, stride, padding, dilation, groups);
}
inline Tensor conv3d(const Tensor& input, const Tensor& weight, const OptTensor& bias = {}, DimsView stride = {1, 1, 1},
                     DimsView padding = {0, 0, 0}, DimsView dilation = {1, 1, 1}, int64_t groups = 1) {
  EMBER_CALL("conv3d", input, weight, bias, stride, padding, dilation, groups);
}
inline Tensor2 max_pool(const Tensor& self, DimsView kernel_size, DimsView stride, DimsView padding, DimsView dilation,
                        bool ceil_mode) {
  EMBER_CALL("_max_pool", self, kernel_size, stride, padding, dilation, ceil_mode);
}
inline Tensor max_pool_backward(const Tensor& grad_output, const Tensor& indices, DimsView input_size) {
  EMBER_CALL("_max_pool_backward", grad_output, indices, input_size);
}
inline Tensor2 adaptive_max_pool(const Tensor& self, DimsView output_size) {
  EMBER_CALL("_adaptive_max_pool", self, output_size);
}
inline Tensor avg_pool(const Tensor& self, DimsView kernel_size, DimsView stride, DimsView padding, bool ceil_mode,
                       bool count_include_pad, OptInt divisor_override) {
  EMBER_CALL("_avg_pool", self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override);
}
inline Tensor avg_pool_backward(const Tensor& grad_output, DimsView input_size, DimsView kernel_size, DimsView stride,
                                DimsView padding, bool ceil_mode, bool count_include_pad, OptInt divisor_override) {
  EMBER_CALL("_avg_pool_backward", grad_output, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad,
             divisor_override);
}
inline Tensor adaptive_avg_pool(const Tensor& self, DimsView output_size) {
  EMBER_CALL("_adaptive_avg_pool", self, output_size);
}
inline Tensor adaptive_avg_pool_backward(const Tensor& grad_output, DimsView input_size) {
  EMBER_CALL("_adaptive_avg_pool_backward", grad_output, input_size);
}
inline Tensor max_pool2d(const Tensor& self, DimsView kernel_size, DimsView stride = {}, DimsView padding = {0, 0},
                         DimsView dilation = {1, 1}, bool ceil_mode = false) {
  EMBER_CALL("max_pool2d", self, kernel_size, stride, padding, dilation, ceil_mode);
}
inline Tensor conv_transpose1d(const Tensor& input, const Tensor& weight, const OptTensor& bias = {},
                               DimsView stride = {1}, DimsView padding = {0}, DimsView output_padding = {0},
                               int64_t groups = 1, DimsView dilation = {1}) {
  EMBER_CALL("conv_transpose1d", input, weight, bias, stride, padding, output_padding, groups, dilation);
}
inline Tensor conv_transpose2d(const Tensor& input, const Tensor& weight, const OptTensor& bias = {},
                               DimsView stride = {1, 1}, DimsView padding = {0, 0}, DimsView output_padding = {0, 0},
                               int64_t groups = 1, DimsView dilation = {1, 1}) {
  EMBER_CALL("conv_transpose2d", input, weight, bias, stride, padding, output_padding, groups, dilation);
}
inline Tensor conv_transpose3d(const Tensor& input, const Tensor& weight, const OptTensor& bias = {},
                               DimsView stride = {1, 1, 1}, DimsView padding = {0, 0, 0},
                               DimsView output_padding = {0, 0, 0}, int64_t groups = 1, DimsView dilation = {1, 1, 1}) {
  EMBER_CALL("conv_transpose3d", input, weight, bias, stride, padding, output_padding, groups, dilation);
}
inline Tensor conv_tbc(const Tensor& self, const Tensor& weight, const Tensor& bias, int64_t pad = 0) {
  EMBER_CALL("conv_tbc", self, weight, bias, pad);
}
inline Tensor max_pool1d(const Tensor& self, DimsView kernel_size, DimsView stride = {}, DimsView padding = {0},
                         DimsView dilation = {1}, bool ceil_mode = false) {
  EMBER_CALL("max_pool1d", self, kernel_size, stride, padding, dilation, ceil_mode);
}
inline Tensor max_pool3d(const Tensor& self, DimsView kernel_size, DimsView stride = {}, DimsView padding = {0, 0, 0},
                         DimsView dilation = {1, 1, 1}, bool ceil_mode = false) {
  EMBER_CALL("max_pool3d", self, kernel_size, stride, padding, dilation, ceil_mode);
}
inline Tensor2 max_pool1d_with_indices(const Tensor& self, DimsView kernel_size, DimsView stride = {},
                                       DimsView padding = {0}, DimsView dilation = {1}, bool ceil_mode = false) {
  EMBER_CALL("max_pool1d_with_indices", self, kernel_size, stride, padding, dilation, ceil_mode);
}
inline Tensor2 max_pool2d_with_indices(const Tensor& self, DimsView kernel_size, DimsView stride = {},
                                       DimsView padding = {0, 0}, DimsView dilation = {1, 1}, bool ceil_mode = false) {
  EMBER_CALL("max_pool2d_with_indices", self, kernel_size, stride, padding, dilation, ceil_mode);
}
inline Tensor2 max_pool3d_with_indices(const Tensor& self, DimsView kernel_size, DimsView stride = {},
                                       DimsView padding = {0, 0, 0}, DimsView dilation = {1, 1, 1},
                                       bool ceil_mode = false) {
  EMBER_CALL("max_pool3d_with_indices", self, kernel_size, stride, padding, dilation, ceil_mode);
}
inline Tensor avg_pool1d(const Tensor& self, DimsView kernel_size, DimsView stride = {}, DimsView padding = {0},
                         bool ceil_mode = false, bool count_include_pad = true) {
  EMBER_CALL("avg_pool1d", self, kernel_size, stride, padding, ceil_mode, count_include_pad);
}
inline Tensor avg_pool3d(const Tensor& self, DimsView kernel_size, DimsView stride = {}, DimsView padding = {0, 0, 0},
                         bool ceil_mode = false, bool count_include_pad = true, OptInt divisor_override = {}) {
  EMBER_CALL("avg_pool3d", self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override);
}
inline Tensor adaptive_avg_pool1d(const Tensor& self, DimsView output_size) {
  EMBER_CALL("adaptive_avg_pool1d", self, output_size);
}
inline Tensor adaptive_avg_pool3d(const Tensor& self, DimsView output_size) {
  EMBER_CALL("adaptive_avg_pool3d", self, output_size);
}
inline Tensor2 adaptive_max_pool1d(const Tensor& self, DimsView output_size) {
  EMBER_CALL("adaptive_max_pool1d", self, output_size);
}
inline Tensor2 adaptive_max_pool2d(const Tensor& self, DimsView output_size) {
  EMBER_CALL("adaptive_max_pool2d", self, output_size);
}
inline Tensor2 adaptive_max_pool3d(const Tensor& self, DimsView output_size) {
  EMBER_CALL("adaptive_max_pool3d", self, output_size);
}
inline Tensor max_unpool2d(const Tensor& self, const Tensor& indices, DimsView output_size) {
  EMBER_CALL("max_unpool2d", self, indices, output_size);
}
inline Tensor max_unpool3d(const Tensor& self, const Tensor& indices, DimsView output_size, DimsView stride,
                           DimsView padding) {
  EMBER_CALL("max_unpool3d", self, indices, output_size, stride, padding);
}
inline Tensor2 fractional_max_pool2d(const Tensor& self, DimsView kernel_size, DimsView output_size,
                                     const Tensor& random_samples) {
  EMBER_CALL("fractional_max_pool2d", self, kernel_size, output_size, random_samples);
}
inline Tensor2 fractional_max_pool3d(const Tensor& self, DimsView kernel_size, DimsView output_size,
                                     const Tensor& random_samples) {
  EMBER_CALL("fractional_max_pool3d", self, kernel_size, output_size, random_samples);
}
inline Tensor instance_norm(const Tensor& input, const OptTensor& weight, const OptTensor& bias,
                            const OptTensor& running_mean, const OptTensor& running_var, bool use_input_stats,
                            double momentum, double eps, bool cudnn_enabled = true) {
  EMBER_CALL("instance_norm", input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps,
             cudnn_enabled);
}
inline Tensor prelu(const Tensor& self, const Tensor& weight) { EMBER_CALL("prelu", self, weight); }
inline Tensor glu(const Tensor& self, int64_t dim = -1) { EMBER_CALL("glu", self, dim); }
inline Tensor upsample_nearest1d(const Tensor& input, OptDims output_size,
                                 std::optional<Span<double>> scale_factors = {}) {
  EMBER_CALL("upsample_nearest1d", input, output_size, scale_factors);
}
inline Tensor upsample_nearest2d(const Tensor& input, OptDims output_size,
                                 std::optional<Span<double>> scale_factors = {}) {
  EMBER_CALL("upsample_nearest2d", input, output_size, scale_factors);
}
inline Tensor upsample_nearest3d(const Tensor& input, OptDims output_size,
                                 std::optional<Span<double>> scale_factors = {}) {
  EMBER_CALL("upsample_nearest3d", input, output_size, scale_factors);
}
inline Tensor upsample_nearest_exact1d(const Tensor& input, OptDims output_size,
                                       std::optional<Span<double>> scale_factors = {}) {
  EMBER_CALL("_upsample_nearest_exact1d", input, output_size, scale_factors);
}
inline Tensor upsample_nearest_exact2d(const Tensor& input, OptDims output_size,
                                       std::optional<Span<double>> scale_factors = {}) {
  EMBER_CALL("_upsample_nearest_exact2d", input, output_size, scale_factors);
}
inline Tensor upsample_nearest_exact3d(const Tensor& input, OptDims output_size,
                                       std::optional<Span<double>> scale_factors = {}) {
  EMBER_CALL("_upsample_nearest_exact3d", input, output_size, scale_factors);
}
inline Tensor upsample_linear1d(const Tensor& input, OptDims output_size, bool align_corners = false,
                                std::optional<Span<double>> scale_factors = {}) {
  EMBER_CALL("upsample_linear1d", input, output_size, align_corners, scale_factors);
}
inline Tensor upsample_bilinear2d(const Tensor& input, OptDims output_size, bool align_corners = false,
                                  std::optional<Span<double>> scale_factors = {}) {
  EMBER_CALL("upsample_bilinear2d", input, output_size, align_corners, scale_factors);
}
inline Tensor upsample_trilinear3d(const Tensor& input, OptDims output_size, bool align_corners = false,
                                   std::optional<Span<double>> scale_factors = {}) {
  EMBER_CALL("upsample_trilinear3d", input, output_size, align_corners, scale_factors);
}
inline Tensor upsample_bicubic2d(const Tensor& input, OptDims output_size, bool align_corners = false,
                                 std::optional<Span<double>> scale_factors = {}) {
  EMBER_CALL("upsample_bicubic2d", input, output_size, align_corners, scale_factors);
}
inline Tensor upsample_bilinear2d_aa(const Tensor& input, OptDims output_size, bool align_corners = false,
                                     std::optional<Span<double>> scale_factors = {}) {
  EMBER_CALL("_upsample_bilinear2d_aa", input, output_size, align_corners, scale_factors);
}
inline Tensor upsample_bicubic2d_aa(const Tensor& input, OptDims output_size, bool align_corners = false,
                                    std::optional<Span<double>> scale_factors = {}) {
  EMBER_CALL("_upsample_bicubic2d_aa", input, output_size, align_corners, scale_factors);
}
inline Tensor grid_sampler(const Tensor& input, const Tensor& grid, int64_t interpolation_mode, int64_t padding_mode,
                           bool align_corners) {
  EMBER_CALL("grid_sampler", input, grid, interpolation_mode, padding_mode, align_corners);
}
inline Tensor affine_grid_generator(const Tensor& theta, DimsView size, bool align_corners) {
  EMBER_CALL("affine_grid_generator", theta, size, align_corners);
}
inline Tensor avg_pool2d(const Tensor& self, DimsView kernel_size, DimsView stride = {}, DimsView padding = {0, 0},
                         bool ceil_mode = false, bool count_include_pad = true, OptInt divisor_override = {}) {
  EMBER_CALL("avg_pool2d", self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override);
}
inline Tensor adaptive_avg_pool2d(const Tensor& self, DimsView output_size) {
  EMBER_CALL("adaptive_avg_pool2d", self, output_size);
}
inline Tensor3 native_layer_norm(const Tensor& input, DimsView normalized_shape, const OptTensor& weight,
                                 const OptTensor& bias, double eps) {
  EMBER_CALL("native_layer_norm", input, normalized_shape, weight, bias, eps);
}
inline Tensor3 native_layer_norm_backward(const Tensor& grad_out, const Tensor& input, DimsView normalized_shape,
                                          const Tensor& mean, const Tensor& rstd, const OptTensor& weight,
                                          const OptTensor& bias, Span<bool> output_mask) {
  EMBER_CALL("native_layer_norm_backward", grad_out, input, normalized_shape, mean, rstd, weight, bias, output_mask);
}
inline Tensor2 fused_rms_norm(const Tensor& input, DimsView normalized_shape, const OptTensor& weight, double eps) {
  EMBER_CALL("_fused_rms_norm", input, normalized_shape, weight, eps);
}
inline Tensor2 fused_rms_norm_backward(const Tensor& grad_out, const Tensor& input, DimsView normalized_shape,
                                       const Tensor& rstd, const OptTensor& weight, Span<bool> output_mask) {
  EMBER_CALL("_fused_rms_norm_backward", grad_out, input, normalized_shape, rstd, weight, output_mask);
}
inline Tensor3 native_group_norm(const Tensor& input, const OptTensor& weight, const OptTensor& bias, int64_t N,
                                 int64_t C, int64_t HxW, int64_t group, double eps) {
  EMBER_CALL("native_group_norm", input, weight, bias, N, C, HxW, group, eps);
}
inline Tensor3 native_group_norm_backward(const Tensor& grad_out, const Tensor& input, const Tensor& mean,
                                          const Tensor& rstd, const OptTensor& weight, int64_t N, int64_t C,
                                          int64_t HxW, int64_t group, Span<bool> output_mask) {
  EMBER_CALL("native_group_norm_backward", grad_out, input, mean, rstd, weight, N, C, HxW, group, output_mask);
}
inline Tensor3 native_batch_norm(const Tensor& input, const OptTensor& weight, const OptTensor& bias,
                                 const OptTensor& running_mean, const OptTensor& running_var, bool training,
                                 double momentum, double eps) {
  EMBER_CALL("native_batch_norm", input, weight, bias, running_mean, running_var, training, momentum, eps);
}
inline Tensor3 native_batch_norm_backward(const Tensor& grad_out, const Tensor& input, const OptTensor& weight,
                                          const Tensor& mean, const Tensor& rstd, bool training,
                                          Span<bool> output_mask) {
  EMBER_CALL("_native_batch_norm_backward", grad_out, input, weight, mean, rstd, training, output_mask);
}
inline Tensor layer_norm(const Tensor& input, DimsView normalized_shape, const OptTensor& weight = {},
                         const OptTensor& bias = {}, double eps = 1e-5) {
  EMBER_CALL("layer_norm", input, normalized_shape, weight, bias, eps, true);
}
inline Tensor rms_norm(const Tensor& input, DimsView normalized_shape, const OptTensor& weight = {},
                       std::optional<double> eps = {}) {
  EMBER_CALL("rms_norm", input, normalized_shape, weight, eps);
}
inline Tensor group_norm(const Tensor& input, int64_t num_groups, const OptTensor& weight = {},
                         const OptTensor& bias = {}, double eps = 1e-5) {
  EMBER_CALL("group_norm", input, num_groups, weight, bias, eps, true);
}
inline Tensor batch_norm(const Tensor& input, const OptTensor& weight, const OptTensor& bias,
                         const OptTensor& running_mean, const OptTensor& running_var, bool training, double momentum,
                         double eps) {
  EMBER_CALL("batch_norm", input, weight, bias, running_mean, running_var, training, momentum, eps, true);
}
inline Tensor2 fused_attention(const Tensor& query, const Tensor& key, const Tensor& value, const OptTensor& attn_mask,
                               bool is_causal, double scale) {
  EMBER_CALL("_fused_attention", query, key, value, attn_mask, is_causal, scale);
}
inline Tensor3 fused_attention_backward(const Tensor& grad_out, const Tensor& query, const Tensor& key,
                                        const Tensor& value, const Tensor& output, const Tensor& logsumexp,
                                        const OptTensor& attn_mask, bool is_causal, double scale) {
  EMBER_CALL("_fused_attention_backward", grad_out, query, key, value, output, logsumexp, attn_mask, is_causal, scale);
}
inline Tensor resample(const Tensor& self, DimsView output_size, int64_t mode, bool align_corners,
                       std::optional<Span<double>> scale_factors) {
  EMBER_CALL("_resample", self, output_size, mode, align_corners, scale_factors);
}
inline Tensor resample_backward(const Tensor& grad_output, DimsView input_size, int64_t mode, bool align_corners,
                                std::optional<Span<double>> scale_factors) {
  EMBER_CALL("_resample_backward", grad_output, input_size, mode, align_corners, scale_factors);
}
inline Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                           const OptTensor& attn_mask = {}, double dropout_p = 0,
                                           bool is_causal = false, std::optional<double> scale = {},
                                           bool enable_gqa = false) {
  EMBER_CALL("scaled_dot_product_attention", query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa);
}

// ---- losses ----
namespace reduction {
inline constexpr int64_t kNone = 0, kMean = 1, kSum = 2;
}
inline Tensor pairwise_distance(const Tensor& x1, const Tensor& x2, double p = 2, double eps = 1e-6,
                                bool keepdim = false) {
  EMBER_CALL("pairwise_distance", x1, x2, p, eps, keepdim);
}
inline Tensor cosine_similarity(const Tensor& x1, const Tensor& x2, int64_t dim = 1, double eps = 1e-8) {
  EMBER_CALL("cosine_similarity", x1, x2, dim, eps);
}
inline Tensor mse_loss(const Tensor& self, const Tensor& target, int64_t reduction = reduction::kMean) {
  EMBER_CALL("mse_loss", self, target, reduction);
}
inline Tensor l1_loss(const Tensor& self, const Tensor& target, int64_t reduction = reduction::kMean) {
  EMBER_CALL("l1_loss", self, target, reduction);
}
inline Tensor smooth_l1_loss(const Tensor& self, const Tensor& target, int64_t reduction = reduction::kMean,
                             double beta = 1) {
  EMBER_CALL("smooth_l1_loss", self, target, reduction, beta);
}
inline Tensor huber_loss(const Tensor& self, const Tensor& target, int64_t reduction = reduction::kMean,
                         double delta = 1) {
  EMBER_CALL("huber_loss", self, target, reduction, delta);
}
inline Tensor nll_loss(const Tensor& self, const Tensor& target, const OptTensor& weight = {},
                       int64_t reduction = reduction::kMean, int64_t ignore_index = -100) {
  EMBER_CALL("nll_loss_nd", self, target, weight, reduction, ignore_index);
}
inline Tensor2 nll_loss_forward(const Tensor& self, const Tensor& target, const OptTensor& weight, int64_t reduction,
                                int64_t ignore_index) {
  EMBER_CALL("_nll_loss", self, target, weight, reduction, ignore_index);
}
inline Tensor nll_loss_backward(const Tensor& grad_output, DimsView size, const Tensor& target, const OptTensor& weight,
                                int64_t reduction, int64_t ignore_index, const Tensor& total_weight) {
  EMBER_CALL("_nll_loss_backward", grad_output, size, target, weight, reduction, ignore_index, total_weight);
}
inline Tensor cross_entropy(const Tensor& self, const Tensor& target, const OptTensor& weight = {},
                            int64_t reduction = reduction::kMean, int64_t ignore_index = -100,
                            double label_smoothing = 0) {
  EMBER_CALL("cross_entropy_loss", self, target, weight, reduction, ignore_index, label_smoothing);
}
inline Tensor3 cross_entropy_forward(const Tensor& self, const Tensor& target, const OptTensor& weight,
                                     int64_t reduction, int64_t ignore_index) {
  EMBER_CALL("_cross_entropy", self, target, weight, reduction, ignore_index);
}
inline Tensor cross_entropy_backward(const Tensor& grad_output, const Tensor& log_probs, const Tensor& target,
                                     const OptTensor& weight, int64_t reduction, int64_t ignore_index,
                                     const Tensor& total_weight) {
  EMBER_CALL("_cross_entropy_backward", grad_output, log_probs, target, weight, reduction, ignore_index, total_weight);
}
inline Tensor binary_cross_entropy(const Tensor& self, const Tensor& target, const OptTensor& weight = {},
                                   int64_t reduction = reduction::kMean) {
  EMBER_CALL("binary_cross_entropy", self, target, weight, reduction);
}
inline Tensor binary_cross_entropy_with_logits(const Tensor& self, const Tensor& target, const OptTensor& weight = {},
                                               const OptTensor& pos_weight = {}, int64_t reduction = reduction::kMean) {
  EMBER_CALL("binary_cross_entropy_with_logits", self, target, weight, pos_weight, reduction);
}

inline Tensor kl_div(const Tensor& self, const Tensor& target, int64_t reduction = reduction::kMean,
                     bool log_target = false) {
  EMBER_CALL("kl_div", self, target, reduction, log_target);
}
inline Tensor poisson_nll_loss(const Tensor& input, const Tensor& target, bool log_input, bool full, double eps,
                               int64_t reduction) {
  EMBER_CALL("poisson_nll_loss", input, target, log_input, full, eps, reduction);
}
inline Tensor margin_ranking_loss(const Tensor& input1, const Tensor& input2, const Tensor& target, double margin = 0,
                                  int64_t reduction = reduction::kMean) {
  EMBER_CALL("margin_ranking_loss", input1, input2, target, margin, reduction);
}
inline Tensor hinge_embedding_loss(const Tensor& self, const Tensor& target, double margin = 1,
                                   int64_t reduction = reduction::kMean) {
  EMBER_CALL("hinge_embedding_loss", self, target, margin, reduction);
}
inline Tensor soft_margin_loss(const Tensor& self, const Tensor& target, int64_t reduction = reduction::kMean) {
  EMBER_CALL("soft_margin_loss", self, target, reduction);
}
inline Tensor cosine_embedding_loss(const Tensor& input1, const Tensor& input2, const Tensor& target, double margin = 0,
                                    int64_t reduction = reduction::kMean) {
  EMBER_CALL("cosine_embedding_loss", input1, input2, target, margin, reduction);
}
inline Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                                  double margin = 1, double p = 2, double eps = 1e-06, bool swap = false,
                                  int64_t reduction = reduction::kMean) {
  EMBER_CALL("triplet_margin_loss", anchor, positive, negative, margin, p, eps, swap, reduction);
}
inline Tensor multi_margin_loss(const Tensor& self, const Tensor& target, Scalar p = 1, Scalar margin = 1,
                                const OptTensor& weight = {}, int64_t reduction = reduction::kMean) {
  EMBER_CALL("multi_margin_loss", self, target, p, margin, weight, reduction);
}
inline Tensor multilabel_margin_loss(const Tensor& self, const Tensor& target, int64_t reduction = reduction::kMean) {
  EMBER_CALL("multilabel_margin_loss", self, target, reduction);
}
inline Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, DimsView input_lengths, DimsView target_lengths,
                       int64_t blank = 0, int64_t reduction = reduction::kMean, bool zero_infinity = false) {
  EMBER_CALL("ctc_loss.IntList", log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity);
}
inline Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                       const Tensor& target_lengths, int64_t blank = 0, int64_t reduction = reduction::kMean,
                       bool zero_infinity = false) {
  EMBER_CALL("ctc_loss.Tensor", log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity);
}

// ---- steps of optimizers, in place over all parameters of a group; empty lists for buffers that there are not ----
#define EMBER_DO(name, ...) \
  static const Op* const op = find_op(name); \
  call_op(op, __VA_ARGS__)
inline void _sgd_step(List self, List grads, List momentum_buffers, double lr, double momentum = 0,
                      double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false,
                      bool first = false) {
  EMBER_DO("_sgd_step", self, grads, momentum_buffers, lr, momentum, dampening, weight_decay, nesterov, maximize,
           first);
}
inline void _adam_step(List self, List grads, List exp_avgs, List exp_avg_sqs, List max_exp_avg_sqs, List state_steps,
                       double lr, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-8, double weight_decay = 0,
                       bool decoupled = false, bool maximize = false) {
  EMBER_DO("_adam_step", self, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps, lr, beta1, beta2, eps,
           weight_decay, decoupled, maximize);
}
inline void _rmsprop_step(List self, List grads, List square_avgs, List grad_avgs, List momentum_buffers,
                          List state_steps, double lr, double alpha = 0.99, double eps = 1e-8, double weight_decay = 0,
                          double momentum = 0, bool maximize = false) {
  EMBER_DO("_rmsprop_step", self, grads, square_avgs, grad_avgs, momentum_buffers, state_steps, lr, alpha, eps,
           weight_decay, momentum, maximize);
}
inline void _adagrad_step(List self, List grads, List state_sums, List state_steps, double lr, double lr_decay = 0,
                          double weight_decay = 0, double eps = 1e-10, bool maximize = false) {
  EMBER_DO("_adagrad_step", self, grads, state_sums, state_steps, lr, lr_decay, weight_decay, eps, maximize);
}
#undef EMBER_DO

// ---- operators ----
#define EMBER_OPERATOR(sign, name) \
  inline Tensor operator sign(const Tensor& a, const Tensor& b) { return name(a, b); }
// clang-format off
EMBER_OPERATOR(+, add) EMBER_OPERATOR(-, sub) EMBER_OPERATOR(*, mul) EMBER_OPERATOR(/, div)
EMBER_OPERATOR(%, remainder) EMBER_OPERATOR(&, bitwise_and) EMBER_OPERATOR(|, bitwise_or)
EMBER_OPERATOR(^, bitwise_xor) EMBER_OPERATOR(<<, bitwise_left_shift) EMBER_OPERATOR(>>, bitwise_right_shift)
EMBER_OPERATOR(<, lt) EMBER_OPERATOR(<=, le) EMBER_OPERATOR(>, gt) EMBER_OPERATOR(>=, ge) EMBER_OPERATOR(==, eq)
EMBER_OPERATOR(!=, ne)
// clang-format on
#undef EMBER_OPERATOR
                    inline Tensor
                    operator-(const Tensor& a) {
  return neg(a);
}
inline Tensor operator!(const Tensor& a) { return logical_not(a); }
inline Tensor operator~(const Tensor& a) { return bitwise_not(a); }

}  // namespace ember
