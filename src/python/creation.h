// Tensors from Python data: nested lists, numbers, arrays.
#pragma once

#include <optional>

#include "python/tensor_object.h"

namespace ember::python {

// What `tensor(data)` makes: always a copy. ValueError for ragged lists, TypeError for what is no data.
Tensor tensor_from_data(PyObject* data, std::optional<DType> dtype, Device device);
// `as_tensor`: shares memory where the data has memory of the right dtype.
Tensor tensor_sharing_data(PyObject* data, std::optional<DType> dtype, std::optional<Device> device);
Tensor scalar_tensor(const Scalar& s, DType dtype);  // 0-dim
PyObject* to_list(const Tensor& t);                  // nested lists of Python numbers, or one number
const char* legacy_type_name(DType d);               // "torch.FloatTensor"
// Shares the memory of a NumPy array or of any object with __array_interface__; undefined when it has none.
Tensor share_array(PyObject* array);
Tensor share_dlpack(PyObject* object);

}  // namespace ember::python
