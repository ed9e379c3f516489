// Operands brought to the device and kernels' arguments laid out as op/gpu_source.h says.
#include "op/gpu_run.h"

#include <algorithm>
#include <limits>

#include "kernel/gpu/opencl.h"

namespace ember {
namespace {

using gpu::opencl::Argument;
using gpu::opencl::Buffer;

constexpr int kMaxOperands = 7;  // g, four inputs, the result of forward, the kernel's result
constexpr size_t kGroup = 64;

const std::string& opencl_prelude() {
  static const std::string text = gpu::prelude(gpu::Dialect::kOpenCL, gpu::opencl::has_doubles());
  return text;
}

// An operand's memory on the device: the elements between its first and its last.
struct Operand {
  Tensor tensor;
  Dims strides;                  // over the loop's dims
  int64_t first = 0, count = 0;  // the lowest element relative to the tensor's own, and how many up to the highest
  Buffer buffer;

  Operand(const Tensor& t, DimsView sizes) : tensor(t) {
    const size_t missing = sizes.size() - t.sizes().size();
    for (size_t d = 0; d < sizes.size(); ++d) {
      const bool broadcast = d < missing || t.sizes()[d - missing] == 1;
      strides.push_back(broadcast ? 0 : t.strides()[d - missing]);
    }
    int64_t last = 0;
    for (size_t d = 0; d < t.sizes().size(); ++d) {
      const int64_t reach = (t.sizes()[d] - 1) * t.strides()[d];
      (reach < 0 ? first : last) += reach;
    }
    count = last - first + 1;
  }
  char* memory() const { return static_cast<char*>(tensor.data()) + first * item_size(tensor.dtype()); }
  size_t bytes() const { return static_cast<size_t>(count * item_size(tensor.dtype())); }
};

// Neighbouring dims that every operand walks in one stride become one; none are left when all operands are contiguous.
Dims merge_dims(DimsView sizes, std::vector<Operand>& operands) {
  Dims merged;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 1) continue;
    const size_t at = merged.size();
    const bool joins = at > 0 && std::all_of(operands.begin(), operands.end(), [&](const Operand& o) {
                         return o.strides[at - 1] == o.strides[d] * sizes[d];
                       });
    if (joins) merged[at - 1] *= sizes[d];
    else merged.push_back(sizes[d]);
    for (Operand& o : operands) o.strides[merged.size() - 1] = o.strides[d];
  }
  const bool dense =
      merged.empty() || (merged.size() == 1 && std::all_of(operands.begin(), operands.end(),
                                                           [](const Operand& o) { return o.strides[0] == 1; }));
  return dense ? Dims() : merged;
}

class Arguments {
 public:
  explicit Arguments(bool wide) : wide_(wide) {}
  void index(int64_t i) {
    if (wide_) list.emplace_back(i);
    else list.emplace_back(static_cast<int32_t>(i));
  }
  void buffer(const Operand& o) {
    list.emplace_back(o.buffer);
    index(-o.first);
  }
  void operand(const Operand& o, size_t rank) {
    buffer(o);
    for (size_t d = 0; d < rank; ++d) index(o.strides[d]);
  }
  void attribute(const Scalar& s, Compute c) {
    visit(storage_dtype(c), [&]<class T>(T) {
      if constexpr (ember::is_complex(dtype_of<T>)) {
        const T z = s.to<T>();
        list.emplace_back(z.real()), list.emplace_back(z.imag());
      } else if constexpr (std::is_same_v<T, bool>) {
        list.emplace_back(static_cast<uint8_t>(s.to<bool>()));
      } else {
        list.emplace_back(s.to<T>());
      }
    });
  }
  std::vector<Argument> list;

 private:
  bool wide_;
};

}  // namespace

