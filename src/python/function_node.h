// autograd.Function: a node whose backward is Python's.
#pragma once

#include "python/tensor_object.h"
#include "transform/grad.h"

namespace ember::python {

// The Python context of a Function's node, borrowed; null for nodes of other kinds.
PyObject* function_context(const Node& node);
void init_function_node(PyObject* module);

// Shared with autograd.cc.
PyObject* wrap(const Ptr<Node>& node);  // None for null
PyObject* wrap_next_functions(const Node& node);
PyObject* register_node_hook(Ptr<Node> node, PyObject* hook);
PyObject* register_node_prehook(Ptr<Node> node, PyObject* hook);
// Autograd's state of one impl goes to another (tensor_object.cc).
void move_autograd(TensorImpl& from, TensorImpl& to);

}  // namespace ember::python
