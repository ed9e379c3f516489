// Reverse-mode differentiation: the graph and how to walk it.
// A Node is recorded for each call that has an input whose gradient is wanted; its edges lead to the nodes of its
// inputs. backward() walks them from the last recorded to the first, on the caller's thread, without recursion.
// A tensor's AutogradMeta holds what it needs of this: its gradient, its node, its hooks.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/inline_vector.h"
#include "op/op.h"

namespace ember {

class Node;
struct Edge {
  Ptr<Node> node;
  uint32_t input = 0;  // which of the node's incoming gradients
  explicit operator bool() const { return static_cast<bool>(node); }
};

// Hooks return a replacement, or undefined (an empty list) to leave things as they are.
using TensorHook = std::function<Tensor(const Tensor&)>;
using NodePreHook = std::function<std::vector<Tensor>(const std::vector<Tensor>& grads)>;
using NodeHook =
    std::function<std::vector<Tensor>(const std::vector<Tensor>& grad_inputs, const std::vector<Tensor>& grad_outputs)>;

template <class F>
class HookList {  // in order of registration; ids stay valid while others are removed
 public:
  int64_t add(F hook) {
    hooks_.emplace_back(next_, std::move(hook));
    return next_++;
  }
  void remove(int64_t id) {
    std::erase_if(hooks_, [&](auto& h) { return h.first == id; });
  }
  bool empty() const { return hooks_.empty(); }
  std::vector<F> list() const {  // a copy: a hook may remove itself
    std::vector<F> out;
    for (auto& h : hooks_) out.push_back(h.second);
    return out;
  }

 private:
  std::vector<std::pair<int64_t, F>> hooks_;
  int64_t next_ = 0;
};

class EMBER_API Node : public RefCounted {
 public:
  Node();
  ~Node() override;
  // From the gradients of the forward call's results (undefined: zero) those of its differentiable inputs, one an edge.
  virtual std::vector<Tensor> apply(std::vector<Tensor> grads) = 0;
  virtual std::string name() const = 0;       // "AddBackward0"
  virtual Tensor leaf() const { return {}; }  // whose gradient an accumulating node adds to
  virtual void release_saved() {}             // after backward without retain_graph

  struct Shape {  // of a result of the forward call
    Dims sizes;
    DType dtype = DType::kFloat32;
    Device device;
  };
  struct Extras {  // what few nodes have
    HookList<NodePreHook> pre_hooks;
    HookList<NodeHook> hooks;
    std::vector<std::pair<uint32_t, Ptr<RefCounted>>> retained;  // incoming gradient -> RetainCell
    std::vector<std::pair<uint32_t, HookList<TensorHook>>> tensor_hooks;
    std::string forward_trace;  // anomaly mode: where the forward call was made
  };
  Extras& extras() {
    if (!extras_) extras_ = std::make_unique<Extras>();
    return *extras_;
  }
  Extras* extras_or_null() const { return extras_.get(); }
  int64_t add_tensor_hook(uint32_t input, TensorHook hook);
  void remove_tensor_hook(uint32_t input, int64_t id);

  uint64_t sequence;  // later calls have higher numbers; leaves the highest
  // Of the last owners each counts down, unlike RefCounted's: a leaf's accumulator is found by its address, and shared
  // unless its count is zero.
  void release() const { drop_count(); }
  bool retain_alive() const { return retain_unless_zero(); }

  // Renumbers the node if finding its edges made nodes after it (a view whose base was written to).
  void follow_inputs();
  std::vector<Edge> next;
  std::vector<Shape> results;  // of the forward call
  std::atomic<uintptr_t> python_object{0};

  static void* operator new(size_t size);
  static void operator delete(void* p, size_t size);

