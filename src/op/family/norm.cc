// Normalisations: layer, RMS, group, batch and instance norm. Each kernel op makes the result and the statistics that
// its fused backward reads; the native_ forms hand these out in PyTorch's dtypes. Where gradients must carry a graph of
// their own, the vjp is composed of ordinary ops from the input instead: one formula serves all five, over whichever
// axes are normalised.
#include <cmath>
#include <limits>

#include "kernel/cpu/rows.h"
#include "op/family/checks.h"
#include "op/family/dense.h"

namespace ember {
namespace {

// Statistics have the type that sums run in.
DType stat_type(DType d) { return d == DType::kFloat64 ? d : DType::kFloat32; }

// The part of a backward pass that goes through the normalised value n(x) = (x - mean) / sqrt(var + eps) over `axes`
// (or x / sqrt(mean x^2 + eps) when not `centered`), made of ordinary ops.
struct Normalised {
  Tensor value, rstd;
  Dims axes;
  bool centered;

  Normalised(const Tensor& x, Dims over, double eps, bool centered) : axes(std::move(over)), centered(centered) {
    Tensor c = centered ? x - mean(x, axes, true) : x;
    rstd = rsqrt(mean(c * c, axes, true) + Tensor(eps));
    value = c * rstd;
  }
  // From the gradient of the value that of x.
  Tensor gradient(const Tensor& g) const {
    Tensor dx = g - value * mean(g * value, axes, true);
    if (centered) dx = dx - mean(g, axes, true);
    return dx * rstd;
  }
};

Tensor times(const Tensor& g, const Tensor& weight) { return weight.defined() ? g * weight : g; }

Dims last_axes(size_t n) {
  Dims axes;
  for (size_t i = n; i > 0; --i) axes.push_back(-static_cast<int64_t>(i));
  return axes;
}

struct RowShape {
  int64_t rows, dim;
  RowShape(const Tensor& x, DimsView normalized) : rows(1), dim(count(normalized)) {
    for (size_t i = 0; i + normalized.size() < x.sizes().size(); ++i) rows *= x.sizes()[i];
  }
};

void check_shape(std::string_view op, const Tensor& x, DimsView shape, const Tensor& weight, const Tensor& bias) {
  EMBER_CHECK(!shape.empty(), op,
              ": Expected normalized_shape to be at least 1-dimensional, i.e., containing at least "
              "one element, but got normalized_shape = ",
              shape);
  EMBER_CHECK(!weight.defined() || weight.sizes() == shape, op,
              ": Expected weight to be of same shape as normalized_shape, but got weight of shape ",
              weight.defined() ? str(weight.sizes()) : "", " and normalized_shape = ", shape);
  EMBER_CHECK(!bias.defined() || bias.sizes() == shape, op,
              ": Expected bias to be of same shape as normalized_shape, but got bias of shape ",
              bias.defined() ? str(bias.sizes()) : "", " and normalized_shape = ", shape);
  bool fits =
      x.sizes().size() >= shape.size() && std::equal(shape.begin(), shape.end(), x.sizes().end() - shape.size());
  std::string expected;
  for (int64_t s : shape) expected += str(", ", s);
  EMBER_CHECK(fits, op, ": Given normalized_shape=", shape, ", expected input with shape [*", expected,
              "], but got input of size", x.sizes());
}
void check_rows(std::string_view op, const Tensor& x, DimsView shape, const Tensor& weight, const Tensor& bias) {
  check_shape(op, x, shape, weight, bias);
  check_floating(x, op, "LayerNormKernelImpl");
}

// [rows..., 1, ..., 1]: the shape of a statistic that broadcasts against x.
Dims stat_shape(const Tensor& x, size_t normalized) {
  Dims s = x.sizes();
  std::fill(s.end() - normalized, s.end(), 1);
  return s;
}

struct LayerNormKernel {
  static constexpr auto schema =
      "_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> "
      "(Tensor, Tensor, Tensor)";
  static constexpr auto doc =
      "layer_norm, and the mean and 1 / sqrt(var + eps) of each row (Ba, Kiros and Hinton, 2016)";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b101, .outputs = 0b110};
  static std::array<Meta, 3> infer(const Tensor& x, DimsView shape, const OptTensor& weight, const OptTensor& bias,
                                   double) {
    check_rows("_layer_norm", x, shape, weight, bias);
    Meta stat(stat_shape(x, shape.size()), stat_type(x.dtype()), x.device());
    return {Meta(x.sizes(), x), stat, stat};
  }
  static void cpu(Out y, Out mean, Out rstd, const Tensor& input, DimsView shape, const OptTensor& weight,
                  const OptTensor& bias, double eps) {
    if (y.numel() == 0) return;
    RowShape r(input, shape);
    DType d = y.dtype();
    Tensor x = dense(input), w = dense(weight, d), b = dense(bias, d);
    cpu::layer_norm(d, x.data(), data_or_null(w), data_or_null(b), eps, y.data(), mean.data(), rstd.data(), r.rows,
                    r.dim);
  }
  static void vjp(Grads& d, const Tensor& x, DimsView shape, const OptTensor& weight, const OptTensor& bias,
                  double eps) {
    Tensor g = d.g();
    if (needs_graph(g)) {
      Normalised n(x, last_axes(shape.size()), eps, true);
      if (d.wants(0)) d.set(0, n.gradient(times(g, weight)));
      if (d.wants(2)) d.set(2, g * n.value);
      if (d.wants(3)) d.set(3, g);
      return;
    }
    bool mask[3] = {d.wants(0), d.wants(2), d.wants(3)};
    auto [dx, dw, db] = native_layer_norm_backward(g, x, shape, d.y(1), d.y(2), weight, {}, Span<bool>(mask, 3));
    d.set(0, dx), d.set(2, dw), d.set(3, db);
  }
};

Meta only_if(bool wanted, Meta m) {
  m.undefined = !wanted;
  return m;
}
// What a backward op is given besides the input: a gradient of its shape, and statistics as the forward op made them.
struct Made {
  const Tensor* x = nullptr;
  const Meta* like = nullptr;
};
void check_gradients(std::string_view op, const Tensor& g, const Tensor& input, Made mean, Made rstd, Span<bool> mask,
                     size_t results) {
  check_shape(op, "grad_out", g, input.sizes());
  if (mean.x) check_made(op, "mean", *mean.x, *mean.like);
  check_made(op, "rstd", *rstd.x, *rstd.like);
  check_length(op, "output_mask", mask.size(), results);
}
void* target(const Tensor& x) { return x.defined() ? x.data() : nullptr; }
void clear(const Tensor& x) {
  if (x.defined()) cpu::fill(x, 0);
}

struct NativeLayerNormBackward {
  static constexpr auto schema =
      "native_layer_norm_backward(Tensor grad_out, Tensor input, SymInt[] normalized_shape, Tensor mean, Tensor rstd, "
      "Tensor? weight, Tensor? bias, bool[3] output_mask) -> (Tensor, Tensor, Tensor)";
  static constexpr auto doc = "The gradients of layer_norm to input, weight and bias, those that output_mask asks for";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static std::array<Meta, 3> infer(const Tensor& g, const Tensor& x, DimsView shape, const Tensor& mean,
                                   const Tensor& rstd, const OptTensor& weight, const OptTensor& bias,
                                   Span<bool> mask) {
    auto made = LayerNormKernel::infer(x, shape, weight, bias, 0);
    check_gradients("native_layer_norm_backward", g, x, {&mean, &made[1]}, {&rstd, &made[2]}, mask, 3);
    return {only_if(mask[0], Meta(x.sizes(), x)), only_if(mask[1], Meta(shape, x)), only_if(mask[2], Meta(shape, x))};
  }
  static void cpu(Out dx, Out dw, Out db, const Tensor& g, const Tensor& input, DimsView shape, const Tensor& mean,
                  const Tensor& rstd, const OptTensor& weight, const OptTensor&, Span<bool>) {
    if (input.numel() == 0) return clear(dw), clear(db);
    RowShape r(input, shape);
    DType d = input.dtype();
    Tensor dy = dense(g, d), x = dense(input), w = dense(weight, d);
    cpu::layer_norm_backward(d, dy.data(), x.data(), data_or_null(w), dense(mean).data(), dense(rstd).data(),
                             target(dx), target(dw), target(db), r.rows, r.dim);
  }
};

Tensor3 layer_norm_stats(const Tensor& x, DimsView shape, const OptTensor& weight, const OptTensor& bias, double eps) {
  EMBER_CALL("_layer_norm", x, shape, weight, bias, eps);
}

// Statistics as PyTorch's native_ forms give them: in the dtype of the parameters.
Tensor3 as_native(const Tensor3& found, const Tensor& x, std::initializer_list<Tensor> parameters) {
  const auto& [y, mean, rstd] = found;
  bool wide = std::any_of(parameters.begin(), parameters.end(),
                          [](const Tensor& p) { return p.defined() && p.dtype() == DType::kFloat32; });
  DType d = wide ? mean.dtype() : x.dtype();
  return {y, to_dtype(mean, d), to_dtype(rstd, d)};
}

struct NativeLayerNorm {
  static constexpr auto schema =
      "native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> "
      "(Tensor, Tensor, Tensor)";
  static constexpr auto doc = LayerNormKernel::doc;
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor3 call(const Tensor& x, DimsView shape, const OptTensor& weight, const OptTensor& bias, double eps) {
    return as_native(layer_norm_stats(x, shape, weight, bias, eps), x, {weight, bias});
  }
};

struct LayerNorm {
  static constexpr auto schema =
      "layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, "
      "bool cudnn_enable=True) -> Tensor";
  static constexpr auto doc =
      "(x - mean) / sqrt(var + eps) * weight + bias over the last dims, whose sizes are `normalized_shape`";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& input, DimsView shape, const OptTensor& weight, const OptTensor& bias, double eps,
                     bool) {
    return std::get<0>(layer_norm_stats(input, shape, weight, bias, eps));
  }
};

