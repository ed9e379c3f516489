// Convolutions over 1, 2 and 3 spatial dims. Two ops carry everything: `convolution`, forward or transposed, and the
// gradient to its weight. They are closed under differentiation: the gradient to a convolution's input is the
// transposed convolution and the other way round, and the weight's gradient is bilinear in two images. The named forms
// (conv2d, conv_transpose1d ...) check their arguments in PyTorch's words and compose these.
#include "kernel/cpu/conv.h"

#include "kernel/cpu/integer_conv.h"
#include "op/family/checks.h"
#include "op/family/dense.h"

namespace ember {
namespace {

// The numbers of one convolution, each a list of one entry a spatial dim.
struct Geometry {
  Dims stride, padding, dilation, output_padding;
  int64_t groups;
};

Dims output_size(DimsView input, DimsView weight, const Geometry& p, bool transposed) {
  Dims size{input[0], transposed ? weight[1] * p.groups : weight[0]};
  for (size_t i = 0; i < p.stride.size(); ++i) {
    int64_t reach = p.dilation[i] * (weight[i + 2] - 1);
    if (transposed) {
      size.push_back((input[i + 2] - 1) * p.stride[i] - 2 * p.padding[i] + reach + p.output_padding[i] + 1);
    } else {
      size.push_back((input[i + 2] + 2 * p.padding[i] - reach - 1) / p.stride[i] + 1);
    }
  }
  return size;
}

bool is_channels_last(const Tensor& x) {
  if (x.dim() != 4 && x.dim() != 5) return false;
  MemoryFormat f = x.dim() == 4 ? MemoryFormat::kChannelsLast : MemoryFormat::kChannelsLast3d;
  return !x.is_contiguous() && x.is_contiguous(f);
}
Dims layout(DimsView sizes, bool channels_last) {
  if (!channels_last) return contiguous_strides(sizes);
  return strides_of(sizes.size() == 4 ? MemoryFormat::kChannelsLast : MemoryFormat::kChannelsLast3d, sizes);
}

// x as the kernel can read it: row-major, or channels last where it is so.
Tensor image(const Tensor& x) { return is_channels_last(x) ? x : dense(x); }

// The kernel's description, always of the forward convolution x -> y.
cpu::Conv describe(const Tensor& x, const Tensor& y, DimsView weight, const Geometry& p) {
  cpu::Conv c;
  c.batch = x->sizes[0], c.in_channels = x->sizes[1], c.out_channels = y->sizes[1], c.groups = p.groups;
  const size_t n = p.stride.size(), first = 3 - n;  // the kernel's rows are the last dim, whatever their number
  for (size_t i = 0; i < n; ++i) {
    const size_t d = first + i;
    c.in[d] = x->sizes[i + 2], c.out[d] = y->sizes[i + 2], c.kernel[d] = weight[i + 2];
    c.stride[d] = p.stride[i], c.padding[d] = p.padding[i], c.dilation[d] = p.dilation[i];
  }
  c.x_last = is_channels_last(x), c.y_last = is_channels_last(y);
  return c;
}

std::string joined(DimsView sizes, std::string_view sign) {
  std::string out;
  for (size_t i = 0; i < sizes.size(); ++i) out += str(i ? sign : "", sizes[i]);
  return out;
}

// Checks that hold for every form; `op` speaks.
void check(std::string_view op, const Tensor& input, const Tensor& weight, const Tensor& bias, const Geometry& p,
           bool transposed) {
  auto all = [](DimsView v, int64_t least) {
    return std::all_of(v.begin(), v.end(), [=](int64_t x) { return x >= least; });
  };
  EMBER_CHECK(all(p.padding, 0), op, ": negative padding is not supported");
  EMBER_CHECK(all(p.output_padding, 0), op, ": negative output_padding is not supported");
  EMBER_CHECK(all(p.stride, 1), op, ": non-positive stride is not supported");
  EMBER_CHECK(all(p.dilation, 1), op, ": dilation should be greater than zero, but got ", p.dilation);
  EMBER_CHECK(p.groups > 0, op, ": non-positive groups is not supported");
  check_numbers(op, "stride, padding, dilation and output_padding", p.stride, 1);
  for (DimsView v : {p.padding, p.dilation, p.output_padding}) check_numbers(op, "padding and dilation", v, 0);
  check_numbers(op, "groups", DimsView({p.groups}), 1);
  EMBER_CHECK(weight.dim() == input.dim(), op, ": Expected ", input.dim(), "-dimensional input for ", input.dim(),
              "-dimensional weight ", weight.sizes(), ", but got ", weight.dim(), "-dimensional weight instead");
  EMBER_CHECK(weight->sizes[0] >= p.groups, op, ": Given groups=", p.groups, ", expected weight to be at least ",
              p.groups, " at dimension 0, but got weight of size ", weight.sizes(), " instead");
  EMBER_CHECK(weight->sizes[0] % p.groups == 0, op, ": Given groups=", p.groups,
              ", expected weight to be divisible by ", p.groups, " at dimension 0, but got weight of size ",
              weight.sizes(), " instead");
  int64_t expected = transposed ? weight->sizes[0] : weight->sizes[1] * p.groups;
  EMBER_CHECK(input->sizes[1] == expected, op, ": Given ", transposed ? "transposed=1" : str("groups=", p.groups),
              ", weight of size ", weight.sizes(), ", expected input", input.sizes(), " to have ", expected,
              " channels, but got ", input->sizes[1], " channels instead");
  int64_t out_channels = transposed ? weight->sizes[1] * p.groups : weight->sizes[0];
  EMBER_CHECK(!bias.defined() || (bias.dim() == 1 && bias->sizes[0] == out_channels), op, ": Given ",
              transposed ? "transposed=1, " : "", "weight of size ", weight.sizes(),
              ", expected bias to be 1-dimensional with ", out_channels, " elements, but got bias of size ",
              bias.defined() ? str(bias.sizes()) : "", " instead");
  EMBER_CHECK(input.dtype() == weight.dtype(), op, ": Input type (", input.dtype(), ") and weight type (",
              weight.dtype(), ") should be the same; expected scalar type ", type_word(input.dtype()), " but found ",
              type_word(weight.dtype()));
  EMBER_CHECK(!bias.defined() || input.dtype() == bias.dtype(), op, ": Input type (", input.dtype(),
              ") and bias type (", bias.defined() ? bias.dtype() : input.dtype(), ") should be the same");
  if (transposed) {
    for (size_t i = 0; i < p.stride.size(); ++i) {
      EMBER_CHECK(p.output_padding[i] < p.stride[i] || p.output_padding[i] < p.dilation[i], op,
                  ": output padding must be smaller than either stride or dilation, but got output_padding: ",
                  p.output_padding, " stride: ", p.stride, " dilation: ", p.dilation);
    }
  } else {
    Dims padded, kernel;
    bool fits = true;
    for (size_t i = 0; i < p.stride.size(); ++i) {
      padded.push_back(input->sizes[i + 2] + 2 * p.padding[i]);
      kernel.push_back(p.dilation[i] * (weight->sizes[i + 2] - 1) + 1);
      fits &= padded[i] >= kernel[i];
    }
    EMBER_CHECK(fits, op, ": Calculated padded input size per channel: (", joined(padded, " x "), "). Kernel size: (",
                joined(kernel, " x "), "). Kernel size can't be greater than actual input size");
  }
}

// A transposed convolution whose output_padding reaches the stride made room for more positions than it came from.
Tensor cropped(Tensor y, DimsView sizes) {
  for (size_t i = 2; i < sizes.size(); ++i) {
    int64_t d = static_cast<int64_t>(i);
    if (y.size(d) > sizes[i]) y = narrow(y, d, 0, sizes[i]);
  }
  return y;
}

struct Convolution {
  static constexpr auto schema =
      "convolution(Tensor input, Tensor weight, Tensor? bias, int[] stride, SymInt[] padding, int[] dilation, "
      "bool transposed, SymInt[] output_padding, SymInt groups) -> Tensor";
  static constexpr auto doc = R"(Convolution of [N, C, ...] with [O, C / groups, ...], or the transposed one.

The transposed convolution is the gradient of the forward one to its input: weight [C, O / groups, ...].)";
  static constexpr auto kind = Kind::kContract;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b11};

