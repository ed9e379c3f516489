// The grad interpreter: runs a call below itself and records a node for it, from the op's entry alone.
#include "transform/grad_record.h"

#include <algorithm>
#include <cctype>
#include <memory>

#include "op/grads.h"
#include "op/ops.h"
#include "op/pointwise.h"

namespace ember {

std::string node_name(const Op& op) {
  std::string out;
  bool upper = true;
  for (char c : op.name()) {
    if (c == '_') upper = true;
    else out += upper ? static_cast<char>(std::toupper(c)) : c, upper = false;
  }
  return out + "Backward0";
}

void note_forward_trace(Node& node) {
  if (anomaly_mode().on && capture_forward_trace) node.extras().forward_trace = capture_forward_trace();
}

Tensor fit_gradient(Tensor gradient, const Dims& sizes, DType dtype) {
  if (!gradient.defined()) return gradient;
  if (!is_complex(dtype) && is_complex(gradient.dtype())) gradient = real(gradient);
  if (gradient.sizes() != sizes) gradient = sum_to_size(gradient, sizes);
  if (gradient.dtype() != dtype) gradient = to_dtype(gradient, dtype);
  return gradient;
}

SavedTensor save_input(const Tensor& t, const Tensor* overwritten) {
  return SavedTensor(overwritten && t.is(*overwritten) ? clone(t) : t, SavedTensor::kInput);
}

namespace {

// An argument as a node keeps it: a value, a tensor with its data, or only a tensor's shape.
struct Kept {
  Value value;
  SavedTensor tensor;
  Dims sizes;
  DType dtype = DType::kFloat32;
  Device device;
  bool is_tensor = false, saved = false, wrapped = false;
};

class OpNode final : public Node {
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
        if (wants_data(static_cast<int>(i))) k.saved = true, k.tensor = save_input(t, overwritten);
      } else if (v.tag() == Tag::kTensorList) {
        keep_list(v, wants_data(static_cast<int>(i)), k);
      } else {
        k.value = v;
      }
    }
  }
  void keep_results(const Value* results) {
    uint32_t bits = op_.saves.outputs;
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
    if (any) follow_inputs();
    return any;
  }

  std::vector<Tensor> apply(std::vector<Tensor> grads) override {
    if (freed_) fail_freed();
    Run run(*this, std::move(grads));
    if (std::any_of(run.grads.begin(), run.grads.end(), [](const Tensor& g) { return g.defined(); })) {
      std::vector<std::vector<Tensor>> lists;
      std::vector<Value> args = restore_args(lists);
      op_.vjp(run, args.data());
    }
    return std::move(run.out);
  }

  void release_saved() override {
    if (!any_saved()) return;  // nothing to free: such a node may run again
    freed_ = true;
    for (Kept& k : kept_) k.tensor.reset(), k.value = Value();
    for (auto& list : lists_) list.clear();
    for (SavedTensor& t : kept_results_) t.reset();
  }

 private:
  // One walk through the node. It is no part of the node, which may be walked by two threads, or again after a failure.
  struct Run final : Grads {
    Run(OpNode& node, std::vector<Tensor> grads) : node(node), grads(std::move(grads)), out(node.next.size()) {}
    Tensor g(int i) override {
      Tensor& g = grads[static_cast<size_t>(i)];
      const Shape& s = node.results[static_cast<size_t>(i)];
      if (!g.defined()) g = zeros(s.sizes, s.dtype, s.device);
      return g;
    }
    bool has_g(int i) override { return grads[static_cast<size_t>(i)].defined(); }
    Tensor y(int i) override { return node.kept_results_.at(static_cast<size_t>(i)).unpack(Ptr<Node>::share(&node)); }
    size_t edge(int arg, int element) const {
      return static_cast<size_t>(node.first_edge_[static_cast<size_t>(arg)] + element);
    }
    bool wants(int arg, int element) override {
      return edge(arg, element) < edge(arg + 1, 0) && node.next[edge(arg, element)];
    }
    void set(int arg, Tensor gradient, int element) override {
      if (!wants(arg, element) || !gradient.defined()) return;
      const size_t i = static_cast<size_t>(arg), e = static_cast<size_t>(element);
      const Kept& k = node.kept_[i];
      const Dims& sizes = k.is_tensor ? k.sizes : node.list_shapes_[i][e].sizes;
      const DType dtype = k.is_tensor ? k.dtype : node.list_shapes_[i][e].dtype;
      out[edge(arg, element)] = fit_gradient(std::move(gradient), sizes, dtype);
    }

    OpNode& node;
    std::vector<Tensor> grads, out;
  };

  bool wants_data(int i) const { return op_.saves.inputs >> i & 1; }
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

  // The forward call's arguments; those that are lists of tensors lie in `lists`.
  std::vector<Value> restore_args(std::vector<std::vector<Tensor>>& lists) {
    std::vector<Value> args(kept_.size());
    Ptr<Node> none;
    lists.reserve(kept_.size());
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
        lists.push_back(std::move(list));
        args[i] = Value(lists.back());
      } else {
        args[i] = k.value;
      }
    }
    return args;
  }

  const Op& op_;
  std::vector<Kept> kept_;
  std::vector<SavedTensor> kept_results_;
  std::vector<int> first_edge_;
  std::vector<std::vector<Shape>> list_shapes_;
  std::vector<std::vector<SavedTensor>> lists_;
  std::unique_ptr<View> geometry_;
  bool freed_ = false;
};

void record(const Tensor& t, const Ptr<Node>& node, uint32_t index) {
  if (t.defined() && is_differentiable(t.dtype())) set_history(t, node, index);
}

void grad_interpreter(Call& c) {
  const Op& op = c.op;
  if (EMBER_UNLIKELY(inference_mode)) {  // enable_grad() within changes nothing
    Without off(key::kGrad);
    return invoke(c);
  }
  bool inplace = c.form == form::kInplace;
  if (c.form == form::kOut) {
    EMBER_FAIL(op.name(),
               "(): functions with out=... arguments don't support automatic differentiation, but one of the arguments "
               "requires grad.");
  }
  if (inplace) check_inplace_allowed(*c.out);
  bool complex = false;
  for (size_t i = 0; i < op.schema.args.size(); ++i) {
    complex |= c.args[i].is_tensor() && is_complex(c.args[i].tensor().dtype());
  }
  // Partials differentiate a pointwise op, but for complex numbers where it is not holomorphic and has a vjp.
  if (op.pointwise && op.pointwise->partials > 0 && !(complex && op.vjp)) return record_pointwise(c);
  if (!op.vjp) {  // comparisons and their like
    Without off(key::kGrad);
    return invoke(c);
  }
  auto node = make_ptr<OpNode>(op, op.schema.args.size());
  bool wanted = node->connect(c.args);
  if (wanted) node->keep_args(c.args, inplace ? c.out : nullptr);
  {
    Without off(key::kGrad);
    invoke(c);
  }
  if (!wanted) return;
  note_forward_trace(*node);
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
