// What each reduction is: the identity of its monoid, what it makes of an element, and how two results become one.
// Generic functions like the pointwise rules, read with vectors by the CPU kernels (once per instruction set) and with
// symbols by the writer of GPU sources. `p` is the order of a norm. combine is associative and commutative but for
// rounding; the tree in which it is applied is the kernel's business.
#pragma once

#include <limits>

#ifdef EMBER_ISA
#define EMBER_RULE_SPACE ember::cpu::EMBER_ISA
#else
#define EMBER_RULE_SPACE ember::rules
#endif

namespace EMBER_RULE_SPACE {

struct SumRule {
  template <class T>
  static constexpr T identity = 0;
  static auto map(auto x, auto) { return x; }
  static auto combine(auto a, auto b) { return a + b; }
};
struct NanSumRule : SumRule {
  static auto map(auto x, auto) { return select(isnan(x), decltype(x)(0), x); }
};
struct ProdRule {
  template <class T>
  static constexpr T identity = 1;
  static auto map(auto x, auto) { return x; }
  static auto combine(auto a, auto b) { return a * b; }
};
struct MaxRule {  // nan wins
  template <class T>
  static constexpr T identity = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                                     : std::numeric_limits<T>::lowest();
  static auto map(auto x, auto) { return x; }
  static auto combine(auto a, auto b) { return max(a, b); }
};
struct MinRule {
  template <class T>
  static constexpr T identity = std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity()
                                                                     : std::numeric_limits<T>::max();
  static auto map(auto x, auto) { return x; }
  static auto combine(auto a, auto b) { return min(a, b); }
};
struct AbsSumRule : SumRule {
  static auto map(auto x, auto) { return abs(x); }
};
struct SquareSumRule : SumRule {
  static auto map(auto x, auto) { return x * x; }
};
struct PowSumRule : SumRule {
  static auto map(auto x, auto p) { return pow(abs(x), p); }
};
struct ExpSumRule : SumRule {  // of differences from p
  static auto map(auto x, auto p) { return exp(x - p); }
};
struct AbsMaxRule : MaxRule {
  template <class T>
  static constexpr T identity = 0;
  static auto map(auto x, auto) { return abs(x); }
};
struct AbsMinRule : MinRule {
  static auto map(auto x, auto) { return abs(x); }
};
struct XorRule {
  template <class T>
  static constexpr T identity = 0;
  static auto map(auto x, auto) { return x; }
  static auto combine(auto a, auto b) { return a ^ b; }
};

}  // namespace EMBER_RULE_SPACE
