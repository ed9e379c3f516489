"""nn.utils against torch.nn.utils."""

import copy
import warnings

import ember
import numpy as np
import pytest
import torch
import torch.nn.utils.prune
from nn_oracle import assert_same, check_state, leaves, make, seeded, to_ember


def twins(name="Linear", args=(4, 3), scale=3.0):
    """The same module in both, with the same gradients."""
    pair = make(name, args)
    for i, (a, b) in enumerate(zip(pair[0].parameters(), pair[1].parameters())):
        torch.manual_seed(i)
        b.grad = torch.randn(b.shape) * scale
        a.grad = to_ember(b.grad)
    return pair


@pytest.mark.parametrize("norm_type", [1, 2.0, float("inf"), 3])
@pytest.mark.parametrize("max_norm", [0.5, 1000.0])
def test_clip_grad_norm(norm_type, max_norm):
    ours, theirs = twins()
    a = ember.nn.utils.clip_grad_norm_(ours.parameters(), max_norm, norm_type)
    assert_same(a, torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm, norm_type), "norm")
    for p, q in zip(ours.parameters(), theirs.parameters()):
        assert_same(p.grad, q.grad, "gradient")


def test_clip_errors_and_value():
    ours, theirs = twins()
    ember.nn.utils.clip_grad_value_(ours.parameters(), 0.7)
    torch.nn.utils.clip_grad_value_(theirs.parameters(), 0.7)
    for p, q in zip(ours.parameters(), theirs.parameters()):
        assert_same(p.grad, q.grad, "gradient")
    ours.weight.grad = ember.full((3, 4), float("nan"))
    with pytest.raises(RuntimeError, match="is non-finite, so it cannot be clipped"):
        ember.nn.utils.clip_grad_norm_(ours.parameters(), 1.0, error_if_nonfinite=True)
    assert float(ember.nn.utils.clip_grad_norm_([], 1.0)) == 0.0


def test_vectors():
    ours, theirs = twins()
    vec = ember.nn.utils.parameters_to_vector(ours.parameters())
    assert_same(vec, torch.nn.utils.parameters_to_vector(theirs.parameters()), "vector")
    ember.nn.utils.vector_to_parameters(ember.arange(15.0), ours.parameters())
    np.testing.assert_array_equal(ours.bias.detach().numpy(), np.arange(12.0, 15.0))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("side", ["left", "right"])
def test_pad_sequence(batch_first, side):
    data = [torch.randn(n, 2) for n in (3, 1, 4)]
    args = {"batch_first": batch_first, "padding_value": -1.0, "padding_side": side}
    got = ember.nn.utils.rnn.pad_sequence(to_ember(data), **args)
    expected = torch.nn.utils.rnn.pad_sequence(data, **args)
    assert_same(got, expected, "padded")
    lengths = torch.tensor([3, 1, 4])
    for a, b in zip(
        ember.nn.utils.rnn.unpad_sequence(got, to_ember(lengths), batch_first),
        torch.nn.utils.rnn.unpad_sequence(expected, lengths, batch_first),
    ):
        assert_same(a, b, "unpadded")


@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_pack(enforce_sorted):
    data = [torch.randn(n, 2) for n in ((4, 3, 1) if enforce_sorted else (3, 1, 4))]
    ours = ember.nn.utils.rnn.pack_sequence(to_ember(data), enforce_sorted)
    theirs = torch.nn.utils.rnn.pack_sequence(data, enforce_sorted)
    for a, b in zip(ours, theirs):
        assert_same(a, b, "field")
    for a, b in zip(ember.nn.utils.rnn.unpack_sequence(ours), data):
        assert_same(a, b, "sequence")
    args = {"batch_first": True, "padding_value": 2.0, "total_length": 6}
    for a, b in zip(
        ember.nn.utils.rnn.pad_packed_sequence(ours, **args), torch.nn.utils.rnn.pad_packed_sequence(theirs, **args)
    ):
        assert_same(a, b, "padded")
    assert ours.double().data.dtype == ember.float64 and ours.to("cpu") is ours


NORMS = [("weight_norm", {}), ("weight_norm", {"dim": None}), ("weight_norm", {"dim": 1}), ("spectral_norm", {})]


@pytest.mark.parametrize("where", ["old", "parametrizations"])
@pytest.mark.parametrize("name,kwargs", NORMS, ids=str)
@pytest.mark.parametrize(
    "layer,args,shape",
    [("Linear", (4, 3), (2, 4)), ("Conv2d", (2, 3, 3), (1, 2, 5, 5)), ("ConvTranspose1d", (2, 3, 3), (1, 2, 5))],
    ids=lambda v: str(v),
)
def test_weight_and_spectral_norm(where, name, kwargs, layer, args, shape):
    torch.manual_seed(3)
    data, results = torch.randn(shape), []
    for lib, module, x in zip((ember, torch), make(layer, args), (to_ember(data), data)):
        home = lib.nn.utils if where == "old" else lib.nn.utils.parametrizations
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lib.manual_seed(4)
            module = getattr(home, name)(module, **kwargs)
        y = module(x)
        (y * y).sum().backward()
        results.append((module, [y, *(p.grad for _, p in sorted(module.named_parameters()))]))
    (ours, got), (theirs, expected) = results
    check_state(ours, theirs)
    for i, (a, b) in enumerate(zip(got, expected)):
        assert_same(a, b, f"{i}", 1e-4, 1e-5)
    if where == "old":
        getattr(ember.nn.utils, "remove_" + name)(ours), getattr(torch.nn.utils, "remove_" + name)(theirs)
    else:
        assert repr(ours) == repr(theirs)
        ember.nn.utils.parametrize.remove_parametrizations(ours, "weight")
        torch.nn.utils.parametrize.remove_parametrizations(theirs, "weight")
    assert type(ours).__name__ == layer and sorted(ours.state_dict()) == sorted(theirs.state_dict())
    assert_same(ours.weight, theirs.weight, "weight", 1e-4, 1e-5)


