// A shared library that is opened at run time, and functions of it by name. A library that is missing is an ordinary
// answer (drivers are optional), a missing function is an error.
#pragma once

#include <initializer_list>
#include <string>

namespace ember::gpu {

class Library {
 public:
  Library() = default;
  // Opens the first of `names` that loads; none: open() stays false.
  explicit Library(std::initializer_list<std::string> names);
  bool open() const { return handle_ != nullptr; }
  template <class F>
  void find(F*& function, const char* name) const {
    function = reinterpret_cast<F*>(symbol(name));
  }

 private:
  void* symbol(const char* name) const;
  void* handle_ = nullptr;  // stays open: drivers do not survive being closed
  std::string name_;
};

}  // namespace ember::gpu
