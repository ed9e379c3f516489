// `ember._C._gpu_*`, `_opencl_*`, `_nvrtc_*`: the kernel texts of the table, their compilers and a way to run them, for
// tests and for the curious. Names of one underscore: no promise is made about them.
#include "kernel/gpu/nvrtc.h"
#include "kernel/gpu/opencl.h"
#include "op/gpu_run.h"
#include "python/common.h"
#include "python/tensor_object.h"

namespace ember::python {
namespace {

Compute compute_named(PyObject* dtype) {
  EMBER_CHECK_TYPE(is_dtype(dtype), "expected a dtype, not ", type_name(dtype));
  for (int c = 0; c < kNumComputes; ++c) {
    if (storage_dtype(static_cast<Compute>(c)) == to_dtype(dtype)) return static_cast<Compute>(c);
  }
  EMBER_FAIL("gpu: nothing is computed in ", to_dtype(dtype),
             "; kernels compute in bool, int64, uint64, float32, float64, complex64 and complex128");
}
const Op& pointwise_named(const char* name) {
  const Op* op = find_op(name);
  EMBER_CHECK(op->pointwise, name, ": is not a pointwise op");
  return *op;
}
gpu::Dialect dialect_named(std::string_view name) {
  EMBER_CHECK(name == "opencl" || name == "cuda", "gpu: the dialects are 'opencl' and 'cuda', not '", name, "'");
  return name == "cuda" ? gpu::Dialect::kCuda : gpu::Dialect::kOpenCL;
}

// A call's operands as Python gives them: the inputs, or g, the inputs and the result of forward; then the numbers.
struct Operands {
  Tensor g, y;
  std::vector<Value> args;
  Operands(const Op& op, int which, PyObject* tensors, PyObject* numbers) {
    std::vector<Tensor> list;
    for (Py_ssize_t i = 0; i < PyList_Size(tensors); ++i) {
      PyObject* t = PyList_GetItem(tensors, i);
      EMBER_CHECK_TYPE(is_tensor(t), op.name(), ": expected tensors, got ", type_name(t));
      list.push_back(unwrap(t));
    }
    const size_t inputs = static_cast<size_t>(op.pointwise->inputs),
                 attributes = static_cast<size_t>(op.pointwise->attributes);
    EMBER_CHECK(list.size() == inputs + (which < 0 ? 0 : 2), op.name(), ": takes ", inputs, " inputs, for a partial ",
                "between the gradient and the result; got ", list.size(), " tensors");
    EMBER_CHECK(static_cast<size_t>(PyList_Size(numbers)) == attributes, op.name(), ": takes ", attributes, " numbers");
    if (which >= 0) g = list.front(), y = list.back(), list.erase(list.begin()), list.pop_back();
    for (const Tensor& t : list) args.emplace_back(t);
    for (size_t j = 0; j < attributes; ++j)
      args.emplace_back(to_scalar(PyList_GetItem(numbers, static_cast<Py_ssize_t>(j))));
  }
};

PyObject* pointwise_ops(PyObject*, PyObject*) {
  return guard([]() -> PyObject* {
    Ref list = own(PyList_New(0));
    for (const auto& op : all_ops()) {
      if (!op->pointwise) continue;
      const Pointwise& p = *op->pointwise;
      Ref kernels = own(PyList_New(0));
      for (int which = -1; which < p.partials; ++which) {
        for (int c = 0; c < kNumComputes; ++c) {
          if (!has_kernel(*op, which, static_cast<Compute>(c))) continue;
          Ref pair = own(Py_BuildValue("iN", which, wrap(storage_dtype(static_cast<Compute>(c)))));
          check(PyList_Append(kernels.get(), pair.get()));
        }
      }
      const std::string full = op->schema.overload.empty() ? op->name() : op->name() + "." + op->schema.overload;
      Ref entry = own(
          Py_BuildValue("siiiO", full.c_str(), p.inputs, p.attributes, static_cast<int>(p.mask_inputs), kernels.get()));
      check(PyList_Append(list.get(), entry.get()));
    }
    return list.release();
  });
}

PyObject* gpu_source(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    const char *name, *dialect;
    int which;
    PyObject* dtype;
    if (!PyArg_ParseTuple(args, "siOs:_gpu_source", &name, &which, &dtype, &dialect)) return nullptr;
    const std::string source =
        pointwise_source(pointwise_named(name), which, compute_named(dtype), dialect_named(dialect));
    return PyUnicode_FromStringAndSize(source.data(), static_cast<Py_ssize_t>(source.size()));
  });
}

