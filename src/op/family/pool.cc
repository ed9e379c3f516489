// Pooling over 1, 2 and 3 spatial dims. Four ops carry everything, for any number of dims: max and average over given
// windows, and over windows chosen by the output's size (adaptive). The named forms (max_pool2d ...) check their
// arguments in PyTorch's words and compose these. Channels-last images stay channels last.
#include "kernel/cpu/pool.h"

#include "op/family/checks.h"
#include "op/family/dense.h"

namespace ember {
namespace {

// n: the number of spatial dims, without which [C, D, H, W] would pass for [N, C, H, W].
bool is_channels_last(const Tensor& x, size_t n) {
  if (n < 2 || x.sizes().size() != n + 2) return false;
  return !x.is_contiguous() && x.is_contiguous(n == 2 ? MemoryFormat::kChannelsLast : MemoryFormat::kChannelsLast3d);
}
Meta like_image(DimsView sizes, const Tensor& x, DType dtype, size_t n) {
  Meta m(sizes, dtype, x.device());
  if (is_channels_last(x, n)) {
    m.strides = strides_of(sizes.size() == 4 ? MemoryFormat::kChannelsLast : MemoryFormat::kChannelsLast3d, sizes);
  }
  return m;
}
// x in the layout that `like` has: row-major, or channels last.
Tensor image(const Tensor& x, bool channels_last) {
  if (!channels_last) return dense(x);
  if (is_channels_last(x, x.sizes().size() - 2)) return x;
  Tensor copy = empty(
      Meta(x.sizes(), strides_of(x.dim() == 4 ? MemoryFormat::kChannelsLast : MemoryFormat::kChannelsLast3d, x.sizes()),
           x.dtype(), x.device()));
  cpu::copy(copy, x);
  return copy;
}

// The planes of images x pooled to y over the last n dims.
cpu::Pool planes(const Tensor& x, const Tensor& y, size_t n, bool channels_last) {
  cpu::Pool p;
  size_t first = x.sizes().size() - n;
  p.planes = 1;
  for (size_t i = 0; i < first; ++i) p.planes *= x.sizes()[i];
  if (channels_last) p.inner = x.sizes()[1], p.planes = x.sizes()[0];
  for (size_t i = 0; i < n; ++i) {  // the kernel's rows are the last dim, whatever their number
    p.in[3 - n + i] = x.sizes()[first + i], p.out[3 - n + i] = y.sizes()[first + i];
  }
  return p;
}
cpu::Pool windows(cpu::Pool p, DimsView kernel, DimsView stride, DimsView padding, DimsView dilation) {
  for (size_t i = 0; i < kernel.size(); ++i) {
    const size_t at = 3 - kernel.size() + i;
    p.kernel[at] = kernel[i], p.stride[at] = stride[i], p.padding[at] = padding[i];
    if (!dilation.empty()) p.dilation[at] = dilation[i];
  }
  return p;
}

// How many windows fit. A window of ceil_mode must start inside of the image or its left padding.
int64_t pooled_size(int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, bool ceil_mode) {
  int64_t room = in + 2 * padding - dilation * (kernel - 1) - 1 + (ceil_mode ? stride - 1 : 0);
  int64_t out = (room < 0 ? -((-room + stride - 1) / stride) : room / stride) + 1;
  return ceil_mode && (out - 1) * stride >= in + padding ? out - 1 : out;
}

std::string joined(DimsView sizes) {
  std::string out;
  for (size_t i = 0; i < sizes.size(); ++i) out += str(i ? "x" : "", sizes[i]);
  return out;
}

// Sizes of an image whose last dims, one to three behind the channels, are `spatial`.
Dims with_spatial(std::string_view op, const Tensor& x, DimsView spatial) {
  size_t n = spatial.size();
  EMBER_CHECK(n >= 1 && n <= 3 && (x.sizes().size() == n + 1 || x.sizes().size() == n + 2), op,
              ": expected 1 to 3 "
              "spatial sizes and an input [C, ...] or [N, C, ...] with as many spatial dims, but got ",
              spatial, " and an input of shape ", x.sizes());
  Dims sizes = x.sizes();
  std::copy(spatial.begin(), spatial.end(), sizes.end() - n);
  count(sizes);
  return sizes;
}

Dims pooled_sizes(std::string_view op, Dims sizes, DimsView kernel, DimsView stride, DimsView padding,
                  DimsView dilation, bool ceil_mode) {
  const Dims given = sizes;
  size_t n = kernel.size(), first = sizes.size() - n;
  bool fits = true;
  check_length(op, "stride", stride.size(), n), check_length(op, "padding", padding.size(), n);
  if (!dilation.empty()) check_length(op, "dilation", dilation.size(), n);
  for (size_t i = 0; i < n; ++i) {
    int64_t l = dilation.empty() ? 1 : dilation[i];
    EMBER_CHECK(kernel[i] > 0, op, ": kernel size should be greater than zero, but got kernel_size=", kernel);
    EMBER_CHECK(stride[i] > 0, op, ": stride should not be zero or negative, but got stride=", stride);
    EMBER_CHECK(l > 0, op, ": dilation should be greater than zero, but got dilation=", dilation);
    EMBER_CHECK(padding[i] >= 0, op, ": pad must be non-negative, but got pad: ", padding[i]);
    check_numbers(op, "kernel_size, stride and dilation", DimsView({kernel[i], stride[i], l}), 1);
    EMBER_CHECK(padding[i] <= ((kernel[i] - 1) * l + 1) / 2, op,
                ": pad should be at most half of effective kernel size, but got pad=", padding[i],
                ", kernel_size=", kernel[i], " and dilation=", l);
    sizes[first + i] = pooled_size(sizes[first + i], kernel[i], stride[i], padding[i], l, ceil_mode);
    fits &= sizes[first + i] >= 1;
  }
  EMBER_CHECK(fits, op, ": Given input size: (", joined(DimsView(given.data() + first - 1, n + 1)),
              "). Calculated output size: (", joined(DimsView(sizes.data() + first - 1, n + 1)),
              "). Output size is too small");
  return sizes;
}

// The last n sizes of x, fewer where it has fewer.
DimsView last_sizes(const Tensor& x, size_t n) {
  n = std::min(n, x.sizes().size());
  return {x->sizes.data() + x->sizes.size() - n, n};
}
// Every window of adaptive pooling holds something.
void check_not_empty(std::string_view op, const Tensor& x, size_t n) {
  EMBER_CHECK(count(last_sizes(x, n)) > 0, op,
              ": Expected input to have non-zero size for non-batch dimensions, but "
              "input has sizes ",
              x.sizes());
}
void check_real(const Tensor& x, std::string_view op) {
  EMBER_CHECK_NOT_IMPLEMENTED(x.dtype() != DType::kBool && !is_complex(x.dtype()), op, ": not implemented for '",
                              type_word(x.dtype()), "'");
}

// ---- the ops that have kernels; lists have one entry a spatial dim ----

struct MaxPool {
  static constexpr auto schema =
      "_max_pool(Tensor self, int[] kernel_size, int[] stride, int[] padding, int[] dilation, bool ceil_mode) -> "
      "(Tensor, Tensor)";
  static constexpr auto doc = "The maximum of each window, and where in its plane it lies";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.outputs = 0b10};
  static std::array<Meta, 2> infer(const Tensor& self, DimsView kernel, DimsView stride, DimsView padding,
                                   DimsView dilation, bool ceil_mode) {
    check_real(self, "_max_pool");
    Dims sizes = pooled_sizes("_max_pool", with_spatial("_max_pool", self, last_sizes(self, kernel.size())), kernel,
                              stride, padding, dilation, ceil_mode);
    size_t n = kernel.size();
    return {like_image(sizes, self, self.dtype(), n), like_image(sizes, self, DType::kInt64, n)};
  }
  static void cpu(Out y, Out indices, const Tensor& self, DimsView kernel, DimsView stride, DimsView padding,
                  DimsView dilation, bool) {
    bool last = is_channels_last(self, kernel.size());
    cpu::Pool p = windows(planes(self, y, kernel.size(), last), kernel, stride, padding, dilation);
    if (y.numel()) cpu::max_pool(y.dtype(), p, image(self, last).data(), y.data(), indices.data<int64_t>());
  }
  static void vjp(Grads& d, const Tensor& self, DimsView kernel, DimsView, DimsView, DimsView, bool) {
    DimsView in(self->sizes.data() + self->sizes.size() - kernel.size(), kernel.size());
    d.set(0, max_pool_backward(d.g(), d.y(1), in));
  }
};

struct AdaptiveMaxPool {
  static constexpr auto schema = "_adaptive_max_pool(Tensor self, SymInt[] output_size) -> (Tensor, Tensor)";
  static constexpr auto doc = "The maximum of each window [i * in / out, ceil((i + 1) * in / out)), and where it lies";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.outputs = 0b10};
  static std::array<Meta, 2> infer(const Tensor& self, DimsView output_size) {
    check_real(self, "_adaptive_max_pool");
    size_t n = output_size.size();
    Dims sizes = with_spatial("_adaptive_max_pool", self, output_size);
    check_not_empty("_adaptive_max_pool", self, n);
    return {like_image(sizes, self, self.dtype(), n), like_image(sizes, self, DType::kInt64, n)};
  }
  static void cpu(Out y, Out indices, const Tensor& self, DimsView output_size) {
    bool last = is_channels_last(self, output_size.size());
    cpu::Pool p = planes(self, y, output_size.size(), last);
    p.adaptive = true;
    if (y.numel()) cpu::max_pool(y.dtype(), p, image(self, last).data(), y.data(), indices.data<int64_t>());
  }
  static void vjp(Grads& d, const Tensor& self, DimsView output_size) {
    DimsView in(self->sizes.data() + self->sizes.size() - output_size.size(), output_size.size());
    d.set(0, max_pool_backward(d.g(), d.y(1), in));
  }
};

