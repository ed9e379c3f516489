// The closed list. A name that is not here stops the reading of a file, unless the caller allows it.
#include "io/pickle_names.h"

#include <unordered_map>
#include <utility>

#include "io/pickle.h"

namespace ember::io {
namespace {

const std::unordered_map<std::string_view, Known> kNames = {
    {"collections.OrderedDict", Known::kOrderedDict},
    {"collections.Counter", Known::kCounter},
    {"torch.Size", Known::kSize},
    {"torch.device", Known::kDevice},
    {"torch.serialization._get_layout", Known::kLayout},
    {"_codecs.encode", Known::kEncode},
    {"builtins.bytes", Known::kBytes},
    {"builtins.bytearray", Known::kByteArray},
    {"builtins.set", Known::kSet},
    {"builtins.complex", Known::kComplex},
    {"torch.Tensor", Known::kTensorClass},
    {"torch._tensor.Tensor", Known::kTensorClass},
    {"torch.nn.parameter.Parameter", Known::kParameterClass},
    {"torch._utils._rebuild_tensor", Known::kTensorV1},
    {"torch._utils._rebuild_tensor_v2", Known::kTensorV2},
    {"torch._utils._rebuild_tensor_v3", Known::kTensorV3},
    {"torch._utils._rebuild_parameter", Known::kParameter},
    {"torch._utils._rebuild_parameter_with_state", Known::kParameterWithState},
    {"torch._tensor._rebuild_from_type_v2", Known::kFromType},
    // These stay calls in the tree; who converts it decides what to make of them.
    {"torch._utils._rebuild_sparse_tensor", Known::kCall},
    {"torch._utils._rebuild_nested_tensor", Known::kCall},
    {"torch._utils._rebuild_meta_tensor_no_storage", Known::kCall},
    {"torch._utils._rebuild_device_tensor_from_cpu_tensor", Known::kCall},
};

struct StorageClass {
  std::string_view name;
  DType dtype;
};
constexpr StorageClass kStorageClasses[] = {
    {"torch.FloatStorage", DType::kFloat32},
    {"torch.DoubleStorage", DType::kFloat64},
    {"torch.HalfStorage", DType::kFloat16},
    {"torch.BFloat16Storage", DType::kBFloat16},
    {"torch.ByteStorage", DType::kUInt8},
    {"torch.CharStorage", DType::kInt8},
    {"torch.ShortStorage", DType::kInt16},
    {"torch.IntStorage", DType::kInt32},
    {"torch.LongStorage", DType::kInt64},
    {"torch.BoolStorage", DType::kBool},
    {"torch.ComplexFloatStorage", DType::kComplex64},
    {"torch.ComplexDoubleStorage", DType::kComplex128},
};

}  // namespace

std::optional<Known> known_name(std::string_view full) {
  auto found = kNames.find(full);
  if (found == kNames.end()) return std::nullopt;
  return found->second;
}

std::optional<DType> storage_dtype(std::string_view full) {
  for (auto& s : kStorageClasses)
    if (s.name == full) return s.dtype;
  return std::nullopt;
}

// Names of dtypes that PyTorch has and this library lacks: a file may mention them, no tensor may have them.
bool is_dtype_name(std::string_view name) {
  DType dtype;
  return dtype_named(name, &dtype) || name.starts_with("float8_") || name.starts_with("float4_") || name == "qint8" ||
         name == "quint8" || name == "qint32" || name == "complex32" || name == "chalf";
}

bool valid_utf8(std::string_view s, bool surrogates) {
  for (size_t i = 0; i < s.size();) {
    auto c = static_cast<unsigned char>(s[i]);
    int more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : -1;
    if (more < 0 || s.size() - i <= static_cast<size_t>(more)) return false;
    uint32_t code = more == 0 ? c : c & (0x3f >> more);
    for (int k = 1; k <= more; ++k) {
      auto next = static_cast<unsigned char>(s[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3f);
    }
    if ((more == 2 && code < 0x800) || (more == 3 && (code < 0x10000 || code > 0x10ffff))) return false;
    if (!surrogates && code >= 0xd800 && code < 0xe000) return false;
    i += 1 + more;
  }
  return true;
}

std::string_view storage_class(DType dtype) {
  for (auto& s : kStorageClasses)
    if (s.dtype == dtype) return s.name;
  return {};
}

bool dtype_named(std::string_view text, DType* dtype) {
  constexpr std::pair<std::string_view, DType> aliases[] = {
      {"half", DType::kFloat16},     {"float", DType::kFloat32},     {"double", DType::kFloat64},
      {"short", DType::kInt16},      {"int", DType::kInt32},         {"long", DType::kInt64},
      {"cfloat", DType::kComplex64}, {"cdouble", DType::kComplex128}};
  for (int i = 0; i < kNumDTypes; ++i)
    if (name(static_cast<DType>(i)) == text) return *dtype = static_cast<DType>(i), true;
  for (auto& [alias, d] : aliases)
    if (alias == text) return *dtype = d, true;
  return false;
}

}  // namespace ember::io
