// The optimizers of the C++ API. Names, defaults and checkpoints are Python's: a file that one saves the other loads.
//   optim::AdamW optimizer(model.parameters(), {.lr = 3e-4});
//   optimizer.zero_grad(); loss.backward(); optimizer.step();
// A step is one op over all parameters of a group (op/family/optim.cc), the same one that Python calls.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/checkpoint.h"
#include "tensor/tensor.h"

namespace ember::optim {

// Options of a group. `each` visits them under the names that checkpoints have.
struct EMBER_API SGDOptions {
  double lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false, maximize = false;
  template <class F>
  void each(F&& f) {
    f("lr", lr), f("momentum", momentum), f("dampening", dampening), f("weight_decay", weight_decay);
    f("nesterov", nesterov), f("maximize", maximize);
  }
};

struct EMBER_API AdamOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8, weight_decay = 0;
  bool amsgrad = false, maximize = false, decoupled_weight_decay = false;
  template <class F>
  void each(F&& f) {
    f("lr", lr), f("betas", betas), f("eps", eps), f("weight_decay", weight_decay);
    f("amsgrad", amsgrad), f("maximize", maximize), f("decoupled_weight_decay", decoupled_weight_decay);
  }
};

struct EMBER_API AdamWOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8, weight_decay = 1e-2;
  bool amsgrad = false, maximize = false;
  operator AdamOptions() const { return {lr, betas, eps, weight_decay, amsgrad, maximize, true}; }
};

struct EMBER_API RMSpropOptions {
  double lr = 1e-2, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0;
  bool centered = false, maximize = false;
  template <class F>
  void each(F&& f) {
    f("lr", lr), f("alpha", alpha), f("eps", eps), f("weight_decay", weight_decay), f("momentum", momentum);
    f("centered", centered), f("maximize", maximize);
  }
};

struct EMBER_API AdagradOptions {
  double lr = 1e-2, lr_decay = 0, weight_decay = 0, initial_accumulator_value = 0, eps = 1e-10;
  bool maximize = false;
  template <class F>
  void each(F&& f) {
    f("lr", lr), f("lr_decay", lr_decay), f("weight_decay", weight_decay);
    f("initial_accumulator_value", initial_accumulator_value), f("eps", eps), f("maximize", maximize);
  }
};

template <class Options>
struct Group {
  std::vector<Tensor> params;
  Options options;
};

// Named buffers of one parameter: "step", "exp_avg" ...
using Buffers = std::vector<std::pair<std::string, Tensor>>;

class EMBER_API Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  virtual void step() = 0;
  double step(const std::function<double()>& closure);  // computes the loss anew, then steps; returns the loss
  void zero_grad(bool set_to_none = true);

  virtual std::vector<Tensor> parameters() const = 0;
  virtual std::vector<double> lr() const = 0;  // of each group
  virtual void set_lr(double lr) = 0;          // of all groups
  Buffers& state(const Tensor& param) { return state_[param.impl()]; }

  // Python's state dict: {"state": {0: {...}, ...}, "param_groups": [{...}, ...]}.
  io::Node* state_dict(io::CheckpointBuilder& builder) const;
  void load_state_dict(const io::Checkpoint& checkpoint, const io::Node* dict);  // ValueError where groups do not match
  void save(const std::string& path) const;
  void load(const std::string& path);

 protected:
  Optimizer() = default;
  virtual io::Node* save_group(io::Tree& tree, size_t group, int64_t first) const = 0;
  virtual size_t groups_size() const = 0;
  virtual size_t group_size(size_t group) const = 0;
  virtual void load_group(size_t group, const io::Node* dict) = 0;

  std::unordered_map<TensorImpl*, Buffers> state_;
};

// What all of them share once their options' type is known.
template <class Options>
class EMBER_API OptimizerOf : public Optimizer {
 public:
  std::vector<Tensor> parameters() const override;
  std::vector<double> lr() const override;
  void set_lr(double lr) override;
  const std::vector<Group<Options>>& groups() const { return groups_; }
  Options& options(size_t group = 0) { return groups_.at(group).options; }
  // Tensors must be leaves and in no other group (ValueError).
  void add_param_group(std::vector<Tensor> params, Options options);

 protected:
  io::Node* save_group(io::Tree& tree, size_t group, int64_t first) const override;
  size_t groups_size() const override { return groups_.size(); }
  size_t group_size(size_t group) const override { return groups_[group].params.size(); }
  void load_group(size_t group, const io::Node* dict) override;

  std::vector<Group<Options>> groups_;
};

extern template class OptimizerOf<SGDOptions>;
extern template class OptimizerOf<AdamOptions>;
extern template class OptimizerOf<RMSpropOptions>;
extern template class OptimizerOf<AdagradOptions>;

class EMBER_API SGD : public OptimizerOf<SGDOptions> {
 public:
  explicit SGD(std::vector<Tensor> params, SGDOptions options = {});
  using Optimizer::step;
  void step() override;
};

class EMBER_API Adam : public OptimizerOf<AdamOptions> {
 public:
  explicit Adam(std::vector<Tensor> params, AdamOptions options = {});
  using Optimizer::step;
  void step() override;
};

class EMBER_API AdamW : public Adam {
 public:
  explicit AdamW(std::vector<Tensor> params, AdamWOptions options = {}) : Adam(std::move(params), options) {}
};

class EMBER_API RMSprop : public OptimizerOf<RMSpropOptions> {
 public:
  explicit RMSprop(std::vector<Tensor> params, RMSpropOptions options = {});
  using Optimizer::step;
  void step() override;
};

class EMBER_API Adagrad : public OptimizerOf<AdagradOptions> {
 public:
  explicit Adagrad(std::vector<Tensor> params, AdagradOptions options = {});
  using Optimizer::step;
  void step() override;
};

}  // namespace ember::optim
