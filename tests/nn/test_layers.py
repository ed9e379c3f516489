"""Every layer against torch.nn: one table of constructors and inputs, one test."""

import ember
import numpy as np
import pytest
import torch
from nn_oracle import assert_same, check_module, check_state, leaves, make, seeded, to_ember


def x(*shape, grad=True):
    return lambda: torch.randn(*shape).requires_grad_(grad)


def pos(*shape):
    return lambda: torch.rand(*shape).add(0.1).requires_grad_()


def ints(high, *shape):
    return lambda: torch.randint(0, high, shape)


def signs(*shape):
    return lambda: torch.randint(0, 2, shape).mul(2).sub(1).float()


CASES = [
    ("Identity", (), {}, [x(2, 3)]),
    ("Linear", (4, 5), {}, [x(3, 4)]),
    ("Linear", (4, 5), {"bias": False}, [x(2, 3, 4)]),
    ("Linear", (4, 5), {"dtype": torch.float64}, [lambda: torch.randn(3, 4).double()]),
    ("Bilinear", (3, 4, 5), {}, [x(6, 3), x(6, 4)]),
    ("LazyLinear", (5,), {}, [x(3, 4)]),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1}, [x(2, 4, 9)]),
    ("Conv1d", (4, 6, 3), {"padding": "same", "groups": 2}, [x(2, 4, 9)]),
    ("Conv2d", (4, 6, 3), {}, [x(2, 4, 7, 8)]),
    (
        "Conv2d",
        (4, 6, (3, 2)),
        {"stride": (2, 1), "padding": (1, 0), "dilation": 2, "groups": 2, "bias": False},
        [x(2, 4, 9, 8)],
    ),
    ("Conv2d", (4, 6, 3), {"padding": 1, "padding_mode": "reflect"}, [x(2, 4, 7, 8)]),
    ("Conv2d", (4, 6, 3), {"padding": "valid", "padding_mode": "circular"}, [x(2, 4, 7, 8)]),
    ("Conv2d", (4, 6, 3), {}, [x(4, 7, 8)]),
    ("Conv3d", (2, 4, 3), {"padding": 1}, [x(2, 2, 4, 5, 6)]),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2}, [x(2, 4, 5)]),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}, [x(2, 4, 5, 6)]),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2}, [x(2, 4, 5, 5), (12, 12)]),
    ("ConvTranspose3d", (2, 4, 2), {}, [x(1, 2, 3, 4, 5)]),
    ("LazyConv2d", (6, 3), {}, [x(2, 4, 7, 8)]),
    ("LazyConvTranspose2d", (6, 3), {"stride": 2}, [x(2, 4, 5, 5)]),
    ("BatchNorm1d", (4,), {}, [x(5, 4)]),
    ("BatchNorm1d", (4,), {"momentum": None}, [x(5, 4, 3)]),
    ("BatchNorm2d", (4,), {}, [x(3, 4, 5, 6)]),
    ("BatchNorm2d", (4,), {"affine": False, "track_running_stats": False}, [x(3, 4, 5, 6)]),
    ("BatchNorm2d", (4,), {"bias": False}, [x(3, 4, 5, 6)]),
    ("BatchNorm3d", (2,), {}, [x(2, 2, 3, 4, 5)]),
    ("SyncBatchNorm", (4,), {}, [x(3, 4, 5, 6)]),
    ("LazyBatchNorm2d", (), {}, [x(3, 4, 5, 6)]),
    ("InstanceNorm1d", (4,), {}, [x(3, 4, 5)]),
    ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, [x(3, 4, 5, 6)]),
    ("InstanceNorm2d", (4,), {}, [x(4, 5, 6)]),
    ("InstanceNorm3d", (2,), {}, [x(2, 2, 3, 4, 5)]),
    ("LazyInstanceNorm2d", (), {}, [x(3, 4, 5, 6)]),
    ("LayerNorm", (6,), {}, [x(3, 4, 6)]),
    ("LayerNorm", ((4, 6),), {"bias": False}, [x(3, 4, 6)]),
    ("LayerNorm", (6,), {"elementwise_affine": False}, [x(3, 4, 6)]),
    ("RMSNorm", (6,), {}, [x(3, 4, 6)]),
    ("RMSNorm", ((4, 6),), {"eps": 1e-3, "elementwise_affine": False}, [x(3, 4, 6)]),
    ("GroupNorm", (2, 4), {}, [x(3, 4, 5, 6)]),
    ("GroupNorm", (2, 4), {"affine": False}, [x(3, 4)]),
    ("LocalResponseNorm", (2,), {}, [x(2, 4, 5)]),
    ("LocalResponseNorm", (3,), {"alpha": 0.1, "k": 2.0}, [x(2, 4, 5, 6)]),
    ("Dropout", (0.3,), {}, [x(7, 11)]),
    ("Dropout", (), {"inplace": True}, [x(7, 11, grad=False)]),
    ("Dropout1d", (0.3,), {}, [x(3, 4, 5)]),
    ("Dropout2d", (0.3,), {}, [x(3, 4, 5, 6)]),
    ("Dropout3d", (0.3,), {}, [x(2, 4, 2, 3, 4)]),
    ("AlphaDropout", (0.3,), {}, [x(7, 11)]),
    ("FeatureAlphaDropout", (0.3,), {}, [x(3, 4, 5)]),
    *[
        (name, (), {}, [x(3, 5)])
        for name in (
            "ReLU",
            "ReLU6",
            "Sigmoid",
            "Tanh",
            "Hardsigmoid",
            "Hardswish",
            "Hardtanh",
            "SiLU",
            "Mish",
            "ELU",
            "CELU",
            "SELU",
            "GELU",
            "LeakyReLU",
            "LogSigmoid",
            "Softplus",
            "Softshrink",
            "Hardshrink",
            "Softsign",
            "Tanhshrink",
            "PReLU",
            "RReLU",
        )
    ],
    *[
        (name, (), {"inplace": True}, [x(3, 5, grad=False)])
        for name in (
            "ReLU",
            "ReLU6",
            "Hardsigmoid",
            "Hardswish",
            "Hardtanh",
            "SiLU",
            "Mish",
            "ELU",
            "CELU",
            "SELU",
            "LeakyReLU",
        )
    ],
    ("GELU", ("tanh",), {}, [x(3, 5)]),
    ("GLU", (), {}, [x(3, 6)]),
    ("GLU", (0,), {}, [x(4, 6)]),
    ("Threshold", (0.1, 20), {}, [x(3, 5)]),
    ("PReLU", (4,), {"init": 0.1}, [x(3, 4, 2)]),
    ("Softmax", (1,), {}, [x(3, 5)]),
    ("Softmin", (1,), {}, [x(3, 5)]),
    ("LogSoftmax", (-1,), {}, [x(3, 5)]),
    ("Softmax2d", (), {}, [x(2, 3, 4, 5)]),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, [x(2, 3, 9)]),
    ("MaxPool2d", (2,), {}, [x(2, 3, 8, 9)]),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "return_indices": True}, [x(2, 3, 8, 9)]),
    ("MaxPool2d", (3,), {"stride": 2, "ceil_mode": True, "dilation": 2}, [x(2, 3, 10, 11)]),
    ("MaxPool3d", (2,), {}, [x(1, 2, 4, 5, 6)]),
    ("AvgPool1d", (3,), {"stride": 2, "padding": 1}, [x(2, 3, 9)]),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, [x(2, 3, 8, 9)]),
    ("AvgPool2d", (2,), {"divisor_override": 3}, [x(2, 3, 8, 9)]),
    ("AvgPool3d", (2,), {}, [x(1, 2, 4, 5, 6)]),
    ("LPPool1d", (2, 3), {}, [pos(2, 3, 9)]),
    ("LPPool2d", (2, 2), {"stride": 1}, [pos(2, 3, 6, 7)]),
    ("AdaptiveAvgPool1d", (3,), {}, [x(2, 3, 8)]),
    ("AdaptiveAvgPool2d", ((3, None),), {}, [x(2, 3, 8, 9)]),
    ("AdaptiveAvgPool3d", (2,), {}, [x(1, 2, 4, 5, 6)]),
    ("AdaptiveMaxPool1d", (3,), {}, [x(2, 3, 8)]),
    ("AdaptiveMaxPool2d", ((3, 4),), {"return_indices": True}, [x(2, 3, 8, 9)]),
    ("AdaptiveMaxPool3d", (2,), {}, [x(1, 2, 4, 5, 6)]),
    *[
        (f"{kind}Pad{d}d", (2 if kind != "Reflection" else 1,), {}, [x(1, 2, *[4] * d)])
        for kind in ("Zero", "Circular", "Reflection", "Replication")
        for d in (1, 2, 3)
    ],
    ("ConstantPad1d", ((1, 2), 3.5), {}, [x(2, 3, 4)]),
    ("ConstantPad2d", ((1, 2, -1, 0), 3.5), {}, [x(2, 3, 4, 4)]),
    ("ConstantPad3d", (1, 3.5), {}, [x(2, 3, 4, 4, 2)]),
    ("Embedding", (7, 3), {}, [ints(7, 2, 4)]),
    ("Embedding", (7, 3), {"padding_idx": -2}, [ints(7, 2, 4)]),
    ("Embedding", (7, 3), {"max_norm": 0.5, "scale_grad_by_freq": True}, [ints(7, 2, 4)]),
    ("EmbeddingBag", (7, 3), {}, [ints(7, 2, 4)]),
    ("EmbeddingBag", (7, 3), {"mode": "sum"}, [ints(7, 6), lambda: torch.tensor([0, 2, 5])]),
    ("EmbeddingBag", (7, 3), {"mode": "max", "padding_idx": 1}, [ints(7, 2, 4)]),
    ("Flatten", (), {}, [x(2, 3, 4)]),
    ("Unflatten", (1, (2, 3)), {}, [x(2, 6)]),
    ("Fold", ((4, 5), (2, 2)), {}, [x(1, 12, 12)]),
    ("Unfold", ((2, 3),), {"padding": 1}, [x(2, 5, 3, 4)]),
    ("PixelShuffle", (2,), {}, [x(1, 8, 3, 4)]),
    ("PixelUnshuffle", (2,), {}, [x(1, 2, 6, 8)]),
    ("ChannelShuffle", (2,), {}, [x(1, 6, 2, 2, grad=False)]),
    ("Upsample", (), {"scale_factor": 2}, [x(1, 2, 3, 4)]),
    ("Upsample", (), {"size": (5, 7), "mode": "bilinear"}, [x(1, 2, 3, 4)]),
    ("Upsample", (), {"scale_factor": 1.5, "mode": "bilinear", "align_corners": True}, [x(1, 2, 4, 4)]),
    ("Upsample", (), {"scale_factor": 2, "mode": "bicubic"}, [x(1, 2, 3, 4)]),
    ("Upsample", (), {"size": 7, "mode": "linear"}, [x(1, 2, 3)]),
    ("Upsample", (), {"scale_factor": 2, "mode": "trilinear"}, [x(1, 2, 2, 3, 4)]),
    ("Upsample", (), {"scale_factor": 2, "mode": "nearest-exact"}, [x(1, 2, 3, 4)]),
    ("UpsamplingNearest2d", (), {"scale_factor": 2}, [x(1, 2, 3, 4)]),
    ("UpsamplingBilinear2d", (), {"scale_factor": 2}, [x(1, 2, 3, 4)]),
    ("CosineSimilarity", (), {}, [x(4, 6), x(4, 6)]),
    ("PairwiseDistance", (), {"p": 1}, [x(4, 6), x(4, 6)]),
    ("RNN", (3, 4, 2), {}, [x(5, 2, 3)]),
    ("RNN", (3, 4), {"nonlinearity": "relu", "bidirectional": True}, [x(5, 2, 3), x(2, 2, 4)]),
    ("LSTM", (3, 4, 2), {"batch_first": True, "bidirectional": True}, [x(2, 5, 3)]),
    ("LSTM", (3, 4), {"proj_size": 2, "bias": False}, [x(5, 2, 3)]),
    ("LSTM", (3, 4), {}, [x(5, 3)]),
    ("GRU", (3, 4, 2), {}, [x(5, 2, 3)]),
    ("GRU", (3, 4), {"batch_first": True}, [x(2, 5, 3), x(1, 2, 4)]),
    ("RNNCell", (3, 4), {}, [x(2, 3)]),
    ("RNNCell", (3, 4), {"nonlinearity": "relu"}, [x(2, 3), x(2, 4)]),
    ("LSTMCell", (3, 4), {}, [x(2, 3)]),
    ("GRUCell", (3, 4), {"bias": False}, [x(3)]),
    ("MultiheadAttention", (8, 2), {}, [x(5, 3, 8), x(6, 3, 8), x(6, 3, 8)]),
    ("MultiheadAttention", (8, 2), {"kdim": 4, "vdim": 6, "batch_first": True}, [x(3, 5, 8), x(3, 6, 4), x(3, 6, 6)]),
    (
        "MultiheadAttention",
        (8, 2),
        {"add_bias_kv": True, "add_zero_attn": True, "bias": False},
        [x(5, 3, 8), x(6, 3, 8), x(6, 3, 8)],
    ),
    ("TransformerEncoderLayer", (8, 2, 16), {"dropout": 0.0}, [x(5, 3, 8)]),
    (
        "TransformerEncoderLayer",
        (8, 2, 16),
        {"dropout": 0.0, "norm_first": True, "activation": "gelu", "batch_first": True},
        [x(3, 5, 8)],
    ),
    ("TransformerDecoderLayer", (8, 2, 16), {"dropout": 0.0}, [x(5, 3, 8), x(6, 3, 8)]),
    ("Transformer", (8, 2, 1, 2, 16), {"dropout": 0.0}, [x(5, 3, 8), x(4, 3, 8)]),
    ("LinearCrossEntropyLoss", (8, 5), {"bias": True}, [x(6, 8), ints(5, 6)]),
    ("LinearCrossEntropyLoss", (8, 5), {"out_features": (2,)}, [x(6, 8), ints(5, 6, 2)]),
    ("AdaptiveLogSoftmaxWithLoss", (8, 20, [5, 10]), {"div_value": 2.0}, [x(6, 8), ints(20, 6)]),
]

