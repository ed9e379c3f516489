# What DataLoader is made of: collation, fetching, the worker process, and the channel between the two.
"""Parts of DataLoader."""

from ember.utils.data._utils import collate, fetch, worker

__all__ = ["MP_STATUS_CHECK_INTERVAL", "collate", "fetch", "worker"]

MP_STATUS_CHECK_INTERVAL = worker.MP_STATUS_CHECK_INTERVAL
