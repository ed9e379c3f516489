"""nn.attention against torch.nn.attention."""

import ember
import ember.nn.attention.bias
import ember.nn.attention.flex_attention
import pytest
import torch
import torch.nn.attention.bias
import torch.nn.attention.flex_attention
from nn_oracle import assert_same, to_ember

FLEX = ember.nn.attention.flex_attention
TORCH_FLEX = torch.nn.attention.flex_attention


def causal(b, h, q, kv):
    return q >= kv


def window(b, h, q, kv):
    return (q - kv).abs() < 40


def alibi(score, b, h, q, kv):
    return score + (kv - q) * (h + 1) * 0.1


MASKS = {
    "causal": (lambda f: causal),
    "window": (lambda f: window),
    "both": (lambda f: f.and_masks(causal, window)),
    "either": (lambda f: f.or_masks(causal, window)),
    "nothing": (lambda f: lambda b, h, q, kv: (q >= kv) & (q > 5)),
}


@pytest.mark.parametrize("name", MASKS)
def test_block_mask(name):
    ours = FLEX.create_block_mask(MASKS[name](FLEX), 2, 3, 300, 256, device="cpu", BLOCK_SIZE=64)
    theirs = TORCH_FLEX.create_block_mask(MASKS[name](TORCH_FLEX), 2, 3, 300, 256, device="cpu", BLOCK_SIZE=64)
    assert tuple(ours.shape) == tuple(theirs.shape) and ours.numel() == theirs.numel()
    for field in FLEX.BlockMask._TENSORS:
        assert_same(getattr(ours, field), getattr(theirs, field), field)
    assert_same(ours.to_dense(), theirs.to_dense(), "dense")
    assert ours.sparsity() == pytest.approx(theirs.sparsity())
    assert tuple(ours[0].shape) == tuple(theirs[0].shape)


@pytest.mark.parametrize("mask", [None, *MASKS])
@pytest.mark.parametrize("score_mod", [None, alibi])
@pytest.mark.parametrize("heads", [4, 2])
def test_flex_attention(mask, score_mod, heads):
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 4, 96, 16), torch.randn(2, heads, 80, 16), torch.randn(2, heads, 80, 16)
    results = []
    for flex, args in ((FLEX, to_ember([q, k, v])), (TORCH_FLEX, (q, k, v))):
        block = mask and flex.create_block_mask(MASKS[mask](flex), None, None, 96, 80, device="cpu", BLOCK_SIZE=32)
        out, aux = flex.flex_attention(
            *args, score_mod, block, enable_gqa=heads != 4, return_aux=flex.AuxRequest(lse=True)
        )
        results.append([out, aux.lse])
    for i, (a, b) in enumerate(zip(*results)):
        assert_same(a, b, f"{i}", 1e-4, 1e-5)


def test_flex_gradient():
    """Held against scaled_dot_product_attention: PyTorch's flex_attention has no backward on a CPU."""
    data = [torch.randn(2, 3, 20, 8).requires_grad_() for _ in range(3)]
    ours = to_ember(data)
    FLEX.flex_attention(*ours, None, FLEX.create_block_mask(causal, None, None, 20, 20)).pow(2).sum().backward()
    torch.nn.functional.scaled_dot_product_attention(*data, is_causal=True).pow(2).sum().backward()
    for a, b in zip(ours, data):
        assert_same(a.grad, b.grad, "gradient", 1e-4, 1e-5)


def test_bias_and_backends():
    for name in ("causal_upper_left", "causal_lower_right"):
        for size in ((3, 5), (5, 3), (4, 4)):
            ours = getattr(ember.nn.attention.bias, name)(*size)
            assert_same(ours, getattr(torch.nn.attention.bias, name)(*size)._materialize(), name)
    with ember.nn.attention.sdpa_kernel([ember.nn.attention.SDPBackend.MATH]):
        assert ember.nn.attention._cur_sdpa_kernel_backends() == [ember.nn.attention.SDPBackend.MATH]
    assert [b.name for b in ember.nn.attention.SDPBackend] == [
        "ERROR",
        "MATH",
        "FLASH_ATTENTION",
        "EFFICIENT_ATTENTION",
        "CUDNN_ATTENTION",
        "OVERRIDEABLE",
    ]