struct MaxPoolBackward {
  static constexpr auto schema =
      "_max_pool_backward(Tensor grad_output, Tensor indices, SymInt[] input_size) -> Tensor";
  static constexpr auto doc = "Adds each gradient where its maximum lies; input_size: the spatial sizes";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b10};
  static Meta infer(const Tensor& g, const Tensor& indices, DimsView input_size) {
    check_real(g, "_max_pool_backward");
    Dims sizes = with_spatial("_max_pool_backward", g, input_size);
    check_made("_max_pool_backward", "indices", indices, Meta(g.sizes(), DType::kInt64, g.device()));
    return like_image(sizes, indices, g.dtype(), input_size.size());
  }
  static void cpu(Out dx, const Tensor& g, const Tensor& indices, DimsView input_size) {
    if (dx.numel() == 0) return;
    size_t n = input_size.size();
    bool last = is_channels_last(indices, n) && is_channels_last(dx, n);
    Tensor dy = image(g, last), at = image(indices, last);
    check_indices("_max_pool_backward", "indices", at, count(input_size));
    cpu::max_pool_backward(dx.dtype(), planes(dx, dy, n, last), dy.data(), at.data<int64_t>(), dx.data());
  }
  static void vjp(Grads& d, const Tensor& g, const Tensor& indices, DimsView input_size) {
    int64_t spatial = -static_cast<int64_t>(input_size.size());
    Tensor picked = gather(flatten(d.g(), spatial), -1, flatten(indices, spatial));
    d.set(0, reshape(picked, g.sizes()));
  }
};

