// Checkpoints and safetensors for Python: trees of data (io/tree.h) to Python's objects and back.
// Loading makes only what a Tree can hold; names that the user allowed are looked up through the callables that
// Python hands in. Saving takes plain objects; what is not plain is left to Python's pickler, whose bytes come back
// here to be written with their storages.
#include <unordered_map>

#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "python/tensor_object.h"

namespace ember::python {
namespace {

using io::Kind;
using io::Node;
using io::Tree;

Ref attribute(const char* module, const char* name) {
  Ref m = own(PyImport_ImportModule(module));
  return own(PyObject_GetAttrString(m.get(), name));
}

// ---- a Tree as objects ----

class Builder {
 public:
  Builder(const io::Checkpoint& checkpoint, PyObject* lookup) : checkpoint_(checkpoint), lookup_(lookup) {}

  Ref build(const Node* n) {
    if (auto found = made_.find(n); found != made_.end()) return found->second;
    Ref object = make(n);
    made_[n] = object;  // containers note themselves before their items; the tree has no cycles, so this is enough
    return object;
  }

 private:
  Ref make(const Node* n) {
    switch (n->kind) {
      case Kind::kNone: return Ref::borrow(Py_None);
      case Kind::kBool: return own(PyBool_FromLong(n->integer));
      case Kind::kInt: return own(PyLong_FromLongLong(n->integer));
      case Kind::kBigInt:
        return own(_PyLong_FromByteArray(reinterpret_cast<const unsigned char*>(n->text.data()), n->text.size(), 1, 1));
      case Kind::kFloat: return own(PyFloat_FromDouble(n->real));
      case Kind::kComplex: return own(PyComplex_FromDoubles(n->real, n->imag));
      case Kind::kString:
        return own(PyUnicode_DecodeUTF8(n->text.data(), static_cast<Py_ssize_t>(n->text.size()), "surrogatepass"));
      case Kind::kBytes: return own(PyBytes_FromStringAndSize(n->text.data(), static_cast<Py_ssize_t>(n->text.size())));
      case Kind::kByteArray:
        return own(PyByteArray_FromStringAndSize(n->text.data(), static_cast<Py_ssize_t>(n->text.size())));
      case Kind::kList: {
        Ref list = own(PyList_New(static_cast<Py_ssize_t>(n->items.size())));
        for (size_t i = 0; i < n->items.size(); ++i)
          PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), build(n->items[i]).release());
        return list;
      }
      case Kind::kTuple: return tuple(n);
      case Kind::kSet: {
        Ref set = own(PySet_New(nullptr));
        for (const Node* item : n->items) check(PySet_Add(set.get(), build(item).get()));
        return set;
      }
      case Kind::kDict: return fill(own(PyDict_New()), n);
      case Kind::kOrderedDict: return fill(call("collections", "OrderedDict"), n);
      case Kind::kCounter: return fill(call("collections", "Counter"), n);
      case Kind::kSize: {
        Dims sizes;
        for (const Node* item : n->items) sizes.push_back(item->integer);
        return own(wrap_size(sizes));
      }
      case Kind::kDType: {
        DType d;
        EMBER_CHECK(io::dtype_named(n->text, &d), "load: there is no dtype named ", n->text);
        return own(wrap(d));
      }
      case Kind::kDevice: return own(wrap(parse_device(n->text)));
      case Kind::kLayout: return own(wrap(Layout::kStrided));
      case Kind::kStorage: {
        const auto& s = checkpoint_.storages[static_cast<size_t>(n->integer)];
        Tensor bytes(make_ptr<TensorImpl>(s, DType::kUInt8, s->device()));
        bytes->set_sizes_contiguous({s->nbytes()});
        Ref tensor = own(wrap(bytes));
        Ref type = attribute("ember.storage", "UntypedStorage");
        return own(PyObject_CallOneArg(type.get(), tensor.get()));
      }
      case Kind::kTensor: {
        Tensor t = io::make_tensor(checkpoint_, *n->tensor);
        if (n->tensor->requires_grad) t.set_requires_grad(true);
        return with_state(own(wrap(std::move(t))), n);
      }
      case Kind::kParameter: {
        Ref type = attribute("ember.nn.parameter", "Parameter");
        Ref data = build(n->items.at(0));
        return with_state(own(PyObject_CallFunction(type.get(), "OO", data.get(), n->integer ? Py_True : Py_False)), n);
      }
      case Kind::kGlobal:
        return own(PyObject_CallFunction(lookup_, "s#", n->text.data(), static_cast<Py_ssize_t>(n->text.size())));
      case Kind::kCall:
      case Kind::kObject: {
        Ref function = build(n->items.at(0)), args = build(n->items.at(1));
        if (n->kind == Kind::kObject) {  // cls.__new__(cls, *args)
          Ref fresh = own(PyObject_GetAttrString(function.get(), "__new__")),
              first = own(PyTuple_Pack(1, function.get()));
          args = own(PySequence_Concat(first.get(), args.get()));
          function = std::move(fresh);
        }
        return with_state(own(PyObject_Call(function.get(), args.get(), nullptr)), n);
      }
    }
    EMBER_FAIL("load: a node of an unknown kind");
  }

