// What the Tensor type shows of autograd, and the bindings of its engine.
#pragma once

#include "python/tensor_object.h"

namespace ember::python {

// Attributes of a tensor; new references.
PyObject* autograd_grad_fn(PyObject* tensor);
PyObject* autograd_is_leaf(PyObject* tensor);
PyObject* autograd_output_nr(PyObject* tensor);
PyObject* autograd_retains_grad(PyObject* tensor);
PyObject* autograd_base(PyObject* tensor);

// Methods of Tensor that only autograd can do.
extern PyMethodDef autograd_tensor_methods[];

}  // namespace ember::python
