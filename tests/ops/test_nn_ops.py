# The ops under networks against PyTorch: softmax, norms, convolution, pooling, attention, activations, distances.
# Values, strides and dtypes of each case, gradients to second order where there are any, and errors.
"""Ops under nn."""

import ember
import numpy as np
import pytest
import torch
from against import check, check_error, check_gradient, same


def data(m, *shape, dtype="float32", seed=0):
    x = np.random.default_rng(seed).normal(size=shape).round(3)
    return m.tensor(x.tolist(), dtype=getattr(m, dtype)).reshape(shape)


def nn(m):
    return m.nn.functional


def last(m, x):
    return x.contiguous(memory_format=m.channels_last if x.dim() == 4 else m.channels_last_3d)


VALUES = {
    "softmax": lambda m, d: m.softmax(d(3, 5), -1),
    "softmax middle": lambda m, d: d(3, 5, 4).softmax(1),
    "softmax transposed": lambda m, d: d(3, 5).t().softmax(0),
    "softmax dtype": lambda m, d: m.softmax(d(3, 5), 0, dtype=m.float64),
    "softmax of integers": lambda m, d: m.softmax(m.arange(4), 0, dtype=m.float32),
    "softmax scalar": lambda m, d: m.softmax(d(), 0),
    "softmax infinite": lambda m, d: m.softmax(m.tensor([[1.0, float("inf")], [-float("inf"), 2.0]]), 1),
    "log_softmax": lambda m, d: m.log_softmax(d(3, 70), 1),
    "log_softmax first": lambda m, d: d(3, 5).log_softmax(0),
    "softmin": lambda m, d: nn(m).softmin(d(3, 5), 1),
    "layer_norm": lambda m, d: nn(m).layer_norm(d(3, 5, 7), (7,), d(7), d(7, seed=2)),
    "layer_norm two dims": lambda m, d: nn(m).layer_norm(d(3, 5, 7), (5, 7)),
    "layer_norm strided": lambda m, d: nn(m).layer_norm(d(5, 3).t(), (5,), d(5)),
    "rms_norm": lambda m, d: nn(m).rms_norm(d(3, 7), (7,), d(7)),
    "rms_norm eps": lambda m, d: nn(m).rms_norm(d(3, 7), (7,), eps=0.1),
    "group_norm": lambda m, d: nn(m).group_norm(d(2, 6, 5), 3, d(6), d(6, seed=2)),
    "group_norm 2d": lambda m, d: nn(m).group_norm(d(2, 6, 5, 3), 2),
    "batch_norm": lambda m, d: nn(m).batch_norm(d(4, 3), None, None, d(3), d(3, seed=2), True),
    "batch_norm eval": lambda m, d: nn(m).batch_norm(d(4, 3, 5), d(3), d(3, seed=1).abs(), d(3), d(3)),
    "batch_norm last": lambda m, d: nn(m).batch_norm(last(m, d(2, 3, 5, 4)), None, None, training=True),
    "instance_norm": lambda m, d: nn(m).instance_norm(d(2, 3, 5, 4), weight=d(3), bias=d(3, seed=2)),
    "local_response_norm": lambda m, d: nn(m).local_response_norm(d(2, 5, 4, 3), 3),
    "normalize": lambda m, d: nn(m).normalize(d(3, 5), dim=1),
    "conv1d": lambda m, d: nn(m).conv1d(d(2, 3, 9), d(4, 3, 3), d(4)),
    "conv1d unbatched": lambda m, d: nn(m).conv1d(d(3, 9), d(4, 3, 3), d(4), stride=2),
    "conv2d": lambda m, d: nn(m).conv2d(d(2, 3, 9, 8), d(4, 3, 3, 2), d(4)),
    "conv2d stride": lambda m, d: nn(m).conv2d(d(2, 3, 9, 8), d(4, 3, 3, 2), stride=(2, 1), padding=(1, 2)),
    "conv2d dilation": lambda m, d: nn(m).conv2d(d(2, 3, 9, 8), d(4, 3, 3, 2), dilation=2, padding=1),
    "conv2d groups": lambda m, d: nn(m).conv2d(d(2, 4, 9, 8), d(6, 2, 3, 3), d(6), groups=2),
    "conv2d depthwise": lambda m, d: nn(m).conv2d(d(2, 4, 9, 8), d(8, 1, 3, 3), groups=4, padding=1),
    "conv2d 1x1": lambda m, d: nn(m).conv2d(d(2, 4, 5, 5), d(6, 4, 1, 1)),
    "conv2d same": lambda m, d: nn(m).conv2d(d(2, 3, 9, 8), d(4, 3, 4, 3), padding="same"),
    "conv2d valid": lambda m, d: nn(m).conv2d(d(2, 3, 9, 8), d(4, 3, 4, 3), padding="valid", stride=2),
    "conv2d last": lambda m, d: nn(m).conv2d(last(m, d(2, 3, 9, 8)), d(4, 3, 3, 3), d(4)),
    "conv2d last weight": lambda m, d: nn(m).conv2d(d(2, 3, 9, 8), last(m, d(4, 3, 3, 3))),
    "conv2d no batch": lambda m, d: nn(m).conv2d(d(0, 3, 9, 8), d(4, 3, 3, 3)),
    "conv3d": lambda m, d: nn(m).conv3d(d(2, 2, 5, 6, 4), d(3, 2, 2, 3, 2), d(3), padding=1),
    "conv_transpose1d": lambda m, d: nn(m).conv_transpose1d(d(2, 3, 5), d(3, 4, 3), d(4), stride=2, output_padding=1),
    "conv_transpose2d": lambda m, d: nn(m).conv_transpose2d(d(2, 4, 5, 4), d(4, 2, 3, 3), d(4), 2, 1, 1, groups=2),
    "conv_transpose3d": lambda m, d: nn(m).conv_transpose3d(d(2, 3, 3, 4, 2), d(3, 2, 2, 3, 2), dilation=2),
    "conv_tbc": lambda m, d: m.conv_tbc(d(9, 2, 3), d(3, 3, 4), d(4), pad=1).contiguous(),
    "max_pool1d": lambda m, d: nn(m).max_pool1d(d(2, 3, 9), 3, stride=2, padding=1),
    "max_pool2d": lambda m, d: nn(m).max_pool2d(d(2, 3, 9, 8), 2),
    "max_pool2d indices": lambda m, d: nn(m).max_pool2d(d(2, 3, 9, 8), (3, 2), (2, 1), 1, return_indices=True),
    "max_pool2d ceil": lambda m, d: nn(m).max_pool2d(d(3, 9, 8), 3, 2, ceil_mode=True),
    "max_pool2d dilation": lambda m, d: nn(m).max_pool2d(d(2, 3, 9, 8), 3, 1, dilation=2),
    "max_pool2d last": lambda m, d: nn(m).max_pool2d(last(m, d(2, 3, 9, 8)), 2, return_indices=True),
    "max_pool2d integers": lambda m, d: nn(m).max_pool2d(m.arange(32).view(2, 4, 4), 2),
    "avg_pool3d of [C, D, H, W] channels last": lambda m, d: nn(m).avg_pool3d(last(m, d(3, 5, 6, 4)), 2, 1),
    "adaptive_avg_pool3d of [C, D, H, W] channels last": lambda m, d: nn(m).adaptive_avg_pool3d(
        last(m, d(3, 5, 6, 4)), (2, 3, 2)
    ),
    "max_pool3d": lambda m, d: nn(m).max_pool3d(d(2, 3, 5, 6, 4), 2, 1),
    "avg_pool1d": lambda m, d: nn(m).avg_pool1d(d(2, 3, 9), 3, 2, 1),
    "avg_pool2d": lambda m, d: nn(m).avg_pool2d(d(2, 3, 9, 8), 3, 2, 1),
    "avg_pool2d exclude": lambda m, d: nn(m).avg_pool2d(d(2, 3, 9, 8), 3, 2, 1, True, False),
    "avg_pool2d divisor": lambda m, d: nn(m).avg_pool2d(d(2, 3, 9, 8), 3, divisor_override=2),
    "avg_pool3d": lambda m, d: nn(m).avg_pool3d(d(2, 3, 5, 6, 4), 2),
    "adaptive_avg_pool1d": lambda m, d: nn(m).adaptive_avg_pool1d(d(2, 3, 9), 4),
    "adaptive_avg_pool2d": lambda m, d: nn(m).adaptive_avg_pool2d(d(2, 3, 9, 8), (4, 3)),
    "adaptive_avg_pool2d one": lambda m, d: nn(m).adaptive_avg_pool2d(d(2, 3, 9, 8), 1),
    "adaptive_avg_pool3d": lambda m, d: nn(m).adaptive_avg_pool3d(d(2, 3, 5, 6, 4), (2, None, 3)),
    "adaptive_max_pool2d": lambda m, d: nn(m).adaptive_max_pool2d(d(2, 3, 9, 8), (4, 3), return_indices=True),
    "lp_pool2d": lambda m, d: nn(m).lp_pool2d(d(2, 3, 9, 8).abs(), 2, 3),
    "max_unpool2d": lambda m, d: nn(m).max_unpool2d(*nn(m).max_pool2d(d(2, 3, 8, 8), 2, return_indices=True), 2),
    "attention": lambda m, d: nn(m).scaled_dot_product_attention(d(2, 3, 5, 4), d(2, 3, 7, 4), d(2, 3, 7, 6)),
    "attention causal": lambda m, d: nn(m).scaled_dot_product_attention(*[d(2, 3, 5, 4)] * 3, is_causal=True),
    "attention mask": lambda m, d: nn(m).scaled_dot_product_attention(*[d(2, 3, 5, 4)] * 3, d(5, 5)),
    "attention bool": lambda m, d: nn(m).scaled_dot_product_attention(*[d(2, 3, 5, 4)] * 3, d(2, 1, 5, 5) > 0),
    "attention blind": lambda m, d: nn(m).scaled_dot_product_attention(*[d(2, 3, 5, 4)] * 3, m.zeros(5, 5) > 0),
    "attention gqa": lambda m, d: nn(m).scaled_dot_product_attention(
        d(2, 4, 5, 4), d(2, 2, 5, 4), d(2, 2, 5, 4), enable_gqa=True
    ),
    "attention of heads split": lambda m, d: nn(m).scaled_dot_product_attention(
        *[x.view(2, 5, 3, 4).transpose(1, 2) for x in d(2, 5, 36).split(12, 2)], is_causal=True
    ),
    "attention 3d": lambda m, d: nn(m).scaled_dot_product_attention(*[d(2, 5, 4)] * 3, scale=0.3).contiguous(),
    "attention 2d": lambda m, d: nn(m).scaled_dot_product_attention(*[d(5, 4)] * 3).contiguous(),
    "gelu": lambda m, d: nn(m).gelu(d(40)),
    "gelu tanh": lambda m, d: nn(m).gelu(d(40), approximate="tanh"),
    "glu": lambda m, d: nn(m).glu(d(3, 6), -1),
    "prelu": lambda m, d: nn(m).prelu(d(3, 4, 5), d(4)),
    "prelu one": lambda m, d: nn(m).prelu(d(5), d(1)),
    "cosine_similarity": lambda m, d: nn(m).cosine_similarity(d(3, 5), d(3, 5, seed=1)),
    "pairwise_distance": lambda m, d: nn(m).pairwise_distance(d(3, 5), d(3, 5, seed=1), keepdim=True),
    "cdist": lambda m, d: m.cdist(d(2, 4, 3), d(2, 5, 3, seed=1)),
    "cdist 1": lambda m, d: m.cdist(d(4, 3), d(5, 3, seed=1), p=1.0),
    "pdist": lambda m, d: nn(m).pdist(d(5, 3)),
    "interpolate nearest": lambda m, d: nn(m).interpolate(d(2, 3, 4, 5), scale_factor=2),
    "interpolate nearest 1d": lambda m, d: nn(m).interpolate(d(2, 3, 7), size=4),
    "interpolate exact": lambda m, d: nn(m).interpolate(d(2, 3, 4, 5), size=(7, 3), mode="nearest-exact"),
    "interpolate linear": lambda m, d: nn(m).interpolate(d(2, 3, 7), size=12, mode="linear"),
    "interpolate bilinear": lambda m, d: nn(m).interpolate(d(2, 3, 4, 5), scale_factor=1.7, mode="bilinear"),
    "interpolate aligned": lambda m, d: nn(m).interpolate(d(2, 3, 4, 5), (7, 9), mode="bilinear", align_corners=True),
    "interpolate bicubic": lambda m, d: nn(m).interpolate(d(2, 3, 6, 5), (9, 4), mode="bicubic"),
    "interpolate trilinear": lambda m, d: nn(m).interpolate(d(1, 2, 3, 4, 2), scale_factor=2, mode="trilinear"),
    "interpolate area": lambda m, d: nn(m).interpolate(d(2, 3, 8, 6), (4, 3), mode="area"),
    "interpolate smooth": lambda m, d: nn(m).interpolate(d(2, 3, 9, 8), (4, 3), mode="bilinear", antialias=True),
    "interpolate smooth cubic": lambda m, d: nn(m).interpolate(d(2, 3, 9, 8), (4, 13), mode="bicubic", antialias=True),
    "interpolate last": lambda m, d: nn(m).interpolate(last(m, d(2, 3, 4, 5)), scale_factor=2, mode="bilinear"),
}
FLOATS = {"softmax", "log_softmax", "layer_norm", "group_norm", "conv2d", "conv1d", "conv_transpose2d", "max_pool2d",
          "avg_pool2d", "adaptive_avg_pool2d", "attention", "gelu", "batch_norm", "rms_norm"}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_values(case):
    check(lambda m: VALUES[case](m, lambda *s, seed=0: data(m, *s, seed=seed)))