struct FusedRmsNorm {
  static constexpr auto schema =
      "_fused_rms_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, float eps) -> (Tensor, Tensor)";
  static constexpr auto doc = "rms_norm, and 1 / sqrt(mean(x^2) + eps) of each row (Zhang and Sennrich, 2019)";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b101, .outputs = 0b10};
  static std::array<Meta, 2> infer(const Tensor& x, DimsView shape, const OptTensor& weight, double) {
    check_rows("rms_norm", x, shape, weight, {});
    return {Meta(x.sizes(), x), Meta(stat_shape(x, shape.size()), stat_type(x.dtype()), x.device())};
  }
  static void cpu(Out y, Out rstd, const Tensor& input, DimsView shape, const OptTensor& weight, double eps) {
    if (y.numel() == 0) return;
    RowShape r(input, shape);
    Tensor x = dense(input), w = dense(weight, y.dtype());
    cpu::rms_norm(y.dtype(), x.data(), data_or_null(w), eps, y.data(), rstd.data(), r.rows, r.dim);
  }
  static void vjp(Grads& d, const Tensor& x, DimsView shape, const OptTensor& weight, double eps) {
    Tensor g = d.g();
    if (needs_graph(g)) {
      Normalised n(x, last_axes(shape.size()), eps, false);
      if (d.wants(0)) d.set(0, n.gradient(times(g, weight)));
      if (d.wants(2)) d.set(2, g * n.value);
      return;
    }
    bool mask[2] = {d.wants(0), d.wants(2)};
    auto [dx, dw] = fused_rms_norm_backward(g, x, shape, d.y(1), weight, Span<bool>(mask, 2));
    d.set(0, dx), d.set(2, dw);
  }
};

