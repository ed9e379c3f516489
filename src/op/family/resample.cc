// Resampling of images: nearest, linear and cubic interpolation in 1 to 3 dims, with and without antialiasing. Each is
// separable and linear, so one pair of ops carries all: along every dim an output element is a short weighted sum of
// input elements (a table of where and how much), and the gradient walks the same tables the other way.
#include <cmath>

#include "base/parallel.h"
#include "op/family/checks.h"
#include "op/family/dense.h"

namespace ember {
namespace {

enum Mode : int64_t { kNearest, kNearestExact, kLinear, kCubic, kLinearSmooth, kCubicSmooth };  // Smooth: antialiased

// For output j: weight[j * taps + k] of input index[j * taps + k].
struct Taps {
  int64_t taps = 1;
  std::vector<int64_t> index;
  std::vector<double> weight;
};

double cubic(double x, double a) {  // Keys' kernel (Keys, 1981)
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

// T: the type that positions are computed in, the tensor's own.
template <class T>
Taps make_taps(Mode mode, int64_t in, int64_t out, bool align_corners, double factor) {
  Taps t;
  T scale = align_corners ? (out > 1 ? static_cast<T>(in - 1) / static_cast<T>(out - 1) : 0)
            : factor > 0  ? static_cast<T>(1 / factor)
                          : static_cast<T>(in) / static_cast<T>(out);
  auto put = [&](int64_t i, double w) { t.index.push_back(std::clamp<int64_t>(i, 0, in - 1)), t.weight.push_back(w); };
  if (mode == kLinearSmooth || mode == kCubicSmooth) {
    double reach = mode == kLinearSmooth ? 1 : 2, wide = std::max<double>(scale, 1), support = reach * wide;
    t.taps = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
    for (int64_t j = 0; j < out; ++j) {
      T center = scale * (static_cast<T>(j) + static_cast<T>(0.5));
      int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
      int64_t n = std::min(static_cast<int64_t>(center + support + 0.5), in) - first;
      std::vector<double> w(static_cast<size_t>(t.taps));
      double total = 0;
      for (int64_t k = 0; k < std::min(n, t.taps); ++k) {
        double x = (static_cast<double>(k + first) - center + 0.5) / wide;
        w[k] = mode == kLinearSmooth ? std::max(0.0, 1 - std::abs(x)) : cubic(x, -0.5);
        total += w[k];
      }
      for (int64_t k = 0; k < t.taps; ++k) put(first + k, total != 0 ? w[k] / total : 0);
    }
    return t;
  }
  for (int64_t j = 0; j < out; ++j) {
    T center = align_corners ? scale * static_cast<T>(j)
                             : scale * (static_cast<T>(j) + static_cast<T>(0.5)) - static_cast<T>(0.5);
    switch (mode) {
      case kNearest:  // float for every dtype
      case kNearestExact: {
        float at = (static_cast<float>(j) + (mode == kNearest ? 0.f : 0.5f)) * static_cast<float>(scale);
        put(static_cast<int64_t>(std::floor(at)), 1);
        break;
      }
      case kLinear: {
        t.taps = 2;
        T x = in == out && factor <= 0 ? static_cast<T>(j) : std::max<T>(center, 0);
        int64_t i = std::min(static_cast<int64_t>(x), in - 1);
        T w = std::clamp<T>(x - static_cast<T>(i), 0, 1);
        put(i, 1 - w), put(i + 1, w);
        break;
      }
      default: {
        t.taps = 4;
        int64_t i = static_cast<int64_t>(std::floor(center));
        double w = std::clamp<double>(center - static_cast<T>(i), 0, 1);
        for (int64_t k = -1; k <= 2; ++k) put(i + k, cubic(static_cast<double>(k) - w, -0.75));
      }
    }
  }
  return t;
}

// One dim: x [outer, in, inner] -> y [outer, out, inner], or back from dy to dx.
template <class T>
void resample_dim(const Taps& t, const T* x, T* y, int64_t outer, int64_t in, int64_t out, int64_t inner, bool back) {
  int64_t from = back ? out : in, to = back ? in : out;
  parallel_for(0, outer, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, out * inner)), [&](int64_t b, int64_t e) {
    for (int64_t o = b; o < e; ++o) {
      const T* source = x + o * from * inner;
      T* target = y + o * to * inner;
      std::fill(target, target + to * inner, T(0));
      for (int64_t j = 0; j < out; ++j) {
        for (int64_t k = 0; k < t.taps; ++k) {
          const T w = static_cast<T>(t.weight[j * t.taps + k]);
          const int64_t i = t.index[j * t.taps + k];
          if (w == 0) continue;
          const T* s = source + (back ? j : i) * inner;
          T* d = target + (back ? i : j) * inner;
          for (int64_t c = 0; c < inner; ++c) d[c] += w * s[c];
        }
      }
    }
  });
}

// All spatial dims in turn; `back` runs the same tables from the output's sizes to the input's.
template <class T>
void resample(const Tensor& from, const Tensor& to, Mode mode, bool align_corners, std::optional<Span<double>> factors,
              bool back) {
  Dims sizes = from.sizes();
  DType compute = dtype_of<T>;
  Tensor now = dense(from, compute);
  int64_t n = from.dim() - 2;
  for (int64_t d = n - 1; d >= 0; --d) {
    size_t at = static_cast<size_t>(d) + 2;
    int64_t in = (back ? to : from).sizes()[at], out = (back ? from : to).sizes()[at];
    Taps taps = make_taps<T>(mode, in, out, align_corners, factors ? (*factors)[static_cast<size_t>(d)] : 0);
    int64_t outer = count(DimsView(sizes.data(), at)),
            inner = count(DimsView(sizes.data() + at + 1, sizes.size() - at - 1));
    sizes[at] = to.sizes()[at];
    Tensor next = empty_raw(sizes, compute);
    resample_dim<T>(taps, now.data<T>(), next.data<T>(), outer, in, out, inner, back);
    now = next;
  }
  if (!is_floating(to.dtype())) {  // images of bytes round
    T* p = now.data<T>();
    for (int64_t i = 0; i < now.numel(); ++i) p[i] = std::clamp<T>(std::nearbyint(p[i]), 0, 255);
  }
  cpu::copy(to, now);
}
void run(const Tensor& from, const Tensor& to, int64_t mode, bool align_corners, std::optional<Span<double>> factors,
         bool back) {
  if (to.numel() == 0) return;
  if (to.dtype() == DType::kFloat64) resample<double>(from, to, static_cast<Mode>(mode), align_corners, factors, back);
  else resample<float>(from, to, static_cast<Mode>(mode), align_corners, factors, back);
}

Meta image_meta(DimsView sizes, const Tensor& like) {
  Meta m(sizes, like);
  bool four = like.dim() == 4;
  MemoryFormat f = four ? MemoryFormat::kChannelsLast : MemoryFormat::kChannelsLast3d;
  if ((four || like.dim() == 5) && !like.is_contiguous() && like.is_contiguous(f)) m.strides = strides_of(f, sizes);
  return m;
}

// Sizes of an image whose spatial dims are `size`; `in` and `out` are the sizes that factors lead from and to.
Dims resampled_sizes(const Tensor& x, DimsView size, int64_t mode, std::optional<Span<double>> factors, bool back) {
  constexpr std::string_view op = "interpolate";
  const size_t n = size.size();
  EMBER_CHECK(n >= 1 && n <= 3 && x.sizes().size() == n + 2, op,
              ": expected 1 to 3 sizes and an input [N, C, ...] with "
              "as many spatial dims, but got ",
              size, " and an input of shape ", x.sizes());
  EMBER_CHECK(mode >= kNearest && mode <= kCubicSmooth, op, ": unknown mode ", mode);
  if (factors) check_length(op, "scale_factors", factors->size(), n);
  Dims sizes = x.sizes();
  for (size_t i = 0; i < n; ++i) {
    const int64_t in = back ? size[i] : sizes[i + 2], out = back ? sizes[i + 2] : size[i];
    EMBER_CHECK(in > 0 && out > 0, op, ": Input and output sizes should be greater than 0, but got ", in, " and ", out);
    const double reached = factors ? static_cast<double>(in) * (*factors)[i] : static_cast<double>(out);
    EMBER_CHECK(std::abs(reached - static_cast<double>(out)) <= 1, op, ": a scale factor of ",
                factors ? (*factors)[i] : 1, " does not lead from size ", in, " to ", out);
    sizes[i + 2] = size[i];
  }
  count(sizes);
  return sizes;
}

struct Resample {
  static constexpr auto schema =
      "_resample(Tensor self, SymInt[] output_size, int mode, bool align_corners, float[]? scale_factors=None) -> "
      "Tensor";
  static constexpr auto doc = "Interpolation of [N, C, ...] to other spatial sizes";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& x, DimsView size, int64_t mode, bool, std::optional<Span<double>> factors) {
    EMBER_CHECK_NOT_IMPLEMENTED(is_floating(x.dtype()) || x.dtype() == DType::kUInt8,
                                "interpolate: \"upsample\" not implemented for '", type_word(x.dtype()), "'");
    return image_meta(resampled_sizes(x, size, mode, factors, false), x);
  }
  static void cpu(Out y, const Tensor& x, DimsView, int64_t mode, bool align, std::optional<Span<double>> factors) {
    run(x, y, mode, align, factors, false);
  }
  static void vjp(Grads& d, const Tensor& x, DimsView, int64_t mode, bool align, std::optional<Span<double>> factors) {
    d.set(0, resample_backward(d.g(), DimsView(x->sizes.data() + 2, x->sizes.size() - 2), mode, align, factors));
  }
};

