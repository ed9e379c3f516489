# Trees of containers: flattened to a list of leaves and a spec, and put together again.
#
# What is a container is said by SUPPORTED_NODES: how to flatten a type into children and a context, how to unflatten,
# and how to name the way to each child. Everything else is a leaf. Dicts keep the order of insertion, as PyTorch's do.
"""Flattening and mapping nested containers, with the names that libraries import from PyTorch."""

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

__all__ = [
    "LeafSpec",
    "PyTree",
    "SUPPORTED_NODES",
    "TreeSpec",
    "key_get",
    "keystr",
    "register_constant",
    "register_dataclass",
    "register_pytree_node",
    "tree_all",
    "tree_all_only",
    "tree_any",
    "tree_any_only",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_is_leaf",
    "tree_iter",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_map_only_",
    "tree_map_with_path",
    "tree_structure",
    "tree_unflatten",
    "treespec_pprint",
]

PyTree: TypeAlias = Any
Context: TypeAlias = Any
KeyPath: TypeAlias = tuple
FlattenFunc: TypeAlias = Callable[[Any], tuple[list, Context]]
UnflattenFunc: TypeAlias = Callable[[Iterable, Context], Any]


class NodeDef(NamedTuple):
    """How a type of container is taken apart and put together."""

    type: type
    flatten_fn: FlattenFunc
    unflatten_fn: UnflattenFunc
    flatten_with_keys_fn: Callable | None = None


SUPPORTED_NODES: dict[Any, NodeDef] = {}


# ---- the way to a child


@dataclasses.dataclass(frozen=True)
class SequenceKey:
    """Item `idx` of a sequence."""

    idx: int

    def __str__(self):
        return f"[{self.idx!r}]"

    def get(self, sequence):
        """The child of `sequence` that this names."""
        return sequence[self.idx]


@dataclasses.dataclass(frozen=True)
class MappingKey:
    """The value at `key` of a mapping."""

    key: Any

    def __str__(self):
        return f"[{self.key!r}]"

    def get(self, mapping):
        """The child of `mapping` that this names."""
        return mapping[self.key]


@dataclasses.dataclass(frozen=True)
class GetAttrKey:
    """The attribute `name` of an object."""

    name: str

    def __str__(self):
        return f".{self.name}"

    def get(self, obj):
        """The child of `obj` that this names."""
        return getattr(obj, self.name)


def keystr(kp: KeyPath) -> str:
    """A path as it would be written in Python.

    >>> keystr((MappingKey("a"), SequenceKey(0)))
    "['a'][0]"
    """
    return "".join(map(str, kp))


def key_get(obj: Any, kp: KeyPath) -> Any:
    """What lies at the end of a path.

    >>> key_get({"a": [7]}, (MappingKey("a"), SequenceKey(0)))
    7
    """
    for key in kp:
        obj = key.get(obj)
    return obj


# ---- specs


