// Symbol visibility and small compiler words.
// The library hides everything by default; EMBER_API marks what other shared objects may see: public classes and
// functions, and every exception type (so that one thrown here can be caught there).
#pragma once

#define EMBER_API __attribute__((visibility("default")))
#define EMBER_INLINE inline __attribute__((always_inline))
// For thread-locals on hot paths: one instruction instead of a call. Plain small ones only, as the space is scarce.
#define EMBER_FAST_TLS __attribute__((tls_model("initial-exec")))
#define EMBER_COLD __attribute__((cold, noinline))
#define EMBER_LIKELY(x) __builtin_expect(!!(x), 1)
#define EMBER_UNLIKELY(x) __builtin_expect(!!(x), 0)
