// The Python object of a tensor, and the way between it and the C++ handle.
// One impl has at most one Python object. While Python refers to the object, it owns a reference to the impl. When the
// last Python reference goes and C++ owners remain, an object that carries anything (attributes, weak references, a
// subclass) changes sides: the impl keeps the object (bit 0 of python_object) until it dies or Python asks again.
#pragma once

#include "python/common.h"

namespace ember::python {

struct TensorObject {
  PyObject_HEAD TensorImpl* impl;  // owned, unless the impl keeps this object
  PyObject* dict;
  PyObject* weakrefs;
  PyObject* hooks;  // OrderedDict of id -> hook, what `_backward_hooks` shows; the garbage collector must see it
};

extern PyTypeObject* tensor_type;

// A new reference to the tensor's object; None for an undefined tensor.
PyObject* wrap(Tensor t);
// A new object of a subclass for a tensor that has none yet.
PyObject* wrap_as(PyTypeObject* type, Tensor t);

inline bool is_exact_tensor(PyObject* o) { return Py_TYPE(o) == tensor_type; }
inline bool is_tensor(PyObject* o) { return is_exact_tensor(o) || PyType_IsSubtype(Py_TYPE(o), tensor_type); }
// The handle inside a tensor object, as a borrowed view of it: no reference count moves.
inline const Tensor& unwrap(PyObject* o) {
  static_assert(sizeof(Tensor) == sizeof(TensorImpl*));
  return reinterpret_cast<const Tensor&>(reinterpret_cast<TensorObject*>(o)->impl);
}
// Shows the object to the garbage collector: it may be part of a cycle from now on.
void track(PyObject* tensor);
// The hooks of a tensor, created on demand; borrowed.
PyObject* hooks_of(PyObject* tensor);

// The parts of the type, one file each.
PyMethodDef* tensor_method_table();
extern PyGetSetDef tensor_getset[];
const PyType_Slot* tensor_operator_slots();  // numbers, indexing, comparison, buffer
// Objects that autograd keeps for a tensor and that the garbage collector may visit (autograd.cc).
int visit_autograd(const TensorImpl* impl, visitproc visit, void* arg);
void open_ring_of_grad(TensorImpl* impl);

// ---- __torch_function__ (torch_function.cc) ----
// Does this object want to handle functions of the library itself? Exact tensors and plain types answer fast.
bool overrides_torch_function(PyObject* o);
bool torch_function_enabled();
// Calls the overrides among `overloaded` for `function`; new reference or null with an error set.
PyObject* call_torch_function(PyObject* function, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                              PyObject* const* overloaded, size_t count);
void init_torch_function(PyObject* module);

}  // namespace ember::python
