// The opening of kernel texts, as raw strings: what each dialect calls things, then functions that both share. The
// functions are those of the vocabulary (op/vocabulary.h) that a dialect lacks or defines otherwise; each follows the
// CPU's (kernel/cpu/vec_math.h, vec_special.h) in its special values.
#include "kernel/gpu/prelude.h"

namespace ember::gpu {
namespace {

constexpr std::string_view kOpenCL = R"(
#pragma OPENCL FP_CONTRACT OFF
typedef char i8; typedef short i16; typedef int i32; typedef long i64;
typedef uchar u8; typedef ushort u16; typedef uint u32; typedef ulong u64;
#define KERNEL __kernel void
#define GLOBAL __global
#define LOCAL __local
#define DEVICE static inline
#define ELEMENT get_global_id(0)
#define GROUP get_group_id(0)
#define LANE get_local_id(0)
#define LANES get_local_size(0)
#define BARRIER barrier(CLK_LOCAL_MEM_FENCE)
DEVICE float bits_f32(u32 u) { return as_float(u); }
DEVICE u32 f32_bits(float f) { return as_uint(f); }
DEVICE float load_f16(GLOBAL const u16* p) { return vload_half(0, (GLOBAL const half*)p); }
DEVICE void store_f16(float f, GLOBAL u16* p) { vstore_half_rte(f, 0, (GLOBAL half*)p); }
)";

constexpr std::string_view kCuda = R"(
typedef signed char i8; typedef short i16; typedef int i32; typedef long long i64;
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
#define KERNEL extern "C" __global__ void
#define GLOBAL
#define LOCAL __shared__
#define DEVICE __device__ inline
#define ELEMENT (blockIdx.x * (u64)blockDim.x + threadIdx.x)
#define GROUP blockIdx.x
#define LANE threadIdx.x
#define LANES blockDim.x
#define BARRIER __syncthreads()
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fc00000)
#endif
DEVICE float bits_f32(u32 u) { return __int_as_float((int)u); }
DEVICE u32 f32_bits(float f) { return (u32)__float_as_int(f); }
#ifdef __HIP__
DEVICE float load_f16(const u16* p) { return (float)*(const _Float16*)p; }
DEVICE void store_f16(float f, u16* p) { *(_Float16*)p = (_Float16)f; }
#else
DEVICE float load_f16(const u16* p) {
  float f;
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(*p));
  return f;
}
DEVICE void store_f16(float f, u16* p) {
  u16 h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
  *p = h;
}
#endif
)";

constexpr std::string_view kCommon = R"(
typedef float f32;
typedef struct { f32 re, im; } c64;
DEVICE float load_bf16(GLOBAL const u16* p) { return bits_f32((u32)*p << 16); }
DEVICE void store_bf16(float f, GLOBAL u16* p) {
  const u32 u = f32_bits(f);
  *p = f != f ? 0x7fc0 : (u16)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
)";

// Once for each of f32 and f64: REAL is the type, FN(name) the suffixed name, K(1.0) a literal of the type, STEPS how
// often an iteration that cubes the error runs.
constexpr std::string_view kReal = R"(
DEVICE REAL FN(min)(REAL a, REAL b) { return a != a || a < b ? a : b; }
DEVICE REAL FN(max)(REAL a, REAL b) { return a != a || a > b ? a : b; }
DEVICE REAL FN(sign)(REAL x) { return x > K(0.0) ? K(1.0) : x < K(0.0) ? K(-1.0) : K(0.0); }
DEVICE bool FN(isnan)(REAL x) { return x != x; }
DEVICE bool FN(isinf)(REAL x) { return fabs(x) == (REAL)INFINITY; }
DEVICE bool FN(isfinite)(REAL x) { return fabs(x) < (REAL)INFINITY; }
DEVICE bool FN(signbit)(REAL x) { return copysign(K(1.0), x) < K(0.0); }
DEVICE REAL FN(sigmoid)(REAL x) {
  const REAL e = exp(-fabs(x));
  return (x < K(0.0) ? e : K(1.0)) / (K(1.0) + e);
}
// From expm1, up to where it is 1: some drivers' tanh is coarse, and never reaches 1.
DEVICE REAL FN(tanh)(REAL x) {
  const REAL a = fabs(x), e = expm1(a > K(20.0) ? K(40.0) : a + a);
  return copysign(e / (e + K(2.0)), x);
}
DEVICE REAL FN(remainder)(REAL x, REAL y) {
  const REAL r = fmod(x, y);
  return r != K(0.0) && (r < K(0.0)) != (y < K(0.0)) ? r + y : r;
}
DEVICE REAL FN(floor_div)(REAL x, REAL y) {
  const REAL m = fmod(x, y);
  REAL q = (x - m) / y;
  if (m != K(0.0) && (m < K(0.0)) != (y < K(0.0))) q -= K(1.0);
  const REAL whole = floor(q);
  if (y == K(0.0)) return x / y;
  return q == K(0.0) ? copysign(K(0.0), x / y) : q - whole > K(0.5) ? whole + K(1.0) : whole;
}