LOSSES = [
    ("L1Loss", {}, [x(3, 5), x(3, 5, grad=False)]),
    ("MSELoss", {}, [x(3, 5), x(3, 5, grad=False)]),
    ("SmoothL1Loss", {"beta": 0.5}, [x(3, 5), x(3, 5, grad=False)]),
    ("HuberLoss", {"delta": 0.5}, [x(3, 5), x(3, 5, grad=False)]),
    ("CrossEntropyLoss", {"label_smoothing": 0.1}, [x(4, 5), ints(5, 4)]),
    ("CrossEntropyLoss", {"weight": torch.rand(5), "ignore_index": 2}, [x(4, 5, 3), ints(5, 4, 3)]),
    ("CrossEntropyLoss", {}, [x(4, 5), lambda: torch.rand(4, 5)]),
    ("NLLLoss", {}, [x(4, 5), ints(5, 4)]),
    ("NLLLoss", {"weight": torch.rand(5)}, [x(4, 5, 2, 3), ints(5, 4, 2, 3)]),
    ("BCELoss", {}, [lambda: torch.rand(3, 4).clamp(0.01, 0.99).requires_grad_(), lambda: torch.rand(3, 4)]),
    ("BCEWithLogitsLoss", {"pos_weight": torch.rand(4)}, [x(3, 4), lambda: torch.rand(3, 4)]),
    ("KLDivLoss", {}, [x(3, 4), lambda: torch.rand(3, 4)]),
    ("PoissonNLLLoss", {"full": True}, [x(3, 4), lambda: torch.rand(3, 4).mul(3)]),
    ("GaussianNLLLoss", {}, [x(3, 4), x(3, 4, grad=False), lambda: torch.rand(3, 4)]),
    ("HingeEmbeddingLoss", {}, [x(3, 4), signs(3, 4)]),
    ("SoftMarginLoss", {}, [x(3, 4), signs(3, 4)]),
    ("MarginRankingLoss", {"margin": 0.3}, [x(3), x(3), signs(3)]),
    ("CosineEmbeddingLoss", {"margin": 0.1}, [x(3, 4), x(3, 4), signs(3)]),
    ("TripletMarginLoss", {"swap": True}, [x(3, 4), x(3, 4), x(3, 4)]),
    ("TripletMarginWithDistanceLoss", {}, [x(3, 4), x(3, 4), x(3, 4)]),
    ("MultiMarginLoss", {"p": 2}, [x(3, 4), ints(4, 3)]),
    ("MultiLabelMarginLoss", {}, [x(2, 4), lambda: torch.tensor([[3, 0, -1, 1], [1, -1, 2, 0]])]),
    ("MultiLabelSoftMarginLoss", {}, [x(3, 4), lambda: torch.randint(0, 2, (3, 4)).float()]),
    (
        "CTCLoss",
        {},
        [
            lambda: torch.randn(12, 2, 5).log_softmax(-1).requires_grad_(),
            lambda: torch.randint(1, 5, (2, 4)),
            (12, 10),
            (4, 3),
        ],
    ),
]