  static Meta infer(const Tensor& input, const Tensor& weight, const OptTensor& bias, DimsView stride, DimsView padding,
                    DimsView dilation, bool transposed, DimsView output_padding, int64_t groups) {
    size_t n = input.sizes().size() - 2;
    EMBER_CHECK(input.dim() >= 3 && input.dim() <= 5,
                "convolution: expected an input [N, C, ...] of 1 to 3 spatial "
                "dims, but got ",
                input.sizes());
    Geometry p{per_dim(stride, n, "convolution", "stride"), per_dim(padding, n, "convolution", "padding"),
               per_dim(dilation, n, "convolution", "dilation"),
               per_dim(output_padding, n, "convolution", "output_padding"), groups};
    check("convolution", input, weight, bias, p, transposed);
    if (input.dtype() != DType::kInt64) check_floating(input, "convolution", "slow_conv2d_cpu");
    Dims size = output_size(input.sizes(), weight.sizes(), p, transposed);
    for (size_t i = 2; i < size.size(); ++i) {
      EMBER_CHECK(size[i] >= 0, "convolution: Given input size per channel: (",
                  joined(DimsView(input->sizes.data() + 2, n), " x "), "). Calculated output size per channel: (",
                  joined(DimsView(size.data() + 2, n), " x "), "). Output size is too small");
    }
    Dims strides = layout(size, is_channels_last(input) || is_channels_last(weight));
    return {size, strides, input.dtype(), input.device()};
  }

