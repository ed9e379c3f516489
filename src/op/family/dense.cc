// The words of errors that the dense families share.
#include "op/family/dense.h"

namespace ember {

std::string_view type_word(DType d) {
  static constexpr std::string_view kWords[kNumDTypes] = {
      "Bool", "Byte", "Char",     "UInt16", "Short",  "UInt32",       "Int",          "UInt64",
      "Long", "Half", "BFloat16", "Float",  "Double", "ComplexFloat", "ComplexDouble"};
  return kWords[static_cast<int>(d)];
}

void check_floating(const Tensor& x, std::string_view op, std::string_view kernel) {
  EMBER_CHECK_NOT_IMPLEMENTED(is_floating(x.dtype()), op, ": \"", kernel, "\" not implemented for '",
                              type_word(x.dtype()), "'; it takes floating point tensors");
}

}  // namespace ember
