// Losses over classes: nll_loss and cross_entropy. Their kernels walk [N, C, inner]; what classification calls most,
// cross_entropy of logits [N, C] with class indices, is one op with one pass each way. Gradients are linear in what
// comes in, so each backward op's own gradient is the forward loss again. Elementwise losses are in
// loss_elementwise.cc.
#include <cmath>

#include "base/parallel.h"
#include "kernel/cpu/rows.h"
#include "op/family/checks.h"
#include "op/family/dense.h"

namespace ember {
namespace {

// Input [N, C, inner...] (or [C]) and target [N, inner...] as numbers.
struct Classes {
  int64_t n, classes, inner = 1;
  explicit Classes(const Tensor& x) : Classes(DimsView(x.sizes())) {}
  explicit Classes(DimsView sizes)
      : n(sizes.size() == 1 ? 1 : sizes[0]), classes(sizes.size() == 1 ? sizes[0] : sizes[1]) {
    for (size_t i = 2; i < sizes.size(); ++i) inner *= sizes[i];
  }
  int64_t targets() const { return n * inner; }
  int64_t at(int64_t i, int64_t target) const { return (i / inner * classes + target) * inner + i % inner; }
};

float read(float x) { return x; }
double read(double x) { return x; }
float read(Half x) { return to_float(x); }
float read(BFloat16 x) { return to_float(x); }
void write(float& to, double x) { to = static_cast<float>(x); }
void write(double& to, double x) { to = x; }
void write(Half& to, double x) { to = to_half(static_cast<float>(x)); }
void write(BFloat16& to, double x) { to = to_bfloat16(static_cast<float>(x)); }

template <class F>
void visit_floating(DType d, F f) {
  visit(d, [&]<class T>(T t) {
    if constexpr (is_floating(dtype_of<T>)) f(t);
  });
}

void check_bounds(const Tensor& target, int64_t classes, int64_t ignore_index) {
  const int64_t* t = target.data<int64_t>();
  for (int64_t i = 0; i < target.numel(); ++i) {
    EMBER_CHECK_INDEX(t[i] == ignore_index || (t[i] >= 0 && t[i] < classes), "Target ", t[i],
                      " is out of bounds; there are ", classes, " classes");
  }
}

// From log-probabilities: loss (one number, or one a target) and the sum of the targets' weights.
template <class T>
void nll_forward(const Classes& c, const T* x, const int64_t* target, const T* weight, int64_t reduction,
                 int64_t ignore_index, T* loss, T* total) {
  double sum = 0, weights = 0;
  for (int64_t i = 0; i < c.targets(); ++i) {
    bool counts = target[i] != ignore_index;
    double w = !counts ? 0 : weight ? static_cast<double>(read(weight[target[i]])) : 1;
    double l = counts ? -w * static_cast<double>(read(x[c.at(i, target[i])])) : 0;
    sum += l, weights += w;
    if (reduction == reduction::kNone) write(loss[i], l);
  }
  if (reduction != reduction::kNone) write(*loss, reduction == reduction::kMean ? sum / weights : sum);
  write(*total, reduction == reduction::kNone ? 0 : weights);
}

// The gradient of nll at target i: what its entry of dx gets.
template <class T>
double nll_slope(const T* g, int64_t i, const T* weight, int64_t target, int64_t reduction, double total) {
  double w = weight ? static_cast<double>(read(weight[target])) : 1,
         up = read(g[reduction == reduction::kNone ? i : 0]);
  return -w * up / (reduction == reduction::kMean ? total : 1);
}

// Target shapes against the input's, in PyTorch's words.
void check_shapes(std::string_view op, DimsView sizes, const Tensor& target) {
  EMBER_CHECK_VALUE(sizes.size() >= 1, op, ": Expected 1 or more dimensions (got 0)");
  EMBER_CHECK_VALUE(sizes.size() == 1 || target.dim() == 0 || sizes[0] == target->sizes[0], op,
                    ": Expected input batch_size (", sizes[0], ") to match target batch_size (",
                    target.dim() ? target->sizes[0] : 0, ").");
  if (sizes.size() == 1) {
    EMBER_CHECK(target.dim() <= 1, op, ": 0D or 1D target tensor expected, multi-target not supported");
    EMBER_CHECK(target.dim() == 0 || target.numel() == 1, op, ": size mismatch (got input: ", sizes,
                ", target: ", target.sizes(), ")");
    return;
  }
  Dims expected{sizes[0]};
  expected.append(DimsView(sizes.data() + 2, sizes.size() - 2));
  if (sizes.size() == 2) {
    EMBER_CHECK(target.dim() <= 1, op, ": 0D or 1D target tensor expected, multi-target not supported");
  }
  EMBER_CHECK(target.sizes() == expected, op, ": Expected target size ", expected, ", got ", target.sizes());
}

// What every op here asks of input (its sizes), target and weight.
void check_target(std::string_view op, DimsView sizes, const Tensor& target, const Tensor& weight, int64_t reduction) {
  check_shapes(op, sizes, target);
  EMBER_CHECK(target.dtype() == DType::kInt64 || target.dtype() == DType::kUInt8, op,
              ": expected scalar type Long but found ", type_word(target.dtype()));
  int64_t classes = Classes(sizes).classes;
  EMBER_CHECK(!weight.defined() || (weight.dim() == 1 && weight.numel() == classes), op,
              ": weight tensor should be defined either for all ", classes,
              " classes or no classes but got weight tensor of shape: ", weight.defined() ? str(weight.sizes()) : "");
  EMBER_CHECK_VALUE(reduction >= reduction::kNone && reduction <= reduction::kSum, op, ": ", reduction,
                    " is not a valid value for reduction; allowed are 0 (none), 1 (mean) and 2 (sum)");
}

std::array<Meta, 2> loss_metas(const Tensor& self, const Tensor& target, int64_t reduction) {
  return {Meta(reduction == reduction::kNone ? DimsView(target.sizes()) : DimsView(), self), Meta(DimsView(), self)};
}
// A backward op's gradient and total are as the forward op made loss and total.
void check_loss_gradient(std::string_view op, const Tensor& g, const Tensor& target, int64_t reduction,
                         const Tensor& total) {
  check_floating(g, op, "nll_loss_backward");
  check_shape(op, "grad_output", g, reduction == reduction::kNone ? DimsView(target.sizes()) : DimsView());
  EMBER_CHECK(total.numel() == 1, op, ": expected total_weight to be a single number, but got shape ", total.sizes());
}

struct NllLoss {
  static constexpr auto schema =
      "_nll_loss(Tensor self, Tensor target, Tensor? weight, int reduction, int ignore_index) -> (Tensor, Tensor)";
  static constexpr auto doc = "-weight[t] * self[t] over log-probabilities [N, C, ...], and the sum of the weights";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b110, .outputs = 0b10};
  static std::array<Meta, 2> infer(const Tensor& self, const Tensor& target, const OptTensor& weight, int64_t reduction,
                                   int64_t) {
    check_floating(self, "nll_loss", "nll_loss_out_frame");
    check_target("nll_loss", self.sizes(), target, weight, reduction);
    return loss_metas(self, target, reduction);
  }
  static void cpu(Out loss, Out total, const Tensor& self, const Tensor& target, const OptTensor& weight,
                  int64_t reduction, int64_t ignore_index) {
    Classes c(self);
    Tensor x = dense(self), t = dense(target, DType::kInt64), w = dense(weight, self.dtype());
    check_bounds(t, c.classes, ignore_index);
    visit_floating(self.dtype(), [&]<class T>(T) {
      nll_forward(c, x.data<T>(), t.data<int64_t>(), static_cast<const T*>(data_or_null(w)), reduction, ignore_index,
                  loss.data<T>(), total.data<T>());
    });
  }
  static void vjp(Grads& d, const Tensor& self, const Tensor& target, const OptTensor& weight, int64_t reduction,
                  int64_t ignore_index) {
    d.set(0, nll_loss_backward(d.g(), self.sizes(), target, weight, reduction, ignore_index, d.y(1)));
  }
};

struct NllLossBackward {
  static constexpr auto schema =
      "_nll_loss_backward(Tensor grad_output, SymInt[] size, Tensor target, Tensor? weight, int reduction, "
      "int ignore_index, Tensor total_weight) -> Tensor";
  static constexpr auto doc = "Zeros of `size` with the gradient at each target";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b1001100};
  static Meta infer(const Tensor& g, DimsView size, const Tensor& target, const OptTensor& weight, int64_t reduction,
                    int64_t, const Tensor& total) {
    check_target("_nll_loss_backward", size, target, weight, reduction);
    check_loss_gradient("_nll_loss_backward", g, target, reduction, total);
    return {size, g};
  }
  static void cpu(Out dx, const Tensor& grad, DimsView, const Tensor& target, const OptTensor& weight,
                  int64_t reduction, int64_t ignore_index, const Tensor& total_weight) {
    Classes c(dx);
    Tensor g = dense(grad), t = dense(target, DType::kInt64), w = dense(weight, dx.dtype());
    Tensor total_of = dense(total_weight, dx.dtype());
    check_bounds(t, c.classes, ignore_index);
    cpu::fill(dx, 0);
    visit_floating(dx.dtype(), [&]<class T>(T) {
      const int64_t* index = t.data<int64_t>();
      double total = static_cast<double>(read(*total_of.data<T>()));
      for (int64_t i = 0; i < c.targets(); ++i) {
        if (index[i] == ignore_index) continue;
        write(dx.data<T>()[c.at(i, index[i])],
              nll_slope(g.data<T>(), i, static_cast<const T*>(data_or_null(w)), index[i], reduction, total));
      }
    });
  }
  static void vjp(Grads& d, const Tensor&, DimsView, const Tensor& target, const OptTensor& weight, int64_t reduction,
                  int64_t ignore_index, const Tensor&) {
    d.set(0, std::get<0>(nll_loss_forward(d.g(), target, weight, reduction, ignore_index)));
  }
};

