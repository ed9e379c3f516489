// The Tensor type's life: creation, the change of owner, death, garbage collection.
// Plain tensors come from a freelist and are not tracked by the collector until they can be part of a cycle, that is
// until they get an attribute or a hook, or autograd hangs something on their impl.
#include "python/tensor_object.h"

#include <structmember.h>

#include <vector>

#include "python/function_node.h"

namespace ember::python {

PyTypeObject* tensor_type;

void track(PyObject* o) {
  if (!PyObject_GC_IsTracked(o)) PyObject_GC_Track(o);
}

namespace {

constexpr size_t kMaxFree = 128;
TensorObject* freelist[kMaxFree];  // guarded by the GIL
size_t num_free = 0;

TensorObject* as_object(PyObject* o) { return reinterpret_cast<TensorObject*>(o); }
PyObject* object_of(uintptr_t slot) { return reinterpret_cast<PyObject*>(slot & ~uintptr_t{1}); }

PyObject* allocate(PyTypeObject* type) {
  if (EMBER_LIKELY(type == tensor_type && num_free)) {
    PyObject* o = reinterpret_cast<PyObject*>(freelist[--num_free]);
    return PyObject_Init(o, type);
  }
  PyObject* o = type->tp_alloc(type, 0);  // zeroed and tracked
  if (o && type == tensor_type) PyObject_GC_UnTrack(o);
  return o;
}

// Can the impl outlive this object without the object being missed?
bool carries_nothing(const TensorObject* self) {
  return is_exact_tensor(reinterpret_cast<PyObject*>(const_cast<TensorObject*>(self))) && !self->dict &&
         !self->weakrefs && !self->hooks;
}

// Gives the object to its impl. True when the impl took it.
bool resurrect(TensorObject* self) {
  TensorImpl* impl = self->impl;
  if (!impl || impl->use_count() <= 1 || carries_nothing(self)) return false;
  PyObject* o = reinterpret_cast<PyObject*>(self);
  Py_SET_REFCNT(o, 1);  // the impl's reference
  impl->python_object.store(reinterpret_cast<uintptr_t>(o) | 1, std::memory_order_release);
  impl->release();  // if the other owners went meanwhile, ~TensorImpl drops the object right here
  return true;
}

void dealloc(PyObject* o) {
  TensorObject* self = as_object(o);
  PyTypeObject* type = Py_TYPE(o);
  if (self->impl && self->impl->autograd && self->impl->use_count() > 1) open_ring_of_grad(self->impl);
  if (resurrect(self)) return;
  if (PyObject_GC_IsTracked(o)) PyObject_GC_UnTrack(o);
  if (self->weakrefs) PyObject_ClearWeakRefs(o);
  Py_CLEAR(self->dict);
  Py_CLEAR(self->hooks);
  if (TensorImpl* impl = std::exchange(self->impl, nullptr)) {
    impl->python_object.store(0, std::memory_order_relaxed);
    impl->release();
  }
  if (type == tensor_type && num_free < kMaxFree) {
    freelist[num_free++] = self;
    Py_DECREF(type);
    return;
  }
  type->tp_free(o);
  Py_DECREF(type);
}

// Called as an impl dies that kept its object. Usually the object dies with it. Where somebody got hold of it behind
// wrap()'s back (through a weak reference or gc.get_objects()), the tensor moves into a fresh impl and lives on.
void release_object(uintptr_t slot) {
  if (!Py_IsInitialized()) return;
  WithGil gil;
  PyObject* o = object_of(slot);
  TensorObject* self = as_object(o);
  TensorImpl* dying = self->impl;
  self->impl = nullptr;
  if (Py_REFCNT(o) > 1 && dying) {
    auto fresh = make_ptr<TensorImpl>(std::move(dying->storage), dying->dtype, dying->device);
    fresh->keys = dying->keys, fresh->offset = dying->offset, fresh->layout = dying->layout;
    fresh->set_sizes(dying->sizes, dying->strides);
    fresh->wrapped_number = dying->wrapped_number, fresh->inference = dying->inference;
    fresh->requires_grad = dying->requires_grad, fresh->view_base = std::move(dying->view_base);
    fresh->own_version = std::move(dying->own_version);
    move_autograd(*dying, *fresh);
    fresh->extra = std::move(dying->extra);
    fresh->python_object.store(slot & ~uintptr_t{1}, std::memory_order_relaxed);
    self->impl = fresh.unsafe_release();
  }
  Py_DECREF(o);
}

// While C++ owners hold the impl, the object may not look like garbage: its references are not shown, which makes what
// they lead to, and so the object itself, reachable.
int traverse(PyObject* o, visitproc visit, void* arg) {
  TensorObject* self = as_object(o);
  Py_VISIT(Py_TYPE(o));
  TensorImpl* impl = self->impl;
  bool kept = impl && (impl->python_object.load(std::memory_order_relaxed) & 1);
  if (kept || (impl && impl->use_count() > 1)) return 0;
  Py_VISIT(self->dict);
  Py_VISIT(self->hooks);
  return impl && impl->autograd ? visit_autograd(impl, visit, arg) : 0;
}

int clear(PyObject* o) {
  TensorObject* self = as_object(o);
  Py_CLEAR(self->dict);
  Py_CLEAR(self->hooks);
  TensorImpl* impl = self->impl;
  // The graph goes too: it may lead back here through a Python function's context. Later uses of the tensor (from
  // another finaliser of the same garbage) see a tensor without history.
  if (impl && impl->use_count() == 1 && impl->autograd) impl->autograd.reset();
  return 0;
}

int set_attribute(PyObject* o, PyObject* name, PyObject* value) {
  int status = PyObject_GenericSetAttr(o, name, value);
  if (status == 0 && as_object(o)->dict) track(o);
  return status;
}

PyObject* get_dict(PyObject* o, void* context) {
  PyObject* dict = PyObject_GenericGetDict(o, context);
  if (dict) track(o);
  return dict;
}
int set_dict(PyObject* o, PyObject* value, void* context) {
  int status = PyObject_GenericSetDict(o, value, context);
  if (status == 0) track(o);
  return status;
}
PyGetSetDef dict_getset[] = {{"__dict__", get_dict, set_dict, nullptr, nullptr}, {}};

// Tensor(...): the legacy constructor lives in Python (python/ember/_tensor.py), where subclasses' __new__ end too.
PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static PyObject* legacy = nullptr;
  if (!legacy) {
    Ref module(PyImport_ImportModule("ember._tensor"));
    if (!module) return nullptr;
    legacy = PyObject_GetAttrString(module.get(), "_legacy_new");
    if (!legacy) return nullptr;
  }
  Ref all(PyTuple_New(PyTuple_GET_SIZE(args) + 1));
  if (!all) return nullptr;
  PyTuple_SET_ITEM(all.get(), 0, Py_NewRef(reinterpret_cast<PyObject*>(type)));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); ++i)
    PyTuple_SET_ITEM(all.get(), i + 1, Py_NewRef(PyTuple_GET_ITEM(args, i)));
  return PyObject_Call(legacy, all.get(), kwargs);
}
int tensor_init(PyObject*, PyObject*, PyObject*) { return 0; }

