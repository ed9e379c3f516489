// Logic on truth values and on bits.
#include "op/pointwise_family.h"

namespace ember::EMBER_READER {

struct LogicalAnd {
  static constexpr auto schema = "logical_and(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "Are both not zero?";
  static constexpr auto types = types::kAll;
  static auto eval(auto x, auto y) { return (x != 0) & (y != 0); }
};

struct LogicalOr {
  static constexpr auto schema = "logical_or(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "Is either not zero?";
  static constexpr auto types = types::kAll;
  static auto eval(auto x, auto y) { return (x != 0) | (y != 0); }
};

struct LogicalXor {
  static constexpr auto schema = "logical_xor(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "Is exactly one not zero?";
  static constexpr auto types = types::kAll;
  static auto eval(auto x, auto y) { return (x != 0) ^ (y != 0); }
};

struct LogicalNot {
  static constexpr auto schema = "logical_not(Tensor self) -> Tensor";
  static constexpr auto doc = "Is self zero?";
  static constexpr auto types = types::kAll;
  static auto eval(auto x) { return x == 0; }
};

struct BitwiseAnd {
  static constexpr auto schema = "bitwise_and(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "Bitwise and; of bools the logical one";
  static constexpr auto types = types::kIntBool;
  static auto eval(auto x, auto y) { return x & y; }
};

struct BitwiseOr {
  static constexpr auto schema = "bitwise_or(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "Bitwise or; of bools the logical one";
  static constexpr auto types = types::kIntBool;
  static auto eval(auto x, auto y) { return x | y; }
};

struct BitwiseXor {
  static constexpr auto schema = "bitwise_xor(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "Bitwise exclusive or; of bools the logical one";
  static constexpr auto types = types::kIntBool;
  static auto eval(auto x, auto y) { return x ^ y; }
};

struct BitwiseNotInt {
  static constexpr auto schema = "_bitwise_not_int(Tensor self) -> Tensor";
  static constexpr auto doc = "All bits flipped";
  static constexpr auto types = types::kInt;
  static auto eval(auto x) { return ~x; }
};

struct BitwiseLeftShift {
  static constexpr auto schema = "bitwise_left_shift(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self * 2^other";
  static constexpr auto types = types::kInt;
  static auto eval(auto x, auto y) { return x << y; }
};

struct BitwiseRightShift {
  static constexpr auto schema = "bitwise_right_shift(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self / 2^other, rounded down";
  static constexpr auto types = types::kInt;
  static auto eval(auto x, auto y) { return x >> y; }
};

EMBER_POINTWISE_FAMILY(logic, LogicalAnd, LogicalOr, LogicalXor, LogicalNot, BitwiseAnd, BitwiseOr, BitwiseXor,
                       BitwiseNotInt, BitwiseLeftShift, BitwiseRightShift)

}  // namespace ember::EMBER_READER
