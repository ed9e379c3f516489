# Trees against PyTorch's: leaves, specs as text, paths, mapping, errors.
"""Tests of ember.utils._pytree."""

import collections
import copy
import dataclasses
import pickle

import ember.utils._pytree as ours
import pytest
import torch.utils._pytree as theirs

Point = collections.namedtuple("Point", "x y")

TREES = [
    1,
    None,
    [],
    (),
    {},
    [1, (2, 3), {"a": 4, "b": [5]}],
    (1, [2, [3, (4,)]], "text"),
    {"b": 1, "a": {"d": 2, "c": 3}},
    Point(1, [2, 3]),
    collections.OrderedDict(z=1, y=[2]),
    collections.defaultdict(list, {"k": [1, 2]}),
    collections.deque([1, 2], maxlen=3),
    [[], [[]], ({},)],
]


def both(run):
    results = []
    for m in (ours, theirs):
        try:
            results.append(run(m))
        except Exception as error:
            results.append(type(error))
    return results


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_flatten(tree):
    leaves, spec = ours.tree_flatten(tree)
    expected, their_spec = theirs.tree_flatten(tree)
    assert leaves == expected == ours.tree_leaves(tree) == list(ours.tree_iter(tree))
    assert (spec.num_leaves, spec.num_nodes, spec.num_children) == (
        their_spec.num_leaves,
        their_spec.num_nodes,
        their_spec.num_children,
    )
    assert repr(spec) == repr(their_spec)
    rebuilt = ours.tree_unflatten(leaves, spec)
    assert rebuilt == tree and type(rebuilt) is type(tree)
    assert spec == ours.tree_structure(tree) and spec == copy.deepcopy(spec) == pickle.loads(pickle.dumps(spec))
    assert spec.is_leaf() == their_spec.is_leaf()
    assert ours.treespec_pprint(spec) == theirs.treespec_pprint(their_spec)


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_paths(tree):
    def named(m):
        return [(m.keystr(path), leaf, m.key_get(tree, path) == leaf) for path, leaf in m.tree_leaves_with_path(tree)]

    assert named(ours) == named(theirs)
    a, b = both(lambda m: m.tree_map_with_path(lambda path, x: (m.keystr(path), x), tree))
    assert a == b


@pytest.mark.parametrize(
    "run",
    [
        lambda m: m.tree_map(lambda x: x * 2, [1, {"a": (2,)}]),
        lambda m: m.tree_map(lambda x, y: (x, y), [1, {"a": 2}], ["p", {"a": "q"}]),
        lambda m: m.tree_map(lambda x, y: (x, y), [1, 2], [[3, 4], {"deep": 5}]),
        lambda m: m.tree_map(lambda x, y: x + y, {"a": 1, "b": 2}, {"b": 10, "a": 20}),
        lambda m: m.tree_map(lambda x, y: x, [1, 2], [1]),
        lambda m: m.tree_map(lambda x, y: x, [1, 2], (1, 2)),
        lambda m: m.tree_map(lambda x, y: x, {"a": 1}, {"b": 1}),
        lambda m: m.tree_map(len, [(1, 2), [3]], is_leaf=lambda x: isinstance(x, tuple)),
        lambda m: m.tree_map_only(int, lambda x: -x, [1, "a", 2.0]),
        lambda m: m.tree_map_only((int, float), lambda x: -x, [1, "a", 2.0]),
        lambda m: m.tree_map_only(lambda x: x == 1, lambda x: "one", [1, 2]),
        lambda m: m.tree_all(lambda x: x > 0, [1, [2]]),
        lambda m: m.tree_any(lambda x: x > 1, [1, [0]]),
        lambda m: m.tree_all_only(int, lambda x: x > 0, [1, "a"]),
        lambda m: m.tree_any_only(int, lambda x: x > 1, [1, "a"]),
        lambda m: m.tree_unflatten([1], m.tree_structure([1, 2])),
        lambda m: m.tree_unflatten([1], None),
        lambda m: m.arg_tree_leaves(1, [2], a=3),
        lambda m: m._broadcast_to_and_flatten(1, m.tree_structure([1, (2, 3)])),
        lambda m: m._broadcast_to_and_flatten([1, 2], m.tree_structure([1, (2, 3)])),
        lambda m: m._broadcast_to_and_flatten([1, (2, 3, 4)], m.tree_structure([1, (2, 3)])),
        lambda m: m.tree_is_leaf([1]),
        lambda m: m.tree_is_leaf(1),
        lambda m: m.register_pytree_node(list, None, None),
    ],
)
def test_functions(run):
    a, b = both(run)
    assert a == b


def test_registration():
    class Box:
        def __init__(self, *items):
            self.items = items

    for m in (ours, theirs):
        m.register_pytree_node(
            Box,
            lambda box: (list(box.items), len(box.items)),
            lambda children, context: Box(*children),
            flatten_with_keys_fn=lambda box: ([(m.SequenceKey(i), x) for i, x in enumerate(box.items)], len(box.items)),
        )
        assert Box in m.SUPPORTED_NODES
        assert m.tree_map(lambda x: x + 1, [Box(1, 2)])[0].items == (2, 3)
        assert [m.keystr(p) for p, _ in m.tree_leaves_with_path({"a": Box(1, 2)})] == ["['a'][0]", "['a'][1]"]


def test_dataclasses_and_constants():
    @dataclasses.dataclass
    class Pair:
        a: int
        b: object = None

    class Mode(str):
        pass

    ours.register_dataclass(Pair)
    ours.register_constant(Mode)
    assert ours.tree_map(lambda x: x + 1, Pair(1)) == Pair(2)
    assert ours.tree_leaves([Pair(1, [2]), Mode("m")]) == [1, 2]
    assert ours.tree_structure(Mode("a")) != ours.tree_structure(Mode("b"))


def test_specs_differ():
    specs = [ours.tree_structure(tree) for tree in TREES if tree not in (1, None)]
    for i, a in enumerate(specs):
        for j, b in enumerate(specs):
            assert (a == b) == (i == j)
    assert ours.LeafSpec() == ours.tree_structure(1)
    assert isinstance(ours.LeafSpec(), ours.TreeSpec)
    assert len({hash(ours.tree_structure(t)) for t in TREES}) > 8