struct AvgPool {
  static constexpr auto schema =
      "_avg_pool(Tensor self, int[] kernel_size, int[] stride, int[] padding, bool ceil_mode, bool count_include_pad, "
      "int? divisor_override) -> Tensor";
  static constexpr auto doc = "The average of each window";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& self, DimsView kernel, DimsView stride, DimsView padding, bool ceil_mode, bool,
                    OptInt divisor_override) {
    EMBER_CHECK_NOT_IMPLEMENTED(is_floating(self.dtype()) || self.dtype() == DType::kInt64,
                                "_avg_pool: \"avg_pool2d_out_frame\" not implemented for '", type_word(self.dtype()),
                                "'");
    EMBER_CHECK(divisor_override.value_or(1) != 0, "_avg_pool: divisor must be not zero");
    Dims sizes = with_spatial("_avg_pool", self, last_sizes(self, kernel.size()));
    return like_image(pooled_sizes("_avg_pool", sizes, kernel, stride, padding, {}, ceil_mode), self, self.dtype(),
                      kernel.size());
  }
  static void cpu(Out y, const Tensor& self, DimsView kernel, DimsView stride, DimsView padding, bool,
                  bool count_include_pad, OptInt divisor_override) {
    bool last = is_channels_last(self, kernel.size()) && is_channels_last(y, kernel.size());
    cpu::Pool p = windows(planes(self, y, kernel.size(), last), kernel, stride, padding, {});
    p.count_include_pad = count_include_pad, p.divisor_override = divisor_override.value_or(0);
    if (y.numel()) cpu::avg_pool(y.dtype(), p, image(self, last).data(), y.data());
  }
  static void vjp(Grads& d, const Tensor& self, DimsView kernel, DimsView stride, DimsView padding, bool ceil_mode,
                  bool count_include_pad, OptInt divisor_override) {
    DimsView in(self->sizes.data() + self->sizes.size() - kernel.size(), kernel.size());
    d.set(0, avg_pool_backward(d.g(), in, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override));
  }
};

