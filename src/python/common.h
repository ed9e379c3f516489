// What every file of the extension shares: owned references, errors across the border, and the objects of `ember._C`.
// C++ exceptions stop at the border (`guard`), Python errors cross C++ as PythonError. Plain CPython C API, 3.10 and
// later; no NumPy headers.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "op/op.h"
#include "tensor/tensor.h"

namespace ember::python {

// An owned reference.
class Ref {
 public:
  Ref() = default;
  explicit Ref(PyObject* owned) : object_(owned) {}
  Ref(Ref&& other) noexcept : object_(other.release()) {}
  Ref(const Ref& other) : object_(other.object_) { Py_XINCREF(object_); }
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { Py_XDECREF(object_); }
  static Ref borrow(PyObject* object) {
    Py_XINCREF(object);
    return Ref(object);
  }
  PyObject* get() const { return object_; }
  PyObject* release() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  PyObject* object_ = nullptr;
};

// Thrown where C++ code finds a Python error set; the error itself stays in the interpreter.
struct PythonError : Error {
  PythonError() : Error("a Python error is set") {}
};
// The object if there is one, else the Python error as an exception.
inline PyObject* check(PyObject* object) {
  if (EMBER_UNLIKELY(!object)) throw PythonError();
  return object;
}
inline Ref own(PyObject* object) { return Ref(check(object)); }
inline void check(int status) {
  if (EMBER_UNLIKELY(status < 0)) throw PythonError();
}

// Turns the C++ exception in flight into a Python one; PyTorch's type for each of ours.
EMBER_COLD void set_python_error();
// The Python error that is set, as a C++ exception that keeps the Python one (backward through Python functions).
[[noreturn]] EMBER_COLD void throw_python_error();

// A Ctrl-C that came before the work at hand is Python's to handle, not a reason to end this loop.
void forget_interrupt();

// Runs f at the border: an exception becomes a Python error and the result null (or -1).
template <class F>
auto guard(F&& f) noexcept -> decltype(f()) {
  try {
    return f();
  } catch (...) {
    set_python_error();
    if constexpr (std::is_pointer_v<decltype(f())>) return nullptr;
    else return static_cast<decltype(f())>(-1);
  }
}

class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() { PyEval_RestoreThread(state_); }
  WithoutGil(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};
class WithGil {
 public:
  WithGil() : state_(PyGILState_Ensure()) {}
  ~WithGil() { PyGILState_Release(state_); }
  WithGil(const WithGil&) = delete;

 private:
  PyGILState_STATE state_;
};

inline Ref text(std::string_view s) {
  return own(PyUnicode_FromStringAndSize(s.data(), static_cast<Py_ssize_t>(s.size())));
}
std::string_view utf8(PyObject* unicode);  // borrowed from the object
std::string type_name(PyObject* object);   // as error messages call it: "int", "Tensor", "numpy.ndarray"

// ---- small types (types.cc) ----
PyObject* wrap(DType d);  // each returns a new reference
PyObject* wrap(Device d);
PyObject* wrap(Layout l);
PyObject* wrap(MemoryFormat f);
PyObject* wrap_size(DimsView sizes);  // a Size
PyObject* wrap(const Scalar& s);
bool is_dtype(PyObject* o);
bool is_device(PyObject* o);
bool is_layout(PyObject* o);
bool is_memory_format(PyObject* o);
DType to_dtype(PyObject* o);      // also float, int, bool, complex; the caller has checked (accepts_dtype)
bool accepts_dtype(PyObject* o);  // a dtype or one of Python's number types
Device to_device(PyObject* o);    // a device, a str or an index
bool accepts_device(PyObject* o);
Device usable(Device d);  // d itself; raises as PyTorch does when this build cannot hold tensors there
Layout to_layout(PyObject* o);
MemoryFormat to_memory_format(PyObject* o);
extern PyTypeObject* size_type;
std::optional<Device> default_device();  // of this thread, when a program has set one: factories make tensors there
void init_types(PyObject* module);

// ---- numbers (types.cc) ----
bool is_number(PyObject* o);       // bool, int, float, complex or a NumPy scalar
bool is_integer(PyObject* o);      // int or a NumPy integer, not bool
int64_t to_int64(PyObject* o);     // by __index__; RuntimeError when it does not fit
Scalar to_scalar(PyObject* o);     // of what is_number holds for
Dims to_dims(PyObject* o);         // an int, or a sequence of ints
bool is_numpy_array(PyObject* o);  // without importing NumPy

// ---- generator.cc ----
bool is_generator(PyObject* o);
Generator* to_generator(PyObject* o);
PyObject* wrap(Generator* g);
void init_generator(PyObject* module);

void init_errors(PyObject* module);
void init_tensor(PyObject* module);
void init_numbers();
void init_ops(PyObject* module);
void init_creation(PyObject* module);
void init_interop(PyObject* module);
void init_grad_mode(PyObject* module);
void init_autograd(PyObject* module);
void init_serialization(PyObject* module);
void init_gpu(PyObject* module);

// Adds functions to a module or type dictionary; `methods` ends with a null entry and outlives it.
void add_functions(PyObject* module, PyMethodDef* methods);

}  // namespace ember::python