def test_parametrize():
    def run(lib):
        parametrize = lib.nn.utils.parametrize

        class Symmetric(lib.nn.Module):
            def forward(self, x):
                return x.triu() + x.triu(1).transpose(-1, -2)

            def right_inverse(self, a):
                return a.triu()

        class Double(lib.nn.Module):
            def forward(self, x):
                return 2 * x

            def right_inverse(self, x):
                return x / 2

        lib.manual_seed(0)
        layer = lib.nn.Linear(3, 3)
        before = layer.weight
        parametrize.register_parametrization(layer, "weight", Symmetric())
        parametrize.register_parametrization(layer, "weight", Double())
        kept = layer.parametrizations.weight.original is before
        w = layer.weight
        seen = [kept, bool((w == w.T).all()), list(layer.state_dict()), repr(layer)]
        layer.weight = lib.ones(3, 3)
        with parametrize.cached():
            seen += [layer.weight is layer.weight, bool((layer.weight == 1).all())]
        twin = copy.deepcopy(layer)
        seen += [bool((twin.weight == layer.weight).all()), twin.parametrizations is layer.parametrizations]
        other = lib.nn.Linear(3, 3)
        parametrize.transfer_parametrizations_and_params(layer, other)
        seen += [
            bool((other.weight == layer.weight).all()),
            parametrize.is_parametrized(other, "weight"),
            parametrize.type_before_parametrizations(other).__name__,
        ]
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        return [*seen, type(layer).__name__, layer.weight is before, parametrize.is_parametrized(layer)]

    assert run(ember) == run(torch)


@pytest.mark.parametrize(
    "name,args",
    [
        ("l1_unstructured", {"amount": 0.4}),
        ("ln_structured", {"amount": 2, "n": 2, "dim": 0}),
        ("random_unstructured", {"amount": 3}),
        ("random_structured", {"amount": 1, "dim": 1}),
        ("identity", {}),
    ],
    ids=str,
)
def test_prune(name, args):
    results = []
    for lib, module in zip((ember, torch), make("Linear", (6, 5))):
        prune = lib.nn.utils.prune
        seeded(lib, 1, getattr(prune, name), module, "weight", **args)
        prune.l1_unstructured(module, "weight", 0.25)
        results.append(module)
    check_state(*results)
    assert_same(results[0].weight, results[1].weight, "weight")
    for lib, module in zip((ember, torch), results):
        assert lib.nn.utils.prune.is_pruned(module)
        lib.nn.utils.prune.remove(module, "weight")
        assert not lib.nn.utils.prune.is_pruned(module)
    check_state(*results)


def test_global_prune():
    pair = make("Linear", (6, 5))
    for lib, module in zip((ember, torch), pair):
        lib.nn.utils.prune.global_unstructured(
            [(module, "weight"), (module, "bias")], lib.nn.utils.prune.L1Unstructured, amount=0.5
        )
    check_state(*pair)


def test_fuse():
    convs, norms = make("Conv2d", (3, 4, 3)), make("BatchNorm2d", (4,))
    data, results = torch.randn(2, 3, 5, 5), []
    for lib, conv, bn, x in zip((ember, torch), convs, norms, (to_ember(data), data)):
        bn(conv(x))
        fused = lib.nn.utils.fusion.fuse_conv_bn_eval(conv.eval(), bn.eval())
        assert_same(fused(x), torch.from_numpy(bn(conv(x)).detach().numpy()), "fused", 1e-4, 1e-5)
        results.append(fused)
    check_state(*results, 1e-4, 1e-5)


def test_skip_init_and_prefix():
    try:
        layer = ember.nn.utils.skip_init(ember.nn.Linear, 2, 3)
    except NotImplementedError as error:
        pytest.skip(str(error))
    assert layer.weight.shape == (3, 2) and layer.weight.device.type == "cpu"
    state = {"module.weight": 1, "bias": 2}
    ember.nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    assert state == {"weight": 1, "bias": 2} or sorted(state) == ["bias", "weight"]


def test_leaves_of_packed():
    packed = ember.nn.utils.rnn.PackedSequence(ember.zeros(3, 2), ember.tensor([2, 1]))
    assert packed.sorted_indices is None and len(leaves(packed)) == 2
    with pytest.raises(AssertionError):
        ember.nn.utils.rnn.PackedSequence(ember.zeros(1))
