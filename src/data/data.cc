// An epoch is a list of keys cut into batches. Without workers a batch is loaded when asked for. With workers, threads
// take the numbers of batches in turn, at most so many ahead of the reader, and leave results, or what was thrown, in
// the batch's slot; the reader takes the slots in order.
#include "data/data.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>

#include "kernel/cpu/random.h"
#include "op/ops.h"

namespace ember::data {
namespace {

// What `random_()` gives for an int64: the seeds that loaders and samplers draw.
int64_t draw_seed(Generator& generator) {
  int64_t seed;
  kernel::random(generator, DType::kInt64, &seed, 1);
  return seed;
}

Indices shuffled(int64_t n, Generator& generator) {
  Indices order(static_cast<size_t>(n));
  kernel::randperm(generator, DType::kInt64, order.data(), n);
  return order;
}

Generator& or_default(Generator* generator) { return generator ? *generator : *default_generator(); }

}  // namespace

// ---- datasets ----

std::optional<Batch> Dataset::get_batch(const Indices&) const { return std::nullopt; }

TensorDataset::TensorDataset(std::vector<Tensor> tensors) : tensors_(std::move(tensors)) {
  EMBER_CHECK_VALUE(!tensors_.empty(), "TensorDataset: at least one tensor should be passed");
  for (const Tensor& t : tensors_) {
    EMBER_CHECK_VALUE(t.dim() > 0 && t.size(0) == tensors_[0].size(0),
                      "TensorDataset: Size mismatch between tensors: ", t.sizes(), " and ", tensors_[0].sizes());
  }
}
Sample TensorDataset::get(int64_t index) const {
  Sample sample;
  for (const Tensor& t : tensors_) sample.push_back(t[index]);
  return sample;
}
std::optional<Batch> TensorDataset::get_batch(const Indices& indices) const {
  Tensor index = empty_raw({static_cast<int64_t>(indices.size())}, DType::kInt64);
  std::copy(indices.begin(), indices.end(), index.data<int64_t>());
  Batch batch;
  for (const Tensor& t : tensors_) batch.push_back(index_select(t, 0, index));
  return batch;
}

std::optional<Batch> Subset::get_batch(const Indices& indices) const {
  Indices inner;
  for (int64_t i : indices) inner.push_back(indices_.at(static_cast<size_t>(i)));
  return dataset_->get_batch(inner);
}

ConcatDataset::ConcatDataset(std::vector<DatasetPtr> datasets) : datasets_(std::move(datasets)) {
  EMBER_CHECK_VALUE(!datasets_.empty(), "ConcatDataset: datasets should not be empty");
  int64_t end = 0;
  for (const DatasetPtr& d : datasets_) ends_.push_back(end += d->size());
}
Sample ConcatDataset::get(int64_t index) const {
  const int64_t n = size();
  EMBER_CHECK_INDEX(index >= -n && index < n, "ConcatDataset: index ", index, " is out of range for ", n, " samples");
  if (index < 0) index += n;
  const size_t k = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
  return datasets_[k]->get(index - (k ? ends_[k - 1] : 0));
}

std::vector<std::shared_ptr<Subset>> random_split(DatasetPtr dataset, const Indices& lengths, Generator* generator) {
  EMBER_CHECK_VALUE(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}) == dataset->size(),
                    "random_split: Sum of input lengths does not equal the length of the input dataset!");
  const Indices order = shuffled(dataset->size(), or_default(generator));
  std::vector<std::shared_ptr<Subset>> parts;
  auto at = order.begin();
  for (int64_t length : lengths) {
    parts.push_back(std::make_shared<Subset>(dataset, Indices(at, at + length)));
    at += length;
  }
  return parts;
}

// ---- samplers ----

Indices SequentialSampler::epoch() {
  Indices order(static_cast<size_t>(size_));
  std::iota(order.begin(), order.end(), int64_t{0});
  return order;
}

Indices RandomSampler::epoch() {
  if (generator_) {
    Indices order = shuffled(size_, *generator_);
    shuffled(size_, *generator_);  // Python's sampler begins another shuffle, of which it takes nothing
    return order;
  }
  Generator own(static_cast<uint64_t>(draw_seed(*default_generator())));
  return shuffled(size_, own);
}

// ---- the loader ----

Batch default_collate(const std::vector<Sample>& samples) {
  Batch batch;
  for (size_t column = 0; column < samples.at(0).size(); ++column) {
    std::vector<Tensor> tensors;
    for (const Sample& s : samples) {
      EMBER_CHECK(s.size() == samples[0].size(),
                  "default_collate: each element in list of batch should be of equal size");
      tensors.push_back(s[column]);
    }
    batch.push_back(stack(tensors, 0));
  }
  return batch;
}

