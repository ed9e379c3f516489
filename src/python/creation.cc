// tensor(), as_tensor(), tolist(): between nested Python lists and memory.
// A list is walked twice: once for shape and dtype, once to fill, with the element type fixed outside the loop.
#include "python/creation.h"

#include <cmath>
#include <limits>

#include "op/ops.h"

namespace ember::python {
namespace {

bool is_block(PyObject* o) { return is_tensor(o) || is_numpy_array(o); }
bool is_sequence(PyObject* o) {
  if (PyList_Check(o) || PyTuple_Check(o)) return true;
  if (PyUnicode_Check(o) || PyBytes_Check(o) || is_block(o)) return false;
  return PySequence_Check(o) && PySequence_Size(o) >= 0 ? true : (PyErr_Clear(), false);
}
Tensor block(PyObject* o) { return is_tensor(o) ? unwrap(o).detach() : share_array(o); }

// What the data is: the sizes along its first elements, the dtype that holds all elements.
struct Inference {
  Dims sizes;
  std::optional<DType> dtype;
  bool any = false;

  void meet(DType d) { dtype = dtype ? promote_types(*dtype, d) : d; }
  void number(PyObject* o) {
    if (PyFloat_CheckExact(o)) return meet(default_dtype());
    if (PyLong_CheckExact(o)) return meet(DType::kInt64);
    if (PyBool_Check(o)) return meet(DType::kBool);
    if (is_number(o)) return meet(numpy_dtype(o));
    if (PyIndex_Check(o)) return meet(DType::kInt64);
    if (PyObject_HasAttrString(o, "__float__") && !PyUnicode_Check(o)) return meet(default_dtype());
    if (PyUnicode_Check(o) && !sizes.empty()) fail<ValueError>("too many dimensions 'str'");
    fail<TypeError>("new(): invalid data type '", type_name(o), "'");
  }
  // NumPy's numbers keep their own width, Python's take the default one.
  DType numpy_dtype(PyObject* o) {
    Scalar s = to_scalar(o);
    if (PyFloat_Check(o) && !PyFloat_CheckExact(o) && std::string_view(Py_TYPE(o)->tp_name) == "numpy.float64")
      return DType::kFloat64;
    std::string_view n = Py_TYPE(o)->tp_name;
    if (!n.starts_with("numpy.")) return s.dtype();
    n.remove_prefix(6);
    for (int i = 0; i < kNumDTypes; ++i) {
      if (name(static_cast<DType>(i)) == n) return static_cast<DType>(i);
    }
    return s.dtype();
  }
  void shape(PyObject* o) {
    for (Ref held = Ref::borrow(o);;) {
      PyObject* at = held.get();
      if (is_block(at)) {
        Tensor t = block(at);
        sizes.append(t.sizes());
        return;
      }
      if (!is_sequence(at)) return;
      Py_ssize_t n = PySequence_Size(at);
      check(n < 0 ? -1 : 0);
      sizes.push_back(n);
      EMBER_CHECK_VALUE(sizes.size() <= 128, "too many dimensions '", type_name(at), "'");
      if (n == 0) return;
      held = own(PySequence_GetItem(at, 0));
    }
  }
  void types(PyObject* o) {
    if (is_block(o)) return meet(block(o).dtype());
    if (!is_sequence(o)) return number(o);
    Ref items = own(PySequence_Fast(o, "not a sequence"));
    Py_ssize_t n = PySequence_Fast_GET_SIZE(items.get());
    PyObject** item = PySequence_Fast_ITEMS(items.get());
    // A run of equal Python numbers is met once.
    PyTypeObject* last = nullptr;
    for (Py_ssize_t i = 0; i < n; ++i) {
      if (Py_TYPE(item[i]) == last) continue;
      types(item[i]);
      bool plain = PyFloat_CheckExact(item[i]) || PyLong_CheckExact(item[i]) || PyBool_Check(item[i]);
      last = plain ? Py_TYPE(item[i]) : nullptr;
    }
  }
};

template <class T>
[[noreturn]] EMBER_COLD void overflow() {
  fail<Error>("value cannot be converted to type ", name(dtype_of<T>), " without overflow");
}

template <class T>
T element(PyObject* o) {
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
    if (PyFloat_CheckExact(o)) return static_cast<T>(PyFloat_AS_DOUBLE(o));
    if (PyLong_CheckExact(o)) {
      double d = PyLong_AsDouble(o);
      if (d == -1 && PyErr_Occurred()) throw PythonError();
      return static_cast<T>(d);
    }
  }
  if constexpr (std::is_same_v<T, int64_t>) {
    if (PyLong_CheckExact(o)) return to_int64(o);
  }
  if (!is_number(o)) {
    if constexpr (std::is_integral_v<T>) {
      if (PyIndex_Check(o)) return static_cast<T>(to_int64(o));
    }
    Ref number(PyNumber_Float(o));
    if (!number) throw PythonError();
    return Scalar(PyFloat_AS_DOUBLE(number.get())).to<T>();
  }
  Scalar s = to_scalar(o);
  constexpr bool kComplex = std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>;
  if constexpr (!kComplex) {
    if (s.is_complex()) fail<TypeError>("can't convert complex to float");
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      if (s.is_floating()) {
        double d = s.to<double>();
        if (!(d > -0x1p63 - 1 && d < 0x1p64)) overflow<T>();
        return static_cast<T>(s.to<T>());
      }
      bool fits =
          s.kind() == Scalar::Kind::kUInt
              ? sizeof(T) == 8 && std::is_unsigned_v<T>
              : std::in_range<T>(s.to<int64_t>()) ||
                    (std::is_unsigned_v<T> && s.to<int64_t>() < 0 &&
                     s.to<int64_t>() >= -static_cast<int64_t>(sizeof(T) < 8 ? std::numeric_limits<T>::max() : 0));
      if (!fits) overflow<T>();
    }
  }
  return s.to<T>();
}

