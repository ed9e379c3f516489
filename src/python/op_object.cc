// Op objects: vectorcall from Python to the table.
// `ember.add` is an Op; `Tensor.add` is an OpMethod, which the interpreter calls without making a bound method. The GIL
// is let go for calls that touch enough elements to be worth a thread switch.
#include "python/op_object.h"

#include <structmember.h>

#include <map>

namespace ember::python {
namespace {

constexpr int kMaxResults = 8;
// About 20 us of work each: elements for what is linear, fewer for products and the like.
constexpr int64_t kHeavyElements = 1 << 15, kHeavyOperands = 1 << 11;

struct OpObject {
  PyObject_HEAD vectorcallfunc call;
  const OpSet* set;
  PyObject* module;  // __module__
  PyObject* doc;
};
PyTypeObject *op_type, *op_method_type;
std::map<std::string, OpSet, std::less<>> sets;  // never shrinks: objects point into it

OpObject* as_op(PyObject* o) { return reinterpret_cast<OpObject*>(o); }

PyObject* function_call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  return call_op_set(*as_op(self)->set, self, {args, PyVectorcall_NARGS(nargsf), kwnames, false});
}

PyObject* method_call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  Py_ssize_t n = PyVectorcall_NARGS(nargsf);
  if (EMBER_UNLIKELY(n == 0 || !is_tensor(args[0]))) {
    const char* name = as_op(self)->set->name.c_str();
    if (n == 0) PyErr_Format(PyExc_TypeError, "unbound method Tensor.%s() needs an argument", name);
    else
      PyErr_Format(PyExc_TypeError, "descriptor '%s' for 'Tensor' objects doesn't apply to a '%s' object", name,
                   Py_TYPE(args[0])->tp_name);
    return nullptr;
  }
  return call_op_set(*as_op(self)->set, self, {args, n, kwnames, true});
}

PyObject* method_get(PyObject* self, PyObject* object, PyObject*) {
  if (!object || object == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, object);
}

PyObject* op_repr(PyObject* self) {
  const char* name = as_op(self)->set->name.c_str();
  if (Py_TYPE(self) == op_method_type) return PyUnicode_FromFormat("<method '%s' of 'ember.Tensor' objects>", name);
  return PyUnicode_FromFormat("<built-in function %s>", name);
}
PyObject* op_name(PyObject* self, void*) { return PyUnicode_FromString(as_op(self)->set->name.c_str()); }
PyObject* op_qualname(PyObject* self, void*) {
  const char* name = as_op(self)->set->name.c_str();
  return Py_TYPE(self) == op_method_type ? PyUnicode_FromFormat("Tensor.%s", name) : PyUnicode_FromString(name);
}
PyObject* op_doc(PyObject* self, void*) {
  return guard([&] {
    std::string out;
    for (const Signature& s : as_op(self)->set->overloads) (out += s.op->schema.text) += '\n';
    out += '\n';
    for (const Signature& s : as_op(self)->set->overloads) (out += s.op->doc) += '\n';
    return text(out).release();
  });
}
PyObject* op_schemas(PyObject* self, void*) {
  return guard([&] {
    Ref list = own(PyList_New(0));
    for (const Signature& s : as_op(self)->set->overloads)
      check(PyList_Append(list.get(), text(s.op->schema.text).get()));
    return list.release();
  });
}
// Functions pickle by name, as PyTorch's do; methods as attributes of Tensor.
PyObject* op_reduce(PyObject* self, PyObject*) {
  if (Py_TYPE(self) != op_method_type) return op_name(self, nullptr);
  Ref builtins(PyImport_ImportModule("builtins"));
  Ref getattr(builtins ? PyObject_GetAttrString(builtins.get(), "getattr") : nullptr);
  return getattr ? Py_BuildValue("O(ON)", getattr.get(), tensor_type, op_name(self, nullptr)) : nullptr;
}

PyMemberDef op_members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(OpObject, call), READONLY, nullptr},
                            {"__module__", T_OBJECT, offsetof(OpObject, module), 0, nullptr},
                            {}};
PyGetSetDef op_getset[] = {{"__name__", op_name, nullptr, nullptr, nullptr},
                           {"__qualname__", op_qualname, nullptr, nullptr, nullptr},
                           {"__doc__", op_doc, nullptr, nullptr, nullptr},
                           {"schemas", op_schemas, nullptr, "The signatures, one an overload.", nullptr},
                           {}};
