"""One tensor, one Python object: identity, attributes, weak references, subclasses and cycles across C++."""

import copy
import gc
import pickle
import threading
import weakref

import ember
import pytest

pytestmark = pytest.mark.sanitize


def test_grad_is_one_object():
    p = ember.ones(2, requires_grad=True)
    (p * p).sum().backward()
    assert p.grad is p.grad
    p.grad.note = "kept"
    gc.collect()
    assert p.grad.note == "kept"


def test_attributes_and_weak_references_survive_a_trip_through_cpp():
    p = ember.ones(2, requires_grad=True)
    g = ember.ones(2)
    g.tag = [1]
    seen = weakref.ref(g)
    p.grad = g
    number = id(g)
    del g
    gc.collect()
    assert seen() is not None and p.grad.tag == [1] and id(p.grad) == number
    p.grad = None
    gc.collect()
    assert seen() is None


def test_subclass_survives():
    class Marked(ember.Tensor):
        pass

    p = ember.ones(2, requires_grad=True)
    p.grad = ember.Tensor._make_subclass(Marked, ember.zeros(2))
    gc.collect()
    assert type(p.grad) is Marked


def test_object_outlives_its_impl_through_a_weak_reference():
    p = ember.ones(3, requires_grad=True)
    g = ember.full((3,), 5.0)
    g.tag = 1
    r = weakref.ref(g)
    p.grad = g
    del g
    strong = r()  # C++ owns the impl, this is a second reference to the object
    p.grad = None
    del p
    gc.collect()
    assert strong.tolist() == [5.0, 5.0, 5.0] and strong.tag == 1
    assert (strong + 1).tolist() == [6.0, 6.0, 6.0]


def test_cycles_are_collected():
    x = ember.ones(2)
    x.me = x
    r = weakref.ref(x)
    del x
    gc.collect()
    assert r() is None
    y = ember.ones(2, requires_grad=True)
    y.register_hook(lambda g, y=y: g)
    r = weakref.ref(y)
    del y
    gc.collect()
    assert r() is None


def test_cycle_held_by_cpp_is_not_collected():
    p = ember.ones(2, requires_grad=True)
    g = ember.ones(2)
    g.me = g
    p.grad = g
    del g
    gc.collect()
    gc.collect()
    assert p.grad.me is p.grad


def test_function_context_cycle_is_collected():
    class F(ember.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = ember.ones(2, requires_grad=True)
    y = F.apply(x)
    y.grad_fn.result = y
    r = weakref.ref(y)
    del y
    gc.collect()
    assert r() is None


def test_many_plain_tensors_leave_nothing_behind():
    gc.collect()
    before = ember._C._memory_stats()["blocks"]
    for _ in range(1000):
        a = ember.ones(3)
        b = a + a
        c = b[0]
    del a, b, c
    gc.collect()
    assert ember._C._memory_stats()["blocks"] <= before + 4


@pytest.mark.parametrize("make", [lambda: ember.ones(4), lambda: ember.nn.Parameter(ember.ones(4))])
@pytest.mark.parametrize("accumulate", [False, True])
def test_create_graph_leaks_nothing(accumulate, make):
    """PyTorch warns of a ring of references when backward() is recorded, and keeps it."""

    def step():
        x = make().requires_grad_()
        y = (x * x * x).sum() + ember.nn.functional.softmax(x, 0)[0]
        if accumulate:
            y.backward(create_graph=True)
            g = x.grad
        else:
            (g,) = ember.autograd.grad(y, x, create_graph=True)
        (g * g).sum().backward()

    for _ in range(20):
        step()
    gc.collect()
    before = ember._C._memory_stats()["blocks"]
    for _ in range(200):
        step()
    gc.collect()
    assert ember._C._memory_stats()["blocks"] <= before + 4


def test_threads():
    p = ember.ones(1000, requires_grad=True)
    errors = []

    def work(n):
        try:
            for i in range(100):
                t = ember.ones(50) * n
                t.tag = i
                holder = ember.zeros(50, requires_grad=True)
                holder.grad = t
                del t
                assert holder.grad.tag == i
                (p * n).sum()
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not errors


def test_deepcopy():
    x = ember.arange(6, dtype=ember.float32).reshape(2, 3).requires_grad_()
    x.note = {"a": [1]}
    y = copy.deepcopy(x)
    assert y.tolist() == x.tolist() and y.requires_grad and y.note == {"a": [1]} and y.note is not x.note
    assert y.data_ptr() != x.data_ptr()
    base = ember.zeros(4)
    a, b = copy.deepcopy([base, base[1:3]])
    a[1] = 7
    assert b[0].item() == 7
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(x * 2)


def test_pickle():
    for x in (
        ember.arange(6).reshape(2, 3),
        ember.ones(2, 3).t(),
        ember.zeros(0, 2),
        ember.tensor(2.5, dtype=ember.bfloat16),
        ember.tensor([1 + 2j]),
        ember.ones(2, requires_grad=True),
        ember.arange(4)[::2],
    ):
        y = pickle.loads(pickle.dumps(x))
        assert y.dtype is x.dtype and y.shape == x.shape and y.tolist() == x.tolist()
        assert y.requires_grad == x.requires_grad
    for thing in (
        ember.float32,
        ember.device("cpu"),
        ember.Size([1, 2]),
        ember.strided,
        ember.channels_last,
        ember.relu,
    ):
        assert pickle.loads(pickle.dumps(thing)) == thing
    p = ember.nn.Parameter(ember.ones(2))
    q = pickle.loads(pickle.dumps(p))
    assert type(q) is ember.nn.Parameter and q.tolist() == [1, 1]


def test_out_of_memory_tells_what_there_is():
    big = ember.zeros(1000, 3, 500)
    with pytest.raises(ember.OutOfMemoryError) as raised:
        ember.zeros(2**40)
    assert issubclass(ember.OutOfMemoryError, RuntimeError)
    text = str(raised.value)
    assert f"you tried to allocate {2**42} bytes" in text and "bytes are allocated" in text
    assert "6000000 bytes: float32 of shape [1000, 3, 500]" in text and "made at" not in text
    del big
    with ember.autograd.detect_anomaly(), pytest.raises(ember.OutOfMemoryError) as raised:
        placed = ember.zeros(2000, 3, 500)
        ember.zeros(2**42, dtype=ember.uint8)
    assert "[1000, 3, 500]" not in str(raised.value)
    assert "placed = ember.zeros" in str(raised.value)
    del placed


@pytest.mark.parametrize("make", [
    lambda m: m.empty(2**62),
    lambda m: m.zeros(2**33, 2**33),
    lambda m: m.ones(3).expand(2**62, 2**10, 3).clone(),
    lambda m: m.ones(1).repeat(2**62, 8),
    lambda m: m.nn.functional.pad(m.ones(2), (2**63 - 1, 1)),
    lambda m: m.ones(4).as_strided((3,), (2**62,)),
    lambda m: m.ones(2, 1).tensor_split(2**60),
])  # fmt: skip
def test_sizes_that_overflow(make):
    with pytest.raises(RuntimeError):
        make(ember)
