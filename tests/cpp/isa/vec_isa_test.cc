// The vocabulary of vec_math.h and complex.h as rows, and the checks of vec.h that need the vector type itself.
#include "vec_isa_test.h"

#include "kernel/cpu/convert.h"
#include "kernel/cpu/vec_math.h"

namespace ember::cpu::EMBER_ISA {
namespace {

template <class T, class F>
EMBER_INLINE void each(const T* x, const T* y, T* out, int64_t n, F f) {
  for (int64_t i = 0; i < n; i += Vec<T>::kLanes) {
    const int64_t left = n - i < Vec<T>::kLanes ? n - i : Vec<T>::kLanes;
    f(Vec<T>::load_n(x + i, left), Vec<T>::load_n(y + i, left)).store_n(out + i, left);
  }
}
template <class T, class F>
EMBER_INLINE void each_complex(const T* x, const T* y, T* out, int64_t n, F f) {
  for (int64_t i = 0; i < n; i += Vec<T>::kLanes) {
    const int64_t left = n - i < Vec<T>::kLanes ? n - i : Vec<T>::kLanes;
    store_complex_n(f(load_complex_n(x + 2 * i, left), load_complex_n(y + 2 * i, left)), out + 2 * i, left);
  }
}

#define ROW(each, T, expr) \
  [](const T* x_, const T* y_, T* out, int64_t n) { \
    each( \
        x_, y_, out, n, [](auto x, [[maybe_unused]] auto y) __attribute__((always_inline)) { return expr; }); \
  }
#define REAL(name, expr) {name, ROW(each, float, expr), ROW(each, double, expr)},
#define COMPLEX(name, expr) {name, ROW(each_complex, float, expr), ROW(each_complex, double, expr)},
#define INTEGER(name, expr) {name, ROW(each, int64_t, expr), ROW(each, uint64_t, expr)},

const test::VecFunction kReal[] = {
    REAL("exp", exp(x)) REAL("exp2", exp2(x)) REAL("expm1", expm1(x)) REAL("log", log(x)) REAL("log2", log2(x)) REAL(
        "log10", log10(x)) REAL("log1p", log1p(x)) REAL("sin", sin(x)) REAL("cos", cos(x)) REAL("tan", tan(x))
        REAL("asin", asin(x)) REAL("acos", acos(x)) REAL("atan", atan(x)) REAL("sinh", sinh(x)) REAL("cosh", cosh(x))
            REAL("tanh", tanh(x)) REAL("asinh", asinh(x)) REAL("acosh", acosh(x)) REAL("atanh", atanh(x))
                REAL("erf", erf(x)) REAL("erfc", erfc(x)) REAL("erfinv", erfinv(x)) REAL("lgamma", lgamma(x)) REAL(
                    "digamma", digamma(x)) REAL("sigmoid", sigmoid(x)) REAL("sqrt", sqrt(x)) REAL("rsqrt", rsqrt(x))
                    REAL("floor", floor(x)) REAL("ceil", ceil(x)) REAL("trunc", trunc(x)) REAL("round", round(x))
                        REAL("sign", sign(x)) REAL("abs", abs(x)) REAL("atan2", atan2(x, y)) REAL("pow", pow(x, y))
                            REAL("hypot", hypot(x, y)) REAL("fmod", fmod(x, y)) REAL("remainder", remainder(x, y))
                                REAL("floor_div", floor_div(x, y)) REAL("nextafter", nextafter(x, y))
                                    REAL("copysign", copysign(x, y)) REAL("min", min(x, y)) REAL("max", max(x, y))
                                        REAL("fmin", fmin(x, y)) REAL("fmax", fmax(x, y))};
const test::VecFunction kComplex[] = {
    COMPLEX("mul", x* y) COMPLEX("div", x / y) COMPLEX("exp", exp(x)) COMPLEX("log", log(x)) COMPLEX("sqrt", sqrt(x))
        COMPLEX("sin", sin(x)) COMPLEX("cos", cos(x)) COMPLEX("tan", tan(x)) COMPLEX("sinh", sinh(x))
            COMPLEX("cosh", cosh(x)) COMPLEX("tanh", tanh(x)) COMPLEX("asin", asin(x)) COMPLEX("acos", acos(x))
                COMPLEX("atan", atan(x)) COMPLEX("asinh", asinh(x)) COMPLEX("acosh", acosh(x))
                    COMPLEX("atanh", atanh(x)) COMPLEX("pow", pow(x, y))};
const test::IntFunction kInteger[] = {
    INTEGER("div", x / y) INTEGER("mod", x % y) INTEGER("pow", pow(x, y)) INTEGER("remainder", remainder(x, y))
        INTEGER("floor_div", floor_div(x, y)) INTEGER("gcd", gcd(x, y)) INTEGER("lcm", lcm(x, y))
            INTEGER("min", min(x, y)) INTEGER("max", max(x, y)) INTEGER("shl", x << y) INTEGER("shr", x >> y)
                INTEGER("and", x& y) INTEGER("xor", x ^ ~y) INTEGER("less", cast<typename decltype(x)::Scalar>(x < y))};

#define EXPECT(cond) \
  if (!(cond)) return #cond

// Arithmetic, comparison, selection, masks and partial rows of one type, lane by lane against C.
template <class T>
const char* check_type() {
  using V = Vec<T>;
  constexpr int n = V::kLanes;
  T a[n], b[n], got[n + 1];
  for (int i = 0; i < n; ++i) {
    a[i] = static_cast<T>(i * 7 % 11);
    b[i] = static_cast<T>(i % 5 + 1);
  }
  const V x = V::load(a), y = V::load(b);
  auto same = [&](V v, auto f) {
    for (int i = 0; i < n; ++i) {
      if (v[i] != static_cast<T>(f(a[i], b[i]))) return false;
    }
    return true;
  };
  EXPECT(same(x + y, [](T p, T q) { return p + q; }));
  EXPECT(same(x - y, [](T p, T q) { return p - q; }));
  EXPECT(same(x * y, [](T p, T q) { return p * q; }));
  EXPECT(same(x / y, [](T p, T q) { return p / q; }));
  EXPECT(same(-x, [](T p, T) { return -p; }));
  EXPECT(same(1 + x * 2 - y, [](T p, T q) { return 1 + p * 2 - q; }));
  EXPECT(same(select(x < y, x, y), [](T p, T q) { return p < q ? p : q; }));
  EXPECT(same(select(x >= y, 1, 0), [](T p, T q) { return p >= q; }));
  EXPECT(same(select((!(x == y)) & (x != 3), x, 0), [](T p, T q) { return p != q && p != 3 ? p : T(0); }));
  EXPECT(same(select((x <= y) ^ (x > 2), x, y), [](T p, T q) { return (p <= q) != (p > 2) ? p : q; }));
  EXPECT(same(max(x, 3), [](T p, T) { return p > 3 ? p : T(3); }));
  EXPECT(same(min(3, x), [](T p, T) { return p < 3 ? p : T(3); }));
  EXPECT(same(cast<T>(x > y), [](T p, T q) { return p > q; }));
  EXPECT(all(V::iota() >= 0) && any(x == a[n - 1]) && !any(x > 100));

  uint8_t truths[n + 1];
  truths[n] = 9;
  (x < y).store(truths);
  for (int i = 0; i < n; ++i) EXPECT(truths[i] == (a[i] < b[i]));
  EXPECT(truths[n] == 9 && all(Mask<T>::load(truths) == (x < y)));
  for (int count = 0; count <= n; ++count) {
    got[count] = 77;
    x.store_n(got, count);
    EXPECT(got[count] == 77);
    const V part = V::load_n(a, count);
    for (int i = 0; i < n; ++i) {
      EXPECT(part[i] == (i < count ? a[i] : T(0)));
      EXPECT(i >= count || got[i] == a[i]);
    }
    truths[count < n ? count : n] = 9;
    (x < y).store_n(truths, count);
    EXPECT(truths[count] == 9);
  }
  return nullptr;
}

const char* basics() {
  if (const char* wrong = check_type<float>()) return wrong;
  if (const char* wrong = check_type<double>()) return wrong;
  if (const char* wrong = check_type<int32_t>()) return wrong;
  if (const char* wrong = check_type<int64_t>()) return wrong;
  if (const char* wrong = check_type<uint64_t>()) return wrong;
  if (const char* wrong = check_type<uint8_t>()) return wrong;
  using D = Vec<double>;
  EXPECT(all(0.5 * D(4) == 2) && all(cast<int64_t>(D(-2.75)) == -2) && all(cast<double>(Vec<int64_t>(7)) == 7));
  EXPECT(all(isnan(D(kNaN<double>))) && all(isinf(D(-kInf<double>))) && !any(isfinite(D(kInf<double>))));
  EXPECT(all(signbit(D(-0.0))) && !any(signbit(D(0.0))) && all(ldexp(D(1.5), D(-1073)) == 0x1.8p-1073));
  EXPECT(all(Vec<int64_t>(5) / 0 == 0) && all(Vec<int64_t>(INT64_MIN) / -1 == INT64_MIN));
  return nullptr;
}

}  // namespace

test::VecTable vec_test_table() {
#define EMBER_COUNT(a) a, static_cast<int>(sizeof(a) / sizeof(a[0]))
#define EMBER_NAME(x) #x
#define EMBER_NAME_OF(x) EMBER_NAME(x)
  return {EMBER_NAME_OF(EMBER_ISA),
          EMBER_COUNT(kReal),
          EMBER_COUNT(kComplex),
          EMBER_COUNT(kInteger),
          basics,
          convert,
          convert,
          convert,
          convert,
          convert<Half, int64_t>,
          convert<float, bool>,
          convert<double, uint64_t>};
}

}  // namespace ember::cpu::EMBER_ISA
