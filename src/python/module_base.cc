// The C base of nn.Module.
// * Lookup: instance dict and class as always, then `_parameters`, `_buffers`, `_modules`, without raising and catching
//   an AttributeError on the way, which is what a Python `__getattr__` costs.
// * Call: a vectorcall that goes straight to `forward` while no hook is registered; otherwise Python's
// `_wrapped_call_impl`.
// * Errors: only when a call fails is the handler told, which appends the module's path to the exception.
// All state stays in the instance's `__dict__` under PyTorch's names, because programs and checkpoints read it there.
#include "python/module_base.h"

#include <structmember.h>

#include <cstddef>
#include <vector>

namespace ember::python {
namespace {

struct ModuleObject {
  PyObject_HEAD PyObject* dict;
  PyObject* weakrefs;
  vectorcallfunc call;
};

constexpr int kRegistries = 3, kHooks = 4;

// Interned names and what `_configure` hands in; they live as long as the process, as the extension does.
struct State {
  PyObject* registries[kRegistries];    // "_parameters", "_buffers", "_modules", in the order of lookup
  PyObject* hooks[kHooks];              // the instance's hook dicts
  PyObject* global_hooks[kHooks] = {};  // the dicts of hooks that every module runs
  PyObject *forward, *call_impl, *compiled, *wrapped, *getattr, *getattribute, *assign;
  PyObject* plain_call_impl = nullptr;  // Module._call_impl: a class that overrides it wants to be asked
  PyObject* on_error = nullptr;         // (module, exception) -> None
  PyObject* ordered_dict = nullptr;     // collections.OrderedDict: its items can be read as a dict's
  PyTypeObject* tensor = nullptr;
  PyTypeObject* base = nullptr;
  PyObject* own_getattr = nullptr;  // ModuleBase.__getattr__, to see whether a class overrides it
  PyObject* object_getattribute = nullptr;
};
State state;

PyObject* dict_of(PyObject* self) { return reinterpret_cast<ModuleObject*>(self)->dict; }

// ---- lookup
// ----------------------------------------------------------------------------------------------------------

// mapping[name] as a new reference; null without an error when it is not there. A subclass of dict that some library
// put in the place of `_parameters` is asked through its own methods.
PyObject* registry_get(PyObject* mapping, PyObject* name) {
  if (PyDict_CheckExact(mapping) || reinterpret_cast<PyObject*>(Py_TYPE(mapping)) == state.ordered_dict) {
    PyObject* found = PyDict_GetItemWithError(mapping, name);
    Py_XINCREF(found);
    return found;
  }
  int has = PySequence_Contains(mapping, name);
  return has > 0 ? PyObject_GetItem(mapping, name) : nullptr;
}

PyObject* registered(PyObject* self, PyObject* name) {
  PyObject* dict = dict_of(self);
  if (!dict) return nullptr;
  for (PyObject* key : state.registries) {
    PyObject* mapping = PyDict_GetItemWithError(dict, key);
    if (!mapping) {
      if (PyErr_Occurred()) return nullptr;
      continue;  // before Module.__init__
    }
    PyObject* found = registry_get(mapping, name);
    if (found || PyErr_Occurred()) return found;
  }
  return nullptr;
}

PyObject* module_getattr(PyObject* self, PyObject* name) {  // the method `__getattr__`, for super() calls
  PyObject* found = registered(self, name);
  if (!found && !PyErr_Occurred()) {
    PyErr_Format(PyExc_AttributeError, "'%.200s' object has no attribute '%U'", Py_TYPE(self)->tp_name, name);
  }
  return found;
}

// A property that fails with AttributeError hands over to the registries, as Python's own `__getattr__` rule says; when
// these have nothing either, the property's error is the one worth reading.
PyObject* registered_or_error(PyObject* self, PyObject* name) {
  if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return nullptr;
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyObject* found = registered(self, name);
  if (!found && !PyErr_Occurred()) {
    PyErr_Restore(type, value, trace);
    return nullptr;
  }
  Py_XDECREF(type), Py_XDECREF(value), Py_XDECREF(trace);
  return found;
}

PyObject* module_getattro(PyObject* self, PyObject* name) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject* attr = _PyType_Lookup(type, name);
  descrgetfunc get = nullptr;
  if (attr) {
    Py_INCREF(attr);
    get = Py_TYPE(attr)->tp_descr_get;
    if (get && Py_TYPE(attr)->tp_descr_set) {
      PyObject* result = get(attr, self, reinterpret_cast<PyObject*>(type));
      Py_DECREF(attr);
      return result ? result : registered_or_error(self, name);
    }
  }
  if (PyObject* dict = dict_of(self)) {
    PyObject* found = PyDict_GetItemWithError(dict, name);
    if (found || PyErr_Occurred()) {
      Py_XINCREF(found);
      Py_XDECREF(attr);
      return found;
    }
  }
  if (!attr) return module_getattr(self, name);
  if (!get) return attr;
  PyObject* result = get(attr, self, reinterpret_cast<PyObject*>(type));
  Py_DECREF(attr);
  return result ? result : registered_or_error(self, name);
}

// ---- assignment
// ------------------------------------------------------------------------------------------------------

// `__setattr__` is a method, not a slot: object.__setattr__(module, ...) must stay allowed, and CPython refuses it to
// jump over a C slot. Tensors, modules and names that are registered go to Python's `_assign`.
PyObject* module_setattr(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  if (count != 2) return PyErr_Format(PyExc_TypeError, "__setattr__ expected 2 arguments, got %zd", count);
  PyObject *name = args[0], *value = args[1], *dict = dict_of(self);
  bool special = PyObject_TypeCheck(value, state.base) || (state.tensor && PyObject_TypeCheck(value, state.tensor));
  for (int i = 0; dict && !special && i < kRegistries; ++i) {
    PyObject* mapping = PyDict_GetItemWithError(dict, state.registries[i]);
    if (!mapping) {
      if (PyErr_Occurred()) return nullptr;
      continue;
    }
    int has = PyDict_Check(mapping) ? PyDict_Contains(mapping, name) : PySequence_Contains(mapping, name);
    if (has < 0) return nullptr;
    special = has;
  }
  if (special) return PyObject_CallMethodObjArgs(self, state.assign, name, value, nullptr);
  if (PyObject_GenericSetAttr(self, name, value) < 0) return nullptr;
  Py_RETURN_NONE;
}

// ---- call
// ------------------------------------------------------------------------------------------------------------

PyObject* take_error() {
#if PY_VERSION_HEX >= 0x030C0000
  return PyErr_GetRaisedException();
#else
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace) PyException_SetTraceback(value, trace);
  Py_DECREF(type), Py_XDECREF(trace);
  return value;
#endif
}

