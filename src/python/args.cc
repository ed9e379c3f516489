// The argument parser.
#include "python/args.h"

#include <algorithm>
#include <bit>

namespace ember::python {
namespace {

// Names that NumPy's users write, and PyTorch accepts, for ours.
struct Alias {
  const char *ours, *theirs;
};
constexpr Alias kAliases[] = {{"dim", "axis"}, {"keepdim", "keepdims"}, {"self", "x"},     {"self", "a"},
                              {"self", "x1"},  {"input", "x"},          {"input", "a"},    {"input", "x1"},
                              {"other", "x2"}, {"self", "input"},       {"input", "self"}, {"dims", "axis"}};

bool matches(PyObject* keyword, const Arg& arg) {
  const char* k = PyUnicode_AsUTF8(keyword);
  if (arg.name == k) return true;
  return std::ranges::any_of(kAliases,
                             [&](const Alias& a) { return arg.name == a.ours && std::strcmp(a.theirs, k) == 0; });
}

bool is_scalar_tensor(PyObject* o) { return is_tensor(o) && unwrap(o).dim() == 0; }
bool is_list(PyObject* o) { return PyTuple_Check(o) || PyList_Check(o); }
struct Items {  // a tuple or a list
  explicit Items(PyObject* o) : data(PySequence_Fast_ITEMS(o)), size(PySequence_Fast_GET_SIZE(o)) {}
  PyObject** data;
  Py_ssize_t size;
  PyObject** begin() const { return data; }
  PyObject** end() const { return data + size; }
};

bool accepts_int(PyObject* o) {
  if (PyLong_CheckExact(o) || is_integer(o)) return true;
  return is_scalar_tensor(o) && is_integral(unwrap(o).dtype());
}
int64_t read_int(PyObject* o) { return is_tensor(o) ? unwrap(o).item<int64_t>() : to_int64(o); }
bool accepts_float(PyObject* o) {
  return PyFloat_Check(o) || (is_number(o) && !PyComplex_Check(o)) || is_scalar_tensor(o);
}
double read_float(PyObject* o) { return is_tensor(o) ? unwrap(o).item<double>() : to_scalar(o).to<double>(); }
bool accepts_bool(PyObject* o) {
  return PyBool_Check(o) || (!PyLong_Check(o) && is_number(o) && to_scalar(o).is_bool());
}
bool accepts_scalar(PyObject* o) { return is_number(o) || is_scalar_tensor(o); }
Scalar read_scalar(PyObject* o) { return is_tensor(o) ? unwrap(o).item() : to_scalar(o); }

bool convert_ints(const Arg& arg, PyObject* o, Parsed& out) {
  if (!is_list(o)) {
    if (arg.repeat == 0 || !accepts_int(o)) return false;
    int64_t* to = out.ints(static_cast<size_t>(arg.repeat));
    std::fill_n(to, arg.repeat, read_int(o));
    out.push(Value(DimsView(to, static_cast<size_t>(arg.repeat))));
    return true;
  }
  Items items(o);
  for (PyObject* item : items) {
    if (!PyLong_CheckExact(item) && !accepts_int(item)) return false;
  }
  int64_t* to = out.ints(static_cast<size_t>(items.size));
  for (Py_ssize_t i = 0; i < items.size; ++i) to[i] = read_int(items.data[i]);
  // A list of one stands for all of int[N], as in PyTorch: kernel_size=[3].
  if (items.size == 1 && arg.repeat > 1) {
    int64_t* all = out.ints(static_cast<size_t>(arg.repeat));
    std::fill_n(all, arg.repeat, *to);
    out.push(Value(DimsView(all, static_cast<size_t>(arg.repeat))));
    return true;
  }
  if (out.work == 0) {
    int64_t n = 1;
    for (Py_ssize_t i = 0; i < items.size && n < (1 << 20); ++i) n *= std::clamp<int64_t>(to[i], 0, 1 << 20);
    out.work = n;
  }
  out.push(Value(DimsView(to, static_cast<size_t>(items.size))));
  return true;
}

bool convert_tensors(const Arg& arg, PyObject* o, Parsed& out) {
  if (!is_list(o)) return false;
  Items items(o);
  for (PyObject* item : items) {
    if (!is_tensor(item) && !(arg.optional_elements && item == Py_None)) return false;
  }
  // The list may change while the GIL is away, so the handles own.
  auto* list = new std::vector<Tensor>;
  list->reserve(static_cast<size_t>(items.size));
  out.adopt(std::shared_ptr<void>(list, [](void* p) { delete static_cast<std::vector<Tensor>*>(p); }));
  for (PyObject* item : items) {
    list->push_back(item == Py_None ? Tensor() : unwrap(item));
    if (list->back().defined()) out.work += list->back().numel();
  }
  out.push(Value(Span<Tensor>(*list)));
  return true;
}

template <class T, class Accepts, class Read>
bool convert_list(PyObject* o, Parsed& out, Accepts accepts, Read read) {
  if (!is_list(o)) return false;
  Items items(o);
  if (!std::all_of(items.begin(), items.end(), accepts)) return false;
  T* to = out.array<T>(static_cast<size_t>(items.size));
  for (Py_ssize_t i = 0; i < items.size; ++i) new (to + i) T(read(items.data[i]));
  out.push(Value(Span<T>(to, static_cast<size_t>(items.size))));
  return true;
}

template <class T, class Accepts, class Read>
bool convert_one(PyObject* o, Parsed& out, Accepts accepts, Read read) {
  if (!accepts(o)) return false;
  out.push(Value(static_cast<T>(read(o))));
  return true;
}

bool convert(const Arg& arg, PyObject* o, bool number_ok, Parsed& out) {
  if (arg.type == Type::kTensor) {
    if (EMBER_LIKELY(is_exact_tensor(o) || is_tensor(o))) {
      const Tensor& t = unwrap(o);
      out.work += t.numel();
      out.push(Value::borrow(t));
      return true;
    }
    if (number_ok && is_number(o)) {
      out.push(Value(Tensor(to_scalar(o))));
      return true;
    }
  }
  if (o == Py_None && arg.optional) {
    out.push(Value());
    return true;
  }
  switch (arg.type) {
    case Type::kTensor: return false;
    case Type::kTensorList: return convert_tensors(arg, o, out);
    case Type::kInt: return convert_one<int64_t>(o, out, accepts_int, read_int);
    case Type::kIntList: return convert_ints(arg, o, out);
    case Type::kFloat: return convert_one<double>(o, out, accepts_float, read_float);
    case Type::kFloatList: return convert_list<double>(o, out, accepts_float, read_float);
    case Type::kBool:
      return convert_one<bool>(o, out, accepts_bool, [](PyObject* b) { return PyObject_IsTrue(b) == 1; });
    case Type::kBoolList: return convert_list<bool>(o, out, accepts_bool, [](PyObject* b) { return b == Py_True; });
    case Type::kScalar:
      if (!accepts_scalar(o)) return false;
      out.push(Value(read_scalar(o)));
      return true;
    case Type::kScalarList: return convert_list<Scalar>(o, out, accepts_scalar, read_scalar);
    case Type::kString:
      return convert_one<std::string_view>(
          o, out, [](PyObject* s) { return PyUnicode_Check(s) != 0; }, utf8);
    case Type::kDType: return convert_one<DType>(o, out, accepts_dtype, to_dtype);
    case Type::kDevice:
      return convert_one<Device>(o, out, accepts_device, [](PyObject* d) { return usable(to_device(d)); });
    case Type::kLayout: return convert_one<Layout>(o, out, is_layout, to_layout);
    case Type::kMemoryFormat: return convert_one<MemoryFormat>(o, out, is_memory_format, to_memory_format);
    case Type::kGenerator: return convert_one<Generator*>(o, out, is_generator, to_generator);
  }
  return false;
}

// Sorts keywords to their arguments. Returns the position in kwnames of one that has no place, else -1.
enum class Extra { kNone, kOut, kFactory };
Extra extra_keyword(const Signature& s, PyObject* keyword, bool allow_out) {
  const char* k = PyUnicode_AsUTF8(keyword);
  if (allow_out && std::strcmp(k, "out") == 0) return Extra::kOut;
  if (s.factory && (!std::strcmp(k, "layout") || !std::strcmp(k, "pin_memory") || !std::strcmp(k, "requires_grad") ||
                    !std::strcmp(k, "names")))
    return Extra::kFactory;
  return Extra::kNone;
}

bool accept_factory_extra(const char* keyword, PyObject* o, Parsed& out) {
  if (!std::strcmp(keyword, "layout")) {
    if (o == Py_None) return true;
    if (!is_layout(o)) return false;
    EMBER_CHECK_NOT_IMPLEMENTED(to_layout(o) == Layout::kStrided, "layout ", name(to_layout(o)),
                                " is not supported here, only torch.strided is");
    return true;
  }
  if (!std::strcmp(keyword, "names")) return o == Py_None;
  if (!PyBool_Check(o) && o != Py_None) return false;
  if (!std::strcmp(keyword, "requires_grad")) out.requires_grad = o == Py_True;
  return true;  // pin_memory: all CPU memory is alike without an accelerator
}

// Where each argument's object is, by schema position; false when names or numbers do not fit.
bool bind(const Signature& s, const PyArgs& call, bool allow_out, PyObject** bound, Parsed& out, bool& varargs) {
  const Schema& schema = s.op->schema;
  int n = static_cast<int>(schema.args.size());
  Py_ssize_t first = call.method ? 1 : 0;
  std::fill_n(bound, n, nullptr);
  varargs = false;
  // view(2, 3): the only positional argument is a list of sizes, so bare ints are its elements.
  if (call.nargs > first && schema.positional == first + 1 && schema.args[first].type == Type::kIntList &&
      accepts_int(call.args[first])) {
    varargs = call.nargs > schema.positional || schema.args[first].repeat == 0;
  }
  if (call.nargs > schema.positional && !varargs) return false;
  for (Py_ssize_t i = 0; i < std::min<Py_ssize_t>(call.nargs, schema.positional); ++i) bound[i] = call.args[i];
  if (!call.kwnames) return true;
  for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(call.kwnames); ++k) {
    PyObject* keyword = PyTuple_GET_ITEM(call.kwnames, k);
    PyObject* value = call.args[call.nargs + k];
    int at = 0;
    while (at < n && s.names[at] != keyword && s.shown[at] != keyword) ++at;
    if (at == n) {
      at = 0;
      while (at < n && !matches(keyword, schema.args[at])) ++at;
    }
    if (at < n) {
      if (bound[at]) return false;
      bound[at] = value;
      continue;
    }
    switch (extra_keyword(s, keyword, allow_out)) {
      case Extra::kNone: return false;
      case Extra::kOut: out.out = value == Py_None ? nullptr : value; break;
      case Extra::kFactory:
        if (!accept_factory_extra(PyUnicode_AsUTF8(keyword), value, out)) return false;
    }
  }
  return true;
}

bool convert_varargs(const PyArgs& call, Py_ssize_t first, Parsed& out) {
  size_t n = static_cast<size_t>(call.nargs - first);
  int64_t* to = out.ints(n);
  int64_t work = 1;
  for (size_t i = 0; i < n; ++i) {
    PyObject* o = call.args[first + static_cast<Py_ssize_t>(i)];
    if (!accepts_int(o)) return false;
    to[i] = read_int(o);
    work = work < (1 << 20) ? work * std::max<int64_t>(to[i], 0) : work;
  }
  if (first == 0) out.work = work;
  out.push(Value(DimsView(to, n)));
  return true;
}

bool out_fits(const Signature& s, PyObject* out) {
  size_t n = s.op->schema.results.size();
  if (n == 1) return is_tensor(out) || s.op->schema.results[0].type == Type::kTensorList;
  if (!is_list(out) || PySequence_Fast_GET_SIZE(out) != static_cast<Py_ssize_t>(n)) return false;
  Items items(out);
  return std::all_of(items.begin(), items.end(), is_tensor);
}

// Is no argument a tensor, though each may be a number?
bool all_numbers(const Signature& s, PyObject* const* bound) {
  const std::vector<Arg>& args = s.op->schema.args;
  for (size_t i = 0; i < args.size(); ++i)
    if (args[i].type == Type::kTensor && (!bound[i] || is_tensor(bound[i]))) return false;
  return true;
}

bool parse_into(const Signature& s, const PyArgs& call, bool allow_out, Parsed& out) {
  const std::vector<Arg>& args = s.op->schema.args;
  PyObject* bound[kMaxArgs];
  bool varargs = false;
  if (!bind(s, call, allow_out, bound, out, varargs)) return false;
  Py_ssize_t first = call.method ? 1 : 0;
  for (size_t i = 0; i < args.size(); ++i) {
    if (varargs && static_cast<Py_ssize_t>(i) == first) {
      if (!convert_varargs(call, first, out)) return false;
    } else if (static_cast<int>(i) == s.device && (!bound[i] || bound[i] == Py_None)) {
      const std::optional<Device> device = default_device();
      out.push(Value(device ? OptDevice(usable(*device)) : OptDevice()));
    } else if (bound[i]) {
      if (!convert(args[i], bound[i], s.number_ok >> i & 1, out)) return false;
    } else if (args[i].has_default || args[i].optional) {
      out.push(Value::borrow(args[i].fallback));
    } else {
      return false;
    }
  }
  if (EMBER_UNLIKELY(s.wants_tensor) && all_numbers(s, bound)) return false;
  return !out.out || out_fits(s, out.out);
}

}  // namespace