// [(op, which, dtype), ...] -> kernels
std::vector<PointwiseKernel> kernels_of(PyObject* list, int rank) {
  std::vector<PointwiseKernel> kernels;
  for (Py_ssize_t i = 0; i < PyList_Size(list); ++i) {
    const char* name;
    int which;
    PyObject* dtype;
    if (!PyArg_ParseTuple(PyList_GetItem(list, i), "siO", &name, &which, &dtype)) throw PythonError();
    PointwiseKernel k{&pointwise_named(name), which, compute_named(dtype)};
    k.out = kernel_result(*k.op, which, k.compute);
    k.rank = rank;
    kernels.push_back(k);
  }
  return kernels;
}

PyObject* gpu_program(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject* list;
    int rank;
    const char* dialect;
    if (!PyArg_ParseTuple(args, "O!is:_gpu_program", &PyList_Type, &list, &rank, &dialect)) return nullptr;
    std::string text = gpu::prelude(dialect_named(dialect));
    for (const PointwiseKernel& k : kernels_of(list, rank)) text += write_kernel(k).text;
    return PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
  });
}

PyObject* opencl_prepare_kernels(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject* list;
    int rank;
    if (!PyArg_ParseTuple(args, "O!i:_opencl_prepare", &PyList_Type, &list, &rank)) return nullptr;
    const std::vector<PointwiseKernel> kernels = kernels_of(list, rank);
    {
      WithoutGil released;
      opencl_prepare(kernels);
    }
    Py_RETURN_NONE;
  });
}

template <class F>
PyObject* run(PyObject* args, const char* format, F&& f) {
  return guard([&]() -> PyObject* {
    const char* name;
    int which;
    PyObject *tensors, *numbers;
    if (!PyArg_ParseTuple(args, format, &name, &which, &PyList_Type, &tensors, &PyList_Type, &numbers)) return nullptr;
    const Op& op = pointwise_named(name);
    const Operands o(op, which, tensors, numbers);
    return wrap(f(op, which, o));
  });
}
PyObject* opencl_run(PyObject*, PyObject* args) {
  return run(args, "siO!O!:_opencl_run", [](const Op& op, int which, const Operands& o) {
    return opencl_pointwise(op, which, o.g, o.args.data(), o.y);
  });
}
PyObject* cpu_run(PyObject*, PyObject* args) {
  return run(args, "siO!O!:_pointwise_run", [](const Op& op, int which, const Operands& o) {
    if (which >= 0)
      return pointwise_partial(op, which, o.g, o.args.data(), o.y, pointwise_types(op, o.args.data()).common);
    const Tensor out = empty(pointwise_infer(op, o.args.data()));
    pointwise_run(op, o.args.data(), out);
    return out;
  });
}