  static void cpu(Out y, const Tensor& input, const Tensor& weight, const OptTensor& bias, DimsView stride,
                  DimsView padding, DimsView dilation, bool transposed, DimsView, int64_t groups) {
    if (y.numel() == 0) return;
    size_t n = input.sizes().size() - 2;
    Geometry p{per_dim(stride, n, "", ""), per_dim(padding, n, "", ""), per_dim(dilation, n, "", ""), {}, groups};
    Tensor x = image(input), w = dense(weight), b = dense(bias);
    if (w.numel() == 0) {  // sums of nothing
      Dims along(n + 2);
      along[1] = 1;
      return b.defined() ? cpu::copy(y, alias_raw(b, y.sizes(), along, b.storage_offset())) : cpu::fill(y, 0);
    }
    Tensor out = y.is_contiguous() || is_channels_last(y) ? Tensor(y) : empty_raw(y.sizes(), y.dtype(), y.device());
    const void* addend = data_or_null(b);
    if (y.dtype() == DType::kInt64) {
      const cpu::Conv c = transposed ? describe(out, x, weight.sizes(), p) : describe(x, out, weight.sizes(), p);
      cpu::conv_integer(c, transposed, x.data<int64_t>(), w.data<int64_t>(), static_cast<const int64_t*>(addend),
                        out.data<int64_t>());
    } else if (transposed) {
      cpu::conv_backward_data(y.dtype(), describe(out, x, weight.sizes(), p), x.data(), w.data(), addend, out.data());
    } else {
      cpu::conv_forward(y.dtype(), describe(x, out, weight.sizes(), p), x.data(), w.data(), addend, out.data());
    }
    if (!out.is(y)) cpu::copy(y, out);
  }