Tensor opencl_pointwise(const Op& op, int which, const Tensor& g, const Value* args, const Tensor& y) {
  EMBER_CHECK_NOT_IMPLEMENTED(gpu::opencl::why_not().empty(), op.name(), ": OpenCL: ", gpu::opencl::why_not());
  const Pointwise& p = *op.pointwise;
  const PointwiseTypes types = pointwise_types(op, args);
  EMBER_CHECK(has_kernel(op, which, types.compute), op.name(), ": has no partial ", which, " in ", types.common);
  const Tensor out = which < 0 ? empty(pointwise_infer(op, args)) : empty_raw(g.sizes(), types.common);
  if (out.numel() == 0) return out;

  PointwiseKernel kernel{&op, which, types.compute};
  const uint32_t reads = write_kernel(kernel).reads;
  std::vector<Operand> operands;  // those that are read, then the result
  operands.reserve(kMaxOperands);
  bool as_computed = true;
  for (int i = 0; i < p.inputs + 2; ++i) {
    const Tensor& t = i == 0 ? g : i <= p.inputs ? args[i - 1].tensor() : y;
    const bool mask = i > 0 && i <= p.inputs && (p.mask_inputs >> (i - 1) & 1);
    const DType plain = mask ? DType::kBool : storage_dtype(types.compute);
    kernel.dtypes.push_back(reads >> i & 1 ? t.dtype() : plain);
    as_computed &= kernel.dtypes.back() == plain;
    if (reads >> i & 1) operands.emplace_back(t, out.sizes());
  }
  operands.emplace_back(out, out.sizes());
  kernel.out = out.dtype();
  if (as_computed && kernel.out == kernel_result(op, which, types.compute)) kernel.dtypes.clear();
  const Dims loop = merge_dims(out.sizes(), operands);
  kernel.rank = static_cast<int>(loop.size());
  kernel.wide = std::any_of(operands.begin(), operands.end(),
                            [](const Operand& o) { return o.count > std::numeric_limits<int32_t>::max(); }) ||
                out.numel() > std::numeric_limits<int32_t>::max();

  Arguments arguments(kernel.wide);
  for (Operand& o : operands) {
    o.buffer = Buffer(o.bytes());
    if (&o != &operands.back()) o.buffer.upload(o.memory(), o.bytes());
    arguments.operand(o, loop.size());
  }
  for (int64_t size : loop) arguments.index(size);
  arguments.index(out.numel());
  for (int j = 0; j < p.attributes; ++j) arguments.attribute(args[p.inputs + j].scalar(), types.compute);
  gpu::opencl::launch(opencl_prelude(), {kernel.name(), write_kernel(kernel).text}, arguments.list,
                      static_cast<size_t>(out.numel()), kGroup);
  operands.back().buffer.download(operands.back().memory(), operands.back().bytes());
  return out;
}

Tensor opencl_reduce(const Tensor& x, cpu::DimMask mask, cpu::Reduction rule, Compute compute, DType out,
                     cpu::Finish finish, double p) {
  EMBER_CHECK_NOT_IMPLEMENTED(gpu::opencl::why_not().empty(), "reduce: OpenCL: ", gpu::opencl::why_not());
  ReduceKernel kernel{rule, finish, compute, x.dtype(), out};
  Dims kept, kept_strides, reduced, reduced_strides;
  for (size_t d = 0; d < x.sizes().size(); ++d) {
    const bool gone = mask >> d & 1;
    (gone ? reduced : kept).push_back(x.sizes()[d]);
    (gone ? reduced_strides : kept_strides).push_back(x.strides()[d]);
  }
  kernel.kept = static_cast<int>(kept.size()), kernel.reduced = static_cast<int>(reduced.size());
  const Tensor y = empty_raw(kept, out);
  if (y.numel() == 0) return y;
  Operand from(x, x.sizes()), to(y, y.sizes());
  if (x.numel() == 0) from.first = from.count = 0;
  int64_t count = 1;
  for (int64_t n : reduced) count *= n;
  constexpr int64_t kNarrow = std::numeric_limits<int32_t>::max();
  kernel.wide = from.count > kNarrow || count > kNarrow || y.numel() > kNarrow;

  Arguments arguments(kernel.wide);
  from.buffer = Buffer(from.bytes()), to.buffer = Buffer(to.bytes());
  if (from.count > 0) from.buffer.upload(from.memory(), from.bytes());
  arguments.buffer(from);
  for (const Dims* strides : {&kept_strides, &reduced_strides}) {
    for (int64_t s : *strides) arguments.index(s);
  }
  arguments.operand(to, kept.size());
  for (const Dims* sizes : {&kept, &reduced}) {
    for (int64_t n : *sizes) arguments.index(n);
  }
  arguments.index(count);
  arguments.attribute(p, compute);
  gpu::opencl::launch(opencl_prelude(), {kernel.name(), write_kernel(kernel)}, arguments.list,
                      static_cast<size_t>(y.numel() * kReduceGroup), kReduceGroup);
  to.buffer.download(to.memory(), to.bytes());
  return y;
}

void opencl_prepare(Span<PointwiseKernel> kernels) {
  std::vector<gpu::opencl::KernelSource> sources;
  for (const PointwiseKernel& k : kernels) sources.push_back({k.name(), write_kernel(k).text});
  gpu::opencl::prepare(opencl_prelude(), sources);
}

}  // namespace ember
