// Tensors' side of autograd: metas, edges, hooks, histories, saved tensors.
#include "transform/grad.h"

#include <pthread.h>

#include <mutex>

#include "op/ops.h"
#include "tensor/allocator.h"

namespace ember {

void* Node::operator new(size_t size) { return cpu_alloc(size); }
void Node::operator delete(void* p, size_t size) { cpu_free(p, size); }
void* AutogradMeta::operator new(size_t size) { return cpu_alloc(size); }
void AutogradMeta::operator delete(void* p, size_t size) { cpu_free(p, size); }

static std::atomic<uint64_t> g_sequence{0};
Node::Node() : sequence(g_sequence.fetch_add(1, std::memory_order_relaxed)) {}

void Node::follow_inputs() {
  for (const Edge& e : next) {
    if (!e || e.node->sequence == UINT64_MAX || e.node->sequence < sequence) continue;
    sequence = g_sequence.fetch_add(1, std::memory_order_relaxed);
    return;
  }
}

// Lets go of a node without recursion, however long the chain behind it.
static void drop(Ptr<Node> node) {
  if (!node) return;
  if (node.use_count() > 1) return;  // not the last: letting go is all
  struct Pending {
    std::vector<Ptr<Node>> list;
    bool running = false;
  };
  static thread_local Pending pending;
  pending.list.push_back(std::move(node));
  if (pending.running) return;
  pending.running = true;
  while (!pending.list.empty()) {
    Ptr<Node> last = std::move(pending.list.back());
    pending.list.pop_back();
    last.reset();
  }
  pending.running = false;
}

Node::~Node() {
  uintptr_t object = python_object.load(std::memory_order_relaxed);
  if (object & 1) release_python_object(object & ~uintptr_t{1});
  for (Edge& e : next) drop(std::move(e.node));
}

AutogradMeta::~AutogradMeta() {
  if (retain) retain->impl = nullptr;
  drop(std::move(grad_fn));
}

AutogradMeta& autograd_meta(const Tensor& x) {
  if (!x->autograd) x->autograd.reset(new AutogradMeta);
  return static_cast<AutogradMeta&>(*x->autograd);
}

int64_t Node::add_tensor_hook(uint32_t input, TensorHook hook) {
  for (auto& [i, list] : extras().tensor_hooks) {
    if (i == input) return list.add(std::move(hook));
  }
  extras().tensor_hooks.emplace_back(input, HookList<TensorHook>());
  return extras().tensor_hooks.back().second.add(std::move(hook));
}
void Node::remove_tensor_hook(uint32_t input, int64_t id) {
  for (auto& [i, list] : extras().tensor_hooks) {
    if (i == input) list.remove(id);
  }
}

// ---- leaves ----

namespace {

std::mutex g_accumulate;    // two threads may add to one leaf
std::mutex g_accumulators;  // guards AutogradMeta::accumulator
const int kFreeAfterFork = pthread_atfork([] { g_accumulate.lock(), g_accumulators.lock(); },
                                          [] { g_accumulators.unlock(), g_accumulate.unlock(); },
                                          [] { g_accumulators.unlock(), g_accumulate.unlock(); });

struct AccumulateGrad final : Node {
  Tensor variable;
  explicit AccumulateGrad(Tensor v) : variable(std::move(v)) {
    sequence = UINT64_MAX;
    results.push_back({variable.sizes(), variable.dtype(), variable.device()});
  }
  ~AccumulateGrad() override {
    std::lock_guard<std::mutex> guard(g_accumulators);
    auto* meta = autograd_meta_or_null(variable);
    if (meta && meta->accumulator == this) meta->accumulator = nullptr;
  }
  std::string name() const override { return "AccumulateGrad"; }
  Tensor leaf() const override { return variable; }

  std::vector<Tensor> apply(std::vector<Tensor> grads) override {
    AutogradMeta& meta = autograd_meta(variable);
    Tensor g = std::move(grads[0]);
    if (!g.defined()) return {};
    {
      std::lock_guard<std::mutex> lock(g_accumulate);
      accumulate(meta, std::move(g));
    }
    for (auto& hook : meta.post_accumulate_hooks.list()) hook(variable);
    return {};
  }

  void accumulate(AutogradMeta& meta, Tensor g) {
    bool record = grad_enabled();
    if (!meta.grad.defined()) {
      // Laid out as the variable is, or row-major where that leaves holes: what nobody else holds is kept, else copied.
      const bool dense = is_non_overlapping_and_dense(variable.sizes(), variable.strides());
      bool alone = !record && g.ptr().use_count() == 1 && g->storage && g->storage.use_count() == 1 && !g->autograd;
      if (alone && (dense && !variable.is_contiguous() ? same_layout(g) : g.is_contiguous())) {
        meta.grad = std::move(g);
        return;
      }
      Tensor copy = empty_strided_raw(g.sizes(), dense ? variable.strides() : contiguous_strides(g.sizes()), g.dtype(),
                                      g.device());
      meta.grad = copy_(copy, g);
      return;
    }
    if (record) {
      meta.grad = meta.grad + g;
    } else {
      add_(meta.grad, g);
    }
  }