struct AvgPoolBackward {
  static constexpr auto schema =
      "_avg_pool_backward(Tensor grad_output, SymInt[] input_size, int[] kernel_size, int[] stride, int[] padding, "
      "bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor";
  static constexpr auto doc = "Spreads each gradient over its window; input_size: the spatial sizes";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& g, DimsView input_size, DimsView kernel, DimsView stride, DimsView padding,
                    bool ceil_mode, bool, OptInt) {
    constexpr std::string_view op = "_avg_pool_backward";
    check_floating(g, op, "avg_pool2d_backward");
    Dims sizes = with_spatial(op, g, input_size);
    check_length(op, "kernel_size", kernel.size(), input_size.size());
    check_shape(op, "grad_output", g, pooled_sizes(op, sizes, kernel, stride, padding, {}, ceil_mode));
    return like_image(sizes, g, g.dtype(), input_size.size());
  }
  static void cpu(Out dx, const Tensor& g, DimsView input_size, DimsView kernel, DimsView stride, DimsView padding,
                  bool, bool count_include_pad, OptInt divisor_override) {
    bool last = is_channels_last(g, input_size.size()) && is_channels_last(dx, input_size.size());
    cpu::Pool p = windows(planes(dx, g, input_size.size(), last), kernel, stride, padding, {});
    p.count_include_pad = count_include_pad, p.divisor_override = divisor_override.value_or(0);
    if (dx.numel()) cpu::avg_pool_backward(dx.dtype(), p, image(g, last).data(), dx.data());
  }
  static void vjp(Grads& d, const Tensor&, DimsView, DimsView kernel, DimsView stride, DimsView padding, bool ceil_mode,
                  bool count_include_pad, OptInt divisor_override) {
    d.set(0, avg_pool(d.g(), kernel, stride, padding, ceil_mode, count_include_pad, divisor_override));
  }
};

