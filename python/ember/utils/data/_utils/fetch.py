# Fetchers: from keys to a collated batch, for datasets reached by key and for streams.
"""What a loader, or its worker, does with one entry of the sampler."""

from ember.utils.data._utils.collate import default_collate


class _BaseDatasetFetcher:
    def __init__(self, dataset, auto_collation, collate_fn, drop_last):
        self.dataset = dataset
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last


class _IterableDatasetFetcher(_BaseDatasetFetcher):
    """Takes as many samples off a stream as there are keys; the keys themselves say nothing."""

    def __init__(self, dataset, auto_collation, collate_fn, drop_last):
        super().__init__(dataset, auto_collation, collate_fn, drop_last)
        self.dataset_iter = iter(dataset)
        self.ended = False

    def fetch(self, keys):
        """The next batch; StopIteration once the stream has ended."""
        if self.ended:
            raise StopIteration
        if not self.auto_collation:
            return self.collate_fn(next(self.dataset_iter))
        data = []
        for _ in keys:
            try:
                data.append(next(self.dataset_iter))
            except StopIteration:
                self.ended = True
                break
        if not data or (self.drop_last and len(data) < len(keys)):
            raise StopIteration
        return self.collate_fn(data)


class _MapDatasetFetcher(_BaseDatasetFetcher):
    """Looks samples up by key, many at once where the dataset can."""

    def __init__(self, dataset, auto_collation, collate_fn, drop_last):
        super().__init__(dataset, auto_collation, collate_fn, drop_last)
        self._collated = getattr(dataset, "_collated", None) if collate_fn is default_collate else None
        if not auto_collation or not callable(self._collated):
            self._collated = None

    def fetch(self, keys):
        """The batch of a list of keys, or without automatic batching the sample of one key."""
        if not self.auto_collation:
            return self.collate_fn(self.dataset[keys])
        if self._collated is not None:
            batch = self._collated(keys)
            if batch is not None:
                return batch
        many = getattr(self.dataset, "__getitems__", None)
        return self.collate_fn(many(keys) if many else [self.dataset[key] for key in keys])