  bool same_layout(const Tensor& g) const {
    for (size_t d = 0; d < g.sizes().size(); ++d) {
      if (g.sizes()[d] > 1 && g.strides()[d] != variable.strides()[d]) return false;
    }
    return true;
  }
};

// The elements of `base`'s storage that a view of it shows, as an op of base: also where the view shows complex
// numbers as pairs of reals, or pairs as complex numbers. `offset` counts elements of the view's dtype.
Tensor view_again(const Tensor& base, DType dtype, DimsView sizes, DimsView strides, int64_t offset) {
  if (dtype == base.dtype()) return as_strided(base, sizes, strides, offset);
  if (is_complex(base.dtype()) && dtype == real_of(base.dtype()))
    return as_strided(view_as_real(base), sizes, strides, offset);
  EMBER_CHECK(is_complex(dtype) && base.dtype() == real_of(dtype), "a view of ", base.dtype(), " as ", dtype,
              " has no gradient: it cannot be modified inplace by what requires grad");
  Dims pairs(sizes), steps(strides);
  for (int64_t& s : steps) s *= 2;
  pairs.push_back(2), steps.push_back(1);
  return view_as_complex(as_strided(base, pairs, steps, 2 * offset));
}
Tensor view_again(const Tensor& base, const Tensor& x) {
  GradMode on(true);
  return view_again(base, x.dtype(), x.sizes(), x.strides(), x.storage_offset());
}

// The gradient of an in-place call on a view, seen from its base: inside the viewed elements it goes through the call,
// elsewhere it passes.
struct CopySlices final : Node {
  Ptr<Node> call;  // its edge 0 stood for the view itself
  Shape base;
  Dims base_strides;    // gradients are laid out as the base is, so that the view's geometry fits them
  Dims sizes, strides;  // of the view
  DType dtype;
  int64_t offset;  // from the base's first element
  int self_edge;

  std::string name() const override { return "CopySlices"; }
  void release_saved() override {
    if (call) call->release_saved();
  }

  std::vector<Tensor> apply(std::vector<Tensor> grads) override {
    std::vector<Tensor> out(next.size());
    if (!grads[0].defined()) return out;
    Tensor whole = empty_strided_raw(base.sizes, base_strides, grads[0].dtype(), grads[0].device());
    copy_(whole, grads[0]);
    Tensor part = view_of(whole);
    std::vector<Tensor> inner = call->apply({clone(part)});
    for (size_t i = 0; i < inner.size(); ++i) {
      if (static_cast<int>(i) == self_edge) {
        if (inner[i].defined()) copy_(view_of(whole), inner[i]);
        else zero_(view_of(whole));
      } else {
        out[i + (static_cast<int>(i) < self_edge ? 1 : 0)] = inner[i];
      }
    }
    if (self_edge < 0) zero_(view_of(whole));
    out[0] = whole;
    return out;
  }