struct FusedRmsNormBackward {
  static constexpr auto schema =
      "_fused_rms_norm_backward(Tensor grad_out, Tensor input, SymInt[] normalized_shape, Tensor rstd, Tensor? weight, "
      "bool[2] output_mask) -> (Tensor, Tensor)";
  static constexpr auto doc = "The gradients of rms_norm to input and weight, those that output_mask asks for";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static std::array<Meta, 2> infer(const Tensor& g, const Tensor& x, DimsView shape, const Tensor& rstd,
                                   const OptTensor& weight, Span<bool> mask) {
    auto made = FusedRmsNorm::infer(x, shape, weight, 0);
    check_gradients("_fused_rms_norm_backward", g, x, {}, {&rstd, &made[1]}, mask, 2);
    return {only_if(mask[0], Meta(x.sizes(), x)), only_if(mask[1], Meta(shape, x))};
  }
  static void cpu(Out dx, Out dw, const Tensor& g, const Tensor& input, DimsView shape, const Tensor& rstd,
                  const OptTensor& weight, Span<bool>) {
    if (input.numel() == 0) return clear(dw);
    RowShape r(input, shape);
    DType d = input.dtype();
    Tensor dy = dense(g, d), x = dense(input), w = dense(weight, d);
    cpu::rms_norm_backward(d, dy.data(), x.data(), data_or_null(w), dense(rstd).data(), target(dx), target(dw), r.rows,
                           r.dim);
  }
};

