// Autograd for Python: nodes, hooks, backward, and the tensors' side of all three.
// The engine runs without the GIL; whatever Python hangs into a graph takes it for as long as it runs.
#include "python/autograd.h"

#include <structmember.h>

#include "python/function_node.h"
#include "python/op_object.h"
#include "transform/grad.h"

namespace ember::python {
namespace {

// ---- Python objects held by C++ ----

// A reference that any thread may drop.
struct Held {
  explicit Held(PyObject* borrowed) : object(Py_NewRef(borrowed)) {}
  Held(const Held&) = delete;
  ~Held() {
    if (!Py_IsInitialized()) return;
    WithGil gil;
    Py_DECREF(object);
  }
  PyObject* object;
};
std::shared_ptr<Held> hold(PyObject* o) { return std::make_shared<Held>(o); }

PyObject* check_call(PyObject* result) {
  if (!result) throw_python_error();
  return result;
}
Ref tuple_of(const std::vector<Tensor>& list) {
  Ref out(check_call(PyTuple_New(static_cast<Py_ssize_t>(list.size()))));
  for (size_t i = 0; i < list.size(); ++i) PyTuple_SET_ITEM(out.get(), static_cast<Py_ssize_t>(i), wrap(list[i]));
  return out;
}
Tensor tensor_from_hook(PyObject* o, const char* what) {
  if (o == Py_None) return {};
  EMBER_CHECK_TYPE(is_tensor(o), what, " must return a Tensor or None, not ", type_name(o));
  return unwrap(o);
}

// ---- Node ----

struct NodeObject {
  PyObject_HEAD Node* node;  // owned
  PyObject* dict;
};
PyTypeObject *node_type, *handle_type;

Node& node_of(PyObject* o) { return *reinterpret_cast<NodeObject*>(o)->node; }

void node_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  PyObject_GC_UnTrack(o);
  auto* self = reinterpret_cast<NodeObject*>(o);
  Py_CLEAR(self->dict);
  if (Node* node = std::exchange(self->node, nullptr)) {
    node->python_object.store(0, std::memory_order_relaxed);
    node->release();
  }
  type->tp_free(o);
  Py_DECREF(type);
}
int node_traverse(PyObject* o, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(o));
  Py_VISIT(reinterpret_cast<NodeObject*>(o)->dict);
  return 0;
}
int node_clear(PyObject* o) {
  Py_CLEAR(reinterpret_cast<NodeObject*>(o)->dict);
  return 0;
}

PyObject* node_repr(PyObject* o) {
  return guard([&] { return check(PyUnicode_FromFormat("<%s object at %p>", node_of(o).name().c_str(), o)); });
}
PyObject* node_name(PyObject* o, PyObject*) {
  return guard([&] { return text(node_of(o).name()).release(); });
}
PyObject* next_functions(PyObject* o, void*) {
  return guard([&] { return wrap_next_functions(node_of(o)); });
}
PyObject* sequence_nr(PyObject* o, PyObject*) { return PyLong_FromUnsignedLongLong(node_of(o).sequence); }
PyObject* node_metadata(PyObject* o, void*) {
  PyObject*& dict = reinterpret_cast<NodeObject*>(o)->dict;
  if (!dict) dict = PyDict_New();
  return Py_XNewRef(dict);
}
PyObject* node_variable(PyObject* o, void*) {
  return guard([&]() -> PyObject* {
    Tensor leaf = node_of(o).leaf();
    if (leaf.defined()) return wrap(leaf);
    PyErr_Format(PyExc_AttributeError, "'%s' object has no attribute 'variable'", node_of(o).name().c_str());
    return nullptr;
  });
}

// A hook's handle: remove() takes it away; also a context manager.
struct HandleObject {
  PyObject_HEAD std::function<void()>* undo;
};
PyObject* make_handle(std::function<void()> undo) {
  PyObject* o = check(handle_type->tp_alloc(handle_type, 0));
  reinterpret_cast<HandleObject*>(o)->undo = new std::function<void()>(std::move(undo));
  return o;
}
PyObject* handle_remove(PyObject* o, PyObject*) {
  return guard([&]() -> PyObject* {
    auto*& undo = reinterpret_cast<HandleObject*>(o)->undo;
    if (undo) {
      (*undo)();
      delete std::exchange(undo, nullptr);
    }
    Py_RETURN_NONE;
  });
}
PyObject* handle_enter(PyObject* o, PyObject*) { return Py_NewRef(o); }
void handle_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  delete reinterpret_cast<HandleObject*>(o)->undo;
  type->tp_free(o);
  Py_DECREF(type);
}
PyMethodDef handle_methods[] = {{"remove", handle_remove, METH_NOARGS, "Takes the hook away."},
                                {"__enter__", handle_enter, METH_NOARGS, nullptr},
                                {"__exit__", handle_remove, METH_VARARGS, nullptr},
                                {}};
