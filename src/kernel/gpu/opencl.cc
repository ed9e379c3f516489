// The few calls of OpenCL 1.2 that are needed. Their prototypes and constants are declared here, as the standard gives
// them, so that building needs no header of it.
#include "kernel/gpu/opencl.h"

#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "kernel/gpu/library.h"

namespace ember::gpu::opencl {
namespace {

using Handle = void*;  // every cl_ object is a pointer
constexpr uint64_t kGpu = 1 << 2, kAnyDevice = 0xFFFFFFFF, kReadWrite = 1 << 0;
constexpr uint32_t kDeviceName = 0x102B, kDoubleConfig = 0x1032, kBuildLog = 0x1183;

struct Calls {
  int32_t (*get_platforms)(uint32_t, Handle*, uint32_t*);
  int32_t (*get_devices)(Handle, uint64_t, uint32_t, Handle*, uint32_t*);
  int32_t (*device_info)(Handle, uint32_t, size_t, void*, size_t*);
  Handle (*create_context)(const intptr_t*, uint32_t, const Handle*, void (*)(const char*, const void*, size_t, void*),
                           void*, int32_t*);
  Handle (*create_queue)(Handle, Handle, uint64_t, int32_t*);
  Handle (*create_buffer)(Handle, uint64_t, size_t, void*, int32_t*);
  int32_t (*release_buffer)(Handle);
  int32_t (*write)(Handle, Handle, uint32_t, size_t, size_t, const void*, uint32_t, const Handle*, Handle*);
  int32_t (*read)(Handle, Handle, uint32_t, size_t, size_t, void*, uint32_t, const Handle*, Handle*);
  Handle (*create_program)(Handle, uint32_t, const char**, const size_t*, int32_t*);
  int32_t (*build)(Handle, uint32_t, const Handle*, const char*, void (*)(Handle, void*), void*);
  int32_t (*build_info)(Handle, Handle, uint32_t, size_t, void*, size_t*);
  Handle (*create_kernel)(Handle, const char*, int32_t*);
  int32_t (*set_argument)(Handle, uint32_t, size_t, const void*);
  int32_t (*enqueue)(Handle, Handle, uint32_t, const size_t*, const size_t*, const size_t*, uint32_t, const Handle*,
                     Handle*);
};

void check(int32_t code, const char* call) { EMBER_CHECK(code == 0, "OpenCL: ", call, " failed with code ", code); }

class Driver {
 public:
  static Driver& get() {
    static Driver* const driver = new Driver;  // lives as long as the process: buffers may die after statics
    return *driver;
  }

  Calls cl{};
  Handle device = nullptr, context = nullptr, queue = nullptr;
  std::string why_not, name;
  bool doubles = false;

  void need() const { EMBER_CHECK_NOT_IMPLEMENTED(why_not.empty(), "OpenCL: ", why_not); }

  void prepare(const std::string& prelude, Span<KernelSource> kernels) {
    std::lock_guard lock(mutex_);
    std::string text = prelude;
    std::vector<const KernelSource*> fresh;
    for (const KernelSource& k : kernels) {
      if (!kernels_.emplace(k.text, nullptr).second) continue;
      text += k.text;
      fresh.push_back(&k);
    }
    if (fresh.empty()) return;
    try {
      const Handle program = compile(text);
      for (const KernelSource* k : fresh) {
        int32_t code = 0;
        kernels_[k->text] = cl.create_kernel(program, k->name.c_str(), &code);
        check(code, "clCreateKernel");
      }
    } catch (...) {
      for (const KernelSource* k : fresh) kernels_.erase(k->text);
      throw;
    }
  }

  void launch(const KernelSource& source, Span<Argument> arguments, size_t count, size_t group) {
    std::lock_guard lock(mutex_);  // a kernel holds its arguments until it is enqueued
    const Handle kernel = kernels_.at(source.text);
    uint32_t i = 0;
    for (const Argument& a : arguments) {
      const Handle buffer = a.buffer ? a.buffer->handle() : nullptr;
      check(cl.set_argument(kernel, i++, a.buffer ? sizeof buffer : a.size,
                            a.buffer ? static_cast<const void*>(&buffer) : a.bytes),
            "clSetKernelArg");
    }
    const size_t total = (count + group - 1) / group * group;
    check(cl.enqueue(queue, kernel, 1, nullptr, &total, &group, 0, nullptr, nullptr), "clEnqueueNDRangeKernel");
  }