  static void vjp(Grads& d, const Tensor& input, const Tensor& weight, const OptTensor&, DimsView stride,
                  DimsView padding, DimsView dilation, bool transposed, DimsView, int64_t groups) {
    Tensor g = d.g();
    size_t n = input.sizes().size() - 2;
    Dims s = per_dim(stride, n, "", ""), p = per_dim(padding, n, "", ""), l = per_dim(dilation, n, "", "");
    if (d.wants(0)) {
      Dims rest(n, 0);  // what the forward size left over
      for (size_t i = 0; i < n && !transposed; ++i) {
        rest[i] =
            input.sizes()[i + 2] - ((g.sizes()[i + 2] - 1) * s[i] - 2 * p[i] + l[i] * (weight.sizes()[i + 2] - 1) + 1);
      }
      d.set(0, cropped(convolution(g, weight, {}, s, p, l, !transposed, rest, groups), input.sizes()));
    }
    if (d.wants(1)) {
      d.set(1, transposed ? conv_backward_weight(g, input, weight.sizes(), s, p, l, groups)
                          : conv_backward_weight(input, g, weight.sizes(), s, p, l, groups));
    }
    if (d.wants(2)) {
      Dims all{0};
      for (size_t i = 0; i < n; ++i) all.push_back(static_cast<int64_t>(i) + 2);
      d.set(2, sum(g, all));
    }
  }
};

struct ConvBackwardWeight {
  static constexpr auto schema =
      "_conv_backward_weight(Tensor input, Tensor grad_output, SymInt[] weight_size, int[] stride, SymInt[] padding, "
      "int[] dilation, SymInt groups) -> Tensor";
  static constexpr auto doc = "The gradient of a convolution input -> output to its weight, bilinear in both images";
  static constexpr auto kind = Kind::kContract;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b11};
  static Meta infer(const Tensor& input, const Tensor& grad, DimsView weight_size, DimsView stride, DimsView padding,
                    DimsView dilation, int64_t groups) {
    constexpr std::string_view op = "_conv_backward_weight";
    check_floating(input, op, "slow_conv2d_cpu");
    EMBER_CHECK(input.dim() >= 3 && input.dim() <= 5, op,
                ": expected an input [N, C, ...] of 1 to 3 spatial dims, but "
                "got ",
                input.sizes());
    const size_t n = input.sizes().size() - 2;
    check_length(op, "weight_size", weight_size.size(), n + 2);
    Geometry p{per_dim(stride, n, op, "stride"), per_dim(padding, n, op, "padding"),
               per_dim(dilation, n, op, "dilation"), Dims(n, 0), groups};
    check(op, input, empty_raw(weight_size, input.dtype(), Device(DeviceType::kMeta)), {}, p, false);
    Dims most = output_size(input.sizes(), weight_size, p, false);
    bool fits = grad.dim() == input.dim() && grad->sizes[0] == most[0] && grad->sizes[1] == most[1];
    for (size_t i = 2; fits && i < n + 2; ++i) fits = grad->sizes[i] <= most[i];
    EMBER_CHECK(fits, op, ": expected grad_output of shape ", most, " (or less in spatial dims), but got ",
                grad.sizes());
    return {weight_size, input};
  }
  static void cpu(Out dw, const Tensor& input, const Tensor& grad, DimsView weight_size, DimsView stride,
                  DimsView padding, DimsView dilation, int64_t groups) {
    if (dw.numel() == 0) return;
    if (input.numel() == 0 || grad.numel() == 0) return cpu::fill(dw, 0);
    Tensor x = image(input), dy = image(dense_or_last(grad, input.dtype()));
    Geometry p{Dims(stride), Dims(padding), Dims(dilation), {}, groups};
    fill_dense(dw, [&](const Tensor& out) {
      cpu::conv_backward_weight(out.dtype(), describe(x, dy, weight_size, p), x.data(), dy.data(), out.data());
    });
  }
  static void vjp(Grads& d, const Tensor& input, const Tensor& grad, DimsView weight_size, DimsView stride,
                  DimsView padding, DimsView dilation, int64_t groups) {
    Tensor v = d.g();
    size_t n = stride.size();
    if (d.wants(0)) {
      Dims rest(n, 0);
      for (size_t i = 0; i < n; ++i) {
        rest[i] = input.sizes()[i + 2] -
                  ((grad.sizes()[i + 2] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (weight_size[i + 2] - 1) + 1);
      }
      d.set(0, convolution(grad, v, {}, stride, padding, dilation, true, rest, groups));
    }
    if (d.wants(1)) {
      Tensor y = convolution(input, v, {}, stride, padding, dilation, false, Dims(n, 0), groups);
      d.set(1, cropped(y, grad.sizes()));
    }
  }

 private:
  static Tensor dense_or_last(const Tensor& x, DType d) { return x.dtype() == d ? x : dense(x, d); }
};

