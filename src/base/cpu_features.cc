// CPUID through the compiler's builtins, which also ask the operating system whether it saves the wide registers.
// The lists are the flags that the kernel files are compiled with: a CPU runs a build only if it has all of them.
#include "base/cpu_features.h"

#include <cstdlib>
#include <string_view>

#include "base/error.h"

namespace ember {
namespace {

Isa pick() {
  const char* forced = std::getenv("EMBER_ISA");
  if (forced && *forced) {
    for (Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
      if (std::string_view(forced) != isa_name(isa)) continue;
      EMBER_CHECK_VALUE(cpu_supports(isa), "EMBER_ISA=", forced, ": this CPU or operating system does not support ",
                        forced, "; unset EMBER_ISA, or use a lower one of baseline, avx2, avx512");
      return isa;
    }
    fail<ValueError>("EMBER_ISA=", forced, ": not an instruction set; expected baseline, avx2 or avx512");
  }
  return cpu_supports(Isa::avx512) ? Isa::avx512 : cpu_supports(Isa::avx2) ? Isa::avx2 : Isa::baseline;
}

}  // namespace

bool cpu_supports(Isa isa) {
  if (isa == Isa::baseline) return true;
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
              __builtin_cpu_supports("bmi2");
  if (isa == Isa::avx2) return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

const char* isa_name(Isa isa) { return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "baseline"; }

Isa cpu_isa() {
  static const Isa picked = pick();
  return picked;
}

}  // namespace ember