class TreeSpec:
    """The shape of a tree: a node's type, its context, and the specs of its children.

    >>> tree_structure([1, (2, 3)]).num_leaves
    3
    """

    __slots__ = ("type", "context", "children_specs", "num_nodes", "num_leaves", "num_children")

    def __init__(self, type, context, children_specs=()):
        self.type, self.context, self.children_specs = type, context, list(children_specs)
        self.num_children = len(self.children_specs)
        self.num_nodes = 1 + sum(child.num_nodes for child in self.children_specs)
        self.num_leaves = sum(child.num_leaves for child in self.children_specs)

    def is_leaf(self) -> bool:
        """Whether this is a single leaf."""
        return False

    def children(self) -> list["TreeSpec"]:
        """The specs of the children."""
        return list(self.children_specs)

    def child(self, index: int) -> "TreeSpec":
        """The spec of one child."""
        return self.children_specs[index]

    def flatten_up_to(self, tree: PyTree) -> list:
        """The subtrees of `tree` where this spec has leaves. Raises ValueError where the two differ in structure."""
        if self.is_leaf():
            return [tree]
        kind = _get_node_type(tree)
        if kind is not self.type and not _same_kind_of_dict(kind, self.type):
            raise ValueError(f"Node type mismatch; expected {self.type!r}, but got {kind!r}.")
        children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
        if len(children) != self.num_children:
            raise ValueError(f"Node arity mismatch; expected {self.num_children}, but got {len(children)}.")
        if kind in (dict, OrderedDict, defaultdict):
            keys = self.context[1] if self.type is defaultdict else self.context
            if set(tree) != set(keys):
                raise ValueError(f"Node keys mismatch; expected {list(keys)}, but got {list(tree)}.")
            children = [tree[key] for key in keys]
        elif context != self.context and kind is not deque:
            raise ValueError(f"Node context mismatch for node type {self.type!r}: {self.context!r} and {context!r}.")
        return [leaf for spec, child in zip(self.children_specs, children) for leaf in spec.flatten_up_to(child)]

    def unflatten(self, leaves: Iterable) -> PyTree:
        """The tree of this shape with these leaves."""
        leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(leaves)} "
                f"but the spec refers to a pytree that holds {self.num_leaves} items ({self})."
            )
        return self._build(iter(leaves))

    def _build(self, leaves):
        return SUPPORTED_NODES[self.type].unflatten_fn(
            [child._build(leaves) for child in self.children_specs], self.context
        )

    def __eq__(self, other):
        if self is other:
            return True
        if not isinstance(other, TreeSpec) or self.is_leaf() != other.is_leaf():
            return NotImplemented if not isinstance(other, TreeSpec) else False
        return (self.type, self.context, self.children_specs) == (other.type, other.context, other.children_specs)

    def __hash__(self):
        return hash((self.type, self.num_leaves, tuple(self.children_specs)))  # contexts need not be hashable

    def __repr__(self, indent: int = 0):
        inner = ""
        if self.num_children:
            indent += 2
            inner = (",\n" + " " * indent).join(child.__repr__(indent) for child in self.children_specs)
        return f"TreeSpec({self.type.__name__}, {self.context}, [{inner}])"

    def __reduce__(self):
        return TreeSpec, (self.type, self.context, self.children_specs)


class LeafSpec(TreeSpec):
    """The spec of a leaf.

    >>> tree_structure(1) == LeafSpec()
    True
    """

    __slots__ = ()

    def __init__(self):
        super().__init__(None, None)
        self.num_leaves = 1

    def is_leaf(self) -> bool:
        """True."""
        return True

    def _build(self, leaves):
        return next(leaves)

    def __eq__(self, other):
        return isinstance(other, TreeSpec) and other.is_leaf()

    def __hash__(self):
        return hash(LeafSpec)

    def __repr__(self, indent: int = 0):
        return "*"

    def __reduce__(self):
        return LeafSpec, ()


_LEAF = LeafSpec()


def treespec_pprint(treespec: TreeSpec) -> str:
    """The tree of a spec with stars for leaves, as text.

    >>> treespec_pprint(tree_structure({"a": [1, 2]}))
    "{'a': [*, *]}"
    """

    class Star:
        def __repr__(self):
            return "*"

    return repr(treespec.unflatten([Star()] * treespec.num_leaves))


# ---- the containers known from the start


def _tuple_flatten(d):
    return list(d), None


def _tuple_unflatten(values, context):
    return tuple(values)


def _list_flatten(d):
    return d, None


def _list_unflatten(values, context):
    return list(values)


def _sequence_flatten_with_keys(d):
    return [(SequenceKey(i), v) for i, v in enumerate(d)], None


_tuple_flatten_with_keys = _list_flatten_with_keys = _sequence_flatten_with_keys


def _dict_flatten(d):
    return list(d.values()), list(d.keys())


def _dict_flatten_with_keys(d):
    return [(MappingKey(k), v) for k, v in d.items()], list(d.keys())


def _dict_unflatten(values, context):
    return dict(zip(context, values))


def _ordereddict_unflatten(values, context):
    return OrderedDict(zip(context, values))


def _defaultdict_flatten(d):
    return list(d.values()), [d.default_factory, list(d.keys())]


def _defaultdict_flatten_with_keys(d):
    return _dict_flatten_with_keys(d)[0], [d.default_factory, list(d.keys())]