 private:
  std::unique_ptr<Extras> extras_;
};

// Lets a non-leaf's retained gradient outlive neither side.
struct RetainCell : RefCounted {
  TensorImpl* impl = nullptr;
};

struct EMBER_API AutogradMeta final : AutogradState {
  ~AutogradMeta() override;
  Tensor grad;
  Ptr<Node> grad_fn;
  uint32_t output = 0;          // which result of grad_fn
  uint32_t seen_version = 0;    // of a view: the version at which grad_fn was right
  Node* accumulator = nullptr;  // of a leaf; lives while a graph refers to it
  Ptr<RetainCell> retain;
  HookList<TensorHook> hooks;  // of a leaf
  HookList<std::function<void(const Tensor&)>> post_accumulate_hooks;
  static void* operator new(size_t size);
  static void operator delete(void* p, size_t size);
};
EMBER_API AutogradMeta& autograd_meta(const Tensor& x);  // makes it when there is none
inline AutogradMeta* autograd_meta_or_null(const Tensor& x) { return static_cast<AutogradMeta*>(x->autograd.get()); }

// The node that made x; of a view whose base was written to since, made anew.
EMBER_API Ptr<Node> grad_fn(const Tensor& x);
EMBER_API bool is_leaf(const Tensor& x);
EMBER_API Edge gradient_edge(const Tensor& x);  // where x's gradient goes; empty if not wanted
EMBER_API void set_history(const Tensor& x, const Ptr<Node>& node, uint32_t output);  // x is a fresh result of node
EMBER_API void rebase_history(const Tensor& x, Ptr<Node> node);  // x was overwritten by node's call (views included)
EMBER_API void check_inplace_allowed(const Tensor& x);           // leaf errors in PyTorch's words
EMBER_API int64_t add_hook(const Tensor& x, TensorHook hook);    // RuntimeError unless x requires grad
EMBER_API void remove_hook(const Tensor& x, int64_t id);
EMBER_API void retain_grad(const Tensor& x);
EMBER_API bool retains_grad(const Tensor& x);
EMBER_API void requires_grad_(const Tensor& x, bool on);
EMBER_API Tensor detach(const Tensor& x);  // shares memory and version, no history
EMBER_API void detach_(const Tensor& x);

// ---- saved tensors ----

// A tensor kept for backward: checks on the way out that nobody wrote to it in between.
class EMBER_API SavedTensor {
 public:
  SavedTensor() = default;
  enum Role { kInput, kResult };  // a result of the node that saves it goes without history, or it would hold itself
  SavedTensor(const Tensor& x, Role role, uint32_t output = 0);
  Tensor unpack(const Ptr<Node>& owner) const;
  void reset();

 private:
  Tensor tensor_;
  Ptr<RefCounted> packed_;  // what a pack hook made of it
  Ptr<Node> history_;       // of a tensor that was kept without
  uint32_t output_ = 0, version_ = 0;
  bool own_ = false, wanted_ = false, present_ = false;
};
[[noreturn]] EMBER_API void fail_freed();  // "Trying to backward through the graph a second time ..."

struct SavedTensorHooks {
  std::function<Ptr<RefCounted>(const Tensor&)> pack;
  std::function<Tensor(const Ptr<RefCounted>&)> unpack;
};
EMBER_API std::vector<std::shared_ptr<SavedTensorHooks>>& saved_tensor_hooks();  // of this thread, the last one counts

// ---- modes ----

inline bool grad_enabled() { return !(dispatch_state.off & key::kGrad); }
class GradMode {  // sets grad mode while it lives
 public:
  explicit GradMode(bool on) : before_(dispatch_state.off) { set(on); }
  ~GradMode() { dispatch_state.off = before_; }
  GradMode(const GradMode&) = delete;
  static void set(bool on) {
    dispatch_state.off = on ? dispatch_state.off & ~key::kGrad : dispatch_state.off | key::kGrad;
  }

 private:
  Keys before_;
};
struct NoGrad : GradMode {
  NoGrad() : GradMode(false) {}
};
// Inference mode while it lives: no gradients, and tensors made in it take no part in autograd later either.
class InferenceMode {
 public:
  explicit InferenceMode(bool on = true) : before_(inference_mode), grad_(!on) { inference_mode = on; }
  ~InferenceMode() { inference_mode = before_; }
  InferenceMode(const InferenceMode&) = delete;

 private:
  bool before_;
  GradMode grad_;
};
struct AnomalyMode {
  bool on = false, check_nan = true;
};
EMBER_API AnomalyMode& anomaly_mode();
// Set by python/: the caller's stack as text, and a warning with the forward stack of a node that failed.
extern EMBER_API std::string (*capture_forward_trace)();
extern EMBER_API void (*warn_with_trace)(const std::string& node, const std::string& trace);

// ---- walking ----

// Gradients of roots (given one each; undefined: 1 for a single element) with respect to all leaves, added to .grad;
// or, when inputs are named, returned in their order and not added.
EMBER_API void backward(Span<Tensor> roots, Span<Tensor> grads, bool retain_graph, bool create_graph,
                        Span<Tensor> inputs = {});
EMBER_API std::vector<Tensor> grad(Span<Tensor> outputs, Span<Tensor> inputs, Span<Tensor> grad_outputs = {},
                                   bool retain_graph = false, bool create_graph = false, bool allow_unused = false);
EMBER_API void queue_callback(std::function<void()> f);  // runs when the present backward ends; Error outside of one

}  // namespace ember
