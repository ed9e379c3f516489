"""Functions of nn.functional that are more than an op, and every public name, against torch's."""

import inspect
import warnings

import ember
import pytest
import torch
from nn_oracle import assert_same, leaves, seeded, to_ember

F, TF = ember.nn.functional, torch.nn.functional


def r(*shape):
    torch.manual_seed(0)
    return torch.randn(*shape)


CASES = [
    ("softmax", [r(3, 4)], {"dim": 1, "dtype": torch.float64}),
    ("log_softmax", [r(3, 4)], {"dim": -1, "dtype": torch.float64}),
    ("softmin", [r(3, 4)], {"dim": 0}),
    ("gumbel_softmax", [r(3, 4)], {"tau": 0.5}),
    ("gumbel_softmax", [r(3, 4)], {"hard": True, "dim": 0}),
    ("normalize", [r(3, 4)], {}),
    ("normalize", [r(3, 4)], {"p": 1.0, "dim": 0}),
    ("local_response_norm", [r(2, 5, 3, 4, 2), 3], {}),
    ("one_hot", [torch.tensor([0, 2, 1])], {"num_classes": 4}),
    ("one_hot", [torch.tensor([[0, 2], [1, 1]])], {}),
    ("pad", [r(2, 3), (1, 2)], {"value": 2.5}),
    ("pad", [r(2, 3, 4), (1, -1, 0, 2)], {}),
    ("pad", [r(2, 3, 4), (1, 2)], {"mode": "circular"}),
    ("unfold", [r(1, 2, 5, 6), (2, 3)], {"stride": 2, "padding": 1, "dilation": 1}),
    ("fold", [r(1, 8, 9), (4, 4), 2], {}),
    ("interpolate", [r(1, 2, 4, 5)], {"scale_factor": (1.5, 2)}),
    ("interpolate", [r(1, 2, 4, 5)], {"scale_factor": 0.5, "mode": "bilinear", "recompute_scale_factor": True}),
    ("interpolate", [r(1, 2, 4, 5)], {"size": (3, 3), "mode": "area"}),
    ("interpolate", [r(1, 2, 8, 8)], {"size": (3, 4), "mode": "bilinear", "antialias": True}),
    ("upsample", [r(1, 2, 4)], {"scale_factor": 2}),
    ("lp_pool1d", [r(1, 2, 6).abs(), 3, 2], {}),
    ("lp_pool3d", [r(1, 2, 4, 4, 4).abs(), 2, 2], {}),
    ("max_pool2d_with_indices", [r(1, 2, 4, 4), 2], {}),
    ("adaptive_max_pool2d", [r(1, 2, 5, 4), (None, 2)], {}),
    ("max_pool2d", [r(1, 2, 4, 4), 2], {"return_indices": True}),
    ("dropout", [r(5, 6)], {"p": 0.3, "training": False}),
    ("dropout2d", [r(2, 5, 6, 2)], {"p": 0.3}),
    ("feature_alpha_dropout", [r(2, 5, 6)], {"p": 0.3, "training": True}),
    ("rrelu", [r(4, 5)], {"training": True}),
    ("glu", [r(4, 6)], {"dim": 0}),
    ("embedding", [torch.tensor([[0, 2]]), r(4, 3)], {"padding_idx": 2}),
    (
        "embedding_bag",
        [torch.tensor([0, 2, 1]), r(4, 3), torch.tensor([0, 2])],
        {"mode": "sum", "per_sample_weights": torch.tensor([0.5, 1.0, 2.0])},
    ),
    ("embedding_bag", [torch.tensor([0, 2, 1]), r(4, 3), torch.tensor([0, 2, 3])], {"include_last_offset": True}),
    ("multilabel_soft_margin_loss", [r(3, 4), torch.ones(3, 4)], {"weight": r(4).abs()}),
    ("mse_loss", [r(3), r(3) + 1], {"size_average": False}),
    ("mse_loss", [r(3), r(3) + 1], {"weight": r(3).abs()}),
    ("l1_loss", [r(3), r(3) + 1], {"reduce": False}),
    ("l1_loss", [r(3), r(3) + 1], {"weight": r(3).abs(), "reduction": "none"}),
    ("huber_loss", [r(3), r(3) + 1], {"weight": r(3).abs(), "reduction": "sum"}),
    ("smooth_l1_loss", [r(3), r(3) + 1], {"beta": 0}),
    ("kl_div", [r(3, 4), r(3, 4).softmax(1)], {"reduction": "batchmean"}),
    ("kl_div", [r(3, 4), r(3, 4)], {"reduction": "sum", "log_target": True}),
    ("gaussian_nll_loss", [r(3, 4), r(3, 4) + 1, r(3, 1).abs()], {"full": True}),
    ("gaussian_nll_loss", [r(3, 4), r(3, 4) + 1, 0.5], {}),
    ("poisson_nll_loss", [r(3, 4).abs(), r(3, 4).abs()], {"log_input": False, "full": True}),
    ("cosine_similarity", [r(3, 4), r(3, 4) + 1], {"dim": 0}),
    ("pairwise_distance", [r(3, 4), r(3, 4) + 1], {"keepdim": True}),
    ("scaled_dot_product_attention", [r(2, 3, 4), r(2, 5, 4), r(2, 5, 6)], {}),
    ("scaled_dot_product_attention", [r(2, 4, 4), r(2, 4, 4), r(2, 4, 4)], {"is_causal": True, "scale": 0.3}),
    ("linear_cross_entropy", [r(3, 4), r(5, 4), torch.tensor([0, 4, 2])], {"linear_bias": r(5)}),
]