PyMethodDef op_methods[] = {{"__reduce__", op_reduce, METH_NOARGS, nullptr}, {}};
PyType_Slot op_slots[] = {{Py_tp_repr, reinterpret_cast<void*>(op_repr)},
                          {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                          {Py_tp_members, op_members},
                          {Py_tp_getset, op_getset},
                          {Py_tp_methods, op_methods},
                          {}};
PyType_Slot op_method_slots[] = {{Py_tp_repr, reinterpret_cast<void*>(op_repr)},
                                 {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                                 {Py_tp_descr_get, reinterpret_cast<void*>(method_get)},
                                 {Py_tp_members, op_members},
                                 {Py_tp_getset, op_getset},
                                 {Py_tp_methods, op_methods},
                                 {}};
constexpr unsigned kFlags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION;
PyType_Spec op_spec = {"ember.Op", sizeof(OpObject), 0, kFlags, op_slots};
PyType_Spec op_method_spec = {"ember.OpMethod", sizeof(OpObject), 0, kFlags | Py_TPFLAGS_METHOD_DESCRIPTOR,
                              op_method_slots};

PyObject* make_object(const OpSet& set, bool method) {
  PyTypeObject* type = method ? op_method_type : op_type;
  PyObject* o = check(type->tp_alloc(type, 0));
  as_op(o)->call = method ? method_call : function_call;
  as_op(o)->set = &set;
  as_op(o)->module = check(PyUnicode_InternFromString("ember"));
  return o;
}

// ---- __torch_function__ ----

// Types that never carry an override, tested before anything costs time.
bool is_plain(PyObject* o) {
  PyTypeObject* t = Py_TYPE(o);
  return t == tensor_type || t == &PyLong_Type || t == &PyFloat_Type || t == &PyBool_Type || o == Py_None ||
         t == &PyUnicode_Type || t == size_type;
}

struct Overloaded {
  PyObject* objects[kMaxArgs];
  size_t count = 0;
  // Subclasses come before their bases, else in order of appearance; one object a type.
  void add(PyObject* o) {
    size_t at = count;
    for (size_t i = 0; i < count; ++i) {
      if (Py_TYPE(objects[i]) == Py_TYPE(o)) return;
      if (at == count && PyType_IsSubtype(Py_TYPE(o), Py_TYPE(objects[i]))) at = i;
    }
    if (count == kMaxArgs) return;
    for (size_t i = count++; i > at; --i) objects[i] = objects[i - 1];
    objects[at] = o;
  }
  EMBER_COLD void look_at(PyObject* o) {
    if (PyTuple_CheckExact(o) || PyList_CheckExact(o)) {
      for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i) {
        PyObject* item = PySequence_Fast_GET_ITEM(o, i);
        if (!is_plain(item) && overrides_torch_function(item)) add(item);
      }
    } else if (overrides_torch_function(o)) {
      add(o);
    }
  }
};

bool is_heavy(const Op& op, int64_t work) {
  bool linear = op.kind == Kind::kPointwise || op.kind == Kind::kReduce || op.kind == Kind::kView;
  return work > (linear ? kHeavyElements : kHeavyOperands) && op.kind != Kind::kView;
}

void invoke_for_python(Call& call, int64_t work) {
  if (EMBER_LIKELY(!is_heavy(call.op, work))) return invoke(call);
  forget_interrupt();
  WithoutGil released;
  invoke(call);
}

}  // namespace