// Fills dst, row-major, with the part of the data at `dim`; returns where it stopped.
template <class T>
T* fill(PyObject* o, DimsView sizes, size_t dim, T* dst) {
  if (is_block(o)) {
    Tensor t = block(o).to(dtype_of<T>).contiguous();
    EMBER_CHECK_VALUE(DimsView(t.sizes()) == DimsView(sizes.data() + dim, sizes.size() - dim),
                      "expected elements of equal shape, got ", DimsView(t.sizes()), " among ", sizes);
    if (t.numel()) std::memcpy(static_cast<void*>(dst), t.data(), static_cast<size_t>(t.numel()) * sizeof(T));
    return dst + t.numel();
  }
  if (dim == sizes.size()) {
    *dst = element<T>(o);
    return dst + 1;
  }
  Ref items = own(PySequence_Fast(o, "not a sequence"));
  Py_ssize_t n = PySequence_Fast_GET_SIZE(items.get());
  EMBER_CHECK_VALUE(n == sizes[dim], "expected sequence of length ", sizes[dim], " at dim ", static_cast<int64_t>(dim),
                    " (got ", int64_t{n}, ")");
  PyObject** item = PySequence_Fast_ITEMS(items.get());
  if (dim + 1 == sizes.size()) {
    for (Py_ssize_t i = 0; i < n; ++i) {
      if (is_block(item[i])) dst = fill(item[i], sizes, dim + 1, dst);
      else *dst++ = element<T>(item[i]);
    }
    return dst;
  }
  for (Py_ssize_t i = 0; i < n; ++i) dst = fill(item[i], sizes, dim + 1, dst);
  return dst;
}

Tensor on_device(Tensor t, Device device) {
  return device.type == DeviceType::kMeta ? empty_raw(t.sizes(), t.dtype(), device) : t;
}

bool has_array_interface(PyObject* o) {
  return !PyList_Check(o) && !PyTuple_Check(o) && PyObject_HasAttrString(o, "__array_interface__");
}

template <class T>
PyObject* nested(const T* data, DimsView sizes, DimsView strides, size_t dim) {
  if (dim == sizes.size()) {
    if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) return PyFloat_FromDouble(to_float(*data));
    // A view of bytes as bool holds any of them.
    else if constexpr (std::is_same_v<T, bool>) return wrap(Scalar(*reinterpret_cast<const uint8_t*>(data) != 0));
    else return wrap(Scalar(*data));
  }
  Ref list = own(PyList_New(sizes[dim]));
  for (int64_t i = 0; i < sizes[dim]; ++i)
    PyList_SET_ITEM(list.get(), i, check(nested(data + i * strides[dim], sizes, strides, dim + 1)));
  return list.release();
}

// ---- the functions ----

struct Options {
  std::optional<DType> dtype;
  std::optional<Device> device;
  bool requires_grad = false;
};
bool read_options(PyObject* dtype, PyObject* device, int requires_grad, const char* function, Options& out) {
  if (dtype && dtype != Py_None) {
    EMBER_CHECK_TYPE(accepts_dtype(dtype), function, "(): argument 'dtype' must be torch.dtype, not ",
                     type_name(dtype));
    out.dtype = to_dtype(dtype);
  }
  if (device && device != Py_None) {
    EMBER_CHECK_TYPE(accepts_device(device), function, "(): argument 'device' must be torch.device, not ",
                     type_name(device));
    out.device = to_device(device);
  }
  out.requires_grad = requires_grad != 0;
  return true;
}
PyObject* finish(Tensor t, bool requires_grad) {
  EMBER_CHECK(!requires_grad || is_differentiable(t.dtype()),
              "Only Tensors of floating point and complex dtype can require gradients");
  if (requires_grad) t.set_requires_grad(true);
  return wrap(std::move(t));
}

