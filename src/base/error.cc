// The formatter's few cases; numbers are written as Python writes them.
#include "base/error.h"

#include <charconv>
#include <cmath>

namespace ember {

void append(std::string& out, std::string_view part) { out += part; }
void append(std::string& out, int64_t part) { out += std::to_string(part); }
void append(std::string& out, uint64_t part) { out += std::to_string(part); }

void append(std::string& out, double part) {
  if (!std::isfinite(part)) {
    out += std::isnan(part) ? "nan" : part < 0 ? "-inf" : "inf";
    return;
  }
  char text[40];
  auto [end, status] = std::to_chars(text, text + sizeof text, part);
  std::string_view digits(text, end - text);
  out += digits;
  if (digits.find_first_of(".en") == std::string_view::npos) out += ".0";
}

}  // namespace ember
