// dtype, device, layout, memory_format, Size, finfo, iinfo: the small immutable types.
// They print as PyTorch's do (`torch.float32`), because programs print, compare and parse that text, and pickle by
// those names too.
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "python/common.h"

namespace ember::python {

PyTypeObject* size_type;

namespace {

PyTypeObject *dtype_type, *device_type, *layout_type, *memory_format_type, *finfo_type, *iinfo_type;

// An enumerator as an object: one instance a value, compared by identity.
struct EnumObject {
  PyObject_HEAD int value;
};
struct DeviceObject {
  PyObject_HEAD Device device;
};
std::array<PyObject*, kNumDTypes> dtypes;
std::array<PyObject*, 7> layouts;
std::array<PyObject*, 4> memory_formats;

int value_of(PyObject* o) { return reinterpret_cast<EnumObject*>(o)->value; }
DType dtype_of_object(PyObject* o) { return static_cast<DType>(value_of(o)); }
PyObject* make_bool(bool b) { return PyBool_FromLong(b); }

PyObject* make_enum(PyTypeObject* type, int value) {
  auto* o = check(type->tp_alloc(type, 0));
  reinterpret_cast<EnumObject*>(o)->value = value;
  return o;
}
PyTypeObject* make_type(PyType_Spec& spec, PyObject* base = nullptr) {
  return reinterpret_cast<PyTypeObject*>(check(PyType_FromSpecWithBases(&spec, base)));
}

// ---- dtype ----

PyObject* dtype_repr(PyObject* self) { return PyUnicode_FromFormat("torch.%s", name(dtype_of_object(self)).data()); }
PyObject* dtype_reduce(PyObject* self, PyObject*) { return PyUnicode_FromString(name(dtype_of_object(self)).data()); }
PyObject* dtype_get(PyObject* self, void* what) {
  DType d = dtype_of_object(self);
  switch (reinterpret_cast<intptr_t>(what)) {
    case 0: return make_bool(is_floating(d));
    case 1: return make_bool(is_complex(d));
    case 2: return make_bool(is_signed(d));
    default: return PyLong_FromLongLong(item_size(d));
  }
}
PyObject* dtype_convert(PyObject* self, PyObject*, bool complex) {
  DType d = dtype_of_object(self);
  return wrap(complex ? complex_of(d) : real_of(d));
}
PyObject* dtype_to_real(PyObject* self, PyObject* a) { return dtype_convert(self, a, false); }
PyObject* dtype_to_complex(PyObject* self, PyObject* a) { return dtype_convert(self, a, true); }
PyGetSetDef dtype_getset[] = {{"is_floating_point", dtype_get, nullptr, nullptr, reinterpret_cast<void*>(0)},
                              {"is_complex", dtype_get, nullptr, nullptr, reinterpret_cast<void*>(1)},
                              {"is_signed", dtype_get, nullptr, nullptr, reinterpret_cast<void*>(2)},
                              {"itemsize", dtype_get, nullptr, nullptr, reinterpret_cast<void*>(3)},
                              {}};
PyMethodDef dtype_methods[] = {
    {"__reduce__", dtype_reduce, METH_NOARGS, nullptr},
    {"to_real", dtype_to_real, METH_NOARGS, "The dtype of the real part."},
    {"to_complex", dtype_to_complex, METH_NOARGS, "The complex dtype with parts of this one."},
    {}};
PyType_Slot dtype_slots[] = {{Py_tp_repr, reinterpret_cast<void*>(dtype_repr)},
                             {Py_tp_getset, dtype_getset},
                             {Py_tp_methods, dtype_methods},
                             {}};
constexpr unsigned kFinal = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
PyType_Spec dtype_spec = {"ember.dtype", sizeof(EnumObject), 0, kFinal, dtype_slots};

// ---- layout, memory_format ----

PyObject* layout_repr(PyObject* self) {
  return PyUnicode_FromFormat("torch.%s", name(static_cast<Layout>(value_of(self))).data());
}
PyObject* format_repr(PyObject* self) {
  return PyUnicode_FromFormat("torch.%s", name(static_cast<MemoryFormat>(value_of(self))).data());
}
PyObject* layout_reduce(PyObject* self, PyObject*) {
  return PyUnicode_FromString(name(static_cast<Layout>(value_of(self))).data());
}
PyObject* format_reduce(PyObject* self, PyObject*) {
  return PyUnicode_FromString(name(static_cast<MemoryFormat>(value_of(self))).data());
}
PyMethodDef layout_methods[] = {{"__reduce__", layout_reduce, METH_NOARGS, nullptr}, {}};
PyMethodDef format_methods[] = {{"__reduce__", format_reduce, METH_NOARGS, nullptr}, {}};
PyType_Slot layout_slots[] = {{Py_tp_repr, reinterpret_cast<void*>(layout_repr)}, {Py_tp_methods, layout_methods}, {}};
PyType_Slot format_slots[] = {{Py_tp_repr, reinterpret_cast<void*>(format_repr)}, {Py_tp_methods, format_methods}, {}};
PyType_Spec layout_spec = {"ember.layout", sizeof(EnumObject), 0, kFinal, layout_slots};
PyType_Spec format_spec = {"ember.memory_format", sizeof(EnumObject), 0, kFinal, format_slots};

// ---- device ----

Device& device_of(PyObject* o) { return reinterpret_cast<DeviceObject*>(o)->device; }

PyObject* device_new(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  return guard([&]() -> PyObject* {
    static const char* names[] = {"type", "index", nullptr};
    PyObject *type = nullptr, *index = nullptr;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:device", const_cast<char**>(names), &type, &index))
      return nullptr;
    EMBER_CHECK_TYPE(accepts_device(type), "device(): argument 'type' (position 1) must be str, not ", type_name(type));
    Device d = to_device(type);
    if (index && index != Py_None) {
      EMBER_CHECK(d.index < 0,
                  "type (string) must not include an index because index was passed explicitly: ", utf8(type));
      int64_t i = to_int64(index);
      EMBER_CHECK(i >= 0 && i < 128, "Device index must not be negative, and below 128, got ", i);
      d.index = static_cast<int8_t>(i);
    }
    return wrap(d);
  });
}
PyObject* device_repr(PyObject* self) {
  Device d = device_of(self);
  if (d.index < 0) return PyUnicode_FromFormat("device(type='%s')", name(d.type).data());
  return PyUnicode_FromFormat("device(type='%s', index=%d)", name(d.type).data(), d.index);
}
PyObject* device_str(PyObject* self) {
  std::string s;
  append(s, device_of(self));
  return PyUnicode_FromString(s.c_str());
}
Py_hash_t device_hash(PyObject* self) {
  Device d = device_of(self);
  return static_cast<Py_hash_t>(d.type) * 1000 + d.index + 7;
}
PyObject* device_compare(PyObject* a, PyObject* b, int op) {
  if (!is_device(a) || !is_device(b) || (op != Py_EQ && op != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  return make_bool((device_of(a) == device_of(b)) == (op == Py_EQ));
}
PyObject* device_get_type(PyObject* self, void*) { return PyUnicode_FromString(name(device_of(self).type).data()); }
PyObject* device_get_index(PyObject* self, void*) {
  if (device_of(self).index < 0) Py_RETURN_NONE;
  return PyLong_FromLong(device_of(self).index);
}
PyObject* device_reduce(PyObject* self, PyObject*) {
  Device d = device_of(self);
  if (d.index < 0) return Py_BuildValue("O(s)", device_type, name(d.type).data());
  return Py_BuildValue("O(si)", device_type, name(d.type).data(), d.index);
}
// `with device("meta"):` and set_default_device(): a stack a thread, the last one counts.
thread_local std::vector<Device> default_devices;
PyObject* device_enter(PyObject* self, PyObject*) {
  default_devices.push_back(device_of(self));
  return Py_NewRef(self);
}
PyObject* device_exit(PyObject*, PyObject*) {
  if (!default_devices.empty()) default_devices.pop_back();
  Py_RETURN_NONE;
}
PyObject* set_default_device(PyObject*, PyObject* o) {
  return guard([&]() -> PyObject* {
    EMBER_CHECK_TYPE(o == Py_None || accepts_device(o),
                     "set_default_device(): argument 'device' must be torch.device, not ", type_name(o));
    default_devices.clear();
    if (o != Py_None) default_devices.push_back(to_device(o));
    Py_RETURN_NONE;
  });
}
PyObject* get_default_device(PyObject*, PyObject*) {
  return guard([] { return wrap(default_device().value_or(kCpu)); });
}
PyMethodDef default_device_functions[] = {
    {"set_default_device", set_default_device, METH_O,
     "Where factories of this thread make tensors from now on; None: the CPU."},
    {"get_default_device", get_default_device, METH_NOARGS, "Where factories make tensors."},
    {}};
PyGetSetDef device_getset[] = {
    {"type", device_get_type, nullptr, nullptr, nullptr}, {"index", device_get_index, nullptr, nullptr, nullptr}, {}};
PyMethodDef device_methods[] = {{"__reduce__", device_reduce, METH_NOARGS, nullptr},
                                {"__enter__", device_enter, METH_NOARGS, nullptr},
                                {"__exit__", device_exit, METH_VARARGS, nullptr},
                                {}};
PyType_Slot device_slots[] = {{Py_tp_new, reinterpret_cast<void*>(device_new)},
                              {Py_tp_repr, reinterpret_cast<void*>(device_repr)},
                              {Py_tp_str, reinterpret_cast<void*>(device_str)},
                              {Py_tp_hash, reinterpret_cast<void*>(device_hash)},
                              {Py_tp_richcompare, reinterpret_cast<void*>(device_compare)},
                              {Py_tp_getset, device_getset},
                              {Py_tp_methods, device_methods},
                              {}};
PyType_Spec device_spec = {"ember.device", sizeof(DeviceObject), 0, Py_TPFLAGS_DEFAULT, device_slots};

// ---- Size ----

PyObject* size_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  return guard([&]() -> PyObject* {
    Ref self = own(PyTuple_Type.tp_new(type, args, kwargs));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self.get()); ++i) {
      PyObject* item = PyTuple_GET_ITEM(self.get(), i);
      if (PyLong_CheckExact(item)) continue;
      Ref index(PyNumber_Index(item));
      if (!index) {
        PyErr_Clear();
        fail<TypeError>("torch.Size() takes an iterable of 'int' (item ", int64_t{i}, " is '", type_name(item), "')");
      }
      Py_DECREF(item);
      PyTuple_SET_ITEM(self.get(), i, index.release());
    }
    return self.release();
  });
}
PyObject* size_repr(PyObject* self) {
  std::string out = "torch.Size([";
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i) {
    Ref item(PyObject_Repr(PyTuple_GET_ITEM(self, i)));
    if (!item) return nullptr;
    if (i) out += ", ";
    out += PyUnicode_AsUTF8(item.get());
  }
  return PyUnicode_FromString((out + "])").c_str());
}
// What tuple's own operators return as plain tuples is a Size again.
PyObject* as_size(PyObject* tuple) {
  Ref owned(tuple);
  if (!tuple || tuple == Py_NotImplemented || !PyTuple_CheckExact(tuple)) return owned.release();
  return PyObject_CallOneArg(reinterpret_cast<PyObject*>(size_type), tuple);
}
PyObject* size_concat(PyObject* a, PyObject* b) {
  if (!PyTuple_Check(b)) {
    PyErr_Format(PyExc_TypeError, "can only concatenate tuple (not %s) to torch.Size", Py_TYPE(b)->tp_name);
    return nullptr;
  }
  return as_size(PyTuple_Type.tp_as_sequence->sq_concat(a, b));
}
PyObject* size_add(PyObject* a, PyObject* b) {
  if (!PyTuple_Check(a) || !PyTuple_Check(b)) Py_RETURN_NOTIMPLEMENTED;
  return as_size(PyTuple_Type.tp_as_sequence->sq_concat(a, b));
}
PyObject* size_repeat(PyObject* a, Py_ssize_t n) { return as_size(PyTuple_Type.tp_as_sequence->sq_repeat(a, n)); }
PyObject* size_subscript(PyObject* self, PyObject* key) {
  PyObject* item = PyTuple_Type.tp_as_mapping->mp_subscript(self, key);
  return PySlice_Check(key) ? as_size(item) : item;
}
PyObject* size_numel(PyObject* self, PyObject*) {
  return guard([&] { return PyLong_FromLongLong(count(to_dims(self))); });
}
PyObject* size_reduce(PyObject* self, PyObject*) {
  Ref list(PySequence_List(self));
  return list ? Py_BuildValue("O(N)", size_type, PyList_AsTuple(list.get())) : nullptr;
}
PyMethodDef size_methods[] = {{"numel", size_numel, METH_NOARGS, "The product of the sizes."},
                              {"__reduce__", size_reduce, METH_NOARGS, nullptr},
                              {}};
