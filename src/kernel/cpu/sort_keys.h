// Elements as unsigned keys whose order is the elements' order: nan comes after everything and zeros of either sign are
// one. Descending order is ascending order of inverted keys, so that equal elements keep their order both ways.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "tensor/dtype.h"

namespace ember::cpu {

template <class T>
using KeyOf = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
template <class T>
inline constexpr int kKeyBits = 8 * sizeof(T);
template <class T>
inline constexpr bool kNarrowFloat = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
template <class T>
inline constexpr bool kSortable = std::is_arithmetic_v<T> || kNarrowFloat<T>;

// `exact` becomes false where decode would not give x back: nan and -0.
template <class T>
KeyOf<T> encode(T x, bool descending, bool& exact) {
  using K = KeyOf<T>;
  constexpr K kAll = static_cast<K>(kKeyBits<T> == 64 ? ~uint64_t{0} : (uint64_t{1} << (kKeyBits<T> & 63)) - 1);
  constexpr K kSign = K{1} << (kKeyBits<T> - 1);
  K k;
  if constexpr (kNarrowFloat<T> || std::is_floating_point_v<T>) {
    constexpr K kInf = std::is_same_v<T, Half>     ? K{0x7c00}
                       : std::is_same_v<T, double> ? static_cast<K>(0x7ff0000000000000)
                       : sizeof(T) == 2            ? K{0x7f80}
                                                   : K{0x7f800000};
    k = 0;
    std::memcpy(&k, &x, sizeof(T));
    if ((k & ~kSign) > kInf) k = kAll, exact = false;
    else if (k == kSign) k = kSign, exact = false;
    else k = k & kSign ? ~k & kAll : k | kSign;
  } else if constexpr (std::is_signed_v<T>) {
    k = (static_cast<K>(x) & kAll) ^ kSign;
  } else {
    k = static_cast<K>(x);
  }
  return descending ? ~k & kAll : k;
}
template <class T>
T decode(KeyOf<T> k, bool descending) {
  using K = KeyOf<T>;
  constexpr K kAll = static_cast<K>(kKeyBits<T> == 64 ? ~uint64_t{0} : (uint64_t{1} << (kKeyBits<T> & 63)) - 1);
  constexpr K kSign = K{1} << (kKeyBits<T> - 1);
  if (descending) k = ~k & kAll;
  if constexpr (kNarrowFloat<T> || std::is_floating_point_v<T>) {
    k = k & kSign ? k ^ kSign : ~k & kAll;
    T x;
    std::memcpy(&x, &k, sizeof(T));
    return x;
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<T>(k ^ kSign);
  } else {
    return static_cast<T>(k);
  }
}
template <class T>
bool is_nan(T x) {
  if constexpr (kNarrowFloat<T>) return std::isnan(to_float(x));
  else if constexpr (std::is_floating_point_v<T>) return std::isnan(x);
  else return false;
}

// A key with its element's index, ordered by key, then index.
template <class T>
struct Entry64 {
  uint64_t key;
  uint32_t index;
  friend bool operator<(const Entry64& a, const Entry64& b) {
    return a.key != b.key ? a.key < b.key : a.index < b.index;
  }
};
struct Entry32 {
  uint64_t both;
  friend bool operator<(Entry32 a, Entry32 b) { return a.both < b.both; }
};
template <class T>
using Entry = std::conditional_t<sizeof(T) == 8, Entry64<T>, Entry32>;
template <class T>
Entry<T> entry(KeyOf<T> key, int64_t index) {
  if constexpr (sizeof(T) == 8) return {key, static_cast<uint32_t>(index)};
  else return {uint64_t{key} << 32 | static_cast<uint32_t>(index)};
}
template <class T>
KeyOf<T> key_of(const Entry<T>& e) {
  if constexpr (sizeof(T) == 8) return e.key;
  else return static_cast<uint32_t>(e.both >> 32);
}
template <class T>
int64_t index_of(const Entry<T>& e) {
  if constexpr (sizeof(T) == 8) return e.index;
  else return static_cast<uint32_t>(e.both);
}

}  // namespace ember::cpu
