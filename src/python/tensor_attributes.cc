// Tensor's attributes: shape, dtype, data, grad and their like.
#include "op/ops.h"
#include "python/autograd.h"
#include "python/op_object.h"

namespace ember::python {
namespace {

const Tensor& tensor_of(PyObject* o) { return unwrap(o); }

// `name` is set for attributes that are tensors: those of an overriding subclass go through __torch_function__, which
// gives them the subclass.
EMBER_COLD PyObject* overridden(PyObject* self, const char* name) {
  Ref descriptor = own(PyObject_GetAttrString(reinterpret_cast<PyObject*>(tensor_type), name));
  Ref getter = own(PyObject_GetAttrString(descriptor.get(), "__get__"));
  return call_torch_function(getter.get(), &self, 1, nullptr, &self, 1);
}
template <PyObject* (*F)(PyObject*)>
PyObject* get(PyObject* self, void* name) {
  return guard([&] {
    if (EMBER_UNLIKELY(name && !is_exact_tensor(self) && overrides_torch_function(self)))
      return overridden(self, static_cast<const char*>(name));
    return F(self);
  });
}
template <int (*F)(PyObject*, PyObject*)>
int set(PyObject* self, PyObject* value, void*) {
  return guard([&] { return F(self, value); });
}

PyObject* shape(PyObject* o) { return wrap_size(tensor_of(o).sizes()); }
PyObject* dtype(PyObject* o) { return wrap(tensor_of(o).dtype()); }
PyObject* device(PyObject* o) { return wrap(tensor_of(o).device()); }
PyObject* layout(PyObject* o) { return wrap(tensor_of(o).layout()); }
PyObject* ndim(PyObject* o) { return PyLong_FromLongLong(tensor_of(o).dim()); }
PyObject* itemsize(PyObject* o) { return PyLong_FromLongLong(item_size(tensor_of(o).dtype())); }
PyObject* nbytes(PyObject* o) { return PyLong_FromLongLong(tensor_of(o).numel() * item_size(tensor_of(o).dtype())); }
PyObject* version(PyObject* o) {
  EMBER_CHECK(!tensor_of(o)->inference, "Inference tensors do not track version counter.");
  return PyLong_FromUnsignedLong(tensor_of(o).version());
}
PyObject* is_meta(PyObject* o) { return PyBool_FromLong(tensor_of(o).is_meta()); }
PyObject* is_cpu(PyObject* o) { return PyBool_FromLong(tensor_of(o).device().type == DeviceType::kCPU); }
PyObject* is_cuda(PyObject* o) { return PyBool_FromLong(tensor_of(o).device().type == DeviceType::kCUDA); }
PyObject* is_sparse(PyObject* o) { return PyBool_FromLong(tensor_of(o).layout() == Layout::kSparseCoo); }
PyObject* is_false(PyObject*) { Py_RETURN_FALSE; }
PyObject* none(PyObject*) { Py_RETURN_NONE; }
PyObject* requires_grad(PyObject* o) { return PyBool_FromLong(tensor_of(o).requires_grad()); }
int set_requires(PyObject* o, PyObject* value) {
  EMBER_CHECK(value && PyBool_Check(value), "requires_grad must be a bool");
  EMBER_CHECK(value == Py_False || is_differentiable(tensor_of(o).dtype()),
              "only Tensors of floating point dtype can require gradients");
  tensor_of(o).set_requires_grad(value == Py_True);
  return 0;
}

PyObject* transposed(PyObject* o) {
  const Tensor& x = tensor_of(o);
  Dims dims;
  for (int64_t d = x.dim(); d-- > 0;) dims.push_back(d);
  return wrap(permute(x, dims));
}
Tensor matrix_transpose(const Tensor& x, const char* name) {
  EMBER_CHECK(x.dim() >= 2, "tensor.", name, " is only supported on matrices or batches of matrices. Got ", x.dim(),
              "-D tensor.");
  return transpose(x, -2, -1);
}
PyObject* matrix_t(PyObject* o) { return wrap(matrix_transpose(tensor_of(o), "mT")); }
Tensor conjugated(const Tensor& x) { return is_complex(x.dtype()) ? conj(x) : x; }
PyObject* matrix_h(PyObject* o) { return wrap(conjugated(matrix_transpose(tensor_of(o), "mH"))); }
PyObject* hermitian(PyObject* o) {
  const Tensor& x = tensor_of(o);
  EMBER_CHECK(x.dim() == 2 || x.dim() == 0, "tensor.H is only supported on matrices (2-D tensors). Got ", x.dim(),
              "-D tensor.", x.dim() > 2 ? " For batches of matrices, consider using tensor.mH" : "");
  return wrap(conjugated(x.dim() == 0 ? x : transpose(x, 0, 1)));
}
// The parts of a complex tensor are views of it, so that they can be written.
PyObject* part(PyObject* o, int64_t index) {
  const Tensor& x = tensor_of(o);
  return wrap(select(view_as_real(x), -1, index));
}
PyObject* real_part(PyObject* o) { return is_complex(tensor_of(o).dtype()) ? part(o, 0) : Py_NewRef(o); }
PyObject* imag_part(PyObject* o) {
  EMBER_CHECK(is_complex(tensor_of(o).dtype()), "imag is not implemented for tensors with non-complex dtypes.");
  return part(o, 1);
}
int set_part(PyObject* o, PyObject* value, PyObject* (*part_of)(PyObject*)) {
  Ref view = own(part_of(o));
  Ref result = own(PyObject_CallMethod(view.get(), is_tensor(value) ? "copy_" : "fill_", "O", value));
  return 0;
}
int set_real(PyObject* o, PyObject* value) { return set_part(o, value, real_part); }
int set_imag(PyObject* o, PyObject* value) { return set_part(o, value, imag_part); }

// x.data: the same memory outside the graph, with a version counter of its own: writes through it are not seen.
PyObject* data(PyObject* o) {
  const Tensor& x = tensor_of(o);
  Tensor alias = alias_raw(x, x.sizes(), x.strides(), x->offset);
  alias->own_version = make_ptr<VersionCounter>();
  return wrap(std::move(alias));
}
int set_data(PyObject* o, PyObject* value) {
  EMBER_CHECK_TYPE(value && is_tensor(value), "Variable data has to be a tensor, but got ",
                   value ? type_name(value) : "nothing");
  const Tensor &x = tensor_of(o), &v = tensor_of(value);
  EMBER_CHECK(!x.requires_grad() || is_differentiable(v.dtype()),
              "data set to a tensor that requires gradients must be floating point or complex dtype");
  x->storage = v->storage, x->offset = v->offset, x->dtype = v->dtype, x->device = v->device, x->layout = v->layout;
  x->keys = (x->keys & ~key::kFake) | (v->keys & key::kFake);
  x->set_sizes(v->sizes, v->strides);
  return 0;
}

PyObject* grad(PyObject* o) { return wrap(tensor_of(o).grad()); }
int set_gradient(PyObject* o, PyObject* value) {
  const Tensor& x = tensor_of(o);
  if (!value || value == Py_None) {
    x.set_grad({});
    return 0;
  }
  EMBER_CHECK_TYPE(is_tensor(value), "assigned grad expected to be a Tensor or None but got grad of type ",
                   type_name(value));
  const Tensor& g = tensor_of(value);
  EMBER_CHECK(!g.is(x), "can't assign Variable as its own grad");
  EMBER_CHECK(g.dtype() == x.dtype(), "attempting to assign a gradient with dtype '", g.dtype(),
              "' to a tensor with grad_dtype '", x.dtype(), "'. The gradient must match the tensor's grad_dtype.");
  EMBER_CHECK(g.device().type == x.device().type, "attempting to assign a gradient located on device with index ",
              g.device(), " to a tensor on ", x.device());
  EMBER_CHECK(DimsView(g.sizes()) == DimsView(x.sizes()), "attempting to assign a gradient of size '",
              DimsView(g.sizes()), "' to a tensor of size '", DimsView(x.sizes()),
              "'. Please ensure that the gradient and the tensor are the same size");
  x.set_grad(g);
  return 0;
}

PyObject* hooks(PyObject* o) {
  PyObject* dict = reinterpret_cast<TensorObject*>(o)->hooks;
  return Py_NewRef(dict ? dict : Py_None);
}
int set_hooks(PyObject* o, PyObject* value) {
  Ref old(
      std::exchange(reinterpret_cast<TensorObject*>(o)->hooks, value && value != Py_None ? Py_NewRef(value) : nullptr));
  return 0;
}

void* name_of(const char* attribute) { return const_cast<char*>(attribute); }

#define EMBER_GET(name, f, doc) \
  { name, get<f>, nullptr, doc, nullptr }
#define EMBER_GETSET(name, f, s, doc) \
  { name, get<f>, set<s>, doc, nullptr }

}  // namespace

PyGetSetDef tensor_getset[] = {
    EMBER_GET("shape", shape, "The sizes, as a Size."),
    EMBER_GET("dtype", dtype, "The element type."),
    EMBER_GET("device", device, "Where the data is."),
    EMBER_GET("layout", layout, "How the data is laid out."),
    EMBER_GET("ndim", ndim, "The number of dimensions."),
    EMBER_GET("itemsize", itemsize, "Bytes an element."),
    EMBER_GET("nbytes", nbytes, "Bytes of all elements."),
    {"T", get<transposed>, nullptr, "All dimensions reversed, a view.", name_of("T")},
    {"mT", get<matrix_t>, nullptr, "The last two dimensions swapped, a view.", name_of("mT")},
    {"H", get<hermitian>, nullptr, "The conjugate transpose of a matrix.", name_of("H")},
    {"mH", get<matrix_h>, nullptr, "The last two dimensions swapped and conjugated.", name_of("mH")},
    {"real", get<real_part>, set<set_real>, "The real part, a view.", name_of("real")},
    {"imag", get<imag_part>, set<set_imag>, "The imaginary part, a view.", name_of("imag")},
    {"data", get<data>, set<set_data>, "The same memory without history.", name_of("data")},
    EMBER_GETSET("grad", grad, set_gradient, "The gradient that backward() has summed up, or None."),
    EMBER_GETSET("requires_grad", requires_grad, set_requires, "Does backward() reach this tensor?"),
    EMBER_GETSET("_backward_hooks", hooks, set_hooks, nullptr),
    EMBER_GET("_version", version, "How often this memory was written in place."),
    EMBER_GET("grad_fn", autograd_grad_fn, "The node that made this tensor, or None."),
    EMBER_GET("is_leaf", autograd_is_leaf, "Made by the user, or without gradient."),
    EMBER_GET("output_nr", autograd_output_nr, nullptr),
    EMBER_GET("retains_grad", autograd_retains_grad, "Does backward() leave .grad here though it is no leaf?"),
    EMBER_GET("_base", autograd_base, "What this is a view of, or None."),
    EMBER_GET("is_cpu", is_cpu, nullptr),
    EMBER_GET("is_cuda", is_cuda, nullptr),
    EMBER_GET("is_meta", is_meta, nullptr),
    EMBER_GET("is_sparse", is_sparse, nullptr),
    EMBER_GET("is_sparse_csr", is_false, nullptr),
    EMBER_GET("is_quantized", is_false, nullptr),
    EMBER_GET("is_mkldnn", is_false, nullptr),
    EMBER_GET("is_mps", is_false, nullptr),
    EMBER_GET("is_xpu", is_false, nullptr),
    EMBER_GET("is_xla", is_false, nullptr),
    EMBER_GET("is_vulkan", is_false, nullptr),
    EMBER_GET("is_nested", is_false, nullptr),
    EMBER_GET("name", none, nullptr),
    {}};

}  // namespace ember::python
