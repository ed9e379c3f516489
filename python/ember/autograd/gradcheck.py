# Derivatives checked against differences. Each input element is moved both ways and the change of every output element
# compared with the column that backward gives; the graph of backward is checked the same way one order up.
"""gradcheck and gradgradcheck: is a derivative right?"""

import warnings

import ember
from ember._C import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """The derivative is wrong; the message shows both."""


def _tensors(value):
    value = value if isinstance(value, (tuple, list)) else (value,)
    return [v for v in value if isinstance(v, Tensor)]


def _differentiable(value):
    return [t for t in _tensors(value) if t.requires_grad]


def _copies(values):
    """Outputs as they are now: a function may return its input or write into it."""
    return [t.detach().clone() for t in values]


def _numerical(f, inputs, target, eps):
    """For each output the Jacobian with respect to `target`: rows by elements of target, columns by output's.

    Of a complex input two rows an element: its real and its imaginary part moved.
    """
    rows = None
    flat = target.data.reshape(-1) if target.is_contiguous() else None
    steps = (eps, 1j * eps) if target.is_complex() else (eps,)
    index = [0] * target.dim()
    for n in range(target.numel()):
        left = n
        for d in range(target.dim() - 1, -1, -1):
            left, index[d] = divmod(left, target.shape[d])
        place = (flat, n) if flat is not None else (target.data, tuple(index))
        for step in steps:
            before = place[0][place[1]].item()
            with ember.no_grad():
                place[0][place[1]] = before + step
                high = _copies(_tensors(f(*inputs)))
                place[0][place[1]] = before - step
                low = _copies(_tensors(f(*inputs)))
                place[0][place[1]] = before
            change = [((h - l) / (2 * eps)).reshape(-1) for h, l in zip(high, low)]
            rows = [[] for _ in change] if rows is None else rows
            for column, c in zip(rows, change):
                column.append(c)
    return rows


def _analytical(output, target, element, imaginary):
    seed = ember.zeros_like(output)
    seed.view(-1)[element] = 1j if imaginary else 1
    got = ember.autograd.grad(output, target, seed, retain_graph=True, allow_unused=True)[0]
    return ember.zeros_like(target).reshape(-1) if got is None else got.reshape(-1)


def _compare(output, target, rows, atol, rtol, where):
    """Holds backward's answer for each output element against the numerical rows."""
    for k in range(output.numel()):
        for imaginary in (False, True) if output.is_complex() else (False,):
            got = _analytical(output, target, k, imaginary)
            parts = ember.stack([r[k] for r in rows]) if rows else got.new_zeros(0)
            if output.is_complex():
                parts = parts.imag if imaginary else parts.real
            if target.is_complex():  # backward's convention: d/d(real) + i d/d(imag)
                parts = ember.complex(
                    parts[0::2].contiguous().real if parts.is_complex() else parts[0::2].contiguous(),
                    parts[1::2].contiguous().real if parts.is_complex() else parts[1::2].contiguous(),
                )
            expected = parts.to(got.dtype)
            if not ember.allclose(got, expected, rtol, atol):
                raise GradcheckError(
                    f"Jacobian mismatch for output {where[0]} with respect to input {where[1]},\n"
                    f"numerical:{expected}\nanalytical:{got}\n(row for output element {k})"
                )


def gradcheck(
    func,
    inputs,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_batched_forward_grad=False,
    check_forward_ad=False,
    check_backward_ad=True,
    fast_mode=False,
    masked=None,
):
    """Is `func`'s backward what small differences say, for every element of every input that requires gradient?

    Inputs should be float64 (or complex128): differences of float32 are too coarse. GradcheckError (a RuntimeError)
    when they disagree, or False with `raise_exception=False`.

    >>> ember.autograd.gradcheck(ember.sin, ember.ones(2, dtype=ember.float64, requires_grad=True))
    True
    """
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    targets = _differentiable(inputs)
    if not targets:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have "
            "requires_grad=True."
        )
    for i, t in enumerate(targets):
        if t.dtype not in (ember.float64, ember.complex128):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check "
                "will likely fail if all the inputs are not of double precision floating point or complex. ",
                stacklevel=2,
            )
        if t.numel() and any(s == 0 and n > 1 for s, n in zip(t.stride(), t.shape)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                "non-overlapping."
            )
    try:
        for i, target in enumerate(targets):
            target.retain_grad() if not target.is_leaf else None
            with ember.enable_grad():
                outputs = _tensors(func(*inputs))
            rows = _numerical(func, inputs, target, eps) or [[] for _ in outputs]
            for j, output in enumerate(outputs):
                if not output.requires_grad:
                    if output.is_floating_point() and any(r.abs().max().item() > atol for r in rows[j] if r.numel()):
                        raise GradcheckError(f"output {j} does not require gradient though it depends on input {i}")
                    continue
                _compare(output, target, rows[j], atol, rtol, (j, i))
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    gen_non_contig_grad_outputs=False,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_fwd_over_rev=False,
    check_rev_over_rev=True,
    fast_mode=False,
    masked=False,
):
    """The same for the derivative of backward, with respect to the inputs and to the gradients that come in.

    >>> ember.autograd.gradgradcheck(ember.sin, ember.ones(2, dtype=ember.float64, requires_grad=True))
    True
    """
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    if grad_outputs is None:
        outputs = _differentiable(func(*inputs))
        grad_outputs = [ember.randn_like(o.detach()).requires_grad_() for o in outputs]
    else:
        grad_outputs = list(grad_outputs) if isinstance(grad_outputs, (tuple, list)) else [grad_outputs]
    count = len(grad_outputs)

    def first_order(*args):
        given, seeds = args[:-count], args[-count:]
        given = (
            tuple(
                x.detach().requires_grad_() if isinstance(x, Tensor) and x.requires_grad and x.is_leaf else x
                for x in given
            )
            if not ember.is_grad_enabled()
            else given
        )
        with ember.enable_grad():
            outputs = _differentiable(func(*given))
            targets = [x for x in given if isinstance(x, Tensor) and x.requires_grad]
            return ember.autograd.grad(
                outputs, targets, seeds, create_graph=True, allow_unused=True, materialize_grads=True
            )

    return gradcheck(
        first_order, (*inputs, *grad_outputs), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception
    )
