// Symbol visibility and small compiler words.
// The library hides everything by default; EMBER_API marks what other shared objects may see: public classes and
// functions, and every exception type (so that one thrown here can be caught there).
#pragma once

#define EMBER_API __attribute__((visibility("default")))
#define EMBER_INLINE inline __attribute__((always_inline))
#define EMBER_COLD __attribute__((cold, noinline))
#define EMBER_LIKELY(x) __builtin_expect(!!(x), 1)
#define EMBER_UNLIKELY(x) __builtin_expect(!!(x), 0)
