"""Between tensors and Python's, NumPy's and other libraries' data; PyTorch and NumPy are the oracles."""

import ember
import numpy as np
import pytest
import torch

pytestmark = pytest.mark.sanitize

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]

DATA = [
    1,
    1.5,
    True,
    1j,
    [],
    [[]],
    [[], []],
    [1, 2],
    [1, 2.5],
    [True, 1],
    [True, False],
    [1, 2j],
    (1, (2)),
    [[1, 2], [3, 4]],
    [[[1.0]]],
    range(4),
    [range(2), range(2)],
    np.float64(2),
    np.float32(2),
    np.int16(3),
    [np.float64(1), np.float64(2)],
    [np.float32(1), 2],
    np.arange(3),
    np.arange(6).reshape(2, 3)[:, ::2],
    np.array(5),
    [np.arange(2), np.arange(2)],
    np.array([True, False]),
    np.arange(3, dtype="uint16"),
]


@pytest.mark.parametrize("data", DATA, ids=repr)
def test_tensor_of(data):
    e, t = ember.tensor(data), torch.tensor(data)
    assert str(e.dtype) == str(t.dtype) and tuple(e.shape) == tuple(t.shape) and e.tolist() == t.tolist()
    assert e.stride() == t.stride()
    e, t = ember.as_tensor(data), torch.as_tensor(data)
    assert str(e.dtype) == str(t.dtype) and e.tolist() == t.tolist()


@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
def test_tensor_with_dtype(dtype):
    for data in (
        1,
        0,
        [1, 0],
        [True],
        *(() if dtype == "uint64" else (2.0, [[1.0, 3.0]])),
    ):  # PyTorch has none for uint64
        e = ember.tensor(data, dtype=getattr(ember, dtype))
        t = torch.tensor(data, dtype=getattr(torch, dtype))
        assert e.tolist() == t.tolist() and str(e.dtype) == str(t.dtype)
        assert [type(v) for v in np.ravel(np.array(e.tolist(), dtype=object))] == [
            type(v) for v in np.ravel(np.array(t.tolist(), dtype=object))
        ]


BAD = [
    [[1, 2], [3]],
    [[1], 2],
    [1, [2]],
    "a",
    ["a"],
    [[1, 2], [3, 4, 5]],
    None,
    [None],
    object(),
    {1: 2},
    2**70,
    [2**70],
    np.array(["a"]),
    np.array([object()]),
]


@pytest.mark.parametrize("data", BAD, ids=lambda data: type(data).__name__)
def test_bad_data(data):
    with pytest.raises(Exception) as theirs:
        torch.tensor(data)
    with pytest.raises(Exception) as ours:
        ember.tensor(data)
    assert isinstance(ours.value, (TypeError, ValueError, RuntimeError, OverflowError))
    if isinstance(data, list) and data and isinstance(data[0], list) and isinstance(theirs.value, ValueError):
        assert type(ours.value) is type(theirs.value) and str(ours.value) == str(theirs.value)


def test_overflow():
    for library in (ember, torch):
        with pytest.raises(RuntimeError, match="without overflow"):
            library.tensor(300, dtype=library.uint8)
        with pytest.raises(RuntimeError, match="without overflow"):
            library.tensor([1 << 40], dtype=library.int32)


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_shares_memory(dtype):
    array = np.zeros((2, 3), dtype=dtype)
    x = ember.from_numpy(array)
    array[1, 2] = 1
    assert x[1, 2].item() == 1 and str(x.dtype) == f"torch.{dtype}"
    back = x.numpy()
    assert back.dtype == array.dtype and back.shape == array.shape
    x[0, 0] = 1
    assert back[0, 0] == 1 and array[0, 0] == 1
    y = ember.ones(3, dtype=getattr(ember, dtype))
    view = y[1:].numpy()
    view[0] = 0
    assert y.tolist()[1] == 0


def test_numpy_strides_both_ways():
    array = np.arange(24.0).reshape(2, 3, 4)
    for part in (array[::-1], array[:, ::-2], array.T, array[..., 1], array[:0]):
        x = ember.from_numpy(part)
        assert x.tolist() == part.tolist()
        assert np.array_equal(x.numpy(), part) and (part.size == 0 or x.numpy().strides == part.strides)
        assert part.size == 0 or x.numpy().__array_interface__["data"][0] == part.__array_interface__["data"][0]


