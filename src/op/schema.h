// Schema: an op's signature, parsed once from its one-line text.
//   name.overload(Tensor(a!) self, int[2] size=1, *, float? p=None, str mode="mean") -> (Tensor values, Tensor indices)
// Types: Tensor Tensor[] Tensor?[] int SymInt int[] SymInt[] int[N] (one int stands for N) float float[] bool bool[]
// Scalar Scalar[] str ScalarType Device Layout MemoryFormat Generator, each with `?` for optional. `(a)` marks an alias
// of that argument in a result, `(a!)` an argument that is written to.
#pragma once

#include <string>
#include <vector>

#include "op/value.h"

namespace ember {

enum class Type : uint8_t {
  kTensor,
  kTensorList,
  kInt,
  kIntList,
  kFloat,
  kFloatList,
  kBool,
  kBoolList,
  kScalar,
  kScalarList,
  kString,
  kDType,
  kDevice,
  kLayout,
  kMemoryFormat,
  kGenerator,
};

struct Arg {
  std::string name;
  Type type = Type::kTensor;
  bool optional = false;           // None is allowed
  bool optional_elements = false;  // Tensor?[]
  bool keyword_only = false;
  bool has_default = false;
  bool written = false;   // (a!)
  bool symbolic = false;  // SymInt: a size
  int repeat = 0;         // N of int[N]
  Value fallback;         // the default
  std::string type_text;  // as written, for messages
};

struct Result {
  std::string name;  // empty unless named: then Python sees a named tuple
  Type type = Type::kTensor;
};

class EMBER_API Schema {
 public:
  explicit Schema(std::string_view text);  // ValueError names the place where the text is wrong

  std::string name, overload;  // "max", "dim"
  std::string text;
  std::vector<Arg> args;
  std::vector<Result> results;
  bool tuple = false;                         // written with parentheses
  int positional = 0;                         // arguments before `*`
  int find(std::string_view arg_name) const;  // -1: none
};

}  // namespace ember
