# Datasets, samplers and collation against PyTorch's: the same samples, orders, batches and errors from the same seeds.
"""Tests of ember.utils.data but for loading."""

import collections
import warnings

import ember
import ember.utils.data
import numpy as np
import pytest
import torch
import torch.utils.data

MODULES = (ember, torch)


def plain(x):
    """Comparable form: tensors as (dtype, nested list), containers kept."""
    if isinstance(x, (ember.Tensor, torch.Tensor)):
        return str(x.dtype).split(".")[-1], tuple(x.shape), x.tolist()
    if isinstance(x, dict):
        return type(x), {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x), [plain(v) for v in x]
    return x


def both(make, *, words=True):
    """What `make(module)` gives with each, results or errors, in comparable form."""
    results = []
    for m in MODULES:
        try:
            results.append(plain(make(m)))
        except Exception as error:
            results.append((type(error), str(error).replace("ember", "torch") if words else None))
    return results


def same(make, **kwargs):
    ours, theirs = both(make, **kwargs)
    assert ours == theirs


Point = collections.namedtuple("Point", "x y")


class Bag(dict):
    pass


def stream(m):
    class Count(m.utils.data.IterableDataset):
        def __init__(self, n):
            self.n = n

        def __iter__(self):
            return iter(range(self.n))

        def __len__(self):
            return self.n

    return Count


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.utils.data.TensorDataset(m.arange(6).view(3, 2), m.arange(3.0))[1],
        lambda m: m.utils.data.TensorDataset(m.arange(6).view(3, 2), m.arange(3.0))[1:],
        lambda m: m.utils.data.TensorDataset(m.arange(6))[-1],
        lambda m: m.utils.data.TensorDataset(m.arange(6))[6],
        lambda m: m.utils.data.TensorDataset(m.arange(6), m.arange(5)),
        lambda m: len(m.utils.data.TensorDataset(m.arange(6))),
        lambda m: m.utils.data.StackDataset([1, 2], ["a", "b"])[1],
        lambda m: m.utils.data.StackDataset(x=[1, 2], y=["a", "b"])[0],
        lambda m: m.utils.data.StackDataset(x=[1, 2], y=["a", "b"]).__getitems__([1, 0]),
        lambda m: m.utils.data.StackDataset([1, 2], ["a", "b"]).__getitems__([1, 0]),
        lambda m: m.utils.data.StackDataset([1, 2], [1]),
        lambda m: m.utils.data.StackDataset(),
        lambda m: m.utils.data.ConcatDataset([[1, 2], [3], [4, 5]])[3],
        lambda m: m.utils.data.ConcatDataset([[1, 2], [3], [4, 5]])[-5],
        lambda m: m.utils.data.ConcatDataset([[1, 2], [3]])[-5],
        lambda m: m.utils.data.ConcatDataset([]),
        lambda m: m.utils.data.ConcatDataset([stream(m)(2)]),
        lambda m: (m.utils.data.TensorDataset(m.arange(2)) + m.utils.data.TensorDataset(m.arange(3))).cumulative_sizes,
        lambda m: list(stream(m)(2) + stream(m)(3)),
        lambda m: len(m.utils.data.ChainDataset([stream(m)(2), stream(m)(3)])),
        lambda m: list(m.utils.data.ChainDataset([[1]])),
        lambda m: m.utils.data.Subset([10, 11, 12], [2, 0])[0],
        lambda m: m.utils.data.Subset([10, 11, 12], [2, 0]).__getitems__([1, 0]),
        lambda m: m.utils.data.Dataset()[0],
    ],
)
def test_datasets(make):
    same(make)


def test_stack_takes_one_form():
    with pytest.raises(ValueError, match="both types are given"):
        ember.utils.data.StackDataset([1], x=[1])


def test_subset_must_override_both():
    class Half(ember.utils.data.Subset):
        def __getitem__(self, i):
            return -1

    with pytest.raises(NotImplementedError, match="overrides __getitem__ but not __getitems__"):
        Half([1], [0])


@pytest.mark.parametrize("lengths", [[3, 7], [0.5, 0.25, 0.25], [0.3, 0.3, 0.4], [1, 2], [1.5, -0.5], [0.1] * 10])
def test_random_split(lengths):
    def make(m):
        parts = m.utils.data.random_split(range(10), lengths, m.Generator().manual_seed(7))
        return [list(p) for p in parts]

    same(make)

    def default(m):
        m.manual_seed(11)
        return [list(p) for p in m.utils.data.random_split(range(10), [4, 6])]

    same(default)


def test_random_split_warns_of_empty_parts():
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        ember.utils.data.random_split(range(1), [0.5, 0.5])


