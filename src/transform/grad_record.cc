// The grad interpreter: runs a call below itself and records a node for it, from the op's entry alone.
#include <cctype>
#include <memory>

#include "op/grads.h"
#include "op/ops.h"
#include "op/pointwise.h"
#include "transform/grad.h"

namespace ember {
namespace {

// "log_softmax" -> "LogSoftmaxBackward0"
std::string node_name(const Op& op) {
  std::string out;
  bool upper = true;
  for (char c : op.name()) {
    if (c == '_') upper = true;
    else out += upper ? static_cast<char>(std::toupper(c)) : c, upper = false;
  }
  return out + "Backward0";
}

// An argument as a node keeps it: a value, a tensor with its data, or only a tensor's shape.
struct Kept {
  Value value;
  SavedTensor tensor;
  Dims sizes;
  DType dtype = DType::kFloat32;
  Device device;
  bool is_tensor = false, saved = false, wrapped = false;
};

class OpNode final : public Node, public Grads {
 public:
  OpNode(const Op& op, size_t args) : op_(op), kept_(args) {}
  std::string name() const override { return node_name(op_); }

  void keep_args(const Value* args, const Tensor* overwritten) {
    if (op_.saves.geometry) {
      const Tensor& x = args[0].tensor();
      geometry_ = std::make_unique<View>(View{x.sizes(), x.strides(), x.storage_offset()});
    }
    for (size_t i = 0; i < kept_.size(); ++i) {
      Kept& k = kept_[i];
      const Value& v = args[i];
      if (v.tag() == Tag::kTensor) {
        const Tensor& t = v.tensor();
        k.is_tensor = true, k.sizes = t.sizes(), k.dtype = t.dtype(), k.device = t.device(),
        k.wrapped = t->wrapped_number;
        if (wants_data(static_cast<int>(i)))
          k.saved = true, k.tensor = SavedTensor(
                              t, overwritten && t.is(*overwritten) ? SavedTensor::kOverwritten : SavedTensor::kInput);
      } else if (v.tag() == Tag::kTensorList) {
        keep_list(v, wants_data(static_cast<int>(i)), k);
      } else {
        k.value = v;
      }
    }
  }
  void keep_results(const Value* results) {
    uint32_t bits = op_.pointwise ? (result_read() ? 1u : 0u) : op_.saves.outputs;
    for (uint32_t i = 0; bits >> i; ++i) {
      kept_results_.resize(i + 1);
      if (bits >> i & 1) kept_results_[i] = SavedTensor(results[i].tensor(), SavedTensor::kResult, i);
    }
  }

  // One edge a differentiable tensor, in order of arguments.
  bool connect(const Value* args) {
    bool any = false;
    for (size_t i = 0; i < kept_.size(); ++i) {
      first_edge_.push_back(static_cast<int>(next.size()));
      auto edge = [&](const Tensor& t) {
        bool tracked = t.defined() && is_differentiable(t.dtype());
        next.push_back(tracked ? gradient_edge(t) : Edge{});
        any |= static_cast<bool>(next.back());
      };
      if (args[i].tag() == Tag::kTensor) edge(args[i].tensor());
      for (const Tensor& t : args[i].tensors()) edge(t);
    }
    first_edge_.push_back(static_cast<int>(next.size()));
    return any;
  }

  std::vector<Tensor> apply(std::vector<Tensor> grads) override {
    if (freed_) fail_freed();
    self_ = Ptr<Node>::share(this);
    grads_ = std::move(grads);
    out_.assign(next.size(), Tensor());
    std::vector<Value> args = restore_args();
    bool any = false;
    for (auto& g : grads_) any |= g.defined();
    if (any) {
      if (op_.pointwise) apply_pointwise(args.data());
      else op_.vjp(*this, args.data());
    }
    grads_.clear();
    self_.reset();
    return std::move(out_);
  }

  void release_saved() override {
    if (!any_saved()) return;  // nothing to free: such a node may run again
    freed_ = true;
    for (Kept& k : kept_) k.tensor.reset(), k.value = Value();
    for (auto& list : lists_) list.clear();
    for (SavedTensor& t : kept_results_) t.reset();
  }