class DataLoader::Epoch {
 public:
  Epoch(DatasetPtr dataset, const DataLoaderOptions& options, Indices order)
      : dataset_(std::move(dataset)), options_(options), order_(std::move(order)) {
    const int64_t n = static_cast<int64_t>(order_.size()), size = options_.batch_size;
    batches_ = options_.drop_last ? n / size : (n + size - 1) / size;
    ahead_ = std::max<int64_t>(1, int64_t{options_.num_workers} * options_.prefetch_factor);
    slots_.resize(static_cast<size_t>(options_.num_workers ? batches_ : 0));
    for (int i = 0; i < options_.num_workers; ++i) workers_.emplace_back([this] { work(); });
  }
  ~Epoch() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  // The next batch, or nothing after the last. What a worker threw is thrown here, in its turn.
  std::optional<Batch> next() {
    if (read_ == batches_) return std::nullopt;
    const int64_t number = read_;
    if (workers_.empty()) return ++read_, load(number);
    std::unique_lock lock(mutex_);
    Slot& slot = slots_[static_cast<size_t>(number)];
    changed_.wait(lock, [&] { return slot.done; });
    ++read_;
    changed_.notify_all();
    if (slot.error) std::rethrow_exception(slot.error);
    return std::move(slot.batch);
  }

 private:
  struct Slot {
    Batch batch;
    std::exception_ptr error;
    bool done = false;
  };

  Batch load(int64_t number) const {
    const auto begin = order_.begin() + number * options_.batch_size;
    const Indices keys(begin, std::min(begin + options_.batch_size, order_.end()));
    if (!options_.collate) {
      if (auto batch = dataset_->get_batch(keys)) return std::move(*batch);
    }
    std::vector<Sample> samples;
    for (int64_t key : keys) samples.push_back(dataset_->get(key));
    return options_.collate ? options_.collate(samples) : default_collate(samples);
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stop_ || taken_ == batches_ || taken_ < read_ + ahead_; });
      if (stop_ || taken_ == batches_) return;
      const int64_t number = taken_++;
      lock.unlock();
      Slot result;
      try {
        result.batch = load(number);
      } catch (...) { result.error = std::current_exception(); }
      result.done = true;
      lock.lock();
      slots_[static_cast<size_t>(number)] = std::move(result);
      changed_.notify_all();
    }
  }

  DatasetPtr dataset_;
  DataLoaderOptions options_;
  Indices order_;
  int64_t batches_ = 0, ahead_ = 0;
  int64_t read_ = 0, taken_ = 0;  // batches that were handed out, and that workers have begun
  bool stop_ = false;
  std::vector<Slot> slots_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::thread> workers_;  // last: they use everything above
};

DataLoader::DataLoader(DatasetPtr dataset, DataLoaderOptions options)
    : dataset_(std::move(dataset)), options_(std::move(options)) {
  EMBER_CHECK_VALUE(options_.batch_size > 0,
                    "batch_size should be a positive integer value, but got batch_size=", options_.batch_size);
  EMBER_CHECK_VALUE(options_.num_workers >= 0, "num_workers option should be non-negative");
  EMBER_CHECK_VALUE(!options_.sampler || !options_.shuffle, "sampler option is mutually exclusive with shuffle");
  if (options_.sampler) return;
  if (options_.shuffle) options_.sampler = std::make_shared<RandomSampler>(dataset_->size(), options_.generator);
  else options_.sampler = std::make_shared<SequentialSampler>(dataset_->size());
}

int64_t DataLoader::size() const {
  const int64_t n = dataset_->size(), size = options_.batch_size;
  return options_.drop_last ? n / size : (n + size - 1) / size;
}

DataLoader::Iterator DataLoader::begin() {
  draw_seed(or_default(options_.generator));  // Python's loader seeds its workers with it: the stream must go on alike
  return Iterator(std::make_shared<Epoch>(dataset_, options_, options_.sampler->epoch()));
}

DataLoader::Iterator::Iterator(std::shared_ptr<Epoch> epoch) : epoch_(std::move(epoch)) { ++*this; }

DataLoader::Iterator& DataLoader::Iterator::operator++() {
  if (auto batch = epoch_->next()) batch_ = std::move(*batch);
  else epoch_.reset();
  return *this;
}

}  // namespace ember::data
