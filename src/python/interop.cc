// Memory shared with others: the buffer protocol, NumPy, DLPack. Never a copy; negative strides travel both ways.
// NumPy is reached through the buffer protocol, so it is neither linked nor imported until a program brings it in.
#include <cstdint>

#include "python/creation.h"

namespace ember::python {
namespace {

// ---- element formats of PEP 3118 ----

const char* format_of(DType d) {
  switch (d) {
    case DType::kBool: return "?";
    case DType::kUInt8: return "B";
    case DType::kInt8: return "b";
    case DType::kUInt16: return "H";
    case DType::kInt16: return "h";
    case DType::kUInt32: return "I";
    case DType::kInt32: return "i";
    case DType::kUInt64: return "Q";
    case DType::kInt64: return "q";
    case DType::kFloat16: return "e";
    case DType::kFloat32: return "f";
    case DType::kFloat64: return "d";
    case DType::kComplex64: return "Zf";
    case DType::kComplex128: return "Zd";
    case DType::kBFloat16: return nullptr;
  }
  return nullptr;
}
DType integer(bool is_signed, Py_ssize_t size) {
  switch (size) {
    case 1: return is_signed ? DType::kInt8 : DType::kUInt8;
    case 2: return is_signed ? DType::kInt16 : DType::kUInt16;
    case 4: return is_signed ? DType::kInt32 : DType::kUInt32;
    default: return is_signed ? DType::kInt64 : DType::kUInt64;
  }
}
std::optional<DType> dtype_of_format(const char* format, Py_ssize_t itemsize) {
  std::string_view f(format ? format : "B");
  if (!f.empty() && (f[0] == '@' || f[0] == '=' || f[0] == '<')) f.remove_prefix(1);
  if (f == "?") return DType::kBool;
  if (f == "e") return DType::kFloat16;
  if (f == "f") return DType::kFloat32;
  if (f == "d") return DType::kFloat64;
  if (f == "Zf") return DType::kComplex64;
  if (f == "Zd") return DType::kComplex128;
  if (f.size() == 1 && std::string_view("bhilqn").find(f[0]) != f.npos) return integer(true, itemsize);
  if (f.size() == 1 && std::string_view("BHILQNc").find(f[0]) != f.npos) return integer(false, itemsize);
  return std::nullopt;
}

void release_buffer(void*, void* context) {
  auto* view = static_cast<Py_buffer*>(context);
  if (Py_IsInitialized()) {
    WithGil gil;
    PyBuffer_Release(view);
  }
  delete view;
}

// A tensor over foreign memory: the storage starts at the lowest address that the geometry reaches.
Tensor over_memory(char* first, DimsView sizes, DimsView strides, DType dtype, Storage::Deleter deleter,
                   void* context) {
  int64_t low = 0, high = 0, item = item_size(dtype);
  bool empty = false;
  for (size_t i = 0; i < sizes.size(); ++i) {
    empty |= sizes[i] == 0;
    (strides[i] < 0 ? low : high) += (sizes[i] - 1) * strides[i];
  }
  if (empty) low = 0, high = -1;
  auto storage = Storage::adopt(first + low * item, (high - low + 1) * item, kCpu, deleter, context);
  auto impl = make_ptr<TensorImpl>(std::move(storage), dtype, kCpu);
  impl->offset = -low;
  impl->set_sizes(sizes, strides);
  return Tensor(std::move(impl));
}

void warn_read_only() {
  static bool warned = false;
  if (std::exchange(warned, true)) return;
  check(
      PyErr_WarnEx(PyExc_UserWarning,
                   "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This "
                   "means writing to this tensor will result in undefined behavior. You may want to copy the array to "
                   "protect its data or make it writable before converting it to a tensor. This type of warning will "
                   "be suppressed for the rest of this program.",
                   1));
}

Tensor share_buffer(PyObject* o) {
  auto view = std::make_unique<Py_buffer>();
  if (PyObject_GetBuffer(o, view.get(), PyBUF_FULL_RO) < 0) {
    PyErr_Clear();
    return {};
  }
  std::optional<DType> dtype = dtype_of_format(view->format, view->itemsize);
  Dims sizes, strides;
  bool aligned = true, native = !view->format || (view->format[0] != '>' && view->format[0] != '!');
  for (int i = 0; dtype && i < view->ndim; ++i) {
    sizes.push_back(view->shape[i]);
    aligned &= view->strides[i] % view->itemsize == 0;
    strides.push_back(view->strides[i] / view->itemsize);
  }
  bool read_only = view->readonly;
  if (!dtype || !aligned || !native) {
    PyBuffer_Release(view.get());
    EMBER_CHECK_VALUE(aligned,
                      "given numpy array strides not a multiple of the element byte size. Copy the numpy array "
                      "to reallocate the memory.");
    EMBER_CHECK_VALUE(native,
                      "given numpy array has byte order different from the native byte order. Conversion between "
                      "byte orders is currently not supported.");
    return {};
  }
  char* first = static_cast<char*>(view->buf);
  Py_buffer* context = view.release();
  Tensor t = over_memory(first, sizes, strides, *dtype, release_buffer, context);
  if (read_only) warn_read_only();
  return t;
}

}  // namespace

Tensor share_array(PyObject* array) {
  Tensor t = share_buffer(array);
  if (t.defined()) return t;
  if (is_numpy_array(array)) {
    Ref dtype = own(PyObject_GetAttrString(array, "dtype")), type = own(PyObject_GetAttrString(dtype.get(), "type"));
    // Big-endian arrays refuse as such; what NumPy exports no buffer for (datetime64, objects) has no dtype here.
    fail<TypeError>("can't convert np.ndarray of type ", reinterpret_cast<PyTypeObject*>(type.get())->tp_name,
                    ". The only supported types are: float64, float32, float16, complex64, complex128, int64, int32, "
                    "int16, int8, uint64, uint32, uint16, uint8, and bool.");
  }
  // Not NumPy's: an object that describes its memory. NumPy turns it into an array that keeps it alive.
  Ref numpy = own(PyImport_ImportModule("numpy"));
  Ref converted = own(PyObject_CallMethod(numpy.get(), "asarray", "O", array));
  return share_array(converted.get());
}

// ---- buffers of ours ----

int tensor_getbuffer(PyObject* self, Py_buffer* view, int flags) {
  view->obj = nullptr;
  const Tensor& t = unwrap(self);
  const char* format = format_of(t.dtype());
  if (!format || t.device().type != DeviceType::kCPU || t.layout() != Layout::kStrided || t.requires_grad() ||
      ((flags & PyBUF_STRIDES) != PyBUF_STRIDES && !t.is_contiguous())) {
    PyErr_SetString(PyExc_BufferError,
                    "a Tensor shows its memory when it is dense, on the CPU, without gradient, and "
                    "of a dtype that NumPy has");
    return -1;
  }
  int rank = static_cast<int>(t.dim());
  auto* geometry = new Py_ssize_t[2 * rank + 1];
  for (int i = 0; i < rank; ++i) {
    geometry[i] = t.sizes()[i];
    geometry[rank + i] = t.strides()[i] * item_size(t.dtype());
  }
  static char nothing;
  void* data = t.data();
  *view = {};
  view->buf = data ? data : &nothing;
  view->obj = Py_NewRef(self);
  view->len = t.numel() * item_size(t.dtype());
  view->itemsize = item_size(t.dtype());
  view->ndim = rank;
  view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(format) : nullptr;
  view->shape = (flags & PyBUF_ND) ? geometry : nullptr;
  view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? geometry + rank : nullptr;
  view->internal = geometry;
  return 0;
}
void tensor_releasebuffer(PyObject*, Py_buffer* view) { delete[] static_cast<Py_ssize_t*>(view->internal); }

PyObject* tensor_from_array(PyObject* array) {
  return guard([&] { return wrap(share_array(array)); });
}

// ---- DLPack 1.0's unversioned capsule, which every library reads ----

namespace {

struct DLDevice {
  int32_t type, id;
};
struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
enum : uint8_t { kDLInt = 0, kDLUInt = 1, kDLFloat = 2, kDLBfloat = 4, kDLComplex = 5, kDLBool = 6 };
constexpr int32_t kDLCPU = 1;

DLDataType dl_dtype(DType d) {
  uint8_t code = d == DType::kBool       ? kDLBool
                 : d == DType::kBFloat16 ? kDLBfloat
                 : is_complex(d)         ? kDLComplex
                 : is_floating(d)        ? kDLFloat
                 : is_unsigned(d)        ? kDLUInt
                                         : kDLInt;
  return {code, static_cast<uint8_t>(8 * item_size(d)), 1};
}
DType dtype_of_dl(DLDataType t) {
  if (t.lanes == 1) {
    for (int i = 0; i < kNumDTypes; ++i) {
      DLDataType own = dl_dtype(static_cast<DType>(i));
      if (own.code == t.code && own.bits == t.bits) return static_cast<DType>(i);
    }
  }
  EMBER_FAIL("from_dlpack: unsupported element type: code ", int{t.code}, ", ", int{t.bits}, " bits, ", int{t.lanes},
             " lanes");
}

struct Exported {
  DLManagedTensor managed;
  Tensor tensor;
};
void delete_exported(DLManagedTensor* m) { delete static_cast<Exported*>(m->context); }
void unused_capsule(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, "dltensor")) return;  // a consumer renamed and owns it
  auto* m = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
  m->deleter(m);
}

