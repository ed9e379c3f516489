"""Instance normalization in 1, 2 and 3 spatial dims, and its lazy kinds."""

import warnings

from .. import functional as F
from .batchnorm import _LazyNormBase, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=False,
        track_running_stats=False,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _get_no_batch_dim(self):
        return self._dims + 1

    def _check_input_dim(self, input):
        if input.dim() not in (self._dims + 1, self._dims + 2):
            raise ValueError(f"expected {self._dims + 1}D or {self._dims + 2}D input (got {input.dim()}D input)")

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        version = local_metadata.get("version", None)
        if version is None and not self.track_running_stats:
            # Old checkpoints hold statistics that were never used: say so instead of calling them unexpected.
            found = [prefix + name for name in ("running_mean", "running_var") if prefix + name in state_dict]
            if found:
                kind = type(self).__name__
                error_msgs.append(
                    f"Unexpected running stats buffer(s) {' and '.join(map(repr, found))} for {kind} with "
                    "track_running_stats=False. If state_dict is a checkpoint saved before 0.4.0, this may "
                    "be expected because InstanceNorm does not track running stats by default since "
                    "0.4.0. Please remove these keys from state_dict."
                )
                for key in found:
                    state_dict.pop(key)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def _apply_instance_norm(self, input):
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )

    def forward(self, input):
        self._check_input_dim(input)
        channel = input.dim() - self._get_no_batch_dim()
        if input.size(channel) != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={channel} to match num_features ({self.num_features}), "
                    f"but got: {input.size(channel)}."
                )
            warnings.warn(
                f"input's size at dim={channel} does not match num_features. You can silence this warning by "
                "not passing in num_features, which is not used because affine=False",
                stacklevel=2,
            )
        if channel == 0:
            return self._apply_instance_norm(input.unsqueeze(0)).squeeze(0)
        return self._apply_instance_norm(input)


class InstanceNorm1d(_InstanceNorm):
    """F.instance_norm over [N, C, L] or [C, L].

    >>> ember.nn.InstanceNorm1d(3)(ember.randn(2, 3, 4)).shape
    ember.Size([2, 3, 4])
    """

    _dims = 1


class InstanceNorm2d(_InstanceNorm):
    """F.instance_norm over [N, C, H, W] or [C, H, W].

    >>> ember.nn.InstanceNorm2d(3)(ember.randn(2, 3, 4, 5)).shape
    ember.Size([2, 3, 4, 5])
    """

    _dims = 2


class InstanceNorm3d(_InstanceNorm):
    """F.instance_norm over [N, C, D, H, W] or [C, D, H, W].

    >>> ember.nn.InstanceNorm3d(3)(ember.randn(2, 3, 4, 5, 6)).shape
    ember.Size([2, 3, 4, 5, 6])
    """

    _dims = 3


def _lazy(base, doc_shape):
    name = f"Lazy{base.__name__}"
    doc = (
        f"An {base.__name__} that takes `num_features` from its first input.\n\n"
        f"    >>> ember.nn.{name}()(ember.randn({doc_shape})).shape\n    ember.Size([{doc_shape}])\n    "
    )

    return type(name, (_LazyNormBase, base), {"__doc__": doc, "__module__": __name__, "cls_to_become": base})


LazyInstanceNorm1d = _lazy(InstanceNorm1d, "2, 3, 4")
LazyInstanceNorm2d = _lazy(InstanceNorm2d, "2, 3, 4, 5")
LazyInstanceNorm3d = _lazy(InstanceNorm3d, "2, 3, 4, 5, 6")