bool same_text(PyObject* a, PyObject* b) { return a == b || PyUnicode_Compare(a, b) == 0; }

// Where numbers may stand for tensors, as PyTorch has it.
struct Numbers {
  uint32_t which;        // bit i: the op's i-th tensor
  bool all;              // every one at once: add(2, 3)
  std::string_view ops;  // words between blanks
};
static constexpr Numbers kNumbers[] = {
    {0b11, true, " add sub mul div subtract multiply divide true_divide floor_divide "},
    {0b11, false, " remainder pow float_power xlogy isin "},
    {0b11, false, " bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift "},
    {0b10, false, " eq ne lt le gt ge not_equal less less_equal greater greater_equal fmod rsub copysign "},
    {0b10, false, " clamp_min clamp_max fill copy searchsorted "},
    {0b01, false, " bucketize "},
    {0b100, false, " lerp masked_fill "},
    {0b110, false, " where "},
};

Signature::Signature(const Op& op) : op(&op) {
  const Schema& schema = op.schema;
  EMBER_CHECK(schema.args.size() <= kMaxArgs, "op ", op.name(), " has more than ", kMaxArgs, " arguments");
  int tensors = 0;
  bool dtype = false, device = false;
  for (const Arg& a : schema.args) {
    names.push_back(check(PyUnicode_InternFromString(a.name.c_str())));
    shown.push_back(a.name == "self" ? check(PyUnicode_InternFromString("input")) : names.back());
    tensors += a.type == Type::kTensor;
    dtype |= a.name == "dtype", device |= a.name == "device";
  }
  factory = dtype && device;
  if (factory && tensors == 0) this->device = schema.find("device");
  for (const Numbers& numbers : kNumbers) {
    if (numbers.ops.find(" " + op.name() + " ") == numbers.ops.npos) continue;
    int at = 0;
    for (size_t i = 0; i < schema.args.size(); ++i) {
      if (schema.args[i].type == Type::kTensor && (numbers.which >> at++ & 1)) number_ok |= uint64_t{1} << i;
    }
    wants_tensor = !numbers.all && tensors == std::popcount(number_ok);
  }
}