PyObject* reduce_ops(PyObject*, PyObject*) {
  return guard([]() -> PyObject* {
    Ref list = own(PyList_New(0));
    for (const auto& op : all_ops()) {
      if (!op->reduces) continue;
      Ref entry = own(Py_BuildValue("sii", op->name().c_str(), static_cast<int>(op->reduces->rule),
                                    static_cast<int>(op->reduces->finish)));
      check(PyList_Append(list.get(), entry.get()));
    }
    return list.release();
  });
}
// Rules and finishes go by number, as kernel/cpu/reduce.h counts them.
PyObject* reduce_program(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject* list;
    const char* dialect;
    if (!PyArg_ParseTuple(args, "O!s:_gpu_reduce_program", &PyList_Type, &list, &dialect)) return nullptr;
    std::string text = gpu::prelude(dialect_named(dialect));
    for (Py_ssize_t i = 0; i < PyList_Size(list); ++i) {
      int rule, finish;
      PyObject* dtype;
      if (!PyArg_ParseTuple(PyList_GetItem(list, i), "iiO", &rule, &finish, &dtype)) return nullptr;
      const DType d = to_dtype(dtype);
      text += write_kernel(ReduceKernel{static_cast<cpu::Reduction>(rule), static_cast<cpu::Finish>(finish),
                                        compute_named(dtype), d, d, 1, 2});
    }
    return PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
  });
}
PyObject* opencl_reduce_run(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    int rule, finish;
    PyObject *tensor, *compute, *out;
    unsigned long long mask;
    double p;
    if (!PyArg_ParseTuple(args, "iiO!KOOd:_opencl_reduce", &rule, &finish, tensor_type, &tensor, &mask, &compute, &out,
                          &p))
      return nullptr;
    return wrap(opencl_reduce(unwrap(tensor), mask, static_cast<cpu::Reduction>(rule), compute_named(compute),
                              to_dtype(out), static_cast<cpu::Finish>(finish), p));
  });
}

PyObject* opencl_device(PyObject*, PyObject*) {
  return guard([]() -> PyObject* {
    const std::string missing = gpu::opencl::why_not(), name = gpu::opencl::device_name();
    return Py_BuildValue("ss", name.c_str(), missing.c_str());
  });
}

PyObject* nvrtc_open(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    const char* folder = "";
    if (!PyArg_ParseTuple(args, "|s:_nvrtc_open", &folder)) return nullptr;
    return PyBool_FromLong(gpu::nvrtc::open(folder));
  });
}
PyObject* nvrtc_compile(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    const char *text, *arch;
    if (!PyArg_ParseTuple(args, "ss:_nvrtc_compile", &text, &arch)) return nullptr;
    std::string code;
    {
      WithoutGil released;
      code = gpu::nvrtc::compile(text, arch);
    }
    return PyBytes_FromStringAndSize(code.data(), static_cast<Py_ssize_t>(code.size()));
  });
}

PyMethodDef functions[] = {
    {"_gpu_ops", pointwise_ops, METH_NOARGS, "[(op, inputs, numbers, mask of conditions, [(which, dtype), ...]), ...]"},
    {"_gpu_source", gpu_source, METH_VARARGS, "(op, which, dtype, dialect) -> the text of its kernels"},
    {"_gpu_program", gpu_program, METH_VARARGS,
     "([(op, which, dtype), ...], rank, dialect) -> one text of many kernels"},
    {"_opencl_device", opencl_device, METH_NOARGS, "(its name, why there is none)"},
    {"_opencl_prepare", opencl_prepare_kernels, METH_VARARGS,
     "([(op, which, dtype), ...], rank): compiles them together"},
    {"_opencl_run", opencl_run, METH_VARARGS,
     "(op, which, tensors, numbers) -> the result, computed by OpenCL; a partial's tensors are g, inputs, result"},
    {"_pointwise_run", cpu_run, METH_VARARGS, "The same, computed by the CPU's tiles."},
    {"_gpu_reductions", reduce_ops, METH_NOARGS, "[(op, rule, finish), ...]"},
    {"_gpu_reduce_program", reduce_program, METH_VARARGS, "([(rule, finish, dtype), ...], dialect) -> one text"},
    {"_opencl_reduce", opencl_reduce_run, METH_VARARGS,
     "(rule, finish, tensor, mask of reduced dims, compute dtype, result's dtype, p) -> the result, by OpenCL"},
    {"_nvrtc_open", nvrtc_open, METH_VARARGS, "(folder of libnvrtc, or the loader's) -> is it there?"},
    {"_nvrtc_compile", nvrtc_compile, METH_VARARGS, "(text, 'sm_80' or 'compute_80') -> machine code or PTX"},
    {}};

}  // namespace

void init_gpu(PyObject* module) { add_functions(module, functions); }

}  // namespace ember::python
