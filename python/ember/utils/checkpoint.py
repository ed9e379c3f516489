# Activation checkpointing: the forward pass of a block runs without keeping what backward will need, and runs once more
# when backward gets there. Time for memory.
#
# Without re-entry: hooks on saved tensors put a placeholder where a tensor would be kept; the first placeholder that
# backward opens runs the block again and fills all of them, in the order in which they were made. With re-entry: a
# Function whose backward runs the block and a backward pass of its own.
"""Activation checkpointing: recompute instead of keep."""

import contextlib
import sys
import warnings
import weakref

import ember

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "noop_context_fn",
    "set_checkpoint_early_stop",
]


class CheckpointError(RuntimeError):
    """The second run of a block did not do what the first did."""


def detach_variable(inputs: tuple) -> tuple:
    """The tensors of a tuple cut off from their graph, requiring gradients as before; other things as they are.

    >>> import ember
    >>> detach_variable((ember.ones(1, requires_grad=True), 2))[0].is_leaf
    True
    """
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    return tuple(x.detach().requires_grad_(x.requires_grad) if isinstance(x, ember.Tensor) else x for x in inputs)


def check_backward_validity(inputs) -> None:
    """Warns where no input requires a gradient."""
    if not any(x.requires_grad for x in inputs if isinstance(x, ember.Tensor)):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)


def _autocast_on() -> bool:
    """Whether autocast is on; it cannot be before someone has opened `ember.amp`."""
    return "ember.amp" in sys.modules and ember.is_autocast_enabled("cpu")


class _Circumstances:
    """What a run depends on besides its inputs: the generator's state, if it is to be the same, and autocast."""

    def __init__(self, preserve_rng_state: bool):
        self.rng_state = ember.get_rng_state() if preserve_rng_state else None
        self.autocast = None
        if _autocast_on():
            self.autocast = {
                "dtype": ember.get_autocast_dtype("cpu"),
                "cache_enabled": ember.is_autocast_cache_enabled(),
            }

    @contextlib.contextmanager
    def again(self):
        """Runs its block under the same circumstances, with gradients on, and leaves the generator as it was."""
        now = None if self.rng_state is None else ember.get_rng_state()
        enabled = self.autocast is not None
        try:
            if now is not None:
                ember.set_rng_state(self.rng_state)
            with contextlib.ExitStack() as stack:
                stack.enter_context(ember.enable_grad())
                if enabled or _autocast_on():
                    stack.enter_context(ember.amp.autocast("cpu", enabled=enabled, **(self.autocast or {})))
                yield
        finally:
            if now is not None:
                ember.set_rng_state(now)


class CheckpointFunction(ember.autograd.Function):
    """The re-entrant form, as an autograd Function of (function, preserve_rng_state, *inputs)."""

    @staticmethod
    def forward(ctx, run_function, preserve_rng_state, *args):
        """Runs the block without recording."""
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.circumstances = _Circumstances(preserve_rng_state)
        ctx.is_tensor = [isinstance(arg, ember.Tensor) for arg in args]
        ctx.others = [None if tensor else arg for arg, tensor in zip(args, ctx.is_tensor)]
        ctx.save_for_backward(*(arg for arg, tensor in zip(args, ctx.is_tensor) if tensor))
        with ember.no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx, *grads):
        """Runs the block again, recording, and backward through that."""
        tensors = iter(ctx.saved_tensors)
        args = [next(tensors) if tensor else other for tensor, other in zip(ctx.is_tensor, ctx.others)]
        inputs = detach_variable(tuple(args))
        with ctx.circumstances.again():
            outputs = ctx.run_function(*inputs)
        outputs = (outputs,) if isinstance(outputs, ember.Tensor) else outputs
        pairs = [(out, g) for out, g in zip(outputs, grads) if isinstance(out, ember.Tensor) and out.requires_grad]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        ember.autograd.backward([out for out, _ in pairs], [g for _, g in pairs])
        return (None, None, *(x.grad if isinstance(x, ember.Tensor) else None for x in inputs))


def noop_context_fn():
    """The default `context_fn`: no contexts."""
    return contextlib.nullcontext(), contextlib.nullcontext()


_early_stop: bool | None = None  # set_checkpoint_early_stop's override


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool):
    """Inside, says for all checkpoints whether recomputing ends as soon as everything needed is there.

    >>> with set_checkpoint_early_stop(False):
    ...     pass
    """
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


class _Stop(Exception):
    """Ends a second run: everything is recomputed."""


class _Holder:
    """Stands in the graph for a saved tensor; `value` is there between recomputing and use."""

    __slots__ = ("value", "__weakref__")

    def __init__(self):
        self.value = None


class _SaveInputs(ember.autograd.Function):
    """Keeps tensors the way the graph keeps them, so that a checkpoint around this one sees them, too."""

    @staticmethod
    def forward(ctx, anchor, *tensors):
        ctx.save_for_backward(*tensors)
        return anchor.new_empty(0)

    @staticmethod
    def backward(ctx, *grads):
        raise AssertionError("checkpoint: nothing flows through the inputs' keeper")


