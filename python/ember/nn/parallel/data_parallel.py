"""DataParallel: on a machine without GPUs, as in PyTorch, the wrapped module itself.

Where there are GPUs, the batch goes to the first of them; the wrapper keeps names ("module." in the state dict) and the
attributes that programs read.
"""

import ember

from ..modules.module import Module

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """Wraps `module`; calls go through to it.

    >>> list(ember.nn.DataParallel(ember.nn.Linear(2, 3)).state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0):
        super().__init__()
        self.module = module
        self.dim = dim
        count = ember.cuda.device_count() if ember.cuda.is_available() else 0
        self.device_ids = list(range(count)) if device_ids is None else list(device_ids)
        self.output_device = output_device if output_device is not None or not self.device_ids else self.device_ids[0]
        if self.device_ids:
            self.module.to(f"cuda:{self.device_ids[0]}")

    def forward(self, *inputs, **kwargs):
        return self.module(*inputs, **kwargs)


def data_parallel(module, inputs, device_ids=None, output_device=None, dim=0, module_kwargs=None):
    """`module(*inputs, **module_kwargs)` in the way of DataParallel."""
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*inputs, **(module_kwargs or {}))