PyObject* py_tensor(PyObject*, PyObject* args, PyObject* kwargs) {
  return guard([&]() -> PyObject* {
    static const char* names[] = {"data", "dtype", "device", "requires_grad", "pin_memory", nullptr};
    PyObject *data, *dtype = nullptr, *device = nullptr, *pin = nullptr;
    int requires_grad = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OOpO:tensor", const_cast<char**>(names), &data, &dtype, &device,
                                     &requires_grad, &pin))
      return nullptr;
    Options o;
    read_options(dtype, device, requires_grad, "tensor", o);
    if (is_tensor(data)) {
      check(PyErr_WarnEx(PyExc_UserWarning,
                         "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
                         "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
                         1));
    }
    return finish(
        tensor_from_data(data, o.dtype,
                         o.device.value_or(is_tensor(data) ? unwrap(data).device() : default_device().value_or(kCpu))),
        o.requires_grad);
  });
}

PyObject* py_as_tensor(PyObject*, PyObject* args, PyObject* kwargs) {
  return guard([&]() -> PyObject* {
    static const char* names[] = {"data", "dtype", "device", nullptr};
    PyObject *data, *dtype = nullptr, *device = nullptr;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO:as_tensor", const_cast<char**>(names), &data, &dtype, &device))
      return nullptr;
    Options o;
    read_options(dtype, device, 0, "as_tensor", o);
    return wrap(tensor_sharing_data(data, o.dtype, o.device));
  });
}

// Tensor._make_subclass(cls, data, require_grad=False): data's memory under another class, outside the graph.
PyObject* make_subclass(PyObject*, PyObject* args, PyObject* kwargs) {
  return guard([&]() -> PyObject* {
    static const char* names[] = {"cls", "data", "require_grad", nullptr};
    PyObject *cls, *data;
    int requires_grad = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|p:_make_subclass", const_cast<char**>(names), &cls, &data,
                                     &requires_grad))
      return nullptr;
    EMBER_CHECK_TYPE(PyType_Check(cls) && PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls), tensor_type),
                     "_make_subclass(): cls must be a subclass of Tensor");
    EMBER_CHECK_TYPE(is_tensor(data), "_make_subclass(): argument 'data' (position 2) must be Tensor, not ",
                     type_name(data));
    Tensor t = unwrap(data).detach();
    if (requires_grad) t.set_requires_grad(true);
    return wrap_as(reinterpret_cast<PyTypeObject*>(cls), std::move(t));
  });
}

// x.as_subclass(cls): a view of x, in the graph, under another class.
PyObject* as_subclass(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject *self, *cls;
    if (!PyArg_ParseTuple(args, "OO:as_subclass", &self, &cls)) return nullptr;
    EMBER_CHECK_TYPE(PyType_Check(cls) && PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls), tensor_type),
                     "cls must be a type that inherits from Tensor, not ", type_name(cls));
    const Tensor& x = unwrap(self);
    return wrap_as(reinterpret_cast<PyTypeObject*>(cls), expand(x, x.sizes()));
  });
}

// The bytes of a tensor's whole storage, and a tensor of the same geometry as `like` over such bytes: how deep copies
// keep tensors that share memory sharing.
PyObject* whole_storage(PyObject*, PyObject* o) {
  return guard([&] {
    EMBER_CHECK_TYPE(is_tensor(o), "_whole_storage(): argument must be Tensor, not ", type_name(o));
    const Tensor& t = unwrap(o);
    if (!t->storage) return Py_NewRef(o);
    auto impl = make_ptr<TensorImpl>(t->storage, DType::kUInt8, t.device());
    impl->set_sizes_contiguous({t->storage->nbytes()});
    return wrap(Tensor(std::move(impl)));
  });
}
PyObject* over_storage(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject *bytes, *like;
    if (!PyArg_ParseTuple(args, "OO:_over_storage", &bytes, &like)) return nullptr;
    EMBER_CHECK_TYPE(is_tensor(bytes) && is_tensor(like), "_over_storage(): arguments must be Tensors");
    const Tensor &from = unwrap(bytes), &t = unwrap(like);
    EMBER_CHECK(!t->storage || (from->storage && from->storage->nbytes() >= t->storage->nbytes()),
                "_over_storage: too few bytes");
    auto impl = make_ptr<TensorImpl>(from->storage, t.dtype(), t.device());
    impl->offset = t->offset;
    impl->keys = t->keys & key::kFake;
    impl->set_sizes(t.sizes(), t.strides());
    return wrap(Tensor(std::move(impl)));
  });
}

