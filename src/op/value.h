// Value: one boxed argument or result of an op, 24 bytes.
// It borrows what it is given (a tensor, a list, a text) so that boxing a call costs neither a reference count nor
// malloc; a copy owns. What an op keeps beyond its call (a saved argument, a recorded program) it keeps as a copy.
#pragma once

#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace ember {

class Generator;

enum class Tag : uint8_t {
  kNone,
  kTensor,
  kBool,
  kInt,
  kUInt,
  kDouble,
  kComplex,
  kIntList,
  kDoubleList,
  kBoolList,
  kTensorList,
  kScalarList,
  kString,
  kDType,
  kDevice,
  kLayout,
  kMemoryFormat,
  kGenerator,
  kSymInt,  // a size that is not known yet; only recording makes these
};

class EMBER_API Value {
 public:
  Value() : i_(0) {}
  Value(Tensor t) : tag_(t.defined() ? Tag::kTensor : Tag::kNone), owned_(t.defined()), tensor_(std::move(t)) {}
  Value(bool b) : tag_(Tag::kBool), i_(b) {}
  Value(int64_t i) : tag_(Tag::kInt), i_(i) {}
  Value(int i) : Value(int64_t{i}) {}
  Value(double d) : tag_(Tag::kDouble), d_(d) {}
  Value(std::complex<double> c) : tag_(Tag::kComplex), c_{c.real(), c.imag()} {}
  Value(const Scalar& s);
  Value(DType d) : tag_(Tag::kDType), i_(static_cast<int>(d)) {}
  Value(Device d) : tag_(Tag::kDevice), device_(d) {}
  Value(Layout l) : tag_(Tag::kLayout), i_(static_cast<int>(l)) {}
  Value(MemoryFormat f) : tag_(Tag::kMemoryFormat), i_(static_cast<int>(f)) {}
  Value(Generator* g) : tag_(g ? Tag::kGenerator : Tag::kNone), generator_(g) {}
  Value(std::string_view s) : tag_(Tag::kString), size_(static_cast<uint32_t>(s.size())), text_(s.data()) {}
  Value(const char* s) : Value(std::string_view(s)) {}
  Value(DimsView v) : tag_(Tag::kIntList), size_(static_cast<uint32_t>(v.size())), ints_(v.data()) {}
  Value(Span<double> v) : tag_(Tag::kDoubleList), size_(static_cast<uint32_t>(v.size())), doubles_(v.data()) {}
  Value(Span<bool> v) : tag_(Tag::kBoolList), size_(static_cast<uint32_t>(v.size())), bools_(v.data()) {}
  Value(Span<Tensor> v) : tag_(Tag::kTensorList), size_(static_cast<uint32_t>(v.size())), tensors_(v.data()) {}
  Value(Span<Scalar> v) : tag_(Tag::kScalarList), size_(static_cast<uint32_t>(v.size())), scalars_(v.data()) {}
  Value(const std::vector<Tensor>& v) : Value(Span<Tensor>(v)) {}
  template <class T>
  Value(const std::optional<T>& v) : Value() {
    if (v) *this = Value(*v);
  }
  static Value borrow(const Tensor& t) {
    Value v;
    if (t.defined()) v.tag_ = Tag::kTensor, new (&v.tensor_) Tensor(Ptr<TensorImpl>::adopt(t.impl()));
    return v;
  }
  // The same value without owning it: the original must outlive it.
  static Value borrow(const Value& other) {
    Value v;
    std::memcpy(static_cast<void*>(&v), &other, sizeof(Value));
    v.owned_ = false;
    return v;
  }

  Value(const Value& other) : i_(0) { copy(other); }
  Value(Value&& other) noexcept { steal(other); }
  Value& operator=(const Value& other) {
    if (this != &other) destroy(), copy(other);
    return *this;
  }
  Value& operator=(Value&& other) noexcept {
    if (this != &other) destroy(), steal(other);
    return *this;
  }
  ~Value() { destroy(); }

