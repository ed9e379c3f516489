# Handles that take a registered hook away again.
#
# Every registry of hooks in the package is an ordered dict from a number to a callable; a handle remembers the dict
# weakly and its own number, so a handle outlives neither the dict nor keeps it alive.
"""Handles for hooks."""

import itertools
import weakref
from collections import OrderedDict

__all__ = ["RemovableHandle"]


class RemovableHandle:
    """A handle on one hook; `remove()` takes the hook away, as does leaving a `with` block.

    `extra_dict` names further dicts (or a list of them) that hold entries under the same `id`.

    >>> from collections import OrderedDict
    >>> hooks = OrderedDict()
    >>> handle = RemovableHandle(hooks)
    >>> hooks[handle.id] = print
    >>> handle.remove()
    >>> len(hooks)
    0
    """

    next_id: int = 0
    _ids = itertools.count()

    def __init__(self, hooks_dict, *, extra_dict=None):
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = next(RemovableHandle._ids)  # count() is atomic under every build of CPython
        RemovableHandle.next_id = self.id + 1
        extra = () if extra_dict is None else (extra_dict,) if isinstance(extra_dict, dict) else tuple(extra_dict)
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extra)

    def remove(self) -> None:
        """Takes the hook away; a second call does nothing."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = reference()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self):
        return (self.hooks_dict_ref(), self.id, tuple(reference() for reference in self.extra_dict_ref))

    def __setstate__(self, state):
        # A dict that did not survive the trip is stood in for by an empty one nobody else holds.
        hooks, self.id, *extra = state
        self.hooks_dict_ref = weakref.ref(OrderedDict() if hooks is None else hooks)
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if d is None else d) for d in (extra[0] if extra else ()))
        if self.id >= RemovableHandle.next_id:
            RemovableHandle.next_id = self.id + 1
            RemovableHandle._ids = itertools.count(self.id + 1)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()