@pytest.mark.parametrize(
    "make",
    [
        lambda d, g: d.RandomSampler(range(50), generator=g),
        lambda d, g: d.RandomSampler(range(50), num_samples=120, generator=g),
        lambda d, g: d.RandomSampler(range(50), num_samples=20, generator=g),
        lambda d, g: d.RandomSampler(range(50), replacement=True, generator=g),
        lambda d, g: d.RandomSampler(range(50), replacement=True, num_samples=70, generator=g),
        lambda d, g: d.RandomSampler(range(1000)),
        lambda d, g: d.SubsetRandomSampler([3, 5, 8, 13], generator=g),
        lambda d, g: d.SubsetRandomSampler([3, 5, 8, 13]),
        lambda d, g: d.WeightedRandomSampler([0.1, 2.0, 0.7, 0.0], 30, generator=g),
        lambda d, g: d.WeightedRandomSampler([0.1, 2.0, 0.7], 3, replacement=False, generator=g),
        lambda d, g: d.SequentialSampler(range(5)),
        lambda d, g: d.BatchSampler(d.SequentialSampler(range(7)), 3, False),
        lambda d, g: d.BatchSampler(d.SequentialSampler(range(7)), 3, True),
        lambda d, g: d.BatchSampler(d.RandomSampler(range(64), generator=g), 16, True),
        lambda d, g: d.DistributedSampler(range(11), 3, 1),
        lambda d, g: d.DistributedSampler(range(11), 3, 2, drop_last=True),
        lambda d, g: d.DistributedSampler(range(11), 3, 2, shuffle=False),
        lambda d, g: d.DistributedSampler(range(2), 5, 4, seed=3),
        lambda d, g: d.DistributedSampler(range(12), 3, 0, drop_last=True, seed=1),
    ],
)
def test_samplers(make):
    def run(m):
        m.manual_seed(5)
        sampler = make(m.utils.data, m.Generator().manual_seed(3))
        return [len(sampler), list(sampler), list(sampler), m.rand(1).item()]  # and how much was drawn

    same(run)


def test_distributed_sampler_epochs():
    def run(m):
        sampler = m.utils.data.DistributedSampler(range(20), 2, 0)
        orders = []
        for epoch in range(3):
            sampler.set_epoch(epoch)
            orders.append(list(sampler))
        return orders

    same(run)


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d.RandomSampler([]),
        lambda d: d.RandomSampler([1], replacement=1),
        lambda d: d.RandomSampler([1], num_samples=-1),
        lambda d: d.WeightedRandomSampler([1.0], 0),
        lambda d: d.WeightedRandomSampler([1.0], True),
        lambda d: d.WeightedRandomSampler([1.0], 1, replacement=2),
        lambda d: d.WeightedRandomSampler([[1.0]], 1),
        lambda d: d.BatchSampler([1], 0, False),
        lambda d: d.BatchSampler([1], 1, 3),
        lambda d: d.DistributedSampler([1], 2, 2),
    ],
)
def test_sampler_errors(make):
    same(lambda m: make(m.utils.data))


@pytest.mark.parametrize(
    "batch",
    [
        [1, 2, 3],
        [1.5, 2.0],
        [True, False],
        ["a", "b"],
        [b"a", b"b"],
        [(1, "a"), (2, "b")],
        [[1, 2.0], [3, 4.0]],
        [{"x": 1, "y": [1, 2]}, {"x": 2, "y": [3, 4]}],
        [Point(1, 2.0), Point(3, 4.0)],
        [Bag(a=1), Bag(a=2)],
        [np.arange(3), np.arange(3)],
        [np.float32(1), np.float32(2)],
        [np.int64(1), np.int64(2)],
        [np.bool_(True), np.bool_(False)],
        [np.array(1.5), np.array(2.5)],
        [np.array(["a"]), np.array(["b"])],
        [[1, 2], [3]],
        [None, None],
        [object],
        [1 + 2j, 3j],
        [collections.OrderedDict(b=1, a=2)] * 2,
        [range(3), range(3)],
        [((1, 2), [3]), ((4, 5), [6])],
        [{}, {}],
        [[], []],
    ],
    ids=repr,
)
def test_collate_and_convert(batch):
    same(lambda m: m.utils.data.default_collate(batch))
    same(lambda m: m.utils.data.default_convert(batch))
    same(lambda m: m.utils.data.default_convert(batch[0]))


def test_collate_tensors():
    same(lambda m: m.utils.data.default_collate([m.ones(2, 3), m.zeros(2, 3)]))
    same(lambda m: m.utils.data.default_collate([m.ones((), dtype=m.bool)] * 3))
    same(lambda m: m.utils.data.default_collate([(m.ones(2), 3)] * 2))
    ours, theirs = both(lambda m: m.utils.data.default_collate([m.ones(2), m.ones(3)]), words=False)
    assert ours == theirs