PyType_Slot size_slots[] = {{Py_tp_new, reinterpret_cast<void*>(size_new)},
                            {Py_tp_repr, reinterpret_cast<void*>(size_repr)},
                            {Py_sq_concat, reinterpret_cast<void*>(size_concat)},
                            {Py_nb_add, reinterpret_cast<void*>(size_add)},
                            {Py_sq_repeat, reinterpret_cast<void*>(size_repeat)},
                            {Py_mp_subscript, reinterpret_cast<void*>(size_subscript)},
                            {Py_tp_methods, size_methods},
                            {}};
PyType_Spec size_spec = {"ember.Size", 0, 0, Py_TPFLAGS_DEFAULT, size_slots};

// ---- finfo, iinfo ----

struct FloatFacts {
  double eps, max, tiny, smallest, resolution;
};
FloatFacts facts(DType d) {
  switch (real_of(d)) {
    case DType::kFloat16: return {0x1p-10, 65504., 0x1p-14, 0x1p-24, 1e-3};
    case DType::kBFloat16: return {0x1p-7, 0x1.fep127, 0x1p-126, 0x1p-133, 1e-2};
    case DType::kFloat32: return {0x1p-23, 0x1.fffffep127, 0x1p-126, 0x1p-149, 1e-6};
    default: return {0x1p-52, std::numeric_limits<double>::max(), 0x1p-1022, 0x1p-1074, 1e-15};
  }
}
PyObject* info_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  return guard([&]() -> PyObject* {
    static const char* names[] = {"type", nullptr};
    PyObject* d = nullptr;
    bool floats = type == finfo_type;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, floats ? "|O:finfo" : "O:iinfo", const_cast<char**>(names), &d))
      return nullptr;
    EMBER_CHECK_TYPE(!d || is_dtype(d), floats ? "finfo" : "iinfo",
                     "(): argument 'type' (position 1) must be torch.dtype, not ", d ? type_name(d) : "");
    DType dtype = d ? dtype_of_object(d) : default_dtype();
    bool is_float = is_floating(dtype) || is_complex(dtype);
    EMBER_CHECK_TYPE(!floats || is_float,
                     "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'");
    EMBER_CHECK_TYPE(floats || !is_float,
                     "torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'");
    EMBER_CHECK_TYPE(dtype != DType::kBool, "torch.bool is not supported by torch.iinfo");
    return make_enum(type, static_cast<int>(dtype));
  });
}
PyObject* finfo_get(PyObject* self, void* what) {
  FloatFacts f = facts(dtype_of_object(self));
  switch (reinterpret_cast<intptr_t>(what)) {
    case 0: return PyFloat_FromDouble(f.eps);
    case 1: return PyFloat_FromDouble(f.max);
    case 2: return PyFloat_FromDouble(-f.max);
    case 3: return PyFloat_FromDouble(f.tiny);
    case 4: return PyFloat_FromDouble(f.resolution);
    case 5: return PyLong_FromLongLong(8 * item_size(real_of(dtype_of_object(self))));
    case 6: return PyFloat_FromDouble(f.smallest);
    default: return PyUnicode_FromString(name(real_of(dtype_of_object(self))).data());
  }
}
PyObject* iinfo_get(PyObject* self, void* what) {
  DType d = dtype_of_object(self);
  int bits = static_cast<int>(8 * item_size(d));
  switch (reinterpret_cast<intptr_t>(what)) {
    case 0:
      return PyLong_FromUnsignedLongLong(is_unsigned(d) ? ~uint64_t{0} >> (64 - bits) : ~uint64_t{0} >> (65 - bits));
    case 1: return PyLong_FromLongLong(is_unsigned(d) ? 0 : std::numeric_limits<int64_t>::min() >> (64 - bits));
    case 2: return PyLong_FromLong(bits);
    default: return PyUnicode_FromString(name(d).data());
  }
}
PyObject* info_repr(PyObject* self) {
  bool floats = Py_TYPE(self) == finfo_type;
  std::string out = floats ? "finfo(" : "iinfo(";
  static constexpr const char* kFloat[] = {"resolution", "min", "max", "eps", "smallest_normal", "tiny"};
  static constexpr const char* kInt[] = {"min", "max"};
  for (const char* field : floats ? Span<const char*>(kFloat, 6) : Span<const char*>(kInt, 2)) {
    Ref value(PyObject_GetAttrString(self, field));
    Ref number(PyNumber_Float(value.get()));
    if (!number) return nullptr;
    char digits[40];  // PyTorch shows six digits, of integers too
    std::snprintf(digits, sizeof digits, "%g", PyFloat_AS_DOUBLE(number.get()));
    (out += field) += "=";
    out += digits;
    out += ", ";
  }
  return PyUnicode_FromString((out + "dtype=" + std::string(name(dtype_of_object(self))) + ")").c_str());
}
#define EMBER_FIELD(name, getter, id) \
  { name, getter, nullptr, nullptr, reinterpret_cast<void*>(id) }