PyType_Slot handle_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(handle_dealloc)}, {Py_tp_methods, handle_methods}, {}};
PyType_Spec handle_spec = {"ember._C.HookHandle", sizeof(HandleObject), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, handle_slots};

std::vector<Tensor> replaced(PyObject* result, size_t count, const char* what) {
  if (result == Py_None) return {};
  if (is_tensor(result)) {
    EMBER_CHECK(count == 1, what, ": hook has returned an incorrect number of values (got 1, but expected ", count,
                ")");
    return {unwrap(result)};
  }
  EMBER_CHECK_TYPE(PyTuple_Check(result) || PyList_Check(result), what,
                   ": hook must return a tuple of Tensors or None, not ", type_name(result));
  Py_ssize_t n = PySequence_Fast_GET_SIZE(result);
  EMBER_CHECK(static_cast<size_t>(n) == count, what, ": hook has returned an incorrect number of values (got ",
              int64_t{n}, ", but expected ", count, ")");
  std::vector<Tensor> out;
  for (Py_ssize_t i = 0; i < n; ++i) out.push_back(tensor_from_hook(PySequence_Fast_GET_ITEM(result, i), what));
  return out;
}

PyObject* node_register_hook(PyObject* o, PyObject* hook) {
  return guard([&] { return register_node_hook(Ptr<Node>::share(&node_of(o)), hook); });
}
PyObject* node_register_prehook(PyObject* o, PyObject* hook) {
  return guard([&] { return register_node_prehook(Ptr<Node>::share(&node_of(o)), hook); });
}

PyMethodDef node_methods[] = {
    {"name", node_name, METH_NOARGS, "The node's name, as in AddBackward0."},
    {"register_hook", node_register_hook, METH_O, "hook(grad_inputs, grad_outputs) after the node ran."},
    {"register_prehook", node_register_prehook, METH_O, "hook(grad_outputs) before the node runs."},
    {"_sequence_nr", sequence_nr, METH_NOARGS, nullptr},
    {}};
PyGetSetDef node_getset[] = {
    {"next_functions", next_functions, nullptr, "(node, input) pairs of where gradients go.", nullptr},
    {"metadata", node_metadata, nullptr, nullptr, nullptr},
    {"variable", node_variable, nullptr, nullptr, nullptr},
    {}};
PyType_Slot node_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(node_dealloc)},
                            {Py_tp_traverse, reinterpret_cast<void*>(node_traverse)},
                            {Py_tp_clear, reinterpret_cast<void*>(node_clear)},
                            {Py_tp_repr, reinterpret_cast<void*>(node_repr)},
                            {Py_tp_methods, node_methods},
                            {Py_tp_getset, node_getset},
                            {}};
PyType_Spec node_spec = {"ember.autograd.graph.Node", sizeof(NodeObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, node_slots};

// ---- tensors ----

// All of a tensor's hooks run in one C++ hook over the dict that Python shows as `_backward_hooks`, so that removing is
// a matter of the dict and the garbage collector can see every hook.
Tensor run_hooks(PyObject* dict, const Tensor& incoming) {
  WithGil gil;
  if (PyDict_Size(dict) <= 0) return {};
  Ref hooks(check_call(PyMapping_Values(dict)));  // a copy: a hook may remove itself
  Tensor gradient = incoming;
  bool changed = false;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(hooks.get()); ++i) {
    Ref argument(wrap(gradient));
    Ref result(check_call(PyObject_CallOneArg(PyList_GET_ITEM(hooks.get(), i), argument.get())));
    if (result.get() == Py_None) continue;
    gradient = tensor_from_hook(result.get(), "a tensor's hook");
    changed = true;
  }
  return changed ? gradient : Tensor();
}