struct ResampleBackward {
  static constexpr auto schema =
      "_resample_backward(Tensor grad_output, SymInt[] input_size, int mode, bool align_corners, float[]? "
      "scale_factors) -> Tensor";
  static constexpr auto doc = "The gradient of interpolation to an input of these spatial sizes";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& g, DimsView size, int64_t mode, bool, std::optional<Span<double>> factors) {
    check_floating(g, "interpolate", "upsample_backward");
    return image_meta(resampled_sizes(g, size, mode, factors, true), g);
  }
  static void cpu(Out dx, const Tensor& g, DimsView, int64_t mode, bool align, std::optional<Span<double>> factors) {
    run(g, dx, mode, align, factors, true);
  }
  static void vjp(Grads& d, const Tensor& g, DimsView, int64_t mode, bool align, std::optional<Span<double>> factors) {
    d.set(0, ember::resample(d.g(), DimsView(g->sizes.data() + 2, g->sizes.size() - 2), mode, align, factors));
  }
};

Tensor upsampled(const Tensor& x, OptDims size, std::optional<Span<double>> factors, Mode mode, bool align, int64_t n) {
  EMBER_CHECK(x.dim() == n + 2, "interpolate: expected an input of ", n + 2, " dims [N, C, ...], but got ", x.sizes());
  EMBER_CHECK(size.has_value() != factors.has_value(),
              "interpolate: Must specify exactly one of output_size and "
              "scale_factors");
  Dims out;
  for (int64_t i = 0; i < n; ++i) {
    size_t k = static_cast<size_t>(i);
    EMBER_CHECK(static_cast<int64_t>(size ? size->size() : factors->size()) == n,
                "interpolate: expected one size or factor for each of ", n, " spatial dims");
    double in = static_cast<double>(x->sizes[k + 2]);
    EMBER_CHECK(!factors || (in * (*factors)[k] >= 0 && in * (*factors)[k] < 0x1p62),
                "interpolate: scale_factors must "
                "be finite and positive, but got ",
                (*factors)[k]);
    out.push_back(size ? (*size)[k] : static_cast<int64_t>(std::floor(in * (*factors)[k])));
    EMBER_CHECK(x->sizes[k + 2] > 0 && out[k] > 0,
                "interpolate: Input and output sizes should be greater than 0, but "
                "got input ",
                x.sizes(), " and output ", out);
  }
  return resample(x, out, mode, align, factors);
}