struct AdaptiveAvgPool {
  static constexpr auto schema = "_adaptive_avg_pool(Tensor self, SymInt[] output_size) -> Tensor";
  static constexpr auto doc = "The average of each window [i * in / out, ceil((i + 1) * in / out))";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& self, DimsView output_size) {
    check_floating(self, "_adaptive_avg_pool", "adaptive_avg_pool2d");
    Dims sizes = with_spatial("_adaptive_avg_pool", self, output_size);
    check_not_empty("_adaptive_avg_pool", self, output_size.size());
    return like_image(sizes, self, self.dtype(), output_size.size());
  }
  static void cpu(Out y, const Tensor& self, DimsView output_size) {
    bool last = is_channels_last(self, output_size.size()) && is_channels_last(y, output_size.size());
    cpu::Pool p = planes(self, y, output_size.size(), last);
    p.adaptive = true;
    if (y.numel()) cpu::avg_pool(y.dtype(), p, image(self, last).data(), y.data());
  }
  static void vjp(Grads& d, const Tensor& self, DimsView output_size) {
    DimsView in(self->sizes.data() + self->sizes.size() - output_size.size(), output_size.size());
    d.set(0, adaptive_avg_pool_backward(d.g(), in));
  }
};

struct AdaptiveAvgPoolBackward {
  static constexpr auto schema = "_adaptive_avg_pool_backward(Tensor grad_output, SymInt[] input_size) -> Tensor";
  static constexpr auto doc = "Spreads each gradient over its window; input_size: the spatial sizes";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& g, DimsView input_size) {
    check_floating(g, "_adaptive_avg_pool_backward", "adaptive_avg_pool2d_backward");
    return like_image(with_spatial("_adaptive_avg_pool_backward", g, input_size), g, g.dtype(), input_size.size());
  }
  static void cpu(Out dx, const Tensor& g, DimsView input_size) {
    bool last = is_channels_last(g, input_size.size()) && is_channels_last(dx, input_size.size());
    cpu::Pool p = planes(dx, g, input_size.size(), last);
    p.adaptive = true;
    if (dx.numel()) cpu::avg_pool_backward(dx.dtype(), p, image(g, last).data(), dx.data());
  }
  static void vjp(Grads& d, const Tensor& g, DimsView input_size) {
    d.set(0,
          adaptive_avg_pool(d.g(), DimsView(g->sizes.data() + g->sizes.size() - input_size.size(), input_size.size())));
  }
};

// ---- the named forms ----

template <int n>
constexpr const char* pick(const char* one, const char* two, const char* three) {
  return n == 1 ? one : n == 2 ? two : three;
}

Dims window_list(std::string_view op, std::string_view what, DimsView given, int n) {
  if (given.size() == 1) return Dims(static_cast<size_t>(n), given[0]);
  EMBER_CHECK(given.size() == static_cast<size_t>(n), op, ": ", what, " must either be a single int, or a tuple of ",
              n == 1   ? "one int"
              : n == 2 ? "two ints"
                       : "three ints");
  return Dims(given);
}

void check_image(std::string_view op, const Tensor& x, int n) {
  bool fits = x.dim() == n + 1 || x.dim() == n + 2;
  for (int64_t i = x.dim() - n - 1; fits && i < x.dim(); ++i) fits = x->sizes[static_cast<size_t>(i)] != 0;
  EMBER_CHECK(fits, op, ": Expected ", n + 1, "D or ", n + 2,
              "D (batch mode) tensor with optional 0 dim batch size for input (non-empty ", n + 1, "D or ", n + 2,
              "D (batch mode) tensor expected for input), but got:", x.sizes());
}

struct MaxArguments {
  Dims kernel, stride, padding, dilation;
  MaxArguments(std::string_view op, const Tensor& x, int n, DimsView kernel_size, DimsView step, DimsView around,
               DimsView spread)
      : kernel(window_list(op, "kernel_size", kernel_size, n)),
        stride(step.empty() ? kernel : window_list(op, "stride", step, n)),
        padding(window_list(op, "padding", around, n)),
        dilation(window_list(op, "dilation", spread, n)) {
    check_image(op, x, n);
  }
};