class _Frame:
    """One checkpointed call: how to run it again, and the placeholders that the first run left."""

    def __init__(self, function, args, kwargs, preserve_rng_state, context, determinism_check, early_stop):
        self.function, self.kwargs = function, kwargs
        self.circumstances = _Circumstances(preserve_rng_state)
        self.context = context
        self.compare = determinism_check != "none"
        self.early_stop = early_stop
        self.is_tensor = [isinstance(arg, ember.Tensor) for arg in args]
        self.others = [None if tensor else arg for arg, tensor in zip(args, self.is_tensor)]
        anchor = ember.empty(0, requires_grad=True)
        tensors = [arg for arg, tensor in zip(args, self.is_tensor) if tensor]
        self.keeper = _SaveInputs.apply(anchor, *tensors)
        self.holders: list[weakref.ref] = []
        self.described: list[tuple] = []
        self.at = 0

    @staticmethod
    def _describe(x):
        return tuple(x.shape), x.dtype, x.device

    def pack(self, x):
        """The first run: notes that a tensor is needed and lets go of it."""
        holder = _Holder()
        self.holders.append(weakref.ref(holder))
        if self.compare:
            self.described.append(self._describe(x))
        return holder

    def unpack(self, holder):
        """Backward: the tensor that belongs here, by running the block again if need be."""
        if holder.value is None:
            self._recompute()
        if holder.value is None:
            raise CheckpointError(
                "checkpoint: A different number of tensors was saved during the original forward and recomputation."
                f"\nNumber of tensors saved during forward: {len(self.holders)}"
                f"\nNumber of tensors saved during recomputation: {self.at}."
            )
        value, holder.value = holder.value, None
        return value

    def _refill(self, x):
        i, self.at = self.at, self.at + 1
        x = x.detach()
        if i >= len(self.holders):
            raise CheckpointError(
                "checkpoint: trying to save more tensors during recomputation than during the original forward pass."
            )
        holder = self.holders[i]()
        if holder is not None:
            if self.compare and self.described[i] != self._describe(x):
                raise CheckpointError(
                    "checkpoint: Recomputed values for the following tensors have different metadata than during the "
                    f"forward pass.\ntensor at position {i}:\nsaved metadata: {self.described[i]}\n"
                    f"recomputed metadata: {self._describe(x)}"
                )
            holder.value = x
        if self.early_stop and self.at == len(self.holders):
            raise _Stop
        return x

    def _recompute(self):
        tensors = iter(self.keeper.grad_fn.saved_tensors)
        args = [next(tensors) if tensor else other for tensor, other in zip(self.is_tensor, self.others)]
        args = detach_variable(tuple(args))
        self.at = 0
        hooks = ember.autograd.graph.saved_tensors_hooks(self._refill, lambda x: x)
        with self.circumstances.again(), self.context, hooks, contextlib.suppress(_Stop):
            self.function(*args, **self.kwargs)


def checkpoint(
    function,
    *args,
    use_reentrant: bool | None = None,
    context_fn=noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs,
):
    """`function(*args, **kwargs)`, keeping only its inputs for backward, which runs it once more.

    Args:
        use_reentrant: which implementation. False (recommended) supports everything; True takes no keyword arguments,
            and only inputs among `args` that require gradients get them.
        context_fn: gives two context managers, for the first and the second run.
        determinism_check: "default" compares shape, dtype and device of what the two runs save; "none" does not.
        debug: accepted with use_reentrant=False.
        early_stop: ends the second run once everything that backward needs is there.
        preserve_rng_state: the second run draws the same random numbers.

    Raises:
        CheckpointError: in backward, if the second run differs from the first.
        ValueError: options that go with the other implementation.

    >>> import ember
    >>> x = ember.ones(2, requires_grad=True)
    >>> checkpoint(lambda x: x.exp().sin(), x, use_reentrant=False).sum().backward()
    >>> x.grad
    tensor([-2.4783, -2.4783])
    """
    if use_reentrant is None:
        warnings.warn(
            "checkpoint: the use_reentrant parameter should be passed explicitly. use_reentrant=False is recommended; "
            "without it, use_reentrant=True is assumed.",
            stacklevel=2,
        )
        use_reentrant = True
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve_rng_state, *args)
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'] but got {determinism_check}")
    first, second = context_fn()
    if not ember.is_grad_enabled():
        with first:
            return function(*args, **kwargs)
    early = early_stop if _early_stop is None else _early_stop
    frame = _Frame(function, args, kwargs, preserve_rng_state, second, determinism_check, early)
    with first, ember.autograd.graph.saved_tensors_hooks(frame.pack, frame.unpack):
        return function(*args, **kwargs)


def checkpoint_sequential(functions, segments: int, input, use_reentrant: bool | None = None, **kwargs):
    """Runs modules one after another, in `segments` pieces of which all but the last are checkpointed.

    >>> import ember
    >>> model = ember.nn.Sequential(ember.nn.Linear(2, 2), ember.nn.ReLU(), ember.nn.Linear(2, 1))
    >>> checkpoint_sequential(model, 2, ember.ones(1, 2), use_reentrant=False).shape
    torch.Size([1, 1])
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    functions = list(functions.children() if isinstance(functions, ember.nn.Sequential) else functions)

    def run(start, end):
        def forward(x):
            for function in functions[start:end]:
                x = function(x)
            return x

        return forward

    size, start = len(functions) // segments, 0
    for _ in range(segments - 1 if size else 0):
        block = run(start, start + size)
        input = checkpoint(block, input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
        start += size
    return run(start, len(functions))(input)
