// Each step: gather the parameters that have gradients and their buffers, make what is missing, call the op.
// Checkpoints: the nodes of Python's state dict, written and read option by option through Options::each.
#include "optim/optim.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "op/ops.h"

namespace ember::optim {
namespace {

using io::Kind;
using io::Node;
using io::Tree;

Tensor zeros_beside(const Tensor& p, double value = 0) {
  Tensor t = empty_strided_raw(p.sizes(), dense_strides_like(p.sizes(), p.strides()), p.dtype(), p.device());
  std::memset(t.data(), 0, static_cast<size_t>(t->storage->nbytes()));
  if (value != 0) fill_(t, is_complex(p.dtype()) ? Tensor(Scalar(std::complex<double>(value, value))) : Tensor(value));
  return t;
}
Tensor zero_count() {
  Tensor t = empty_raw({}, DType::kFloat32);
  *t.data<float>() = 0;
  return t;
}

// The parameters of a step with one list for each buffer.
struct Gathered {
  std::vector<Tensor> params, grads;
  std::vector<std::vector<Tensor>> buffers;
};

// `names`: the buffers that there must be; make(name, param) gives one that is missing.
template <class Make>
Gathered gather(Optimizer& optimizer, const std::vector<Tensor>& params, std::initializer_list<const char*> names,
                Make make) {
  Gathered g;
  g.buffers.resize(names.size());
  for (const Tensor& p : params) {
    Tensor grad = p.grad();
    if (!grad.defined()) continue;
    g.params.push_back(p), g.grads.push_back(grad);
    if (names.size() == 0) continue;
    Buffers& own = optimizer.state(p);
    size_t k = 0;
    for (const char* name : names) {
      auto found = std::find_if(own.begin(), own.end(), [&](auto& entry) { return entry.first == name; });
      if (found == own.end()) found = own.insert(own.end(), {name, make(name, p)});
      g.buffers[k++].push_back(found->second);
    }
  }
  return g;
}
Tensor zero_buffer(const char* name, const Tensor& p) {
  return std::strcmp(name, "step") == 0 ? zero_count() : zeros_beside(p);
}

void check_lr(double lr) { EMBER_CHECK_VALUE(lr >= 0 && std::isfinite(lr), "Invalid learning rate: ", lr); }
void check_not_negative(std::string_view name, double value) {
  EMBER_CHECK_VALUE(value >= 0, "Invalid ", name, " value: ", value);
}
void check(const SGDOptions& o) {
  check_lr(o.lr), check_not_negative("momentum", o.momentum), check_not_negative("weight_decay", o.weight_decay);
  EMBER_CHECK_VALUE(!o.nesterov || (o.momentum > 0 && o.dampening == 0),
                    "Nesterov momentum requires a momentum and zero dampening");
}
void check(const AdamOptions& o) {
  check_lr(o.lr), check_not_negative("epsilon", o.eps), check_not_negative("weight_decay", o.weight_decay);
  for (int i = 0; i < 2; ++i) {
    EMBER_CHECK_VALUE(o.betas[i] >= 0 && o.betas[i] < 1, "Invalid beta parameter at index ", i, ": ", o.betas[i]);
  }
}
void check(const RMSpropOptions& o) {
  check_lr(o.lr), check_not_negative("epsilon", o.eps), check_not_negative("momentum", o.momentum);
  check_not_negative("weight_decay", o.weight_decay), check_not_negative("alpha", o.alpha);
}
void check(const AdagradOptions& o) {
  check_lr(o.lr), check_not_negative("lr_decay", o.lr_decay), check_not_negative("weight_decay", o.weight_decay);
  check_not_negative("initial_accumulator_value", o.initial_accumulator_value);
  check_not_negative("epsilon", o.eps);
}

// ---- options as nodes ----

Node* node_of(Tree& tree, double value) { return tree.add_float(value); }
Node* node_of(Tree& tree, bool value) { return tree.add_int(value, Kind::kBool); }
Node* node_of(Tree& tree, const std::array<double, 2>& pair) {
  return tree.add(Kind::kTuple, std::vector<Node*>{tree.add_float(pair[0]), tree.add_float(pair[1])});
}

double number_of(const Node* node) {
  if (node->kind == Kind::kFloat) return node->real;
  EMBER_CHECK_TYPE(node->kind == Kind::kInt || node->kind == Kind::kBool,
                   "load_state_dict: options of groups must be numbers");
  return static_cast<double>(node->integer);
}
void read(const Node* node, double& value) { value = number_of(node); }
void read(const Node* node, bool& value) { value = number_of(node) != 0; }
void read(const Node* node, std::array<double, 2>& pair) {
  EMBER_CHECK_TYPE(node->items.size() == 2, "load_state_dict: betas must be two numbers");
  for (size_t i = 0; i < 2; ++i) pair[i] = number_of(node->items[i]);
}

const Node* entry(const Node* dict, std::string_view key) {
  const Node* value = dict->find(key);
  EMBER_CHECK_VALUE(value, "load_state_dict: a state dict of an optimizer must have '", key, "'");
  return value;
}

}  // namespace

// ---- Optimizer ----

double Optimizer::step(const std::function<double()>& closure) {
  const double loss = closure();
  step();
  return loss;
}

void Optimizer::zero_grad(bool set_to_none) {
  for (const Tensor& p : parameters()) {
    Tensor grad = p.grad();
    if (!grad.defined()) continue;
    if (set_to_none) p.set_grad(Tensor());
    else zero_(grad.detach());
  }
}

io::Node* Optimizer::state_dict(io::CheckpointBuilder& builder) const {
  Tree& tree = builder.tree;
  Node* state = tree.add(Kind::kDict);
  Node* groups = tree.add(Kind::kList);
  int64_t number = 0;
  const std::vector<Tensor> params = parameters();
  for (size_t g = 0; g < groups_size(); ++g) {
    groups->items.push_back(save_group(tree, g, number));
    number += static_cast<int64_t>(group_size(g));
  }
  for (size_t i = 0; i < params.size(); ++i) {
    auto found = state_.find(params[i].impl());
    if (found == state_.end() || found->second.empty()) continue;
    Node* buffers = tree.add(Kind::kDict);
    for (const auto& [name, tensor] : found->second) {
      buffers->items.push_back(tree.add_string(name)), buffers->items.push_back(builder.add(tensor));
    }
    state->items.push_back(tree.add_int(static_cast<int64_t>(i))), state->items.push_back(buffers);
  }
  return tree.add(Kind::kDict,
                  std::vector<Node*>{tree.add_string("state"), state, tree.add_string("param_groups"), groups});
}

void Optimizer::load_state_dict(const io::Checkpoint& checkpoint, const io::Node* dict) {
  const Node *state = entry(dict, "state"), *groups = entry(dict, "param_groups");
  EMBER_CHECK_VALUE(groups->items.size() == groups_size(),
                    "loaded state dict has a different number of parameter groups");
  const std::vector<Tensor> params = parameters();
  std::unordered_map<int64_t, Tensor> by_number;
  size_t at = 0;
  for (size_t g = 0; g < groups_size(); ++g) {
    const Node* numbers = entry(groups->items[g], "params");
    EMBER_CHECK_VALUE(numbers->items.size() == group_size(g),
                      "loaded state dict contains a parameter group that doesn't match the size of optimizer's group");
    for (const Node* n : numbers->items) by_number[n->integer] = params[at++];
  }
  std::unordered_map<TensorImpl*, Buffers> loaded;
  for (size_t i = 0; i + 1 < state->items.size(); i += 2) {
    auto param = by_number.find(state->items[i]->integer);
    const Node* buffers = state->items[i + 1];
    if (param == by_number.end() || !buffers->is_dict()) continue;
    Buffers& own = loaded[param->second.impl()];
    for (size_t k = 0; k + 1 < buffers->items.size(); k += 2) {
      const Node *key = buffers->items[k], *value = buffers->items[k + 1];
      if (value->kind != Kind::kTensor) continue;
      Tensor t = io::make_tensor(checkpoint, *value->tensor);
      own.emplace_back(key->text, key->text == "step" ? t.clone() : t.to(param->second.dtype()).clone());
    }
  }
  for (size_t g = 0; g < groups_size(); ++g) load_group(g, groups->items[g]);
  state_ = std::move(loaded);
}

void Optimizer::save(const std::string& path) const {
  io::CheckpointBuilder builder;
  builder.tree.root = state_dict(builder);
  builder.save(path);
}

void Optimizer::load(const std::string& path) {
  io::Checkpoint checkpoint = io::load_checkpoint(path);
  load_state_dict(checkpoint, checkpoint.tree.root);
}

// ---- OptimizerOf ----

template <class O>
std::vector<Tensor> OptimizerOf<O>::parameters() const {
  std::vector<Tensor> all;
  for (const auto& group : groups_) all.insert(all.end(), group.params.begin(), group.params.end());
  return all;
}
template <class O>
std::vector<double> OptimizerOf<O>::lr() const {
  std::vector<double> rates;
  for (const auto& group : groups_) rates.push_back(group.options.lr);
  return rates;
}
template <class O>
void OptimizerOf<O>::set_lr(double lr) {
  check_lr(lr);
  for (auto& group : groups_) group.options.lr = lr;
}

template <class O>
void OptimizerOf<O>::add_param_group(std::vector<Tensor> params, O options) {
  check(options);
  EMBER_CHECK_VALUE(!params.empty(), "optimizer got an empty parameter list");
  const std::vector<Tensor> before = parameters();
  for (const Tensor& p : params) {
    EMBER_CHECK_VALUE(p.defined(), "optimizer can only optimize Tensors, but one of the params is undefined");
    const bool known = std::any_of(before.begin(), before.end(), [&](const Tensor& other) { return other.is(p); });
    EMBER_CHECK_VALUE(!known, "some parameters appear in more than one parameter group");
  }
  groups_.push_back({std::move(params), options});
}

template <class O>
io::Node* OptimizerOf<O>::save_group(io::Tree& tree, size_t group, int64_t first) const {
  Node* dict = tree.add(Kind::kDict);
  O options = groups_[group].options;
  options.each([&](const char* name, auto& value) {
    dict->items.push_back(tree.add_string(name)), dict->items.push_back(node_of(tree, value));
  });
  Node* numbers = tree.add(Kind::kList);
  for (size_t i = 0; i < groups_[group].params.size(); ++i)
    numbers->items.push_back(tree.add_int(first + static_cast<int64_t>(i)));
  dict->items.push_back(tree.add_string("params")), dict->items.push_back(numbers);
  return dict;
}
template <class O>
void OptimizerOf<O>::load_group(size_t group, const io::Node* dict) {
  groups_[group].options.each([&](const char* name, auto& value) {
    if (const Node* node = dict->find(name)) read(node, value);
  });
}

template class OptimizerOf<SGDOptions>;
template class OptimizerOf<AdamOptions>;
template class OptimizerOf<RMSpropOptions>;
template class OptimizerOf<AdagradOptions>;

// ---- the algorithms ----

SGD::SGD(std::vector<Tensor> params, SGDOptions options) { add_param_group(std::move(params), options); }
Adam::Adam(std::vector<Tensor> params, AdamOptions options) { add_param_group(std::move(params), options); }
RMSprop::RMSprop(std::vector<Tensor> params, RMSpropOptions options) { add_param_group(std::move(params), options); }
Adagrad::Adagrad(std::vector<Tensor> params, AdagradOptions options) { add_param_group(std::move(params), options); }

void SGD::step() {
  for (auto& [params, o] : groups_) {
    std::vector<Tensor> fresh, fresh_grads, fresh_buffers, seen, seen_grads, buffers;
    for (const Tensor& p : params) {
      Tensor grad = p.grad();
      if (!grad.defined()) continue;
      if (o.momentum != 0 && state(p).empty()) {  // on its first step the buffer becomes the gradient
        state(p).emplace_back("momentum_buffer", zeros_beside(p));
        fresh.push_back(p), fresh_grads.push_back(grad), fresh_buffers.push_back(state(p)[0].second);
      } else {
        seen.push_back(p), seen_grads.push_back(grad);
        if (o.momentum != 0) buffers.push_back(state(p)[0].second);
      }
    }
    auto run = [&](List p, List g, List b, bool first) {
      if (!p.empty()) _sgd_step(p, g, b, o.lr, o.momentum, o.dampening, o.weight_decay, o.nesterov, o.maximize, first);
    };
    run(fresh, fresh_grads, fresh_buffers, true);
    run(seen, seen_grads, buffers, false);
  }
}

void Adam::step() {
  for (auto& [params, o] : groups_) {
    Gathered g = o.amsgrad ? gather(*this, params, {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}, zero_buffer)
                           : gather(*this, params, {"step", "exp_avg", "exp_avg_sq"}, zero_buffer);
    if (g.params.empty()) continue;
    _adam_step(g.params, g.grads, g.buffers[1], g.buffers[2], o.amsgrad ? List(g.buffers[3]) : List(), g.buffers[0],
               o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay, o.decoupled_weight_decay, o.maximize);
  }
}

void RMSprop::step() {
  for (auto& [params, o] : groups_) {
    Gathered g = gather(*this, params, {"step", "square_avg"}, zero_buffer);
    if (g.params.empty()) continue;
    Gathered momenta, means;
    if (o.momentum > 0) momenta = gather(*this, params, {"momentum_buffer"}, zero_buffer);
    if (o.centered) means = gather(*this, params, {"grad_avg"}, zero_buffer);
    _rmsprop_step(g.params, g.grads, g.buffers[1], o.centered ? List(means.buffers[0]) : List(),
                  o.momentum > 0 ? List(momenta.buffers[0]) : List(), g.buffers[0], o.lr, o.alpha, o.eps,
                  o.weight_decay, o.momentum, o.maximize);
  }
}

void Adagrad::step() {
  for (auto& [params, o] : groups_) {
    Gathered g = gather(*this, params, {"step", "sum"}, [&, start = o.initial_accumulator_value](auto* name, auto& p) {
      return std::strcmp(name, "step") == 0 ? zero_count() : zeros_beside(p, start);
    });
    if (g.params.empty()) continue;
    _adagrad_step(g.params, g.grads, g.buffers[1], g.buffers[0], o.lr, o.lr_decay, o.weight_decay, o.eps, o.maximize);
  }
}

}  // namespace ember::optim