PyObject* wrap_value(const Value& v) {
  switch (v.tag()) {
    case Tag::kNone: return Py_NewRef(Py_None);
    case Tag::kTensor: return wrap(v.tensor());
    case Tag::kBool:
    case Tag::kInt:
    case Tag::kUInt:
    case Tag::kDouble:
    case Tag::kComplex: return check(wrap(v.scalar()));
    case Tag::kString: return text(v.get<std::string_view>()).release();
    case Tag::kDType: return wrap(v.get<DType>());
    case Tag::kDevice: return wrap(v.get<Device>());
    case Tag::kLayout: return wrap(v.get<Layout>());
    case Tag::kMemoryFormat: return wrap(v.get<MemoryFormat>());
    case Tag::kGenerator: return wrap(v.get<Generator*>());
    case Tag::kTensorList: {
      Span<Tensor> list = v.tensors();
      Ref out = own(PyTuple_New(static_cast<Py_ssize_t>(list.size())));
      for (size_t i = 0; i < list.size(); ++i) PyTuple_SET_ITEM(out.get(), static_cast<Py_ssize_t>(i), wrap(list[i]));
      return out.release();
    }
    case Tag::kIntList: {
      DimsView list = v.ints();
      Ref out = own(PyTuple_New(static_cast<Py_ssize_t>(list.size())));
      for (size_t i = 0; i < list.size(); ++i)
        PyTuple_SET_ITEM(out.get(), static_cast<Py_ssize_t>(i), check(PyLong_FromLongLong(list[i])));
      return out.release();
    }
    default: EMBER_FAIL("internal: a result of this type has no Python form");
  }
}

PyObject* wrap_results(const Signature& s, Value* results) {
  size_t n = s.op->schema.results.size();
  if (n == 0) return Py_NewRef(Py_None);
  if (n == 1) {
    if (results[0].is_tensor()) return wrap(std::move(results[0]).take_tensor());
    return wrap_value(results[0]);
  }
  if (s.result_type) {
    Ref out = own(PyStructSequence_New(s.result_type));
    for (size_t i = 0; i < n; ++i)
      PyStructSequence_SetItem(out.get(), static_cast<Py_ssize_t>(i), wrap_value(results[i]));
    return out.release();
  }
  Ref out = own(PyTuple_New(static_cast<Py_ssize_t>(n)));
  for (size_t i = 0; i < n; ++i) PyTuple_SET_ITEM(out.get(), static_cast<Py_ssize_t>(i), wrap_value(results[i]));
  return out.release();
}

// The destinations of out=: one tensor, or a tuple of as many as there are results.
static void call_with_out(const Signature& s, Parsed& parsed, Value* results) {
  size_t n = s.op->schema.results.size();
  Tensor destinations[kMaxResults];
  for (size_t i = 0; i < n; ++i)
    destinations[i] = unwrap(n == 1 ? parsed.out : PySequence_Fast_GET_ITEM(parsed.out, static_cast<Py_ssize_t>(i)));
  Call call{*s.op, parsed.values(), results, form::kOut, destinations};
  invoke_for_python(call, parsed.work);
}

PyObject* run_op(const OpSet& set, const Signature& s, Parsed& parsed) {
  Value results[kMaxResults];
  if (EMBER_UNLIKELY(parsed.out != nullptr)) {
    call_with_out(s, parsed, results);
    if (s.op->schema.results.size() == 1) return Py_NewRef(parsed.out);
    return wrap_results(s, results);
  }
  if (set.inplace) {
    const Tensor& self = parsed.values()[0].tensor();
    Call c{*s.op, parsed.values(), results, form::kInplace, &self};
    invoke_for_python(c, parsed.work);
    return wrap(parsed.values()[0].tensor());
  }
  Call c{*s.op, parsed.values(), results};
  invoke_for_python(c, parsed.work);
  if (EMBER_UNLIKELY(parsed.requires_grad)) results[0].tensor().set_requires_grad(true);
  return wrap_results(s, results);
}

PyObject* call_op_set(const OpSet& set, PyObject* function, const PyArgs& call) {
  Py_ssize_t total = call.total();
  Overloaded overloaded;
  for (Py_ssize_t i = 0; i < total; ++i) {
    if (EMBER_UNLIKELY(!is_plain(call.args[i]))) overloaded.look_at(call.args[i]);
  }
  if (EMBER_UNLIKELY(overloaded.count > 0))
    return call_torch_function(function, call.args, call.nargs, call.kwnames, overloaded.objects, overloaded.count);
  return guard([&]() -> PyObject* {
    Parsed parsed;
    for (const Signature& s : set.overloads) {
      if (parse(s, call, set.allow_out && (s.op->forms & form::kOut), parsed)) return run_op(set, s, parsed);
    }
    raise_mismatch(set.name, set.overloads, call, set.allow_out);
  });
}

const OpSet* find_op_set(std::string_view python_name) {
  auto at = sets.find(python_name);
  return at == sets.end() ? nullptr : &at->second;
}

