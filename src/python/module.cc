// ember._C: the extension module. Order matters only where a part uses another's types.
#include "base/cpu_features.h"
#include "base/parallel.h"
#include "python/creation.h"
#include "python/module_base.h"
#include "tensor/allocator.h"

namespace ember::python {
namespace {

PyObject* get_default_dtype(PyObject*, PyObject*) {
  return guard([] { return wrap(default_dtype()); });
}
PyObject* py_set_default_dtype(PyObject*, PyObject* o) {
  return guard([&]() -> PyObject* {
    EMBER_CHECK_TYPE(is_dtype(o), "invalid dtype object: only floating-point types are supported as the default type");
    set_default_dtype(to_dtype(o));
    Py_RETURN_NONE;
  });
}
PyObject* get_num_threads(PyObject*, PyObject*) { return PyLong_FromLong(num_threads()); }
PyObject* py_set_num_threads(PyObject*, PyObject* o) {
  return guard([&]() -> PyObject* {
    EMBER_CHECK_TYPE(is_integer(o), "set_num_threads expects an int, but got ", type_name(o));
    int64_t n = to_int64(o);
    EMBER_CHECK(n > 0 && n < 100000, "set_num_threads expects a positive integer");
    set_num_threads(static_cast<int>(n));
    Py_RETURN_NONE;
  });
}
PyObject* cpu_capability(PyObject*, PyObject*) {
  return guard([] { return check(PyUnicode_FromString(isa_name(cpu_isa()))); });
}
PyObject* py_promote_types(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject *a, *b;
    if (!PyArg_ParseTuple(args, "OO:promote_types", &a, &b)) return nullptr;
    EMBER_CHECK_TYPE(is_dtype(a) && is_dtype(b), "promote_types(): arguments must be torch.dtype, not ",
                     type_name(is_dtype(a) ? b : a));
    return wrap(promote_types(to_dtype(a), to_dtype(b)));
  });
}
PyObject* py_can_cast(PyObject*, PyObject* args, PyObject* kwargs) {
  return guard([&]() -> PyObject* {
    static const char* names[] = {"from_", "to", nullptr};
    PyObject *a, *b;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:can_cast", const_cast<char**>(names), &a, &b)) return nullptr;
    EMBER_CHECK_TYPE(is_dtype(a) && is_dtype(b), "can_cast(): arguments must be torch.dtype, not ",
                     type_name(is_dtype(a) ? b : a));
    return PyBool_FromLong(can_cast(to_dtype(a), to_dtype(b)));
  });
}
PyObject* py_memory_stats(PyObject*, PyObject*) {
  MemoryStats s = memory_stats();
  return Py_BuildValue("{sLsLsLsLsLsL}", "allocated", (long long)s.allocated, "peak_allocated",
                       (long long)s.peak_allocated, "reserved", (long long)s.reserved, "peak_reserved",
                       (long long)s.peak_reserved, "blocks", (long long)s.blocks, "allocations",
                       (long long)s.allocations);
}
PyObject* py_reset_peak(PyObject*, PyObject*) {
  reset_peak_memory_stats();
  Py_RETURN_NONE;
}
PyObject* py_empty_cache(PyObject*, PyObject*) {
  empty_cache();
  Py_RETURN_NONE;
}
PyObject* legacy_name(PyObject*, PyObject* o) {
  return guard([&] {
    EMBER_CHECK_TYPE(is_dtype(o), "expected a torch.dtype, not ", type_name(o));
    return check(PyUnicode_FromString(legacy_type_name(to_dtype(o))));
  });
}

PyMethodDef functions[] = {
    {"get_default_dtype", get_default_dtype, METH_NOARGS, "The dtype of floats that come from Python."},
    {"set_default_dtype", py_set_default_dtype, METH_O,
     "Sets the dtype of floats that come from Python; TypeError unless floating."},
    {"get_num_threads", get_num_threads, METH_NOARGS, "How many threads one operation may use."},
    {"set_num_threads", py_set_num_threads, METH_O, "Sets how many threads one operation may use; at least 1."},
    {"_cpu_capability", cpu_capability, METH_NOARGS, nullptr},
    {"promote_types", py_promote_types, METH_VARARGS, "The smallest dtype that both can be converted to."},
    {"can_cast", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(py_can_cast)), METH_VARARGS | METH_KEYWORDS,
     "Is the conversion from one dtype to another allowed by type promotion?"},
    {"_memory_stats", py_memory_stats, METH_NOARGS, nullptr},
    {"_reset_peak_memory_stats", py_reset_peak, METH_NOARGS, nullptr},
    {"_empty_cache", py_empty_cache, METH_NOARGS, nullptr},
    {"_legacy_type_name", legacy_name, METH_O, nullptr},
    {}};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "ember._C", "The C++ side of Ember.", -1, functions};

PyObject* make_module() {
  Ref module = own(PyModule_Create(&definition));
  PyObject* m = module.get();
  init_errors(m);
  init_types(m);
  init_torch_function(m);
  init_tensor(m);
  init_generator(m);
  init_creation(m);
  init_interop(m);
  init_grad_mode(m);
  init_autograd(m);
  init_serialization(m);
  init_ops(m);
  init_gpu(m);
  if (!register_module_base(m)) throw PythonError();
  return module.release();
}

}  // namespace
}  // namespace ember::python

PyMODINIT_FUNC PyInit__C() { return ember::python::guard(ember::python::make_module); }
