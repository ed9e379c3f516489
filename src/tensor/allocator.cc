// Three layers: a thread's own free lists for blocks up to 32 KB (no lock, no atomic instruction), shared free lists
// under one mutex, and the system (malloc below 1 MB, mmap with huge pages from there on). A free block holds its own
// list node. Counters are kept per thread and folded into the shared ones a megabyte at a time.
#include "tensor/allocator.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "tensor/storage.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define EMBER_ALLOC_CACHE_DEFAULT "0"  // a reused block hides a use after free
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes)
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes)
#define EMBER_ALLOC_CACHE_DEFAULT "1"
#endif

namespace ember {
namespace {

constexpr size_t kAlign = 64;
constexpr size_t kThreadMax = 32 << 10;  // largest block that threads keep for themselves
constexpr size_t kMapMin = 1 << 20;      // from here on blocks are mapped
constexpr size_t kHugePage = 2 << 20;
constexpr size_t kThreadClassBytes = 64 << 10;  // what a thread keeps of one class
constexpr int64_t kFoldBytes = 1 << 20;

// Classes: multiples of 64 up to 1 KB, then eight to a doubling.
struct SizeClass {
  int index;
  size_t bytes;
};
constexpr SizeClass size_class(size_t bytes) {
  if (bytes <= 1024) {
    size_t steps = (bytes + kAlign - 1) / kAlign;
    return {static_cast<int>(steps) - 1, steps * kAlign};
  }
  int shift = std::bit_width(bytes - 1) - 4;
  size_t steps = ((bytes - 1) >> shift) + 1;  // 9..16
  return {16 + (shift - 7) * 8 + static_cast<int>(steps) - 9, steps << shift};
}
constexpr int kThreadClasses = size_class(kThreadMax).index + 1;
constexpr size_t class_bytes(int index) {
  if (index < 16) return (index + 1) * kAlign;
  return static_cast<size_t>((index - 16) % 8 + 9) << ((index - 16) / 8 + 7);
}
constexpr int kClasses = size_class(size_t{1} << 48).index + 1;
static_assert(size_class(1).index == 0 && size_class(1024).index == 15 && size_class(1025).bytes == 1152);
static_assert(size_class(1025).index == 16 && size_class(2048).index == 23 && size_class(2049).index == 24);

// How many blocks of a class a thread keeps.
constexpr struct ThreadLimits {
  uint32_t of[kThreadClasses];
  constexpr ThreadLimits() : of() {
    for (int i = 0; i < kThreadClasses; ++i)
      of[i] = static_cast<uint32_t>(std::clamp<size_t>(kThreadClassBytes / class_bytes(i), 2, 64));
  }
} kThreadLimits;

struct FreeBlock {
  FreeBlock *next, *prev;
  uint64_t freed_at;  // a clock that ticks at each free: the smallest is the oldest
};

size_t machine_bytes() {
  size_t total = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::ifstream meminfo("/proc/meminfo");
  for (std::string name, unit; meminfo >> name;) {
    size_t kb = 0;
    if (name == "SwapTotal:" && meminfo >> kb) total += kb << 10;
    std::getline(meminfo, unit);
  }
  size_t limit = 0;
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit && limit > 0) total = std::min(total, limit);
  return total;
}

// A mapping that starts on a huge page's boundary and asks for huge pages: one fault for 2 MB instead of 512.
void* map_block(size_t bytes) {
  size_t slack = bytes >= kHugePage ? kHugePage : 0;
  void* raw = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  if (!slack) return raw;
  char* start = static_cast<char*>(raw);
  char* block = start + (-reinterpret_cast<uintptr_t>(start) & (kHugePage - 1));
  if (block != start) munmap(start, block - start);
  if (size_t rest = start + slack - block) munmap(block + bytes, rest);
#ifdef MADV_HUGEPAGE
  madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}

void* system_alloc(size_t bytes) { return bytes >= kMapMin ? map_block(bytes) : std::aligned_alloc(kAlign, bytes); }
void system_free(void* block, size_t bytes) { bytes >= kMapMin ? void(munmap(block, bytes)) : std::free(block); }

// Written by its own thread alone (plain stores), read by whoever asks for statistics.
struct Counter {
  std::atomic<int64_t> value{0};
  int64_t get() const { return value.load(std::memory_order_relaxed); }
  void set(int64_t v) { value.store(v, std::memory_order_relaxed); }
};

struct ThreadCache {
  FreeBlock* free[kThreadClasses] = {};
  uint32_t count[kThreadClasses] = {};
  Counter bytes, peak, blocks, allocations;  // since they were last folded in; `peak` is the highest `bytes`
  bool keeps = true;                         // false when caching is off
  ThreadCache *next = nullptr, *prev = nullptr;
};

class Cache {
 public:
  Cache() : limit_(enabled() ? machine_bytes() / 4 : 0), machine_(machine_bytes()) {}

