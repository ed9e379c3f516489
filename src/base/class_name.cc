// Demangling, by the compiler's own ABI.
#include "base/class_name.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

namespace ember {

std::string class_name(const std::type_info& type) {
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free);
  std::string name = status == 0 ? text.get() : type.name();
  if (name.ends_with('>')) name.resize(name.find('<'));  // template arguments may hold "::" of their own
  if (size_t colons = name.rfind("::"); colons != std::string::npos) name.erase(0, colons + 2);
  return name;
}

}  // namespace ember
