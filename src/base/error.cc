// The formatter's few cases, where numbers are written as Python writes them, and the op's name in front of a message.
#include "base/error.h"

#include <algorithm>
#include <cctype>
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

// Is `op` the first word of the text, or a later one that is written as a function: op(...), op: ...? The first may
// also be the public name that `op` is a variant of: max_pool2d of max_pool2d_with_indices.
static bool names(std::string_view text, std::string_view op) {
  auto part = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  const size_t first = std::find_if_not(text.begin(), text.end(), part) - text.begin();
  const bool speaks = first > 0 && first < text.size() && (text[first] == '(' || text[first] == ':');
  if (speaks && op.size() > first && op[first] == '_' && op.starts_with(text.substr(0, first))) return true;
  for (size_t at = text.find(op); at != text.npos; at = text.find(op, at + 1)) {
    const size_t end = at + op.size();
    const char next = end < text.size() ? text[end] : ' ';
    if (at == 0 ? !part(next) : !part(text[at - 1]) && (next == '(' || next == ':')) return true;
  }
  return false;
}

void Error::name_op(std::string_view op) {
  what_.erase(0, named_);
  named_ = 0;
  if (!names(what_, op)) what_.insert(0, str(op, ": "));
  for (std::string_view colon : {": ", "(): ", " : "}) {
    if (std::string_view(what_).starts_with(str(op, colon))) named_ = op.size() + colon.size();
  }
}

}  // namespace ember
