// The node of a Python autograd.Function and its context object.
// The node owns the context (what forward saved and backward reads); the context knows the node only by address, which
// is cleared when the node dies. So a graph that goes takes its contexts along, and no cycle is made here.
#include "python/function_node.h"

#include <structmember.h>

namespace ember::python {
namespace {

struct FunctionNode;

struct ContextObject {
  PyObject_HEAD FunctionNode* node;  // null before apply() has finished and after the graph is gone
  PyObject* dict;
  PyObject* to_save;             // what save_for_backward got: a tuple, until forward is over
  PyObject* dirty;               // tuple of tensors that forward overwrote
  PyObject* non_differentiable;  // tuple of outputs
  PyObject* needs_input_grad;    // tuple of bools
  char materialize_grads;
};
PyTypeObject* context_type;
ContextObject* as_context(PyObject* o) { return reinterpret_cast<ContextObject*>(o); }

PyObject* check_call(PyObject* result) {
  if (!result) throw_python_error();
  return result;
}

struct FunctionNode final : Node {
  explicit FunctionNode(PyObject* context) : context(Py_NewRef(context)), label(Py_TYPE(context)->tp_name) {}
  ~FunctionNode() override {
    if (!Py_IsInitialized()) return;
    WithGil gil;
    as_context(context)->node = nullptr;
    Py_DECREF(context);
  }
  std::string name() const override { return label.substr(label.rfind('.') + 1); }
  void release_saved() override {
    for (SavedTensor& s : saved) s.reset();
    freed = true;
  }
  std::vector<Tensor> apply(std::vector<Tensor> grads) override;

  PyObject* context;
  std::string label;
  std::vector<SavedTensor> saved;
  std::vector<bool> present;       // of saved: a tensor, or None
  std::vector<int> edge_of_input;  // by argument of forward: its edge, -1 for what is no tensor
  bool freed = false;
};

std::vector<Tensor> FunctionNode::apply(std::vector<Tensor> grads) {
  WithGil gil;
  size_t n = results.size();
  Ref args(check_call(PyTuple_New(static_cast<Py_ssize_t>(n) + 1)));
  PyTuple_SET_ITEM(args.get(), 0, Py_NewRef(context));
  for (size_t i = 0; i < n; ++i) {
    Tensor g = i < grads.size() ? grads[i] : Tensor();
    if (!g.defined() && as_context(context)->materialize_grads) {
      g = empty_raw(results[i].sizes, results[i].dtype, results[i].device);
      if (void* data = g.is_meta() ? nullptr : g.data())
        std::memset(data, 0, static_cast<size_t>(g.numel() * item_size(g.dtype())));
    }
    PyTuple_SET_ITEM(args.get(), static_cast<Py_ssize_t>(i) + 1, wrap(g));
  }
  Ref type = Ref::borrow(reinterpret_cast<PyObject*>(Py_TYPE(context)));
  Ref owner(check_call(PyObject_GetAttrString(type.get(), "_forward_cls")));
  Ref backward(check_call(PyObject_GetAttrString(owner.get(), "_backward")));
  Ref result(check_call(PyObject_CallObject(backward.get(), args.get())));
  if (!PyTuple_Check(result.get())) {
    Ref single(check_call(PyTuple_Pack(1, result.get())));
    result = std::move(single);
  }
  // Trailing Nones more than there were inputs are let pass, as PyTorch does.
  Py_ssize_t given = PyTuple_GET_SIZE(result.get()), wanted = static_cast<Py_ssize_t>(edge_of_input.size());
  while (given > wanted && PyTuple_GET_ITEM(result.get(), given - 1) == Py_None) --given;
  EMBER_CHECK(given == wanted, "function ", name(), " returned an incorrect number of gradients (expected ",
              int64_t{wanted}, ", got ", int64_t{given}, ")");
  std::vector<Tensor> out(next.size());
  for (Py_ssize_t i = 0; i < wanted; ++i) {
    PyObject* g = PyTuple_GET_ITEM(result.get(), i);
    int edge = edge_of_input[static_cast<size_t>(i)];
    if (g == Py_None) continue;
    EMBER_CHECK(edge >= 0, "function ", name(), " returned a gradient different from None at position ", int64_t{i + 1},
                ", but the corresponding forward input was not a Variable");
    EMBER_CHECK_TYPE(is_tensor(g), "expected Variable or None (got ", type_name(g), ")");
    if (next[static_cast<size_t>(edge)]) out[static_cast<size_t>(edge)] = unwrap(g);
  }
  return out;
}

// ---- the context ----

void context_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  PyObject_GC_UnTrack(o);
  ContextObject* c = as_context(o);
  for (PyObject** o : {&c->dict, &c->to_save, &c->dirty, &c->non_differentiable}) Py_CLEAR(*o);
  Py_CLEAR(c->needs_input_grad);
  type->tp_free(o);
  Py_DECREF(type);
}
int context_traverse(PyObject* o, visitproc visit, void* arg) {
  ContextObject* c = as_context(o);
  Py_VISIT(Py_TYPE(o));
  Py_VISIT(c->dict);
  Py_VISIT(c->to_save);
  Py_VISIT(c->dirty);
  Py_VISIT(c->non_differentiable);
  return 0;
}
int context_clear(PyObject* o) {
  ContextObject* c = as_context(o);
  for (PyObject** o : {&c->dict, &c->to_save, &c->dirty, &c->non_differentiable}) Py_CLEAR(*o);
  return 0;
}
PyObject* context_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* o = type->tp_alloc(type, 0);
  if (o) as_context(o)->materialize_grads = 1;
  return o;
}

