// The names that a pickle may hold, and what each means here: internal to the pickle reader and writer.
// Storage classes and dtypes are known by their names alone; nothing is ever imported.
#pragma once

#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace ember::io {

// clang-format off
enum class Known {
  kOrderedDict, kCounter, kSize, kDevice, kLayout, kEncode, kBytes, kByteArray, kSet, kComplex, kTensorClass,
  kParameterClass, kTensorV1, kTensorV2, kTensorV3, kParameter, kParameterWithState, kFromType, kCall,
};
// clang-format on

std::optional<Known> known_name(std::string_view full);     // of "module.name"
std::optional<DType> storage_dtype(std::string_view full);  // float32 of "torch.FloatStorage"
bool is_dtype_name(std::string_view name);                  // of dtypes that this library lacks, too
bool valid_utf8(std::string_view text, bool surrogates);

inline constexpr std::string_view kUntypedStorage = "torch.storage.UntypedStorage";

}  // namespace ember::io
