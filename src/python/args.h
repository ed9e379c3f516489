// From Python arguments to boxed Values: what an op's schema says, applied to one call.
// Everything lives on the caller's stack; a tensor argument is borrowed from its Python object, lists are copied into a
// buffer beside the values. A call that does not fit returns false, and only then does somebody write a message.
#pragma once

#include <memory>
#include <vector>

#include "python/tensor_object.h"

namespace ember::python {

constexpr int kMaxArgs = 32;

// One overload as Python calls it.
struct Signature {
  explicit Signature(const Op& op);

  const Op* op;
  std::vector<PyObject*> names;  // interned, one an argument
  std::vector<PyObject*> shown;  // the same, "self" as "input"
  uint64_t number_ok = 0;        // tensor arguments that may be numbers
  bool wants_tensor = false;     // though each may be a number, not all may
  bool factory = false;  // takes dtype= and device= and makes a tensor: layout=, pin_memory=, requires_grad= too
  int device = -1;       // its device= argument
  PyTypeObject* result_type = nullptr;  // a named tuple
};

// The call's arguments and where they live.
class Parsed {
 public:
  Parsed() = default;
  ~Parsed() { reset(); }
  Parsed(const Parsed&) = delete;

  const Value* values() const { return reinterpret_cast<const Value*>(raw_); }
  void push(Value v) { new (reinterpret_cast<Value*>(raw_) + count_++) Value(std::move(v)); }
  void reset();
  int64_t* ints(size_t n);  // room for n integers, until the call is over
  template <class T>
  T* array(size_t n) {  // rarer lists
    auto block = std::make_shared<std::vector<std::byte>>((n ? n : 1) * sizeof(T));
    T* out = reinterpret_cast<T*>(block->data());
    rare_.push_back(std::move(block));
    return out;
  }
  void adopt(std::shared_ptr<void> list) { rare_.push_back(std::move(list)); }

  PyObject* out = nullptr;     // borrowed: out=
  bool requires_grad = false;  // of a factory
  int64_t work = 0;            // elements that the call touches, roughly

 private:
  static constexpr size_t kInts = 48;
  int count_ = 0;
  size_t used_ = 0;
  alignas(Value) std::byte raw_[kMaxArgs * sizeof(Value)];
  int64_t ints_[kInts];
  std::vector<std::shared_ptr<void>> rare_;
};

// The arguments of one call as Python handed them over (vectorcall).
struct PyArgs {
  PyObject* const* args;
  Py_ssize_t nargs;   // positional
  PyObject* kwnames;  // tuple or null; values follow the positional ones
  bool method;        // args[0] is self
  Py_ssize_t total() const { return nargs + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0); }
};

// Fills `out`, or returns false and leaves it empty. Raises what a conversion itself raises (overflow, a bad device).
bool parse(const Signature& s, const PyArgs& call, bool allow_out, Parsed& out);
// TypeError in PyTorch's words: about the one overload, or listing all.
[[noreturn]] EMBER_COLD void raise_mismatch(const std::string& name, const std::vector<Signature>& overloads,
                                            const PyArgs& call, bool allow_out);
bool same_text(PyObject* a, PyObject* b);  // of two str

}  // namespace ember::python