double machine_epsilon(DType d) {
  switch (d) {
    case DType::kFloat16: return 0x1p-10;
    case DType::kBFloat16: return 0x1p-7;
    case DType::kFloat64: return std::numeric_limits<double>::epsilon();
    default: return std::numeric_limits<float>::epsilon();
  }
}

struct RmsNorm {
  static constexpr auto schema =
      "rms_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor";
  static constexpr auto doc =
      "x / sqrt(mean(x^2) + eps) * weight over the last dims, whose sizes are `normalized_shape`; eps: the dtype's";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& input, DimsView shape, const OptTensor& weight, std::optional<double> eps) {
    double e = eps.value_or(machine_epsilon(stat_type(real_of(input.dtype()))));
    if (!is_complex(input.dtype())) return std::get<0>(fused_rms_norm(input, shape, weight, e));
    check_shape("rms_norm", input, shape, weight, {});
    Tensor y = input * rsqrt(mean(input * input, last_axes(shape.size()), true) + Tensor(e));
    return weight.defined() ? y * weight : y;
  }
};

struct GroupNormKernel {
  static constexpr auto schema =
      "_group_norm(Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group, "
      "float eps) -> (Tensor, Tensor, Tensor)";
  static constexpr auto doc = "group_norm, and the mean and 1 / sqrt(var + eps) of each group (Wu and He, 2018)";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b11, .outputs = 0b110};
  static std::array<Meta, 3> infer(const Tensor& x, const OptTensor& weight, const OptTensor& bias, int64_t n,
                                   int64_t c, int64_t inner, int64_t group, double) {
    check_floating(x, "group_norm", "GroupNormKernelImpl");
    EMBER_CHECK(group > 0 && c >= 0 && c % group == 0,
                "group_norm: Expected number of channels in input to be divisible by "
                "num_groups, but got input of shape ",
                x.sizes(), " and num_groups=", group);
    EMBER_CHECK(n >= 0 && inner >= 0 && count(Dims{n, c, inner}) == x.numel(), "group_norm: N=", n, ", C=", c,
                ", HxW=", inner, " do not fit input of shape ", x.sizes());
    for (const OptTensor* t : {&weight, &bias}) {
      EMBER_CHECK(!t->defined() || t->numel() == c,
                  "group_norm: Expected weight and bias to be vectors of size equal to "
                  "the number of channels in input, ",
                  c, ", but got shape ", t->sizes());
    }
    Meta stat(Dims{n, group}, stat_type(x.dtype()), x.device());
    return {Meta(x.sizes(), x), stat, stat};
  }
  static void cpu(Out y, Out mean, Out rstd, const Tensor& input, const OptTensor& weight, const OptTensor& bias,
                  int64_t n, int64_t c, int64_t inner, int64_t group, double eps) {
    if (y.numel() == 0) return;
    DType d = y.dtype();
    Tensor x = dense(input), w = dense(weight, d), b = dense(bias, d);
    cpu::group_norm(d, x.data(), data_or_null(w), data_or_null(b), eps, y.data(), mean.data(), rstd.data(), n, c, inner,
                    group);
  }
  static void vjp(Grads& d, const Tensor& x, const OptTensor& weight, const OptTensor&, int64_t n, int64_t c,
                  int64_t inner, int64_t group, double eps) {
    Tensor g = d.g();
    if (needs_graph(g) || d.has_g(1) || d.has_g(2)) {
      int64_t size = c / group * inner;
      Dims groups{n, group, size}, planes{n, c, inner};
      Normalised norm(reshape(x, groups), {-1}, eps, true);
      Tensor g3 = reshape(g, planes), w = weight.defined() ? unsqueeze(weight, -1) : weight;
      if (d.wants(0)) {
        Tensor dx = norm.gradient(reshape(times(g3, w), groups)), each(1.0 / static_cast<double>(size));
        if (d.has_g(1)) dx = dx + unsqueeze(d.g(1), -1) * each;
        if (d.has_g(2)) dx = dx - unsqueeze(d.g(2), -1) * norm.rstd * norm.rstd * norm.value * each;
        d.set(0, reshape(dx, x.sizes()));
      }
      if (d.wants(1)) d.set(1, sum(g3 * reshape(norm.value, planes), Dims{0, 2}));
      if (d.wants(2)) d.set(2, sum(g3, Dims{0, 2}));
      return;
    }
    bool mask[3] = {d.wants(0), d.wants(1), d.wants(2)};
    auto [dx, dw, db] =
        native_group_norm_backward(g, x, d.y(1), d.y(2), weight, n, c, inner, group, Span<bool>(mask, 3));
    d.set(0, dx), d.set(1, dw), d.set(2, db);
  }
};

