// The allocator: alignment, reuse, statistics, limits, failing on demand, threads and forks.
#include "tensor/allocator.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

using namespace ember;

TEST(allocator_blocks_are_aligned_apart_and_counted) {
  MemoryStats before = memory_stats();
  std::vector<std::pair<unsigned char*, size_t>> live;
  int64_t sum = 0;
  for (size_t bytes : {1, 63, 64, 65, 1000, 1024, 1025, 4097, 32768, 32769, 100000, 1 << 20, (5 << 20) + 3})
    for (int i = 0; i < 3; ++i) {
      auto* p = static_cast<unsigned char*>(cpu_alloc(bytes));
      CHECK_EQ(reinterpret_cast<uintptr_t>(p) % 64, 0u);
      std::memset(p, static_cast<int>(live.size()), bytes);
      live.push_back({p, bytes});
      sum += bytes;
    }
  for (size_t i = 0; i < live.size(); ++i)
    for (size_t at : {size_t{0}, live[i].second / 2, live[i].second - 1}) CHECK_EQ(int(live[i].first[at]), int(i));
  MemoryStats s = memory_stats();
  CHECK_EQ(s.allocated - before.allocated, sum);
  CHECK_EQ(s.blocks - before.blocks, 39);
  CHECK_EQ(s.allocations - before.allocations, 39);
  CHECK(s.peak_allocated >= s.allocated && s.reserved >= s.allocated && s.peak_reserved >= s.reserved);
  for (auto [p, bytes] : live) cpu_free(p, bytes);
  CHECK_EQ(memory_stats().allocated, before.allocated);
  CHECK(cpu_alloc(0) == nullptr);
  cpu_free(nullptr, 0);
}

TEST(allocator_peak_resets_and_cache_empties) {
  empty_cache(), reset_peak_memory_stats();
  MemoryStats start = memory_stats();
  CHECK_EQ(start.peak_allocated, start.allocated);
  cpu_free(cpu_alloc(10 << 20), 10 << 20);
  void* small = cpu_alloc(100);
  CHECK_EQ(memory_stats().peak_allocated - start.allocated, 10 << 20);
  reset_peak_memory_stats();
  CHECK_EQ(memory_stats().peak_allocated - start.allocated, 100);
  cpu_free(small, 100);
  empty_cache();
  CHECK_EQ(memory_stats().reserved, start.reserved);
}

TEST(allocator_out_of_memory_is_an_error) {
  for (size_t bytes : {size_t{1} << 44, size_t{1} << 60, ~size_t{0}})
    CHECK_THROWS(cpu_alloc(bytes), "you tried to allocate " + std::to_string(bytes) + " bytes");
  bool typed = false;
  try {
    cpu_alloc(~size_t{0});
  } catch (const OutOfMemoryError&) { typed = true; }
  CHECK(typed);
}

TEST(allocator_fails_the_nth_allocation) {
  MemoryStats before = memory_stats();
  set_alloc_failure(3);
  void *a = cpu_alloc(8), *b = cpu_alloc(8);
  CHECK_THROWS(cpu_alloc(8), "you tried to allocate 8 bytes");
  void* c = cpu_alloc(8);
  for (void* p : {a, b, c}) cpu_free(p, 8);
  set_alloc_failure(1), set_alloc_failure(0);
  cpu_free(cpu_alloc(8), 8);
  CHECK_EQ(memory_stats().allocated, before.allocated);
}

TEST(allocator_blocks_travel_between_threads) {
  MemoryStats before = memory_stats();
  std::vector<void*> blocks(5000);
  for (int round = 0; round < 3; ++round) {
    std::thread([&] {
      for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = cpu_alloc(i % 3000 + 1);
    }).join();
    std::vector<std::thread> freeing;
    for (size_t t = 0; t < 3; ++t)
      freeing.emplace_back([&, t] {
        for (size_t i = t; i < blocks.size(); i += 3)
          std::memset(blocks[i], 1, i % 3000 + 1), cpu_free(blocks[i], i % 3000 + 1);
      });
    for (auto& thread : freeing) thread.join();
  }
  CHECK_EQ(memory_stats().allocated, before.allocated);
  CHECK_EQ(memory_stats().blocks, before.blocks);
}

TEST(allocator_survives_fork) {
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) cpu_free(cpu_alloc(50000), 50000);
  });
  int failures = 0;
  for (int i = 0; i < 20; ++i) {
    pid_t child = fork();
    if (child == 0) {
      cpu_free(cpu_alloc(50000), 50000);
      _exit(memory_stats().blocks < 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    failures += status != 0;
  }
  stop = true;
  busy.join();
  CHECK_EQ(failures, 0);
}

#if defined(__SANITIZE_ADDRESS__)
TEST(allocator_shows_asan_where_a_block_ends) {
  for (size_t bytes : {1, 63, 100, 5000, 40001, (1 << 20) + 3}) {
    auto* p = static_cast<unsigned char*>(cpu_alloc(bytes));
    CHECK(__asan_region_is_poisoned(p, bytes) == nullptr);
    CHECK(__asan_address_is_poisoned(p + bytes));
    cpu_free(p, bytes);
  }
}
#endif
