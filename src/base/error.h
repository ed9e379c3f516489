// Exceptions and check macros.
// One family of macros: the condition is tested inline, everything else is cold and out of line. A message opens with
// the op or function that speaks, then says what came, then what is allowed. The Python layer maps each type to the
// exception that PyTorch raises. Nothing in the library aborts or prints.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "base/export.h"

namespace ember {

class EMBER_API Error : public std::exception {  // RuntimeError
 public:
  explicit Error(std::string what) : what_(std::move(what)) {}
  const char* what() const noexcept override { return what_.c_str(); }
  void add_context(std::string_view line) { (what_ += '\n') += line; }
  // Opens the message with `op` unless it names it already. On the way out each op takes the place of the one that it
  // called, so that the name that stays is the one that the user called.
  void name_op(std::string_view op);

 private:
  std::string what_;
  size_t named_ = 0;  // how much of it is the name of an op in front, and a colon
};
struct EMBER_API IndexError : Error {
  using Error::Error;
};
struct EMBER_API TypeError : Error {
  using Error::Error;
};
struct EMBER_API ValueError : Error {
  using Error::Error;
};
struct EMBER_API NotImplementedError : Error {
  using Error::Error;
};
struct EMBER_API OutOfMemoryError : Error {
  using Error::Error;
};
struct EMBER_API LinAlgError : Error {
  using Error::Error;
};
struct EMBER_API FileError : Error {
  using Error::Error;
};  // OSError

// Appends one part of a message. Types elsewhere join in by an overload found by argument-dependent lookup.
EMBER_API void append(std::string& out, std::string_view part);
EMBER_API void append(std::string& out, int64_t part);
EMBER_API void append(std::string& out, uint64_t part);
EMBER_API void append(std::string& out, double part);
inline void append(std::string& out, const char* part) { append(out, std::string_view(part)); }
inline void append(std::string& out, const std::string& part) { append(out, std::string_view(part)); }
inline void append(std::string& out, char part) { out += part; }
inline void append(std::string& out, bool part) { append(out, part ? "True" : "False"); }
inline void append(std::string& out, int part) { append(out, int64_t{part}); }
inline void append(std::string& out, unsigned part) { append(out, uint64_t{part}); }
inline void append(std::string& out, long long part) { append(out, static_cast<int64_t>(part)); }
inline void append(std::string& out, unsigned long long part) { append(out, static_cast<uint64_t>(part)); }

template <class... Parts>
EMBER_COLD std::string str(const Parts&... parts) {
  std::string out;
  (append(out, parts), ...);
  return out;
}

template <class E, class... Parts>
[[noreturn]] EMBER_COLD void fail(const Parts&... parts) {
  throw E(str(parts...));
}

}  // namespace ember

#define EMBER_CHECK_AS(type, cond, ...) \
  do { \
    if (EMBER_UNLIKELY(!(cond))) ::ember::fail<type>(__VA_ARGS__); \
  } while (0)
#define EMBER_CHECK(cond, ...) EMBER_CHECK_AS(::ember::Error, cond, __VA_ARGS__)
#define EMBER_CHECK_INDEX(cond, ...) EMBER_CHECK_AS(::ember::IndexError, cond, __VA_ARGS__)
#define EMBER_CHECK_TYPE(cond, ...) EMBER_CHECK_AS(::ember::TypeError, cond, __VA_ARGS__)
#define EMBER_CHECK_VALUE(cond, ...) EMBER_CHECK_AS(::ember::ValueError, cond, __VA_ARGS__)
#define EMBER_CHECK_NOT_IMPLEMENTED(cond, ...) EMBER_CHECK_AS(::ember::NotImplementedError, cond, __VA_ARGS__)
#define EMBER_FAIL(...) ::ember::fail<::ember::Error>(__VA_ARGS__)