struct NativeGroupNormBackward {
  static constexpr auto schema =
      "native_group_norm_backward(Tensor grad_out, Tensor input, Tensor mean, Tensor rstd, Tensor? weight, SymInt N, "
      "SymInt C, SymInt HxW, int group, bool[3] output_mask) -> (Tensor, Tensor, Tensor)";
  static constexpr auto doc = "The gradients of group_norm to input, weight and bias, those that output_mask asks for";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static std::array<Meta, 3> infer(const Tensor& g, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                                   const OptTensor& weight, int64_t n, int64_t c, int64_t inner, int64_t group,
                                   Span<bool> mask) {
    auto made = GroupNormKernel::infer(x, weight, {}, n, c, inner, group, 0);
    check_gradients("native_group_norm_backward", g, x, {&mean, &made[1]}, {&rstd, &made[2]}, mask, 3);
    Meta channel(Dims{c}, x);
    return {only_if(mask[0], Meta(x.sizes(), x)), only_if(mask[1], channel), only_if(mask[2], channel)};
  }
  static void cpu(Out dx, Out dw, Out db, const Tensor& g, const Tensor& input, const Tensor& mean, const Tensor& rstd,
                  const OptTensor& weight, int64_t n, int64_t c, int64_t inner, int64_t group, Span<bool>) {
    if (input.numel() == 0) return clear(dw), clear(db);
    DType d = input.dtype();
    Tensor dy = dense(g, d), x = dense(input), w = dense(weight, d);
    cpu::group_norm_backward(d, dy.data(), x.data(), data_or_null(w), dense(mean).data(), dense(rstd).data(),
                             target(dx), target(dw), target(db), n, c, inner, group);
  }
};

Tensor3 group_norm_stats(const Tensor& x, const OptTensor& weight, const OptTensor& bias, int64_t n, int64_t c,
                         int64_t inner, int64_t group, double eps) {
  EMBER_CALL("_group_norm", x, weight, bias, n, c, inner, group, eps);
}

struct NativeGroupNorm {
  static constexpr auto schema =
      "native_group_norm(Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group, "
      "float eps) -> (Tensor, Tensor, Tensor)";
  static constexpr auto doc = GroupNormKernel::doc;
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor3 call(const Tensor& x, const OptTensor& weight, const OptTensor& bias, int64_t n, int64_t c,
                      int64_t inner, int64_t group, double eps) {
    return as_native(group_norm_stats(x, weight, bias, n, c, inner, group, eps), x, {weight, bias});
  }
};

struct GroupNorm {
  static constexpr auto schema =
      "group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, "
      "bool cudnn_enabled=True) -> Tensor";
  static constexpr auto doc = "layer_norm over each of `num_groups` groups of the channels of [N, C, ...]";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& input, int64_t groups, const OptTensor& weight, const OptTensor& bias, double eps,
                     bool) {
    EMBER_CHECK(input.dim() >= 2, "group_norm: Expected at least 2 dimensions for input tensor but received ",
                input.dim());
    EMBER_CHECK(groups > 0, "group_norm: Expected num groups to be greater than 0, got ", groups);
    int64_t n = input->sizes[0], c = input->sizes[1];
    EMBER_CHECK(c % groups == 0,
                "group_norm: Expected number of channels in input to be divisible by num_groups, but "
                "got input of shape ",
                input.sizes(), " and num_groups=", groups);
    for (const Tensor* t : {&weight, &bias}) {
      EMBER_CHECK(!t->defined() || (t->dim() == 1 && t->numel() == c), "group_norm: Expected ",
                  t == &weight ? "weight" : "bias",
                  " to be a vector of size equal to the number of channels in input, but got ",
                  t == &weight ? "weight" : "bias", " of shape ", t->defined() ? str(t->sizes()) : "",
                  " and input of shape ", input.sizes());
    }
    int64_t inner = count(DimsView(input->sizes.data() + 2, input->sizes.size() - 2));
    return std::get<0>(group_norm_stats(input, weight, bias, n, c, inner, groups, eps));
  }
};

