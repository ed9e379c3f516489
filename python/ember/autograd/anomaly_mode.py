"""Anomaly mode: forward calls remember where they were made, backward reports the one that gave NaN or failed."""

from ember import _C

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class set_detect_anomaly:
    """Switches anomaly mode on or off at once; as a context manager it switches back at the end.

    >>> with ember.autograd.set_detect_anomaly(True): pass
    """

    def __init__(self, mode, check_nan=True):
        self.before = _C._anomaly()
        _C._set_anomaly_enabled(mode, check_nan)

    def __enter__(self):
        return None

    def __exit__(self, *args):
        _C._set_anomaly_enabled(*self.before)


class detect_anomaly:
    """A block in which backward names the line of the forward call that failed, and fails where a gradient is NaN.

    >>> with ember.autograd.detect_anomaly(): pass
    """

    def __init__(self, check_nan=True):
        self.check_nan = check_nan

    def __enter__(self):
        self.before = _C._anomaly()
        _C._set_anomaly_enabled(True, self.check_nan)

    def __exit__(self, *args):
        _C._set_anomaly_enabled(*self.before)
