"""Batch norm folded into the layer before it, for inference."""

import copy

import ember

from ..parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _scale_and_shift(weight, bias, mean, var, eps, bn_w, bn_b):
    bias = ember.zeros_like(mean) if bias is None else bias
    bn_w = ember.ones_like(mean) if bn_w is None else bn_w
    bn_b = ember.zeros_like(mean) if bn_b is None else bn_b
    scale = bn_w * ember.rsqrt(var + eps)
    return scale, (bias - mean) * scale + bn_b


def fuse_conv_bn_weights(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, transpose=False):
    """(weight, bias) of a convolution that does the batch norm too."""
    scale, bias = _scale_and_shift(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    shape = [1, -1] if transpose else [-1, 1]
    weight = conv_w * scale.reshape(shape + [1] * (conv_w.dim() - 2))
    return Parameter(weight, conv_w.requires_grad), Parameter(bias, conv_w.requires_grad)


def fuse_linear_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b):
    """(weight, bias) of a linear layer that does the batch norm too."""
    scale, bias = _scale_and_shift(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    return Parameter(linear_w * scale.unsqueeze(-1), linear_w.requires_grad), Parameter(bias, linear_w.requires_grad)


def _fused(layer, bn, fuse, *more):
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    fused = copy.deepcopy(layer)
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("batch norm has no running statistics to fold")
    fused.weight, fused.bias = fuse(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, *more
    )
    return fused


def fuse_conv_bn_eval(conv, bn, transpose=False):
    """A copy of `conv` with `bn` folded in; both in eval mode.

    >>> conv, bn = ember.nn.Conv2d(3, 4, 1).eval(), ember.nn.BatchNorm2d(4).eval()
    >>> type(ember.nn.utils.fusion.fuse_conv_bn_eval(conv, bn)).__name__
    'Conv2d'
    """
    return _fused(conv, bn, fuse_conv_bn_weights, transpose)


def fuse_linear_bn_eval(linear, bn):
    """A copy of `linear` with `bn` folded in; both in eval mode."""
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features == 1")
    return _fused(linear, bn, fuse_linear_bn_weights)
