// Threads: one pool for the whole process and one way to use it.
// parallel_for cuts [begin, end) into pieces of exactly `grain` (the last may be shorter), whatever the number of
// threads: a kernel that keeps one partial result a piece gives the same bits on every machine. Nested calls, and calls
// made while another thread has the pool, run serially over the same pieces.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/export.h"
#include "base/function_ref.h"

namespace ember {

// How many threads a parallel_for may use, the caller included. At first EMBER_NUM_THREADS, else OMP_NUM_THREADS, else
// the CPUs that this process may run on (affinity mask and cgroup quota).
EMBER_API int num_threads();
EMBER_API void set_num_threads(int n);  // ValueError unless n >= 1
EMBER_API bool in_parallel_region();    // true inside a piece of a parallel_for that was cut

// `check` is asked on the calling thread between pieces; true ends the loop with Interrupted (Ctrl-C). It must be
// quick, a look at a flag, and must not throw. nullptr takes it away.
struct EMBER_API Interrupted : Error {
  using Error::Error;
};
EMBER_API void set_interrupt_check(bool (*check)());
EMBER_API void stop_if_interrupted();  // raises Interrupted: between the steps of a loop over many small calls

namespace detail {
EMBER_API void run_pieces(int64_t begin, int64_t end, int64_t grain, function_ref<void(int64_t, int64_t)> f);
}

// Calls f(b, e) for each piece and returns when all are done. If pieces throw, the error of the first of them in order
// reaches the caller, at any number of threads; later pieces may then not run.
template <class F>
void parallel_for(int64_t begin, int64_t end, int64_t grain, F&& f) {
  if (begin >= end) return;
  if (end - begin <= grain) return static_cast<void>(f(begin, end));
  detail::run_pieces(begin, end, grain, f);
}

}  // namespace ember