def test_numpy_refusals():
    with pytest.raises(RuntimeError, match="Can't call numpy\\(\\) on Tensor that requires grad"):
        ember.ones(1, requires_grad=True).numpy()
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        np.asarray(ember.ones(1, requires_grad=True))
    with pytest.raises(TypeError, match="BFloat16"):
        ember.ones(1, dtype=ember.bfloat16).numpy()
    with pytest.raises(TypeError, match="expected np.ndarray"):
        ember.from_numpy([1])
    with pytest.raises(TypeError, match="can't convert np.ndarray of type numpy.object_"):
        ember.from_numpy(np.array([object()]))
    with pytest.raises(ValueError, match="byte order"):
        ember.from_numpy(np.arange(3, dtype=">i4"))
    assert ember.ones(2, requires_grad=True).numpy(force=True).tolist() == [1, 1]


def test_read_only_warns():
    array = np.arange(3)
    array.setflags(write=False)
    code = (
        "import numpy as np, ember, warnings; warnings.simplefilter('error'); a = np.arange(3); "
        "a.setflags(write=False); ember.from_numpy(a)"
    )
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "not writable" in done.stderr


def test_numpy_functions_and_operators():
    x, array = ember.ones(3), np.arange(3.0, dtype="float32")
    assert np.add(array, x.numpy()).tolist() == [1, 2, 3]
    assert (x + array).tolist() == [1, 2, 3] and isinstance(x + array, ember.Tensor)
    assert isinstance(array * x, ember.Tensor)
    assert np.sum(x) == 3 and np.asarray(x).dtype == np.float32
    assert np.array([ember.tensor(1.0), ember.tensor(2.0)]).tolist() == [1, 2]
    assert (x == np.ones(3)).tolist() == [True] * 3


def test_dlpack():
    x = ember.arange(6).reshape(2, 3)
    for other in (torch.from_dlpack(x), np.from_dlpack(x)):
        assert other.tolist() == x.tolist()
    torch.from_dlpack(x)[0, 0] = 9
    assert x[0, 0].item() == 9
    t = torch.arange(6.0).reshape(2, 3).t()
    y = ember.from_dlpack(t)
    assert y.tolist() == t.tolist() and y.stride() == t.stride() and y.data_ptr() == t.data_ptr()
    assert ember.from_dlpack(np.arange(3)).tolist() == [0, 1, 2]
    for dtype in ("bool", "bfloat16", "float16", "complex64", "int8", "uint8", "float64"):
        z = ember.from_dlpack(torch.ones(2, dtype=getattr(torch, dtype)))
        assert str(z.dtype) == f"torch.{dtype}" and z.tolist() == torch.ones(2, dtype=getattr(torch, dtype)).tolist()
        assert str(torch.from_dlpack(z).dtype) == f"torch.{dtype}"
    with pytest.raises(BufferError, match="require"):
        torch.from_dlpack(ember.ones(1, requires_grad=True))
    assert x.__dlpack_device__() == (1, 0)


def test_buffer_protocol():
    x = ember.arange(4, dtype=ember.int32)
    m = memoryview(x)
    assert m.format == "i" and m.shape == (4,) and m.tolist() == [0, 1, 2, 3]
    m[1] = 7
    assert x.tolist() == [0, 7, 2, 3]
    assert bytes(ember.tensor([1, 2], dtype=ember.uint8)) == b"\x01\x02"
    import array

    y = ember.frombuffer(array.array("d", [1.0, 2.0]), dtype=ember.float64)
    assert y.tolist() == [1.0, 2.0]
    for library in (ember, torch):
        with pytest.raises(ValueError, match="must be a multiple of element size"):
            library.frombuffer(bytearray(5), dtype=library.int32)
        with pytest.raises(ValueError, match="both buffer length"):
            library.frombuffer(bytearray(0), dtype=library.int32)


def test_python_numbers():
    for library, out in ((ember, ours := []), (torch, theirs := [])):
        for value in (3, 3.7, True, -2.5):
            x = library.tensor(value)
            out += [int(x), float(x), bool(x), complex(x), x.item(), type(x.item())]
        out += [[1, 2, 3][library.tensor(1)], list(range(library.tensor(3))), library.tensor([[5]]).item()]
        for bad, error in (
            (lambda l: bool(l.ones(2)), "more than one value is ambiguous"),
            (lambda l: bool(l.ones(0)), "no values is ambiguous"),
            (lambda l: l.ones(2).item(), "cannot be converted to Scalar"),
            (lambda l: [1][l.tensor(0.0)], "only integer tensors of a single element"),
        ):
            with pytest.raises((RuntimeError, TypeError), match=error):
                bad(library)
    assert ours == theirs


