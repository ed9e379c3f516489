"""DataParallel and the functions under it: one model over several devices of this process."""

from .data_parallel import DataParallel, data_parallel

__all__ = ["DataParallel", "data_parallel"]
