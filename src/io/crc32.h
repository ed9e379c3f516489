// CRC-32 as zip and gzip use it (polynomial 0xEDB88320, reflected).
// The running value starts at 0 and may be carried from piece to piece.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/export.h"

namespace ember::io {

EMBER_API uint32_t crc32(uint32_t crc, const void* data, size_t bytes);

}  // namespace ember::io