  static bool enabled() {
    const char* text = std::getenv("EMBER_ALLOC_CACHE");
    return std::string_view(text && *text ? text : EMBER_ALLOC_CACHE_DEFAULT) != "0";
  }

  // From the shared lists, else from the system. A miss on a small class brings a few more along for the thread.
  void* get(SizeClass c, size_t asked, ThreadCache* local) {
    std::unique_lock lock(mutex_);
    if (FreeBlock* block = pop(c)) {
      if (local && c.index < kThreadClasses) {
        for (uint32_t n = kThreadLimits.of[c.index] / 2; local->count[c.index] < n;) {
          FreeBlock* more = pop(c);
          if (!more) break;
          more->next = std::exchange(local->free[c.index], more);
          ++local->count[c.index];
        }
      }
      return block;
    }
    void* block = asked <= machine_ ? system_alloc(c.bytes) : nullptr;
    if (!block && asked <= machine_ && cached_ > 0) {
      evict_until(0);
      block = system_alloc(c.bytes);
    }
    if (block) {
      reserved_ += static_cast<int64_t>(c.bytes);
      peak_reserved_ = std::max(peak_reserved_, reserved_);
    }
    return block;
  }

  void put(void* block, SizeClass c) {
    std::lock_guard lock(mutex_);
    if (limit_ == 0) return give_back(block, c.bytes);
    push(block, c);
    evict_until(limit_);
  }
  // Takes half of what a thread keeps of one class, or all of it.
  void take_over(ThreadCache& local, SizeClass c, bool all) {
    std::lock_guard lock(mutex_);
    for (uint32_t keep = all ? 0 : local.count[c.index] / 2; local.count[c.index] > keep; --local.count[c.index]) {
      FreeBlock* block = local.free[c.index];
      local.free[c.index] = block->next;
      push(block, c);
    }
    evict_until(limit_);
  }
  void empty() {
    std::lock_guard lock(mutex_);
    evict_until(0);
  }

  void add_thread(ThreadCache* local) {
    std::lock_guard lock(mutex_);
    local->keeps = limit_ > 0;
    local->next = threads_;
    if (threads_) threads_->prev = local;
    threads_ = local;
  }
  void remove_thread(ThreadCache* local) {
    fold(*local);
    std::lock_guard lock(mutex_);
    (local->prev ? local->prev->next : threads_) = local->next;
    if (local->next) local->next->prev = local->prev;
  }

  void fold(ThreadCache& local) {
    std::lock_guard lock(mutex_);
    peak_allocated_ = std::max(peak_allocated_, allocated_ + local.peak.get());
    allocated_ += local.bytes.get();
    blocks_ += local.blocks.get();
    allocations_ += local.allocations.get();
    for (Counter* counter : {&local.bytes, &local.peak, &local.blocks, &local.allocations}) counter->set(0);
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    MemoryStats s{allocated_, peak_allocated_, reserved_, peak_reserved_, blocks_, allocations_};
    int64_t peaks = allocated_;
    for (ThreadCache* t = threads_; t; t = t->next) {
      s.allocated += t->bytes.get();
      s.blocks += t->blocks.get();
      s.allocations += t->allocations.get();
      peaks += t->peak.get();
    }
    s.peak_allocated = std::max({s.peak_allocated, peaks, s.allocated});
    return s;
  }
  void reset_peaks() {
    std::lock_guard lock(mutex_);
    peak_reserved_ = reserved_;
    peak_allocated_ = 0;  // stats() raises it to what is allocated
    for (ThreadCache* t = threads_; t; t = t->next) t->peak.set(t->bytes.get());
  }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  struct List {
    FreeBlock *newest = nullptr, *oldest = nullptr;
  };