def test_to_and_casts():
    for library, out in ((ember, ours := []), (torch, theirs := [])):
        x = library.tensor([1.5, -2.5])
        for y in (
            x.to(library.int64),
            x.to("cpu"),
            x.to("cpu", library.float64),
            x.to(dtype=library.float16),
            x.to(library.ones(1, dtype=library.int32)),
            x.int(),
            x.long(),
            x.double(),
            x.half(),
            x.bool(),
            x.type(library.int8),
            x.type("torch.DoubleTensor"),
            x.to(library.device("cpu"), library.int16, False, True),
        ):
            out += [str(y.dtype), y.tolist()]
        out += [
            x.to(library.float32) is x,
            x.float() is x,
            x.cpu() is x,
            x.to(library.float32, copy=True) is x,
            x.type(),
        ]
        with pytest.raises(TypeError, match="to\\(\\) received an invalid combination"):
            x.to([1])
        with pytest.raises(AssertionError, match="CUDA"):
            x.cuda()
        with pytest.raises((AssertionError, RuntimeError)):
            x.to("cuda")
    assert ours == theirs


@pytest.mark.parametrize(
    "make",
    [
        lambda l: l.zeros(2, device="cuda"),
        lambda l: l.empty(2, device="cuda:1"),
        lambda l: l.tensor([1], device="cuda"),
        lambda l: l.ones(2).to("cuda"),
        lambda l: l.zeros_like(l.ones(2), device="cuda"),
        lambda l: l.nn.Linear(2, 2, device="cuda"),
    ],
)
def test_devices_that_are_not_there(make):
    for library in (ember, torch):
        with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
            make(library)


def test_legacy_constructors():
    for library, out in ((ember, ours := []), (torch, theirs := [])):
        for make in (
            lambda l: l.Tensor([1, 2]),
            lambda l: l.FloatTensor([1.5]),
            lambda l: l.LongTensor([[1, 2]]),
            lambda l: l.Tensor(2, 3).shape,
            lambda l: l.Tensor().shape,
            lambda l: l.IntTensor(3).shape,
            lambda l: l.Tensor(l.Size([2, 1])).shape,
            lambda l: l.ByteTensor([1]),
        ):
            out.append(repr(make(library)))
        out += [isinstance(library.ones(1), library.FloatTensor), isinstance(library.ones(1), library.LongTensor)]
    assert ours == theirs


def test_size_device_dtype_behave():
    for library, out in ((ember, ours := []), (torch, theirs := [])):
        s = library.Size([2, 3, 4])
        out += [
            repr(s),
            repr(s[1:]),
            repr(s + (1,)),
            s.numel(),
            repr(s * 2),
            s == (2, 3, 4),
            repr(library.Size([library.tensor(2)])),
        ]
        out += [s[0], len(s), hash(s) == hash((2, 3, 4)), repr((1,) + s) if library is torch else repr((1,) + s)]
        d = library.device("cpu", 0)
        out += [
            repr(d),
            d.type,
            d.index,
            d == library.device("cpu:0"),
            library.device("cpu") == "cpu",
            str(library.device("meta")),
        ]
        out += [
            library.float32.is_floating_point,
            library.complex64.is_complex,
            library.uint8.is_signed,
            library.int16.itemsize,
        ]
        out += [str(library.float32.to_complex()), str(library.complex128.to_real())]
        with pytest.raises(RuntimeError):
            library.device("nothing")
        with pytest.raises(TypeError):
            library.Size(["a"])
        f = library.finfo(library.float16)
        out += [
            f.eps,
            f.max,
            f.min,
            f.tiny,
            f.bits,
            f.dtype,
            library.iinfo(library.uint8).max,
            library.iinfo(library.int64).min,
        ]
        with pytest.raises(TypeError):
            library.iinfo(library.float32)
    assert ours == theirs


def test_speed_of_nested_lists():
    import time

    data = [[float(i * j) for j in range(100)] for i in range(100)]
    best = min(_timed(lambda: ember.tensor(data), time) for _ in range(20))
    assert best < 1e-3


def _timed(f, time):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def test_any_byte_seen_as_bool_is_a_bool():
    ours, theirs = (m.tensor([2, 0, 255], dtype=m.uint8).view(m.bool) for m in (ember, torch))
    assert ours.tolist() == theirs.tolist() == [True, False, True]
    assert [x.item() for x in ours] == [x.item() for x in theirs]
