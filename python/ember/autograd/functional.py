# Jacobians, Hessians and their products with vectors, row by row from autograd.grad.
"""Whole derivatives of functions of tensors."""

import ember
from ember._C import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(value):
    return (False, (value,)) if isinstance(value, Tensor) else (True, tuple(value))


def _fresh(inputs, create_graph):
    """Inputs whose history starts here (or continues, when the result is to be differentiated)."""
    return tuple(x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in inputs)


def _same(many, values):
    return tuple(values) if many else values[0]


def _grad(outputs, inputs, seeds, create_graph, strict):
    kept = [(o, s) for o, s in zip(outputs, seeds) if o.requires_grad]
    if strict and len(kept) < len(outputs):
        raise RuntimeError(
            "An output of the user-provided function does not require gradient. This is not allowed in strict mode."
        )
    if not kept:
        return tuple(ember.zeros_like(x) for x in inputs)
    found = ember.autograd.grad(
        [o for o, _ in kept],
        inputs,
        [s for _, s in kept],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )
    if strict and any(g is None for g in found):
        raise RuntimeError(
            "The output of the user-provided function is independent of an input. This is not allowed in strict mode."
        )
    return tuple(ember.zeros_like(x) if g is None else g for g, x in zip(found, inputs))


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """The Jacobian: for each output and each input a tensor of shape output.shape + input.shape.

    A tuple of inputs (outputs) gives a tuple (of tuples).

    >>> ember.autograd.functional.jacobian(lambda x: x**2, ember.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    many_in, inputs = _tuple(inputs)
    with ember.enable_grad():
        inputs = _fresh(inputs, create_graph)
        many_out, outputs = _tuple(func(*inputs))
        blocks = []
        for output in outputs:
            rows = [[] for _ in inputs]
            for k in range(output.numel()):
                seed = ember.zeros_like(output).reshape(-1)
                seed[k] = 1
                for row, g in zip(rows, _grad([output], inputs, [seed.reshape(output.shape)], create_graph, strict)):
                    row.append(g)
            shaped = [
                ember.stack(row).reshape(output.shape + x.shape) if row else x.new_zeros(output.shape + x.shape)
                for row, x in zip(rows, inputs)
            ]
            blocks.append(_same(many_in, shaped))
    result = _same(many_out, blocks)
    return result if create_graph else _detach(result)


def _detach(value):
    return tuple(map(_detach, value)) if isinstance(value, tuple) else value.detach()


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    """The Hessian of a function with a single element as its output.

    >>> ember.autograd.functional.hessian(lambda x: (x**3).sum(), ember.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    many, inputs = _tuple(inputs)

    def gradient(*args):
        output = func(*args)
        if not isinstance(output, Tensor) or output.numel() != 1:
            raise RuntimeError("The Tensor returned by the function given to hessian should contain a single element")
        return _grad(
            [output.reshape(())],
            args,
            [None if output.numel() != 1 else ember.ones_like(output.reshape(()))],
            True,
            strict,
        )

    blocks = jacobian(lambda *args: gradient(*args), inputs, create_graph, strict)
    return blocks if many else blocks[0][0]


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), v times the Jacobian)."""
    many, inputs = _tuple(inputs)
    with ember.enable_grad():
        inputs = _fresh(inputs, create_graph)
        many_out, outputs = _tuple(func(*inputs))
        if v is None and (len(outputs) != 1 or outputs[0].numel() != 1):
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single Tensor with a single "
                "element."
            )
        seeds = tuple(map(ember.ones_like, outputs)) if v is None else _tuple(v)[1]
        result = _grad(outputs, inputs, seeds, create_graph, strict)
    answer = _same(many_out, outputs), _same(many, result)
    return answer if create_graph else tuple(map(_detach, answer))


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), the Jacobian times v), by differentiating the product u @ J with respect to u."""
    many, inputs = _tuple(inputs)
    v = tuple(map(ember.ones_like, inputs)) if v is None else _tuple(v)[1]
    with ember.enable_grad():
        inputs = _fresh(inputs, create_graph)
        many_out, outputs = _tuple(func(*inputs))
        dummies = tuple(ember.zeros_like(o).requires_grad_() for o in outputs)
        products = _grad(outputs, inputs, dummies, True, strict)
        result = _grad(products, dummies, v, create_graph, False)
    answer = _same(many_out, outputs), _same(many_out, result)
    return answer if create_graph else tuple(map(_detach, answer))


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), v times the Hessian)."""
    many, inputs = _tuple(inputs)
    v = tuple(map(ember.ones_like, inputs)) if v is None else _tuple(v)[1]
    with ember.enable_grad():
        inputs = _fresh(inputs, create_graph)
        output = func(*inputs)
        first = _grad([output], inputs, [ember.ones_like(output)], True, strict)
        result = _grad(first, inputs, v, create_graph, strict)
    answer = output, _same(many, result)
    return answer if create_graph else tuple(map(_detach, answer))


hvp = vhp  # a Hessian is symmetric
