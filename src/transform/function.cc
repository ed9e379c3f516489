// The node of a custom C++ function. It owns the context, which holds saved tensors and never the graph: what forward
// returned is saved without its history, so no cycle is made.
#include "transform/function.h"

#include <algorithm>

#include "base/class_name.h"

namespace ember::autograd {

namespace {

bool contains(const Tensors& list, const Tensor& x) {
  return std::any_of(list.begin(), list.end(), [&](const Tensor& y) { return y.is(x); });
}

}  // namespace

Tensors Context::saved_tensors() const {
  if (freed_) fail_freed();
  Tensors out;
  for (const SavedTensor& s : saved_) out.push_back(s.unpack(Ptr<Node>::share(node_)));
  return out;
}

namespace detail {

Ptr<FunctionNode> make_node(const std::type_info& function, Backward backward) {
  return make_ptr<FunctionNode>(class_name(function) + "Backward", backward);
}

void FunctionNode::input(const Tensor& x) {
  bool wanted = x.defined() && x.requires_grad() && grad_enabled();
  add_place(x, wanted);
  inputs_.push_back(x);
}

void FunctionNode::add_place(const Tensor& input, bool wanted) {
  context.needs_.push_back(wanted);
  edge_of_place_.push_back(input.defined() ? static_cast<int>(next.size()) : -1);
  if (input.defined()) next.push_back(wanted ? gradient_edge(input) : Edge{});
}

Tensors FunctionNode::finish(Tensors outputs) {
  const bool recorded = std::find(context.needs_.begin(), context.needs_.end(), true) != context.needs_.end();
  const Tensors inputs = std::move(inputs_);
  if (!recorded) return outputs;
  Ptr<Node> self = Ptr<Node>::share(this);
  for (uint32_t i = 0; i < outputs.size(); ++i) {
    Tensor& y = outputs[i];
    results.push_back({y.sizes(), y.dtype(), y.device()});
    const bool passed_through = contains(inputs, y);
    if (contains(context.dirty_, y)) {
      check_inplace_allowed(y);
      rebase_history(y, self);
    } else if (!is_differentiable(y.dtype()) || contains(context.non_differentiable_, y)) {
      if (passed_through) y = detach(y);
    } else {
      if (passed_through) y = detach(y);  // an input that is returned as it came keeps its own history
      set_history(y, self, i);
    }
  }
  for (const Tensor& x : context.to_save_) {
    auto at = std::find_if(outputs.begin(), outputs.end(), [&](const Tensor& y) { return y.is(x); });
    const bool result = at != outputs.end() && x.requires_grad();
    context.saved_.emplace_back(x, result ? SavedTensor::kResult : SavedTensor::kInput,
                                static_cast<uint32_t>(result ? at - outputs.begin() : 0));
  }
  context.to_save_.clear(), context.dirty_.clear(), context.non_differentiable_.clear();
  return outputs;
}

std::vector<Tensor> FunctionNode::apply(std::vector<Tensor> grads) {
  if (context.freed_) fail_freed();
  grads.resize(results.size());
  for (size_t i = 0; context.materialize_grads_ && i < grads.size(); ++i)
    if (!grads[i].defined()) grads[i] = zeros(results[i].sizes, results[i].dtype, results[i].device);
  Tensors given = backward_(context, grads);
  while (given.size() > edge_of_place_.size() && !given.back().defined()) given.pop_back();
  EMBER_CHECK(given.size() == edge_of_place_.size(), "function ", name_,
              " returned an incorrect number of gradients (expected ", edge_of_place_.size(), ", got ", given.size(),
              ")");
  std::vector<Tensor> out(next.size());
  for (size_t i = 0; i < given.size(); ++i) {
    const int edge = edge_of_place_[i];
    EMBER_CHECK(edge >= 0 || !given[i].defined(), "function ", name_,
                " returned a gradient different from None at position ", i + 1,
                ", but the corresponding forward input was not a Variable");
    if (edge >= 0 && next[static_cast<size_t>(edge)]) out[static_cast<size_t>(edge)] = given[i];
  }
  return out;
}

void FunctionNode::release_saved() {
  if (context.saved_.empty()) return;  // nothing to free: such a node may run again
  for (SavedTensor& s : context.saved_) s.reset();
  context.freed_ = true;
}

}  // namespace detail
}  // namespace ember::autograd