  FreeBlock* pop(SizeClass c) {
    List& list = lists_[c.index];
    FreeBlock* block = list.newest;
    if (!block) return nullptr;
    list.newest = block->next;
    (list.newest ? list.newest->prev : list.oldest) = nullptr;
    cached_ -= c.bytes;
    return block;
  }
  void push(void* memory, SizeClass c) {
    List& list = lists_[c.index];
    auto* block = new (memory) FreeBlock{list.newest, nullptr, ++clock_};
    (list.newest ? list.newest->prev : list.oldest) = block;
    list.newest = block;
    cached_ += c.bytes;
  }
  // Gives back the oldest blocks until at most `limit` bytes are cached.
  void evict_until(size_t limit) {
    while (cached_ > limit) {
      List* from = nullptr;
      int index = 0;
      for (int i = 0; i < kClasses; ++i) {
        if (!lists_[i].oldest || (from && from->oldest->freed_at < lists_[i].oldest->freed_at)) continue;
        from = &lists_[i], index = i;
      }
      FreeBlock* block = from->oldest;
      from->oldest = block->prev;
      (from->oldest ? from->oldest->next : from->newest) = nullptr;
      size_t bytes = class_bytes(index);
      cached_ -= bytes;
      give_back(block, bytes);
    }
  }
  void give_back(void* block, size_t bytes) {
    reserved_ -= static_cast<int64_t>(bytes);
    system_free(block, bytes);
  }
  std::mutex mutex_;
  List lists_[kClasses];
  size_t cached_ = 0;
  uint64_t clock_ = 0;
  const size_t limit_, machine_;
  int64_t allocated_ = 0, peak_allocated_ = 0, reserved_ = 0, peak_reserved_ = 0, blocks_ = 0, allocations_ = 0;
  ThreadCache* threads_ = nullptr;
};

// Never destroyed: statics may free tensors after it would have been.
Cache& cache() {
  static Cache* made = [] {
    alignas(Cache) static unsigned char memory[sizeof(Cache)];
    auto* c = new (memory) Cache;
    pthread_atfork([] { cache().lock(); }, [] { cache().unlock(); }, [] { cache().unlock(); });
    return c;
  }();
  return *made;
}

std::atomic<int64_t> failure_in{0};

// The cache itself is on the heap, so that a child of fork() may still read those of threads it does not have.
constinit thread_local ThreadCache* local_cache EMBER_FAST_TLS = nullptr;
thread_local bool thread_ends = false;

struct ThreadEnd {
  ~ThreadEnd() {
    thread_ends = true;
    ThreadCache* local = std::exchange(local_cache, nullptr);
    for (int i = 0; i < kThreadClasses; ++i) cache().take_over(*local, {i, class_bytes(i)}, true);
    cache().remove_thread(local);
    delete local;
  }
};

EMBER_COLD ThreadCache* make_local_cache() {
  if (thread_ends) return nullptr;
  local_cache = new ThreadCache;
  cache().add_thread(local_cache);
  static thread_local ThreadEnd end;
  return local_cache;
}

ThreadCache* local() { return EMBER_LIKELY(local_cache != nullptr) ? local_cache : make_local_cache(); }

void count(ThreadCache& c, int64_t bytes, int64_t blocks) {
  int64_t now = c.bytes.get() + bytes;
  c.bytes.set(now);
  if (now > c.peak.get()) c.peak.set(now);
  c.blocks.set(c.blocks.get() + blocks);
  if (blocks > 0) c.allocations.set(c.allocations.get() + 1);
  if (EMBER_UNLIKELY(now > kFoldBytes || now < -kFoldBytes)) cache().fold(c);
}
// A thread past its end has no counters of its own.
EMBER_COLD void count_at_end(int64_t bytes, int64_t blocks) {
  ThreadCache c;
  count(c, bytes, blocks);
  cache().fold(c);
}

[[noreturn]] EMBER_COLD void out_of_memory(size_t bytes) {
  MemoryStats s = memory_stats();
  fail<OutOfMemoryError>("cpu allocator: can't allocate memory: you tried to allocate ", bytes, " bytes. ", s.allocated,
                         " bytes are allocated in ", s.blocks, " blocks, ", s.reserved,
                         " bytes are reserved from the system", largest_storages());
}

EMBER_COLD bool fails_on_demand() {
  int64_t n = failure_in.load();
  while (n > 0 && !failure_in.compare_exchange_weak(n, n - 1)) {}
  return n == 1;
}

}  // namespace