void put_error(PyObject* error) {
#if PY_VERSION_HEX >= 0x030C0000
  PyErr_SetRaisedException(error);
#else
  PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(error));
  Py_INCREF(type);
  PyErr_Restore(type, error, PyException_GetTraceback(error));
#endif
}

// Tells the handler about the exception in flight and leaves that exception in flight, whatever the handler does.
void note_error(PyObject* self) {
  if (!state.on_error || !PyErr_ExceptionMatches(PyExc_Exception)) return;
  PyObject* error = take_error();
  PyObject* done = PyObject_CallFunctionObjArgs(state.on_error, self, error, nullptr);
  if (!done) PyErr_Clear();
  Py_XDECREF(done);
  put_error(error);
}

bool any(PyObject* mapping) {
  if (PyDict_Check(mapping)) return PyDict_GET_SIZE(mapping) != 0;
  return PyObject_IsTrue(mapping) != 0;
}

// May the call go straight to forward? A missing dict means Module.__init__ has not run: Python tells that better.
bool plain(PyObject* self, PyObject* dict) {
  if (!dict) return false;
  for (PyObject* hooks : state.global_hooks) {
    if (!hooks || any(hooks)) return false;
  }
  for (PyObject* key : state.hooks) {
    PyObject* hooks = PyDict_GetItemWithError(dict, key);
    if (!hooks || any(hooks)) return false;
  }
  return _PyType_Lookup(Py_TYPE(self), state.call_impl) == state.plain_call_impl &&
         !PyDict_GetItemWithError(dict, state.compiled);
}

// callable(self, *args): uses the free slot before args when the caller left one.
PyObject* call_with_self(PyObject* callable, PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  Py_ssize_t positional = PyVectorcall_NARGS(nargsf);
  if (nargsf & PY_VECTORCALL_ARGUMENTS_OFFSET) {
    PyObject** all = const_cast<PyObject**>(args) - 1;
    PyObject* saved = all[0];
    all[0] = self;
    PyObject* result = PyObject_Vectorcall(callable, all, positional + 1, kwnames);
    all[0] = saved;
    return result;
  }
  std::vector<PyObject*> all{self};
  all.insert(all.end(), args, args + positional + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0));
  return PyObject_Vectorcall(callable, all.data(), positional + 1, kwnames);
}

