"""torch.accelerator: this build has none."""

__all__ = ["current_accelerator", "device_count", "is_available"]


def is_available():
    """False: there is no accelerator."""
    return False


def device_count():
    """0."""
    return 0


def current_accelerator(check_available=False):
    """None: there is no accelerator."""
    return None


def current_device_index():
    """RuntimeError: there is no accelerator."""
    raise RuntimeError("Cannot access accelerator device when none is available.")


def synchronize(device=None):
    """RuntimeError: there is no accelerator."""
    raise RuntimeError("Cannot access accelerator device when none is available.")
