// Small vector, span, intrusive pointer and CPU features.
#include <cstdlib>
#include <vector>

#include "base/cpu_features.h"
#include "base/intrusive.h"
#include "base/small_vector.h"
#include "check.h"

using namespace ember;
using Vec = SmallVector<int64_t, 3>;

namespace {
size_t length(Span<int64_t> s) { return s.size(); }
struct Counted : RefCounted {
  explicit Counted(int* alive) : alive(alive) { ++*alive; }
  ~Counted() override { --*alive; }
  int* alive;
};
struct Derived : Counted {
  using Counted::Counted;
};
}  // namespace

TEST(small_vector_matches_std_vector) {
  Vec ours;
  std::vector<int64_t> theirs;
  uint32_t seed = 1;
  for (int step = 0; step < 3000; ++step) {
    seed = seed * 1664525 + 1013904223;
    size_t at = theirs.empty() ? 0 : (seed >> 8) % theirs.size();
    switch ((seed >> 24) % 10) {
      case 0: ours.insert(ours.begin() + at, step), theirs.insert(theirs.begin() + at, step); break;
      case 1:
        if (!theirs.empty()) ours.erase(ours.begin() + at), theirs.erase(theirs.begin() + at);
        break;
      case 2: ours.resize(at), theirs.resize(at); break;
      case 3: ours.insert(ours.begin() + at, {1, 2, 3}), theirs.insert(theirs.begin() + at, {1, 2, 3}); break;
      case 4: {
        Vec moved(std::move(ours));
        CHECK(ours.empty());
        ours = std::move(moved);
        break;
      }
      case 5: {
        Vec copy(ours);
        ours = copy;
        break;
      }
      case 6:
        if (!theirs.empty()) ours.push_back(ours[at]), theirs.push_back(int64_t{theirs[at]});
        break;
      case 7:
        if (theirs.size() < 100) {
          auto copy = theirs;
          ours.append(ours);
          theirs.insert(theirs.end(), copy.begin(), copy.end());
        }
        break;
      default: ours.push_back(step), theirs.push_back(step);
    }
    CHECK(ours == Span<int64_t>(theirs));
  }
}

TEST(small_vector_and_span_convert_and_compare) {
  CHECK_EQ(length({1, 2, 3, 4}), 4u);
  CHECK_EQ(length({}), 0u);
  CHECK_EQ(length(Vec{5, 6}), 2u);
  CHECK_EQ(length(std::vector<int64_t>{7}), 1u);
  CHECK((Vec{1, 2} < Vec{1, 3}) && (Vec{1, 2} != Vec{1, 2, 0}) && (Vec(2, 9) == Vec{9, 9}));
  Vec v{1, 2, 3, 4, 5};
  v.assign(Span<int64_t>(v.data() + 1, 3));
  CHECK((v == Vec{2, 3, 4}));
  v = {8};
  CHECK((v == Vec{8}) && v.front() == 8 && v.back() == 8);
}

TEST(intrusive_pointer_counts) {
  int alive = 0;
  {
    Ptr<Counted> a = make_ptr<Derived>(&alive), b = a, c;
    CHECK_EQ(a.use_count(), 2);
    c = std::move(b);
    CHECK(!b && c == a && a.use_count() == 2);
    Counted* raw = c.unsafe_release();
    CHECK_EQ(raw->use_count(), 2);
    c = Ptr<Counted>::adopt(raw);
    b = Ptr<Counted>::share(raw);
    CHECK_EQ(a.use_count(), 3);
    a = nullptr, b.reset();
    CHECK_EQ(alive, 1);
  }
  CHECK_EQ(alive, 0);
}

TEST(cpu_isa_is_one_the_machine_has) {
  CHECK(cpu_supports(Isa::baseline));
  CHECK(cpu_supports(cpu_isa()));
  CHECK_EQ(std::string(isa_name(Isa::avx2)), "avx2");
}
