// Words in which a pointwise op describes itself, shared by the table and by the per-instruction-set tiles.
// Holds constants and plain data only: no function that a compiler could emit.
#pragma once

#include <cstdint>

namespace ember {

enum class Kind : uint8_t { kPointwise, kReduce, kView, kContract, kOpaque, kComposite };

// The forms in which a user meets an op; all come from the one entry.
using Forms = uint32_t;
namespace form {
inline constexpr Forms kFunction = 1, kMethod = 2, kInplace = 4, kOut = 8;
inline constexpr Forms kPlain = kFunction | kMethod | kOut, kAll = kPlain | kInplace;
}  // namespace form

// The types that tiles compute in; other dtypes are converted at load and store.
enum class Compute : uint8_t { kF32, kF64, kI64, kU64, kBool, kC64, kC128 };
inline constexpr int kNumComputes = 7;

namespace types {  // which compute types an op is defined for
inline constexpr uint32_t kFloat = 0b0000011, kInt = 0b0001100, kBool = 0b0010000, kComplex = 0b1100000;
inline constexpr uint32_t kReal = kFloat | kInt, kRealBool = kReal | kBool, kNumber = kReal | kComplex;
inline constexpr uint32_t kFloatComplex = kFloat | kComplex, kAll = kNumber | kBool, kIntBool = kInt | kBool;
}  // namespace types

// How operands' dtypes become the type computed in and the result's dtype.
enum class Promote : uint8_t {
  kSame,     // promoted type in and out (add)
  kToFloat,  // integers and bool become the default float first (exp)
  kToInt,    // bool becomes int64 first (square)
  kNoBool,   // as kSame, but a bool is refused (sub)
};

enum class ResultType : uint8_t { kSame, kBool, kReal };  // found from eval's return type: a mask is kBool

using TileFunction = void (*)(void* out, const void* const* in, const void* params, int64_t n);
struct PointwiseTiles {
  TileFunction forward[kNumComputes];
  TileFunction partial[3][kNumComputes];  // in: g, the inputs, the result
  ResultType result[kNumComputes];
};

namespace detail {

// Counts a schema's tensors and numbers at compile time.
consteval int count_args(const char* s, bool tensors) {
  auto starts = [](const char* p, const char* w) {
    while (*w && *p == *w) ++p, ++w;
    return !*w;
  };
  int n = 0;
  for (; *s && !starts(s, "->"); ++s) {
    if (*s != '(' && *s != ' ') continue;
    if (starts(s + 1, "Tensor ")) n += tensors;
    else if (starts(s + 1, "Scalar ") || starts(s + 1, "float ") || starts(s + 1, "int ")) n += !tensors;
  }
  return n;
}
template <class T>
inline constexpr int kInputs = count_args(T::schema, true);
template <class T>
inline constexpr int kAttributes = count_args(T::schema, false);
template <class T>
consteval uint32_t mask_inputs() {
  if constexpr (requires { T::masks; }) return T::masks;
  else return 0;
}
template <class T>
consteval Promote promotion() {
  if constexpr (requires { T::promote; }) return T::promote;
  else return Promote::kSame;
}

// Index lists 0..n-1 of our own: std's would be emitted by name in every instruction set's objects.
template <int... I>
struct Ints {};
template <int n, int... I>
struct MakeInts : MakeInts<n - 1, n - 1, I...> {};
template <int... I>
struct MakeInts<0, I...> {
  using type = Ints<I...>;
};
template <int n>
using Up = typename MakeInts<n>::type;

// The readers call rules through these: x(I) gives input I, a(J) attribute J. Whether a partial takes the result is
// seen from the number of its parameters.
template <class T, int which, class... P>
constexpr bool takes = false;
template <class T, class... P>
requires requires(P... p) { T::d_self(p...); }
constexpr bool takes<T, 0, P...> = true;
template <class T, class... P>
requires requires(P... p) { T::d_other(p...); }
constexpr bool takes<T, 1, P...> = true;
template <class T, class... P>
requires requires(P... p) { T::d_third(p...); }
constexpr bool takes<T, 2, P...> = true;

#define EMBER_RULE_INLINE inline __attribute__((always_inline))
template <class T, int which, class... P>
EMBER_RULE_INLINE auto partial(P... p) {
  if constexpr (which == 0) return T::d_self(p...);
  else if constexpr (which == 1) return T::d_other(p...);
  else return T::d_third(p...);
}

}  // namespace detail
}  // namespace ember