// ---- batch norm ----

bool is_channels_last(const Tensor& x) {
  if (x.dim() != 4 && x.dim() != 5) return false;
  return !x.is_contiguous() &&
         x.is_contiguous(x.dim() == 4 ? MemoryFormat::kChannelsLast : MemoryFormat::kChannelsLast3d);
}

// [n, channels, inner] as the kernel walks it, and the memory to walk.
struct Channels {
  int64_t n, channels, inner;
  bool last;
  explicit Channels(const Tensor& x) : n(x->sizes[0]), channels(x->sizes[1]), inner(1), last(is_channels_last(x)) {
    for (size_t i = 2; i < x.sizes().size(); ++i) inner *= x.sizes()[i];
    if (last) n *= inner, inner = 1;
  }
  Tensor memory(const Tensor& x, const Tensor& like) const {
    if (!last) return dense(x, like.dtype());
    if (is_channels_last(x) && x.dtype() == like.dtype()) return x;
    Tensor copy = empty_strided_raw(x.sizes(), like.strides(), like.dtype(), x.device());
    cpu::copy(copy, x);
    return copy;
  }
};
Meta batch_meta(const Tensor& x) {
  Meta m(x.sizes(), x);
  if (is_channels_last(x)) m.strides = x.strides();
  return m;
}

// running = (1 - momentum) * running + momentum * value * scale
void move_towards(const Tensor& running, const Tensor& value, double momentum, double scale) {
  if (!running.defined()) return;
  Tensor r = dense(running, value.dtype());
  visit(value.dtype(), [&]<class T>(T) {
    if constexpr (std::is_floating_point_v<T>) {
      for (int64_t i = 0; i < r.numel(); ++i) {
        r.data<T>()[i] = static_cast<T>((1 - momentum) * r.data<T>()[i] + momentum * scale * value.data<T>()[i]);
      }
    }
  });
  if (!r.is(running)) cpu::copy(running, r);
  running.bump_version();
}

struct BatchNormKernel {
  static constexpr auto schema =
      "_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!)? running_mean, Tensor(b!)? "
      "running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)";
  static constexpr auto doc = R"(batch_norm, and the mean and 1 / sqrt(var + eps) that each channel was normalised by.

When training, the running statistics move towards the batch's by `momentum`, in place (Ioffe and Szegedy, 2015).)";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b11, .outputs = 0b110};
  static std::array<Meta, 3> infer(const Tensor& x, const OptTensor& weight, const OptTensor& bias,
                                   const OptTensor& running_mean, const OptTensor& running_var, bool training, double,
                                   double) {
    EMBER_CHECK(x.dim() >= 2, "batch_norm: expected an input [N, C, ...] of at least 2 dims, but got ", x.sizes());
    check_floating(x, "batch_norm", "batch_norm");
    int64_t c = x->sizes[1];
    auto check = [&](const Tensor& t, std::string_view what) {
      EMBER_CHECK(!t.defined() || t.numel() == c, "batch_norm: ", what, " should contain ", c, " elements not ",
                  t.defined() ? t.numel() : 0);
    };
    EMBER_CHECK(training || running_mean.defined(), "batch_norm: running_mean must be defined in evaluation mode");
    EMBER_CHECK(training || running_var.defined(), "batch_norm: running_var must be defined in evaluation mode");
    check(running_mean, "running_mean"), check(running_var, "running_var"), check(weight, "weight");
    check(bias, "bias");
    Meta stat(Dims{c}, stat_type(x.dtype()), x.device());
    return {batch_meta(x), stat, stat};
  }
  static void cpu(Out y, Out mean, Out rstd, const Tensor& input, const OptTensor& weight, const OptTensor& bias,
                  const OptTensor& running_mean, const OptTensor& running_var, bool training, double momentum,
                  double eps) {
    Channels c(input);
    DType d = y.dtype();
    Tensor x = c.memory(input, input), w = dense(weight, d), b = dense(bias, d);
    if (training) {
      if (input.numel() == 0) return;
      double n = static_cast<double>(c.n * c.inner);
      cpu::batch_norm_stats(d, x.data(), mean.data(), rstd.data(), c.n, c.channels, c.inner);
      move_towards(running_mean, mean, momentum, 1);
      move_towards(running_var, rstd, momentum, n / (n - 1));
    } else {
      cpu::copy(mean, running_mean), cpu::copy(rstd, running_var);
    }
    visit(rstd.dtype(), [&]<class T>(T) {  // a variance up to here
      if constexpr (std::is_floating_point_v<T>) {
        T* p = rstd.data<T>();
        for (int64_t i = 0; i < c.channels; ++i) p[i] = 1 / std::sqrt(p[i] + static_cast<T>(eps));
      }
    });
    if (y.numel() == 0) return;
    cpu::batch_norm_apply(d, x.data(), mean.data(), rstd.data(), data_or_null(w), data_or_null(b), y.data(), c.n,
                          c.channels, c.inner);
  }
  static void vjp(Grads& d, const Tensor& x, const OptTensor& weight, const OptTensor&, const OptTensor&,
                  const OptTensor&, bool training, double, double eps) {
    Tensor g = d.g();
    if (needs_graph(g)) return composed(d, g, x, weight, training, eps);
    bool mask[3] = {d.wants(0), d.wants(1), d.wants(2)};
    auto [dx, dw, db] = native_batch_norm_backward(g, x, weight, d.y(1), d.y(2), training, Span<bool>(mask, 3));
    d.set(0, dx), d.set(1, dw), d.set(2, db);
  }

