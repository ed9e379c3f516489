// The pool. One job at a time: the caller publishes it, works on it too, closes it, and waits only for workers that
// have joined; a worker that wakes late finds it closed and costs nothing. Every thread starts on a share of its own
// (the same pieces at each call, so they are still in its cache) and then helps with the others' shares.
// Idle workers spin for as long as a few wake-ups cost, then sleep. Workers are never joined: the process may exit at
// any time.
#include "base/parallel.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <limits>
#include <mutex>
#include <new>
#include <string>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

namespace ember {
namespace {

constexpr int kMaxThreads = 256;
constexpr auto kSpin = std::chrono::microseconds(30);
constexpr uint32_t kOpen = 1u << 31;

thread_local bool in_region = false;
std::atomic<bool (*)()> interrupt_check{nullptr};

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits a little for `done`; false when it did not come about in time.
template <class Done>
bool spin_until(Done done) {
  auto give_up = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < give_up);
  return done();
}

struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
};

struct Job {
  int64_t begin, end, grain;
  function_ref<void(int64_t, int64_t)> f;
  int threads;
  std::atomic<int64_t> stop_at{std::numeric_limits<int64_t>::max()};  // pieces from here on need not run
  std::mutex error_lock{};
  std::exception_ptr error{};
  bool interrupted = false;

  void stop(int64_t piece, std::exception_ptr e) {
    std::lock_guard lock(error_lock);
    if (piece >= stop_at.load(std::memory_order_relaxed)) return;
    stop_at.store(piece, std::memory_order_relaxed);
    error = std::move(e);
  }

  void run_piece(int64_t i) {
    if (i >= stop_at.load(std::memory_order_relaxed)) return;
    int64_t b = begin + i * grain;
    try {
      f(b, std::min(end - b, grain) + b);
    } catch (...) { stop(i, std::current_exception()); }
  }

  // Only the caller asks, and stops every piece that has not begun.
  void ask_interrupt() {
    auto check = interrupt_check.load(std::memory_order_relaxed);
    if (!check || interrupted || !check()) return;
    interrupted = true;
    std::lock_guard lock(error_lock);
    stop_at.store(-1, std::memory_order_relaxed);
  }

  void finish() {
    if (interrupted) throw Interrupted("parallel_for: interrupted");
    if (error) std::rethrow_exception(error);
  }
};

class Pool {
 public:
  // False when another thread has the pool.
  bool run(Job& job, int64_t pieces) {
    if (busy_.exchange(true, std::memory_order_acquire)) return false;
    hire(job.threads - 1);
    job.threads = std::min(job.threads, workers_ + 1);
    for (int t = 0; t < job.threads; ++t) {
      shares_[t].next.store(pieces * t / job.threads, std::memory_order_relaxed);
      shares_[t].end = pieces * (t + 1) / job.threads;
    }
    job_ = &job;
    state_.store(kOpen, std::memory_order_release);
    ticket_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) ticket_.notify_all();
    work(job, 0);
    if (state_.fetch_and(~kOpen, std::memory_order_acq_rel) != kOpen) wait_for_workers();
    busy_.store(false, std::memory_order_release);
    return true;
  }

 private:
  // Started with every signal blocked: handlers belong to the program's own threads. Where the system gives no more
  // threads the pool makes do with those it has.
  void hire(int wanted) {
    if (workers_ >= wanted) return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      for (; workers_ < wanted; ++workers_)
        std::thread([this, t = workers_ + 1, seen = ticket_.load()] { serve(t, seen); }).detach();
    } catch (const std::system_error&) {}
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void serve(int thread, uint32_t seen) {
    in_region = true;
    for (;;) {
      if (!spin_until([&] { return ticket_.load(std::memory_order_acquire) != seen; })) {
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        ticket_.wait(seen, std::memory_order_seq_cst);
        sleepers_.fetch_sub(1, std::memory_order_relaxed);
      }
      seen = ticket_.load(std::memory_order_acquire);
      uint32_t state = state_.load(std::memory_order_acquire);
      while ((state & kOpen) && !state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) {}
      if (!(state & kOpen)) continue;
      // Joined: until we leave, the caller stays and the job with it.
      if (thread < job_->threads) work(*job_, thread);
      if (state_.fetch_sub(1, std::memory_order_acq_rel) == 1) state_.notify_one();
    }
  }

  void work(Job& job, int thread) {
    for (int s = 0; s < job.threads; ++s) {
      Share& share = shares_[(thread + s) % job.threads];
      int64_t first = share.next.load(std::memory_order_relaxed);
      int64_t batch = std::max<int64_t>(1, (share.end - first) / 8);
      while ((first = share.next.fetch_add(batch, std::memory_order_relaxed)) < share.end) {
        for (int64_t i = first, last = std::min(first + batch, share.end); i < last; ++i) {
          if (thread == 0) job.ask_interrupt();
          job.run_piece(i);
        }
      }
    }
  }

  void wait_for_workers() {
    if (spin_until([&] { return state_.load(std::memory_order_acquire) == 0; })) return;
    while (uint32_t state = state_.load(std::memory_order_acquire)) state_.wait(state, std::memory_order_acquire);
  }

  std::atomic<bool> busy_{false};
  int workers_ = 0;
  Job* job_ = nullptr;
  alignas(64) std::atomic<uint32_t> ticket_{0};  // counts jobs; idle workers watch it
  alignas(64) std::atomic<uint32_t> state_{0};   // kOpen | number of workers inside the job
  alignas(64) std::atomic<uint32_t> sleepers_{0};
  Share shares_[kMaxThreads];
};

