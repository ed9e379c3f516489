// Walking the graph: counts what each node waits for, then runs ready nodes, the last recorded first.
#include <algorithm>
#include <unordered_map>

#include "base/parallel.h"
#include "op/ops.h"
#include "transform/grad_record.h"

namespace ember {
namespace {

struct Visit {
  int waits = 0;              // edges that have not delivered
  bool needed = true;         // leads to an asked-for input
  std::vector<Tensor> grads;  // that came so far
};

bool is_expandable(DimsView from, DimsView to) {
  if (from.size() > to.size()) return false;
  for (size_t i = 0; i < from.size(); ++i) {
    int64_t have = from[from.size() - 1 - i];
    if (have != 1 && have != to[to.size() - 1 - i]) return false;
  }
  return true;
}

class Task;
thread_local Task* t_task = nullptr;

class Task {
 public:
  Task(bool retain, bool create) : retain_(retain), create_(create), outer_(t_task) { t_task = this; }
  ~Task() { t_task = outer_; }

  std::vector<std::function<void()>> callbacks;

  void seed(const Edge& root, Tensor g) {
    if (!root) return;
    roots_.push_back(root);
    add(visits_[root.node.get()], root, std::move(g));
  }
  // Gradients to be caught on their way into a node instead of (for leaves) being accumulated.
  void capture(const Edge& where) { captures_.push_back(where); }

