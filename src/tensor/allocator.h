// The CPU allocator: memory for storages, kept and reused, because fresh pages from the kernel cost several times more
// than the arithmetic done on them. Blocks are 64-byte aligned and come in size classes at most 1/8 apart. Small blocks
// go through a cache of the thread's own, large ones through one shared cache that holds at most a quarter of the
// machine's memory, oldest out first. EMBER_ALLOC_CACHE=0 gives every block straight back (for memory checkers).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/export.h"

namespace ember {

// At least `bytes` bytes of unset memory; nullptr for 0 bytes. Raises OutOfMemoryError, after giving cached blocks
// back, when the system has no more or when `bytes` is more than the machine (or its container) has.
EMBER_API void* cpu_alloc(size_t bytes);
// Takes back a block; `bytes` is what was asked for. Any thread may free any block.
EMBER_API void cpu_free(void* block, size_t bytes) noexcept;

struct MemoryStats {
  int64_t allocated = 0;       // bytes asked for and not yet freed
  int64_t peak_allocated = 0;  // highest `allocated` (exact while one thread allocates, else to 1 MB a thread)
  int64_t reserved = 0;        // bytes held from the system: blocks in use, rounded up, and cached ones
  int64_t peak_reserved = 0;
  int64_t blocks = 0;       // blocks in use
  int64_t allocations = 0;  // cpu_alloc calls that gave a block, since the start
};
EMBER_API MemoryStats memory_stats();
EMBER_API void reset_peak_memory_stats();
// Gives cached blocks back to the system, but for the few small ones that other threads keep for themselves.
EMBER_API void empty_cache();

// Raises OutOfMemoryError where `count` things of `bytes` each are more than the machine could hold.
EMBER_API void check_fits_memory(int64_t count, size_t bytes);

// For tests: the n-th allocation from now (1 is the next) fails with OutOfMemoryError; 0 calls it off.
EMBER_API void set_alloc_failure(int64_t n);

}  // namespace ember