// The call itself, whatever class `__call__` was found on.
PyObject* call_module(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject *dict = dict_of(self), *name = state.wrapped, *method = nullptr;
  if (plain(self, dict)) {
    name = state.forward;
    method = PyDict_GetItemWithError(dict, name) ? nullptr : _PyType_Lookup(type, name);
  }
  PyObject* result = nullptr;
  if (method && PyType_HasFeature(Py_TYPE(method), Py_TPFLAGS_METHOD_DESCRIPTOR)) {
    Py_INCREF(method);
    result = call_with_self(method, self, args, nargsf, kwnames);
    Py_DECREF(method);
  } else if (PyObject* bound = PyErr_Occurred() ? nullptr : PyObject_GetAttr(self, name)) {
    result = PyObject_Vectorcall(bound, args, nargsf, kwnames);
    Py_DECREF(bound);
  }
  if (!result) note_error(self);
  return result;
}

// tp_call: what `super().__call__(...)` and callers with a tuple reach.
PyObject* module_tp_call(PyObject* self, PyObject* args, PyObject* kwargs) {
  Py_ssize_t positional = PyTuple_GET_SIZE(args), named = kwargs ? PyDict_GET_SIZE(kwargs) : 0;
  if (!named) return call_module(self, &PyTuple_GET_ITEM(args, 0), positional, nullptr);
  PyObject* names = PyTuple_New(named);
  if (!names) return nullptr;
  std::vector<PyObject*> all(&PyTuple_GET_ITEM(args, 0), &PyTuple_GET_ITEM(args, 0) + positional);
  PyObject *key, *value;
  for (Py_ssize_t at = 0, i = 0; PyDict_Next(kwargs, &at, &key, &value); ++i) {
    Py_INCREF(key);
    PyTuple_SET_ITEM(names, i, key);
    all.push_back(value);
  }
  PyObject* result = call_module(self, all.data(), positional, names);
  Py_DECREF(names);
  return result;
}

// The instance's vectorcall. CPython < 3.12 keeps using it when a class is given a `__call__` later.
PyObject* module_vectorcall(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  if (Py_TYPE(self)->tp_call == module_tp_call) return call_module(self, args, nargsf, kwnames);
  PyObject* method = PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(self)), "__call__");
  if (!method) return nullptr;
  PyObject* result = call_with_self(method, self, args, nargsf, kwnames);
  Py_DECREF(method);
  return result;
}

// ---- the type
// --------------------------------------------------------------------------------------------------------

PyObject* module_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self) reinterpret_cast<ModuleObject*>(self)->call = module_vectorcall;
  return self;
}

int module_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(reinterpret_cast<ModuleObject*>(self)->dict);
  return 0;
}

int module_clear(PyObject* self) {
  Py_CLEAR(reinterpret_cast<ModuleObject*>(self)->dict);
  return 0;
}

void module_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (reinterpret_cast<ModuleObject*>(self)->weakrefs) PyObject_ClearWeakRefs(self);
  module_clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

// The state that pickle writes: the dict, as for a class without a C part, but for a compiled call.
PyObject* module_getstate(PyObject* self, PyObject*) {
  PyObject* dict = dict_of(self);
  PyObject* copy = dict ? PyDict_Copy(dict) : PyDict_New();
  if (copy && PyDict_Contains(copy, state.compiled) == 1 && PyDict_DelItem(copy, state.compiled) < 0) Py_CLEAR(copy);
  return copy;
}

// Called for Module and each of its subclasses. CPython gives a class that has a `__getattr__` the slow lookup; one
// that overrides neither it nor `__getattribute__` gets ours. Replacing either later puts CPython's back by itself.
PyObject* accelerate(PyObject*, PyObject* cls) {
  if (!PyType_Check(cls) || !PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls), state.base)) {
    return PyErr_Format(PyExc_TypeError, "_accelerate expected a subclass of ModuleBase, got %R", cls);
  }
  auto* type = reinterpret_cast<PyTypeObject*>(cls);
  if (_PyType_Lookup(type, state.getattr) == state.own_getattr &&
      _PyType_Lookup(type, state.getattribute) == state.object_getattribute) {
    type->tp_getattro = module_getattro;
  }
#if PY_VERSION_HEX < 0x030C0000
  if (type->tp_call == module_tp_call) type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
#endif
  PyType_Modified(type);
  Py_RETURN_NONE;
}

void set(PyObject*& slot, PyObject* value) {
  Py_INCREF(value);
  Py_XSETREF(slot, value);
}