PyObject* hooks_dict(PyObject* self, PyObject*) {  // registers the dict with autograd when it is new
  return guard([&]() -> PyObject* {
    const Tensor& x = unwrap(self);
    EMBER_CHECK(x.requires_grad(), "cannot register a hook on a tensor that doesn't require gradient");
    bool fresh = !reinterpret_cast<TensorObject*>(self)->hooks;
    PyObject* dict = hooks_of(self);
    if (fresh) add_hook(x, [held = hold(dict)](const Tensor& g) { return run_hooks(held->object, g); });
    return Py_NewRef(dict);
  });
}
PyObject* register_post_accumulate(PyObject* self, PyObject* hook) {
  return guard([&]() -> PyObject* {
    const Tensor& x = unwrap(self);
    EMBER_CHECK(x.requires_grad(), "cannot register a hook on a tensor that doesn't require gradient");
    EMBER_CHECK(is_leaf(x), "post accumulate grad hooks cannot be registered on non-leaf tensors");
    int64_t id = autograd_meta(x).post_accumulate_hooks.add([held = hold(hook)](const Tensor& leaf) {
      WithGil gil;
      Ref argument(wrap(leaf));
      Ref result(check_call(PyObject_CallOneArg(held->object, argument.get())));
    });
    TensorImpl* impl = x.impl();
    auto weak = hold(Ref(PyWeakref_NewRef(self, nullptr)).get());
    return make_handle([impl, weak, id] {
      PyObject* alive = PyWeakref_GetObject(weak->object);
      if (alive && alive != Py_None && unwrap(alive).impl() == impl)
        autograd_meta(unwrap(alive)).post_accumulate_hooks.remove(id);
    });
  });
}
PyObject* py_retain_grad(PyObject* self, PyObject*) {
  return guard([&]() -> PyObject* {
    EMBER_CHECK(unwrap(self).requires_grad(), "can't retain_grad on Tensor that has requires_grad=False");
    retain_grad(unwrap(self));
    Py_RETURN_NONE;
  });
}
PyObject* py_requires_grad_(PyObject* self, PyObject* args, PyObject* kwargs) {
  return guard([&]() -> PyObject* {
    static const char* names[] = {"requires_grad", nullptr};
    int on = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p:requires_grad_", const_cast<char**>(names), &on)) return nullptr;
    EMBER_CHECK(!on || is_differentiable(unwrap(self).dtype()),
                "only Tensors of floating point dtype can require gradients");
    requires_grad_(unwrap(self), on != 0);
    return Py_NewRef(self);
  });
}
PyObject* py_detach(PyObject* self, PyObject*) {
  if (!is_exact_tensor(self) && overrides_torch_function(self)) {
    return guard([&]() -> PyObject* {
      Ref method = own(PyObject_GetAttrString(reinterpret_cast<PyObject*>(tensor_type), "detach"));
      return call_torch_function(method.get(), &self, 1, nullptr, &self, 1);
    });
  }
  return guard([&] { return wrap(detach(unwrap(self))); });
}
PyObject* py_detach_(PyObject* self, PyObject*) {
  return guard([&] {
    detach_(unwrap(self));
    return Py_NewRef(self);
  });
}

// ---- walking ----

std::vector<Tensor> tensors_of(PyObject* tuple) {
  std::vector<Tensor> out;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
    PyObject* o = PyTuple_GET_ITEM(tuple, i);
    EMBER_CHECK_TYPE(o == Py_None || is_tensor(o), "gradients and inputs can be either Tensors or None, but got ",
                     type_name(o));
    out.push_back(o == Py_None ? Tensor() : unwrap(o));
  }
  return out;
}

// _run_backward(roots, grads, retain_graph, create_graph, inputs, allow_unused, accumulate) -> tuple of gradients
PyObject* run_backward(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject *roots, *grads, *inputs;
    int retain, create, allow_unused, accumulate;
    if (!PyArg_ParseTuple(args, "O!O!ppO!pp", &PyTuple_Type, &roots, &PyTuple_Type, &grads, &retain, &create,
                          &PyTuple_Type, &inputs, &allow_unused, &accumulate))
      return nullptr;
    std::vector<Tensor> r = tensors_of(roots), g = tensors_of(grads), in = tensors_of(inputs), out;
    forget_interrupt();
    {
      WithoutGil released;
      if (accumulate) backward(r, g, retain, create, in);
      else out = grad(r, in, g, retain, create, allow_unused);
    }
    return tuple_of(out).release();
  });
}
PyObject* py_queue_callback(PyObject*, PyObject* callback) {
  return guard([&]() -> PyObject* {
    queue_callback([held = hold(callback)] {
      WithGil gil;
      Ref result(check_call(PyObject_CallNoArgs(held->object)));
    });
    Py_RETURN_NONE;
  });
}

// ---- anomaly mode and saved tensors' hooks ----

