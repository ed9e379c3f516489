// Custom differentiable functions in C++: a struct says how to compute and how gradients flow back.
//   struct Cube : autograd::Function<Cube> {
//     static Tensor forward(autograd::Context& ctx, const Tensor& x) {
//       ctx.save_for_backward({x});
//       return x * x * x;
//     }
//     static Tensor backward(autograd::Context& ctx, const Tensors& grads) {
//       return grads[0] * 3 * square(ctx.saved_tensors()[0]);
//     }
//   };
//   Tensor y = Cube::apply(x);
// forward runs without recording; backward is made of ordinary ops, so it is recorded under create_graph and may be
// differentiated again. It returns one gradient for each argument of forward (a list of tensors counts as many), an
// undefined Tensor for what has none.
#pragma once

#include <any>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "op/ops.h"
#include "transform/grad.h"

namespace ember::autograd {

namespace detail {
class FunctionNode;
}

// What forward leaves for backward.
class EMBER_API Context {
 public:
  // Inputs and results of forward; backward fails if one was overwritten in between.
  void save_for_backward(Tensors tensors) { to_save_ = std::move(tensors); }
  Tensors saved_tensors() const;  // RuntimeError after a backward without retain_graph
  void mark_dirty(Tensors tensors) { dirty_ = std::move(tensors); }  // inputs that forward overwrote and returns
  void mark_non_differentiable(Tensors results) { non_differentiable_ = std::move(results); }
  // Whether backward gets zeros (as by default) or undefined tensors for results whose gradient nobody asked for.
  void set_materialize_grads(bool on) { materialize_grads_ = on; }
  bool needs_input_grad(size_t argument) const { return needs_.at(argument); }
  std::any data;  // whatever else backward reads

 private:
  friend class detail::FunctionNode;
  Tensors to_save_, dirty_, non_differentiable_;
  std::vector<SavedTensor> saved_;
  std::vector<bool> needs_;
  Node* node_ = nullptr;
  bool materialize_grads_ = true, freed_ = false;
};

namespace detail {

using Backward = Tensors (*)(Context&, const Tensors&);

class EMBER_API FunctionNode final : public Node {
 public:
  FunctionNode(std::string name, Backward backward) : backward_(backward), name_(std::move(name)) {
    context.node_ = this;
  }
  void input(const Tensor& x);
  void input(const Tensors& list) {
    for (const Tensor& x : list) input(x);
  }
  template <class T>
  void input(const T&) {  // no tensor: a place without an edge
    add_place({}, false);
  }
  Tensors finish(Tensors outputs);  // gives the outputs of forward their history

  std::vector<Tensor> apply(std::vector<Tensor> grads) override;
  std::string name() const override { return name_; }
  void release_saved() override;

  Context context;

 private:
  void add_place(const Tensor& input, bool wanted);

  Backward backward_;
  std::string name_;
  Tensors inputs_;                  // while forward runs
  std::vector<int> edge_of_place_;  // -1: no tensor
};

EMBER_API Ptr<FunctionNode> make_node(const std::type_info& function, Backward backward);

inline Tensors as_list(Tensor x) { return {std::move(x)}; }
inline Tensors as_list(Tensors list) { return list; }

}  // namespace detail

template <class F>
struct Function {
  // What forward returns, a Tensor or Tensors, with its history.
  template <class... Args>
  static auto apply(const Args&... args) {
    auto node = detail::make_node(
        typeid(F), [](Context& ctx, const Tensors& grads) { return detail::as_list(F::backward(ctx, grads)); });
    (node->input(args), ...);
    auto result = [&] {
      NoGrad off;
      return F::forward(node->context, args...);
    }();
    constexpr bool single = std::is_same_v<decltype(result), Tensor>;
    Tensors outputs = node->finish(detail::as_list(std::move(result)));
    if constexpr (single) return outputs[0];
    else return outputs;
  }
};

}  // namespace ember::autograd