template <Mode mode, int n>
constexpr auto nearest_schema() {
  if constexpr (mode == kNearest) {
    return n == 1   ? "upsample_nearest1d(Tensor input, SymInt[]? output_size, float[]? scale_factors=None) -> Tensor"
           : n == 2 ? "upsample_nearest2d(Tensor input, SymInt[]? output_size, float[]? scale_factors=None) -> Tensor"
                    : "upsample_nearest3d(Tensor input, SymInt[]? output_size, float[]? scale_factors=None) -> Tensor";
  } else {
    return n == 1
               ? "_upsample_nearest_exact1d(Tensor input, SymInt[]? output_size, float[]? scale_factors=None) -> Tensor"
           : n == 2
               ? "_upsample_nearest_exact2d(Tensor input, SymInt[]? output_size, float[]? scale_factors=None) -> Tensor"
               : "_upsample_nearest_exact3d(Tensor input, SymInt[]? output_size, float[]? scale_factors=None) -> "
                 "Tensor";
  }
}
template <Mode mode, int n>
struct Nearest {
  static constexpr auto schema = nearest_schema<mode, n>();
  static constexpr auto doc = "The nearest element: by the corner of a pixel, or (exact) by its centre";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& x, OptDims size, std::optional<Span<double>> factors) {
    return upsampled(x, size, factors, mode, false, n);
  }
};

#define EMBER_SMOOTH(Struct, name, mode, n) \
  struct Struct { \
    static constexpr auto schema = \
        name "(Tensor input, SymInt[]? output_size, bool align_corners=False, float[]? scale_factors=None) -> Tensor"; \
    static constexpr auto doc = "Interpolation; align_corners: the corner elements keep their places"; \
    static constexpr auto kind = Kind::kComposite; \
    static constexpr auto forms = form::kFunction; \
    static Tensor call(const Tensor& x, OptDims size, bool align, std::optional<Span<double>> factors) { \
      return upsampled(x, size, factors, mode, align, n); \
    } \
  };
EMBER_SMOOTH(Linear1d, "upsample_linear1d", kLinear, 1)
EMBER_SMOOTH(Bilinear2d, "upsample_bilinear2d", kLinear, 2)
EMBER_SMOOTH(Trilinear3d, "upsample_trilinear3d", kLinear, 3)
EMBER_SMOOTH(Bicubic2d, "upsample_bicubic2d", kCubic, 2)
EMBER_SMOOTH(Bilinear2dSmooth, "_upsample_bilinear2d_aa", kLinearSmooth, 2)
EMBER_SMOOTH(Bicubic2dSmooth, "_upsample_bicubic2d_aa", kCubicSmooth, 2)
#undef EMBER_SMOOTH

}  // namespace

std::vector<std::unique_ptr<Op>> resample_ops() {
  return make_family<Resample, ResampleBackward, Nearest<kNearest, 1>, Nearest<kNearest, 2>, Nearest<kNearest, 3>,
                     Nearest<kNearestExact, 1>, Nearest<kNearestExact, 2>, Nearest<kNearestExact, 3>, Linear1d,
                     Bilinear2d, Trilinear3d, Bicubic2d, Bilinear2dSmooth, Bicubic2dSmooth>();
}

}  // namespace ember
