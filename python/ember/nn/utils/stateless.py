"""A module called with other parameters and buffers than its own."""

import contextlib

__all__ = ["functional_call"]


@contextlib.contextmanager
def _reparametrize_module(module, parameters_and_buffers, tie_weights=False, strict=False, stack_weights=False):
    """Within: the named tensors stand in the module's place; afterwards its own are back."""
    own = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    given = dict(parameters_and_buffers)
    if tie_weights:
        by_id = {}
        for name, tensor in own.items():
            by_id.setdefault(id(tensor), []).append(name)
        for names in by_id.values():
            values = [given[name] for name in names if name in given]
            if any(value is not values[0] for value in values):
                raise ValueError(
                    f"functional_call got multiple values for keys {sorted(names)}, which are tied. "
                    "Consider using tie_weights=False"
                )
            if values:
                given.update({name: values[0] for name in names})
    if strict:
        missing, unexpected = own.keys() - given.keys(), given.keys() - own.keys()
        if missing or unexpected:
            parts = [
                f"{kind} key(s): {', '.join(map(repr, sorted(keys)))}."
                for kind, keys in (("Unexpected", unexpected), ("Missing", missing))
                if keys
            ]
            raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:\n\t" + "\n\t".join(parts))
    swapped = []
    try:
        for path, tensor in given.items():
            parent, _, name = path.rpartition(".")
            try:
                holder = module.get_submodule(parent)
            except AttributeError:
                continue
            for registry in (holder._parameters, holder._buffers):
                if name in registry:
                    swapped.append((registry, name, registry[name]))
                    registry[name] = tensor
                    break
        yield module
    finally:
        for registry, name, tensor in reversed(swapped):
            registry[name] = tensor


def functional_call(module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """`module(*args, **kwargs)` with the named tensors in the place of its parameters and buffers.

    >>> layer = ember.nn.Linear(2, 1, bias=False)
    >>> functional_call(layer, {"weight": ember.ones(1, 2)}, (ember.ones(1, 2),))
    tensor([[2.]])
    """
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _reparametrize_module(module, parameters_and_buffers, tie_weights, strict):
        return module(*args, **(kwargs or {}))