void* cpu_alloc(size_t bytes) {
  if (bytes == 0) return nullptr;
  if (EMBER_UNLIKELY(failure_in.load(std::memory_order_relaxed) > 0) && fails_on_demand()) out_of_memory(bytes);
  if (EMBER_UNLIKELY(bytes > size_t{1} << 47)) out_of_memory(bytes);
  SizeClass c = size_class(bytes);
  ThreadCache* t = local();
  void* block;
  if (c.index < kThreadClasses && t && t->free[c.index]) {
    FreeBlock* first = t->free[c.index];
    t->free[c.index] = first->next;
    --t->count[c.index];
    block = first;
  } else {
    block = cache().get(c, bytes, t);
    if (EMBER_UNLIKELY(!block)) out_of_memory(bytes);
  }
  EMBER_LIKELY(t != nullptr) ? count(*t, static_cast<int64_t>(bytes), 1) : count_at_end(static_cast<int64_t>(bytes), 1);
  // What its class adds to a block is nobody's.
  ASAN_POISON_MEMORY_REGION(static_cast<char*>(block) + bytes, c.bytes - bytes);
  return block;
}

void cpu_free(void* block, size_t bytes) noexcept {
  if (!block) return;
  SizeClass c = size_class(bytes);
  ASAN_UNPOISON_MEMORY_REGION(block, c.bytes);
  ThreadCache* t = local();
  if (EMBER_UNLIKELY(!t)) {
    count_at_end(-static_cast<int64_t>(bytes), -1);
    return cache().put(block, c);
  }
  count(*t, -static_cast<int64_t>(bytes), -1);
  if (c.index >= kThreadClasses || !t->keeps) return cache().put(block, c);
  auto* first = static_cast<FreeBlock*>(block);
  first->next = t->free[c.index];
  t->free[c.index] = first;
  if (EMBER_UNLIKELY(++t->count[c.index] > kThreadLimits.of[c.index])) cache().take_over(*t, c, false);
}

MemoryStats memory_stats() { return cache().stats(); }
void reset_peak_memory_stats() { cache().reset_peaks(); }

void empty_cache() {
  if (ThreadCache* t = local_cache) {
    for (int i = 0; i < kThreadClasses; ++i) cache().take_over(*t, {i, class_bytes(i)}, true);
  }
  cache().empty();
}

void check_fits_memory(int64_t count, size_t bytes) {
  static const size_t machine = machine_bytes();
  if (count > 0 && static_cast<size_t>(count) > machine / bytes) {
    fail<OutOfMemoryError>("can't allocate memory for ", count, " things of ", bytes, " bytes each");
  }
}

void set_alloc_failure(int64_t n) {
  EMBER_CHECK_VALUE(n >= 0, "set_alloc_failure: expected a number of allocations, got ", n);
  failure_in.store(n);
}

}  // namespace ember