struct CrossEntropy {
  static constexpr auto schema =
      "_cross_entropy(Tensor self, Tensor target, Tensor? weight, int reduction, int ignore_index) -> (Tensor, Tensor, "
      "Tensor)";
  static constexpr auto doc = "nll_loss(log_softmax(logits [N, C])), the log-probabilities, and the sum of the weights";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b110, .outputs = 0b110};
  static std::array<Meta, 3> infer(const Tensor& self, const Tensor& target, const OptTensor& weight, int64_t reduction,
                                   int64_t) {
    check_floating(self, "cross_entropy", "nll_loss_out_frame");
    EMBER_CHECK(self.dim() == 2, "_cross_entropy: expected logits [N, C], but got shape ", self.sizes());
    check_target("cross_entropy", self.sizes(), target, weight, reduction);
    auto [loss, total] = loss_metas(self, target, reduction);
    return {loss, Meta(self.sizes(), self), total};
  }
  static void cpu(Out loss, Out log_p, Out total, const Tensor& self, const Tensor& target, const OptTensor& weight,
                  int64_t reduction, int64_t ignore_index) {
    Classes c(self);
    Tensor x = dense(self), t = dense(target, DType::kInt64), w = dense(weight, self.dtype());
    check_bounds(t, c.classes, ignore_index);
    if (x.numel()) cpu::softmax(x.dtype(), x.data(), log_p.data(), c.n, c.classes, 1, true);
    visit_floating(self.dtype(), [&]<class T>(T) {
      nll_forward(c, log_p.data<T>(), t.data<int64_t>(), static_cast<const T*>(data_or_null(w)), reduction,
                  ignore_index, loss.data<T>(), total.data<T>());
    });
  }
  static void vjp(Grads& d, const Tensor& self, const Tensor& target, const OptTensor& weight, int64_t reduction,
                  int64_t ignore_index) {
    Tensor g = d.g(), log_p = d.y(1), total = d.y(2);
    if (needs_graph(g) || d.has_g(1)) {
      Tensor dy = nll_loss_backward(g, self.sizes(), target, weight, reduction, ignore_index, total);
      if (d.has_g(1)) dy = dy + d.g(1);
      d.set(0, log_softmax_backward(dy, log_p, 1));
    } else {
      d.set(0, cross_entropy_backward(g, log_p, target, weight, reduction, ignore_index, total));
    }
  }
};