 private:
  static void composed(Grads& d, const Tensor& g, const Tensor& x, const Tensor& weight, bool training, double eps) {
    Dims axes{0}, shape(x.sizes().size(), 1);
    for (int64_t i = 2; i < x.dim(); ++i) axes.push_back(i);
    shape[1] = x->sizes[1];
    Tensor gw = weight.defined() ? g * reshape(weight, shape) : g, value;
    if (training) {
      Normalised n(x, axes, eps, true);
      value = n.value;
      if (d.wants(0)) d.set(0, n.gradient(gw));
    } else {
      Tensor rstd = reshape(d.y(2), shape);
      value = (x - reshape(d.y(1), shape)) * rstd;
      if (d.wants(0)) d.set(0, gw * rstd);
    }
    if (d.wants(1)) d.set(1, sum(g * value, axes));
    if (d.wants(2)) d.set(2, sum(g, axes));
  }
};

struct NativeBatchNormBackward {
  static constexpr auto schema =
      "_native_batch_norm_backward(Tensor grad_out, Tensor input, Tensor? weight, Tensor mean, Tensor rstd, "
      "bool training, bool[3] output_mask) -> (Tensor, Tensor, Tensor)";
  static constexpr auto doc = "The gradients of batch_norm to input, weight and bias, those that output_mask asks for";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static std::array<Meta, 3> infer(const Tensor& g, const Tensor& x, const OptTensor& weight, const Tensor& mean,
                                   const Tensor& rstd, bool training, Span<bool> mask) {
    auto made = BatchNormKernel::infer(x, weight, {}, mean, rstd, training, 0, 0);
    check_gradients("_native_batch_norm_backward", g, x, {&mean, &made[1]}, {&rstd, &made[2]}, mask, 3);
    Meta channel(Dims{x->sizes[1]}, x);
    return {only_if(mask[0], batch_meta(x)), only_if(mask[1], channel), only_if(mask[2], channel)};
  }
  static void cpu(Out dx, Out dw, Out db, const Tensor& g, const Tensor& input, const OptTensor& weight,
                  const Tensor& mean, const Tensor& rstd, bool training, Span<bool>) {
    if (input.numel() == 0) return clear(dw), clear(db);
    Channels c(input);
    Tensor x = c.memory(input, input), dy = c.memory(g, input), w = dense(weight, input.dtype());
    cpu::batch_norm_backward(input.dtype(), dy.data(), x.data(), dense(mean).data(), dense(rstd).data(),
                             data_or_null(w), training, target(dx), target(dw), target(db), c.n, c.channels, c.inner);
  }
};

