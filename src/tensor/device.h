// Where a tensor's data lives, and how it is laid out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/export.h"

namespace ember {

enum class DeviceType : uint8_t { kCPU, kMeta, kCUDA, kHIP, kOpenCL };

struct Device {
  DeviceType type = DeviceType::kCPU;
  int8_t index = -1;  // -1: the current one
  friend bool operator==(const Device&, const Device&) = default;
};
inline constexpr Device kCpu{}, kMeta{DeviceType::kMeta, -1};

EMBER_API Device parse_device(std::string_view text);  // "cpu", "cuda:1"; RuntimeError in PyTorch's words
EMBER_API std::string_view name(DeviceType type);
EMBER_API void append(std::string& out, Device d);

enum class Layout : uint8_t { kStrided, kSparseCoo, kSparseCsr, kSparseCsc, kSparseBsr, kSparseBsc, kNested };
enum class MemoryFormat : uint8_t { kContiguous, kPreserve, kChannelsLast, kChannelsLast3d };
EMBER_API std::string_view name(Layout l);
EMBER_API std::string_view name(MemoryFormat f);

}  // namespace ember
