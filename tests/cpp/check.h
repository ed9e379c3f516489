// The C++ tests' frame: TEST registers a case, CHECK* throw on failure, main (main.cc) runs all or those whose name
// holds argv[1] and closes with "N passed, N failed". Kept this small because a test library would be the only
// C++ dependency that PyPI does not carry.
#pragma once

#include <cmath>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

namespace ember::test {

struct Case {
  const char* name;
  void (*run)();
};
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
struct Register {
  Register(const char* name, void (*run)()) { cases().push_back({name, run}); }
};
struct Failure : std::exception {
  std::string text;
  explicit Failure(std::string t) : text(std::move(t)) {}
  const char* what() const noexcept override { return text.c_str(); }
};
template <class... Parts>
[[noreturn]] void fail(const char* file, int line, const Parts&... parts) {
  std::ostringstream out;
  out << file << ':' << line << ": ";
  (out << ... << parts);
  throw Failure(out.str());
}

}  // namespace ember::test

#define TEST(name) \
  static void test_##name(); \
  static ::ember::test::Register register_##name{#name, test_##name}; \
  static void test_##name()
#define CHECK(cond) \
  do { \
    if (!(cond)) ::ember::test::fail(__FILE__, __LINE__, "CHECK(" #cond ") failed"); \
  } while (0)
#define CHECK_EQ(a, b) \
  do { \
    auto&& va_ = (a); \
    auto&& vb_ = (b); \
    if (!(va_ == vb_)) ::ember::test::fail(__FILE__, __LINE__, #a " == " #b ": ", va_, " vs ", vb_); \
  } while (0)
#define CHECK_NEAR(a, b, tol) \
  do { \
    double va_ = (a), vb_ = (b); \
    if (!(std::abs(va_ - vb_) <= (tol))) ::ember::test::fail(__FILE__, __LINE__, #a " ~ " #b ": ", va_, " vs ", vb_); \
  } while (0)
#define CHECK_THROWS(expr, part) \
  do { \
    std::string what_ = "nothing was thrown"; \
    try { \
      (void)(expr); \
    } catch (const std::exception& e) { what_ = e.what(); } \
    if (what_.find(part) == std::string::npos) ::ember::test::fail(__FILE__, __LINE__, #expr ": ", what_); \
  } while (0)
