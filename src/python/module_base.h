// ember._C.ModuleBase, the C base of nn.Module: attribute lookup and the call without hooks, the two things a small
// layer spends its time on. Depends on Python alone: what a tensor is and how an error is told are handed in by
// `ModuleBase._configure`, so this file knows neither tensors nor ops.
#pragma once

#include <Python.h>

namespace ember::python {

// Adds `ModuleBase` to the extension module; false with a Python error set when that fails.
bool register_module_base(PyObject* module);

}  // namespace ember::python