  Ref tuple(const Node* n) {
    Ref t = own(PyTuple_New(static_cast<Py_ssize_t>(n->items.size())));
    for (size_t i = 0; i < n->items.size(); ++i)
      PyTuple_SET_ITEM(t.get(), static_cast<Py_ssize_t>(i), build(n->items[i]).release());
    return t;
  }
  Ref fill(Ref dict, const Node* n) {
    for (size_t i = 0; i + 1 < n->items.size(); i += 2) {
      Ref key = build(n->items[i]), value = build(n->items[i + 1]);
      check(PyObject_SetItem(dict.get(), key.get(), value.get()));
    }
    return with_state(std::move(dict), n);
  }
  static Ref call(const char* module, const char* name) {
    Ref type = attribute(module, name);
    return own(PyObject_CallNoArgs(type.get()));
  }
  Ref with_state(Ref object, const Node* n) {
    if (!n->state) return object;
    Ref state = build(n->state), set = attribute("ember._utils", "_restore_state");
    own(PyObject_CallFunctionObjArgs(set.get(), object.get(), state.get(), nullptr));
    return object;
  }

  const io::Checkpoint& checkpoint_;
  PyObject* lookup_;
  std::unordered_map<const Node*, Ref> made_;
};

std::string_view bytes_of(PyObject* o) {
  char* data;
  Py_ssize_t size;
  check(PyBytes_AsStringAndSize(o, &data, &size));
  return {data, static_cast<size_t>(size)};
}

// _load_tree(path or bytes, mmap, allowed: (name) -> bool, lookup: (name) -> object, locate: (location) -> None)
PyObject* load_tree(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject *source, *allowed, *lookup, *locate;
    int mmap;
    if (!PyArg_ParseTuple(args, "OpOOO:_load_tree", &source, &mmap, &allowed, &lookup, &locate)) return nullptr;
    io::LoadOptions options;
    options.mmap = mmap;
    options.pickle.allow = [&](std::string_view name) {
      Ref answer = own(PyObject_CallFunction(allowed, "s#", name.data(), static_cast<Py_ssize_t>(name.size())));
      return PyObject_IsTrue(answer.get()) == 1;
    };
    io::Checkpoint checkpoint;
    if (PyBytes_Check(source)) {
      auto bytes = std::string(bytes_of(source));
      checkpoint = io::load_checkpoint(io::memory_source(std::move(bytes)), options);
    } else {
      checkpoint = io::load_checkpoint(std::string(utf8(source)), options);
    }
    for (const auto& s : checkpoint.tree.storages)
      own(PyObject_CallFunction(locate, "s#", s.location.data(), static_cast<Py_ssize_t>(s.location.size())));
    return Builder(checkpoint, lookup).build(checkpoint.tree.root).release();
  });
}

// ---- objects as a Tree ----

struct NotPlain {};  // thrown at the first object that is not data

class Collector {
 public:
  io::CheckpointBuilder out;

  Node* add(PyObject* o) {
    if (auto found = seen_.find(o); found != seen_.end()) {
      if (!found->second) throw NotPlain();  // a container within itself
      return found->second;
    }
    if (++depth_ > io::kMaxDepth / 2) throw NotPlain();
    Node* n = make(o);
    --depth_;
    seen_[o] = n;
    return n;
  }