def _id(case):
    return "-".join(
        str(part)
        for part in (
            case[0],
            *(case[1] if isinstance(case[1], tuple) else ()),
            *(f"{k}={v}" for k, v in case[-2].items() if not hasattr(v, "dim")),
        )
    )


def run(name, args, kwargs, inputs, train):
    try:
        check_module(name, args, kwargs, inputs, train)
    except NotImplementedError as error:
        pytest.skip(f"{name}: {error}")


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_layer_training(case):
    run(*case, train=True)


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_layer_eval(case):
    run(*case, train=False)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", LOSSES, ids=_id)
def test_loss(case, reduction):
    name, kwargs, inputs = case
    run(name, (), {**kwargs, "reduction": reduction}, inputs, train=True)


@pytest.mark.parametrize("kwargs", [{}, {"bidirectional": True, "num_layers": 2}], ids=["plain", "two-way"])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_packed_sequence(name, kwargs, enforce_sorted):
    ours, theirs = make(name, (3, 4), kwargs)
    torch.manual_seed(1)
    data = torch.randn(5, 3, 3)
    lengths = [5, 3, 2] if enforce_sorted else [3, 5, 2]
    results = []
    for library, module, batch in ((ember, ours, to_ember(data)), (torch, theirs, data)):
        rnn = library.nn.utils.rnn
        packed = rnn.pack_padded_sequence(batch, lengths, enforce_sorted=enforce_sorted)
        output, state = module(packed)
        padded, sizes = rnn.pad_packed_sequence(output, padding_value=-1.0)
        results.append([packed.data, packed.batch_sizes, padded, sizes, *leaves(state)])
        sum(t.sum() for t in (padded, *leaves(state))).backward()
    for i, (a, b) in enumerate(zip(*results)):
        assert_same(a, b, f"result {i}")
    for (key, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters()):
        assert_same(a.grad, b.grad, key, 1e-4, 1e-5)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("masks", ["none", "bool", "float", "padding", "both", "causal"])