  // The view's elements within a gradient that is laid out as the base is.
  Tensor view_of(const Tensor& whole) const { return view_again(whole, dtype, sizes, strides, offset); }
};

}  // namespace

static Ptr<Node> accumulator_of(const Tensor& x) {
  AutogradMeta& meta = autograd_meta(x);
  std::lock_guard<std::mutex> guard(g_accumulators);
  if (meta.accumulator && meta.accumulator->retain_alive()) return Ptr<Node>::adopt(meta.accumulator);
  auto node = make_ptr<AccumulateGrad>(x);
  meta.accumulator = node.get();
  return node;
}

// ---- history ----

Ptr<Node> grad_fn(const Tensor& x) {
  AutogradMeta* meta = autograd_meta_or_null(x);
  if (!meta) return {};
  if (x->view_base && meta->grad_fn && meta->seen_version != x.version()) {
    Tensor base{Ptr<TensorImpl>(x->view_base)};
    if (base->requires_grad) {  // the base was written to: this view shows the new base
      Tensor again = view_again(base, x);
      AutogradMeta& fresh = autograd_meta(again);
      meta->grad_fn = fresh.grad_fn, meta->output = fresh.output;
    }
    meta->seen_version = x.version();
  }
  return meta->grad_fn;
}

bool is_leaf(const Tensor& x) {
  AutogradMeta* meta = autograd_meta_or_null(x);
  return !meta || !meta->grad_fn;
}

Edge gradient_edge(const Tensor& x) {
  if (!x.defined() || !x->requires_grad) return {};
  if (Ptr<Node> fn = grad_fn(x)) return {std::move(fn), autograd_meta(x).output};
  return {accumulator_of(x), 0};
}

static void mark(const Tensor& x) {
  x->requires_grad = true;
  x->keys |= key::kGrad;
}

void set_history(const Tensor& x, const Ptr<Node>& node, uint32_t output) {
  AutogradMeta& meta = autograd_meta(x);
  meta.grad_fn = node, meta.output = output;
  if (x->view_base) meta.seen_version = x.version();
  mark(x);
}

void rebase_history(const Tensor& x, Ptr<Node> node) {
  if (!x->view_base) return set_history(x, node, 0);
  Tensor base{Ptr<TensorImpl>(x->view_base)};
  auto slices = make_ptr<CopySlices>();
  Edge before = gradient_edge(base);
  slices->call = node;
  slices->base = {base.sizes(), base.dtype(), base.device()};
  slices->results.push_back(slices->base);
  slices->dtype = x.dtype();
  slices->offset = x.storage_offset() - base.storage_offset() * item_size(base.dtype()) / item_size(x.dtype());
  slices->sizes = x.sizes();
  slices->strides = x.strides();
  slices->base_strides = base.strides();
  slices->self_edge = node->next.empty() ? -1 : 0;
  slices->next.push_back(std::move(before));
  for (size_t i = 1; i < node->next.size(); ++i) slices->next.push_back(node->next[i]);
  set_history(base, slices, 0);
  {
    Tensor again = view_again(base, x);
    AutogradMeta &meta = autograd_meta(x), &fresh = autograd_meta(again);
    meta.grad_fn = fresh.grad_fn, meta.output = fresh.output, meta.seen_version = x.version();
  }
  mark(x);
}

void check_inplace_allowed(const Tensor& x) {
  if (!grad_enabled()) return;
  check_view_tracked(x);
  if (x->requires_grad && is_leaf(x))
    EMBER_FAIL("a leaf Variable that requires grad is being used in an in-place operation.");
  if (x->view_base && x->view_base->requires_grad && is_leaf(Tensor(x->view_base)))
    EMBER_FAIL("a view of a leaf Variable that requires grad is being used in an in-place operation.");
}

// ---- hooks and flags ----

int64_t add_hook(const Tensor& x, TensorHook hook) {
  EMBER_CHECK(x->requires_grad, "cannot register a hook on a tensor that doesn't require gradient");
  AutogradMeta& meta = autograd_meta(x);
  if (Ptr<Node> fn = grad_fn(x)) return fn->add_tensor_hook(meta.output, std::move(hook));
  return meta.hooks.add(std::move(hook));
}
void remove_hook(const Tensor& x, int64_t id) {
  AutogradMeta& meta = autograd_meta(x);
  if (meta.grad_fn) meta.grad_fn->remove_tensor_hook(meta.output, id);
  else meta.hooks.remove(id);
}

void retain_grad(const Tensor& x) {
  EMBER_CHECK(x->requires_grad, "can't retain_grad on Tensor that has requires_grad=False");
  Ptr<Node> fn = grad_fn(x);
  AutogradMeta& meta = autograd_meta(x);
  if (!fn || meta.retain) return;
  meta.retain = make_ptr<RetainCell>();
  meta.retain->impl = x.impl();
  fn->extras().retained.emplace_back(meta.output, meta.retain);
}
bool retains_grad(const Tensor& x) {
  AutogradMeta* meta = autograd_meta_or_null(x);
  return meta && meta->retain;
}

void requires_grad_(const Tensor& x, bool on) {
  if (!is_leaf(x)) {
    EMBER_CHECK(
        on,
        "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
        "subgraph that doesn't require differentiation use var_no_grad = var.detach().");
    return;
  }
  EMBER_CHECK(!on || is_differentiable(x.dtype()),
              "only Tensors of floating point and complex dtype can require gradients");
  EMBER_CHECK(!on || !x->inference || inference_mode,
              "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.");
  if (on) autograd_meta(x);  // made here, while the tensor is this thread's alone: others may use it at once
  x->requires_grad = on;
  x->keys = on ? x->keys | key::kGrad : x->keys & ~key::kGrad;
}

Tensor detach(const Tensor& x) { return alias_raw(x, x.sizes(), x.strides(), x.storage_offset()); }

void detach_(const Tensor& x) {
  EMBER_CHECK(!x->view_base || is_leaf(x), "Can't detach views in-place. Use detach() instead.");
  if (auto* meta = autograd_meta_or_null(x)) drop(std::move(meta->grad_fn));
  x->requires_grad = false;
  x->keys &= ~key::kGrad;
}

const Tensor& Tensor::set_requires_grad(bool on) const {
  requires_grad_(*this, on);
  return *this;
}
Tensor Tensor::grad() const {
  AutogradMeta* meta = autograd_meta_or_null(*this);
  return meta ? meta->grad : Tensor();
}
void Tensor::set_grad(const Tensor& g) const { autograd_meta(*this).grad = g; }
Tensor Tensor::detach() const { return ember::detach(*this); }
void Tensor::backward(const Tensor& gradient, bool retain_graph, bool create_graph) const {
  ember::backward(Span<Tensor>(this, 1), Span<Tensor>(&gradient, 1), retain_graph || create_graph, create_graph);
}

// ---- saved tensors ----

std::vector<std::shared_ptr<SavedTensorHooks>>& saved_tensor_hooks() {
  static thread_local std::vector<std::shared_ptr<SavedTensorHooks>> hooks;
  return hooks;
}

namespace {
struct Packed : RefCounted {
  Ptr<RefCounted> value;
  std::shared_ptr<SavedTensorHooks> hooks;
};
}  // namespace

SavedTensor::SavedTensor(const Tensor& x, Role role, uint32_t output)
    : output_(output), own_(role == kResult), present_(x.defined()) {
  if (!present_) return;
  EMBER_CHECK(!x->inference,
              "Inference tensors cannot be saved for backward. To work around you can make a clone to get a normal "
              "tensor and use it in autograd.");
  version_ = x.version();
  wanted_ = x->requires_grad;
  if (!saved_tensor_hooks().empty()) {
    auto packed = make_ptr<Packed>();
    packed->hooks = saved_tensor_hooks().back();
    if (wanted_ && !own_) history_ = grad_fn(x), output_ = autograd_meta(x).output;
    if (wanted_ && is_leaf(x) && !own_) tensor_ = x;  // a leaf must come back as itself
    NoGrad off;
    packed->value = packed->hooks->pack(own_ ? detach(x) : x);
    packed_ = std::move(packed);
    return;
  }
  tensor_ = role == kInput ? x : detach(x);
}

void SavedTensor::reset() {
  tensor_ = {};
  packed_.reset();
  drop(std::move(history_));
}

Tensor SavedTensor::unpack(const Ptr<Node>& owner) const {
  if (!present_) return {};
  if (packed_) {
    auto* packed = static_cast<Packed*>(packed_.get());
    Tensor x = packed->hooks->unpack(packed->value);
    if (!wanted_) return x;
    if (tensor_.defined()) return tensor_;
    Tensor with_history = detach(x);
    if (own_) set_history(with_history, owner, output_);
    else if (history_) set_history(with_history, history_, output_);
    return with_history;
  }
  if (!tensor_.defined()) fail_freed();
  if (tensor_.version() != version_) {
    Ptr<Node> made_by = own_ ? owner : autograd_meta_or_null(tensor_) ? autograd_meta(tensor_).grad_fn : nullptr;
    EMBER_FAIL(
        "one of the variables needed for gradient computation has been modified by an inplace operation: [",
        tensor_.dtype(), " ", tensor_.sizes(), "]",
        made_by
            ? str(", which is output ", own_ ? output_ : autograd_meta(tensor_).output, " of ", made_by->name(), ",")
            : std::string(),
        " is at version ", tensor_.version(), "; expected version ", version_, " instead. Hint: ",
        anomaly_mode().on ? "the backtrace further above shows the operation that failed to compute its gradient. The "
                            "variable in question was changed in there or "
                            "anywhere later. Good luck!"
                          : "enable anomaly detection to find the operation that failed to compute its gradient, with "
                            "torch.autograd.set_detect_anomaly(True).");
  }
  if (own_ && grad_enabled()) {
    Tensor x = detach(tensor_);
    set_history(x, owner, output_);
    return x;
  }
  return tensor_;
}

void fail_freed() {
  EMBER_FAIL(
      "Trying to backward through the graph a second time (or directly access saved tensors after they have already "
      "been freed). Saved intermediate values of the "
      "graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward "
      "through the graph a second time or if you need to "
      "access saved tensors after calling backward.");
}

AnomalyMode& anomaly_mode() {
  static thread_local AnomalyMode mode;
  return mode;
}
std::string (*capture_forward_trace)() = nullptr;

// The innermost frame of the program: the last two lines of a trace.
static std::string innermost_frame() {
  if (!anomaly_mode().on || !capture_forward_trace) return {};
  std::string trace = capture_forward_trace();
  while (trace.ends_with('\n')) trace.pop_back();
  size_t at = trace.rfind('\n');
  if (at != std::string::npos && at > 0) at = trace.rfind('\n', at - 1);
  return at == std::string::npos ? trace : trace.substr(at + 1);
}
const bool kPlaceInstalled = (place_in_program = innermost_frame, true);
void (*warn_with_trace)(const std::string&, const std::string&) = nullptr;

}  // namespace ember
