"""The dropout family. Active in training mode alone."""

from .. import functional as F
from .module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _DropoutNd(Module):
    __constants__ = ["p", "inplace"]

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """Zeroes elements with probability `p` and scales the others by 1 / (1 - p), in training.

    >>> ember.nn.Dropout(0.2)(ember.randn(20, 16)).shape
    ember.Size([20, 16])
    """

    def forward(self, input):
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Zeroes whole channels of [N, C, L] or [C, L].

    >>> ember.nn.Dropout1d(0.2)(ember.randn(20, 16, 32)).shape
    ember.Size([20, 16, 32])
    """

    def forward(self, input):
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Zeroes whole channels of [N, C, H, W].

    >>> ember.nn.Dropout2d(0.2)(ember.randn(2, 16, 8, 8)).shape
    ember.Size([2, 16, 8, 8])
    """

    def forward(self, input):
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """Zeroes whole channels of [N, C, D, H, W].

    >>> ember.nn.Dropout3d(0.2)(ember.randn(2, 16, 4, 8, 8)).shape
    ember.Size([2, 16, 4, 8, 8])
    """

    def forward(self, input):
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """The dropout for selu networks, which keeps mean 0 and variance 1.

    >>> ember.nn.AlphaDropout(0.2)(ember.randn(20, 16)).shape
    ember.Size([20, 16])
    """

    def forward(self, input):
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """AlphaDropout of whole channels.

    >>> ember.nn.FeatureAlphaDropout(0.2)(ember.randn(20, 16, 4)).shape
    ember.Size([20, 16, 4])
    """

    def forward(self, input):
        return F.feature_alpha_dropout(input, self.p, self.training)