Py_hash_t hash_by_identity(PyObject* o) {
  auto bits = reinterpret_cast<uintptr_t>(o);
  return static_cast<Py_hash_t>(bits >> 4 | bits << (8 * sizeof bits - 4));
}

}  // namespace

PyObject* wrap(Tensor t) {
  TensorImpl* impl = t.impl();
  if (EMBER_UNLIKELY(!impl)) return Py_NewRef(Py_None);
  uintptr_t slot = impl->python_object.load(std::memory_order_acquire);
  if (slot) {
    PyObject* o = object_of(slot);
    if (!(slot & 1)) return Py_NewRef(o);
    impl->python_object.store(reinterpret_cast<uintptr_t>(o), std::memory_order_relaxed);
    (void)std::move(t).release().unsafe_release();  // the object owns the impl from now on,
    return o;                                       // and the caller has the reference that the impl gave up
  }
  return wrap_as(tensor_type, std::move(t));
}

PyObject* wrap_as(PyTypeObject* type, Tensor t) {
  TensorImpl* impl = t.impl();
  EMBER_CHECK(impl && !impl->python_object.load(), "internal: this tensor has a Python object already");
  PyObject* o = check(allocate(type));
  TensorObject* self = as_object(o);
  self->impl = std::move(t).release().unsafe_release();
  self->dict = self->weakrefs = self->hooks = nullptr;
  impl->python_object.store(reinterpret_cast<uintptr_t>(o), std::memory_order_release);
  if (EMBER_UNLIKELY(impl->autograd != nullptr)) track(o);
  return o;
}

PyObject* hooks_of(PyObject* tensor) {
  TensorObject* self = as_object(tensor);
  if (!self->hooks) {
    Ref collections = own(PyImport_ImportModule("collections"));
    self->hooks = check(PyObject_CallMethod(collections.get(), "OrderedDict", nullptr));
    track(tensor);
  }
  return self->hooks;
}

void init_tensor(PyObject* module) {
  static PyMemberDef members[] = {
      {"__dictoffset__", T_PYSSIZET, offsetof(TensorObject, dict), READONLY, nullptr},
      {"__weaklistoffset__", T_PYSSIZET, offsetof(TensorObject, weakrefs), READONLY, nullptr},
      {}};
  std::vector<PyGetSetDef>& getset = *new std::vector<PyGetSetDef>;  // the type keeps pointing at it
  for (PyGetSetDef* g = tensor_getset; g->name; ++g) getset.push_back(*g);
  getset.push_back(dict_getset[0]);
  getset.push_back({});
  PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                         {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                         {Py_tp_clear, reinterpret_cast<void*>(clear)},
                         {Py_tp_new, reinterpret_cast<void*>(tensor_new)},
                         {Py_tp_init, reinterpret_cast<void*>(tensor_init)},
                         {Py_tp_setattro, reinterpret_cast<void*>(set_attribute)},
                         {Py_tp_hash, reinterpret_cast<void*>(hash_by_identity)},
                         {Py_tp_members, members},
                         {Py_tp_methods, tensor_method_table()},
                         {Py_tp_getset, getset.data()},
                         {}};
  constexpr unsigned kFlags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC;
  std::vector<PyType_Slot> all;
  for (PyType_Slot* s = slots; s->slot; ++s) all.push_back(*s);
  for (const PyType_Slot* s = tensor_operator_slots(); s->slot; ++s) all.push_back(*s);
  all.push_back({});
  PyType_Spec spec = {"ember.Tensor", sizeof(TensorObject), 0, kFlags, all.data()};
  tensor_type = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&spec)));
  check(PyModule_AddObjectRef(module, "Tensor", reinterpret_cast<PyObject*>(tensor_type)));
  release_python_object = release_object;
}

}  // namespace ember::python