@pytest.mark.parametrize("name,args,kwargs", CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_function(name, args, kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = leaves(seeded(torch, 3, getattr(TF, name), *args, **kwargs))
        try:
            got = leaves(seeded(ember, 3, getattr(F, name), *to_ember(args), **to_ember(kwargs)))
        except NotImplementedError as error:
            pytest.skip(f"{name}: {error}")
    assert len(got) == len(expected)
    for i, (a, b) in enumerate(zip(got, expected)):
        assert_same(a, b, f"{name} {i}", 1e-5, 1e-6)


OWN = {
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "boolean_dispatch",
    "assert_int_or_pair",
    "grouped_mm",
    "scaled_mm",
    "scaled_grouped_mm",
    "Optional",
}


def public_functions():
    names = []
    for name, value in vars(TF).items():
        if name.startswith("_") or name in OWN or inspect.isclass(value) or inspect.ismodule(value):
            continue
        if callable(value) and not name.startswith("Broadcasting"):
            names.append(name)
    return names


@pytest.mark.parametrize("name", public_functions())
def test_every_function_is_there(name):
    assert callable(getattr(F, name)) and getattr(F, name).__doc__
    try:
        expected = list(inspect.signature(getattr(TF, name)).parameters)
        got = list(inspect.signature(getattr(F, name)).parameters)
    except (TypeError, ValueError):
        return  # an op itself: its schema is checked with the ops
    if "args" not in expected:
        assert got == expected


def test_every_module_is_there():
    modules = [n for n, v in vars(torch.nn).items() if inspect.isclass(v)]
    for name in modules:
        ours, theirs = getattr(ember.nn, name), getattr(torch.nn, name)
        if issubclass(theirs, torch.nn.Module) and name != "Container":
            path = theirs.__module__.replace("torch.", "ember.")
            assert ours.__module__ == path, name
            assert ours.__doc__, name
            expected = list(inspect.signature(theirs.__init__).parameters)
            if not issubclass(theirs, torch.nn.modules.padding.ConstantPad1d.__mro__[1]):
                assert list(inspect.signature(ours.__init__).parameters) == expected or "args" in expected, name


def test_warnings():
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        F.softmax(ember.zeros(2, 2))
    with pytest.warns(UserWarning, match="Using a target size"):
        F.mse_loss(ember.zeros(2), ember.zeros(1))
    with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
        F.mse_loss(ember.zeros(2), ember.zeros(2), size_average=True)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(
    "mode,dims", [("bilinear", 2), ("nearest", 2), ("bicubic", 2), ("bilinear", 3), ("nearest", 3)]
)
def test_grid_sample(mode, dims, padding_mode, align_corners):
    torch.manual_seed(1)
    image = torch.randn(2, 3, *(5, 6, 4)[:dims], requires_grad=True)
    grid = (torch.rand(2, *(3, 7, 2)[:dims], dims) * 3 - 1.5).requires_grad_()
    ours = to_ember([image, grid])
    got = F.grid_sample(*ours, mode, padding_mode, align_corners)
    expected = TF.grid_sample(image, grid, mode, padding_mode, align_corners)
    assert_same(got, expected, "values", 1e-4, 1e-5)
    got.pow(2).sum().backward(), expected.pow(2).sum().backward()
    assert_same(ours[0].grad, image.grad, "gradient of the image", 1e-4, 1e-4)
    if mode != "nearest":
        assert_same(ours[1].grad, grid.grad, "gradient of the grid", 1e-3, 1e-3)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(2, 1, 3, 4), (2, 1, 1, 5), (2, 1, 3, 4, 2)])
def test_affine_grid(size, align_corners):
    dims = len(size) - 2
    theta = torch.randn(2, dims, dims + 1)
    got = F.affine_grid(to_ember(theta), size, align_corners=align_corners)
    assert_same(got, TF.affine_grid(theta, size, align_corners=align_corners), "grid", 1e-5, 1e-6)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_max_unpool(dims):
    x = torch.randn(2, 3, *[6] * dims)
    name = f"max_pool{dims}d"
    values, indices = getattr(TF, name)(x, 2, return_indices=True)
    got = getattr(F, name.replace("pool", "unpool"))(*to_ember([values, indices]), 2)
    assert_same(got, getattr(TF, name.replace("pool", "unpool"))(values, indices, 2), "unpooled")
