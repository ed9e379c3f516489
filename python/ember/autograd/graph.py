# Looking at a graph, and changing what it keeps.
"""Tools on the autograd graph: hooks on what it saves, moving that to other memory, edges."""

import typing

from ember import _C
from ember._C import Tensor
from ember._C import _Node as Node

__all__ = [
    "GradientEdge",
    "Node",
    "get_gradient_edge",
    "increment_version",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class saved_tensors_hooks:
    """A block in which every tensor that a node saves goes through `pack_hook`, and through `unpack_hook` when read.

    >>> x = ember.ones(1, requires_grad=True)
    >>> with ember.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(force=True), ember.from_numpy):
    ...     y = x * x
    >>> y.backward(); x.grad
    tensor([2.])
    """

    def __init__(self, pack_hook, unpack_hook):
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self):
        _C._push_saved_tensors_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *args):
        _C._pop_saved_tensors_hooks()


class save_on_cpu(saved_tensors_hooks):
    """A block whose saved tensors wait in the CPU's memory and return to their device when read."""

    def __init__(self, pin_memory=False, device_type="cuda"):
        super().__init__(lambda t: (t.device, t.detach().cpu()), lambda packed: packed[1].to(packed[0]))


class GradientEdge(typing.NamedTuple):
    """Where a tensor's gradient goes: the node, and which of its inputs."""

    node: object
    output_nr: int


def get_gradient_edge(tensor):
    """The edge of a tensor that requires gradient; RuntimeError for one that does not."""
    if not isinstance(tensor, Tensor) or not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    node = tensor.grad_fn
    if node is None:
        with _C.enable_grad():
            node = tensor.view_as(tensor).grad_fn.next_functions[0][0]
    return GradientEdge(node, tensor.output_nr)


def increment_version(tensor):
    """Tells autograd that the tensor's memory was written to behind its back."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        _C._bump_version(t)