PyGetSetDef finfo_getset[] = {EMBER_FIELD("eps", finfo_get, 0),
                              EMBER_FIELD("max", finfo_get, 1),
                              EMBER_FIELD("min", finfo_get, 2),
                              EMBER_FIELD("tiny", finfo_get, 3),
                              EMBER_FIELD("smallest_normal", finfo_get, 3),
                              EMBER_FIELD("resolution", finfo_get, 4),
                              EMBER_FIELD("bits", finfo_get, 5),
                              EMBER_FIELD("smallest_subnormal", finfo_get, 6),
                              EMBER_FIELD("dtype", finfo_get, 7),
                              {}};
PyGetSetDef iinfo_getset[] = {EMBER_FIELD("max", iinfo_get, 0),
                              EMBER_FIELD("min", iinfo_get, 1),
                              EMBER_FIELD("bits", iinfo_get, 2),
                              EMBER_FIELD("dtype", iinfo_get, 3),
                              {}};
#undef EMBER_FIELD
PyObject* info_compare(PyObject* a, PyObject* b, int op) {
  if (Py_TYPE(a) != Py_TYPE(b) || (op != Py_EQ && op != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  return make_bool((value_of(a) == value_of(b)) == (op == Py_EQ));
}
PyType_Slot finfo_slots[] = {{Py_tp_new, reinterpret_cast<void*>(info_new)},
                             {Py_tp_repr, reinterpret_cast<void*>(info_repr)},
                             {Py_tp_richcompare, reinterpret_cast<void*>(info_compare)},
                             {Py_tp_getset, finfo_getset},
                             {}};
PyType_Slot iinfo_slots[] = {{Py_tp_new, reinterpret_cast<void*>(info_new)},
                             {Py_tp_repr, reinterpret_cast<void*>(info_repr)},
                             {Py_tp_richcompare, reinterpret_cast<void*>(info_compare)},
                             {Py_tp_getset, iinfo_getset},
                             {}};
PyType_Spec finfo_spec = {"ember.finfo", sizeof(EnumObject), 0, Py_TPFLAGS_DEFAULT, finfo_slots};
PyType_Spec iinfo_spec = {"ember.iinfo", sizeof(EnumObject), 0, Py_TPFLAGS_DEFAULT, iinfo_slots};

}  // namespace

PyObject* wrap(DType d) { return Py_NewRef(dtypes[static_cast<size_t>(d)]); }
PyObject* wrap(Layout l) { return Py_NewRef(layouts[static_cast<size_t>(l)]); }
PyObject* wrap(MemoryFormat f) { return Py_NewRef(memory_formats[static_cast<size_t>(f)]); }
PyObject* wrap(Device d) {
  PyObject* o = check(device_type->tp_alloc(device_type, 0));
  device_of(o) = d;
  return o;
}
PyObject* wrap_size(DimsView sizes) {
  PyObject* out = check(size_type->tp_alloc(size_type, static_cast<Py_ssize_t>(sizes.size())));
  for (size_t i = 0; i < sizes.size(); ++i)
    PyTuple_SET_ITEM(out, static_cast<Py_ssize_t>(i), check(PyLong_FromLongLong(sizes[i])));
  return out;
}
PyObject* wrap(const Scalar& s) {
  switch (s.kind()) {
    case Scalar::Kind::kBool: return make_bool(s.to<bool>());
    case Scalar::Kind::kInt: return PyLong_FromLongLong(s.to<int64_t>());
    case Scalar::Kind::kUInt: return PyLong_FromUnsignedLongLong(s.to<uint64_t>());
    case Scalar::Kind::kDouble: return PyFloat_FromDouble(s.to<double>());
    default: {
      auto c = s.to<std::complex<double>>();
      return PyComplex_FromDoubles(c.real(), c.imag());
    }
  }
}

std::optional<Device> default_device() {
  return default_devices.empty() ? std::nullopt : std::optional(default_devices.back());
}

bool is_dtype(PyObject* o) { return Py_TYPE(o) == dtype_type; }
bool is_device(PyObject* o) { return Py_TYPE(o) == device_type; }
bool is_layout(PyObject* o) { return Py_TYPE(o) == layout_type; }
bool is_memory_format(PyObject* o) { return Py_TYPE(o) == memory_format_type; }
bool accepts_dtype(PyObject* o) {
  return is_dtype(o) || o == reinterpret_cast<PyObject*>(&PyFloat_Type) ||
         o == reinterpret_cast<PyObject*>(&PyLong_Type) || o == reinterpret_cast<PyObject*>(&PyBool_Type) ||
         o == reinterpret_cast<PyObject*>(&PyComplex_Type);
}
DType to_dtype(PyObject* o) {
  if (is_dtype(o)) return dtype_of_object(o);
  if (o == reinterpret_cast<PyObject*>(&PyFloat_Type)) return DType::kFloat64;
  if (o == reinterpret_cast<PyObject*>(&PyLong_Type)) return DType::kInt64;
  if (o == reinterpret_cast<PyObject*>(&PyBool_Type)) return DType::kBool;
  return DType::kComplex128;
}
Device usable(Device d) {
  if (d.type == DeviceType::kCPU || d.type == DeviceType::kMeta) return d;
  if (d.type == DeviceType::kCUDA) PyErr_SetString(PyExc_AssertionError, "Torch not compiled with CUDA enabled");
  else PyErr_Format(PyExc_RuntimeError, "this build has no device of type %s", name(d.type).data());
  throw PythonError();
}
bool accepts_device(PyObject* o) { return is_device(o) || PyUnicode_Check(o) || is_integer(o); }
Device to_device(PyObject* o) {
  if (is_device(o)) return device_of(o);
  if (PyUnicode_Check(o)) return parse_device(utf8(o));
  int64_t index = to_int64(o);  // an index alone means an accelerator
  EMBER_CHECK(index >= 0 && index < 128, "Device index must be between 0 and 127, got ", index);
  return {DeviceType::kCUDA, static_cast<int8_t>(index)};
}
Layout to_layout(PyObject* o) { return static_cast<Layout>(value_of(o)); }
MemoryFormat to_memory_format(PyObject* o) { return static_cast<MemoryFormat>(value_of(o)); }

// ---- numbers ----

namespace {
// NumPy's types are recognised by name, once each; asking NumPy itself would import it.
bool comes_from_numpy(PyTypeObject* type) { return std::string_view(type->tp_name).starts_with("numpy."); }
enum class NumpyKind { kNone, kBool, kInt, kFloat, kComplex };
NumpyKind numpy_kind(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  if (EMBER_LIKELY(!comes_from_numpy(type))) return NumpyKind::kNone;
  std::string_view n(type->tp_name + 6);
  if (n == "bool" || n == "bool_") return NumpyKind::kBool;
  if (n.starts_with("int") || n.starts_with("uint") || n.starts_with("long") || n.starts_with("ulong"))
    return n.starts_with("longdouble") ? NumpyKind::kFloat : NumpyKind::kInt;
  if (n.starts_with("float")) return NumpyKind::kFloat;
  if (n.starts_with("complex") || n.starts_with("clongdouble")) return NumpyKind::kComplex;
  return NumpyKind::kNone;
}
}  // namespace

bool is_numpy_array(PyObject* o) {
  for (PyTypeObject* t = Py_TYPE(o); t; t = t->tp_base) {
    if (std::string_view(t->tp_name) == "numpy.ndarray") return true;
  }
  return false;
}
bool is_integer(PyObject* o) {
  if (PyLong_Check(o)) return !PyBool_Check(o);
  return numpy_kind(o) == NumpyKind::kInt;
}
bool is_number(PyObject* o) {
  return PyFloat_Check(o) || PyLong_Check(o) || PyComplex_Check(o) || numpy_kind(o) != NumpyKind::kNone;
}
int64_t to_int64(PyObject* o) {
  Ref index;
  if (!PyLong_Check(o)) {
    index = own(PyNumber_Index(o));
    o = index.get();
  }
  int overflow = 0;
  int64_t value = PyLong_AsLongLongAndOverflow(o, &overflow);
  EMBER_CHECK(!overflow, "Overflow when unpacking long long");
  if (value == -1 && PyErr_Occurred()) throw PythonError();
  return value;
}
Scalar to_scalar(PyObject* o) {
  if (PyFloat_Check(o)) return Scalar(PyFloat_AS_DOUBLE(o));
  if (PyBool_Check(o)) return Scalar(o == Py_True);
  if (PyLong_Check(o)) {
    int overflow = 0;
    int64_t value = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (!overflow) return Scalar(value);
    if (overflow > 0) {
      uint64_t wide = PyLong_AsUnsignedLongLong(o);
      if (!PyErr_Occurred()) return Scalar(wide);
      PyErr_Clear();
    }
    EMBER_FAIL("Overflow when unpacking long long");
  }
  if (PyComplex_Check(o)) return Scalar(std::complex<double>(PyComplex_RealAsDouble(o), PyComplex_ImagAsDouble(o)));
  switch (numpy_kind(o)) {
    case NumpyKind::kBool: return Scalar(PyObject_IsTrue(o) == 1);
    case NumpyKind::kInt: return to_scalar(own(PyNumber_Index(o)).get());
    case NumpyKind::kComplex: return to_scalar(own(PyObject_CallMethod(o, "__complex__", nullptr)).get());
    default: return to_scalar(own(PyNumber_Float(o)).get());
  }
}
Dims to_dims(PyObject* o) {
  if (PyIndex_Check(o)) return {to_int64(o)};
  Ref sequence = own(PySequence_Fast(o, "expected a sequence of ints"));
  Dims out;
  Py_ssize_t n = PySequence_Fast_GET_SIZE(sequence.get());
  for (Py_ssize_t i = 0; i < n; ++i) out.push_back(to_int64(PySequence_Fast_GET_ITEM(sequence.get(), i)));
  return out;
}

void add_functions(PyObject* module, PyMethodDef* methods) { check(PyModule_AddFunctions(module, methods)); }

void init_types(PyObject* module) {
  add_functions(module, default_device_functions);
  auto add = [&](const char* name, PyTypeObject* type) {
    check(PyModule_AddObjectRef(module, name, reinterpret_cast<PyObject*>(type)));
    return type;
  };
  dtype_type = add("dtype", make_type(dtype_spec));
  layout_type = add("layout", make_type(layout_spec));
  memory_format_type = add("memory_format", make_type(format_spec));
  device_type = add("device", make_type(device_spec));
  finfo_type = add("finfo", make_type(finfo_spec));
  iinfo_type = add("iinfo", make_type(iinfo_spec));
  size_type = add("Size", make_type(size_spec, reinterpret_cast<PyObject*>(&PyTuple_Type)));
  for (int i = 0; i < kNumDTypes; ++i) {
    dtypes[i] = make_enum(dtype_type, i);
    check(PyModule_AddObjectRef(module, name(static_cast<DType>(i)).data(), dtypes[i]));
  }
  for (int i = 0; i < 7; ++i) {
    layouts[i] = make_enum(layout_type, i);
    check(PyModule_AddObjectRef(module, name(static_cast<Layout>(i)).data(), layouts[i]));
  }
  for (int i = 0; i < 4; ++i) {
    memory_formats[i] = make_enum(memory_format_type, i);
    check(PyModule_AddObjectRef(module, name(static_cast<MemoryFormat>(i)).data(), memory_formats[i]));
  }
}

}  // namespace ember::python