def test_attention_masks(need_weights, average, masks):
    ours, theirs = make("MultiheadAttention", (8, 2))
    torch.manual_seed(1)
    q, kv = torch.randn(5, 3, 8), torch.randn(5, 3, 8)
    causal = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[1, 3:] = True
    kwargs = {
        "none": {},
        "bool": {"attn_mask": causal},
        "float": {"attn_mask": torch.randn(6, 5, 5)},
        "padding": {"key_padding_mask": padding},
        "both": {"attn_mask": causal, "key_padding_mask": padding},
        "causal": {"attn_mask": causal, "is_causal": True},
    }[masks]
    kwargs = {**kwargs, "need_weights": need_weights, "average_attn_weights": average}
    got = ours(*to_ember([q, kv, kv]), **to_ember(kwargs))
    expected = theirs(q, kv, kv, **kwargs)
    assert_same(got[0], expected[0], "output")
    assert_same(got[1], expected[1], "weights")


def test_encoder_stack_and_mask():
    pair = []
    for library in (ember, torch):
        library.manual_seed(3)
        layer = library.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        pair.append(library.nn.TransformerEncoder(layer, 2, norm=library.nn.LayerNorm(8)))
    ours, theirs = pair
    check_state(ours, theirs)
    assert repr(ours) == repr(theirs)
    data, padding = torch.randn(3, 5, 8), torch.zeros(3, 5, dtype=torch.bool)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(5)
    assert_same(ember.nn.Transformer.generate_square_subsequent_mask(5), mask, "mask")
    got = seeded(ember, 4, ours, to_ember(data), mask=to_ember(mask), is_causal=True)
    expected = seeded(torch, 4, theirs, data, mask=mask, is_causal=True)
    assert_same(got, expected, "with dropout", 1e-4, 1e-5)
    ours.eval(), theirs.train()
    for m in theirs.modules():
        if isinstance(m, torch.nn.Dropout):
            m.p = 0.0
        if isinstance(m, torch.nn.MultiheadAttention):
            m.dropout = 0.0
    got = ours(to_ember(data), src_key_padding_mask=to_ember(padding))
    assert_same(got, theirs(data, src_key_padding_mask=padding), "eval", 1e-4, 1e-5)


def test_dropout_mask_is_bit_equal():
    ours, theirs = make("Dropout", (0.4,))
    a, b = seeded(ember, 7, ours, ember.ones(1000)), seeded(torch, 7, theirs, torch.ones(1000))
    np.testing.assert_array_equal(a.numpy(), b.numpy())