template <int n>
struct MaxPoolWithIndices {
  static constexpr auto schema = pick<n>(
      "max_pool1d_with_indices(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, "
      "bool ceil_mode=False) -> (Tensor, Tensor)",
      "max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, "
      "bool ceil_mode=False) -> (Tensor, Tensor)",
      "max_pool3d_with_indices(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, "
      "bool ceil_mode=False) -> (Tensor, Tensor)");
  static constexpr auto doc = "The maximum of each window of [N, C, ...] or [C, ...], and where in its plane it lies";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor2 call(const Tensor& self, DimsView kernel_size, DimsView stride, DimsView padding, DimsView dilation,
                      bool ceil_mode) {
    MaxArguments a(pick<n>("max_pool1d", "max_pool2d", "max_pool3d"), self, n, kernel_size, stride, padding, dilation);
    return max_pool(self, a.kernel, a.stride, a.padding, a.dilation, ceil_mode);
  }
};

template <int n>
struct MaxPoolNd {
  static constexpr auto schema = pick<n>(
      "max_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, "
      "bool ceil_mode=False) -> Tensor",
      "max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, "
      "bool ceil_mode=False) -> Tensor",
      "max_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, "
      "bool ceil_mode=False) -> Tensor");
  static constexpr auto doc = "The maximum of each window of [N, C, ...] or [C, ...]";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& self, DimsView kernel_size, DimsView stride, DimsView padding, DimsView dilation,
                     bool ceil_mode) {
    return std::get<0>(MaxPoolWithIndices<n>::call(self, kernel_size, stride, padding, dilation, ceil_mode));
  }
};

template <int n>
struct AvgPoolNd {
  static constexpr auto schema =
      pick<n>("",
              "avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, "
              "bool count_include_pad=True, int? divisor_override=None) -> Tensor",
              "avg_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, bool ceil_mode=False, "
              "bool count_include_pad=True, int? divisor_override=None) -> Tensor");
  static constexpr auto doc = "The average of each window of [N, C, ...] or [C, ...]";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kOut;
  static Tensor call(const Tensor& self, DimsView kernel_size, DimsView stride, DimsView padding, bool ceil_mode,
                     bool count_include_pad, OptInt divisor_override) {
    MaxArguments a(pick<n>("avg_pool1d", "avg_pool2d", "avg_pool3d"), self, n, kernel_size, stride, padding, {1});
    return avg_pool(self, a.kernel, a.stride, a.padding, ceil_mode, count_include_pad, divisor_override);
  }
};

struct AvgPool1d {
  static constexpr auto schema =
      "avg_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, bool ceil_mode=False, "
      "bool count_include_pad=True) -> Tensor";
  static constexpr auto doc = AvgPoolNd<1>::doc;
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& self, DimsView kernel_size, DimsView stride, DimsView padding, bool ceil_mode,
                     bool count_include_pad) {
    return AvgPoolNd<1>::call(self, kernel_size, stride, padding, ceil_mode, count_include_pad, {});
  }
};

Dims adaptive_size(std::string_view op, const Tensor& x, DimsView output_size, int n) {
  Dims size = window_list(op, "output_size", output_size, n);
  EMBER_CHECK(x.dim() == n + 1 || x.dim() == n + 2, op, "(): Expected ", n + 1, "D or ", n + 2, "D tensor, but got ",
              x.sizes());
  for (int64_t s : size) {
    EMBER_CHECK(s >= 0, op, ": elements of output_size must be greater than or equal to 0 but received ", size);
  }
  for (int64_t i = x.dim() - n - 1; i < x.dim(); ++i) {
    EMBER_CHECK(x->sizes[static_cast<size_t>(i)] > 0, op,
                "(): Expected input to have non-zero size for non-batch dimensions, but input has sizes ", x.sizes(),
                " with dimension ", i, " being empty");
  }
  return size;
}

template <int n>
struct AdaptiveAvgPoolNd {
  static constexpr auto schema = pick<n>("adaptive_avg_pool1d(Tensor self, SymInt[1] output_size) -> Tensor",
                                         "adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor",
                                         "adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor");
  static constexpr auto doc = "The average over windows chosen so that the output has `output_size`";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& self, DimsView output_size) {
    constexpr auto op = pick<n>("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d");
    return adaptive_avg_pool(self, adaptive_size(op, self, output_size, n));
  }
};

