// Tensor's methods that are no ops: geometry, conversion to Python, casts and moves, creation in its likeness.
#include "op/ops.h"
#include "python/autograd.h"
#include "python/creation.h"
#include "python/op_object.h"

namespace ember::python {
namespace {

using Fast = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*);
PyCFunction fast(Fast f) { return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f)); }

// A method of a subclass that overrides goes through __torch_function__ first.
PyObject* override(PyObject* self, const char* name, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  return guard([&]() -> PyObject* {
    Ref method = own(PyObject_GetAttrString(reinterpret_cast<PyObject*>(tensor_type), name));
    std::vector<PyObject*> all{self};
    Py_ssize_t total = nargs + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    all.insert(all.end(), args, args + total);
    return call_torch_function(method.get(), all.data(), nargs + 1, kwnames, &self, 1);
  });
}
#define EMBER_OVERRIDE(name, args, n, kwnames) \
  if (EMBER_UNLIKELY(!is_exact_tensor(self) && overrides_torch_function(self))) \
  return override(self, name, args, n, kwnames)

// One optional argument, by position or by one of two names.
PyObject* optional_argument(const char* function, PyObject* const* args, Py_ssize_t n, PyObject* kwnames,
                            const char* name, const char* alias = nullptr) {
  Py_ssize_t k = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  EMBER_CHECK_TYPE(n + k <= 1, function, "() takes at most 1 argument (", int64_t{n + k}, " given)");
  if (n) return args[0];
  if (!k) return nullptr;
  std::string_view keyword = utf8(PyTuple_GET_ITEM(kwnames, 0));
  EMBER_CHECK_TYPE(keyword == name || (alias && keyword == alias), function, "() got an unexpected keyword argument '",
                   keyword, "'");
  return args[0];
}

// ---- geometry ----

PyObject* size(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  EMBER_OVERRIDE("size", args, n, kwnames);
  return guard([&]() -> PyObject* {
    PyObject* dim = optional_argument("size", args, n, kwnames, "dim");
    const Tensor& t = unwrap(self);
    if (!dim || dim == Py_None) return wrap_size(t.sizes());
    EMBER_CHECK_TYPE(is_integer(dim) || is_tensor(dim), "size(): argument 'dim' (position 1) must be int, not ",
                     type_name(dim));
    return PyLong_FromLongLong(t.size(to_int64(dim)));
  });
}
PyObject* stride(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  return guard([&]() -> PyObject* {
    PyObject* dim = optional_argument("stride", args, n, kwnames, "dim");
    const Tensor& t = unwrap(self);
    if (dim && dim != Py_None) return PyLong_FromLongLong(t.stride(to_int64(dim)));
    Ref out = own(PyTuple_New(t.dim()));
    for (int64_t i = 0; i < t.dim(); ++i) PyTuple_SET_ITEM(out.get(), i, PyLong_FromLongLong(t.strides()[i]));
    return out.release();
  });
}
PyObject* dim(PyObject* self, PyObject*) { return PyLong_FromLongLong(unwrap(self).dim()); }
PyObject* numel(PyObject* self, PyObject*) { return PyLong_FromLongLong(unwrap(self).numel()); }
PyObject* element_size(PyObject* self, PyObject*) { return PyLong_FromLongLong(item_size(unwrap(self).dtype())); }
PyObject* storage_offset(PyObject* self, PyObject*) { return PyLong_FromLongLong(unwrap(self).storage_offset()); }
PyObject* data_ptr(PyObject* self, PyObject*) {
  return guard([&] { return PyLong_FromVoidPtr(unwrap(self).numel() ? unwrap(self).data() : nullptr); });
}
PyObject* is_contiguous_method(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  return guard([&]() -> PyObject* {
    PyObject* format = optional_argument("is_contiguous", args, n, kwnames, "memory_format");
    if (!format) return PyBool_FromLong(unwrap(self).is_contiguous());
    EMBER_CHECK_TYPE(is_memory_format(format),
                     "is_contiguous(): argument 'memory_format' must be torch.memory_format, not ", type_name(format));
    return PyBool_FromLong(unwrap(self).is_contiguous(to_memory_format(format)));
  });
}
PyObject* get_device(PyObject* self, PyObject*) { return PyLong_FromLong(unwrap(self).device().index); }
PyObject* is_floating_point_method(PyObject* self, PyObject*) {
  return PyBool_FromLong(is_floating(unwrap(self).dtype()));
}
PyObject* is_complex_method(PyObject* self, PyObject*) { return PyBool_FromLong(is_complex(unwrap(self).dtype())); }
PyObject* is_signed_method(PyObject* self, PyObject*) { return PyBool_FromLong(is_signed(unwrap(self).dtype())); }
PyObject* is_inference_method(PyObject* self, PyObject*) { return PyBool_FromLong(unwrap(self)->inference); }
PyObject* is_same_size(PyObject* self, PyObject* other) {
  return guard([&] {
    EMBER_CHECK_TYPE(is_tensor(other), "is_same_size(): argument 'other' (position 1) must be Tensor, not ",
                     type_name(other));
    return PyBool_FromLong(unwrap(self).sizes() == unwrap(other).sizes());
  });
}
PyObject* is_set_to(PyObject* self, PyObject* other) {
  return guard([&] {
    EMBER_CHECK_TYPE(is_tensor(other), "is_set_to(): argument 'tensor' (position 1) must be Tensor, not ",
                     type_name(other));
    const Tensor &a = unwrap(self), &b = unwrap(other);
    return PyBool_FromLong(a->storage == b->storage && a->offset == b->offset && a->sizes == b->sizes &&
                           a->strides == b->strides);
  });
}
PyObject* storage_pointer(PyObject* self, PyObject*) {  // (address, bytes, id) of the memory behind the tensor
  const auto& storage = unwrap(self)->storage;
  if (!storage) return Py_BuildValue("(KLK)", 0ULL, 0LL, 0ULL);
  return Py_BuildValue("(KLK)", reinterpret_cast<unsigned long long>(storage->data()),
                       static_cast<long long>(storage->nbytes()), reinterpret_cast<unsigned long long>(storage.get()));
}

