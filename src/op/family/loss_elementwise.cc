// Losses between tensors element by element, and margins between vectors: compositions of the fused expressions in
// pointwise_loss.cc and of ordinary ops. `reduction`: 0 none, 1 mean, 2 sum.
#include <cmath>
#include <numbers>

#include "op/family/dense.h"

namespace ember {
namespace {

struct Loss {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
};

Tensor reduced(const Tensor& loss, int64_t reduction) {
  return reduction == reduction::kMean ? mean(loss) : reduction == reduction::kSum ? sum(loss) : loss;
}
Tensor hinge(const Tensor& x) { return clamp_min(x, 0); }

Tensor squared_error(const Tensor& x, const Tensor& t) { EMBER_CALL("_squared_error", x, t); }
Tensor smooth_l1(const Tensor& x, const Tensor& t, double beta) { EMBER_CALL("_smooth_l1", x, t, beta); }
Tensor huber(const Tensor& x, const Tensor& t, double delta) { EMBER_CALL("_huber", x, t, delta); }
Tensor bce(const Tensor& x, const Tensor& t) { EMBER_CALL("_binary_cross_entropy", x, t); }
Tensor bce_logits(const Tensor& x, const Tensor& t) { EMBER_CALL("_binary_cross_entropy_logits", x, t); }
Tensor kl(const Tensor& x, const Tensor& t) { EMBER_CALL("_kl_div", x, t); }
Tensor kl_log(const Tensor& x, const Tensor& t) { EMBER_CALL("_kl_div_log", x, t); }

struct MseLoss : Loss {
  static constexpr auto schema = "mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor";
  static constexpr auto doc = "(self - target)^2";
  static Tensor call(const Tensor& x, const Tensor& t, int64_t reduction) {
    return reduced(squared_error(x, t), reduction);
  }
};

struct L1Loss : Loss {
  static constexpr auto schema = "l1_loss(Tensor self, Tensor target, int reduction=1) -> Tensor";
  static constexpr auto doc = "|self - target|";
  static Tensor call(const Tensor& x, const Tensor& t, int64_t reduction) { return reduced(abs(x - t), reduction); }
};

struct SmoothL1Loss : Loss {
  static constexpr auto schema =
      "smooth_l1_loss(Tensor self, Tensor target, int reduction=1, float beta=1.0) -> Tensor";
  static constexpr auto doc = "d^2 / (2 beta) where d = |self - target| < beta, else d - beta / 2 (Girshick, 2015)";
  static Tensor call(const Tensor& x, const Tensor& t, int64_t reduction, double beta) {
    EMBER_CHECK(beta >= 0, "smooth_l1_loss does not support negative values for beta; got ", beta);
    return beta == 0 ? L1Loss::call(x, t, reduction) : reduced(smooth_l1(x, t, beta), reduction);
  }
};

struct HuberLoss : Loss {
  static constexpr auto schema = "huber_loss(Tensor self, Tensor target, int reduction=1, float delta=1.0) -> Tensor";
  static constexpr auto doc = "d^2 / 2 where d = |self - target| <= delta, else delta * (d - delta / 2) (Huber, 1964)";
  static Tensor call(const Tensor& x, const Tensor& t, int64_t reduction, double delta) {
    EMBER_CHECK(delta > 0, "huber_loss does not support non-positive values for delta; got ", delta);
    return reduced(huber(x, t, delta), reduction);
  }
};

struct BinaryCrossEntropy : Loss {
  static constexpr auto schema =
      "binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor";
  static constexpr auto doc = "-(t log x + (1 - t) log(1 - x)) of probabilities x; logarithms are at least -100";
  static Tensor call(const Tensor& x, const Tensor& t, const OptTensor& weight, int64_t reduction) {
    if (!x.is_meta() && x.numel()) {
      Without off(key::kGrad);
      EMBER_CHECK(amin(x).item<double>() >= 0 && amax(x).item<double>() <= 1,
                  "binary_cross_entropy: all elements of input should be between 0 and 1");
    }
    Tensor loss = bce(x, t);
    return reduced(weight.defined() ? loss * weight : loss, reduction);
  }
};

struct BinaryCrossEntropyWithLogits : Loss {
  static constexpr auto schema =
      "binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, "
      "int reduction=1) -> Tensor";
  static constexpr auto doc = "binary_cross_entropy(sigmoid(self), target) without overflow; pos_weight weighs t = 1";
  static Tensor call(const Tensor& x, const Tensor& t, const OptTensor& weight, const OptTensor& pos_weight,
                     int64_t reduction) {
    Tensor loss = pos_weight.defined() ? (1 - t) * x - ((pos_weight - 1) * t + 1) * log_sigmoid(x) : bce_logits(x, t);
    return reduced(weight.defined() ? loss * weight : loss, reduction);
  }
};

struct KlDivLoss : Loss {
  static constexpr auto schema =
      "kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> Tensor";
  static constexpr auto doc = "target * (log target - self) of log-probabilities self (Kullback and Leibler, 1951)";
  static Tensor call(const Tensor& x, const Tensor& t, int64_t reduction, bool log_target) {
    return reduced(log_target ? kl_log(x, t) : kl(x, t), reduction);
  }
};

struct PoissonNllLoss : Loss {
  static constexpr auto schema =
      "poisson_nll_loss(Tensor input, Tensor target, bool log_input, bool full, float eps, int reduction) -> Tensor";
  static constexpr auto doc =
      "exp(x) - t x, or x - t log(x + eps) where not log_input; `full` adds Stirling's formula for t > 1";
  static Tensor call(const Tensor& x, const Tensor& t, bool log_input, bool full, double eps, int64_t reduction) {
    Tensor loss = log_input ? exp(x) - t * x : x - t * log(x + Tensor(eps));
    if (full) {
      Tensor stirling = t * log(t) - t + 0.5 * log(2 * std::numbers::pi * t);
      loss = loss + masked_fill(stirling, le(t, 1), 0);
    }
    return reduced(loss, reduction);
  }
};

struct MarginRankingLoss : Loss {
  static constexpr auto schema =
      "margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=1) -> Tensor";
  static constexpr auto doc = "max(0, -target * (input1 - input2) + margin)";
  static Tensor call(const Tensor& a, const Tensor& b, const Tensor& t, double margin, int64_t reduction) {
    return reduced(hinge(-t * (a - b) + Tensor(margin)), reduction);
  }
};

struct HingeEmbeddingLoss : Loss {
  static constexpr auto schema =
      "hinge_embedding_loss(Tensor self, Tensor target, float margin=1.0, int reduction=1) -> Tensor";
  static constexpr auto doc = "x for target 1, max(0, margin - x) for target -1";
  static Tensor call(const Tensor& x, const Tensor& t, double margin, int64_t reduction) {
    Tensor far = where(ne(t, 1), hinge(Tensor(margin) - x), 0), near = where(ne(t, -1), x, 0);
    return reduced(far + near, reduction);
  }
};

struct SoftMarginLoss : Loss {
  static constexpr auto schema = "soft_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor";
  static constexpr auto doc = "log(1 + exp(-target * self))";
  static Tensor call(const Tensor& x, const Tensor& t, int64_t reduction) {
    return reduced(-log_sigmoid(t * x), reduction);
  }
};

struct CosineEmbeddingLoss : Loss {
  static constexpr auto schema =
      "cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=1) -> Tensor";
  static constexpr auto doc = "1 - cos for target 1, max(0, cos - margin) for target -1; inputs [N, D] or [D]";
  static Tensor call(const Tensor& a, const Tensor& b, const Tensor& t, double margin, int64_t reduction) {
    EMBER_CHECK(t.dim() <= 1, "cosine_embedding_loss: 0D or 1D target tensor expected, multi-target not supported");
    EMBER_CHECK(a.sizes() == b.sizes() && a.dim() == t.dim() + 1, "cosine_embedding_loss: ", t.dim(),
                "D target tensor expects ", t.dim() + 1, "D input tensors, but found inputs with sizes ", a.sizes(),
                " and ", b.sizes());
    auto over = [&](const Tensor& x) { return sum(x, Dims{t.dim()}); };
    constexpr double kTiny = 1e-12;
    Tensor cos = over(a * b) / sqrt((over(a * a) + kTiny) * (over(b * b) + kTiny));
    return reduced(where(eq(t, 1), 1 - cos, 0) + where(eq(t, -1), hinge(cos - Tensor(margin)), 0), reduction);
  }
};

struct TripletMarginLoss : Loss {
  static constexpr auto schema =
      "triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1.0, float p=2, float "
      "eps=1e-06, bool swap=False, int reduction=1) -> Tensor";
  static constexpr auto doc = "max(0, d(a, p) - d(a, n) + margin) with the p-norm as distance (Balntas et al., 2016)";
  static Tensor call(const Tensor& a, const Tensor& positive, const Tensor& negative, double margin, double p,
                     double eps, bool swap, int64_t reduction) {
    EMBER_CHECK(
        a.dim() == positive.dim() && a.dim() == negative.dim(),
        "triplet_margin_loss: The anchor, positive, and negative tensors are expected to have the same number of "
        "dimensions, but got: anchor ",
        a.dim(), "D, positive ", positive.dim(), "D, and negative ", negative.dim(), "D inputs");
    Tensor near = pairwise_distance(a, positive, p, eps), far = pairwise_distance(a, negative, p, eps);
    if (swap) far = minimum(far, pairwise_distance(positive, negative, p, eps));
    return reduced(hinge(near - far + Tensor(margin)), reduction);
  }
};

// x as [N, C]; a sample alone is a batch of one.
Tensor as_batch(const Tensor& x) { return x.dim() < 2 ? reshape(x, {1, -1}) : x; }

struct MultiMarginLoss : Loss {
  static constexpr auto schema =
      "multi_margin_loss(Tensor self, Tensor target, Scalar p=1, Scalar margin=1, Tensor? weight=None, "
      "int reduction=1) -> Tensor";
  static constexpr auto doc = "The sum over other classes i of weight[t] * max(0, margin - x[t] + x[i])^p / C";
  static Tensor call(const Tensor& self, const Tensor& target, Scalar p, Scalar margin, const OptTensor& weight,
                     int64_t reduction) {
    bool fits = self.dim() <= 2 && self.numel() > 0 && target.numel() == (self.dim() < 2 ? 1 : self->sizes[0]);
    EMBER_CHECK(fits, "multi_margin_loss: inconsistent target size: ", target.sizes(),
                " for input of size: ", self.sizes());
    EMBER_CHECK(p == Scalar(1) || p == Scalar(2), "multi_margin_loss: only p == 1 and p == 2 supported");
    Tensor x = as_batch(self), t = reshape(target, {-1, 1});
    Tensor gap = hinge(Tensor(margin) - gather(x, 1, t) + x);
    if (p == Scalar(2)) gap = gap * gap;
    if (weight.defined()) gap = gap * index_select(weight, 0, reshape(t, {-1})).reshape({-1, 1});
    Tensor own = eq(arange(0, x->sizes[1], 1, DType::kInt64, x.device()), t);
    Tensor loss = sum(masked_fill(gap, own, 0), Dims{1}) / Tensor(static_cast<double>(x->sizes[1]));
    return reduced(self.dim() < 2 ? reshape(loss, {}) : loss, reduction);
  }
};

struct MultilabelMarginLoss : Loss {
  static constexpr auto schema = "multilabel_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor";
  static constexpr auto doc = R"(The sum over labels y and other classes i of max(0, 1 - x[y] + x[i]) / C.

Each row of target lists a sample's labels up to the first -1.)";
  static Tensor call(const Tensor& self, const Tensor& target, int64_t reduction) {
    EMBER_CHECK(self.dim() <= 2 && (self.dim() == 0 || self.sizes().back() > 0),
                "multilabel_margin_loss: Expected non-empty vector or matrix with optional 0-dim batch size, but got: ",
                self.sizes());
    EMBER_CHECK(self.sizes() == target.sizes(), "multilabel_margin_loss: inconsistent target size: ", target.sizes(),
                " for input of size: ", self.sizes());
    Tensor x = as_batch(self), t = as_batch(target);
    Tensor listed = eq(cumsum(lt(t, 0), 1), 0), index = masked_fill(t, logical_not(listed), 0);
    Tensor label = gt(scatter_add(zeros_like(index), 1, index, to_dtype(listed, index.dtype())), 0);
    Tensor gap = hinge(1 - unsqueeze(gather(x, 1, index), 2) + unsqueeze(x, 1));  // [N, label, class]
    Tensor counts = logical_and(unsqueeze(listed, 2), logical_not(unsqueeze(label, 1)));
    Tensor loss = sum(masked_fill(gap, logical_not(counts), 0), Dims{1, 2}) / Tensor(static_cast<double>(x->sizes[1]));
    return reduced(self.dim() < 2 ? reshape(loss, {}) : loss, reduction);
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> loss_elementwise_ops() {
  return make_family<MseLoss, L1Loss, SmoothL1Loss, HuberLoss, BinaryCrossEntropy, BinaryCrossEntropyWithLogits,
                     KlDivLoss, PoissonNllLoss, MarginRankingLoss, HingeEmbeddingLoss, SoftMarginLoss,
                     CosineEmbeddingLoss, TripletMarginLoss, MultiMarginLoss, MultilabelMarginLoss>();
}

}  // namespace ember
