// RFC 8259, with its grammar kept to the letter: no comments, no trailing commas, no bare control characters.
#include "io/json.h"

#include <set>

#include "base/error.h"

namespace ember::io {
namespace {
constexpr int kMaxNesting = 64;
bool is_digit(char c) { return c >= '0' && c <= '9'; }
}  // namespace

void JsonCursor::wrong(const char* expected) const {
  fail<FileError>("'", file_, "': invalid header: expected ", expected, " at byte ", at_, " of its JSON");
}

char JsonCursor::peek() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
    ++at_;
  return at_ < text_.size() ? text_[at_] : '\0';
}

void JsonCursor::expect(char c) {
  if (peek() != c) {
    const char name[] = {'\'', c, '\'', '\0'};
    wrong(name);
  }
  ++at_;
}

void JsonCursor::object(function_ref<void(const std::string&)> each) {
  if (++depth_ > kMaxNesting) wrong("less nesting");
  std::set<std::string> keys;
  expect('{');
  if (peek() != '}') {
    do {
      std::string key = string();
      EMBER_CHECK_AS(FileError, keys.insert(key).second, "'", file_, "': invalid header: duplicate key '", key, "'");
      expect(':');
      each(key);
    } while (peek() == ',' && ++at_);
  }
  expect('}');
  --depth_;
}

void JsonCursor::array(function_ref<void()> each) {
  if (++depth_ > kMaxNesting) wrong("less nesting");
  expect('[');
  if (peek() != ']') {
    do each();
    while (peek() == ',' && ++at_);
  }
  expect(']');
  --depth_;
}

std::string JsonCursor::string() {
  expect('"');
  std::string out;
  for (;;) {
    if (at_ >= text_.size()) wrong("the end of a string");
    char c = text_[at_++];
    if (c == '"') return out;
    if (static_cast<unsigned char>(c) < 0x20) wrong("no control character in a string");
    if (c == '\\') append_escape(out);
    else out += c;
  }
}

uint32_t JsonCursor::hex4() {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    char c = at_ < text_.size() ? text_[at_] : '\0';
    int digit = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) wrong("four hexadecimal digits");
    value = value * 16 + static_cast<uint32_t>(digit);
  }
  return value;
}

void JsonCursor::append_escape(std::string& out) {
  if (at_ >= text_.size()) wrong("an escape");
  char c = text_[at_++];
  constexpr std::string_view from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
  if (size_t i = from.find(c); i != from.npos) {
    out += to[i];
    return;
  }
  if (c != 'u') wrong("an escape");
  uint32_t code = hex4();
  if (code >= 0xd800 && code < 0xdc00) {  // the first half of a pair
    if (text_.substr(at_, 2) != "\\u") wrong("the second half of a surrogate pair");
    at_ += 2;
    uint32_t low = hex4();
    if (low < 0xdc00 || low >= 0xe000) wrong("the second half of a surrogate pair");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  } else if (code >= 0xdc00 && code < 0xe000) {
    wrong("the first half of a surrogate pair");
  }
  auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) return put(0xc0 | code >> 6), put(0x80 | (code & 0x3f));
  if (code < 0x10000) put(0xe0 | code >> 12);
  else put(0xf0 | code >> 18), put(0x80 | (code >> 12 & 0x3f));
  put(0x80 | (code >> 6 & 0x3f)), put(0x80 | (code & 0x3f));
}

uint64_t JsonCursor::natural() {
  if (!is_digit(peek())) wrong("an unsigned integer");
  bool zero = text_[at_] == '0';
  uint64_t value = 0;
  size_t start = at_;
  for (; at_ < text_.size() && is_digit(text_[at_]); ++at_) {
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, static_cast<uint64_t>(text_[at_] - '0'), &value))
      wrong("an integer of at most 64 bits");
  }
  if (zero && at_ - start > 1) wrong("an integer without leading zeros");
  char next = at_ < text_.size() ? text_[at_] : ' ';
  if (next == '.' || next == 'e' || next == 'E') wrong("an unsigned integer");
  return value;
}

void JsonCursor::skip_number() {
  if (peek() == '-') ++at_;
  auto digits = [&] {
    size_t start = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    if (at_ == start) wrong("a value");
  };
  digits();
  if (at_ < text_.size() && text_[at_] == '.') ++at_, digits();
  if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    ++at_;
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    digits();
  }
}

void JsonCursor::skip() {
  switch (peek()) {
    case '{': return object([&](const std::string&) { skip(); });
    case '[': return array([&] { skip(); });
    case '"': string(); return;
    default: break;
  }
  for (std::string_view word : {"true", "false", "null"}) {
    if (text_.substr(at_, word.size()) != word) continue;
    at_ += word.size();
    return;
  }
  skip_number();
}

void JsonCursor::end() {
  if (peek() != '\0' || at_ < text_.size()) wrong("the end of the header");
}

}  // namespace ember::io
