// Loading data in C++: orders that PyTorch 2.13 printed for the same seeds, workers, errors in their turn.
#include "data/data.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "check.h"
#include "op/ops.h"

using namespace ember;
using namespace ember::data;

namespace {

Tensor number(int64_t i) {
  Tensor t = empty_raw({}, DType::kInt64);
  *t.data<int64_t>() = i;
  return t;
}
DatasetPtr count_to(int64_t n) {
  return std::make_shared<FunctionDataset>(n, [](int64_t i) { return Sample{number(i)}; });
}
std::vector<Indices> epoch(DataLoader& loader) {
  std::vector<Indices> batches;
  for (const Batch& batch : loader) {
    const int64_t* p = batch[0].data<int64_t>();
    batches.emplace_back(p, p + batch[0].numel());
  }
  return batches;
}
using Batches = std::vector<Indices>;

}  // namespace

TEST(data_order) {
  default_generator()->manual_seed(7);
  DataLoader loader(count_to(10), {.batch_size = 4, .shuffle = true});
  CHECK_EQ(loader.size(), 3);
  CHECK(epoch(loader) == (Batches{{3, 2, 7, 8}, {6, 1, 5, 9}, {0, 4}}));
  CHECK(epoch(loader) == (Batches{{1, 3, 5, 2}, {8, 9, 6, 7}, {4, 0}}));
  CHECK_EQ(randint(0, 1000, {1}).item<int64_t>(), 988);
  Generator generator(3);
  DataLoader own(count_to(10), {.batch_size = 4, .shuffle = true, .drop_last = true, .generator = &generator});
  CHECK(epoch(own) == (Batches{{7, 4, 2, 9}, {1, 5, 0, 8}}));
  CHECK(epoch(own) == (Batches{{1, 2, 0, 5}, {9, 4, 8, 3}}));
}

TEST(data_datasets) {
  Generator generator(5);
  auto parts = random_split(count_to(10), {3, 7}, &generator);
  CHECK_EQ(parts[1]->size(), 7);
  Indices got;
  for (int i = 0; i < 3; ++i) got.push_back(*parts[0]->get(i)[0].data<int64_t>());
  CHECK(got == (Indices{1, 4, 9}));
  ConcatDataset both({count_to(2), count_to(3)});
  CHECK_EQ(both.get(3)[0].item<int64_t>(), 1);
  CHECK_EQ(both.get(-5)[0].item<int64_t>(), 0);
  CHECK_THROWS(both.get(5), "out of range");
  CHECK_THROWS(random_split(count_to(2), {1}), "Sum of input lengths");
  CHECK_THROWS(ConcatDataset({}), "should not be empty");
  CHECK_THROWS(DataLoader(count_to(2), {.batch_size = 0}), "batch_size should be a positive integer");
}

TEST(data_tensors) {
  TensorDataset dataset({arange(0, 12).view({6, 2}), arange(0, 6)});
  Batches targets;
  for (const Batch& batch : DataLoader(dataset, {.batch_size = 4})) {
    CHECK_EQ(batch[0].size(1), 2);
    const int64_t* p = batch[1].data<int64_t>();
    targets.emplace_back(p, p + batch[1].numel());
    CHECK_EQ(batch[0].data<int64_t>()[0], 2 * p[0]);
  }
  CHECK(targets == (Batches{{0, 1, 2, 3}, {4, 5}}));
  CHECK_THROWS(TensorDataset({arange(0, 3), arange(0, 4)}), "Size mismatch");
}

TEST(data_workers) {  // late batches still come in their turn
  auto slow = std::make_shared<FunctionDataset>(40, [](int64_t i) {
    if (i % 7 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    return Sample{number(i)};
  });
  DataLoader one(slow, {.batch_size = 3}), many(slow, {.batch_size = 3, .num_workers = 3});
  const Batches expected = epoch(one);
  CHECK(epoch(many) == expected);
  for (const Batch& batch : many) {  // an epoch given up half way
    CHECK_EQ(batch[0].numel(), 3);
    break;
  }
  CHECK(epoch(many) == expected);
}

TEST(data_workers_read_ahead_only_so_far) {
  auto loaded = std::make_shared<std::atomic<int>>(0);
  auto dataset = std::make_shared<FunctionDataset>(100, [loaded](int64_t i) { return ++*loaded, Sample{number(i)}; });
  DataLoader loader(dataset, {.num_workers = 2, .prefetch_factor = 2});
  auto it = loader.begin();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  CHECK(*loaded <= 5);
}

TEST(data_errors_come_in_their_turn) {
  auto broken = std::make_shared<FunctionDataset>(6, [](int64_t i) {
    EMBER_CHECK_VALUE(i != 3, "sample ", i, " is broken");
    return Sample{number(i)};
  });
  for (int workers : {0, 2}) {
    DataLoader loader(broken, {.num_workers = workers});
    auto it = loader.begin();
    ++it, ++it;
    CHECK_EQ(*(*it)[0].data<int64_t>(), 2);
    CHECK_THROWS(++it, "sample 3 is broken");
    ++it;  // and loading goes on
    CHECK_EQ(*(*it)[0].data<int64_t>(), 4);
  }
}