  Tag tag() const { return tag_; }
  bool is_none() const { return tag_ == Tag::kNone; }
  bool is_tensor() const { return tag_ == Tag::kTensor; }
  bool is_number() const { return tag_ >= Tag::kBool && tag_ <= Tag::kComplex; }

  const Tensor& tensor() const { return is_tensor() ? tensor_ : undefined(); }
  Tensor take_tensor() && {  // of a result that owns it
    Tensor t = owned_ ? Tensor(std::move(tensor_)) : tensor_;
    return t;
  }
  Scalar scalar() const;
  Span<Tensor> tensors() const { return tag_ == Tag::kTensorList ? Span<Tensor>(tensors_, size_) : Span<Tensor>(); }
  Span<Scalar> scalars() const { return tag_ == Tag::kScalarList ? Span<Scalar>(scalars_, size_) : Span<Scalar>(); }
  DimsView ints() const { return tag_ == Tag::kIntList ? DimsView(ints_, size_) : DimsView(); }

  // The value as a C++ parameter type; a std::optional is empty for none.
  template <class T>
  decltype(auto) get() const;

 private:
  static const Tensor& undefined();
  void copy(const Value& other);
  void destroy() {
    if (owned_) free_owned();
  }
  void free_owned();
  void steal(Value& other) {
    std::memcpy(static_cast<void*>(this), &other, sizeof(Value));
    other.tag_ = Tag::kNone, other.owned_ = false;
  }

  Tag tag_ = Tag::kNone;
  bool owned_ = false;
  uint32_t size_ = 0;
  union {
    Tensor tensor_;
    int64_t i_;
    double d_;
    double c_[2];
    Device device_;
    Generator* generator_;
    const char* text_;
    const int64_t* ints_;
    const double* doubles_;
    const bool* bools_;
    const Tensor* tensors_;
    const Scalar* scalars_;
  };
};

using OptDType = std::optional<DType>;
using OptInt = std::optional<int64_t>;
using OptDims = std::optional<DimsView>;
using OptDevice = std::optional<Device>;
using OptTensor = Tensor;  // undefined: none

namespace detail {
template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};
}  // namespace detail

template <class T>
decltype(auto) Value::get() const {
  using U = std::remove_cvref_t<T>;
  if constexpr (std::is_same_v<U, Tensor>) return tensor();
  else if constexpr (detail::is_optional<U>::value) return is_none() ? U() : U(get<typename U::value_type>());
  else if constexpr (std::is_same_v<U, Scalar>) return scalar();
  else if constexpr (std::is_same_v<U, bool>) return i_ != 0;
  else if constexpr (std::is_same_v<U, int64_t>) return i_;
  else if constexpr (std::is_same_v<U, double>) return tag_ == Tag::kDouble ? d_ : scalar().to<double>();
  else if constexpr (std::is_same_v<U, DType> || std::is_same_v<U, Layout> || std::is_same_v<U, MemoryFormat>)
    return static_cast<U>(i_);
  else if constexpr (std::is_same_v<U, Device>) return device_;
  else if constexpr (std::is_same_v<U, Generator*>) return tag_ == Tag::kGenerator ? generator_ : nullptr;
  else if constexpr (std::is_same_v<U, std::string_view>) return std::string_view(text_, size_);
  else if constexpr (std::is_same_v<U, DimsView>) return ints();
  else if constexpr (std::is_same_v<U, Span<double>>)
    return tag_ == Tag::kDoubleList ? Span<double>(doubles_, size_) : Span<double>();
  else if constexpr (std::is_same_v<U, Span<bool>>)
    return tag_ == Tag::kBoolList ? Span<bool>(bools_, size_) : Span<bool>();
  else if constexpr (std::is_same_v<U, Span<Scalar>>) return scalars();
  else if constexpr (std::is_same_v<U, Span<Tensor>>) return tensors();
  else static_assert(sizeof(U) == 0, "no boxed form for this parameter type");
}

// Boxes a C++ argument without owning it.
inline Value box(const Tensor& t) { return Value::borrow(t); }
template <class T>
Value box(const T& v) {
  return Value(v);
}

}  // namespace ember