  // ---- Grads ----
  Tensor g(int i) override {
    if (!grads_[static_cast<size_t>(i)].defined()) {
      const Shape& s = results[static_cast<size_t>(i)];
      grads_[static_cast<size_t>(i)] = zeros(s.sizes, s.dtype, s.device);
    }
    return grads_[static_cast<size_t>(i)];
  }
  bool has_g(int i) override { return grads_[static_cast<size_t>(i)].defined(); }
  Tensor y(int i) override { return kept_results_.at(static_cast<size_t>(i)).unpack(self_); }
  bool wants(int arg, int element) override {
    size_t e = static_cast<size_t>(first_edge_[static_cast<size_t>(arg)] + element);
    return first_edge_[static_cast<size_t>(arg)] + element < first_edge_[static_cast<size_t>(arg) + 1] && next[e];
  }
  void set(int arg, Tensor gradient, int element) override {
    if (!wants(arg, element) || !gradient.defined()) return;
    const Kept& k = kept_[static_cast<size_t>(arg)];
    const Dims& sizes =
        k.is_tensor ? k.sizes : list_shapes_[static_cast<size_t>(arg)][static_cast<size_t>(element)].sizes;
    DType dtype = k.is_tensor ? k.dtype : list_shapes_[static_cast<size_t>(arg)][static_cast<size_t>(element)].dtype;
    if (!is_complex(dtype) && is_complex(gradient.dtype())) gradient = real(gradient);
    if (gradient.sizes() != sizes) gradient = sum_to_size(gradient, sizes);
    if (gradient.dtype() != dtype) gradient = to_dtype(gradient, dtype);
    out_[static_cast<size_t>(first_edge_[static_cast<size_t>(arg)] + element)] = std::move(gradient);
  }

 private:
  bool wants_data(int i) const {
    if (!op_.pointwise) return op_.saves.inputs >> i & 1;
    const Pointwise& p = *op_.pointwise;
    if (i >= p.inputs) return false;
    if (op_.vjp && is_complex(kept_dtype_)) return op_.saves.inputs >> i & 1;
    for (int k = 0; k < p.partials; ++k) {
      if (next[static_cast<size_t>(p.input_of(k))] && p.reads[k] >> (1 + i) & 1) return true;
    }
    return false;
  }
  bool result_read() const {
    const Pointwise& p = *op_.pointwise;
    for (int k = 0; k < p.partials; ++k) {
      if (next[static_cast<size_t>(p.input_of(k))] && p.reads[k] >> (1 + p.inputs) & 1) return true;
    }
    return false;
  }
  bool any_saved() const {
    for (const Kept& k : kept_) {
      if (k.saved) return true;
    }
    return !kept_results_.empty();
  }

  void keep_list(const Value& v, bool data, Kept& k) {
    list_shapes_.resize(kept_.size());
    lists_.resize(kept_.size());
    size_t i = static_cast<size_t>(&k - kept_.data());
    for (const Tensor& t : v.tensors()) {
      list_shapes_[i].push_back(t.defined() ? Shape{t.sizes(), t.dtype(), t.device()} : Shape{});
      lists_[i].push_back(data ? SavedTensor(t, SavedTensor::kInput) : SavedTensor());
    }
    k.saved = data;
    k.value = Value(std::string_view("list"));  // tells that it was one
  }

  std::vector<Value> restore_args() {
    std::vector<Value> args(kept_.size());
    Ptr<Node> none;
    tensors_.clear();
    tensors_.reserve(kept_.size());
    for (size_t i = 0; i < kept_.size(); ++i) {
      const Kept& k = kept_[i];
      if (k.is_tensor) {
        Tensor t = k.saved ? k.tensor.unpack(none) : empty_raw(k.sizes, k.dtype, kMeta);
        if (!k.saved) t->wrapped_number = k.wrapped;
        if (i == 0 && geometry_) t->set_sizes(k.sizes, geometry_->strides), t->offset = geometry_->offset;
        args[i] = Value(std::move(t));
      } else if (i < list_shapes_.size() && (!list_shapes_[i].empty())) {
        std::vector<Tensor> list;
        for (size_t e = 0; e < list_shapes_[i].size(); ++e)
          list.push_back(k.saved ? lists_[i][e].unpack(none)
                                 : empty_raw(list_shapes_[i][e].sizes, list_shapes_[i][e].dtype, kMeta));
        tensors_.push_back(std::move(list));
        args[i] = Value(tensors_.back());
      } else {
        args[i] = k.value;
      }
    }
    return args;
  }