  std::vector<Tensor> run(bool only_captures) {
    count_waits();
    caught_.assign(captures_.size(), Tensor());
    if (only_captures) find_needed();
    GradMode mode(create_);
    for (auto& [node, v] : visits_) {
      if (v.waits == 0) push(node);
    }
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), later);
      Ptr<Node> node = Ptr<Node>::share(heap_.back());
      heap_.pop_back();
      step(node, only_captures);
    }
    for (size_t i = 0; i < callbacks.size(); ++i) callbacks[i]();
    return std::move(caught_);
  }

 private:
  static bool later(const Node* a, const Node* b) { return a->sequence < b->sequence; }
  void push(Node* node) {
    heap_.push_back(node);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  void add(Visit& v, const Edge& e, Tensor g) {
    if (v.grads.size() <= e.input) v.grads.resize(std::max<size_t>(e.input + 1, e.node->results.size()));
    Tensor& slot = v.grads[e.input];
    if (!g.defined()) return;
    if (!slot.defined()) {
      slot = std::move(g);
      return;
    }
    bool alone = !create_ && slot.ptr().use_count() == 1 && slot->storage && slot->storage.use_count() == 1 &&
                 !slot->requires_grad && slot.dtype() == g.dtype() &&
                 is_non_overlapping_and_dense(slot.sizes(), slot.strides());
    if (alone) add_(slot, g);
    else slot = slot + g;
  }

  void count_waits() {
    std::vector<Node*> stack;
    for (const Edge& r : roots_) stack.push_back(r.node.get());
    std::unordered_map<Node*, bool> seen;
    seen.reserve(64);
    while (!stack.empty()) {
      Node* node = stack.back();
      stack.pop_back();
      if (!seen.emplace(node, true).second) continue;
      for (const Edge& e : node->next) {
        if (!e) continue;
        ++visits_[e.node.get()].waits;
        stack.push_back(e.node.get());
      }
    }
  }

  // Backwards over the graph: a node is needed when a captured edge lies beyond it.
  void find_needed() {
    std::vector<Node*> order;
    for (auto& [node, v] : visits_) {
      v.needed = false;
      order.push_back(node);
    }
    for (const Edge& c : captures_) {  // what the roots do not lead to stays out
      if (auto found = visits_.find(c.node.get()); found != visits_.end()) found->second.needed = true;
    }
    // Nodes point to earlier ones, leaves (the highest number) last.
    auto rank = [](Node* n) { return n->sequence == UINT64_MAX ? 0 : n->sequence + 1; };
    std::sort(order.begin(), order.end(), [&](Node* a, Node* b) { return rank(a) < rank(b); });
    for (Node* n : order) {
      Visit& v = visits_[n];
      for (const Edge& e : n->next) v.needed |= e && visits_[e.node.get()].needed;
    }
  }

  void step(const Ptr<Node>& node, bool only_captures) {
    stop_if_interrupted();
    auto found = visits_.find(node.get());
    std::vector<Tensor> grads = std::move(found->second.grads);
    grads.resize(std::max(grads.size(), node->results.size()));
    bool needed = found->second.needed;
    Node::Extras* extras = node->extras_or_null();
    const bool leaf = node->sequence == UINT64_MAX;
    if (needed && (extras || leaf)) run_tensor_hooks(*node, grads);
    bool beyond = !only_captures;
    for (size_t i = 0; i < captures_.size(); ++i) {
      if (captures_[i].node == node) caught_[i] = grads[captures_[i].input];
    }
    for (const Edge& e : node->next) beyond |= e && visits_[e.node.get()].needed;
    std::vector<Tensor> out;
    if (needed && beyond && !(only_captures && leaf)) {
      if (extras) run_pre_hooks(*extras, grads);
      check(*node, grads);
      bool hooked = extras && !extras->hooks.empty();
      std::vector<Tensor> incoming = hooked ? grads : std::vector<Tensor>();
      out = evaluate(node, std::move(grads));
      if (hooked) {
        for (auto& hook : extras->hooks.list()) {
          std::vector<Tensor> replaced = hook(out, incoming);
          if (!replaced.empty()) out = std::move(replaced);
        }
      }
      fit(*node, out);
    }
    for (size_t i = 0; i < node->next.size(); ++i) {
      const Edge& e = node->next[i];
      if (!e) continue;
      Visit& v = visits_[e.node.get()];
      if (i < out.size()) add(v, e, std::move(out[i]));
      if (--v.waits == 0) push(e.node.get());
    }
  }

  // Hooks of the tensors whose gradients these are, a leaf's among them.
  static void run_tensor_hooks(Node& node, std::vector<Tensor>& grads) {
    auto replace = [](const HookList<TensorHook>& hooks, Tensor& g) {
      if (hooks.empty()) return;
      for (auto& hook : hooks.list()) {
        if (!g.defined()) return;
        if (Tensor replaced = hook(g); replaced.defined()) g = std::move(replaced);
      }
    };
    if (Tensor x = node.leaf(); x.defined()) replace(autograd_meta(x).hooks, grads[0]);
    Node::Extras* extras = node.extras_or_null();
    if (!extras) return;
    for (auto& [input, hooks] : extras->tensor_hooks) {
      if (input < grads.size()) replace(hooks, grads[input]);
    }
    for (auto& [input, cell] : extras->retained) {
      auto* impl = static_cast<RetainCell*>(cell.get())->impl;
      if (!impl || input >= grads.size() || !grads[input].defined()) continue;
      Tensor x(Ptr<TensorImpl>::share(impl));
      AutogradMeta& meta = autograd_meta(x);
      meta.grad = meta.grad.defined() ? meta.grad + grads[input] : grads[input];
    }
  }
  static void run_pre_hooks(Node::Extras& extras, std::vector<Tensor>& grads) {
    for (auto& hook : extras.pre_hooks.list()) {
      std::vector<Tensor> replaced = hook(grads);
      if (!replaced.empty()) grads = std::move(replaced);
    }
  }

  static void check(const Node& node, const std::vector<Tensor>& grads) {
    for (size_t i = 0; i < grads.size() && i < node.results.size(); ++i) {
      if (!grads[i].defined() || grads[i].sizes() == node.results[i].sizes) continue;
      EMBER_FAIL("Function ", node.name(), " got an invalid gradient at index ", i, " - got ", grads[i].sizes(),
                 " but expected shape compatible with ", node.results[i].sizes);
    }
  }

  // What a rule or a function of the program returned, brought to the shapes and dtypes of the inputs.
  static void fit(const Node& node, std::vector<Tensor>& out) {
    for (size_t i = 0; i < out.size() && i < node.next.size(); ++i) {
      const Edge& e = node.next[i];
      if (!e || !out[i].defined() || e.input >= e.node->results.size()) continue;
      const Node::Shape& want = e.node->results[e.input];
      if (out[i].sizes() == want.sizes && out[i].dtype() == want.dtype) continue;
      EMBER_CHECK(is_expandable(want.sizes, out[i].sizes()), "Function ", node.name(),
                  " returned an invalid gradient at index ", i, " - got ", out[i].sizes(),
                  " but expected shape compatible with ", want.sizes);
      EMBER_CHECK(is_complex(out[i].dtype()) == is_complex(want.dtype) || is_floating(out[i].dtype()), "Function ",
                  node.name(), " returned an invalid gradient at index ", i, " - got ", out[i].dtype(),
                  ", but the input is ", want.dtype);
      out[i] = fit_gradient(std::move(out[i]), want.sizes, want.dtype);
    }
  }

  std::vector<Tensor> evaluate(const Ptr<Node>& node, std::vector<Tensor> grads) {
    AnomalyMode& anomaly = anomaly_mode();
    std::vector<Tensor> out;
    try {
      out = node->apply(std::move(grads));
    } catch (...) {
      if (anomaly.on && warn_with_trace) warn_with_trace(node->name(), node->extras().forward_trace);
      throw;
    }
    if (anomaly.on && anomaly.check_nan) {
      NoGrad off;
      for (size_t i = 0; i < out.size(); ++i) {
        if (!out[i].defined() || out[i].is_meta() || !any(isnan(out[i])).item<bool>()) continue;
        if (warn_with_trace) warn_with_trace(node->name(), node->extras().forward_trace);
        EMBER_FAIL("Function '", node->name(), "' returned nan values in its ", i, "th output.");
      }
    }
    if (!retain_) node->release_saved();
    return out;
  }

  bool retain_, create_;
  Task* outer_;
  std::vector<Edge> roots_, captures_;
  std::vector<Tensor> caught_;
  std::unordered_map<Node*, Visit> visits_;
  std::vector<Node*> heap_;
};

