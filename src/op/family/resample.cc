// Resampling images: what nn.functional.interpolate does. One dim after the other, each a sum of picked slices times
// weights, so gradients of every order follow from index_select and mul; with antialiasing, where a pixel reads many
// neighbours, a product with the matrix of weights. Also bilinear, the layer of two inputs.
// Positions are computed in the precision that PyTorch takes (float for float32 images), since they are rounded.
#include <algorithm>
#include <cmath>

#include "op/make.h"
#include "op/ops.h"

namespace ember {
namespace {

enum class Way { kNearest, kNearestExact, kLinear, kCubic };

// One dim: how far apart the outputs lie in the input, and the sizes.
template <class T>
struct Axis {
  int64_t in, out;
  bool align;
  T step;
  Axis(int64_t in, int64_t out, bool align, double factor) : in(in), out(out), align(align) {
    if (align) step = out > 1 ? static_cast<T>(in - 1) / static_cast<T>(out - 1) : T(0);
    else step = factor > 0 ? static_cast<T>(1.0 / factor) : static_cast<T>(in) / static_cast<T>(out);
  }
  T source(int64_t i) const { return align ? step * i : step * (static_cast<T>(i) + T(0.5)) - T(0.5); }
};

template <class T>
T cubic_near(T x, T a) {  // |x| <= 1
  return ((a + 2) * x - (a + 3)) * x * x + 1;
}
template <class T>
T cubic_far(T x, T a) {  // 1 < |x| < 2
  return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

// The k-th slice that each output reads, and its weight.
struct Tap {
  Tensor index, weight;
};

template <class T>
std::vector<Tap> taps(Way way, const Axis<T>& axis, DType dtype) {
  size_t count = way == Way::kLinear ? 2 : way == Way::kCubic ? 4 : 1;
  std::vector<Tap> out(count);
  for (Tap& tap : out) { tap = {empty_raw(Dims{axis.out}, DType::kInt64), empty_raw(Dims{axis.out}, dtype)}; }
  auto set = [&](size_t k, int64_t i, int64_t from, T weight) {
    out[k].index.data<int64_t>()[i] = std::clamp<int64_t>(from, 0, axis.in - 1);
    out[k].weight.data<T>()[i] = weight;
  };
  for (int64_t i = 0; i < axis.out; ++i) {
    if (way == Way::kNearest || way == Way::kNearestExact) {
      float at = (static_cast<float>(i) + (way == Way::kNearest ? 0.f : 0.5f)) * static_cast<float>(axis.step);
      bool same = way == Way::kNearest && axis.in == axis.out;
      set(0, i, same ? i : static_cast<int64_t>(std::floor(at)), 1);
      continue;
    }
    T at = axis.source(i);
    if (way == Way::kLinear) {
      at = std::max(at, T(0));
      int64_t first = std::min(static_cast<int64_t>(at), axis.in - 1);
      T weight = std::clamp(at - static_cast<T>(first), T(0), T(1));
      set(0, i, first, 1 - weight);
      set(1, i, first + 1, weight);
      continue;
    }
    T floor = std::floor(at), t = at - floor, a = T(-0.75);
    T weights[4] = {cubic_far(t + 1, a), cubic_near(t, a), cubic_near(1 - t, a), cubic_far(2 - t, a)};
    for (int64_t k = 0; k < 4; ++k) set(k, i, static_cast<int64_t>(floor) - 1 + k, weights[k]);
  }
  return out;
}

template <class T>
Tensor along(const Tensor& x, int64_t dim, Way way, const Axis<T>& axis, DType dtype) {
  std::vector<Tap> all = taps(way, axis, dtype);
  if (all.size() == 1) return index_select(x, dim, all[0].index);
  Dims shape(static_cast<size_t>(x.dim()), 1);
  shape[static_cast<size_t>(dim)] = axis.out;
  Tensor y;
  for (const Tap& tap : all) {
    Tensor part = mul(index_select(x, dim, tap.index), reshape(tap.weight, shape));
    y = y.defined() ? add(y, part) : part;
  }
  return y;
}

// The matrix [in, out] of an antialiased dim: a triangle or a cubic, stretched by the step where that shrinks the
// image.
template <class T>
Tensor smooth(Way way, const Axis<T>& axis, DType dtype) {
  T reach = (way == Way::kLinear ? T(1) : T(2)) * std::max(axis.step, T(1)), squeeze = 1 / std::max(axis.step, T(1));
  auto filter = [&](T x) {
    x = std::abs(x);
    if (way == Way::kLinear) return std::max(T(1) - x, T(0));
    return x < 1 ? cubic_near(x, T(-0.5)) : x < 2 ? cubic_far(x, T(-0.5)) : T(0);
  };
  Tensor matrix = empty_raw(Dims{axis.in, axis.out}, dtype);
  T* weights = matrix.data<T>();
  std::fill_n(weights, axis.in * axis.out, T(0));
  for (int64_t i = 0; i < axis.out; ++i) {
    T centre = axis.step * (static_cast<T>(i) + T(0.5)), total = 0;
    auto first = std::max<int64_t>(static_cast<int64_t>(centre - reach + T(0.5)), 0);
    auto last = std::min<int64_t>(static_cast<int64_t>(centre + reach + T(0.5)), axis.in);
    for (int64_t j = first; j < last; ++j) {
      T weight = filter((static_cast<T>(j) - centre + T(0.5)) * squeeze);
      weights[j * axis.out + i] = weight;
      total += weight;
    }
    for (int64_t j = first; j < last; ++j) weights[j * axis.out + i] /= total;
  }
  return matrix;
}

Tensor times(const Tensor& x, int64_t dim, const Tensor& matrix) {
  int64_t last = x.dim() - 1;
  Dims order;
  for (int64_t k = 0; k <= last; ++k) order.push_back(k == dim ? last : k == last ? dim : k);
  return permute(matmul(permute(x, order), matrix), order);
}

template <class T>
Tensor resample_as(const Tensor& x, Way way, DimsView sizes, bool align, Span<double> factors, bool antialias,
                   DType dtype) {
  Tensor y = x;
  for (size_t k = sizes.size(); k-- > 0;) {
    auto dim = static_cast<int64_t>(k) + 2;
    Axis<T> axis(x.sizes()[k + 2], sizes[k], align, factors.empty() ? 0 : factors[k]);
    y = antialias ? times(y, dim, smooth(way, axis, dtype)) : along(y, dim, way, axis, dtype);
  }
  return y;
}

Tensor resample(std::string_view op, const Tensor& x, size_t dims, Way way, OptDims output_size, bool align,
                Span<double> factors, bool antialias = false) {
  bool picks = way == Way::kNearest || way == Way::kNearestExact;
  EMBER_CHECK(x.dim() == static_cast<int64_t>(dims) + 2, op, ": expected a ", static_cast<int64_t>(dims) + 2,
              "-D input [N, C, ...], got shape ", x.sizes());
  EMBER_CHECK(output_size.has_value() != !factors.empty(), op, ": give either output_size or scale_factors");
  EMBER_CHECK(picks || is_floating(x.dtype()), op, ": expected a floating point input, got ", x.dtype());
  Dims sizes;
  for (size_t k = 0; k < dims; ++k) {
    bool given = output_size.has_value();
    size_t have = given ? output_size->size() : factors.size();
    EMBER_CHECK(have == dims, op, ": expected ", static_cast<int64_t>(dims), given ? " sizes" : " factors", ", got ",
                static_cast<int64_t>(have));
    int64_t in = x.sizes()[k + 2];
    double scaled = given ? static_cast<double>((*output_size)[k]) : static_cast<double>(in) * factors[k];
    EMBER_CHECK(in > 0 && scaled >= 1 && scaled < 9e15, op,
                ": Input and output sizes should be greater than 0, but got input ", in, " and output ", scaled);
    sizes.push_back(static_cast<int64_t>(scaled));
  }
  bool narrow = is_reduced_float(x.dtype()) && !picks;
  Tensor wide = narrow ? to_dtype(x, DType::kFloat32) : x;
  Tensor y = x.dtype() == DType::kFloat64
                 ? resample_as<double>(wide, way, sizes, align, factors, antialias, DType::kFloat64)
                 : resample_as<float>(wide, way, sizes, align, factors, antialias, DType::kFloat32);
  return narrow ? to_dtype(y, x.dtype()) : y;
}

#define EMBER_PICK(Name, op, dims, way)                                                                               \
  struct Name {                                                                                                       \
    static constexpr auto schema = op "(Tensor input, SymInt[]? output_size, float[]? scale_factors=None) -> Tensor"; \
    static constexpr auto doc = "Each of the last " #dims " dims resampled by picking the nearest value";             \
    static constexpr auto kind = Kind::kComposite;                                                                    \
    static constexpr auto forms = form::kFunction;                                                                    \
    static Tensor call(const Tensor& x, OptDims size, Span<double> factors) {                                         \
      return resample(op, x, dims, way, size, false, factors);                                                        \
    }                                                                                                                 \
  };
EMBER_PICK(Nearest1d, "upsample_nearest1d", 1, Way::kNearest)
EMBER_PICK(Nearest2d, "upsample_nearest2d", 2, Way::kNearest)
EMBER_PICK(Nearest3d, "upsample_nearest3d", 3, Way::kNearest)
EMBER_PICK(Exact1d, "_upsample_nearest_exact1d", 1, Way::kNearestExact)
EMBER_PICK(Exact2d, "_upsample_nearest_exact2d", 2, Way::kNearestExact)
EMBER_PICK(Exact3d, "_upsample_nearest_exact3d", 3, Way::kNearestExact)
#undef EMBER_PICK

#define EMBER_WEIGH(Name, op, dims, way, antialias)                                                                  \
  struct Name {                                                                                                      \
    static constexpr auto schema =                                                                                   \
        op "(Tensor input, SymInt[]? output_size, bool align_corners=False, float[]? scale_factors=None) -> Tensor"; \
    static constexpr auto doc = "Each of the last " #dims " dims resampled by a weighted sum of neighbours";         \
    static constexpr auto kind = Kind::kComposite;                                                                   \
    static constexpr auto forms = form::kFunction;                                                                   \
    static Tensor call(const Tensor& x, OptDims size, bool align, Span<double> factors) {                            \
      return resample(op, x, dims, way, size, align, factors, antialias);                                            \
    }                                                                                                                \
  };
EMBER_WEIGH(Linear1d, "upsample_linear1d", 1, Way::kLinear, false)
EMBER_WEIGH(Bilinear2d, "upsample_bilinear2d", 2, Way::kLinear, false)
EMBER_WEIGH(Trilinear3d, "upsample_trilinear3d", 3, Way::kLinear, false)
EMBER_WEIGH(Bicubic2d, "upsample_bicubic2d", 2, Way::kCubic, false)
EMBER_WEIGH(SmoothBilinear2d, "_upsample_bilinear2d_aa", 2, Way::kLinear, true)
EMBER_WEIGH(SmoothBicubic2d, "_upsample_bicubic2d_aa", 2, Way::kCubic, true)
#undef EMBER_WEIGH

struct Bilinear {
  static constexpr auto schema = "bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor";
  static constexpr auto doc = "sum over i, j of x1[i] * weight[k, i, j] * x2[j], + bias[k]: [*, I], [*, J] -> [*, K]";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& x1, const Tensor& x2, const Tensor& weight, const OptTensor& bias) {
    EMBER_CHECK(weight.dim() == 3, "bilinear(): weight must be 3-D, got shape ", weight.sizes());
    int64_t k = weight.sizes()[0], i = weight.sizes()[1], j = weight.sizes()[2];
    EMBER_CHECK(x1.dim() >= 1 && x1.dim() == x2.dim(), "bilinear(): input dimensions do not match: got ", x1.dim(),
                " and ", x2.dim());
    for (int64_t d = 0; d + 1 < x1.dim(); ++d) {
      EMBER_CHECK(x1.sizes()[d] == x2.sizes()[d], "bilinear(): input batch dimensions do not match at dim ", d,
                  ": got ", x1.sizes()[d], " and ", x2.sizes()[d]);
    }
    EMBER_CHECK(x1.sizes().back() == i, "bilinear(): input1 size does not match weight size: got ", x1.sizes().back(),
                " but expected ", i);
    EMBER_CHECK(x2.sizes().back() == j, "bilinear(): input2 size does not match weight size: got ", x2.sizes().back(),
                " but expected ", j);
    Dims shape = x1.sizes();
    shape.back() = k;
    int64_t rows = x1.numel() / std::max<int64_t>(i, 1);
    Tensor first = matmul(reshape(x1, Dims{rows, i}), reshape(permute(weight, Dims{1, 0, 2}), Dims{i, k * j}));
    Tensor y = matmul(reshape(first, Dims{rows, k, j}), reshape(x2, Dims{rows, j, 1}));
    y = reshape(y, shape);
    return bias.defined() ? add(y, bias) : y;
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> resample_ops() {
  return make_family<Nearest1d, Nearest2d, Nearest3d, Exact1d, Exact2d, Exact3d, Linear1d, Bilinear2d, Trilinear3d,
                     Bicubic2d, SmoothBilinear2d, SmoothBicubic2d, Bilinear>();
}

}  // namespace ember
