// __torch_function__: who overrides, how they are called, and how it is switched off.
// The question "does this type override?" is asked for every Parameter that meets an op, so the answer is cached a type
// and its version (Python gives a type a new version whenever it or a base changes).
#include <array>

#include "python/tensor_object.h"

namespace ember::python {
namespace {

PyObject* disabled_impl;  // what a class sets to opt out
PyObject* attribute_name;
thread_local bool enabled = true;

struct Known {
  PyTypeObject* type;
  unsigned version;
  bool overrides;
};
std::array<Known, 64> cache;

bool valid_version(PyTypeObject* type) {
#if PY_VERSION_HEX < 0x030D0000
  return (type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG) && type->tp_version_tag != 0;
#else
  return type->tp_version_tag != 0;
#endif
}

bool look_up(PyTypeObject* type) {
  Ref attribute(PyObject_GetAttr(reinterpret_cast<PyObject*>(type), attribute_name));
  if (!attribute) {
    PyErr_Clear();
    return false;
  }
  return attribute.get() != disabled_impl && attribute.get() != Py_None;
}

// f(*args, **kwargs) with overrides off: (func, types, args=(), kwargs=None).
PyObject* call_disabled(PyObject*, PyObject* all) {
  PyObject *function, *types, *args = nullptr, *kwargs = nullptr;
  if (!PyArg_ParseTuple(all, "OO|OO", &function, &types, &args, &kwargs)) return nullptr;
  bool before = std::exchange(enabled, false);
  Ref positional(args ? PySequence_Tuple(args) : PyTuple_New(0));
  PyObject* result =
      positional ? PyObject_Call(function, positional.get(), kwargs == Py_None ? nullptr : kwargs) : nullptr;
  enabled = before;
  return result;
}
PyMethodDef disabled_def = {"_disabled_torch_function_impl", call_disabled, METH_VARARGS,
                            "Set as __torch_function__, it makes a class opt out of overriding."};

// with DisableTorchFunctionSubclass(): ...
struct SwitchObject {
  PyObject_HEAD bool before;
};
PyObject* switch_enter(PyObject* self, PyObject*) {
  reinterpret_cast<SwitchObject*>(self)->before = std::exchange(enabled, false);
  Py_RETURN_NONE;
}
PyObject* switch_exit(PyObject* self, PyObject*) {
  enabled = reinterpret_cast<SwitchObject*>(self)->before;
  Py_RETURN_NONE;
}
PyMethodDef switch_methods[] = {
    {"__enter__", switch_enter, METH_NOARGS, nullptr}, {"__exit__", switch_exit, METH_VARARGS, nullptr}, {}};
PyType_Slot switch_slots[] = {{Py_tp_methods, switch_methods}, {}};
PyType_Spec switch_spec = {"ember._C.DisableTorchFunctionSubclass", sizeof(SwitchObject), 0, Py_TPFLAGS_DEFAULT,
                           switch_slots};

PyObject* is_enabled(PyObject*, PyObject*) { return PyBool_FromLong(enabled); }
PyObject* has_override(PyObject*, PyObject* o) { return PyBool_FromLong(overrides_torch_function(o)); }
PyMethodDef functions[] = {
    {"_is_torch_function_enabled", is_enabled, METH_NOARGS, nullptr},
    {"_has_torch_function", has_override, METH_O, "Does this one object override the library's functions?"},
    {}};

}  // namespace

bool torch_function_enabled() { return enabled; }

bool overrides_torch_function(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  if (!enabled || type == tensor_type) return false;
  Known& known = cache[(reinterpret_cast<uintptr_t>(type) >> 5) % cache.size()];
  if (known.type == type && valid_version(type) && known.version == type->tp_version_tag) return known.overrides;
  bool overrides = look_up(type);
  if (valid_version(type)) known = {type, type->tp_version_tag, overrides};
  return overrides;
}

PyObject* call_torch_function(PyObject* function, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                              PyObject* const* overloaded, size_t count) {
  return guard([&]() -> PyObject* {
    Ref positional = own(PyTuple_New(nargs)), types = own(PyTuple_New(static_cast<Py_ssize_t>(count)));
    for (Py_ssize_t i = 0; i < nargs; ++i) PyTuple_SET_ITEM(positional.get(), i, Py_NewRef(args[i]));
    for (size_t i = 0; i < count; ++i)
      PyTuple_SET_ITEM(types.get(), static_cast<Py_ssize_t>(i),
                       Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(overloaded[i]))));
    Ref kwargs = own(PyDict_New());
    for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k)
      check(PyDict_SetItem(kwargs.get(), PyTuple_GET_ITEM(kwnames, k), args[nargs + k]));
    for (size_t i = 0; i < count; ++i) {
      Ref handler = own(PyObject_GetAttr(overloaded[i], attribute_name));
      Ref result = own(
          PyObject_CallFunctionObjArgs(handler.get(), function, types.get(), positional.get(), kwargs.get(), nullptr));
      if (result.get() != Py_NotImplemented) return result.release();
    }
    Ref name(PyObject_GetAttrString(function, "__name__")), shown(PyObject_Repr(types.get()));
    PyErr_Format(PyExc_TypeError,
                 "no implementation found for 'torch.%S' on types that implement __torch_function__: %S", name.get(),
                 shown.get());
    throw PythonError();
  });
}

void init_torch_function(PyObject* module) {
  attribute_name = check(PyUnicode_InternFromString("__torch_function__"));
  disabled_impl = check(PyCFunction_New(&disabled_def, nullptr));
  check(PyModule_AddObjectRef(module, "_disabled_torch_function_impl", disabled_impl));
  Ref type = own(PyType_FromSpec(&switch_spec));
  check(PyModule_AddObjectRef(module, "DisableTorchFunctionSubclass", type.get()));
  check(PyModule_AddObjectRef(module, "DisableTorchFunction", type.get()));
  add_functions(module, functions);
}

}  // namespace ember::python
