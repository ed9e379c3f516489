"""ChannelShuffle."""

from .. import functional as F
from .module import Module

__all__ = ["ChannelShuffle"]


class ChannelShuffle(Module):
    """Interleaves the channels of `groups` groups of [N, C, *].

    >>> ember.nn.ChannelShuffle(2)(ember.randn(1, 4, 2, 2)).shape
    ember.Size([1, 4, 2, 2])
    """

    __constants__ = ["groups"]

    def __init__(self, groups):
        super().__init__()
        self.groups = groups

    def forward(self, input):
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self):
        return f"groups={self.groups}"
