// Ops as Python objects: one callable for all overloads of a name, as a function, as a Tensor method, in place.
#pragma once

#include "python/args.h"

namespace ember::python {

enum class Style : uint8_t { kFunction, kMethod };

// The overloads behind one Python name.
struct OpSet {
  std::string name;  // as Python knows it: "add", "add_"
  std::vector<Signature> overloads;
  bool inplace = false;
  bool allow_out = false;
};

// Calls whichever overload fits; `self_object` is what is asked for __torch_function__. New reference or null.
PyObject* call_op_set(const OpSet& set, PyObject* function, const PyArgs& call);
// The set of a base name ("add") or its in-place form ("add_"); null when the table has none.
const OpSet* find_op_set(std::string_view python_name);
PyObject* wrap_results(const Signature& s, Value* results);
PyObject* wrap_value(const Value& v);
// Runs a parsed call.
PyObject* run_op(const OpSet& set, const Signature& s, Parsed& parsed);

}  // namespace ember::python
