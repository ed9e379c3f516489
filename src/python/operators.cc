// Tensor's operators: number slots, comparison, truth, conversion, length, iteration.
// Each slot knows its op's set and calls it as Python would call the function; what an op cannot take becomes
// NotImplemented, so that the other operand gets its turn.
#include "python/op_object.h"

namespace ember::python {

PyObject* tensor_subscript(PyObject* self, PyObject* key);                    // indexing.cc
int tensor_assign_subscript(PyObject* self, PyObject* key, PyObject* value);  // indexing.cc
PyObject* tensor_from_array(PyObject* array);                                 // interop.cc
int tensor_getbuffer(PyObject* self, Py_buffer* view, int flags);             // interop.cc
void tensor_releasebuffer(PyObject* self, Py_buffer* view);                   // interop.cc

namespace {

// A set that is looked up when it is first needed: the table is not there when the slots are made.
struct Named {
  const char* name;
  const OpSet* set = nullptr;
  PyObject* function = nullptr;  // what __torch_function__ gets: Tensor's method of that name
  PyObject* method() {
    if (!function) function = check(PyObject_GetAttrString(reinterpret_cast<PyObject*>(tensor_type), name));
    return function;
  }
  const OpSet& get() {
    if (EMBER_LIKELY(set != nullptr)) return *set;
    set = find_op_set(name);
    EMBER_CHECK_NOT_IMPLEMENTED(set, "the op ", name, " does not exist in this build");
    return *set;
  }
};

bool is_operand(PyObject* o) { return is_tensor(o) || is_number(o); }

PyObject* call(Named& op, PyObject* const* args, Py_ssize_t n) {
  return guard([&]() -> PyObject* {
    const OpSet& set = op.get();
    PyObject* function = nullptr;
    for (Py_ssize_t i = 0; i < n; ++i) {
      if (EMBER_UNLIKELY(!is_exact_tensor(args[i]) && overrides_torch_function(args[i]))) function = op.method();
    }
    return check(call_op_set(set, function, {args, n, nullptr, false}));
  });
}

PyObject* binary(Named& op, PyObject* a, PyObject* b) {
  PyObject* args[2] = {a, b};
  if (EMBER_LIKELY(is_operand(a) && is_operand(b))) return call(op, args, 2);
  Ref converted;
  for (PyObject*& o : args) {
    if (is_operand(o)) continue;
    if (is_numpy_array(o)) {
      converted = Ref(tensor_from_array(o));
      if (!converted) return nullptr;
      o = converted.get();
    } else if (!overrides_torch_function(o)) {
      Py_RETURN_NOTIMPLEMENTED;
    }
  }
  return call(op, args, 2);
}

#define EMBER_BINARY(slot, op) \
  PyObject* slot(PyObject* a, PyObject* b) { \
    static Named named{op}; \
    return binary(named, a, b); \
  }
#define EMBER_UNARY(slot, op) \
  PyObject* slot(PyObject* a) { \
    static Named named{op}; \
    return call(named, &a, 1); \
  }
EMBER_BINARY(nb_add, "add")
EMBER_BINARY(nb_sub, "sub")
EMBER_BINARY(nb_mul, "mul")
EMBER_BINARY(nb_div, "div")
EMBER_BINARY(nb_floordiv, "floor_divide")
EMBER_BINARY(nb_mod, "remainder")
EMBER_BINARY(nb_matmul, "matmul")
EMBER_BINARY(nb_and, "bitwise_and")
EMBER_BINARY(nb_or, "bitwise_or")
EMBER_BINARY(nb_xor, "bitwise_xor")
EMBER_BINARY(nb_lshift, "bitwise_left_shift")
EMBER_BINARY(nb_rshift, "bitwise_right_shift")
EMBER_BINARY(nb_iadd, "add_")
EMBER_BINARY(nb_isub, "sub_")
EMBER_BINARY(nb_imul, "mul_")
EMBER_BINARY(nb_idiv, "div_")
EMBER_BINARY(nb_ifloordiv, "floor_divide_")
EMBER_BINARY(nb_imod, "remainder_")
EMBER_BINARY(nb_iand, "bitwise_and_")
EMBER_BINARY(nb_ior, "bitwise_or_")
EMBER_BINARY(nb_ixor, "bitwise_xor_")
EMBER_BINARY(nb_ilshift, "bitwise_left_shift_")
EMBER_BINARY(nb_irshift, "bitwise_right_shift_")
EMBER_BINARY(nb_pow_two, "pow")
EMBER_BINARY(nb_ipow_two, "pow_")
EMBER_UNARY(nb_neg, "neg")
EMBER_UNARY(nb_abs, "abs")
EMBER_UNARY(nb_invert, "bitwise_not")
#undef EMBER_BINARY
#undef EMBER_UNARY

PyObject* nb_pos(PyObject* a) { return Py_NewRef(a); }
PyObject* nb_pow(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return nb_pow_two(a, b);
}
PyObject* nb_ipow(PyObject* a, PyObject* b, PyObject*) { return nb_ipow_two(a, b); }

PyObject* compare(PyObject* a, PyObject* b, int op) {
  static Named named[] = {{"lt"}, {"le"}, {"eq"}, {"ne"}, {"gt"}, {"ge"}};  // Py_LT .. Py_GE
  return binary(named[op], a, b);
}

int nb_bool(PyObject* o) {
  return guard([&]() -> int {
    const Tensor& t = unwrap(o);
    EMBER_CHECK(t.numel() != 0, "Boolean value of Tensor with no values is ambiguous");
    EMBER_CHECK(t.numel() == 1, "Boolean value of Tensor with more than one value is ambiguous");
    return t.item<bool>();
  });
}
Scalar single(const Tensor& t) {
  EMBER_CHECK(t.numel() == 1, "only one element tensors can be converted to Python scalars");
  return t.item();
}
PyObject* nb_int(PyObject* o) {
  return guard([&] {
    Scalar s = single(unwrap(o));
    EMBER_CHECK(!s.is_complex(), "value cannot be converted to type int64_t without overflow");
    return s.is_floating() ? check(PyLong_FromDouble(s.to<double>()))
                           : own(PyNumber_Long(own(wrap(s)).get())).release();
  });
}
PyObject* nb_float(PyObject* o) {
  return guard([&] {
    Scalar s = single(unwrap(o));
    EMBER_CHECK(!s.is_complex(), "value cannot be converted to type double without overflow");
    return PyFloat_FromDouble(s.to<double>());
  });
}
PyObject* nb_index(PyObject* o) {
  return guard([&] {
    const Tensor& t = unwrap(o);
    EMBER_CHECK_TYPE(t.numel() == 1 && category(t.dtype()) <= 1,
                     "only integer tensors of a single element can be converted to an index");
    Scalar s = t.item();
    return s.is_bool() ? PyLong_FromLong(s.to<bool>()) : wrap(s);
  });
}

Py_ssize_t length(PyObject* o) {
  return guard([&]() -> Py_ssize_t {
    const Tensor& t = unwrap(o);
    EMBER_CHECK_TYPE(t.dim() > 0, "len() of a 0-d tensor");
    return t.sizes()[0];
  });
}
PyObject* iterate(PyObject* o) {
  static Named unbind{"unbind"};
  return guard([&]() -> PyObject* {
    EMBER_CHECK_TYPE(unwrap(o).dim() > 0, "iteration over a 0-d tensor");
    Ref parts = own(call(unbind, &o, 1));
    return PyObject_GetIter(parts.get());
  });
}
int contains(PyObject* o, PyObject* item) {
  return guard([&]() -> int {
    EMBER_CHECK(is_operand(item), "Tensor.__contains__ only supports Tensor or scalar, but you passed in a ",
                type_name(reinterpret_cast<PyObject*>(Py_TYPE(item))), ".");
    Ref equal = own(compare(o, item, Py_EQ));
    Ref any = own(PyObject_CallMethod(equal.get(), "any", nullptr));
    return PyObject_IsTrue(any.get());
  });
}

}  // namespace

const PyType_Slot* tensor_operator_slots() {
#define EMBER_SLOT(id, f) \
  { Py_##id, reinterpret_cast<void*>(f) }
  static const PyType_Slot slots[] = {EMBER_SLOT(nb_add, nb_add),
                                      EMBER_SLOT(nb_subtract, nb_sub),
                                      EMBER_SLOT(nb_multiply, nb_mul),
                                      EMBER_SLOT(nb_true_divide, nb_div),
                                      EMBER_SLOT(nb_floor_divide, nb_floordiv),
                                      EMBER_SLOT(nb_remainder, nb_mod),
                                      EMBER_SLOT(nb_matrix_multiply, nb_matmul),
                                      EMBER_SLOT(nb_power, nb_pow),
                                      EMBER_SLOT(nb_and, nb_and),
                                      EMBER_SLOT(nb_or, nb_or),
                                      EMBER_SLOT(nb_xor, nb_xor),
                                      EMBER_SLOT(nb_lshift, nb_lshift),
                                      EMBER_SLOT(nb_rshift, nb_rshift),
                                      EMBER_SLOT(nb_inplace_add, nb_iadd),
                                      EMBER_SLOT(nb_inplace_subtract, nb_isub),
                                      EMBER_SLOT(nb_inplace_multiply, nb_imul),
                                      EMBER_SLOT(nb_inplace_true_divide, nb_idiv),
                                      EMBER_SLOT(nb_inplace_floor_divide, nb_ifloordiv),
                                      EMBER_SLOT(nb_inplace_remainder, nb_imod),
                                      EMBER_SLOT(nb_inplace_power, nb_ipow),
                                      EMBER_SLOT(nb_inplace_and, nb_iand),
                                      EMBER_SLOT(nb_inplace_or, nb_ior),
                                      EMBER_SLOT(nb_inplace_xor, nb_ixor),
                                      EMBER_SLOT(nb_inplace_lshift, nb_ilshift),
                                      EMBER_SLOT(nb_inplace_rshift, nb_irshift),
                                      EMBER_SLOT(nb_negative, nb_neg),
                                      EMBER_SLOT(nb_positive, nb_pos),
                                      EMBER_SLOT(nb_absolute, nb_abs),
                                      EMBER_SLOT(nb_invert, nb_invert),
                                      EMBER_SLOT(nb_bool, nb_bool),
                                      EMBER_SLOT(nb_int, nb_int),
                                      EMBER_SLOT(nb_float, nb_float),
                                      EMBER_SLOT(nb_index, nb_index),
                                      EMBER_SLOT(tp_richcompare, compare),
                                      EMBER_SLOT(tp_iter, iterate),
                                      EMBER_SLOT(mp_length, length),
                                      EMBER_SLOT(mp_subscript, tensor_subscript),
                                      EMBER_SLOT(mp_ass_subscript, tensor_assign_subscript),
                                      EMBER_SLOT(sq_contains, contains),
                                      EMBER_SLOT(bf_getbuffer, tensor_getbuffer),
                                      EMBER_SLOT(bf_releasebuffer, tensor_releasebuffer),
                                      {}};
#undef EMBER_SLOT
  return slots;
}

}  // namespace ember::python
