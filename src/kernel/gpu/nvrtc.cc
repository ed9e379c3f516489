// The dozen calls of NVRTC, declared here so that building needs no header of it.
#include "kernel/gpu/nvrtc.h"

#include <dlfcn.h>

#include <filesystem>
#include <mutex>

#include "base/error.h"
#include "kernel/gpu/library.h"

namespace ember::gpu::nvrtc {
namespace {

using Program = void*;
struct Calls {
  int (*create)(Program*, const char*, const char*, int, const char* const*, const char* const*);
  int (*destroy)(Program*);
  int (*compile)(Program, int, const char* const*);
  int (*ptx_size)(Program, size_t*);
  int (*ptx)(Program, char*);
  int (*cubin_size)(Program, size_t*);
  int (*cubin)(Program, char*);
  int (*log_size)(Program, size_t*);
  int (*log)(Program, char*);
};

std::mutex mutex;
Library library;
Calls calls;

// The file in `folder` whose name opens with `start`, or nothing.
std::string file_in(const std::string& folder, std::string_view start) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    if (entry.path().filename().string().starts_with(start)) return entry.path().string();
  }
  return {};
}

void check(int code, const char* call) { EMBER_CHECK(code == 0, "NVRTC: ", call, " failed with code ", code); }

}  // namespace

bool open(const std::string& folder) {
  std::lock_guard lock(mutex);
  if (library.open()) return true;
  if (folder.empty()) {
    library = Library({"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"});
  } else {
    // NVRTC asks the loader for its builtins by name: they are found when they are loaded already.
    const std::string builtins = file_in(folder, "libnvrtc-builtins.so");
    if (!builtins.empty()) dlopen(builtins.c_str(), RTLD_NOW | RTLD_GLOBAL);
    library = Library({file_in(folder, "libnvrtc.so")});
  }
  if (!library.open()) return false;
  library.find(calls.create, "nvrtcCreateProgram");
  library.find(calls.destroy, "nvrtcDestroyProgram");
  library.find(calls.compile, "nvrtcCompileProgram");
  library.find(calls.ptx_size, "nvrtcGetPTXSize");
  library.find(calls.ptx, "nvrtcGetPTX");
  library.find(calls.cubin_size, "nvrtcGetCUBINSize");
  library.find(calls.cubin, "nvrtcGetCUBIN");
  library.find(calls.log_size, "nvrtcGetProgramLogSize");
  library.find(calls.log, "nvrtcGetProgramLog");
  return true;
}

std::string compile(const std::string& text, const std::string& arch) {
  EMBER_CHECK_NOT_IMPLEMENTED(open(""), "NVRTC: libnvrtc.so is not installed");
  struct Owned {
    Program program = nullptr;
    ~Owned() {
      if (program) calls.destroy(&program);
    }
  } p;
  check(calls.create(&p.program, text.c_str(), "ember.cu", 0, nullptr, nullptr), "nvrtcCreateProgram");
  const std::string target = "--gpu-architecture=" + arch;
  const char* options[] = {target.c_str(), "--fmad=false", "--std=c++17", "--device-as-default-execution-space"};
  const int code = calls.compile(p.program, 4, options);
  if (code != 0) {
    size_t size = 0;
    calls.log_size(p.program, &size);
    std::string log(size, '\0');
    calls.log(p.program, log.data());
    EMBER_FAIL("NVRTC: a kernel does not compile (code ", code, "):\n", log.c_str());
  }
  const bool machine_code = arch.starts_with("sm_");
  size_t size = 0;
  check((machine_code ? calls.cubin_size : calls.ptx_size)(p.program, &size), "nvrtcGet...Size");
  std::string result(size, '\0');
  check((machine_code ? calls.cubin : calls.ptx)(p.program, result.data()), "nvrtcGet...");
  return result;
}

}  // namespace ember::gpu::nvrtc