struct CrossEntropyBackward {
  static constexpr auto schema =
      "_cross_entropy_backward(Tensor grad_output, Tensor log_probs, Tensor target, Tensor? weight, int reduction, "
      "int ignore_index, Tensor total_weight) -> Tensor";
  static constexpr auto doc = "(softmax - one_hot(target)) * weight * gradient, block by block within the cache";
  static constexpr auto kind = Kind::kReduce;
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& g, const Tensor& log_p, const Tensor& target, const OptTensor& weight,
                    int64_t reduction, int64_t, const Tensor& total) {
    constexpr std::string_view op = "_cross_entropy_backward";
    check_floating(log_p, op, "nll_loss_backward");
    EMBER_CHECK(log_p.dim() == 2, op, ": expected log_probs [N, C], but got shape ", log_p.sizes());
    check_target(op, log_p.sizes(), target, weight, reduction);
    check_loss_gradient(op, g, target, reduction, total);
    return {log_p.sizes(), log_p};
  }
  static void cpu(Out dx, const Tensor& grad, const Tensor& log_probs, const Tensor& target, const OptTensor& weight,
                  int64_t reduction, int64_t ignore_index, const Tensor& total_weight) {
    if (dx.numel() == 0) return;
    Classes c(dx);
    Tensor g = dense(grad, dx.dtype()), y = dense(log_probs), t = dense(target, DType::kInt64);
    Tensor w = dense(weight, dx.dtype()), total_of = dense(total_weight, dx.dtype());
    check_bounds(t, c.classes, ignore_index);
    visit_floating(dx.dtype(), [&]<class T>(T) {
      const int64_t* index = t.data<int64_t>();
      const T* weights = static_cast<const T*>(data_or_null(w));
      const double total = static_cast<double>(read(*total_of.data<T>()));
      const int64_t block = std::max<int64_t>(1, 16384 / c.classes);
      parallel_for(0, c.n, block, [&](int64_t first, int64_t end) {
        for (int64_t b = first; b < end; b += block) {
          int64_t rows = std::min(block, end - b);
          T* to = dx.data<T>() + b * c.classes;
          std::memset(static_cast<void*>(to), 0, sizeof(T) * static_cast<size_t>(rows * c.classes));
          for (int64_t i = b; i < b + rows; ++i) {
            if (index[i] == ignore_index) continue;
            write(to[(i - b) * c.classes + index[i]], nll_slope(g.data<T>(), i, weights, index[i], reduction, total));
          }
          cpu::softmax_backward(dx.dtype(), y.data<T>() + b * c.classes, to, to, rows, c.classes, 1, true);
        }
      });
    });
  }
};

