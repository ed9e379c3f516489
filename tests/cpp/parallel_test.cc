// The pool: pieces are the same at any number of threads, errors and interrupts reach the caller, forks survive.
#include "base/parallel.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "check.h"

using namespace ember;

namespace {

struct Threads {  // sets the number of threads for one scope
  int before = num_threads();
  explicit Threads(int n) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
};

using Pieces = std::vector<std::pair<int64_t, int64_t>>;
Pieces pieces(int64_t begin, int64_t end, int64_t grain) {
  Pieces out;
  std::mutex lock;
  parallel_for(begin, end, grain, [&](int64_t b, int64_t e) {
    std::lock_guard guard(lock);
    out.push_back({b, e});
  });
  std::sort(out.begin(), out.end());
  return out;
}

int64_t sum_to(int64_t n) {
  std::atomic<int64_t> sum{0};
  parallel_for(0, n, 10, [&](int64_t b, int64_t e) {
    for (; b < e; ++b) sum += b;
  });
  return sum;
}

}  // namespace

TEST(parallel_pieces_depend_on_the_range_alone) {
  for (auto [b, e, g] : {std::tuple{0, 100, 7}, {-5, 3, 1}, {3, 3, 1}, {4, 2, 1}, {0, 1000, 1}, {0, 16, 16}}) {
    Pieces want;
    for (int64_t i = b; i < e; i += g) want.push_back({i, std::min<int64_t>(i + g, e)});
    for (int threads : {1, 2, 3, 8}) {
      Threads scope(threads);
      CHECK(pieces(b, e, g) == want);
    }
  }
  CHECK_THROWS(pieces(0, 10, 0), "expected a positive grain, got 0");
  CHECK_THROWS(set_num_threads(0), "expected a positive number of threads, got 0");
}

TEST(parallel_reports_the_first_error_in_order) {
  for (int threads : {1, 2, 5}) {
    Threads scope(threads);
    for (int round = 0; round < 200; ++round) {
      CHECK_THROWS(parallel_for(0, 64, 1, [](int64_t b, int64_t) { EMBER_CHECK(b % 32 != 31, "piece ", b); }),
                   "piece 31");
    }
    CHECK_EQ(sum_to(1000), 499500);
  }
}

TEST(parallel_nested_is_serial) {
  Threads scope(4);
  std::atomic<int64_t> sum{0};
  CHECK(!in_parallel_region());
  parallel_for(0, 8, 1, [&](int64_t, int64_t) {
    CHECK(in_parallel_region());
    auto self = std::this_thread::get_id();
    parallel_for(0, 100, 10, [&](int64_t b, int64_t e) {
      CHECK(std::this_thread::get_id() == self);
      sum += e - b;
    });
  });
  CHECK_EQ(sum.load(), 800);
  CHECK(!in_parallel_region());
}

TEST(parallel_from_many_threads_at_once) {
  Threads scope(3);
  std::vector<std::thread> users;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    users.emplace_back([&] {
      for (int i = 0; i < 200; ++i) wrong += sum_to(500) != 124750;
    });
  for (auto& user : users) user.join();
  CHECK_EQ(wrong.load(), 0);
}

TEST(parallel_survives_fork) {
  Threads scope(3);
  CHECK_EQ(sum_to(1000), 499500);
  // From inside a region too: the child must find the pool free although the parent had it.
  for (bool inside : {false, true}) {
    std::atomic<int> status{-1};
    auto fork_and_sum = [&] {
      pid_t child = fork();
      if (child == 0) {
        std::thread fresh([] { _exit(sum_to(1000) == 499500 && num_threads() == 3 ? 0 : 1); });
        fresh.join();
      }
      int result = -1;
      waitpid(child, &result, 0);
      status = result;
    };
    if (inside)
      parallel_for(0, 4, 1, [&](int64_t b, int64_t) {
        if (b == 0) fork_and_sum();
      });
    else fork_and_sum();
    CHECK_EQ(status.load(), 0);
  }
  CHECK_EQ(sum_to(1000), 499500);
}

namespace {
std::atomic<int> asked{0};
std::thread::id asker;
}  // namespace

TEST(parallel_interrupt_is_asked_on_the_caller) {
  for (int threads : {1, 3}) {
    Threads scope(threads);
    asked = 0;
    asker = std::this_thread::get_id();
    set_interrupt_check([] {
      if (std::this_thread::get_id() != asker) asked = -1000;
      return ++asked == 3;
    });
    std::atomic<int> ran{0};
    CHECK_THROWS(parallel_for(0, 100000, 1,
                              [&](int64_t, int64_t) {
                                ++ran;
                                std::this_thread::sleep_for(std::chrono::microseconds(10));
                              }),
                 "interrupted");
    set_interrupt_check(nullptr);
    CHECK_EQ(asked.load(), 3);
    CHECK(ran.load() < 100000);
  }
}