// ---- to Python ----

PyObject* item(PyObject* self, PyObject*) {
  return guard([&] { return wrap(unwrap(self).item()); });
}
PyObject* tolist(PyObject* self, PyObject*) {
  return guard([&] { return to_list(unwrap(self)); });
}
PyObject* complex_number(PyObject* self, PyObject*) {
  return guard([&] {
    auto c = unwrap(self).item().to<std::complex<double>>();
    return PyComplex_FromDoubles(c.real(), c.imag());
  });
}

// ---- casts and moves ----

struct Target {
  std::optional<DType> dtype;
  std::optional<Device> device;
  std::optional<MemoryFormat> format;
  bool copy = false;
};
PyObject* move(PyObject* self, const Target& t) {
  const Tensor& x = unwrap(self);
  if (t.device) usable(*t.device);
  bool same = (!t.dtype || *t.dtype == x.dtype()) && (!t.device || t.device->type == x.device().type) &&
              (!t.format || *t.format == MemoryFormat::kPreserve || x.is_contiguous(*t.format));
  if (same && !t.copy) return Py_NewRef(self);
  static const Op* copy = find_op("_to_copy");
  auto convert = [&] { return Tensor(call_op(copy, x, OptDType(t.dtype), OptDevice(t.device), t.format)); };
  if (x.numel() < (1 << 15)) return wrap(convert());
  Tensor out;
  {
    WithoutGil released;
    out = convert();
  }
  return wrap(std::move(out));
}
// PyTorch's short names of the casts.
constexpr const char* cast_name(DType d) {
  constexpr const char* kNames[] = {"bool", "byte", "char",     "uint16", "short",  "uint32", "int",    "uint64",
                                    "long", "half", "bfloat16", "float",  "double", "cfloat", "cdouble"};
  return kNames[static_cast<int>(d)];
}
template <DType D>
PyObject* cast(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  EMBER_OVERRIDE(cast_name(D), args, n, kwnames);
  return guard([&]() -> PyObject* {
    Target t{D, std::nullopt, std::nullopt, false};
    PyObject* format = optional_argument(cast_name(D), args, n, kwnames, "memory_format");
    if (format && is_memory_format(format)) t.format = to_memory_format(format);
    return move(self, t);
  });
}