FunctionNode& live_node(PyObject* o) {
  FunctionNode* node = as_context(o)->node;
  EMBER_CHECK(node, "Attribute is invalid for this instance of ", Py_TYPE(o)->tp_name,
              ": it belongs to no graph, or its graph is gone");
  return *node;
}
PyObject* saved_tensors(PyObject* o, void*) {
  return guard([&]() -> PyObject* {
    ContextObject* c = as_context(o);
    if (!c->node) return c->to_save ? Py_NewRef(c->to_save) : check(PyTuple_New(0));
    FunctionNode& node = *c->node;
    if (node.freed) fail_freed();
    Ref out = own(PyTuple_New(static_cast<Py_ssize_t>(node.saved.size())));
    for (size_t i = 0; i < node.saved.size(); ++i)
      PyTuple_SET_ITEM(out.get(), static_cast<Py_ssize_t>(i),
                       node.present[i] ? wrap(node.saved[i].unpack(Ptr<Node>::share(&node))) : Py_NewRef(Py_None));
    return out.release();
  });
}
PyObject* context_next_functions(PyObject* o, void*) {
  return guard([&] { return wrap_next_functions(live_node(o)); });
}
PyObject* context_metadata(PyObject* o, void*) {
  return guard([&]() -> PyObject* {
    Ref dict = own(PyObject_GenericGetDict(o, nullptr));
    return PyDict_SetDefault(dict.get(), own(PyUnicode_InternFromString("_metadata")).get(), own(PyDict_New()).get());
  });
}
PyObject* context_name(PyObject* o, PyObject*) {
  return guard([&] { return text(live_node(o).name()).release(); });
}
PyObject* context_register_hook(PyObject* o, PyObject* hook) {
  return guard([&] { return register_node_hook(Ptr<Node>::share(&live_node(o)), hook); });
}
PyObject* context_register_prehook(PyObject* o, PyObject* hook) {
  return guard([&] { return register_node_prehook(Ptr<Node>::share(&live_node(o)), hook); });
}

PyMemberDef members[] = {{"to_save", T_OBJECT, offsetof(ContextObject, to_save), 0, nullptr},
                         {"dirty_tensors", T_OBJECT, offsetof(ContextObject, dirty), 0, nullptr},
                         {"non_differentiable", T_OBJECT, offsetof(ContextObject, non_differentiable), 0, nullptr},
                         {"needs_input_grad", T_OBJECT, offsetof(ContextObject, needs_input_grad), 0, nullptr},
                         {"materialize_grads", T_BOOL, offsetof(ContextObject, materialize_grads), 0, nullptr},
                         {"__dictoffset__", T_PYSSIZET, offsetof(ContextObject, dict), READONLY, nullptr},
                         {}};