PyObject* configure(PyObject*, PyObject* args) {
  PyObject *tensor, *global_hooks, *call_impl, *on_error;
  if (!PyArg_ParseTuple(args, "O!O!OO:_configure", &PyType_Type, &tensor, &PyTuple_Type, &global_hooks, &call_impl,
                        &on_error)) {
    return nullptr;
  }
  if (PyTuple_GET_SIZE(global_hooks) != kHooks) {
    return PyErr_Format(PyExc_ValueError, "_configure expected %d dicts of global hooks", kHooks);
  }
  for (int i = 0; i < kHooks; ++i) set(state.global_hooks[i], PyTuple_GET_ITEM(global_hooks, i));
  Py_INCREF(tensor);
  Py_XSETREF(state.tensor, reinterpret_cast<PyTypeObject*>(tensor));
  set(state.plain_call_impl, call_impl);
  set(state.on_error, on_error);
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"__getattr__", module_getattr, METH_O, "Looks `name` up among parameters, buffers and submodules."},
    {"__setattr__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_setattr)), METH_FASTCALL,
     "Sets an attribute; parameters, buffers and modules are registered."},
    {"__getstate__", module_getstate, METH_NOARGS, "A copy of the instance's dict, which pickle writes."},
    {"_accelerate", accelerate, METH_O | METH_STATIC, "Gives a subclass the direct lookup and call."},
    {"_configure", configure, METH_VARARGS | METH_STATIC,
     "(Tensor, global hook dicts, Module._call_impl, error handler): what the base has to know."},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef members[] = {{"__dictoffset__", T_PYSSIZET, offsetof(ModuleObject, dict), READONLY, nullptr},
                         {"__weaklistoffset__", T_PYSSIZET, offsetof(ModuleObject, weakrefs), READONLY, nullptr},
                         {"__vectorcalloffset__", T_PYSSIZET, offsetof(ModuleObject, call), READONLY, nullptr},
                         {nullptr, 0, 0, 0, nullptr}};

PyGetSetDef getset[] = {{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
                        {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>("The C base of ember.nn.Module.")},
                       {Py_tp_new, reinterpret_cast<void*>(module_new)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(module_dealloc)},
                       {Py_tp_traverse, reinterpret_cast<void*>(module_traverse)},
                       {Py_tp_clear, reinterpret_cast<void*>(module_clear)},
                       {Py_tp_call, reinterpret_cast<void*>(module_tp_call)},
                       {Py_tp_methods, methods},
                       {Py_tp_members, members},
                       {Py_tp_getset, getset},
                       {0, nullptr}};

PyType_Spec spec = {"ember._C.ModuleBase", sizeof(ModuleObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, slots};

bool intern(PyObject*& slot, const char* text) { return (slot = PyUnicode_InternFromString(text)) != nullptr; }

bool intern_names() {
  const char* registries[kRegistries] = {"_parameters", "_buffers", "_modules"};
  const char* hooks[kHooks] = {"_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_pre_hooks"};
  bool ok = true;
  for (int i = 0; i < kRegistries; ++i) ok = ok && intern(state.registries[i], registries[i]);
  for (int i = 0; i < kHooks; ++i) ok = ok && intern(state.hooks[i], hooks[i]);
  return ok && intern(state.forward, "forward") && intern(state.call_impl, "_call_impl") &&
         intern(state.compiled, "_compiled_call_impl") && intern(state.wrapped, "_wrapped_call_impl") &&
         intern(state.getattr, "__getattr__") && intern(state.getattribute, "__getattribute__") &&
         intern(state.assign, "_assign");
}

}  // namespace

bool register_module_base(PyObject* module) {
  if (!intern_names()) return false;
  PyObject* collections = PyImport_ImportModule("collections");
  if (!collections) return false;
  state.ordered_dict = PyObject_GetAttrString(collections, "OrderedDict");
  Py_DECREF(collections);
  PyObject* type = state.ordered_dict ? PyType_FromSpec(&spec) : nullptr;
  if (!type) return false;
  state.base = reinterpret_cast<PyTypeObject*>(type);
  state.own_getattr = _PyType_Lookup(state.base, state.getattr);  // the type outlives the process' last module
  state.object_getattribute = _PyType_Lookup(&PyBaseObject_Type, state.getattribute);
  Py_INCREF(type);  // one reference is the module's, one ours
  return PyModule_AddObject(module, "ModuleBase", type) == 0;
}

}  // namespace ember::python