// ---- building the names ----

namespace {

PyObject* return_type_repr(PyObject* self) {
  return guard([&] {
    std::string out = std::string(Py_TYPE(self)->tp_name) + "(\n";
    Ref fields = own(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(self)), "__match_args__"));
    Py_ssize_t n = PyTuple_GET_SIZE(fields.get());
    for (Py_ssize_t i = 0; i < n; ++i) {
      Ref shown = own(PyObject_Repr(PyTuple_GET_ITEM(self, i)));
      ((out += utf8(PyTuple_GET_ITEM(fields.get(), i))) += "=") += utf8(shown.get());
      if (i + 1 < n) out += ",\n";
    }
    return text(out + ")").release();
  });
}

PyTypeObject* make_result_type(const Schema& schema, PyObject* module) {
  if (schema.results.size() < 2 || schema.results[0].name.empty()) return nullptr;
  // Overloads that return the same names share a type.
  if (PyObject_HasAttrString(module, schema.name.c_str())) {
    Ref known = own(PyObject_GetAttrString(module, schema.name.c_str()));
    auto* type = reinterpret_cast<PyTypeObject*>(known.get());
    Ref fields = own(PyObject_GetAttrString(known.get(), "__match_args__"));
    if (PyTuple_GET_SIZE(fields.get()) == static_cast<Py_ssize_t>(schema.results.size())) return type;
  }
  auto* fields = new PyStructSequence_Field[schema.results.size() + 1]();  // both live as long as the type: forever
  for (size_t i = 0; i < schema.results.size(); ++i) fields[i] = {schema.results[i].name.c_str(), nullptr};
  auto* full = new std::string("torch.return_types." + schema.name);
  PyStructSequence_Desc desc{full->c_str(), nullptr, fields, static_cast<int>(schema.results.size())};
  PyTypeObject* type = PyStructSequence_NewType(&desc);
  check(reinterpret_cast<PyObject*>(type));
  type->tp_repr = return_type_repr;
  check(PyModule_AddObjectRef(module, schema.name.c_str(), reinterpret_cast<PyObject*>(type)));
  return type;
}

void add_form(const Op& op, const std::string& python_name, bool inplace, PyObject* return_types) {
  OpSet& set = sets[python_name];
  set.name = python_name, set.inplace = inplace;
  set.allow_out |= !inplace && (op.forms & form::kOut);
  Signature& s = set.overloads.emplace_back(op);
  s.result_type = make_result_type(op.schema, return_types);
}

}  // namespace

void init_ops(PyObject* module) {
  op_type = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&op_spec)));
  op_method_type = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&op_method_spec)));
  check(PyModule_AddObjectRef(module, "Op", reinterpret_cast<PyObject*>(op_type)));
  check(PyModule_AddObjectRef(module, "OpMethod", reinterpret_cast<PyObject*>(op_method_type)));
  Ref ops = own(PyModule_New("ember._C.ops")), return_types = own(PyModule_New("ember.return_types"));
  std::map<std::string, Forms> forms;
  for (const auto& op : all_ops()) {
    const std::string& name = op->name();
    if (op->forms & (form::kFunction | form::kMethod)) {
      add_form(*op, name, false, return_types.get());
      forms[name] |= op->forms & (form::kFunction | form::kMethod);
    }
    if (op->forms & form::kInplace) {
      add_form(*op, name + "_", true, return_types.get());
      forms[name + "_"] |= (op->forms & form::kFunction) | form::kMethod;
    }
  }
  for (auto& [name, set] : sets) {
    if (forms[name] & form::kFunction) {
      Ref function = own(make_object(set, false));
      check(PyModule_AddObjectRef(ops.get(), name.c_str(), function.get()));
    }
    bool taken = PyDict_GetItemString(tensor_type->tp_dict, name.c_str()) != nullptr;
    if ((forms[name] & form::kMethod) && !taken) {
      Ref method = own(make_object(set, true));
      check(PyObject_SetAttrString(reinterpret_cast<PyObject*>(tensor_type), name.c_str(), method.get()));
    }
  }
  check(PyModule_AddObjectRef(module, "ops", ops.get()));
  check(PyModule_AddObjectRef(module, "return_types", return_types.get()));
}

}  // namespace ember::python
