// A strict JSON reader over text in memory, as a cursor: the caller says what it expects next and is told off by
// FileError when something else comes. For headers of formats, not for documents: no tree is built.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/function_ref.h"

namespace ember::io {

class JsonCursor {
 public:
  JsonCursor(std::string_view text, std::string_view file) : text_(text), file_(file) {}

  // Calls each(key) with the cursor on the key's value, which it must consume. FileError when a key comes twice.
  void object(function_ref<void(const std::string& key)> each);
  void array(function_ref<void()> each);
  std::string string();
  uint64_t natural();  // an unsigned integer without fraction or exponent
  void skip();         // any value
  void end();          // nothing but white space may follow

 private:
  char peek();
  void expect(char c);
  void append_escape(std::string& out);
  uint32_t hex4();
  void skip_number();
  [[noreturn]] void wrong(const char* expected) const;

  std::string_view text_, file_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace ember::io