def _defaultdict_unflatten(values, context):
    return defaultdict(context[0], zip(context[1], values))


def _namedtuple_flatten(d):
    return list(d), type(d)


def _namedtuple_flatten_with_keys(d):
    return [(GetAttrKey(name), value) for name, value in zip(d._fields, d)], type(d)


def _namedtuple_unflatten(values, context):
    return context(*values)


def _deque_flatten(d):
    return list(d), d.maxlen


def _deque_flatten_with_keys(d):
    return _sequence_flatten_with_keys(d)[0], d.maxlen


def _deque_unflatten(values, context):
    return deque(values, maxlen=context)


def _is_namedtuple_instance(tree) -> bool:
    cls = type(tree)
    return cls not in SUPPORTED_NODES and isinstance(tree, tuple) and hasattr(cls, "_fields")


def _get_node_type(tree) -> Any:
    """The key of SUPPORTED_NODES for this object: its type, or `namedtuple` for all of those."""
    return namedtuple if _is_namedtuple_instance(tree) else type(tree)


def _same_kind_of_dict(a, b) -> bool:
    dicts = (dict, OrderedDict, defaultdict)
    return a in dicts and b in dicts


def register_pytree_node(
    cls: type,
    flatten_fn: FlattenFunc,
    unflatten_fn: UnflattenFunc,
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: Callable | None = None,
    from_dumpable_context: Callable | None = None,
    flatten_with_keys_fn: Callable | None = None,
) -> None:
    """Makes a type a container: `flatten_fn(obj)` gives `(children, context)`, `unflatten_fn(children, context)` the
    object again, and `flatten_with_keys_fn(obj)` gives `([(key, child), ...], context)`.

    Raises ValueError for a type that is one already. The three arguments about serialising are accepted.

    >>> class Box:
    ...     def __init__(self, x):
    ...         self.x = x
    >>> register_pytree_node(Box, lambda box: ([box.x], None), lambda children, context: Box(*children))
    >>> tree_map(lambda x: x + 1, Box(1)).x
    2
    """
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn, flatten_with_keys_fn)


_register_pytree_node = register_pytree_node
_private_register_pytree_node = register_pytree_node


def _deregister_pytree_node(cls: type) -> None:
    SUPPORTED_NODES.pop(cls, None)


def register_dataclass(cls: type, *, field_names=None, drop_field_names=None, serialized_type_name=None) -> None:
    """Makes a dataclass a container of its fields. Fields in `drop_field_names` take their defaults when it is put
    together again.

    >>> import dataclasses
    >>> @dataclasses.dataclass
    ... class Pair:
    ...     a: int
    ...     b: int
    >>> register_dataclass(Pair)
    >>> tree_leaves(Pair(1, 2))
    [1, 2]
    """
    if field_names is None:
        dropped = set(drop_field_names or ())
        field_names = [field.name for field in dataclasses.fields(cls) if field.init and field.name not in dropped]

    def flatten(obj):
        # What is None goes with the context, so that optional fields are no leaves.
        names = [name for name in field_names if getattr(obj, name) is not None]
        nones = [name for name in field_names if getattr(obj, name) is None]
        return [getattr(obj, name) for name in names], [names, nones]

    def flatten_with_keys(obj):
        children, context = flatten(obj)
        return [(GetAttrKey(name), child) for name, child in zip(context[0], children)], context

    def unflatten(children, context):
        names, nones = context
        return cls(**dict(zip(names, children)), **dict.fromkeys(nones))

    register_pytree_node(cls, flatten, unflatten, flatten_with_keys_fn=flatten_with_keys)


def register_constant(cls: type) -> None:
    """Makes objects of a type part of the structure, without leaves. They are compared with `==`.

    >>> class Mode(str):
    ...     pass
    >>> register_constant(Mode)
    >>> tree_leaves([1, Mode("fast")])
    [1]
    """
    register_pytree_node(cls, lambda obj: ([], obj), lambda children, context: context)