PyObject* to_dlpack(PyObject*, PyObject* o) {
  return guard([&]() -> PyObject* {
    EMBER_CHECK_TYPE(is_tensor(o), "to_dlpack(): argument must be Tensor, not ", type_name(o));
    const Tensor& t = unwrap(o);
    if (t.requires_grad()) {
      PyErr_SetString(PyExc_BufferError, "Can't export tensors that require gradient, use tensor.detach()");
      return nullptr;
    }
    EMBER_CHECK(t.device().type == DeviceType::kCPU, "__dlpack__: tensors on device ", t.device(),
                " have no memory to share");
    auto* e = new Exported{{}, t};
    TensorImpl* impl = t.impl();
    e->managed.tensor = {t.data(),
                         {kDLCPU, 0},
                         static_cast<int32_t>(t.dim()),
                         dl_dtype(t.dtype()),
                         impl->sizes.data(),
                         impl->strides.data(),
                         0};
    e->managed.context = e;
    e->managed.deleter = delete_exported;
    PyObject* capsule = PyCapsule_New(&e->managed, "dltensor", unused_capsule);
    if (!capsule) delete e;
    return capsule;
  });
}

void delete_imported(void*, void* context) {
  auto* m = static_cast<DLManagedTensor*>(context);
  if (!m->deleter) return;
  if (!Py_IsInitialized()) return;
  WithGil gil;  // the producer may be Python
  m->deleter(m);
}

}  // namespace