Tensor root_gradient(const Tensor& root, const Tensor& g, size_t i) {
  EMBER_CHECK(root->requires_grad, "element ", i, " of tensors does not require grad and does not have a grad_fn");
  if (g.defined()) {
    EMBER_CHECK(g.sizes() == root.sizes(), "Mismatch in shape: grad_output[", i, "] has a shape of ", g.sizes(),
                " and output[", i, "] has a shape of ", root.sizes(), ".");
    EMBER_CHECK(is_complex(g.dtype()) == is_complex(root.dtype()),
                "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in "
                "dtype: grad_output[",
                i, "] has a dtype of ", g.dtype(), " and output[", i, "] has a dtype of ", root.dtype(), ".");
    return g;
  }
  EMBER_CHECK(root.numel() == 1, "grad can be implicitly created only for scalar outputs");
  EMBER_CHECK(is_floating(root.dtype()), "grad can be implicitly created only for real scalar outputs but got ",
              root.dtype());
  return ones_like(root);
}

std::vector<Tensor> walk(Span<Tensor> roots, Span<Tensor> grads, Span<Tensor> inputs, bool retain, bool create,
                         bool allow_unused, bool accumulate) {
  EMBER_CHECK(grads.empty() || grads.size() == roots.size(), "got ", roots.size(), " tensors and ", grads.size(),
              " gradients");
  Task task(retain, create);
  {
    NoGrad off;
    for (size_t i = 0; i < roots.size(); ++i)
      task.seed(gradient_edge(roots[i]), root_gradient(roots[i], grads.empty() ? Tensor() : grads[i], i));
  }
  std::vector<Edge> edges;
  for (const Tensor& x : inputs) {
    EMBER_CHECK(x->requires_grad, "One of the differentiated Tensors does not require grad");
    edges.push_back(gradient_edge(x));
    task.capture(edges.back());
  }
  std::vector<Tensor> out = task.run(!inputs.empty());
  if (accumulate) {
    for (size_t i = 0; i < out.size(); ++i) {
      if (!out[i].defined()) continue;
      GradMode mode(create);
      if (is_leaf(inputs[i])) edges[i].node->apply({out[i]});
      else if (!retains_grad(inputs[i]))
        inputs[i].set_grad(inputs[i].grad().defined() ? inputs[i].grad() + out[i] : out[i]);
    }
    return {};
  }
  for (size_t i = 0; i < out.size(); ++i) {
    EMBER_CHECK(out[i].defined() || allow_unused, "The differentiated Tensor at index ", static_cast<int64_t>(i),
                " appears to not have been used in the graph. Set allow_unused=True if this is the desired behavior.");
  }
  return out;
}

}  // namespace

void backward(Span<Tensor> roots, Span<Tensor> grads, bool retain_graph, bool create_graph, Span<Tensor> inputs) {
  walk(roots, grads, inputs, retain_graph, create_graph, true, true);
}

std::vector<Tensor> grad(Span<Tensor> outputs, Span<Tensor> inputs, Span<Tensor> grad_outputs, bool retain_graph,
                         bool create_graph, bool allow_unused) {
  EMBER_CHECK_VALUE(!inputs.empty(), "grad requires non-empty inputs.");
  return walk(outputs, grad_outputs, inputs, retain_graph, create_graph, allow_unused, false);
}

void queue_callback(std::function<void()> f) {
  EMBER_CHECK(t_task, "Final callbacks can only be installed during backward pass.");
  t_task->callbacks.push_back(std::move(f));
}

}  // namespace ember