std::string forward_trace() {
  WithGil gil;
  Ref traceback(PyImport_ImportModule("traceback"));
  Ref lines(traceback ? PyObject_CallMethod(traceback.get(), "format_stack", nullptr) : nullptr);
  Ref empty(PyUnicode_FromString(""));
  Ref joined(lines && empty ? PyUnicode_Join(empty.get(), lines.get()) : nullptr);
  if (!joined) {
    PyErr_Clear();
    return "";
  }
  return std::string(utf8(joined.get()));
}
void warn_trace(const std::string& node, const std::string& trace) {
  WithGil gil;
  std::string message = "Error detected in " + node + ". ";
  message += trace.empty()
                 ? "No forward pass information available. Enable detect anomaly during forward pass for more "
                   "information."
                 : "Traceback of forward call that caused the error:\n" + trace;
  if (PyErr_WarnEx(PyExc_UserWarning, message.c_str(), 1) < 0) throw_python_error();
}
PyObject* set_anomaly(PyObject*, PyObject* args) {
  int on, check_nan = 1;
  if (!PyArg_ParseTuple(args, "p|p:_set_anomaly_enabled", &on, &check_nan)) return nullptr;
  anomaly_mode() = {on != 0, check_nan != 0};
  Py_RETURN_NONE;
}
PyObject* get_anomaly(PyObject*, PyObject*) {
  return Py_BuildValue("(NN)", PyBool_FromLong(anomaly_mode().on), PyBool_FromLong(anomaly_mode().check_nan));
}

struct Packed : RefCounted {
  explicit Packed(PyObject* o) : held(o) {}
  Held held;
};
PyObject* push_saved_hooks(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject *pack, *unpack;
    if (!PyArg_ParseTuple(args, "OO", &pack, &unpack)) return nullptr;
    auto hooks = std::make_shared<SavedTensorHooks>();
    hooks->pack = [held = hold(pack)](const Tensor& x) -> Ptr<RefCounted> {
      WithGil gil;
      Ref argument(wrap(x));
      Ref packed(check_call(PyObject_CallOneArg(held->object, argument.get())));
      return make_ptr<Packed>(packed.get());
    };
    hooks->unpack = [held = hold(unpack)](const Ptr<RefCounted>& packed) -> Tensor {
      WithGil gil;
      Ref result(check_call(PyObject_CallOneArg(held->object, static_cast<Packed*>(packed.get())->held.object)));
      EMBER_CHECK_TYPE(is_tensor(result.get()),
                       "Output of saved tensor unpack_hook expected to be a Tensor but got result of type ",
                       type_name(result.get()));
      return unwrap(result.get());
    };
    saved_tensor_hooks().push_back(std::move(hooks));
    Py_RETURN_NONE;
  });
}
PyObject* pop_saved_hooks(PyObject*, PyObject*) {
  if (!saved_tensor_hooks().empty()) saved_tensor_hooks().pop_back();
  Py_RETURN_NONE;
}

PyObject* bump_version(PyObject*, PyObject* o) {
  return guard([&]() -> PyObject* {
    EMBER_CHECK_TYPE(is_tensor(o), "increment_version expects each element of the iterable input to be a tensor");
    unwrap(o).bump_version();
    Py_RETURN_NONE;
  });
}

PyMethodDef functions[] = {{"_bump_version", bump_version, METH_O, nullptr},
                           {"_run_backward", run_backward, METH_VARARGS, nullptr},
                           {"_queue_callback", py_queue_callback, METH_O, nullptr},
                           {"_set_anomaly_enabled", set_anomaly, METH_VARARGS, nullptr},
                           {"_anomaly", get_anomaly, METH_NOARGS, nullptr},
                           {"_push_saved_tensors_hooks", push_saved_hooks, METH_VARARGS, nullptr},
                           {"_pop_saved_tensors_hooks", pop_saved_hooks, METH_NOARGS, nullptr},
                           {}};

PyCFunction keywords(PyCFunctionWithKeywords f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

}  // namespace

PyMethodDef autograd_tensor_methods[] = {
    {"_hooks", hooks_dict, METH_NOARGS, nullptr},
    {"register_post_accumulate_grad_hook", register_post_accumulate, METH_O,
     "hook(tensor) after a gradient was added to .grad of this leaf; returns a handle with remove()."},
    {"retain_grad", py_retain_grad, METH_NOARGS, "Makes backward() leave .grad here though this is no leaf."},
    {"requires_grad_", keywords(py_requires_grad_), METH_VARARGS | METH_KEYWORDS,
     "requires_grad_(requires_grad=True) -> Tensor, changed in place."},
    {"detach", py_detach, METH_NOARGS, "The same memory without history."},
    {"detach_", py_detach_, METH_NOARGS, "Forgets the history in place."},
    {}};