 private:
  Node* make(PyObject* o) {
    Tree& tree = out.tree;
    if (o == Py_None) return tree.add(Kind::kNone);
    if (PyBool_Check(o)) return tree.add_int(o == Py_True, Kind::kBool);
    if (PyLong_CheckExact(o)) return integer(o);
    if (PyFloat_CheckExact(o)) return tree.add_float(PyFloat_AS_DOUBLE(o));
    if (PyComplex_CheckExact(o))
      return tree.add_float(PyComplex_RealAsDouble(o), PyComplex_ImagAsDouble(o), Kind::kComplex);
    if (PyUnicode_CheckExact(o)) {
      Ref bytes = own(PyUnicode_AsEncodedString(o, "utf-8", "surrogatepass"));
      return tree.add_string(bytes_of(bytes.get()));
    }
    if (PyBytes_CheckExact(o)) return tree.add(Kind::kBytes, std::string(bytes_of(o)));
    if (PyList_CheckExact(o)) return sequence(o, Kind::kList);
    if (PyTuple_CheckExact(o)) return sequence(o, Kind::kTuple);
    if (PyAnySet_CheckExact(o) && PySet_Check(o)) return sequence(o, Kind::kSet);
    if (PyDict_CheckExact(o)) return dict(o, Kind::kDict);
    if (is_ordered_dict(o)) return ordered_dict(o);
    if (Py_TYPE(o) == size_type) {
      Node* n = tree.add(Kind::kSize);
      for (int64_t s : to_dims(o)) n->items.push_back(tree.add_int(s));
      return n;
    }
    if (is_dtype(o)) return tree.add(Kind::kDType, std::string(name(to_dtype(o))));
    if (is_device(o)) return tree.add(Kind::kDevice, str(to_device(o)));
    if (is_tensor(o)) return tensor(o);
    throw NotPlain();
  }

  Node* integer(PyObject* o) {
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (!overflow) return out.tree.add_int(v);
    size_t bytes = _PyLong_NumBits(o) / 8 + 1;
    std::string text(bytes, '\0');
#if PY_VERSION_HEX >= 0x030D0000
    check(_PyLong_AsByteArray(reinterpret_cast<PyLongObject*>(o), reinterpret_cast<unsigned char*>(text.data()), bytes,
                              1, 1, 1));
#else
    check(_PyLong_AsByteArray(reinterpret_cast<PyLongObject*>(o), reinterpret_cast<unsigned char*>(text.data()), bytes,
                              1, 1));
#endif
    return out.tree.add(Kind::kBigInt, std::move(text));
  }
  Node* sequence(PyObject* o, Kind kind) {
    seen_[o] = nullptr;
    Node* n = out.tree.add(kind);
    Ref iterator = own(PyObject_GetIter(o));
    while (Ref item{PyIter_Next(iterator.get())}) keep_.push_back(item), n->items.push_back(add(item.get()));
    if (PyErr_Occurred()) throw PythonError();
    return n;
  }
  Node* dict(PyObject* o, Kind kind) {
    seen_[o] = nullptr;
    Node* n = out.tree.add(kind);
    Ref items = own(PyMapping_Items(o));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.get()); ++i) {
      PyObject* pair = PyList_GET_ITEM(items.get(), i);
      keep_.push_back(Ref::borrow(PyTuple_GET_ITEM(pair, 1)));
      n->items.push_back(add(PyTuple_GET_ITEM(pair, 0)));
      n->items.push_back(add(PyTuple_GET_ITEM(pair, 1)));
    }
    return n;
  }
  bool is_ordered_dict(PyObject* o) {
    if (!ordered_) ordered_ = attribute("collections", "OrderedDict");
    return reinterpret_cast<PyObject*>(Py_TYPE(o)) == ordered_.get();
  }
  Node* ordered_dict(PyObject* o) {
    Node* n = dict(o, Kind::kOrderedDict);
    Ref state{PyObject_GetAttrString(o, "__dict__")};
    if (!state) PyErr_Clear();
    else if (PyDict_Check(state.get()) && PyDict_GET_SIZE(state.get())) n->state = keep(std::move(state));
    return n;
  }
  Node* keep(Ref o) {
    keep_.push_back(o);
    return add(o.get());
  }
  Node* tensor(PyObject* o) {
    const Tensor& t = unwrap(o);
    EMBER_CHECK(t.device() == kCpu && t.layout() == Layout::kStrided, "save: tensors on ", t.device(),
                " cannot be written");
    if (!parameter_) parameter_ = attribute("ember.nn.parameter", "Parameter");
    bool exact = is_exact_tensor(o), parameter = reinterpret_cast<PyObject*>(Py_TYPE(o)) == parameter_.get();
    if (!exact && !parameter) throw NotPlain();
    Node* data = out.add(t);
    data->tensor->requires_grad = exact && t.requires_grad();
    Node* n = data;
    if (parameter) n = out.tree.add(Kind::kParameter, std::vector<Node*>{data}), n->integer = t.requires_grad();
    Ref state{PyObject_GetAttrString(o, "__dict__")};
    if (!state) PyErr_Clear();
    else if (PyDict_Check(state.get()) && PyDict_GET_SIZE(state.get())) n->state = keep(std::move(state));
    return n;
  }

  std::unordered_map<PyObject*, Node*> seen_;
  std::vector<Ref> keep_;  // objects that were made on the way: their addresses must not be used again
  Ref ordered_, parameter_;
  int depth_ = 0;
};

