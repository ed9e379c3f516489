// Generator: the random stream as a Python object, and the default one.
#include "tensor/generator.h"

#include "python/tensor_object.h"

namespace ember::python {
namespace {

struct GeneratorObject {
  PyObject_HEAD Generator* generator;  // owned
};
PyTypeObject* generator_type;

Generator& of(PyObject* o) { return *reinterpret_cast<GeneratorObject*>(o)->generator; }

PyObject* make(Ptr<Generator> generator) {
  PyObject* o = check(generator_type->tp_alloc(generator_type, 0));
  reinterpret_cast<GeneratorObject*>(o)->generator = generator.unsafe_release();
  return o;
}
void dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  if (Generator* g = reinterpret_cast<GeneratorObject*>(o)->generator) g->release();
  type->tp_free(o);
  Py_DECREF(type);
}
PyObject* generator_new(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  return guard([&]() -> PyObject* {
    static const char* names[] = {"device", nullptr};
    PyObject* device = nullptr;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:Generator", const_cast<char**>(names), &device)) return nullptr;
    if (device) {
      EMBER_CHECK_TYPE(accepts_device(device), "Generator(): argument 'device' must be torch.device, not ",
                       type_name(device));
      Device d = to_device(device);
      EMBER_CHECK(d.type == DeviceType::kCPU, "Device type ", name(d.type),
                  " is not supported for torch.Generator() api.");
    }
    return make(make_ptr<Generator>());
  });
}

PyObject* manual_seed(PyObject* self, PyObject* seed) {
  return guard([&]() -> PyObject* {
    EMBER_CHECK(is_integer(seed), "manual_seed expected a long, but got ", type_name(seed));
    // Negative seeds count from the top, as in PyTorch.
    Ref index = own(PyNumber_Index(seed));
    int overflow = 0;
    int64_t value = PyLong_AsLongLongAndOverflow(index.get(), &overflow);
    uint64_t bits = overflow > 0 ? PyLong_AsUnsignedLongLong(index.get()) : static_cast<uint64_t>(value);
    if (overflow && PyErr_Occurred()) PyErr_Clear(), overflow = -1;
    EMBER_CHECK_VALUE(overflow >= 0, "Overflow when unpacking long long");
    std::lock_guard lock(of(self).mutex());
    of(self).manual_seed(bits);
    return Py_NewRef(self);
  });
}
PyObject* seed(PyObject* self, PyObject*) {
  return guard([&] {
    std::lock_guard lock(of(self).mutex());
    return PyLong_FromUnsignedLongLong(of(self).seed());
  });
}
PyObject* initial_seed(PyObject* self, PyObject*) { return PyLong_FromUnsignedLongLong(of(self).initial_seed()); }
PyObject* get_state(PyObject* self, PyObject*) {
  return guard([&] {
    Tensor state = empty_raw({static_cast<int64_t>(Generator::kStateBytes)}, DType::kUInt8);
    std::lock_guard lock(of(self).mutex());
    of(self).get_state(state.data());
    return wrap(std::move(state));
  });
}
PyObject* set_state(PyObject* self, PyObject* state) {
  return guard([&]() -> PyObject* {
    EMBER_CHECK_TYPE(is_tensor(state), "expected a torch.ByteTensor, but got ", type_name(state));
    const Tensor& t = unwrap(state);
    EMBER_CHECK_TYPE(t.dtype() == DType::kUInt8 && t.device().type == DeviceType::kCPU && t.is_contiguous(),
                     "RNG state must be a torch.ByteTensor");
    std::lock_guard lock(of(self).mutex());
    of(self).set_state(t.data(), static_cast<size_t>(t.numel()));
    return Py_NewRef(self);
  });
}
PyObject* clone_state(PyObject* self, PyObject*) {
  return guard([&] { return make(of(self).clone()); });
}
PyObject* get_device(PyObject*, void*) {
  return guard([] { return wrap(kCpu); });
}
PyObject* reduce(PyObject* self, PyObject*) {
  return guard([&] {
    Ref rebuild = own(PyImport_ImportModule("ember._utils"));
    Ref state = own(get_state(self, nullptr));
    return Py_BuildValue("(N(O))", check(PyObject_GetAttrString(rebuild.get(), "_rebuild_generator")), state.get());
  });
}

PyMethodDef methods[] = {{"manual_seed", manual_seed, METH_O, "Seeds the stream; returns the generator."},
                         {"seed", seed, METH_NOARGS, "Seeds from the system's entropy; returns the seed."},
                         {"initial_seed", initial_seed, METH_NOARGS, "The seed that the stream started from."},
                         {"get_state", get_state, METH_NOARGS, "The state as a byte tensor, PyTorch's layout."},
                         {"set_state", set_state, METH_O, "Takes over a state; RuntimeError when it is impossible."},
                         {"clone_state", clone_state, METH_NOARGS, "A generator that continues the same stream apart."},
                         {"__reduce__", reduce, METH_NOARGS, nullptr},
                         {}};
PyGetSetDef getset[] = {{"device", get_device, nullptr, nullptr, nullptr}, {}};
PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(generator_new)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, getset},
                       {}};
PyType_Spec spec = {"ember.Generator", sizeof(GeneratorObject), 0, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

bool is_generator(PyObject* o) { return Py_TYPE(o) == generator_type; }
Generator* to_generator(PyObject* o) { return &of(o); }
PyObject* wrap(Generator* g) { return make(Ptr<Generator>::share(g)); }

void init_generator(PyObject* module) {
  generator_type = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&spec)));
  check(PyModule_AddObjectRef(module, "Generator", reinterpret_cast<PyObject*>(generator_type)));
  Ref standard = own(wrap(default_generator().get()));
  check(PyModule_AddObjectRef(module, "default_generator", standard.get()));
}

}  // namespace ember::python