// ---- the named forms ----

template <int n>
constexpr auto kConvName = n == 1   ? "conv1d"
                           : n == 2 ? "conv2d"
                                    : "conv3d";

// Runs a form on a batch; an input without its batch dim gets one for the time.
template <int n, class F>
Tensor batched(std::string_view op, const Tensor& input, F run) {
  EMBER_CHECK(input.dim() == n + 1 || input.dim() == n + 2, op, ": Expected ", n + 1, "D (unbatched) or ", n + 2,
              "D (batched) input to ", op, ", but got input of size: ", input.sizes());
  return input.dim() == n + 2 ? run(input) : squeeze(run(unsqueeze(input, 0)), {0});
}

// Complex images through real ones: (a + ib)(w + iv) = aw - bv + i(av + bw).
template <class F>
Tensor by_parts(const Tensor& x, const Tensor& w, const Tensor& bias, F run) {
  if (!is_complex(x.dtype()) || x.dtype() != w.dtype()) return run(x, w, bias);
  Tensor a = real(x), b = imag(x), u = real(w), v = imag(w);
  Tensor re = run(a, u, Tensor()) - run(b, v, Tensor()), im = run(a, v, Tensor()) + run(b, u, Tensor());
  Tensor y = view_as_complex(stack(std::array<Tensor, 2>{re, im}, -1));
  if (!bias.defined()) return y;
  Dims shape(x.sizes().size(), 1);
  shape[1] = -1;
  return y + reshape(bias, shape);
}

template <int n>
struct Conv {
  static constexpr auto schema =
      n == 1   ? "conv1d(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, SymInt[1] padding=0, int[1] "
                 "dilation=1, SymInt groups=1) -> Tensor"
      : n == 2 ? "conv2d(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, SymInt[2] padding=0, int[2] "
                 "dilation=1, SymInt groups=1) -> Tensor"
               : "conv3d(Tensor input, Tensor weight, Tensor? bias=None, int[3] stride=1, SymInt[3] padding=0, int[3] "
                 "dilation=1, SymInt groups=1) -> Tensor";
  static constexpr auto doc =
      "Cross-correlation of input [N, C, ...] (or [C, ...]) with weight [O, C / groups, ...], plus bias [O]";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& input, const Tensor& weight, const OptTensor& bias, DimsView stride,
                     DimsView padding, DimsView dilation, int64_t groups) {
    constexpr std::string_view op = kConvName<n>;
    return batched<n>(op, input, [&](const Tensor& x) {
      Geometry p{per_dim(stride, n, op, "stride"), per_dim(padding, n, op, "padding"),
                 per_dim(dilation, n, op, "dilation"), Dims(n, 0), groups};
      check(op, x, weight, bias, p, false);
      return by_parts(x, weight, bias, [&](const Tensor& a, const Tensor& w, const Tensor& b) {
        return convolution(a, w, b, p.stride, p.padding, p.dilation, false, p.output_padding, groups);
      });
    });
  }
};

