"""Batch normalization in 1, 2 and 3 spatial dims, its lazy kinds, and SyncBatchNorm."""

import ember

from .. import functional as F
from .. import init
from ..parameter import Parameter, UninitializedBuffer, UninitializedParameter
from .lazy import LazyModuleMixin
from .module import Module

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
]


class _NormBase(Module):
    """What batch and instance norm share: affine parameters and running statistics, both optional."""

    _version = 2
    __constants__ = ["track_running_stats", "momentum", "eps", "num_features", "affine"]

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        made = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(ember.empty(num_features, **made)) if affine else None)
        self.register_parameter("bias", Parameter(ember.empty(num_features, **made)) if affine and bias else None)
        track = track_running_stats
        self.register_buffer("running_mean", ember.zeros(num_features, **made) if track else None)
        self.register_buffer("running_var", ember.ones(num_features, **made) if track else None)
        self.register_buffer("num_batches_tracked", ember.tensor(0, dtype=ember.long, device=device) if track else None)
        self.reset_parameters()

    def reset_running_stats(self):
        """Means 0, variances 1, no batch seen."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        """Weights 1, biases 0, and fresh statistics."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input):
        raise NotImplementedError

    def extra_repr(self):
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        version = local_metadata.get("version", None)
        key = prefix + "num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:
            seen = self.num_batches_tracked  # checkpoints of version 1 do not count batches
            state_dict[key] = seen if seen is not None and not seen.is_meta else ember.tensor(0, dtype=ember.long)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class _BatchNorm(_NormBase):
    def forward(self, input):
        self._check_input_dim(input)
        factor = 0.0 if self.momentum is None else self.momentum
        training, mean, var = self.training, self.running_mean, self.running_var
        if training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the plain average over all batches
                factor = 1.0 / float(self.num_batches_tracked)
        if training and not self.track_running_stats:
            mean = var = None
        return F.batch_norm(
            input,
            mean,
            var,
            self.weight,
            self.bias,
            training or (self.running_mean is None and self.running_var is None),
            factor,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """F.batch_norm over [N, C] or [N, C, L] with weight, bias and running statistics of C features.

    >>> ember.nn.BatchNorm1d(10)(ember.randn(20, 10)).shape
    ember.Size([20, 10])
    """

    def _check_input_dim(self, input):
        if input.dim() != 2 and input.dim() != 3:
            raise ValueError(f"expected 2D or 3D input (got {input.dim()}D input)")


class BatchNorm2d(_BatchNorm):
    """F.batch_norm over [N, C, H, W] with weight, bias and running statistics of C features.

    >>> ember.nn.BatchNorm2d(3)(ember.randn(2, 3, 4, 5)).shape
    ember.Size([2, 3, 4, 5])
    """

    def _check_input_dim(self, input):
        if input.dim() != 4:
            raise ValueError(f"expected 4D input (got {input.dim()}D input)")


class BatchNorm3d(_BatchNorm):
    """F.batch_norm over [N, C, D, H, W] with weight, bias and running statistics of C features.

    >>> ember.nn.BatchNorm3d(3)(ember.randn(2, 3, 4, 5, 6)).shape
    ember.Size([2, 3, 4, 5, 6])
    """

    def _check_input_dim(self, input):
        if input.dim() != 5:
            raise ValueError(f"expected 5D input (got {input.dim()}D input)")


class _LazyNormBase(LazyModuleMixin, _NormBase):
    weight: UninitializedParameter
    bias: UninitializedParameter

    def __init__(
        self, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None, *, bias=True
    ):
        made = {"device": device, "dtype": dtype}
        super().__init__(0, eps, momentum, False, False, **made)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(**made)
            self.bias = UninitializedParameter(**made) if bias else None
        if track_running_stats:
            self.running_mean = UninitializedBuffer(**made)
            self.running_var = UninitializedBuffer(**made)
            self.num_batches_tracked = ember.tensor(0, dtype=ember.long, device=device)

    def reset_parameters(self):
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input):
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        for tensor in (self.weight, self.bias, self.running_mean, self.running_var):
            if tensor is not None:
                tensor.materialize((self.num_features,))
        self.reset_parameters()


def _lazy(base, doc_shape):
    name = f"Lazy{base.__name__}"
    doc = (
        f"A {base.__name__} that takes `num_features` from its first input.\n\n"
        f"    >>> ember.nn.{name}()(ember.randn({doc_shape})).shape\n    ember.Size([{doc_shape}])\n    "
    )
    return type(name, (_LazyNormBase, base), {"__doc__": doc, "__module__": __name__, "cls_to_become": base})


LazyBatchNorm1d = _lazy(BatchNorm1d, "2, 3, 4")
LazyBatchNorm2d = _lazy(BatchNorm2d, "2, 3, 4, 5")
LazyBatchNorm3d = _lazy(BatchNorm3d, "2, 3, 4, 5, 6")


class SyncBatchNorm(_BatchNorm):
    """Batch norm over the batches of all processes of a group; with one process, plain batch norm of any rank >= 2.

    >>> ember.nn.SyncBatchNorm(3)(ember.randn(2, 3, 4)).shape
    ember.Size([2, 3, 4])
    """

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        process_group=None,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input):
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None):
        """`module` with every batch norm in it replaced by a SyncBatchNorm that holds the same tensors."""
        output = module
        if isinstance(module, _BatchNorm):
            output = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
            )
            if module.affine:
                with ember.no_grad():
                    output.weight, output.bias = module.weight, module.bias
            output.running_mean, output.running_var = module.running_mean, module.running_var
            output.num_batches_tracked = module.num_batches_tracked
            output.training = module.training
        for name, child in module.named_children():
            output.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return output