@pytest.mark.parametrize("case", sorted(FLOATS))
@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_floats(case, dtype):
    """Narrow floats against float64, rounded once: PyTorch's own kernels for them differ from machine to machine."""
    ours, theirs = (
        VALUES[case](m, lambda *s, m=m, seed=0: data(m, *s, dtype=dtype, seed=seed).to(wide))
        for m, wide in ((ember, getattr(ember, dtype)), (torch, torch.float64))
    )
    same(ours, theirs.to(getattr(torch, dtype)))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("norm", ["batch_norm", "instance_norm"])
def test_running_statistics(norm, training):
    def f(m):
        mean, var, x = m.zeros(3), m.ones(3), data(m, 4, 3, 5)
        if norm == "batch_norm":
            y = nn(m).batch_norm(x, mean, var, training=training, momentum=0.3)
        else:
            y = nn(m).instance_norm(x, mean, var, use_input_stats=training, momentum=0.3)
        return y, mean, var

    check(f)


def attention(m, q, k, v, mask=None, is_causal=False):
    """PyTorch's fused attention has no second derivative; the formula has."""
    if m.__name__ == "ember":
        return nn(m).scaled_dot_product_attention(q, k, v, mask, is_causal=is_causal)
    scores = q @ k.mT / q.shape[-1] ** 0.5 + (0 if mask is None else mask)
    if is_causal:
        scores = scores.masked_fill(m.ones(scores.shape[-2:]).triu(1) > 0, -float("inf"))
    return scores.softmax(-1) @ v


