"""Functions that pickles name: how a parameter is made again. Checkpoints of PyTorch call them `torch._utils.…`."""

import ember


def _rebuild_parameter(data, requires_grad, backward_hooks):
    """A Parameter over `data`; hooks do not travel."""
    return ember.nn.Parameter(data, requires_grad)


def _set_obj_state(obj, state):
    """Gives a pickled object its attributes back: a dict, or (dict, values of slots)."""
    own, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    for name, value in {**(own or {}), **(slots or {})}.items():
        setattr(obj, name, value)
    return obj


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    """A Parameter over `data` with the attributes `state`."""
    return _set_obj_state(_rebuild_parameter(data, requires_grad, backward_hooks), state)