// Never destroyed, since workers may outlive static destructors. A fork leaves the child without workers, so the child
// starts over with an empty pool in the same place.
alignas(Pool) unsigned char pool_memory[sizeof(Pool)];

Pool& pool() {
  static Pool* made = [] {
    pthread_atfork(nullptr, nullptr, [] { new (pool_memory) Pool; });
    return new (pool_memory) Pool;
  }();
  return *made;
}

int env_threads(const char* name) {
  const char* text = std::getenv(name);
  if (!text) return 0;
  long n = std::strtol(text, nullptr, 10);  // OMP_NUM_THREADS may be a list ("4,2"): the first is the outer level
  return static_cast<int>(std::clamp(n, 0L, static_cast<long>(kMaxThreads)));
}

int usable_cpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) cpus = CPU_COUNT(&mask);
  std::ifstream quota_file("/sys/fs/cgroup/cpu.max");  // "max 100000", or "200000 100000" for two CPUs
  double quota = 0, period = 0;
  if (quota_file >> quota >> period && period > 0) cpus = std::min(cpus, static_cast<int>(quota / period + 0.999));
#endif
  return std::clamp(cpus, 1, kMaxThreads);
}

int default_threads() {
  if (int n = env_threads("EMBER_NUM_THREADS")) return n;
  if (int n = env_threads("OMP_NUM_THREADS")) return n;
  return usable_cpus();
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{default_threads()};
  return count;
}

}  // namespace

int num_threads() { return thread_count().load(std::memory_order_relaxed); }

void set_num_threads(int n) {
  EMBER_CHECK_VALUE(n >= 1, "set_num_threads: expected a positive number of threads, got ", n);
  thread_count().store(std::min(n, kMaxThreads), std::memory_order_relaxed);
}

bool in_parallel_region() { return in_region; }

void set_interrupt_check(bool (*check)()) { interrupt_check.store(check, std::memory_order_relaxed); }
void stop_if_interrupted() {
  auto check = interrupt_check.load(std::memory_order_relaxed);
  if (EMBER_UNLIKELY(check && check())) throw Interrupted("interrupted");
}

void detail::run_pieces(int64_t begin, int64_t end, int64_t grain, function_ref<void(int64_t, int64_t)> f) {
  EMBER_CHECK_VALUE(grain >= 1, "parallel_for: expected a positive grain, got ", grain);
  int64_t pieces = (end - begin - 1) / grain + 1;
  int threads = static_cast<int>(std::min<int64_t>(num_threads(), pieces));
  Job job{begin, end, grain, f, threads};
  bool nested = std::exchange(in_region, true);
  if (nested || threads == 1 || !pool().run(job, pieces)) {
    for (int64_t i = 0; i < pieces && i < job.stop_at.load(std::memory_order_relaxed); ++i) {
      if (!nested) job.ask_interrupt();
      job.run_piece(i);
    }
  }
  in_region = nested;
  job.finish();
}

}  // namespace ember