def test_collate_map():
    class Custom:
        pass

    def run(m):
        collate = m.utils.data._utils.collate.collate
        table = {Custom: lambda batch, *, collate_fn_map=None: len(batch), int: lambda b, collate_fn_map: sum(b)}
        return collate([(Custom(), 1), (Custom(), 2)], collate_fn_map=table)

    same(run)


@pytest.mark.parametrize("batch_size, drop_last", [(4, False), (4, True), (None, False), (1, False), (64, False)])
@pytest.mark.parametrize("shuffle", [False, True])
def test_single_process_batches(batch_size, drop_last, shuffle):
    def run(m, wrap=lambda d: d):
        m.manual_seed(2)
        dataset = m.utils.data.TensorDataset(m.arange(22).view(11, 2), m.arange(11.0))
        subset = m.utils.data.Subset(dataset, [9, 3, 0, 7, 7, 1])
        result = []
        for data in (dataset, subset, m.utils.data.ConcatDataset([dataset, subset])):
            loader = m.utils.data.DataLoader(data, batch_size, shuffle=shuffle, drop_last=drop_last)
            result += [len(loader), list(loader), list(loader)]
        return [result, m.rand(1).item()]

    same(run)


def test_generator_gives_the_order():
    def run(m):
        generator = m.Generator().manual_seed(9)
        loader = m.utils.data.DataLoader(range(20), 6, shuffle=True, generator=generator)
        return [list(loader), list(loader)]

    same(run)


def test_fetching_many_at_once_is_the_same():
    """The gather that TensorDatasets take is what looking up and stacking gives, for every odd way of indexing."""
    x = ember.randn(10, 3)
    dataset = ember.utils.data.TensorDataset(x, ember.arange(10))

    class Slow(ember.utils.data.TensorDataset):
        def __getitem__(self, i):
            return super().__getitem__(i)

    for keys in ([[1, 2], [9, 0]], [[-1, 3]], [[np.int64(3), 2]], [[ember.tensor(4), ember.tensor(5)]]):
        loaders = [ember.utils.data.DataLoader(d, batch_sampler=keys) for d in (dataset, Slow(*dataset.tensors))]
        assert plain(list(loaders[0])) == plain(list(loaders[1]))
    with pytest.raises(IndexError):
        list(ember.utils.data.DataLoader(dataset, batch_sampler=[[10]]))
    x.requires_grad_()
    batch = next(iter(ember.utils.data.DataLoader(ember.utils.data.TensorDataset(x), 4)))[0]
    batch.sum().backward()
    assert x.grad.sum().item() == 12


def test_iterable():
    def run(m):
        loader = m.utils.data.DataLoader(stream(m)(7), 3)
        return [len(loader), list(loader), list(m.utils.data.DataLoader(stream(m)(7), 3, drop_last=True)),
                list(m.utils.data.DataLoader(stream(m)(3), None))]  # fmt: skip

    same(run)


def test_iterable_that_is_longer_than_it_says():
    class Liar(stream(ember)):
        def __len__(self):
            return 2

    loader = ember.utils.data.DataLoader(Liar(4), None)
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="was reported to be 2"):
        assert list(loader) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": -1},
        {"timeout": -1},
        {"prefetch_factor": 2},
        {"num_workers": 1, "prefetch_factor": -1},
        {"persistent_workers": True},
        {"sampler": [1], "shuffle": True},
        {"batch_sampler": [[1]], "batch_size": 2},
        {"batch_sampler": [[1]], "shuffle": True},
        {"batch_size": None, "drop_last": True},
        {"batch_size": 0},
        {"multiprocessing_context": "fork"},
        {"multiprocessing_context": "x", "num_workers": 1},
        {"multiprocessing_context": 3, "num_workers": 1},
        {"shuffle": True, "iterable": True},
        {"sampler": [1], "iterable": True},
        {"batch_sampler": [[1]], "iterable": True},
    ],
)
def test_loader_errors(options):
    def run(m):
        given = dict(options)
        dataset = stream(m)(3) if given.pop("iterable", False) else [1, 2, 3]
        return m.utils.data.DataLoader(dataset, **given)

    same(run)


def test_attributes_are_fixed():
    loader = ember.utils.data.DataLoader([1, 2])
    with pytest.raises(ValueError, match="batch_size attribute should not be set after DataLoader is initialized"):
        loader.batch_size = 3
    loader.collate_fn = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader.num_workers = 0