PyCFunction keyword_function(PyCFunctionWithKeywords f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}
PyMethodDef functions[] = {
    {"tensor", keyword_function(py_tensor), METH_VARARGS | METH_KEYWORDS,
     "tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False) -> Tensor\n\n"
     "A new tensor with a copy of data: a number, nested lists, a NumPy array or a tensor. The dtype is inferred when "
     "it\n"
     "is not given. ValueError for ragged lists, TypeError for what is no data.\n\n"
     "    >>> ember.tensor([[1, 2], [3, 4]])\n    tensor([[1, 2],\n            [3, 4]])"},
    {"as_tensor", keyword_function(py_as_tensor), METH_VARARGS | METH_KEYWORDS,
     "as_tensor(data, dtype=None, device=None) -> Tensor\n\n"
     "Like tensor(), but shares memory with data, and its history if it is a tensor, where dtype and device allow.\n\n"
     "    >>> ember.as_tensor([1.5]).dtype\n    torch.float32"},
    {"_make_subclass", keyword_function(make_subclass), METH_VARARGS | METH_KEYWORDS, nullptr},
    {"_whole_storage", whole_storage, METH_O, nullptr},
    {"_over_storage", over_storage, METH_VARARGS, nullptr},
    {"_as_subclass", as_subclass, METH_VARARGS, nullptr},
    {}};

}  // namespace

Tensor tensor_from_data(PyObject* data, std::optional<DType> dtype, Device device) {
  usable(device);
  if (is_tensor(data)) {
    Tensor t = unwrap(data).detach();
    bool same = !dtype || *dtype == t.dtype();
    return on_device(same ? t.clone() : t.to(*dtype), device);
  }
  if (is_numpy_array(data) || has_array_interface(data)) {
    Tensor t = share_array(data);
    return on_device(dtype && *dtype != t.dtype() ? t.to(*dtype) : t.clone(), device);
  }
  EMBER_CHECK_TYPE(!PyUnicode_Check(data), "new(): invalid data type 'str'");
  Inference in;
  in.shape(data);
  if (!dtype) in.types(data);
  Tensor t = empty_raw(in.sizes, dtype ? *dtype : in.dtype.value_or(default_dtype()));
  if (t.numel() > 0 || in.sizes.size() > 1)
    visit(t.dtype(), [&]<class T>(T) { fill<T>(data, t.sizes(), 0, t.data<T>()); });
  return on_device(std::move(t), device);
}

Tensor tensor_sharing_data(PyObject* data, std::optional<DType> dtype, std::optional<Device> device) {
  if (device) usable(*device);
  bool array = !is_tensor(data) && (is_numpy_array(data) || has_array_interface(data));
  if (!array && !is_tensor(data))
    return tensor_from_data(data, dtype, device.value_or(default_device().value_or(kCpu)));
  Tensor t = array ? share_array(data) : unwrap(data);
  if (dtype && *dtype != t.dtype()) t = t.to(*dtype);
  return device && device->type != t.device().type ? on_device(t, *device) : t;
}

Tensor scalar_tensor(const Scalar& s, DType dtype) {
  Tensor t = empty_raw({}, dtype);
  visit(dtype, [&]<class T>(T) { *t.data<T>() = s.to<T>(); });
  return t;
}

PyObject* to_list(const Tensor& t) {
  EMBER_CHECK(t.device().type == DeviceType::kCPU, "tolist(): the tensor has no data on device ", t.device());
  return visit(t.dtype(), [&]<class T>(T) { return nested(t.data<T>(), t.sizes(), t.strides(), 0); });
}

const char* legacy_type_name(DType d) {
  switch (d) {
    case DType::kBool: return "torch.BoolTensor";
    case DType::kUInt8: return "torch.ByteTensor";
    case DType::kInt8: return "torch.CharTensor";
    case DType::kInt16: return "torch.ShortTensor";
    case DType::kInt32: return "torch.IntTensor";
    case DType::kInt64: return "torch.LongTensor";
    case DType::kUInt16: return "torch.UInt16Tensor";
    case DType::kUInt32: return "torch.UInt32Tensor";
    case DType::kUInt64: return "torch.UInt64Tensor";
    case DType::kFloat16: return "torch.HalfTensor";
    case DType::kBFloat16: return "torch.BFloat16Tensor";
    case DType::kFloat32: return "torch.FloatTensor";
    case DType::kFloat64: return "torch.DoubleTensor";
    case DType::kComplex64: return "torch.ComplexFloatTensor";
    default: return "torch.ComplexDoubleTensor";
  }
}

void init_creation(PyObject* module) { add_functions(module, functions); }

}  // namespace ember::python
