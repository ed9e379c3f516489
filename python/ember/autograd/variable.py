"""The old home of Variable."""

from ember.autograd import Variable

__all__ = ["Variable"]