for _cls, *_functions in (
    (tuple, _tuple_flatten, _tuple_unflatten, _tuple_flatten_with_keys),
    (list, _list_flatten, _list_unflatten, _list_flatten_with_keys),
    (dict, _dict_flatten, _dict_unflatten, _dict_flatten_with_keys),
    (namedtuple, _namedtuple_flatten, _namedtuple_unflatten, _namedtuple_flatten_with_keys),
    (OrderedDict, _dict_flatten, _ordereddict_unflatten, _dict_flatten_with_keys),
    (defaultdict, _defaultdict_flatten, _defaultdict_unflatten, _defaultdict_flatten_with_keys),
    (deque, _deque_flatten, _deque_unflatten, _deque_flatten_with_keys),
):
    SUPPORTED_NODES[_cls] = NodeDef(_cls, *_functions)
del _cls, _functions


# ---- walking


def tree_is_leaf(tree: PyTree, is_leaf: Callable[[PyTree], bool] | None = None) -> bool:
    """Whether an object is a leaf: no container, or one for which `is_leaf` says so.

    >>> tree_is_leaf(1), tree_is_leaf([1])
    (True, False)
    """
    return (is_leaf is not None and is_leaf(tree)) or _get_node_type(tree) not in SUPPORTED_NODES


_is_leaf = tree_is_leaf


def _flatten_into(tree, leaves: list, is_leaf) -> TreeSpec:
    if tree_is_leaf(tree, is_leaf):
        leaves.append(tree)
        return _LEAF
    kind = _get_node_type(tree)
    children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
    return TreeSpec(kind, context, [_flatten_into(child, leaves, is_leaf) for child in children])


def tree_flatten(tree: PyTree, is_leaf: Callable[[PyTree], bool] | None = None) -> tuple[list, TreeSpec]:
    """The leaves of a tree, and its spec.

    >>> leaves, spec = tree_flatten([1, {"a": 2}])
    >>> leaves
    [1, 2]
    >>> tree_unflatten([3, 4], spec)
    [3, {'a': 4}]
    """
    leaves: list = []
    spec = _flatten_into(tree, leaves, is_leaf)
    return leaves, spec


def tree_unflatten(leaves: Iterable, treespec: TreeSpec) -> PyTree:
    """The tree of a spec with these leaves; ValueError where their number is wrong."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            f"tree_unflatten(leaves, treespec): Expected `treespec` to be instance of TreeSpec but got item of type "
            f"{type(treespec)}."
        )
    return treespec.unflatten(leaves)


def tree_iter(tree: PyTree, is_leaf: Callable[[PyTree], bool] | None = None):
    """Iterates over the leaves."""
    if tree_is_leaf(tree, is_leaf):
        yield tree
    else:
        for child in SUPPORTED_NODES[_get_node_type(tree)].flatten_fn(tree)[0]:
            yield from tree_iter(child, is_leaf)


def tree_leaves(tree: PyTree, is_leaf: Callable[[PyTree], bool] | None = None) -> list:
    """The leaves of a tree.

    >>> tree_leaves({"a": (1, 2)})
    [1, 2]
    """
    return list(tree_iter(tree, is_leaf))


def tree_structure(tree: PyTree, is_leaf: Callable[[PyTree], bool] | None = None) -> TreeSpec:
    """The spec of a tree."""
    return tree_flatten(tree, is_leaf)[1]


def arg_tree_leaves(*args, **kwargs) -> list:
    """The leaves of all arguments."""
    return tree_leaves((args, kwargs))


def tree_map(func: Callable, tree: PyTree, *rests: PyTree, is_leaf=None) -> PyTree:
    """A tree of `func(leaf, *leaves of the others at that place)`; the others may go deeper than the first.

    >>> tree_map(lambda x, y: x + y, [1, 2], [10, 20])
    [11, 22]
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    return spec.unflatten(map(func, leaves, *(spec.flatten_up_to(rest) for rest in rests)))


def tree_map_(func: Callable, tree: PyTree, *rests: PyTree, is_leaf=None) -> PyTree:
    """Calls `func` as tree_map does, for what it does; returns the first tree."""
    leaves, spec = tree_flatten(tree, is_leaf)
    deque(map(func, leaves, *(spec.flatten_up_to(rest) for rest in rests)), maxlen=0)
    return tree


