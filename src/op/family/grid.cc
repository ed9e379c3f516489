// Reading images at points: grid_sample and the grids of affine maps (Jaderberg et al., 2015), and fractional pooling,
// whose windows lie at random places (Graham, 2014). All are compositions of gather and arithmetic on the points, hence
// differentiable in both the image and the points, any number of times.
#include <array>

#include "op/family/dense.h"

namespace ember {
namespace {

enum Interpolation : int64_t { kBilinear, kNearest, kBicubic };
enum Padding : int64_t { kZeros, kBorder, kReflection };

// One dim of a point: input indices with their weights; a weight that is undefined is 1.
struct Tap {
  Tensor index, weight;
};

Tensor reflect(const Tensor& x, double low, double high) {
  double span = high - low;
  if (span == 0) return x * 0;
  Tensor from = abs(x - Tensor(low)), turns = floor(from / Tensor(span)), rest = from - turns * Tensor(span);
  Tensor even = eq(remainder(turns, 2), 0);
  return where(even, rest, Tensor(span) - rest) + Tensor(low);
}
Tensor padded(Tensor x, int64_t size, int64_t padding, bool align) {
  if (padding == kZeros) return x;
  double top = static_cast<double>(size - 1);
  if (padding == kReflection) x = align ? reflect(x, 0, top) : reflect(x, -0.5, top + 0.5);
  return clamp(x, Scalar(0), Scalar(top));
}

// Keys' cubic weights of the four neighbours at distance 1 + t, t, 1 - t, 2 - t.
std::array<Tensor, 4> cubic_weights(const Tensor& t) {
  constexpr double a = -0.75;
  auto near = [](const Tensor& x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  auto far = [](const Tensor& x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  return {far(t + 1), near(t), near(1 - t), far(2 - t)};
}

std::vector<Tap> taps_of(const Tensor& points, int64_t size, int64_t mode, int64_t padding, bool align) {
  double n = static_cast<double>(size);
  Tensor x = align ? (points + 1) * Tensor((n - 1) / 2) : ((points + 1) * Tensor(n) - 1) / 2;
  if (mode == kBicubic) {
    Tensor first = floor(x);
    auto w = cubic_weights(x - first);
    std::vector<Tap> taps;
    for (int k = 0; k < 4; ++k)
      taps.push_back({padded(first + (k - 1), size, padding, align), w[static_cast<size_t>(k)]});
    return taps;
  }
  x = padded(x, size, padding, align);
  if (mode == kNearest) return {{round(x), {}}};
  Tensor first = floor(x), t = x - first;
  return {{first, 1 - t}, {first + 1, t}};
}

struct GridSampler {
  static constexpr auto schema =
      "grid_sampler(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor";
  static constexpr auto doc = R"(Values of input [N, C, H, W] at grid [N, H', W', 2], or of [N, C, D, H, W] at [..., 3].

Coordinates run from -1 to 1, x first. interpolation_mode: 0 linear, 1 nearest, 2 cubic; padding_mode: 0 zeros, 1
border,
2 reflection.)";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;

  static Tensor call(const Tensor& input, const Tensor& grid, int64_t mode, int64_t padding, bool align) {
    int64_t n = input.dim() - 2;
    EMBER_CHECK(n == 2 || n == 3,
                "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
                "got input with sizes ",
                input.sizes(), " and grid with sizes ", grid.sizes());
    EMBER_CHECK(grid.dim() == input.dim(),
                "grid_sampler(): expected 4D or 5D input and grid with same number of "
                "dimensions, but got input with sizes ",
                input.sizes(), " and grid with sizes ", grid.sizes());
    EMBER_CHECK(input.size(0) == grid.size(0),
                "grid_sampler(): expected grid and input to have same batch size, but got "
                "input with sizes ",
                input.sizes(), " and grid with sizes ", grid.sizes());
    EMBER_CHECK(grid.size(-1) == n, "grid_sampler(): expected grid to have size ", n,
                " in last dimension, but got grid "
                "with sizes ",
                grid.sizes());
    EMBER_CHECK(input.dtype() == grid.dtype(),
                "grid_sampler(): expected input and grid to have the same dtype, but "
                "input has ",
                input.dtype(), " and grid has ", grid.dtype());
    EMBER_CHECK(mode != kBicubic || n == 2, "grid_sampler(): bicubic interpolation only supports 4D input");
    std::vector<std::vector<Tap>> taps;
    for (int64_t d = 0; d < n; ++d) {
      Tensor points = flatten(select(grid, -1, n - 1 - d), 1);  // x, the last input dim, comes first in the grid
      taps.push_back(taps_of(points, input.size(d + 2), mode, padding, align));
    }
    Dims sizes{input.size(0), input.size(1)};
    for (int64_t d = 1; d <= n; ++d) sizes.push_back(grid.size(d));
    return reshape(sum_of_taps(flatten(input, 2), input, taps), sizes);
  }

 private:
  // All combinations of one tap a dim.
  static Tensor sum_of_taps(const Tensor& flat, const Tensor& input, const std::vector<std::vector<Tap>>& taps) {
    Tensor total;
    std::vector<size_t> which(taps.size());
    while (true) {
      Tensor index, weight, inside;
      for (size_t d = 0; d < taps.size(); ++d) {
        const Tap& t = taps[d][which[d]];
        int64_t size = input.size(static_cast<int64_t>(d) + 2);
        Tensor in = logical_and(ge(t.index, 0), le(t.index, size - 1));
        Tensor i = to_dtype(clamp(t.index, Scalar(0), Scalar(size - 1)), DType::kInt64);
        index = index.defined() ? index * size + i : i;
        inside = inside.defined() ? logical_and(inside, in) : in;
        if (t.weight.defined()) weight = weight.defined() ? weight * t.weight : t.weight;
      }
      Tensor at = expand(unsqueeze(index, 1), {flat.size(0), flat.size(1), index.size(1)});
      Tensor part = gather(flat, 2, at);
      if (weight.defined()) part = part * unsqueeze(weight, 1);
      part = where(unsqueeze(inside, 1), part, 0);
      total = total.defined() ? total + part : part;
      size_t d = 0;
      while (d < taps.size() && ++which[d] == taps[d].size()) which[d++] = 0;
      if (d == taps.size()) return total;
    }
  }
};

struct AffineGrid {
  static constexpr auto schema = "affine_grid_generator(Tensor theta, SymInt[] size, bool align_corners) -> Tensor";
  static constexpr auto doc = "Where each output element of `size` [N, C, ...] lies under the maps theta [N, n, n + 1]";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& theta, DimsView size, bool align) {
    EMBER_CHECK(size.size() == 4 || size.size() == 5,
                "affine_grid_generator needs 4d (spatial) or 5d (volumetric) inputs.");
    int64_t n = static_cast<int64_t>(size.size()) - 2;
    Dims space(size.begin() + 2, size.end());
    Dims wanted{size[0], n, n + 1};
    EMBER_CHECK(theta.sizes() == wanted, "affine_grid: Expected a batch of ", n == 2 ? "2D" : "3D",
                " affine matrices of shape Nx", n, "x", n + 1, " for size ", size, ". Got ", theta.sizes(), ".");
    std::vector<Tensor> axes;  // x first, then a 1
    for (int64_t d = n - 1; d >= 0; --d) {
      int64_t steps = space[static_cast<size_t>(d)];
      Tensor line = steps <= 1 ? zeros({steps}, theta.dtype(), theta.device())
                               : linspace(-1, 1, steps, theta.dtype(), theta.device());
      if (!align && steps > 1) line = line * Tensor(static_cast<double>(steps - 1) / static_cast<double>(steps));
      Dims shape(space.size(), 1);
      shape[static_cast<size_t>(d)] = steps;
      axes.push_back(expand(reshape(line, shape), space));
    }
    axes.push_back(ones(space, theta.dtype(), theta.device()));
    Tensor points = reshape(stack(axes, -1), {1, count(space), n + 1});
    Dims result{size[0]};
    result.append(DimsView(space)), result.push_back(n);
    return reshape(matmul(points, transpose(theta, 1, 2)), result);
  }
};

// The first index of each window along a dim: [N, C, out], from one random number a plane.
Tensor window_starts(const Tensor& u, int64_t in, int64_t out, int64_t kernel) {
  Tensor last = full({u.size(0), u.size(1), 1}, in - kernel, DType::kInt64, u.device());
  if (out == 1) return last;
  Tensor alpha(static_cast<double>(in - kernel) / static_cast<double>(out - 1)), v = unsqueeze(u, -1);
  Tensor i = arange(0, out - 1, 1, u.dtype(), u.device());
  Tensor starts = to_dtype(floor((i + v) * alpha), DType::kInt64) - to_dtype(floor(v * alpha), DType::kInt64);
  return cat(std::array<Tensor, 2>{starts, last}, -1);
}

template <int n>
struct FractionalMaxPool {
  static constexpr auto schema =
      n == 2 ? "fractional_max_pool2d(Tensor self, int[2] kernel_size, int[2] output_size, Tensor random_samples) -> "
               "(Tensor, Tensor)"
             : "fractional_max_pool3d(Tensor self, int[3] kernel_size, int[3] output_size, Tensor random_samples) -> "
               "(Tensor, Tensor)";
  static constexpr auto doc = "The maximum of windows at random fractional steps, and where in its plane it lies";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor2 call(const Tensor& self, DimsView kernel_size, DimsView output_size, const Tensor& samples) {
    constexpr auto op = n == 2 ? "fractional_max_pool2d" : "fractional_max_pool3d";
    EMBER_CHECK(self.dim() == n + 1 || self.dim() == n + 2, op, "(): Expected ", n + 1, "D or ", n + 2,
                "D tensor, but got: ", self.sizes());
    Dims kernel = per_dim(kernel_size, n, op, "kernel_size"), out = per_dim(output_size, n, op, "output_size");
    Tensor x = self.dim() == n + 2 ? self : unsqueeze(self, 0), index;  // index: [N, C, out..., window...]
    for (int d = 0; d < n; ++d) {
      size_t k = static_cast<size_t>(d);
      int64_t in = x.size(d + 2), span;
      EMBER_CHECK(kernel[k] > 0, op, "(): kernel_size must be greater than zero, but got ", kernel_size);
      EMBER_CHECK(out[k] >= 0, op, "(): output_size must not be negative, but got ", output_size);
      EMBER_CHECK(!__builtin_add_overflow(out[k], kernel[k], &span) && span <= in + 1, op, "(): pool size ", kernel[k],
                  " too large relative to input size ", in, " for ", out[k], " outputs");
      int64_t sample = n == 2 ? 1 - d : d;  // of two numbers, the first is the width's
      Tensor starts = window_starts(select(samples, -1, sample), in, out[k], kernel[k]);
      Tensor window = unsqueeze(starts, -1) + arange(0, kernel[k], 1, DType::kInt64, x.device());
      Dims shape{x.size(0), x.size(1)};
      shape.resize(2 + 2 * n, 1);
      shape[2 + k] = out[k], shape[2 + n + k] = kernel[k];
      window = reshape(window, shape);
      index = index.defined() ? index * in + window : window;
    }
    Tensor flat = flatten(index, 2 + n, -1), values = gather(flatten(x, 2), 2, flatten(flat, 2));
    auto [best, which] = max(reshape(values, flat.sizes()), -1, true);
    Tensor y = squeeze(best, {-1}), where = squeeze(gather(flat, -1, which), {-1});
    if (self.dim() == n + 2) return {y, where};
    return {squeeze(y, {0}), squeeze(where, {0})};
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> grid_ops() {
  return make_family<GridSampler, AffineGrid, FractionalMaxPool<2>, FractionalMaxPool<3>>();
}

}  // namespace ember
