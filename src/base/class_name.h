// The bare name of a C++ class, for people to read: "Linear" of ember::nn::Linear. Modules are printed under it and
// custom functions name their nodes by it, so neither has to be told its own name.
#pragma once

#include <string>
#include <typeinfo>

#include "base/export.h"

namespace ember {

EMBER_API std::string class_name(const std::type_info& type);

}  // namespace ember
