// Distances and similarities between vectors.
#include <cmath>

#include "op/family/dense.h"

namespace ember {
namespace {

struct Distance {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
};

struct PairwiseDistance : Distance {
  static constexpr auto schema =
      "pairwise_distance(Tensor x1, Tensor x2, float p=2, float eps=1e-06, bool keepdim=False) -> Tensor";
  static constexpr auto doc = "The p-norm of x1 - x2 + eps along the last dim";
  static Tensor call(const Tensor& x1, const Tensor& x2, double p, double eps, bool keepdim) {
    return norm(x1 - x2 + Tensor(eps), p, Dims{std::max(x1.dim(), x2.dim()) - 1}, keepdim);
  }
};

struct CosineSimilarity : Distance {
  static constexpr auto schema = "cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor";
  static constexpr auto doc = "x1 . x2 / (max(|x1|, eps) * max(|x2|, eps)) along `dim`";
  static Tensor call(const Tensor& x1, const Tensor& x2, int64_t dim, double eps) {
    EMBER_CHECK(is_differentiable(promote_types(x1.dtype(), x2.dtype())),
                "cosine_similarity: expected common dtype to be floating point, yet common dtype is ",
                promote_types(x1.dtype(), x2.dtype()));
    Dims sizes = broadcast_shapes(x1.sizes(), x2.sizes());
    auto unit = [&](const Tensor& x) {
      Tensor wide = expand(x, sizes);
      return wide / clamp_min(norm(wide, 2, Dims{dim}, true), Tensor(eps));
    };
    return sum(unit(x1) * unit(x2), Dims{dim});
  }
};

// |a - b|^2 = |a|^2 + |b|^2 - 2 a b: a matrix product instead of all differences. Where rounding leaves nothing, the
// distance is 0 and so is its gradient.
Tensor euclidean(const Tensor& a, const Tensor& b) {
  auto square_sum = [](const Tensor& x) { return sum(x * x, Dims{-1}, true); };
  Tensor square = square_sum(a) + transpose(square_sum(b), -2, -1) - 2 * matmul(a, transpose(b, -2, -1));
  Tensor nothing = le(square, 0);
  return masked_fill(sqrt(masked_fill(square, nothing, 1)), nothing, 0);
}

struct Cdist : Distance {
  static constexpr auto schema = "cdist(Tensor x1, Tensor x2, float p=2, int? compute_mode=None) -> Tensor";
  static constexpr auto doc = R"(The p-norm between all rows of x1 [..., P, M] and x2 [..., R, M]: [..., P, R].

compute_mode: 0 takes the matrix product for p = 2 above 25 rows, 1 always, 2 never.)";
  static Tensor call(const Tensor& x1, const Tensor& x2, double p, OptInt compute_mode) {
    EMBER_CHECK(is_floating(x1.dtype()), "cdist only supports floating-point dtypes, X1 got: ", x1.dtype());
    EMBER_CHECK(is_floating(x2.dtype()), "cdist only supports floating-point dtypes, X2 got: ", x2.dtype());
    EMBER_CHECK(x1.dim() >= 2 && x2.dim() >= 2, "cdist only supports at least 2D tensors, X1 got: ", x1.dim(),
                "D and X2 got: ", x2.dim(), "D");
    EMBER_CHECK(x1.size(-1) == x2.size(-1), "cdist: X1 and X2 must have the same number of columns. X1: ", x1.size(-1),
                " X2: ", x2.size(-1));
    EMBER_CHECK(p >= 0, "cdist only supports non-negative p values");
    int64_t mode = compute_mode.value_or(0);
    EMBER_CHECK(mode >= 0 && mode <= 2, "cdist: possible modes: 0, 1, 2, but was: ", mode);
    bool many = x1.size(-2) > 25 || x2.size(-2) > 25;
    if (p == 2 && (mode == 1 || (mode == 0 && many))) return euclidean(x1, x2);
    return norm(unsqueeze(x1, -2) - unsqueeze(x2, -3), p, Dims{-1});
  }
};

struct Pdist : Distance {
  static constexpr auto schema = "pdist(Tensor self, float p=2) -> Tensor";
  static constexpr auto doc = "The p-norm between all pairs of rows i < j of self [N, M]";
  static Tensor call(const Tensor& self, double p) {
    EMBER_CHECK(self.dim() == 2, "pdist only supports 2D tensors, got: ", self.dim(), "D");
    EMBER_CHECK(is_floating(self.dtype()), "pdist only supports floating-point dtypes");
    EMBER_CHECK(p >= 0, "pdist only supports non-negative p values");
    std::vector<Tensor> parts;
    int64_t n = self->sizes[0];
    for (int64_t i = 0; i + 1 < n; ++i)
      parts.push_back(norm(select(self, 0, i) - narrow(self, 0, i + 1, n - i - 1), p, Dims{-1}));
    return parts.empty() ? empty({0}, self.dtype(), self.device()) : cat(parts);
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> distance_ops() {
  return make_family<PairwiseDistance, CosineSimilarity, Cdist, Pdist>();
}

}  // namespace ember