void Parsed::reset() {
  Value* v = reinterpret_cast<Value*>(raw_);
  while (count_) v[--count_].~Value();
  used_ = 0, out = nullptr, requires_grad = false, work = 0;
  if (!rare_.empty()) rare_.clear();
}

int64_t* Parsed::ints(size_t n) {
  if (used_ + n > kInts) return array<int64_t>(n);
  int64_t* at = ints_ + used_;
  used_ += n;
  return at;
}

bool parse(const Signature& s, const PyArgs& call, bool allow_out, Parsed& out) {
  if (EMBER_LIKELY(parse_into(s, call, allow_out, out))) return true;
  out.reset();
  return false;
}

// ---- messages ----

namespace {

std::string type_text(const Arg& a) {
  switch (a.type) {
    case Type::kTensor: return "Tensor";
    case Type::kTensorList: return "tuple of Tensors";
    case Type::kInt: return "int";
    case Type::kIntList: return "tuple of ints";
    case Type::kFloat: return "float";
    case Type::kFloatList: return "tuple of floats";
    case Type::kBool: return "bool";
    case Type::kBoolList: return "tuple of bools";
    case Type::kScalar: return "Number";
    case Type::kScalarList: return "tuple of Scalars";
    case Type::kString: return "str";
    case Type::kDType: return "torch.dtype";
    case Type::kDevice: return "torch.device";
    case Type::kLayout: return "torch.layout";
    case Type::kMemoryFormat: return "torch.memory_format";
    case Type::kGenerator: return "torch.Generator";
  }
  return "";
}
std::string value_text(const Arg& a) {
  const Value& v = a.fallback;
  switch (v.tag()) {
    case Tag::kNone: return "None";
    case Tag::kBool: return v.get<bool>() ? "True" : "False";
    case Tag::kString: return str("\"", v.get<std::string_view>(), "\"");
    case Tag::kDType: return str("torch.", v.get<DType>());
    case Tag::kMemoryFormat: return str("torch.", name(v.get<MemoryFormat>()));
    case Tag::kIntList: {
      std::string list = str(v.ints());
      list.front() = '(', list.back() = ')';
      return list;
    }
    default: return v.is_number() ? str(v.scalar()) : "None";
  }
}
std::string shown_name(const Signature& s, size_t i) { return std::string(utf8(s.shown[i])); }

std::string signature_text(const Signature& s, bool method, bool allow_out) {
  const Schema& schema = s.op->schema;
  std::string out = "(";
  bool keyword = false;
  for (size_t i = method ? 1 : 0; i < schema.args.size(); ++i) {
    const Arg& a = schema.args[i];
    if (out.size() > 1) out += ", ";
    if (a.keyword_only && !keyword) out += "*, ", keyword = true;
    out += type_text(a) + " " + shown_name(s, i);
    if (a.has_default || a.optional) out += " = " + value_text(a);
  }
  if (allow_out && (s.op->forms & form::kOut)) {
    if (out.size() > 1) out += ", ";
    if (!keyword) out += "*, ";
    out += schema.results.size() > 1 ? "tuple of Tensors out = None" : "Tensor out = None";
  }
  return out + ")";
}

std::string element_types(PyObject* o) {
  if (!is_list(o)) return type_name(o);
  std::string out = std::string(Py_TYPE(o)->tp_name) + " of ";
  out += PyTuple_Check(o) ? "(" : "[";
  Items items(o);
  for (Py_ssize_t i = 0; i < items.size; ++i) {
    if (i) out += ", ";
    if (i == 16) {
      out += "...";
      break;
    }
    out += type_name(items.data[i]);
  }
  return out + (PyTuple_Check(o) ? ")" : "]");
}
std::string got_text(const PyArgs& call) {
  std::string out = "(";
  for (Py_ssize_t i = call.method ? 1 : 0; i < call.total(); ++i) {
    if (out.size() > 1) out += ", ";
    if (i >= call.nargs) (out += utf8(PyTuple_GET_ITEM(call.kwnames, i - call.nargs))) += "=";
    out += is_list(call.args[i]) ? (PyTuple_Check(call.args[i]) ? "tuple" : "list") : type_name(call.args[i]);
  }
  return out + ")";
}

// Why the call does not fit this one overload.
std::string explain(const std::string& name, const Signature& s, const PyArgs& call, bool allow_out) {
  const Schema& schema = s.op->schema;
  size_t first = call.method ? 1 : 0;
  if (call.nargs > schema.positional) {
    int64_t most = schema.positional - static_cast<int64_t>(first), given = call.nargs - static_cast<int64_t>(first);
    int64_t least = 0;
    for (size_t i = first; i < static_cast<size_t>(schema.positional); ++i)
      least += !schema.args[i].has_default && !schema.args[i].optional;
    return str(name, "() takes ", least < most ? str("from ", least, " to ", most) : str(most), " positional argument",
               most == 1 ? "" : "s", " but ", given, given == 1 ? " was given" : " were given");
  }
  std::vector<PyObject*> bound(schema.args.size());
  for (Py_ssize_t i = 0; i < call.nargs; ++i) bound[static_cast<size_t>(i)] = call.args[i];
  Parsed scratch;
  for (Py_ssize_t k = 0; call.kwnames && k < PyTuple_GET_SIZE(call.kwnames); ++k) {
    PyObject* keyword = PyTuple_GET_ITEM(call.kwnames, k);
    PyObject* value = call.args[call.nargs + k];
    auto at = std::ranges::find_if(schema.args, [&](const Arg& a) { return matches(keyword, a); });
    if (at != schema.args.end()) {
      PyObject*& slot = bound[static_cast<size_t>(at - schema.args.begin())];
      if (slot) return str(name, "() got multiple values for argument '", utf8(keyword), "'");
      slot = value;
      continue;
    }
    Extra extra = extra_keyword(s, keyword, allow_out);
    if (extra == Extra::kNone) return str(name, "() got an unexpected keyword argument '", utf8(keyword), "'");
    if (extra == Extra::kOut && value != Py_None && !out_fits(s, value)) {
      return str(name, "(): argument 'out' must be ", schema.results.size() > 1 ? "tuple of Tensors" : "Tensor",
                 ", not ", is_list(value) ? element_types(value) : type_name(value));
    }
    if (extra == Extra::kFactory && !accept_factory_extra(utf8(keyword).data(), value, scratch))
      return str(name, "(): argument '", utf8(keyword), "' must be ",
                 utf8(keyword) == "layout" ? "torch.layout" : "bool", ", not ", type_name(value));
  }
  std::string missing;
  int64_t count = 0;
  for (size_t i = 0; i < bound.size(); ++i) {
    if (bound[i] || schema.args[i].has_default || schema.args[i].optional) continue;
    missing += (count++ ? ", \"" : "\"") + shown_name(s, i) + "\"";
  }
  if (count) return str(name, "() missing ", count, " required positional arguments: ", missing);
  const uint64_t number_ok = s.wants_tensor && all_numbers(s, bound.data()) ? 0 : s.number_ok;
  for (size_t i = 0; i < bound.size(); ++i) {
    if (!bound[i] || convert(schema.args[i], bound[i], number_ok >> i & 1, scratch)) continue;
    const Arg& a = schema.args[i];
    bool positional = static_cast<Py_ssize_t>(i) < call.nargs;
    std::string where = positional ? str(" (position ", static_cast<int64_t>(i + 1 - first), ")") : "";
    if (is_list(bound[i]) && (a.type == Type::kIntList || a.type == Type::kTensorList || a.type == Type::kFloatList)) {
      Items items(bound[i]);
      for (Py_ssize_t j = 0; j < items.size; ++j) {
        bool fine = a.type == Type::kIntList      ? accepts_int(items.data[j])
                    : a.type == Type::kTensorList ? is_tensor(items.data[j])
                                                  : accepts_float(items.data[j]);
        if (fine) continue;
        if (a.type == Type::kTensorList)
          return str(name, "(): expected Tensor as element ", int64_t{j}, " in argument ",
                     static_cast<int64_t>(i - first), ", but got ", type_name(items.data[j]));
        return str(name, "(): argument '", shown_name(s, i), "' failed to unpack the object at pos ", int64_t{j + 1},
                   " with error \"type must be ", type_text(a), ",but got ", type_name(items.data[j]), "\"");
      }
    }
    return str(name, "(): argument '", shown_name(s, i), "'", where, " must be ", type_text(a), ", not ",
               is_list(bound[i]) ? (PyTuple_Check(bound[i]) ? "tuple" : "list") : type_name(bound[i]));
  }
  return str(name, "(): invalid arguments ", got_text(call));
}

}  // namespace

void raise_mismatch(const std::string& name, const std::vector<Signature>& overloads, const PyArgs& call,
                    bool allow_out) {
  if (overloads.size() == 1) throw TypeError(explain(name, overloads[0], call, allow_out));
  std::string message =
      str(name, "() received an invalid combination of arguments - got ", got_text(call), ", but expected one of:");
  for (const Signature& s : overloads) message += "\n * " + signature_text(s, call.method, allow_out);
  throw TypeError(message + "\n");
}

}  // namespace ember::python