template <int n>
struct ConvPadding {
  static constexpr auto schema =
      n == 1 ? "conv1d.padding(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, str padding=\"valid\", "
               "int[1] dilation=1, SymInt groups=1) -> Tensor"
      : n == 2 ? "conv2d.padding(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, str "
                 "padding=\"valid\", int[2] dilation=1, SymInt groups=1) -> Tensor"
               : "conv3d.padding(Tensor input, Tensor weight, Tensor? bias=None, int[3] stride=1, str "
                 "padding=\"valid\", int[3] dilation=1, SymInt groups=1) -> Tensor";
  static constexpr auto doc = "Padding by word: \"valid\" is none; \"same\" keeps the spatial sizes, at stride 1";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& input, const Tensor& weight, const OptTensor& bias, DimsView stride,
                     std::string_view padding, DimsView dilation, int64_t groups) {
    constexpr std::string_view op = kConvName<n>;
    if (padding == "valid") return Conv<n>::call(input, weight, bias, stride, Dims(n, 0), dilation, groups);
    EMBER_CHECK(padding == "same", op, ": Invalid padding string: '", padding, "'");
    for (int64_t s : stride) EMBER_CHECK(s == 1, op, ": padding='same' is not supported for strided convolutions");
    EMBER_CHECK(weight.dim() == n + 2, op, ": Expected ", n + 2, "-dimensional weight, but got ", weight.sizes());
    Dims l = per_dim(dilation, n, op, "dilation"), both, extra;
    bool even = true;
    for (int i = 0; i < n; ++i) {
      int64_t total = l[i] * (weight->sizes[i + 2] - 1);
      both.push_back(total / 2);
      even &= total % 2 == 0;
      extra.insert(extra.begin(), DimsView({0, total % 2}));  // pad() lists the last dim first
    }
    return Conv<n>::call(even ? input : pad(input, extra), weight, bias, stride, both, dilation, groups);
  }
};

template <int n>
struct ConvTranspose {
  static constexpr auto schema =
      n == 1 ? "conv_transpose1d(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, SymInt[1] padding=0, "
               "SymInt[1] output_padding=0, SymInt groups=1, int[1] dilation=1) -> Tensor"
      : n == 2 ? "conv_transpose2d(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, SymInt[2] "
                 "padding=0, SymInt[2] output_padding=0, SymInt groups=1, int[2] dilation=1) -> Tensor"
               : "conv_transpose3d(Tensor input, Tensor weight, Tensor? bias=None, int[3] stride=1, SymInt[3] "
                 "padding=0, SymInt[3] output_padding=0, SymInt groups=1, int[3] dilation=1) -> Tensor";
  static constexpr auto doc =
      "The gradient of a convolution to its input, as a layer: input [N, C, ...], weight [C, O / groups, ...]";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& input, const Tensor& weight, const OptTensor& bias, DimsView stride,
                     DimsView padding, DimsView output_padding, int64_t groups, DimsView dilation) {
    constexpr std::string_view op = n == 1 ? "conv_transpose1d" : n == 2 ? "conv_transpose2d" : "conv_transpose3d";
    return batched<n>(op, input, [&](const Tensor& x) {
      Geometry p{per_dim(stride, n, op, "stride"), per_dim(padding, n, op, "padding"),
                 per_dim(dilation, n, op, "dilation"), per_dim(output_padding, n, op, "output_padding"), groups};
      check(op, x, weight, bias, p, true);
      return by_parts(x, weight, bias, [&](const Tensor& a, const Tensor& w, const Tensor& b) {
        return convolution(a, w, b, p.stride, p.padding, p.dilation, true, p.output_padding, groups);
      });
    });
  }
};

struct ConvTbc {
  static constexpr auto schema = "conv_tbc(Tensor self, Tensor weight, Tensor bias, int pad=0) -> Tensor";
  static constexpr auto doc = "conv1d over [time, batch, channels] with weight [kernel, channels, out]";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& self, const Tensor& weight, const Tensor& bias, int64_t pad) {
    EMBER_CHECK(self.dim() == 3, "conv_tbc: Input must have 3 dims: time, batch, in_channel");
    EMBER_CHECK(weight.dim() == 3,
                "conv_tbc: Weight tensor must have 3 dims: kernel_width, in_channels, out_channels.");
    EMBER_CHECK(bias.dim() == 1, "conv_tbc: Bias must be 1-D");
    Tensor y = conv1d(permute(self, {1, 2, 0}), permute(weight, {2, 1, 0}), bias, {1}, {pad});
    return contiguous(permute(y, {2, 0, 1}));
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> conv_ops() {
  return make_family<Convolution, ConvBackwardWeight, Conv<1>, Conv<2>, Conv<3>, ConvPadding<1>, ConvPadding<2>,
                     ConvPadding<3>, ConvTranspose<1>, ConvTranspose<2>, ConvTranspose<3>, ConvTbc>();
}

}  // namespace ember