// to(dtype), to(device, dtype), to(other), each with copy= and memory_format=.
void read_target(PyObject* o, Target& t, int position, std::string_view keyword) {
  if (o == Py_None) return;
  if ((keyword.empty() || keyword == "dtype") && accepts_dtype(o)) return void(t.dtype = to_dtype(o));
  if ((keyword.empty() || keyword == "device") && accepts_device(o) && position == 0)
    return void(t.device = to_device(o));
  if ((keyword.empty() || keyword == "other") && is_tensor(o)) {
    t.dtype = unwrap(o).dtype(), t.device = unwrap(o).device();
    return;
  }
  if (keyword == "memory_format" && is_memory_format(o)) return void(t.format = to_memory_format(o));
  if (keyword == "copy" && PyBool_Check(o)) return void(t.copy = o == Py_True);
  if (keyword == "non_blocking" && PyBool_Check(o)) return;
  if (keyword.empty() && PyBool_Check(o) && position >= 1) return;
  fail<TypeError>(
      "to() received an invalid combination of arguments - got (", keyword.empty() ? "" : str(keyword, "="),
      type_name(o),
      "), but expected one of:\n * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = "
      "False, bool copy = False, *, torch.memory_format memory_format = None)\n * (torch.dtype dtype, bool "
      "non_blocking = False, bool copy = False, *, torch.memory_format memory_format = None)\n * (Tensor "
      "other, bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = None)\n");
}
PyObject* to(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  EMBER_OVERRIDE("to", args, n, kwnames);
  return guard([&]() -> PyObject* {
    Target t;
    int bools = 0;
    for (Py_ssize_t i = 0; i < n; ++i) {
      if (PyBool_Check(args[i]) && ++bools == 2) t.copy = args[i] == Py_True;
      else read_target(args[i], t, static_cast<int>(i), "");
    }
    for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k)
      read_target(args[n + k], t, 0, utf8(PyTuple_GET_ITEM(kwnames, k)));
    return move(self, t);
  });
}
PyObject* cpu(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  EMBER_OVERRIDE("cpu", args, n, kwnames);
  return guard([&] { return move(self, {std::nullopt, kCpu, std::nullopt, false}); });
}
PyObject* cuda(PyObject* self, PyObject* const*, Py_ssize_t, PyObject*) {
  return guard([&] { return move(self, {std::nullopt, Device{DeviceType::kCUDA, -1}, std::nullopt, false}); });
}

PyMethodDef methods[] = {
    {"size", fast(size), METH_FASTCALL | METH_KEYWORDS, "size(dim=None) -> Size or int"},
    {"stride", fast(stride), METH_FASTCALL | METH_KEYWORDS, "stride(dim=None) -> tuple or int"},
    {"dim", dim, METH_NOARGS, "The number of dimensions."},
    {"ndimension", dim, METH_NOARGS, "The number of dimensions."},
    {"numel", numel, METH_NOARGS, "The number of elements."},
    {"nelement", numel, METH_NOARGS, "The number of elements."},
    {"element_size", element_size, METH_NOARGS, "Bytes an element."},
    {"storage_offset", storage_offset, METH_NOARGS, "Where in its memory the tensor starts, in elements."},
    {"data_ptr", data_ptr, METH_NOARGS, "The address of the first element."},
    {"is_contiguous", fast(is_contiguous_method), METH_FASTCALL | METH_KEYWORDS,
     "is_contiguous(memory_format=ember.contiguous_format) -> bool"},
    {"get_device", get_device, METH_NOARGS, "The device's index; -1 on the CPU."},
    {"is_floating_point", is_floating_point_method, METH_NOARGS, nullptr},
    {"is_complex", is_complex_method, METH_NOARGS, nullptr},
    {"is_signed", is_signed_method, METH_NOARGS, nullptr},
    {"is_inference", is_inference_method, METH_NOARGS, nullptr},
    {"is_same_size", is_same_size, METH_O, nullptr},
    {"is_set_to", is_set_to, METH_O, "The same memory with the same geometry?"},
    {"_storage", storage_pointer, METH_NOARGS, nullptr},
    {"item", item, METH_NOARGS, "The one element as a Python number; RuntimeError when there are more."},
    {"tolist", tolist, METH_NOARGS, "Nested lists of Python numbers."},
    {"__complex__", complex_number, METH_NOARGS, nullptr},
    {"to", fast(to), METH_FASTCALL | METH_KEYWORDS,
     "to(dtype), to(device, dtype), to(other): converted, or self when it is that already."},
    {"cpu", fast(cpu), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"cuda", fast(cuda), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"float", fast(cast<DType::kFloat32>), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"double", fast(cast<DType::kFloat64>), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"half", fast(cast<DType::kFloat16>), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"bfloat16", fast(cast<DType::kBFloat16>), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"int", fast(cast<DType::kInt32>), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"long", fast(cast<DType::kInt64>), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"short", fast(cast<DType::kInt16>), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"char", fast(cast<DType::kInt8>), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"byte", fast(cast<DType::kUInt8>), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"bool", fast(cast<DType::kBool>), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"cfloat", fast(cast<DType::kComplex64>), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"cdouble", fast(cast<DType::kComplex128>), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {}};

}  // namespace

PyMethodDef* tensor_method_table() {
  static std::vector<PyMethodDef> all = [] {
    std::vector<PyMethodDef> v;
    for (PyMethodDef* m = methods; m->ml_name; ++m) v.push_back(*m);
    for (PyMethodDef* m = autograd_tensor_methods; m->ml_name; ++m) v.push_back(*m);
    v.push_back({});
    return v;
  }();
  return all.data();
}

}  // namespace ember::python