GRADIENTS = {
    "softmax": (lambda m, x: m.softmax(x, 1), (3, 5)),
    "log_softmax": (lambda m, x: m.log_softmax(x, 0), (3, 5)),
    "layer_norm": (lambda m, x, w, b: nn(m).layer_norm(x, (5,), w, b), (3, 5), (5,), (5,)),
    "layer_norm plain": (lambda m, x: nn(m).layer_norm(x, (3, 5)), (2, 3, 5)),
    "rms_norm": (lambda m, x, w: nn(m).rms_norm(x, (5,), w), (3, 5), (5,)),
    "group_norm": (lambda m, x, w, b: nn(m).group_norm(x, 2, w, b), (2, 4, 3), (4,), (4,)),
    "batch_norm": (lambda m, x, w, b: nn(m).batch_norm(x, None, None, w, b, True), (4, 3, 2), (3,), (3,)),
    "batch_norm eval": (
        lambda m, x, w, b: nn(m).batch_norm(x, m.zeros(3, dtype=m.float64), m.ones(3, dtype=m.float64), w, b),
        (4, 3),
        (3,),
        (3,),
    ),
    "instance_norm": (lambda m, x, w: nn(m).instance_norm(x, weight=w), (2, 3, 4), (3,)),
    "conv1d": (lambda m, x, w, b: nn(m).conv1d(x, w, b, padding=1), (2, 3, 6), (4, 3, 3), (4,)),
    "conv2d": (lambda m, x, w, b: nn(m).conv2d(x, w, b, 2, 1), (2, 3, 5, 6), (4, 3, 3, 2), (4,)),
    "conv2d groups": (lambda m, x, w: nn(m).conv2d(x, w, groups=2, dilation=2), (1, 4, 6, 6), (4, 2, 2, 3)),
    "conv2d same": (lambda m, x, w: nn(m).conv2d(x, w, padding="same"), (1, 2, 4, 4), (2, 2, 2, 3)),
    "conv3d": (lambda m, x, w: nn(m).conv3d(x, w, padding=1), (1, 2, 3, 3, 3), (2, 2, 2, 2, 2)),
    "conv_transpose2d": (lambda m, x, w, b: nn(m).conv_transpose2d(x, w, b, 2, 1, 1), (2, 3, 4, 3), (3, 2, 3, 3), (2,)),
    "max_pool2d": (lambda m, x: nn(m).max_pool2d(x, 3, 2, 1), (2, 3, 6, 5)),
    "max_pool1d": (lambda m, x: nn(m).max_pool1d(x, 2), (2, 3, 6)),
    "avg_pool2d": (lambda m, x: nn(m).avg_pool2d(x, 3, 2, 1), (2, 3, 6, 5)),
    "adaptive_avg_pool2d": (lambda m, x: nn(m).adaptive_avg_pool2d(x, (3, 2)), (2, 3, 5, 5)),
    "adaptive_max_pool2d": (lambda m, x: nn(m).adaptive_max_pool2d(x, (3, 2)), (2, 3, 5, 5)),
    "attention": (attention, (1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 4)),
    "attention causal": (lambda m, *x: attention(m, *x, is_causal=True), *[(1, 2, 4, 3)] * 3),
    "attention mask": (attention, *[(1, 2, 4, 3)] * 3, (4, 4)),
    "gelu": (lambda m, x: nn(m).gelu(x), (7,)),
    "gelu tanh": (lambda m, x: nn(m).gelu(x, approximate="tanh"), (7,)),
    "glu": (lambda m, x: nn(m).glu(x, 0), (6, 2)),
    "prelu": (lambda m, x, w: nn(m).prelu(x, w), (3, 4), (4,)),
    "cosine_similarity": (lambda m, a, b: nn(m).cosine_similarity(a, b), (3, 4), (3, 4)),
    "pairwise_distance": (lambda m, a, b: nn(m).pairwise_distance(a + 1, b - 1), (3, 4), (3, 4)),
    "interpolate": (lambda m, x: nn(m).interpolate(x, scale_factor=1.6, mode="bilinear"), (1, 2, 4, 3)),
    "interpolate cubic": (lambda m, x: nn(m).interpolate(x, (7, 3), mode="bicubic"), (1, 2, 4, 5)),
}


