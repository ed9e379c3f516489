// Which build of the kernels this machine runs. Kernel files are compiled once per instruction set; a table of
// function pointers is picked by cpu_isa() at first use. EMBER_ISA=baseline|avx2|avx512 in the environment forces it.
#pragma once

#include "base/export.h"

namespace ember {

enum class Isa { baseline, avx2, avx512 };

// The best that CPU and operating system both support, or what EMBER_ISA asks for. Raises ValueError when EMBER_ISA
// names no instruction set, or one that this CPU lacks.
EMBER_API Isa cpu_isa();
EMBER_API bool cpu_supports(Isa isa);
EMBER_API const char* isa_name(Isa isa);

}  // namespace ember