 private:
  Driver() : library_({"libOpenCL.so.1", "libOpenCL.so"}) {
    if (library_.open()) find_calls();
    why_not = !library_.open() ? "libOpenCL.so.1 is not installed" : !find_device() ? "no platform has a device" : "";
    if (!why_not.empty()) return;
    int32_t code = 0;
    context = cl.create_context(nullptr, 1, &device, nullptr, nullptr, &code);
    check(code, "clCreateContext");
    queue = cl.create_queue(context, device, 0, &code);
    check(code, "clCreateCommandQueue");
    char text[256] = {};
    cl.device_info(device, kDeviceName, sizeof text - 1, text, nullptr);
    name = text;
    uint64_t config = 0;
    cl.device_info(device, kDoubleConfig, sizeof config, &config, nullptr);
    doubles = config != 0;
  }

  void find_calls() {
    library_.find(cl.get_platforms, "clGetPlatformIDs");
    library_.find(cl.get_devices, "clGetDeviceIDs");
    library_.find(cl.device_info, "clGetDeviceInfo");
    library_.find(cl.create_context, "clCreateContext");
    library_.find(cl.create_queue, "clCreateCommandQueue");
    library_.find(cl.create_buffer, "clCreateBuffer");
    library_.find(cl.release_buffer, "clReleaseMemObject");
    library_.find(cl.write, "clEnqueueWriteBuffer");
    library_.find(cl.read, "clEnqueueReadBuffer");
    library_.find(cl.create_program, "clCreateProgramWithSource");
    library_.find(cl.build, "clBuildProgram");
    library_.find(cl.build_info, "clGetProgramBuildInfo");
    library_.find(cl.create_kernel, "clCreateKernel");
    library_.find(cl.set_argument, "clSetKernelArg");
    library_.find(cl.enqueue, "clEnqueueNDRangeKernel");
  }

  bool find_device() {
    Handle platforms[16];
    uint32_t count = 0;
    if (cl.get_platforms(16, platforms, &count) != 0) return false;
    for (uint64_t kind : {kGpu, kAnyDevice}) {
      for (uint32_t i = 0; i < count && i < 16; ++i) {
        uint32_t found = 0;
        if (cl.get_devices(platforms[i], kind, 1, &device, &found) == 0 && found > 0) return true;
      }
    }
    return false;
  }

  Handle compile(const std::string& text) {
    const char* source = text.c_str();
    int32_t code = 0;
    const Handle program = cl.create_program(context, 1, &source, nullptr, &code);
    check(code, "clCreateProgramWithSource");
    code = cl.build(program, 1, &device, "-w -cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt", nullptr, nullptr);
    if (code != 0) {
      size_t size = 0;
      cl.build_info(program, device, kBuildLog, 0, nullptr, &size);
      std::string log(size, '\0');
      cl.build_info(program, device, kBuildLog, size, log.data(), nullptr);
      EMBER_FAIL("OpenCL: a kernel does not compile (code ", code, "):\n", log.c_str());
    }
    return program;
  }

  Library library_;
  std::mutex mutex_;
  std::unordered_map<std::string, Handle> kernels_;  // by text
};

}  // namespace

std::string why_not() { return Driver::get().why_not; }
std::string device_name() { return Driver::get().name; }
bool has_doubles() { return Driver::get().doubles; }

Buffer::Buffer(size_t bytes) {
  Driver& d = Driver::get();
  d.need();
  int32_t code = 0;
  handle_ = d.cl.create_buffer(d.context, kReadWrite, bytes ? bytes : 1, nullptr, &code);
  check(code, "clCreateBuffer");
}
Buffer::~Buffer() {
  if (handle_) Driver::get().cl.release_buffer(handle_);
}
void Buffer::upload(const void* from, size_t bytes) {
  Driver& d = Driver::get();
  if (bytes) check(d.cl.write(d.queue, handle_, 1, 0, bytes, from, 0, nullptr, nullptr), "clEnqueueWriteBuffer");
}
void Buffer::download(void* to, size_t bytes) const {
  Driver& d = Driver::get();
  if (bytes) check(d.cl.read(d.queue, handle_, 1, 0, bytes, to, 0, nullptr, nullptr), "clEnqueueReadBuffer");
}

void prepare(const std::string& prelude, Span<KernelSource> kernels) {
  Driver::get().need();
  Driver::get().prepare(prelude, kernels);
}
void launch(const std::string& prelude, const KernelSource& kernel, Span<Argument> arguments, size_t count,
            size_t group) {
  prepare(prelude, Span<KernelSource>(&kernel, 1));
  Driver::get().launch(kernel, arguments, count, group);
}

}  // namespace ember::gpu::opencl
