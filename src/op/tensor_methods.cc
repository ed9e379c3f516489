// Tensor's own short list of methods, as ops.
#include "op/ops.h"

namespace ember {

Scalar Tensor::item() const {
  EMBER_CHECK(numel() == 1, "item: a Tensor with ", numel(), " elements cannot be converted to Scalar");
  EMBER_CHECK(!is_meta(), "item(): Tensor.item() cannot be called on meta tensors");
  return visit(dtype(), [&]<class T>(T) {
    // A view of bytes as bool holds any of them.
    if constexpr (std::is_same_v<T, bool>) return Scalar(*reinterpret_cast<const uint8_t*>(data<T>()) != 0);
    else if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) return Scalar(to_float(*data<T>()));
    else return Scalar(*data<T>());
  });
}
Tensor Tensor::to(DType d) const { return dtype() == d ? *this : to_dtype(*this, d); }
Tensor Tensor::contiguous(MemoryFormat format) const { return ember::contiguous(*this, format); }
Tensor Tensor::clone() const { return ember::clone(*this); }
Tensor Tensor::view(DimsView sizes) const { return ember::view(*this, sizes); }
Tensor Tensor::reshape(DimsView sizes) const { return ember::reshape(*this, sizes); }
Tensor Tensor::operator[](int64_t index) const { return select(*this, 0, index); }
const Tensor& Tensor::operator+=(const Tensor& b) const { return add_(*this, b); }
const Tensor& Tensor::operator-=(const Tensor& b) const { return sub_(*this, b); }
const Tensor& Tensor::operator*=(const Tensor& b) const { return mul_(*this, b); }
const Tensor& Tensor::operator/=(const Tensor& b) const { return div_(*this, b); }

}  // namespace ember