template <int n>
struct AdaptiveMaxPoolNd {
  static constexpr auto schema = pick<n>("adaptive_max_pool1d(Tensor self, int[1] output_size) -> (Tensor, Tensor)",
                                         "adaptive_max_pool2d(Tensor self, int[2] output_size) -> (Tensor, Tensor)",
                                         "adaptive_max_pool3d(Tensor self, int[3] output_size) -> (Tensor, Tensor)");
  static constexpr auto doc = "The maximum over windows chosen so that the output has `output_size`, and where it lies";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor2 call(const Tensor& self, DimsView output_size) {
    constexpr auto op = pick<n>("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d");
    return adaptive_max_pool(self, adaptive_size(op, self, output_size, n));
  }
};

template <int n>
struct MaxUnpool {
  static constexpr auto schema = pick<n>(
      "", "max_unpool2d(Tensor self, Tensor indices, SymInt[2] output_size) -> Tensor",
      "max_unpool3d(Tensor self, Tensor indices, SymInt[3] output_size, int[3] stride, int[3] padding) -> Tensor");
  static constexpr auto doc = "Puts each value at its index in a plane of zeros: undoes max_pool with its indices";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor unpool(const Tensor& self, const Tensor& indices, DimsView output_size) {
    constexpr auto op = pick<n>("", "max_unpool2d", "max_unpool3d");
    EMBER_CHECK(indices.dtype() == DType::kInt64, op,
                ": elements in indices should be type int64 but got: ", indices.dtype());
    EMBER_CHECK(output_size.size() == n, op, ": There should be exactly ", n, " elements in output_size, but got ",
                output_size.size(), " elements.");
    EMBER_CHECK(self.dim() == n + 1 || self.dim() == n + 2, op, ": Input to ", op, " should be a ", n + 1, "d or ",
                n + 2, "d Tensor, but got a tensor with ", self.dim(), " dimensions.");
    EMBER_CHECK(self.sizes() == indices.sizes(), op,
                ": Expected shape of indices to be same as that of the input "
                "tensor (",
                self.sizes(), ") but got indices tensor with shape: ", indices.sizes());
    Dims sizes = self.sizes(), flat(self->sizes.begin(), self->sizes.end() - n);
    std::copy(output_size.begin(), output_size.end(), sizes.end() - n);
    flat.push_back(count(output_size));
    Tensor plane = zeros(flat, self.dtype(), self.device());
    Tensor y = reshape(scatter(plane, -1, flatten(indices, -n), flatten(self, -n)), sizes);
    return n == 2 && is_channels_last(self, n) ? contiguous(y, MemoryFormat::kChannelsLast) : y;
  }
};
struct MaxUnpool2d : MaxUnpool<2> {
  static Tensor call(const Tensor& self, const Tensor& indices, DimsView output_size) {
    return unpool(self, indices, output_size);
  }
};
struct MaxUnpool3d : MaxUnpool<3> {
  static Tensor call(const Tensor& self, const Tensor& indices, DimsView output_size, DimsView, DimsView) {
    return unpool(self, indices, output_size);
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> pool_ops() {
  return make_family<MaxPool, AdaptiveMaxPool, MaxPoolBackward, AvgPool, AvgPoolBackward, AdaptiveAvgPool,
                     AdaptiveAvgPoolBackward, MaxPoolWithIndices<1>, MaxPoolWithIndices<2>, MaxPoolWithIndices<3>,
                     MaxPoolNd<1>, MaxPoolNd<2>, MaxPoolNd<3>, AvgPool1d, AvgPoolNd<2>, AvgPoolNd<3>,
                     AdaptiveAvgPoolNd<1>, AdaptiveAvgPoolNd<2>, AdaptiveAvgPoolNd<3>, AdaptiveMaxPoolNd<1>,
                     AdaptiveMaxPoolNd<2>, AdaptiveMaxPoolNd<3>, MaxUnpool2d, MaxUnpool3d>();
}

}  // namespace ember