// Winitzki's estimate, then Halley's steps on the side without cancellation.
DEVICE REAL FN(erfinv)(REAL x) {
  const REAL a = fabs(x), t = log((K(1.0) - a) * (K(1.0) + a)), u = K(0.5) * t + K(4.330746750799873);
  REAL y = a < K(0.1) ? a * (K(0.886226925452758) + K(0.2320136665346545) * (a * a))
                      : sqrt(sqrt(u * u - t * K(6.802721088435374)) - u);
  for (int step = 0; step < STEPS; ++step) {
    const REAL miss = a < K(0.5) ? erf(y) - a : (K(1.0) - a) - erfc(y);
    const REAL d = miss * K(0.886226925452758) * exp(y * y);
    y -= d / (K(1.0) + y * d);
  }
  y = a == K(1.0) ? (REAL)INFINITY : y;
  return a <= K(1.0) ? copysign(y, x) : (REAL)NAN;
}

// digamma(a) for a > 0: its root divided out on [1, 3), steps down to there as one fraction, or Stirling's series.
DEVICE REAL FN(digamma_positive)(REAL a) {
  if (a >= K(8.0)) {
    const REAL inverse = K(1.0) / a, s = inverse * inverse;
    REAL p = K(-26.456212121212121);
    p = p * s + K(3.0539543302701197);
    p = p * s + K(-0.44325980392156863);
    p = p * s + K(0.083333333333333333);
    p = p * s + K(-0.021092796092796093);
    p = p * s + K(0.0075757575757575758);
    p = p * s + K(-0.0041666666666666667);
    p = p * s + K(0.0039682539682539683);
    p = p * s + K(-0.0083333333333333333);
    p = p * s + K(0.083333333333333333);
    return log(a) - (K(0.5) * inverse + s * p);
  }
  REAL y = a, top = K(0.0), bottom = K(1.0);
  if (a < K(1.0)) {
    y = a + K(1.0), top = K(-1.0), bottom = a;
  } else {
    while (y >= K(3.0)) y -= K(1.0), top = fma(top, y, bottom), bottom *= y;
  }
  const REAL z = y - K(2.0);
  REAL p = K(0.0);
  for (int k = DIGAMMA_TERMS - 1; k >= 0; --k) p = p * z + (REAL)digamma_terms[k];
  return ((y - K(1.4616321449683622)) - K(9.549995429965697e-17)) * p + top / bottom;
}
DEVICE REAL FN(digamma)(REAL x) {
  if (x == K(0.0)) return copysign((REAL)INFINITY, -x);
  if (!(x < K(0.0))) return x == (REAL)INFINITY ? x : FN(digamma_positive)(x);
  const REAL a = -x, sine = sinpi(a);  // by reflection
  return sine == K(0.0) || a == (REAL)INFINITY
             ? (REAL)NAN
             : FN(digamma_positive)(a + K(1.0)) + K(3.141592653589793) * (cospi(a) / sine);
}
)";