Tensor3 batch_norm_stats(const Tensor& x, const OptTensor& weight, const OptTensor& bias, const OptTensor& running_mean,
                         const OptTensor& running_var, bool training, double momentum, double eps) {
  EMBER_CALL("_batch_norm", x, weight, bias, running_mean, running_var, training, momentum, eps);
}

struct NativeBatchNorm {
  static constexpr auto schema =
      "native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!)? running_mean, Tensor(b!)? "
      "running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)";
  static constexpr auto doc =
      "batch_norm, and when training the mean and 1 / sqrt(var + eps) that each channel was normalised by";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kOut;
  static Tensor3 call(const Tensor& x, const OptTensor& weight, const OptTensor& bias, const OptTensor& running_mean,
                      const OptTensor& running_var, bool training, double momentum, double eps) {
    Tensor3 found = as_native(batch_norm_stats(x, weight, bias, running_mean, running_var, training, momentum, eps), x,
                              {weight, bias, running_mean, running_var});
    if (training) return found;
    Tensor none = empty({0}, std::get<1>(found).dtype(), x.device());
    return {std::get<0>(found), none, none};
  }
};

struct BatchNorm {
  static constexpr auto schema =
      "batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool "
      "training, "
      "float momentum, float eps, bool cudnn_enabled=True) -> Tensor";
  static constexpr auto doc = R"((x - mean) / sqrt(var + eps) * weight + bias per channel of [N, C, ...].

When training, by the batch's statistics, towards which the running ones move; else by the running ones.)";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& input, const OptTensor& weight, const OptTensor& bias, const OptTensor& running_mean,
                     const OptTensor& running_var, bool training, double momentum, double eps, bool) {
    if (input.numel() == 0 && input.dim() == 1) return clone(input);  // no channels: nothing to normalise by
    return std::get<0>(batch_norm_stats(input, weight, bias, running_mean, running_var, training, momentum, eps));
  }
};

struct InstanceNorm {
  static constexpr auto schema =
      "instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, "
      "bool use_input_stats, float momentum, float eps, bool cudnn_enabled=True) -> Tensor";
  static constexpr auto doc = "batch_norm of each sample's channels alone; running statistics average over the samples";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& input, const OptTensor& weight, const OptTensor& bias, const OptTensor& running_mean,
                     const OptTensor& running_var, bool use_input_stats, double momentum, double eps, bool) {
    EMBER_CHECK(input.dim() >= 2, "instance_norm: expected an input [N, C, ...], but got ", input.sizes());
    EMBER_CHECK(use_input_stats || (running_mean.defined() && running_var.defined()),
                "instance_norm: Expected running_mean and running_var to be defined when use_input_stats is false");
    int64_t n = input->sizes[0], c = input->sizes[1];
    if (use_input_stats && !running_mean.defined() && !running_var.defined()) {  // a group a channel
      return GroupNorm::call(input, c, weight, bias, eps, true);
    }
    auto tiled = [&](const Tensor& t) { return t.defined() ? repeat(t, {n}) : t; };
    Dims one = input.sizes();
    one[0] = 1, one[1] = n * c;
    Tensor mean = tiled(running_mean), var = tiled(running_var);
    Tensor y = batch_norm(reshape(input, one), tiled(weight), tiled(bias), mean, var, use_input_stats, momentum, eps);
    if (use_input_stats) {
      auto average = [&](const Tensor& to, const Tensor& from) {
        if (to.defined()) copy_(detach(to), ember::mean(reshape(from, {n, c}), Dims{0}));
      };
      average(running_mean, mean), average(running_var, var);
    }
    return reshape(y, input.sizes());
  }

 private:
  static Tensor detach(const Tensor& x) { return alias_raw(x, x.sizes(), x.strides(), x.storage_offset()); }
};

}  // namespace

std::vector<std::unique_ptr<Op>> norm_ops() {
  return make_family<LayerNormKernel, NativeLayerNorm, NativeLayerNormBackward, LayerNorm, FusedRmsNorm,
                     FusedRmsNormBackward, RmsNorm, GroupNormKernel, NativeGroupNorm, NativeGroupNormBackward,
                     GroupNorm, BatchNormKernel, NativeBatchNorm, NativeBatchNormBackward, BatchNorm, InstanceNorm>();
}

}  // namespace ember
