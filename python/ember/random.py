"""The default random generator: seeds and states. One seed gives the numbers that PyTorch gives."""

import contextlib

from ember._C import default_generator

__all__ = ["fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]


def manual_seed(seed):
    """Seeds the default generator and returns it. `seed` is any integer of 64 bits; negative ones count from the top.

    >>> ember.manual_seed(0).initial_seed()
    0
    """
    return default_generator.manual_seed(int(seed))


def seed():
    """Seeds the default generator from the system's entropy and returns the seed."""
    return default_generator.seed()


def initial_seed():
    """The seed that the default generator started from."""
    return default_generator.initial_seed()


def get_rng_state():
    """The state of the default generator, a byte tensor in PyTorch's layout."""
    return default_generator.get_state()


def set_rng_state(new_state):
    """Makes the default generator continue from a state; RuntimeError when the state is impossible."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices=None, enabled=True, **_):
    """A block whose random draws leave the default generator as it was."""
    state = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(state)