Tensor share_dlpack(PyObject* object) {
  Ref capsule = Ref::borrow(object);
  if (!PyCapsule_CheckExact(object)) {
    Ref where = own(PyObject_CallMethod(object, "__dlpack_device__", nullptr));
    long type = PyTuple_Check(where.get()) ? PyLong_AsLong(PyTuple_GET_ITEM(where.get(), 0)) : -1;
    EMBER_CHECK(type == kDLCPU, "from_dlpack: the data is on DLPack device type ", int64_t{type},
                ", only CPU memory (1) can be shared");
    capsule = own(PyObject_CallMethod(object, "__dlpack__", nullptr));
  }
  auto* m = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.get(), "dltensor"));
  if (!m) throw PythonError();
  const DLTensor& d = m->tensor;
  EMBER_CHECK(d.device.type == kDLCPU, "from_dlpack: only CPU memory can be shared, got DLPack device type ",
              int64_t{d.device.type});
  EMBER_CHECK(d.ndim >= 0 && d.ndim <= 128, "from_dlpack: impossible rank ", int64_t{d.ndim});
  DType dtype = dtype_of_dl(d.dtype);
  Dims sizes(DimsView(d.shape, static_cast<size_t>(d.ndim)));
  for (int64_t s : sizes) EMBER_CHECK(s >= 0, "from_dlpack: negative size ", s);
  Dims strides = d.strides ? Dims(DimsView(d.strides, static_cast<size_t>(d.ndim))) : contiguous_strides(sizes);
  Tensor t = over_memory(static_cast<char*>(d.data) + d.byte_offset, sizes, strides, dtype, delete_imported, m);
  check(PyCapsule_SetName(capsule.get(), "used_dltensor"));
  return t;
}