PyGetSetDef getset[] = {{"saved_tensors", saved_tensors, nullptr, "What save_for_backward() kept.", nullptr},
                        {"saved_variables", saved_tensors, nullptr, nullptr, nullptr},
                        {"next_functions", context_next_functions, nullptr, nullptr, nullptr},
                        {"metadata", context_metadata, nullptr, nullptr, nullptr},
                        {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
                        {}};
PyMethodDef methods[] = {{"name", context_name, METH_NOARGS, nullptr},
                         {"register_hook", context_register_hook, METH_O, nullptr},
                         {"register_prehook", context_register_prehook, METH_O, nullptr},
                         {}};
PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(context_new)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(context_dealloc)},
                       {Py_tp_traverse, reinterpret_cast<void*>(context_traverse)},
                       {Py_tp_clear, reinterpret_cast<void*>(context_clear)},
                       {Py_tp_members, members},
                       {Py_tp_getset, getset},
                       {Py_tp_methods, methods},
                       {}};
PyType_Spec spec = {"ember._C._FunctionBase", sizeof(ContextObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

// ---- apply ----

bool contains(PyObject* tuple, PyObject* tensor) {
  if (!tuple || !PyTuple_Check(tuple)) return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
    PyObject* o = PyTuple_GET_ITEM(tuple, i);
    if (is_tensor(o) && unwrap(o).is(unwrap(tensor))) return true;
  }
  return false;
}

Tensor view_of(const Tensor& x) {
  static const Op* view = find_op("expand");
  return call_op(view, x, DimsView(x.sizes()), false);
}

// Gives the outputs their history; `raw` and the result are tuples.
Ref attach_outputs(ContextObject* c, const Ptr<FunctionNode>& node, PyObject* raw, PyObject* inputs) {
  Py_ssize_t n = PyTuple_GET_SIZE(raw);
  Ref out = own(PyTuple_New(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* o = PyTuple_GET_ITEM(raw, i);
    if (!is_tensor(o)) {
      if (node) node->results.push_back({{0}, DType::kFloat32, kCpu});
      PyTuple_SET_ITEM(out.get(), i, Py_NewRef(o));
      continue;
    }
    const Tensor& t = unwrap(o);
    if (node) node->results.push_back({t.sizes(), t.dtype(), t.device()});
    bool dirty = contains(c->dirty, o),
         differentiable = is_differentiable(t.dtype()) && !contains(c->non_differentiable, o);
    if (!node || (!differentiable && !dirty)) {
      bool passed_through =
          node && contains(inputs, o);  // an input returned as non-differentiable stays itself no more
      PyTuple_SET_ITEM(out.get(), i, passed_through ? wrap(detach(t)) : Py_NewRef(o));
    } else if (dirty) {
      rebase_history(t, node);
      track(o);
      PyTuple_SET_ITEM(out.get(), i, Py_NewRef(o));
    } else {
      Tensor result = t;
      if (contains(inputs, o)) {
        NoGrad off;
        result = view_of(t);
        result->view_base = nullptr;
      }
      set_history(result, node, static_cast<uint32_t>(i));
      PyObject* wrapped = wrap(std::move(result));
      track(wrapped);  // the context may lead back here
      PyTuple_SET_ITEM(out.get(), i, wrapped);
    }
  }
  return out;
}

void save(ContextObject* c, const Ptr<FunctionNode>& node, PyObject* outputs) {
  if (!c->to_save || c->to_save == Py_None) return;
  EMBER_CHECK_TYPE(PyTuple_Check(c->to_save), "saved tensors argument must be a tuple, but is ", type_name(c->to_save));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(c->to_save); ++i) {
    PyObject* o = PyTuple_GET_ITEM(c->to_save, i);
    if (o == Py_None) {
      node->saved.emplace_back(), node->present.push_back(false);
      continue;
    }
    EMBER_CHECK_TYPE(is_tensor(o), "save_for_backward can only save variables, but argument ", int64_t{i},
                     " is of type ", type_name(o));
    int output = -1;
    for (Py_ssize_t j = 0; j < PyTuple_GET_SIZE(outputs); ++j) {
      PyObject* y = PyTuple_GET_ITEM(outputs, j);
      if (is_tensor(y) && unwrap(y).is(unwrap(o))) output = static_cast<int>(j);
    }
    if (output >= 0 && unwrap(o).requires_grad())
      node->saved.emplace_back(unwrap(o), SavedTensor::kResult, static_cast<uint32_t>(output));
    else node->saved.emplace_back(unwrap(o), SavedTensor::kInput);
    node->present.push_back(true);
  }
  Py_CLEAR(c->to_save);
}

// _apply(cls, context_cls, has_setup_context, args): the call of a Function.
PyObject* apply(PyObject*, PyObject* all) {
  return guard([&]() -> PyObject* {
    PyObject *cls, *context_cls, *args;
    int setup;
    if (!PyArg_ParseTuple(all, "OOpO!:_apply", &cls, &context_cls, &setup, &PyTuple_Type, &args)) return nullptr;
    Ref context = own(PyObject_CallNoArgs(context_cls));
    ContextObject* c = as_context(context.get());
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    Ref needs = own(PyTuple_New(n));
    Ptr<FunctionNode> node;
    bool any = false;
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyObject* o = PyTuple_GET_ITEM(args, i);
      bool wanted = is_tensor(o) && unwrap(o).requires_grad();
      any |= wanted;
      PyTuple_SET_ITEM(needs.get(), i, PyBool_FromLong(wanted));
    }
    c->needs_input_grad = needs.release();
    if (any && grad_enabled()) {
      node = make_ptr<FunctionNode>(context.get());
      for (Py_ssize_t i = 0; i < n; ++i) {
        PyObject* o = PyTuple_GET_ITEM(args, i);
        node->edge_of_input.push_back(is_tensor(o) ? static_cast<int>(node->next.size()) : -1);
        if (is_tensor(o)) node->next.push_back(gradient_edge(unwrap(o)));
      }
    }
    Ref raw;
    {
      NoGrad off;
      Ref forward = own(PyObject_GetAttrString(cls, "forward"));
      if (setup) {
        raw = own(PyObject_CallObject(forward.get(), args));
        Ref done = own(PyObject_CallMethod(cls, "setup_context", "OOO", context.get(), args, raw.get()));
      } else {
        Ref extended = own(PyTuple_New(n + 1));
        PyTuple_SET_ITEM(extended.get(), 0, Py_NewRef(context.get()));
        for (Py_ssize_t i = 0; i < n; ++i)
          PyTuple_SET_ITEM(extended.get(), i + 1, Py_NewRef(PyTuple_GET_ITEM(args, i)));
        raw = own(PyObject_CallObject(forward.get(), extended.get()));
      }
    }
    bool single = !PyTuple_Check(raw.get());
    Ref outputs = single ? own(PyTuple_Pack(1, raw.get())) : raw;
    outputs = attach_outputs(c, node, outputs.get(), args);
    if (node) {
      save(c, node, outputs.get());
      c->node = node.get();
    }
    return single ? Py_NewRef(PyTuple_GET_ITEM(outputs.get(), 0)) : outputs.release();
  });
}

PyMethodDef functions[] = {{"_apply_function", apply, METH_VARARGS, nullptr}, {}};

}  // namespace

PyObject* function_context(const Node& node) {
  auto* f = dynamic_cast<const FunctionNode*>(&node);
  return f ? f->context : nullptr;
}

void init_function_node(PyObject* module) {
  context_type = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&spec)));
  check(PyModule_AddObjectRef(module, "_FunctionBase", reinterpret_cast<PyObject*>(context_type)));
  add_functions(module, functions);
}

}  // namespace ember::python
