// Loading data in C++: datasets, samplers, and a loader whose batches a range-for walks. Names, defaults and, from one
// seed, orders are Python's.
//   data::DataLoader loader(data::TensorDataset({x, y}), {.batch_size = 64, .shuffle = true});
//   for (const data::Batch& batch : loader) train(batch[0], batch[1]);
// Workers are threads: each loads whole batches ahead, which come out in order. A dataset is read from several threads
// at once then, so `get` must not write to anything shared.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "tensor/generator.h"
#include "tensor/tensor.h"

namespace ember::data {

using Sample = std::vector<Tensor>;  // one tensor a column: input, target ...
using Batch = std::vector<Tensor>;   // the same columns with a dimension more in front
using Indices = std::vector<int64_t>;

class EMBER_API Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual Sample get(int64_t index) const = 0;
  // The collated samples at once, where that is cheaper than one by one.
  virtual std::optional<Batch> get_batch(const Indices& indices) const;
};
using DatasetPtr = std::shared_ptr<const Dataset>;

// Samples along the first dimension of tensors of equal size there (ValueError).
class EMBER_API TensorDataset : public Dataset {
 public:
  explicit TensorDataset(std::vector<Tensor> tensors);
  int64_t size() const override { return tensors_[0].size(0); }
  Sample get(int64_t index) const override;
  std::optional<Batch> get_batch(const Indices& indices) const override;

 private:
  std::vector<Tensor> tensors_;
};

class EMBER_API Subset : public Dataset {
 public:
  Subset(DatasetPtr dataset, Indices indices) : dataset_(std::move(dataset)), indices_(std::move(indices)) {}
  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  Sample get(int64_t index) const override { return dataset_->get(indices_.at(static_cast<size_t>(index))); }
  std::optional<Batch> get_batch(const Indices& indices) const override;

 private:
  DatasetPtr dataset_;
  Indices indices_;
};

class EMBER_API ConcatDataset : public Dataset {
 public:
  explicit ConcatDataset(std::vector<DatasetPtr> datasets);
  int64_t size() const override { return ends_.back(); }
  Sample get(int64_t index) const override;

 private:
  std::vector<DatasetPtr> datasets_;
  Indices ends_;
};

// A dataset of a function of (index), for what needs no class.
class EMBER_API FunctionDataset : public Dataset {
 public:
  FunctionDataset(int64_t size, std::function<Sample(int64_t)> get) : size_(size), get_(std::move(get)) {}
  int64_t size() const override { return size_; }
  Sample get(int64_t index) const override { return get_(index); }

 private:
  int64_t size_;
  std::function<Sample(int64_t)> get_;
};

// Random subsets of these lengths, which must sum to the dataset's (ValueError).
EMBER_API std::vector<std::shared_ptr<Subset>> random_split(DatasetPtr dataset, const Indices& lengths,
                                                            Generator* generator = nullptr);

// Gives the order of one epoch.
class EMBER_API Sampler {
 public:
  virtual ~Sampler() = default;
  virtual Indices epoch() = 0;
};

class EMBER_API SequentialSampler : public Sampler {
 public:
  explicit SequentialSampler(int64_t size) : size_(size) {}
  Indices epoch() override;

 private:
  int64_t size_;
};

// A shuffle. Without a generator each epoch draws a seed for one from the default generator, as in Python.
class EMBER_API RandomSampler : public Sampler {
 public:
  explicit RandomSampler(int64_t size, Generator* generator = nullptr) : size_(size), generator_(generator) {}
  Indices epoch() override;

 private:
  int64_t size_;
  Generator* generator_;
};

// Stacks the samples' tensors, column by column (RuntimeError where their numbers or shapes differ).
EMBER_API Batch default_collate(const std::vector<Sample>& samples);

struct DataLoaderOptions {
  int64_t batch_size = 1;
  bool shuffle = false, drop_last = false;
  int num_workers = 0;      // threads; 0 loads in the caller's
  int prefetch_factor = 2;  // batches that each worker loads ahead
  Generator* generator = nullptr;
  std::shared_ptr<Sampler> sampler = {};                          // an order of your own, in place of `shuffle`
  std::function<Batch(const std::vector<Sample>&)> collate = {};  // default_collate unless given
};

class EMBER_API DataLoader {
 public:
  class Epoch;  // one pass: the order, and the workers

  DataLoader(DatasetPtr dataset, DataLoaderOptions options = {});
  template <class D>
  requires std::derived_from<D, Dataset> DataLoader(D dataset, DataLoaderOptions options = {})
      : DataLoader(std::make_shared<D>(std::move(dataset)), std::move(options)) {}

  int64_t size() const;  // batches an epoch
  const Dataset& dataset() const { return *dataset_; }

  // An input iterator over one epoch; the first begin() of each loop starts a new one.
  class EMBER_API Iterator {
   public:
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(std::shared_ptr<Epoch> epoch);
    const Batch& operator*() const { return batch_; }
    const Batch* operator->() const { return &batch_; }
    Iterator& operator++();
    bool operator==(const Iterator& other) const { return epoch_ == other.epoch_; }

   private:
    std::shared_ptr<Epoch> epoch_;
    Batch batch_;
  };
  Iterator begin();
  Iterator end() const { return {}; }

 private:
  DatasetPtr dataset_;
  DataLoaderOptions options_;
};

}  // namespace ember::data
