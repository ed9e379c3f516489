// Libraries through dlopen.
#include "kernel/gpu/library.h"

#include <dlfcn.h>

#include "base/error.h"

namespace ember::gpu {

Library::Library(std::initializer_list<std::string> names) {
  for (const std::string& name : names) {
    if (name.empty()) continue;
    handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_) {
      name_ = name;
      return;
    }
  }
}

void* Library::symbol(const char* name) const {
  void* found = handle_ ? dlsym(handle_, name) : nullptr;
  EMBER_CHECK(found, name_.empty() ? "gpu" : name_, ": has no function ", name);
  return found;
}

}  // namespace ember::gpu
