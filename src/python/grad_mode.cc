// no_grad, enable_grad, set_grad_enabled, inference_mode: context managers that cost a few nanoseconds, and decorators.
// Each object keeps a stack of what it found, one bit an entry, so that one object can be entered again inside itself.
#include "python/common.h"
#include "transform/grad.h"

namespace ember::python {
namespace {

enum class Mode : uint8_t { kNoGrad, kEnableGrad, kSetGrad, kInference };
struct ModeObject {
  PyObject_HEAD Mode mode;
  bool value;           // what entering sets
  bool pending;         // set_grad_enabled acts when made; its first __enter__ must not forget what was before
  uint64_t grad_stack;  // before each entry, the latest lowest
  uint64_t inference_stack;
};
PyTypeObject* types[4];

ModeObject* as_mode(PyObject* o) { return reinterpret_cast<ModeObject*>(o); }

void push(ModeObject* m) {
  m->grad_stack = m->grad_stack << 1 | grad_enabled();
  m->inference_stack = m->inference_stack << 1 | inference_mode;
}
void apply(ModeObject* m) {
  if (m->mode == Mode::kInference) {
    inference_mode = m->value;
    GradMode::set(!m->value);
  } else {
    GradMode::set(m->value);
  }
}

PyObject* enter(PyObject* self, PyObject*) {
  ModeObject* m = as_mode(self);
  if (m->pending) {
    m->pending = false;
  } else {
    push(m);
  }
  apply(m);
  Py_RETURN_NONE;
}
PyObject* leave(PyObject* self, PyObject* const*, Py_ssize_t) {
  ModeObject* m = as_mode(self);
  GradMode::set(m->grad_stack & 1);
  inference_mode = m->inference_stack & 1;
  m->grad_stack >>= 1, m->inference_stack >>= 1;
  Py_RETURN_NONE;
}

// As a decorator: the function, or each step of the generator, runs inside. In Python, for functools.wraps.
PyObject* decorate(PyObject* self, PyObject* args, PyObject*) {
  PyObject* function;
  if (!PyArg_ParseTuple(args, "O:decorator", &function)) return nullptr;
  if (as_mode(self)->pending) {  // used as a decorator, the setting must not leak into the present
    as_mode(self)->pending = false;
    Ref done(leave(self, nullptr, 0));
  }
  Ref module(PyImport_ImportModule("ember.autograd.grad_mode"));
  return module ? PyObject_CallMethod(module.get(), "_decorate", "OO", self, function) : nullptr;
}

PyObject* clone(PyObject* self, PyObject*) {
  ModeObject* m = as_mode(self);
  PyObject* o = Py_TYPE(self)->tp_alloc(Py_TYPE(self), 0);
  if (o) as_mode(o)->mode = m->mode, as_mode(o)->value = m->value;
  return o;
}

PyObject* mode_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  return guard([&]() -> PyObject* {
    Mode mode = Mode::kNoGrad;
    for (int i = 0; i < 4; ++i) {
      if (PyType_IsSubtype(type, types[i])) mode = static_cast<Mode>(i);
    }
    static const char* names[] = {"mode", nullptr};
    static const char* no_names[] = {"orig_func", nullptr};
    PyObject* argument = nullptr;
    bool takes_mode = mode == Mode::kSetGrad || mode == Mode::kInference;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, mode == Mode::kSetGrad ? "O" : "|O",
                                     const_cast<char**>(takes_mode ? names : no_names), &argument))
      return nullptr;
    Ref self = own(type->tp_alloc(type, 0));
    ModeObject* m = as_mode(self.get());
    m->mode = mode;
    m->value = mode == Mode::kEnableGrad || mode == Mode::kInference;
    bool function = argument && PyCallable_Check(argument) && mode != Mode::kSetGrad;
    if (function) return check(PyObject_CallOneArg(self.get(), argument));  // @no_grad without parentheses
    if (takes_mode && argument) {
      int truth = PyObject_IsTrue(argument);
      check(truth);
      m->value = truth != 0;
    }
    if (mode == Mode::kSetGrad) {
      push(m);
      apply(m);
      m->pending = true;
    }
    return self.release();
  });
}
PyObject* get_mode(PyObject* self, void*) { return PyBool_FromLong(as_mode(self)->value); }

PyCFunction fast(PyObject* (*f)(PyObject*, PyObject* const*, Py_ssize_t)) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}
PyMethodDef mode_methods[] = {{"__enter__", enter, METH_NOARGS, nullptr},
                              {"__exit__", fast(leave), METH_FASTCALL, nullptr},
                              {"clone", clone, METH_NOARGS, "An unentered copy."},
                              {}};
PyGetSetDef mode_getset[] = {{"mode", get_mode, nullptr, nullptr, nullptr}, {}};
PyType_Slot mode_slots[] = {{Py_tp_new, reinterpret_cast<void*>(mode_new)},
                            {Py_tp_call, reinterpret_cast<void*>(decorate)},
                            {Py_tp_methods, mode_methods},
                            {Py_tp_getset, mode_getset},
                            {}};
constexpr unsigned kFlags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE;
PyType_Spec specs[] = {{"ember.no_grad", sizeof(ModeObject), 0, kFlags, mode_slots},
                       {"ember.enable_grad", sizeof(ModeObject), 0, kFlags, mode_slots},
                       {"ember.set_grad_enabled", sizeof(ModeObject), 0, kFlags, mode_slots},
                       {"ember.inference_mode", sizeof(ModeObject), 0, kFlags, mode_slots}};

PyObject* is_grad_enabled(PyObject*, PyObject*) { return PyBool_FromLong(grad_enabled()); }
PyObject* is_inference_mode(PyObject*, PyObject*) { return PyBool_FromLong(inference_mode); }
PyMethodDef functions[] = {{"is_grad_enabled", is_grad_enabled, METH_NOARGS, "Are operations recorded for backward()?"},
                           {"is_inference_mode_enabled", is_inference_mode, METH_NOARGS, nullptr},
                           {}};

}  // namespace

void init_grad_mode(PyObject* module) {
  static constexpr const char* kNames[] = {"no_grad", "enable_grad", "set_grad_enabled", "inference_mode"};
  for (int i = 0; i < 4; ++i) {
    types[i] = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&specs[i])));
    check(PyModule_AddObjectRef(module, kNames[i], reinterpret_cast<PyObject*>(types[i])));
  }
  add_functions(module, functions);
}

}  // namespace ember::python
