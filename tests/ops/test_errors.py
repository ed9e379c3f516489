# Errors that op_db's samples do not reach: where a number may stand for a tensor, which op a message names, what may
# not be subtracted, where results may not go.
"""Refusals of the op table against PyTorch's."""

import ember
import pytest
import torch

OPS = vars(ember._C.ops)
NUMBERS = [  # ops on several tensors of which PyTorch takes some as numbers, or none
    *["add", "sub", "mul", "div", "true_divide", "floor_divide", "multiply", "subtract", "divide", "remainder", "pow"],
    *["float_power", "xlogy", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"],
    *["eq", "ne", "lt", "le", "gt", "ge", "not_equal", "less", "greater", "fmod", "rsub", "copysign", "clamp_min"],
    *["clamp_max", "atan2", "hypot", "nextafter", "maximum", "minimum", "fmax", "fmin", "gcd", "lcm", "logical_and"],
    *["logical_or", "logical_xor", "isin", "addcmul", "addcdiv", "lerp", "bucketize", "searchsorted"],
]
TENSORS = {"addcmul": 3, "addcdiv": 3, "lerp": 3}
FLOATS = {"hypot", "nextafter", "addcdiv", "lerp"}


def takes(module, name, numbers):
    """Is the call with these arguments as numbers, the others as tensors, one that the parser accepts?"""
    dtype = module.float32 if name in FLOATS else module.int64
    args = [2 if numbers >> i & 1 else module.ones(3, dtype=dtype) for i in range(TENSORS.get(name, 2))]
    try:
        getattr(module, name)(*args)
    except TypeError:
        return False
    except RuntimeError:
        pass  # taken, and then found wrong
    return True


@pytest.mark.parametrize("name", NUMBERS)
def test_where_numbers_stand_for_tensors(name):
    for numbers in range(1, 1 << TENSORS.get(name, 2)):
        assert takes(ember, name, numbers) == takes(torch, name, numbers), f"{numbers:b}"


def message(call, *args, **kwargs):
    with pytest.raises((RuntimeError, IndexError, ValueError)) as error:
        call(*args, **kwargs)
    return str(error.value)


def test_the_name_is_that_of_the_op_called():
    a, b = ember.ones(2), ember.ones(3)
    assert message(ember.vstack, [ember.ones(5), ember.ones(5, 5, 5)]).startswith("vstack: Tensors must have same")
    assert message(ember.vdot, a, b).startswith("vdot: inconsistent tensor size")
    assert message(ember.cat, [ember.ones(1, 1), a]).startswith("cat: Tensors must have same")
    assert message(a.add_, ember.ones(3, 2)).startswith("add_: ")
    assert message(ember.nn.functional.max_pool2d, ember.ones(1, 4, 4), 0).startswith("max_pool2d: kernel size")
    assert message(ember.diagonal, ember.ones(2, 2), dim1=7).startswith("diagonal: Dimension out of range")


def test_a_name_that_is_there_is_not_said_again():
    for text in (
        message(ember.narrow, ember.tensor(1.0), 0, 0, 1),
        message(ember.amax, ember.ones(0)),
        message(ember.dot, ember.ones(2, 2), ember.ones(2)),
        message(ember.max_pool2d, ember.ones(1, 4, 4), 2, -1),
    ):
        name = text.split("(")[0].split(":")[0]
        assert text.count(name) == 1, text


def test_variants_speak_for_the_public_function():
    f, x, t = ember.nn.functional, ember.ones(2, 3), ember.tensor([0, 1, 2])
    assert message(f.cross_entropy, x, t).startswith("cross_entropy: Expected input batch_size (2)")
    assert message(f.nll_loss, x, t).startswith("nll_loss: Expected input batch_size (2)")
    assert message(f.max_pool2d, ember.ones(4), 2, return_indices=True).startswith("max_pool2d: Expected 3D or 4D")


def test_losses_in_python_name_themselves():
    f = ember.nn.functional
    x, y = ember.ones(3, 4), ember.ones(3, 5)
    assert message(f.l1_loss, x, x, reduction="abc") == "l1_loss: abc is not a valid value for reduction"
    assert message(f.mse_loss, x, x, reduction="abc") == "mse_loss: abc is not a valid value for reduction"
    assert message(f.gaussian_nll_loss, x, y, x).startswith("gaussian_nll_loss: ")
    assert message(f.multilabel_soft_margin_loss, x, y).startswith("multilabel_soft_margin_loss: ")
    assert message(f.triplet_margin_with_distance_loss, x, y, x).startswith("triplet_margin_with_distance_loss: ")
    assert f.gaussian_nll_loss.__module__ == "ember.nn.functional"


def test_an_error_of_a_hook_passes_unnamed():
    def fail(gradient):
        raise ValueError("of the hook")

    x = ember.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(fail)
    with pytest.raises(ValueError, match="^of the hook$"):
        y.sum().backward()


@pytest.mark.parametrize(
    "call",
    [
        lambda b: -b,
        lambda b: b - b,
        lambda b: 1 - b,
        lambda b: b - 1,
        lambda b: b - b.long(),
        lambda b: b.float() - True,
        lambda b: b.float().sub_(b),
        lambda b: 2.0 - b,
        lambda b: b.neg_(),
    ],
)
def test_bools_are_not_subtracted(call):
    for module in (torch, ember):
        with pytest.raises(RuntimeError, match="bool tensor"):
            call(module.tensor([True, False]))


@pytest.mark.parametrize(
    "call",
    [
        lambda m, out: m.add(m.ones(3), 1, out=out),
        lambda m, out: m.cat([m.ones(1), m.ones(2)], out=out),
        lambda m, out: m.gather(m.ones(3), 0, m.tensor([0, 1, 2]), out=out),
        lambda m, out: m.bernoulli(m.ones(3), out=out),
        lambda m, out: m.masked_select(m.ones(3), m.ones(3) > 0, out=out),
    ],
)
def test_results_do_not_go_where_elements_share_memory(call):
    for module in (torch, ember):
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
            call(module, module.ones(1).expand(3))
    assert call(ember, ember.ones(1).expand(2)[:0]).shape == (3,)  # resized first, so each has its own


def test_roll_of_no_dims():
    for module in (torch, ember):
        assert module.roll(module.tensor(2.0), 3).item() == 2
        for dims in (0, -1, 5):
            with pytest.raises(IndexError, match="no dimensions"):
                module.roll(module.tensor(2.0), 1, dims)


def test_adaptive_pools_of_one_dim_have_no_defaults():
    for module in (torch, ember):
        with pytest.raises(RuntimeError):
            module.nn.functional.adaptive_max_pool1d(module.ones(4), (2,))
