// Device strings.
#include "tensor/device.h"

#include <charconv>

#include "base/error.h"

namespace ember {

static constexpr std::string_view kDeviceNames[] = {"cpu", "meta", "cuda", "hip", "opencl"};
std::string_view name(DeviceType type) { return kDeviceNames[static_cast<int>(type)]; }

Device parse_device(std::string_view text) {
  std::string_view kind = text.substr(0, text.find(':'));
  for (int i = 0; i < 5; ++i) {
    if (kind != kDeviceNames[i]) continue;
    Device d{static_cast<DeviceType>(i), -1};
    if (kind.size() < text.size()) {
      std::string_view digits = text.substr(kind.size() + 1);
      int n = -1;
      auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
      EMBER_CHECK(status == std::errc() && end == digits.data() + digits.size() && n >= 0 && n < 128,
                  "Invalid device string: '", text, "'");
      d.index = static_cast<int8_t>(n);
    }
    return d;
  }
  EMBER_FAIL("Expected one of cpu, meta, cuda, hip, opencl device type at start of device string: ", text);
}

void append(std::string& out, Device d) {
  out += name(d.type);
  if (d.index >= 0) (out += ':') += std::to_string(d.index);
}

std::string_view name(Layout l) {
  static constexpr std::string_view names[] = {"strided",    "sparse_coo", "sparse_csr", "sparse_csc",
                                               "sparse_bsr", "sparse_bsc", "jagged"};
  return names[static_cast<int>(l)];
}
std::string_view name(MemoryFormat f) {
  static constexpr std::string_view names[] = {"contiguous_format", "preserve_format", "channels_last",
                                               "channels_last_3d"};
  return names[static_cast<int>(f)];
}

}  // namespace ember
