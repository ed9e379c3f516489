// x[key] and x[key] = value from Python: what Python writes between brackets, as IndexItems.
#include "op/indexing.h"

#include <vector>

#include "python/creation.h"
#include "python/op_object.h"

namespace ember::python {
namespace {

using Items = std::vector<IndexItem>;

std::optional<int64_t> slice_bound(PyObject* o) {
  if (o == Py_None) return std::nullopt;
  if (is_tensor(o)) {
    const Tensor& t = unwrap(o);
    EMBER_CHECK_TYPE(t.numel() == 1 && category(t.dtype()) <= 1,
                     "slice indices must be integers or None or have an __index__ method");
    return t.item<int64_t>();
  }
  if (!PyIndex_Check(o)) fail<TypeError>("slice indices must be integers or None or have an __index__ method");
  Py_ssize_t value = PyNumber_AsSsize_t(o, nullptr);  // clamps, as Python's own slices do
  if (value == -1 && PyErr_Occurred()) throw PythonError();
  return value;
}

void add_item(Items& items, PyObject* o) {
  if (PyLong_CheckExact(o)) return void(items.emplace_back(to_int64(o)));
  if (PySlice_Check(o)) {
    auto* s = reinterpret_cast<PySliceObject*>(o);
    return void(
        items.emplace_back(Slice{slice_bound(s->start), slice_bound(s->stop), slice_bound(s->step).value_or(1)}));
  }
  if (is_tensor(o)) return void(items.emplace_back(unwrap(o)));
  if (o == Py_None) return void(items.emplace_back(kNewAxis));
  if (o == Py_Ellipsis) return void(items.emplace_back(kRest));
  if (PyBool_Check(o)) return void(items.emplace_back(o == Py_True));
  if (is_integer(o)) return void(items.emplace_back(to_int64(o)));
  if (is_numpy_array(o) || PySequence_Check(o)) {
    Tensor t = tensor_from_data(o, std::nullopt, kCpu);
    // An empty list indexes nothing; its inferred dtype (float) must not stand in the way.
    if (t.numel() == 0 && is_floating(t.dtype()) && !is_numpy_array(o)) t = empty_raw(t.sizes(), DType::kInt64);
    return void(items.emplace_back(std::move(t)));
  }
  if (PyIndex_Check(o)) return void(items.emplace_back(to_int64(o)));
  fail<IndexError>(
      "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got ",
      type_name(o), ")");
}

// A list that holds more than numbers is read as a tuple, as PyTorch does: x[[0, None]], x[[[0, 1], [1, 2]]].
bool reads_as_tuple(PyObject* key) {
  if (PyTuple_Check(key)) return true;
  if (!PyList_Check(key) || PyList_GET_SIZE(key) >= 32) return false;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(key); ++i) {
    PyObject* o = PyList_GET_ITEM(key, i);
    if (is_tensor(o) || PySequence_Check(o) || PySlice_Check(o) || o == Py_Ellipsis || o == Py_None) return true;
  }
  return false;
}

Items parse_key(PyObject* key) {
  Items items;
  if (reads_as_tuple(key)) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(key); ++i) add_item(items, PySequence_Fast_GET_ITEM(key, i));
  } else {
    add_item(items, key);
  }
  return items;
}

// Items of the key are looked at for overrides too, as PyTorch does.
PyObject* overriding(PyObject* self, PyObject* key, PyObject* value) {
  if (overrides_torch_function(self)) return self;
  if (overrides_torch_function(key)) return key;
  if (value && overrides_torch_function(value)) return value;
  return nullptr;
}
PyObject* call_override(PyObject* o, const char* name, PyObject* const* args, Py_ssize_t n) {
  Ref method = own(PyObject_GetAttrString(reinterpret_cast<PyObject*>(tensor_type), name));
  return call_torch_function(method.get(), args, n, nullptr, &o, 1);
}

}  // namespace

PyObject* tensor_subscript(PyObject* self, PyObject* key) {
  return guard([&]() -> PyObject* {
    if (EMBER_LIKELY(is_exact_tensor(self) && PyLong_CheckExact(key))) {
      IndexItem item(to_int64(key));
      return wrap(index_get(unwrap(self), Span<IndexItem>(&item, 1)));
    }
    if (PyObject* o = overriding(self, key, nullptr)) {
      PyObject* args[] = {self, key};
      return call_override(o, "__getitem__", args, 2);
    }
    return wrap(index_get(unwrap(self), parse_key(key)));
  });
}

int tensor_assign_subscript(PyObject* self, PyObject* key, PyObject* value) {
  return guard([&]() -> int {
    EMBER_CHECK_TYPE(value, "Tensor does not support deleting items");
    if (PyObject* o = overriding(self, key, value)) {
      PyObject* args[] = {self, key, value};
      Ref result = own(call_override(o, "__setitem__", args, 3));
      return 0;
    }
    const Tensor& x = unwrap(self);
    if (is_tensor(value)) {
      index_set(x, parse_key(key), unwrap(value));
    } else if (is_number(value)) {
      index_set(x, parse_key(key), scalar_tensor(to_scalar(value), x.dtype()));
    } else {
      fail<TypeError>("can't assign a ", type_name(value), " to a ", legacy_type_name(x.dtype()));
    }
    return 0;
  });
}

}  // namespace ember::python
