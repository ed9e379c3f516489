// Errors across the border: C++ exceptions to Python's, Python's through C++, and Ctrl-C in long loops.
// A Python error that crosses C++ (a hook or a Function that raised during backward) travels as CaughtError, which owns
// the Python exception and restores it, traceback included, when it comes out on the other side.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/parallel.h"
#include "io/pickle.h"
#include "python/common.h"

namespace ember::python {
namespace {

PyObject* out_of_memory_type;
PyObject* linalg_error_type;

struct CaughtError : Error {
  CaughtError() : Error("an error in Python") { PyErr_Fetch(&type, &value, &traceback); }
  CaughtError(const CaughtError& other)
      : Error(other), type(other.type), value(other.value), traceback(other.traceback) {
    WithGil gil;
    Py_XINCREF(type), Py_XINCREF(value), Py_XINCREF(traceback);
  }
  ~CaughtError() override {
    if (!type) return;
    WithGil gil;
    Py_XDECREF(type), Py_XDECREF(value), Py_XDECREF(traceback);
  }
  void restore() const {
    Py_XINCREF(type), Py_XINCREF(value), Py_XINCREF(traceback);
    PyErr_Restore(type, value, traceback);
  }
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
};

// A message may quote bytes of a damaged file: what is not UTF-8 is shown as U+FFFD.
void set(PyObject* type, const std::exception& e) {
  Ref text(PyUnicode_DecodeUTF8(e.what(), static_cast<Py_ssize_t>(std::strlen(e.what())), "replace"));
  if (text) PyErr_SetObject(type, text.get());
}

// "[Errno 21] Is a directory: ..." as OSError(21, ...), which Python makes an IsADirectoryError.
void set_os_error(const FileError& e) {
  std::string_view text = e.what();
  constexpr std::string_view kOpens = "[Errno ";
  const size_t ends = text.find("] ");
  if (!text.starts_with(kOpens) || ends == std::string_view::npos) return set(PyExc_OSError, e);
  text.remove_prefix(ends + 2);
  Ref args(Py_BuildValue("(iN)", std::atoi(e.what() + kOpens.size()),
                         PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace")));
  if (args) PyErr_SetObject(PyExc_OSError, args.get());
}

// Ctrl-C inside parallel_for: Python's own handler has run already (it only sets a flag), so a look at Python's flag
// needs the GIL; a flag of our own, set by a handler chained in front, does not.
std::atomic<bool> interrupted{false};
struct sigaction previous_action;
void on_interrupt(int signal, siginfo_t* info, void* context) {
  interrupted.store(true, std::memory_order_relaxed);
  if (previous_action.sa_flags & SA_SIGINFO) previous_action.sa_sigaction(signal, info, context);
  else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN)
    previous_action.sa_handler(signal);
}
bool was_interrupted() { return interrupted.load(std::memory_order_relaxed) && interrupted.exchange(false); }

void watch_interrupts() {
  sigaction(SIGINT, nullptr, &previous_action);
  bool handled = (previous_action.sa_flags & SA_SIGINFO) ||
                 (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN);
  if (!handled) return;  // embedded without Python's handler: SIGINT is not ours
  struct sigaction action = previous_action;
  action.sa_sigaction = on_interrupt;
  action.sa_flags |= SA_SIGINFO;
  sigaction(SIGINT, &action, nullptr);
  set_interrupt_check(was_interrupted);
}

}  // namespace

void forget_interrupt() { interrupted.store(false, std::memory_order_relaxed); }

void throw_python_error() { throw CaughtError(); }

void set_python_error() {
  try {
    throw;
  } catch (const CaughtError& e) { e.restore(); } catch (const PythonError&) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_SystemError, "a Python error was announced but not set");
  } catch (const Interrupted&) {
    // Python's handler has only noted the signal; running it now raises KeyboardInterrupt or what the program set.
    if (PyErr_CheckSignals() == 0 && !PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
  } catch (const IndexError& e) { set(PyExc_IndexError, e); } catch (const TypeError& e) {
    set(PyExc_TypeError, e);
  } catch (const ValueError& e) { set(PyExc_ValueError, e); } catch (const NotImplementedError& e) {
    set(PyExc_NotImplementedError, e);
  } catch (const OutOfMemoryError& e) { set(out_of_memory_type, e); } catch (const LinAlgError& e) {
    set(linalg_error_type, e);
  } catch (const FileError& e) { set_os_error(e); } catch (const io::UnpicklingError& e) {
    Ref pickle(PyImport_ImportModule("pickle"));
    Ref type(pickle ? PyObject_GetAttrString(pickle.get(), "UnpicklingError") : nullptr);
    if (type) set(type.get(), e);
  } catch (const Error& e) { set(PyExc_RuntimeError, e); } catch (const std::bad_alloc&) {
    PyErr_SetString(out_of_memory_type, "out of memory");
  } catch (const std::exception& e) { set(PyExc_RuntimeError, e); } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "an unknown C++ exception");
  }
}

std::string_view utf8(PyObject* unicode) {
  Py_ssize_t size;
  const char* s = PyUnicode_AsUTF8AndSize(unicode, &size);
  if (!s) throw PythonError();
  return {s, static_cast<size_t>(size)};
}

std::string type_name(PyObject* object) {
  std::string_view full = Py_TYPE(object)->tp_name;
  for (std::string_view package : {"ember._C.", "ember."}) {
    if (full.starts_with(package)) {
      full.remove_prefix(package.size());
      bool bare = full == "Tensor" || full == "Parameter";
      return bare ? std::string(full) : "torch." + std::string(full);
    }
  }
  return std::string(full);
}

void init_errors(PyObject* module) {
  out_of_memory_type = check(PyErr_NewExceptionWithDoc(
      "ember.OutOfMemoryError", "Raised when memory for a tensor cannot be had.", PyExc_RuntimeError, nullptr));
  linalg_error_type = check(PyErr_NewExceptionWithDoc(
      "ember.linalg.LinAlgError", "Raised when a decomposition or a solve fails.", PyExc_RuntimeError, nullptr));
  check(PyModule_AddObjectRef(module, "OutOfMemoryError", out_of_memory_type));
  check(PyModule_AddObjectRef(module, "_LinAlgError", linalg_error_type));
  watch_interrupts();
}

}  // namespace ember::python
