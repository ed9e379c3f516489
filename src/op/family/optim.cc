// Steps of the optimizers, each one op over all parameters of a group: it advances the counters of steps and updates
// parameters and buffers in place, in one pass. They are outside of autograd, like everything that writes to leaves.
// What is checked: lists of one length, buffers of their parameter's shape and dtype, a finite learning rate. Any
// layout is taken; what does not lie as its parameter does is copied there and back.
#include "kernel/cpu/optim.h"

#include <cmath>

#include "kernel/cpu/elementwise.h"
#include "op/make.h"

namespace ember {
namespace {

using cpu::OptimSlot;

// The lists of one step, as slots for the kernel.
class Step {
 public:
  Step(std::string_view op, double lr, Span<Tensor> params, Span<Tensor> grads)
      : op_(op), params_(params), base_(params.begin(), params.end()), slots_(params.size()) {
    EMBER_CHECK_VALUE(std::isfinite(lr), op, ": Invalid learning rate: ", lr);
    check_length("grads", grads);
    for (size_t i = 0; i < params.size(); ++i) {
      const Tensor& p = params[i];
      EMBER_CHECK(p.defined() && is_differentiable(p.dtype()), op, ": parameter ", i,
                  " must be a floating point or complex tensor");
      if (!is_non_overlapping_and_dense(p.sizes(), p.strides())) base_[i] = beside(p, contiguous_strides(p.sizes()));
      EMBER_CHECK(!p->inference || inference_mode, op,
                  ": Inplace update to inference tensor outside InferenceMode is not "
                  "allowed: parameter ",
                  i);
      OptimSlot& s = slots_[i];
      s.param = base_[i].data();
      s.size = p.numel() * (is_complex(p.dtype()) ? 2 : 1);
      s.grad = place(i, "grads", grads[i], false);
    }
  }

  // Buffer k of every parameter; an empty list means that there is none.
  void state(int k, std::string_view name, Span<Tensor> buffers) {
    if (buffers.empty()) return;
    check_length(name, buffers);
    for (size_t i = 0; i < buffers.size(); ++i) slots_[i].state[k] = place(i, name, buffers[i], true);
  }

  // Advances each counter and sets rate and scale by f(slot, number of this step). Counters are mostly equal.
  template <class F>
  void count(Span<Tensor> steps, F f) {
    check_length("state_steps", steps);
    for (const Tensor& t : steps) {
      const bool fits = t.defined() && t.numel() == 1 && (t.dtype() == DType::kFloat32 || t.dtype() == DType::kFloat64);
      EMBER_CHECK(fits, op_, ": state_steps must be singleton float32 or float64 tensors");
    }
    double last = -1;
    for (size_t i = 0; i < steps.size(); ++i) {
      const double t = steps[i].dtype() == DType::kFloat32 ? ++*steps[i].data<float>() : ++*steps[i].data<double>();
      steps[i].bump_version();
      if (t != last) f(slots_[i], last = t);
      else slots_[i].rate = slots_[i - 1].rate, slots_[i].scale = slots_[i - 1].scale;
    }
  }

  // Runs the kernel for each dtype among the parameters, then brings back what was moved.
  template <class Args>
  void run(void (*kernel)(Span<OptimSlot>, DType, const Args&), const Args& args) {
    std::vector<OptimSlot> same;
    for (DType d : {DType::kFloat32, DType::kBFloat16, DType::kFloat16, DType::kFloat64}) {
      same.clear();
      for (size_t i = 0; i < slots_.size(); ++i) {
        if (real_of(params_[i].dtype()) == d) same.push_back(slots_[i]);
      }
      if (same.size() == slots_.size()) return kernel(slots_, d, args), finish();
      if (!same.empty()) kernel(same, d, args);
    }
    finish();
  }

 private:
  void check_length(std::string_view name, Span<Tensor> list) const {
    EMBER_CHECK(list.size() == params_.size(), op_, ": expected one of ", name, " for each of ", params_.size(),
                " parameters, but got ", list.size());
  }

  // A copy with these strides.
  Tensor beside(const Tensor& t, DimsView strides) {
    Tensor copy = empty_strided_raw(t.sizes(), strides, t.dtype(), t.device());
    cpu::copy(copy, t);
    moved_.emplace_back(t, copy);
    return copy;
  }

  // The memory of a tensor that goes with parameter i, in the parameter's order of elements.
  void* place(size_t i, std::string_view name, const Tensor& t, bool written) {
    const Tensor& p = params_[i];
    EMBER_CHECK(t.defined(), op_, ": ", name, "[", i, "] is missing");
    EMBER_CHECK(t.sizes() == p.sizes() && t.dtype() == p.dtype() && t.device() == p.device(), op_, ": ", name, "[", i,
                "] must be like its parameter, ", p.dtype(), " of shape ", p.sizes(), " on ", p.device(), ", but is ",
                t.dtype(), " of shape ", t.sizes(), " on ", t.device());
    if (written) t.bump_version();
    if (t.strides() == base_[i].strides() || (t.is_contiguous() && base_[i].is_contiguous())) return t.data();
    Tensor copy = beside(t, base_[i].strides());
    if (!written) kept_.push_back(copy), moved_.pop_back();
    return copy.data();
  }

  void finish() {
    for (auto& [home, copy] : moved_) cpu::copy(home, copy);
    for (const Tensor& p : params_) p.bump_version();
  }