// Runs write(sink) on the file, or on memory whose bytes it returns when there is no path.
template <class F>
PyObject* to_sink(PyObject* path, F&& write) {
  if (path != Py_None) {
    io::FileSink sink{std::string(utf8(path))};
    write(sink);
    sink.commit();
    Py_RETURN_NONE;
  }
  io::MemorySink sink;
  write(sink);
  const std::string& bytes = sink.bytes();
  return check(PyBytes_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size())));
}

// _save_tree(object, path or None) -> (False, None) for what is not plain, else (True, bytes or None)
PyObject* save_tree(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject *object, *path;
    if (!PyArg_ParseTuple(args, "OO:_save_tree", &object, &path)) return nullptr;
    Collector collector;
    try {
      collector.out.tree.root = collector.add(object);
    } catch (const NotPlain&) { return Py_BuildValue("(OO)", Py_False, Py_None); }
    PyObject* bytes = to_sink(path, [&](io::Sink& sink) { collector.out.save(sink); });
    return Py_BuildValue("(ON)", Py_True, bytes);
  });
}

// _write_archive(pickle bytes, [tensor over a whole storage, ...], path or None) -> bytes or None
PyObject* write_archive(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject *pickle, *storages, *path;
    if (!PyArg_ParseTuple(args, "SO!O:_write_archive", &pickle, &PyList_Type, &storages, &path)) return nullptr;
    std::vector<io::StorageBytes> list;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(storages); ++i) {
      const Tensor& t = unwrap(PyList_GET_ITEM(storages, i));
      list.push_back({t.data(), static_cast<uint64_t>(t.numel() * item_size(t.dtype()))});
    }
    return to_sink(path, [&](io::Sink& sink) { io::write_archive(sink, bytes_of(pickle), list); });
  });
}

// ---- safetensors ----

// _safetensors_load(path or bytes) -> (dict of tensors, dict of metadata)
PyObject* safetensors_load(PyObject*, PyObject* source) {
  return guard([&]() -> PyObject* {
    io::SafeTensors file = PyBytes_Check(source) ? io::SafeTensors(io::memory_source(std::string(bytes_of(source))))
                                                 : io::SafeTensors(std::string(utf8(source)));
    Ref tensors = own(PyDict_New()), metadata = own(PyDict_New());
    for (const auto& info : file.tensors()) {
      Ref t = own(wrap(file.tensor(info))), key = text(info.name);
      check(PyDict_SetItem(tensors.get(), key.get(), t.get()));
    }
    for (const auto& [k, v] : file.metadata()) {
      Ref key = text(k), value = text(v);
      check(PyDict_SetItem(metadata.get(), key.get(), value.get()));
    }
    return Py_BuildValue("(NN)", tensors.release(), metadata.release());
  });
}

// _safetensors_save(dict of tensors, dict of metadata, path or None) -> bytes or None
PyObject* safetensors_save(PyObject*, PyObject* args) {
  return guard([&]() -> PyObject* {
    PyObject *tensors, *metadata, *path, *key, *value;
    if (!PyArg_ParseTuple(args, "O!O!O:_safetensors_save", &PyDict_Type, &tensors, &PyDict_Type, &metadata, &path))
      return nullptr;
    io::NamedTensors list;
    std::map<std::string, std::string> notes;
    for (Py_ssize_t at = 0; PyDict_Next(tensors, &at, &key, &value);) {
      EMBER_CHECK_TYPE(PyUnicode_Check(key) && is_tensor(value),
                       "save_file: tensors must be a dict from str to Tensor, got ", type_name(value));
      EMBER_CHECK_VALUE(unwrap(value).is_contiguous(), "save_file: tensor '", utf8(key),
                        "' is not contiguous; call .contiguous() first");
      list.emplace_back(utf8(key), unwrap(value));
    }
    for (Py_ssize_t at = 0; PyDict_Next(metadata, &at, &key, &value);) {
      EMBER_CHECK_TYPE(PyUnicode_Check(key) && PyUnicode_Check(value),
                       "save_file: metadata must be a dict from str to str");
      notes.emplace(utf8(key), utf8(value));
    }
    return to_sink(path, [&](io::Sink& sink) { io::write_safetensors(sink, list, notes); });
  });
}

PyMethodDef functions[] = {{"_load_tree", load_tree, METH_VARARGS, nullptr},
                           {"_save_tree", save_tree, METH_VARARGS, nullptr},
                           {"_write_archive", write_archive, METH_VARARGS, nullptr},
                           {"_safetensors_load", safetensors_load, METH_O, nullptr},
                           {"_safetensors_save", safetensors_save, METH_VARARGS, nullptr},
                           {}};

}  // namespace

void init_serialization(PyObject* module) { add_functions(module, functions); }

}  // namespace ember::python