PyObject* wrap(const Ptr<Node>& node) {
  if (!node) Py_RETURN_NONE;
  if (PyObject* context = function_context(*node)) return Py_NewRef(context);
  if (uintptr_t known = node->python_object.load()) return Py_NewRef(reinterpret_cast<PyObject*>(known));
  PyObject* o = check(node_type->tp_alloc(node_type, 0));
  reinterpret_cast<NodeObject*>(o)->node = Ptr<Node>(node).unsafe_release();
  node->python_object.store(reinterpret_cast<uintptr_t>(o));
  return o;
}
PyObject* wrap_next_functions(const Node& node) {
  Ref out = own(PyTuple_New(static_cast<Py_ssize_t>(node.next.size())));
  for (size_t i = 0; i < node.next.size(); ++i)
    PyTuple_SET_ITEM(out.get(), static_cast<Py_ssize_t>(i),
                     check(Py_BuildValue("(NI)", wrap(node.next[i].node), node.next[i].input)));
  return out.release();
}
PyObject* register_node_hook(Ptr<Node> node, PyObject* hook) {
  int64_t id = node->extras().hooks.add(
      [held = hold(hook)](const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
        WithGil gil;
        Ref in = tuple_of(inputs), out = tuple_of(outputs);
        Ref result(check_call(PyObject_CallFunctionObjArgs(held->object, in.get(), out.get(), nullptr)));
        return replaced(result.get(), inputs.size(), "a node's hook");
      });
  return make_handle([node, id] { node->extras().hooks.remove(id); });
}
PyObject* register_node_prehook(Ptr<Node> node, PyObject* hook) {
  int64_t id = node->extras().pre_hooks.add([held = hold(hook)](const std::vector<Tensor>& grads) {
    WithGil gil;
    Ref in = tuple_of(grads);
    Ref result(check_call(PyObject_CallOneArg(held->object, in.get())));
    return replaced(result.get(), grads.size(), "a node's pre-hook");
  });
  return make_handle([node, id] { node->extras().pre_hooks.remove(id); });
}

PyObject* autograd_grad_fn(PyObject* o) { return wrap(grad_fn(unwrap(o))); }
PyObject* autograd_is_leaf(PyObject* o) { return PyBool_FromLong(is_leaf(unwrap(o))); }
PyObject* autograd_output_nr(PyObject* o) {
  AutogradMeta* meta = autograd_meta_or_null(unwrap(o));
  return PyLong_FromUnsignedLong(meta ? meta->output : 0);
}
PyObject* autograd_retains_grad(PyObject* o) { return PyBool_FromLong(retains_grad(unwrap(o))); }
PyObject* autograd_base(PyObject* o) { return wrap(Tensor(unwrap(o)->view_base)); }

int visit_autograd(const TensorImpl* impl, visitproc visit, void* arg) {
  auto* meta = static_cast<AutogradMeta*>(impl->autograd.get());
  bool alone = !meta->grad_fn || meta->grad_fn.use_count() == 1;
  uintptr_t object = impl->python_object.load(std::memory_order_relaxed) & ~uintptr_t{1};
  // The C++ hook holds the dict of hooks a second time; it goes when this tensor's node goes.
  if (object && alone) Py_VISIT(reinterpret_cast<TensorObject*>(object)->hooks);
  if (meta->grad_fn && alone) {
    if (PyObject* context = function_context(*meta->grad_fn)) Py_VISIT(context);
  }
  return 0;
}

void move_autograd(TensorImpl& from, TensorImpl& to) {
  to.autograd = std::move(from.autograd);
  auto* meta = static_cast<AutogradMeta*>(to.autograd.get());
  if (meta && meta->retain) meta->retain->impl = &to;
}

// The program can no longer reach the tensor, only graphs can. A gradient that was itself recorded (create_graph) leads
// to these graphs, and so to the tensor: without its history the ring is open, and all of it goes.
void open_ring_of_grad(TensorImpl* impl) {
  auto* meta = static_cast<AutogradMeta*>(impl->autograd.get());
  if (!meta->grad.defined() || !meta->grad->autograd || is_leaf(meta->grad)) return;
  try {
    const Tensor recorded = std::exchange(meta->grad, detach(meta->grad));
  } catch (const Error&) {  // no memory for it: the ring stays
  }
}

void init_autograd(PyObject* module) {
  node_type = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&node_spec)));
  handle_type = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&handle_spec)));
  check(PyModule_AddObjectRef(module, "_Node", reinterpret_cast<PyObject*>(node_type)));
  init_function_node(module);
  add_functions(module, functions);
  capture_forward_trace = forward_trace;
  warn_with_trace = warn_trace;
}

}  // namespace ember::python