// Once for each of i64, u64 and u8 (bools): INT is the type, SIGNED 1 or 0. Nothing traps: x / 0 and x % 0 are 0, and
// signed numbers wrap.
constexpr std::string_view kInteger = R"(
DEVICE INT FN(add)(INT a, INT b) { return (INT)((u64)a + (u64)b); }
DEVICE INT FN(sub)(INT a, INT b) { return (INT)((u64)a - (u64)b); }
DEVICE INT FN(mul)(INT a, INT b) { return (INT)((u64)a * (u64)b); }
DEVICE INT FN(neg)(INT a) { return (INT)((u64)0 - (u64)a); }
DEVICE INT FN(div)(INT a, INT b) {
  return b == 0 ? 0 : SIGNED && b == (INT)-1 ? FN(neg)(a) : (INT)(a / b);
}
DEVICE INT FN(fmod)(INT a, INT b) { return b == 0 || (SIGNED && b == (INT)-1) ? 0 : (INT)(a % b); }
DEVICE INT FN(remainder)(INT x, INT y) {
  const INT r = FN(fmod)(x, y);
  return SIGNED && r != 0 && (r < 0) != (y < 0) ? (INT)(r + y) : r;
}
DEVICE INT FN(floor_div)(INT x, INT y) {
  const INT q = FN(div)(x, y);
  return SIGNED && FN(fmod)(x, y) != 0 && (x < 0) != (y < 0) ? (INT)(q - 1) : q;
}
DEVICE INT FN(abs)(INT x) { return SIGNED && x < 0 ? FN(neg)(x) : x; }
DEVICE INT FN(sign)(INT x) { return x > 0 ? 1 : SIGNED && x < 0 ? (INT)-1 : 0; }
DEVICE bool FN(signbit)(INT x) { return SIGNED && x < 0; }
DEVICE INT FN(min)(INT a, INT b) { return a < b ? a : b; }
DEVICE INT FN(max)(INT a, INT b) { return a > b ? a : b; }
DEVICE INT FN(shl)(INT a, INT n) { return (u64)n < 8 * sizeof(INT) ? (INT)((u64)a << n) : 0; }
DEVICE INT FN(shr)(INT a, INT n) {
  return (u64)n < 8 * sizeof(INT) ? (INT)(a >> n) : SIGNED && a < 0 ? (INT)-1 : 0;
}
DEVICE INT FN(gcd)(INT x, INT y) {
  u64 a = (u64)FN(abs)(x), b = (u64)FN(abs)(y);
  while (b != 0) {
    const u64 rest = a % b;
    a = b, b = rest;
  }
  return (INT)a;
}
DEVICE INT FN(lcm)(INT x, INT y) { return FN(abs)(FN(mul)(FN(div)(x, FN(gcd)(x, y)), y)); }
DEVICE INT FN(pow)(INT x, INT y) {
  if (SIGNED && y < 0) return x == 1 ? 1 : x == (INT)-1 ? (y & 1 ? (INT)-1 : 1) : 0;
  u64 r = 1, base = (u64)x;
  for (u64 e = (u64)y; e; e >>= 1, base *= base) r *= e & 1 ? base : 1;
  return (INT)r;
}
)";

constexpr std::string_view kDigammaTerms = R"(
#define DIGAMMA_TERMS 30
TABLE const float digamma_terms[DIGAMMA_TERMS] = {
    0.78530753860410527, -0.26073895468300148, 0.10899991701762612, -0.049551032917660787, 0.023447309597734151,
    -0.011338432553839353, 0.0055522541711031144, -0.0027395728733202526, 0.001358142193702616,
    -0.00067531347838820474, 0.00033643234931614028, -0.00016781443538412856, 8.3779805125269621e-5,
    -4.1849706137429705e-5, 2.0891215102305004e-5, -1.0429920383197102e-5, 5.2699348299687965e-6,
    -2.6591156786195843e-6, 1.2098756001074594e-6, -5.650586877318597e-7, 4.6429713199901533e-7, -2.776427188436669e-7,
    -5.8557622508253228e-8, 6.5242492528528883e-8, 1.1656927998227817e-7, -7.6982602294450247e-8,
    -3.6078913471232939e-8, 2.3791979197811659e-8, 1.0255062518914258e-8, -5.9208911761627572e-9};
)";

void add_with(std::string& out, std::string_view text, std::string_view defines, std::string_view names) {
  (out += defines) += text;
  for (size_t at = 0; at < names.size();) {
    const size_t end = names.find(' ', at);
    ((out += "#undef ") += names.substr(at, end - at)) += '\n';
    if (end == std::string_view::npos) break;
    at = end + 1;
  }
}

}  // namespace

std::string prelude(Dialect dialect, bool doubles) {
  const bool cuda = dialect == Dialect::kCuda;
  std::string out;
  if (!cuda && doubles) out += "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n";
  (out += cuda ? kCuda : kOpenCL) += kCommon;
  if (doubles) out += "typedef double f64;\ntypedef struct { f64 re, im; } c128;\n";
  out += cuda ? "#define TABLE __constant__\n" : "#define TABLE __constant\n";
  std::string terms(kDigammaTerms);
  if (doubles) terms.replace(terms.find("const float"), 11, "const double");
  out += terms;
  add_with(out, kReal, "#define REAL float\n#define FN(name) name##_f32\n#define K(x) x##f\n#define STEPS 2\n",
           "REAL FN K STEPS");
  if (doubles)
    add_with(out, kReal, "#define REAL double\n#define FN(name) name##_f64\n#define K(x) x\n#define STEPS 3\n",
             "REAL FN K STEPS");
  add_with(out, kInteger, "#define INT i64\n#define FN(name) name##_i64\n#define SIGNED 1\n", "INT FN SIGNED");
  add_with(out, kInteger, "#define INT u64\n#define FN(name) name##_u64\n#define SIGNED 0\n", "INT FN SIGNED");
  add_with(out, kInteger, "#define INT u8\n#define FN(name) name##_u8\n#define SIGNED 0\n", "INT FN SIGNED");
  return out;
}

}  // namespace ember::gpu