def _matches(types):
    return types if callable(types) and not isinstance(types, type) else lambda x: isinstance(x, types)


def map_only(types_or_pred, /):
    """A decorator: the function is applied to objects of these types (or that pass the test), others stay."""
    matches = _matches(types_or_pred)
    return lambda func: lambda x: func(x) if matches(x) else x


def tree_map_only(types_or_pred, /, func: Callable, tree: PyTree, is_leaf=None) -> PyTree:
    """tree_map over the leaves of some types, or that pass a test; others stay.

    >>> tree_map_only(int, lambda x: x + 1, [1, "a"])
    [2, 'a']
    """
    return tree_map(map_only(types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_map_only_(types_or_pred, /, func: Callable, tree: PyTree, is_leaf=None) -> PyTree:
    """tree_map_ over the leaves of some types, or that pass a test."""
    return tree_map_(map_only(types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: PyTree, is_leaf=None) -> bool:
    """Whether all leaves pass a test."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: PyTree, is_leaf=None) -> bool:
    """Whether some leaf passes a test."""
    return any(map(pred, tree_iter(tree, is_leaf)))


def tree_all_only(types, /, pred: Callable[[Any], bool], tree: PyTree, is_leaf=None) -> bool:
    """Whether all leaves of some types pass a test."""
    return all(pred(x) for x in tree_iter(tree, is_leaf) if isinstance(x, types))


def tree_any_only(types, /, pred: Callable[[Any], bool], tree: PyTree, is_leaf=None) -> bool:
    """Whether some leaf of some types passes a test."""
    return any(pred(x) for x in tree_iter(tree, is_leaf) if isinstance(x, types))


def _broadcast_to_and_flatten(tree: PyTree, treespec: TreeSpec, is_leaf=None) -> list | None:
    """The leaves of `tree` stretched to the leaves of a spec that goes at least as deep; None if it does not fit."""
    if tree_is_leaf(tree, is_leaf):
        return [tree] * treespec.num_leaves
    kind = _get_node_type(tree)
    if treespec.is_leaf() or kind is not treespec.type:
        return None
    children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
    if len(children) != treespec.num_children or context != treespec.context:
        return None
    result: list = []
    for child, spec in zip(children, treespec.children_specs):
        part = _broadcast_to_and_flatten(child, spec, is_leaf)
        if part is None:
            return None
        result += part
    return result


def _walk_paths(path, tree, is_leaf):
    if tree_is_leaf(tree, is_leaf):
        yield path, tree
        return
    node = SUPPORTED_NODES[_get_node_type(tree)]
    if node.flatten_with_keys_fn is None:
        raise ValueError(
            f"Did not find a flatten_with_keys_fn for type: {node.type}. "
            "Please pass a flatten_with_keys_fn argument to register_pytree_node."
        )
    for key, child in node.flatten_with_keys_fn(tree)[0]:
        yield from _walk_paths((*path, key), child, is_leaf)


def tree_leaves_with_path(tree: PyTree, is_leaf=None) -> list[tuple[KeyPath, Any]]:
    """The leaves, each with the path to it.

    >>> [(keystr(path), leaf) for path, leaf in tree_leaves_with_path({"a": [1, 2]})]
    [("['a'][0]", 1), ("['a'][1]", 2)]
    """
    return list(_walk_paths((), tree, is_leaf))


def tree_flatten_with_path(tree: PyTree, is_leaf=None) -> tuple[list[tuple[KeyPath, Any]], TreeSpec]:
    """The leaves, each with the path to it, and the spec."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(func: Callable, tree: PyTree, *rests: PyTree, is_leaf=None) -> PyTree:
    """tree_map with the path to each leaf as the first argument.

    >>> tree_map_with_path(lambda path, x: keystr(path), [0, 0])
    ['[0]', '[1]']
    """
    found, spec = tree_flatten_with_path(tree, is_leaf)
    paths, leaves = [path for path, _ in found], [leaf for _, leaf in found]
    return spec.unflatten(map(func, paths, leaves, *(spec.flatten_up_to(rest) for rest in rests)))
