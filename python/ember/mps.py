"""torch.mps: Apple's GPUs are not in this build."""

__all__ = ["device_count", "empty_cache", "is_available"]


def is_available():
    """False."""
    return False


def device_count():
    """0."""
    return 0


def empty_cache():
    """Nothing to give back without a GPU."""


def manual_seed(seed):
    """Nothing to seed without a GPU."""


manual_seed_all = manual_seed
