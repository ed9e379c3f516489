// A number that came from the host language: a bool, an integer, a float or a complex number, 64 bits a part.
#pragma once

#include <complex>
#include <concepts>
#include <cstdint>
#include <string>

#include "tensor/dtype.h"

namespace ember {

class Scalar {
 public:
  enum class Kind : uint8_t { kBool, kInt, kUInt, kDouble, kComplex };  // kUInt: only above the range of kInt

  Scalar() : Scalar(int64_t{0}) {}
  Scalar(bool b) : kind_(Kind::kBool) { i_ = b; }
  template <std::integral I>
  requires(!std::same_as<I, bool>) Scalar(I i) : kind_(Kind::kInt) {
    i_ = static_cast<int64_t>(i);
    if constexpr (std::unsigned_integral<I> && sizeof(I) == 8) {
      if (i_ < 0) kind_ = Kind::kUInt;
    }
  }
  template <std::floating_point F>
  Scalar(F d) : kind_(Kind::kDouble) {
    c_[0] = d, c_[1] = 0;
  }
  template <class F>
  Scalar(std::complex<F> c) : kind_(Kind::kComplex) {
    c_[0] = c.real(), c_[1] = c.imag();
  }

  Kind kind() const { return kind_; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kUInt; }
  bool is_floating() const { return kind_ == Kind::kDouble; }
  bool is_complex() const { return kind_ == Kind::kComplex; }
  // The dtype that Python's numbers stand for: bool, int64 (uint64), the default float or its complex partner.
  DType dtype() const {
    switch (kind_) {
      case Kind::kBool: return DType::kBool;
      case Kind::kInt: return DType::kInt64;
      case Kind::kUInt: return DType::kUInt64;
      case Kind::kDouble: return default_dtype();
      default: return complex_of(default_dtype());
    }
  }

  // The value as T, as a cast in C converts it; complex to real drops the imaginary part.
  template <class T>
  T to() const {
    if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) {
      using F = typename T::value_type;
      return is_complex() ? T(static_cast<F>(c_[0]), static_cast<F>(c_[1])) : T(to<F>());
    } else if constexpr (std::is_same_v<T, Half>) {
      return to_half(to<float>());
    } else if constexpr (std::is_same_v<T, BFloat16>) {
      return to_bfloat16(to<float>());
    } else {
      switch (kind_) {
        case Kind::kUInt: return static_cast<T>(static_cast<uint64_t>(i_));
        case Kind::kBool:
        case Kind::kInt: return static_cast<T>(i_);
        default:
          if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
            if (c_[0] >= 0x1p63) return static_cast<T>(static_cast<uint64_t>(c_[0] < 0x1p64 ? c_[0] : 0));
            return static_cast<T>(static_cast<int64_t>(c_[0] >= -0x1p63 ? c_[0] : -0x1p63));
          } else {
            return static_cast<T>(c_[0]);
          }
      }
    }
  }
  friend bool operator==(const Scalar& a, const Scalar& b) {
    if (a.is_complex() || b.is_complex()) return a.to<std::complex<double>>() == b.to<std::complex<double>>();
    if (a.is_floating() || b.is_floating()) return a.to<double>() == b.to<double>();
    return a.i_ == b.i_ && (a.kind_ == Kind::kUInt) == (b.kind_ == Kind::kUInt);
  }

 private:
  union {
    int64_t i_;
    double c_[2];
  };
  Kind kind_;
};
EMBER_API void append(std::string& out, const Scalar& s);

}  // namespace ember