@pytest.mark.parametrize("case", GRADIENTS)
def test_gradients(case):
    check_gradient(*GRADIENTS[case])


@pytest.mark.parametrize("case", ["layer_norm", "batch_norm", "conv2d", "max_pool2d", "attention", "softmax"])
def test_first_gradients_without_a_graph(case):
    """The fused backward passes, which create_graph does not take."""
    f, *shapes = GRADIENTS[case]

    def gradients(m):
        inputs = [data(m, *s, seed=i).double().requires_grad_() for i, s in enumerate(shapes)]
        y = f(m, *inputs)
        (y * y * y).sum().backward()
        return [x.grad for x in inputs]

    check(gradients, strides=False)


ERRORS = {
    "conv channels": lambda m: nn(m).conv2d(m.ones(1, 1, 5, 5), m.ones(2, 3, 3, 3)),
    "conv rank": lambda m: nn(m).conv2d(m.ones(5, 5), m.ones(2, 3, 3, 3)),
    "conv kernel": lambda m: nn(m).conv2d(m.ones(1, 3, 5, 5), m.ones(2, 3, 7, 7)),
    "conv bias": lambda m: nn(m).conv2d(m.ones(1, 3, 5, 5), m.ones(2, 3, 3, 3), m.ones(3)),
    "conv stride": lambda m: nn(m).conv2d(m.ones(1, 3, 5, 5), m.ones(2, 3, 3, 3), stride=0),
    "conv padding": lambda m: nn(m).conv2d(m.ones(1, 3, 5, 5), m.ones(2, 3, 3, 3), padding=-1),
    "conv same": lambda m: nn(m).conv2d(m.ones(1, 3, 5, 5), m.ones(2, 3, 3, 3), stride=2, padding="same"),
    "conv word": lambda m: nn(m).conv2d(m.ones(1, 3, 5, 5), m.ones(2, 3, 3, 3), padding="foo"),
    "conv transposed": lambda m: nn(m).conv_transpose2d(m.ones(1, 3, 5, 5), m.ones(2, 3, 3, 3)),
    "pool size": lambda m: nn(m).max_pool2d(m.ones(1, 5, 5), 7),
    "pool padding": lambda m: nn(m).max_pool2d(m.ones(1, 5, 5), 2, padding=2),
    "adaptive": lambda m: nn(m).adaptive_avg_pool2d(m.ones(5, 5), 2),
    "layer_norm": lambda m: nn(m).layer_norm(m.ones(2, 3), [4]),
    "layer_norm weight": lambda m: nn(m).layer_norm(m.ones(2, 3), [3], m.ones(4)),
    "group_norm": lambda m: nn(m).group_norm(m.ones(2, 3, 4), 2),
    "batch_norm": lambda m: nn(m).batch_norm(m.ones(2, 3, 4), m.ones(2), m.ones(2)),
    "batch_norm statistics": lambda m: nn(m).batch_norm(m.ones(2, 3, 4), None, None),
    "softmax integers": lambda m: m.softmax(m.arange(3), 0),
    "softmax dim": lambda m: m.softmax(m.ones(3), 1),
    "glu": lambda m: nn(m).glu(m.ones(3), 0),
    "prelu": lambda m: nn(m).prelu(m.ones(2, 3), m.ones(2)),
}
PHRASES = {
    "conv channels": "Given groups=1, weight of size [2, 3, 3, 3], expected input[1, 1, 5, 5] to have 3 channels, but "
    "got 1 channels instead",
    "layer_norm": "Given normalized_shape=[4], expected input with shape [*, 4], but got input of size[2, 3]",
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    ours, theirs = check_error(ERRORS[case])
    if case in PHRASES:
        assert PHRASES[case] in ours and PHRASES[case] in theirs


def test_max_pool3d_of_one_image_in_any_layout():
    """[C, D, H, W] whose strides are those of a batch [N, C, H, W] in channels last; PyTorch refuses the layout."""
    x = np.random.default_rng(0).normal(size=(3, 5, 6, 4)).astype(np.float32)
    want = torch.nn.functional.max_pool3d(torch.from_numpy(x), 2, 1, return_indices=True)
    want += torch.nn.functional.adaptive_max_pool3d(torch.from_numpy(x), (2, 3, 2), return_indices=True)
    ours = last(ember, ember.from_numpy(x))
    got = ember.nn.functional.max_pool3d(ours, 2, 1, return_indices=True)
    got += ember.nn.functional.adaptive_max_pool3d(ours, (2, 3, 2), return_indices=True)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.sanitize
@pytest.mark.parametrize("weight", [(3, 0, 2, 2), (3, 0, 0, 2)])
def test_convolution_of_nothing_is_its_bias(weight):
    x, w = ember.zeros(2, 0, 4, 4, requires_grad=True), ember.zeros(*weight, requires_grad=True)
    b = ember.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = ember.nn.functional.conv2d(x, w, b)
    assert (y == b.reshape(1, 3, 1, 1)).all() and not ember.nn.functional.conv2d(x, w).any()
    assert y.shape == (2, 3, 5 - weight[2], 3)
    y.sum().backward()
    assert x.grad.shape == x.shape and w.grad.shape == w.shape and (b.grad == y.numel() / 3).all()
    assert ember.conv2d(ember.zeros(2, 0, 0, 0), ember.zeros(2, 0, 0, 0), None, [2, 1], "valid", [3, 2], 1).sum() == 0
    x, w = ember.zeros(2, 3, 4, 4, requires_grad=True), ember.zeros(3, 2, 0, 2, requires_grad=True)
    ember.nn.functional.conv_transpose2d(x, w).sum().backward()
    assert x.grad.shape == x.shape and w.grad.shape == w.shape
