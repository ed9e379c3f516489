// Copies and the end of owned values.
#include "op/value.h"

#include "tensor/generator.h"

namespace ember {

const Tensor& Value::undefined() {
  static const Tensor none;
  return none;
}

Value::Value(const Scalar& s) : i_(0) {
  switch (s.kind()) {
    case Scalar::Kind::kBool: *this = Value(s.to<bool>()); break;
    case Scalar::Kind::kInt: *this = Value(s.to<int64_t>()); break;
    case Scalar::Kind::kUInt: *this = Value(s.to<int64_t>()), tag_ = Tag::kUInt; break;
    case Scalar::Kind::kDouble: *this = Value(s.to<double>()); break;
    case Scalar::Kind::kComplex: *this = Value(s.to<std::complex<double>>()); break;
  }
}

Scalar Value::scalar() const {
  switch (tag_) {
    case Tag::kBool: return Scalar(i_ != 0);
    case Tag::kInt: return Scalar(i_);
    case Tag::kUInt: return Scalar(static_cast<uint64_t>(i_));
    case Tag::kDouble: return Scalar(d_);
    case Tag::kComplex: return Scalar(std::complex<double>(c_[0], c_[1]));
    default: EMBER_FAIL("internal: a value that is no number was read as one");
  }
}

template <class T>
static const T* copy_list(const T* from, uint32_t n) {
  T* out = new T[n ? n : 1];
  std::copy(from, from + n, out);
  return out;
}

void Value::copy(const Value& other) {
  tag_ = other.tag_, size_ = other.size_, owned_ = true;
  switch (tag_) {
    case Tag::kTensor: new (&tensor_) Tensor(other.tensor_); break;
    case Tag::kIntList: ints_ = copy_list(other.ints_, size_); break;
    case Tag::kDoubleList: doubles_ = copy_list(other.doubles_, size_); break;
    case Tag::kBoolList: bools_ = copy_list(other.bools_, size_); break;
    case Tag::kTensorList: tensors_ = copy_list(other.tensors_, size_); break;
    case Tag::kScalarList: scalars_ = copy_list(other.scalars_, size_); break;
    case Tag::kString: text_ = copy_list(other.text_, size_); break;
    case Tag::kGenerator: (generator_ = other.generator_)->retain(); break;
    default: c_[0] = other.c_[0], c_[1] = other.c_[1], owned_ = false;
  }
}

void Value::free_owned() {
  switch (tag_) {
    case Tag::kTensor: tensor_.~Tensor(); break;
    case Tag::kIntList: delete[] ints_; break;
    case Tag::kDoubleList: delete[] doubles_; break;
    case Tag::kBoolList: delete[] bools_; break;
    case Tag::kTensorList: delete[] tensors_; break;
    case Tag::kScalarList: delete[] scalars_; break;
    case Tag::kString: delete[] text_; break;
    case Tag::kGenerator: generator_->release(); break;
    default: break;
  }
  owned_ = false, tag_ = Tag::kNone;
}

}  // namespace ember