  void apply_pointwise(const Value* args) {
    const Pointwise& p = *op_.pointwise;
    bool complex = false;
    for (int i = 0; i < p.inputs; ++i) complex |= is_complex(args[i].tensor().dtype());
    if (op_.vjp && complex) return op_.vjp(*this, args);
    Tensor result = kept_results_.empty() ? Tensor() : y(0);
    const Tensor& gradient = grads_[0];
    bool differentiable = grad_enabled() || gradient.is_meta() || dispatch_state.on;
    for (int k = 0; k < p.partials; ++k) {
      int i = p.input_of(k);
      if (!wants(i, 0)) continue;
      const Kept& kept = kept_[static_cast<size_t>(i)];
      if (differentiable) {
        set(i, p.tensor_partial(k, gradient, args, result), 0);
      } else {
        bool narrow = is_complex(gradient.dtype()) && !is_complex(kept.dtype);
        set(i,
            pointwise_partial(op_, k, gradient, args, result,
                              narrow || kept.sizes != gradient.sizes() ? gradient.dtype() : kept.dtype),
            0);
      }
    }
  }

 public:
  DType kept_dtype_ = DType::kFloat32;  // of the call: decides between partials and vjp

 private:
  const Op& op_;
  std::vector<Kept> kept_;
  std::vector<SavedTensor> kept_results_;
  std::vector<int> first_edge_;
  std::vector<std::vector<Shape>> list_shapes_;
  std::vector<std::vector<SavedTensor>> lists_;
  std::vector<std::vector<Tensor>> tensors_;
  std::vector<Tensor> grads_, out_;
  std::unique_ptr<View> geometry_;
  Ptr<Node> self_;
  bool freed_ = false;
};

void record(const Tensor& t, const Ptr<Node>& node, uint32_t index) {
  if (t.defined() && is_differentiable(t.dtype())) set_history(t, node, index);
}

void grad_interpreter(Call& c) {
  const Op& op = c.op;
  bool inplace = c.form == form::kInplace;
  if (c.form == form::kOut) {
    EMBER_FAIL(op.name(),
               "(): functions with out=... arguments don't support automatic differentiation, but one of the arguments "
               "requires grad.");
  }
  if (inplace) check_inplace_allowed(*c.out);
  if (!(op.pointwise ? op.pointwise->partials > 0 || op.vjp : op.vjp != nullptr)) {  // comparisons and their like
    Without off(key::kGrad);
    return invoke(c);
  }
  size_t args = op.schema.args.size();
  auto node = make_ptr<OpNode>(op, args);
  for (size_t i = 0; i < args; ++i) {
    const Tensor& t = c.args[i].tensor();
    if (t.defined() && is_complex(t.dtype())) node->kept_dtype_ = t.dtype();
  }
  bool wanted = node->connect(c.args);
  if (wanted) node->keep_args(c.args, inplace ? c.out : nullptr);
  {
    Without off(key::kGrad);
    invoke(c);
  }
  if (!wanted) return;
  if (anomaly_mode().on && capture_forward_trace) node->extras().forward_trace = capture_forward_trace();
  bool any = false;
  auto describe = [&](const Tensor& t) {
    node->results.push_back(t.defined() ? Node::Shape{t.sizes(), t.dtype(), t.device()} : Node::Shape{});
    any |= t.defined() && is_differentiable(t.dtype());
  };
  size_t count = op.schema.results.size();
  bool list = count == 1 && c.results[0].tag() == Tag::kTensorList;
  if (list) {
    for (const Tensor& t : c.results[0].tensors()) describe(t);
  } else {
    for (size_t i = 0; i < count; ++i) describe(c.results[i].tensor());
  }
  if (!any) return;
  if (inplace && op.view && (*c.out)->view_base) return;  // its history is found anew, from the base
  if (inplace) {
    node->keep_results(c.results);
    return rebase_history(*c.out, node);
  }
  if (list) {
    uint32_t i = 0;
    for (const Tensor& t : c.results[0].tensors()) record(t, node, i++);
    return;
  }
  // A result that is the input itself (contiguous() of what is contiguous) keeps its history.
  for (size_t i = 0; i < count; ++i) record(c.results[i].tensor(), node, static_cast<uint32_t>(i));
  node->keep_results(c.results);
}

const bool kInstalled = [] {
  interpreters[4] = grad_interpreter;
  return true;
}();
static_assert(key::kGrad == 1u << 4);

}  // namespace
}  // namespace ember