namespace {

PyObject* from_dlpack(PyObject*, PyObject* o) {
  return guard([&] { return wrap(is_tensor(o) ? unwrap(o).detach() : share_dlpack(o)); });
}

PyObject* from_numpy(PyObject*, PyObject* o) {
  return guard([&] {
    EMBER_CHECK_TYPE(is_numpy_array(o), "expected np.ndarray (got ", type_name(o), ")");
    return wrap(share_array(o));
  });
}

// _frombuffer(buffer, dtype, count, offset): a 1-d tensor over any object's bytes.
PyObject* from_buffer(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject *buffer, *dtype_object;
    Py_ssize_t count_, offset;
    if (!PyArg_ParseTuple(args, "OOnn:frombuffer", &buffer, &dtype_object, &count_, &offset)) return nullptr;
    EMBER_CHECK_TYPE(accepts_dtype(dtype_object), "frombuffer(): argument 'dtype' must be torch.dtype, not ",
                     type_name(dtype_object));
    DType dtype = to_dtype(dtype_object);
    int64_t item = item_size(dtype), n = count_;
    auto view = std::make_unique<Py_buffer>();
    check(PyObject_GetBuffer(buffer, view.get(), PyBUF_SIMPLE));
    struct Guard {
      Py_buffer* v;
      ~Guard() {
        if (v) PyBuffer_Release(v);
      }
    } release{view.get()};
    EMBER_CHECK_VALUE(view->len > 0 && n != 0, "both buffer length (", int64_t{view->len}, ") and count (", n,
                      ") must not be 0");
    EMBER_CHECK_VALUE(offset >= 0 && offset < view->len, "offset (", int64_t{offset},
                      " bytes) must be non-negative and no greater than buffer length (", int64_t{view->len},
                      " bytes) minus 1");
    EMBER_CHECK_VALUE(n > 0 || (view->len - offset) % item == 0, "buffer length (", int64_t{view->len - offset},
                      " bytes) after offset (", int64_t{offset}, " bytes) must be a multiple of element size (", item,
                      ")");
    if (n < 0) n = (view->len - offset) / item;
    EMBER_CHECK_VALUE(n <= (view->len - offset) / item, "requested buffer length (", n, " * ", item,
                      " bytes) after offset (", int64_t{offset},
                      " bytes) must not be greater than actual buffer length (", int64_t{view->len}, " bytes)");
    bool read_only = view->readonly;
    char* first = static_cast<char*>(view->buf) + offset;
    release.v = nullptr;
    Tensor t = over_memory(first, {n}, {1}, dtype, release_buffer, view.release());
    if (read_only) warn_read_only();
    return wrap(std::move(t));
  });
}

PyMethodDef functions[] = {
    {"from_numpy", from_numpy, METH_O,
     "from_numpy(ndarray) -> Tensor\n\nA tensor over the array's memory; writes on either side show on the other."},
    {"from_dlpack", from_dlpack, METH_O,
     "from_dlpack(ext_tensor) -> Tensor\n\nA tensor over the memory of any object with __dlpack__, without a copy."},
    {"to_dlpack", to_dlpack, METH_O, "to_dlpack(tensor) -> PyCapsule"},
    {"_frombuffer", from_buffer, METH_VARARGS, nullptr},
    {}};

}  // namespace

void init_interop(PyObject* module) { add_functions(module, functions); }

}  // namespace ember::python