struct NllLossNd {
  static constexpr auto schema =
      "nll_loss_nd(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> "
      "Tensor";
  static constexpr auto doc = "-self[target] of log-probabilities [N, C, ...] or [C] and class indices [N, ...] or []";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& self, const Tensor& target, const OptTensor& weight, int64_t reduction,
                     int64_t ignore_index) {
    check_shapes("nll_loss", self.sizes(), target);
    return std::get<0>(nll_loss_forward(self, target, weight, reduction, ignore_index));
  }
};

struct CrossEntropyLoss {
  static constexpr auto schema =
      "cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100, "
      "float label_smoothing=0.0) -> Tensor";
  static constexpr auto doc = R"(-log softmax(self)[target] of logits [N, C, ...] or [C].

Targets are class indices [N, ...], or probabilities of self's shape. label_smoothing mixes in the uniform
distribution (Szegedy et al., 2016).)";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& self, const Tensor& target, const OptTensor& weight, int64_t reduction,
                     int64_t ignore_index, double label_smoothing) {
    EMBER_CHECK(label_smoothing >= 0 && label_smoothing <= 1,
                "cross_entropy: label_smoothing must be between 0.0 and 1.0. Got: ", label_smoothing);
    EMBER_CHECK_VALUE(self.dim() >= 1, "cross_entropy: Expected 1 or more dimensions (got 0)");
    if (self.sizes() == target.sizes()) {
      EMBER_CHECK(is_floating(target.dtype()),
                  "cross_entropy: Expected floating point type for target with class probabilities, got ",
                  type_word(target.dtype()));
      EMBER_CHECK(ignore_index < 0, "cross_entropy: ignore_index is not supported for floating point target");
      return probabilities(self, target, weight, reduction, label_smoothing);
    }
    check_shapes("cross_entropy", self.sizes(), target);
    if (label_smoothing > 0) return smoothed(self, target, weight, reduction, ignore_index, label_smoothing);
    if (self.dim() == 2) { return std::get<0>(cross_entropy_forward(self, target, weight, reduction, ignore_index)); }
    Tensor log_p = log_softmax(self, self.dim() == 1 ? 0 : 1);
    return std::get<0>(nll_loss_forward(log_p, target, weight, reduction, ignore_index));
  }

 private:
  static Tensor over_classes(const Tensor& weight, const Tensor& self) {
    Dims shape(self.sizes().size(), 1);
    shape[self.dim() == 1 ? 0 : 1] = weight.numel();
    return reshape(weight, shape);
  }
  static Tensor probabilities(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction,
                              double smoothing) {
    int64_t dim = self.dim() == 1 ? 0 : 1, classes = self.size(dim);
    Tensor p = target, log_p = log_softmax(self, dim);
    if (smoothing > 0) p = p * Tensor(1 - smoothing) + Tensor(smoothing / static_cast<double>(classes));
    Tensor terms = log_p * p;
    if (weight.defined()) terms = terms * over_classes(weight, self);
    if (reduction == reduction::kNone) return -sum(terms, Dims{dim});
    Tensor total = -sum(terms);
    if (reduction == reduction::kSum) return total;
    return total / Tensor(static_cast<double>(self.numel()) / static_cast<double>(classes));
  }
  static Tensor smoothed(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction,
                         int64_t ignore_index, double smoothing) {
    int64_t dim = self.dim() == 1 ? 0 : 1, classes = self.size(dim);
    Tensor log_p = log_softmax(self, dim);
    Tensor nll = std::get<0>(nll_loss_forward(log_p, target, weight, reduction, ignore_index));
    Tensor uniform = -sum(weight.defined() ? log_p * over_classes(weight, self) : log_p, Dims{dim});
    Tensor ignored = target == Tensor(ignore_index);
    uniform = masked_fill(uniform, ignored, Tensor(0));
    if (reduction == reduction::kSum) uniform = sum(uniform);
    if (reduction == reduction::kMean) {
      Tensor counted = logical_not(ignored);
      Tensor total = weight.defined()
                         ? sum(index_select(weight, 0, reshape(masked_fill(target, ignored, Tensor(0)), {-1})) *
                               reshape(counted, {-1}))
                         : sum(counted);
      uniform = sum(uniform) / total;
    }
    return nll * Tensor(1 - smoothing) + uniform * Tensor(smoothing / static_cast<double>(classes));
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> loss_ops() {
  return make_family<NllLoss, NllLossBackward, CrossEntropy, CrossEntropyBackward, NllLossNd, CrossEntropyLoss>();
}

}  // namespace ember