  std::string_view op_;
  Span<Tensor> params_;
  std::vector<Tensor> base_;  // the parameters, or dense copies of them
  std::vector<OptimSlot> slots_;
  std::vector<std::pair<Tensor, Tensor>> moved_;  // to be copied back: home, copy
  std::vector<Tensor> kept_;                      // copies that are only read
};

struct sgd_step {
  static constexpr auto schema =
      "_sgd_step(Tensor(a!)[] self, Tensor[] grads, Tensor(b!)[] momentum_buffers, *, float lr, float momentum=0.0, "
      "float dampening=0.0, float weight_decay=0.0, bool nesterov=False, bool maximize=False, bool first=False) -> ()";
  static constexpr auto doc = R"(One step of SGD for all parameters, in place.

momentum_buffers is empty without momentum; on their `first` step the buffers are only written.)";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static void call(Span<Tensor> params, Span<Tensor> grads, Span<Tensor> buffers, double lr, double momentum,
                   double dampening, double weight_decay, bool nesterov, bool maximize, bool first) {
    Step step("_sgd_step", lr, params, grads);
    EMBER_CHECK_VALUE(momentum == 0 || buffers.size() == params.size(), "_sgd_step: momentum needs momentum_buffers");
    step.state(0, "momentum_buffers", buffers);
    step.run(cpu::sgd_step, {lr, momentum, dampening, weight_decay, nesterov, maximize, first});
  }
};

struct adam_step {
  static constexpr auto schema =
      "_adam_step(Tensor(a!)[] self, Tensor[] grads, Tensor(b!)[] exp_avgs, Tensor(c!)[] exp_avg_sqs, "
      "Tensor(d!)[] max_exp_avg_sqs, Tensor(e!)[] state_steps, *, float lr, float beta1=0.9, float beta2=0.999, "
      "float eps=1e-08, float weight_decay=0.0, bool decoupled=False, bool maximize=False) -> ()";
  static constexpr auto doc = R"(One step of Adam for all parameters, in place; counters in state_steps are advanced.

max_exp_avg_sqs is empty but for amsgrad; `decoupled` makes it AdamW.)";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static void call(Span<Tensor> params, Span<Tensor> grads, Span<Tensor> means, Span<Tensor> squares, Span<Tensor> most,
                   Span<Tensor> steps, double lr, double beta1, double beta2, double eps, double weight_decay,
                   bool decoupled, bool maximize) {
    Step step("_adam_step", lr, params, grads);
    step.state(0, "exp_avgs", means);
    step.state(1, "exp_avg_sqs", squares);
    step.state(2, "max_exp_avg_sqs", most);
    EMBER_CHECK_VALUE(params.empty() || (!means.empty() && !squares.empty()),
                      "_adam_step: exp_avgs and exp_avg_sqs must be given");
    step.count(steps, [&](OptimSlot& s, double t) {
      s.rate = lr / (1 - std::pow(beta1, t));
      s.scale = std::sqrt(1 - std::pow(beta2, t));
    });
    const double coupled = decoupled ? 0.0 : weight_decay, shrink = decoupled ? 1 - lr * weight_decay : 1.0;
    step.run(cpu::adam_step, {beta1, beta2, eps, coupled, shrink, !most.empty(), maximize});
  }
};

struct rmsprop_step {
  static constexpr auto schema =
      "_rmsprop_step(Tensor(a!)[] self, Tensor[] grads, Tensor(b!)[] square_avgs, Tensor(c!)[] grad_avgs, "
      "Tensor(d!)[] momentum_buffers, Tensor(e!)[] state_steps, *, float lr, float alpha=0.99, float eps=1e-08, "
      "float weight_decay=0.0, float momentum=0.0, bool maximize=False) -> ()";
  static constexpr auto doc = R"(One step of RMSprop for all parameters, in place; counters are advanced.

grad_avgs is empty but for the centered form, momentum_buffers without momentum.)";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static void call(Span<Tensor> params, Span<Tensor> grads, Span<Tensor> squares, Span<Tensor> means,
                   Span<Tensor> buffers, Span<Tensor> steps, double lr, double alpha, double eps, double weight_decay,
                   double momentum, bool maximize) {
    Step step("_rmsprop_step", lr, params, grads);
    EMBER_CHECK_VALUE(params.empty() || !squares.empty(), "_rmsprop_step: square_avgs must be given");
    EMBER_CHECK_VALUE(!(momentum > 0) || buffers.size() == params.size(),
                      "_rmsprop_step: momentum needs momentum_buffers");
    step.state(0, "square_avgs", squares);
    step.state(1, "grad_avgs", means);
    step.state(2, "momentum_buffers", buffers);
    step.count(steps, [](OptimSlot&, double) {});
    step.run(cpu::rmsprop_step, {lr, alpha, eps, weight_decay, momentum, !means.empty(), maximize});
  }
};

struct adagrad_step {
  static constexpr auto schema =
      "_adagrad_step(Tensor(a!)[] self, Tensor[] grads, Tensor(b!)[] state_sums, Tensor(c!)[] state_steps, *, float "
      "lr, "
      "float lr_decay=0.0, float weight_decay=0.0, float eps=1e-10, bool maximize=False) -> ()";
  static constexpr auto doc = "One step of Adagrad for all parameters, in place; counters are advanced.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static void call(Span<Tensor> params, Span<Tensor> grads, Span<Tensor> sums, Span<Tensor> steps, double lr,
                   double lr_decay, double weight_decay, double eps, bool maximize) {
    Step step("_adagrad_step", lr, params, grads);
    EMBER_CHECK_VALUE(params.empty() || !sums.empty(), "_adagrad_step: state_sums must be given");
    step.state(0, "state_sums", sums);
    step.count(steps, [&](OptimSlot& s, double t) { s.rate = lr / (1 + (t - 1) * lr_decay); });
    step.run(cpu::adagrad_step, {eps, weight_decay, maximize});
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> optimizer_ops() {
  return make_family<sgd_step, adam_step, rmsprop_step, adagrad_step>();
}

}  // namespace ember
