"""Work bound by memory: pointwise, reductions, softmax, norms, copies, on a million elements (in cache) and sixteen.

None may be slower than PyTorch. The contiguous add is also held against the machine: the rate of bench/stream.c.
"""

import shutil
import subprocess
import tempfile
import timeit
from functools import lru_cache
from pathlib import Path

from case import case, values

SIZES = {"1M": 1024, "16M": 16384}  # rows of 1024

POINTWISE = {
    "a + b": lambda m, a, b: a + b,
    "a * b + a": lambda m, a, b: a * b + a,
    "a / 3": lambda m, a, b: a / 3,
    "a > b": lambda m, a, b: a > b,
    "relu": lambda m, a, b: m.relu(a),
    "exp": lambda m, a, b: a.exp(),
    "sigmoid": lambda m, a, b: a.sigmoid(),
    "tanh": lambda m, a, b: a.tanh(),
    "gelu": lambda m, a, b: m.nn.functional.gelu(a),
    "a.t() + b": lambda m, a, b: a[:1024].t() + b[:1024],
}
REDUCTIONS = {
    "sum": lambda m, a: a.sum(),
    "sum(-1)": lambda m, a: a.sum(-1),
    "sum(0)": lambda m, a: a.sum(0),
    "mean(-1)": lambda m, a: a.mean(-1),
    "max": lambda m, a: a.max(),
    "max(-1)": lambda m, a: a.max(-1),
    "argmax(-1)": lambda m, a: a.argmax(-1),
    "var(-1)": lambda m, a: a.var(-1),
    "cumsum(-1)": lambda m, a: a.cumsum(-1),
    "softmax(-1)": lambda m, a: a.softmax(-1),
    "log_softmax(-1)": lambda m, a: a.log_softmax(-1),
    "layer_norm": lambda m, a: m.nn.functional.layer_norm(a, (1024,)),
}
COPIES = {
    "clone": lambda m, a: a.clone(),
    "to(bfloat16)": lambda m, a: a.to(m.bfloat16),
    "to(float64)": lambda m, a: a.to(m.float64),
    "t().contiguous()": lambda m, a: a.t().contiguous(),
    "cat of halves": lambda m, a: m.cat([a[: len(a) // 2], a[len(a) // 2 :]], 1),
    "fill_": lambda m, a: m.empty_like(a).fill_(1.5),
}


def register(group, name, rows, work, operands):
    def make(m):
        tensors = [values(m, rows, 1024, seed=seed) for seed in range(operands)]
        return lambda: work(m, *tensors)

    make.__module__ = __name__
    case(group, name, ratio=1.0)(make)


for _size, _rows in SIZES.items():
    for _group, _works, _operands in (("pointwise", POINTWISE, 2), ("reduction", REDUCTIONS, 1), ("copy", COPIES, 1)):
        for _name, _work in _works.items():
            register(_group, f"{_name}, {_size}", _rows, _work, _operands)


def masked(m, rows):
    a, b = values(m, rows, 1024), values(m, rows, 1024, seed=1)
    return a, b, a > b


for _size, _rows in SIZES.items():

    @case("pointwise", f"where, random mask, {_size}", ratio=1.0)
    def where(m, rows=_rows):
        a, b, mask = masked(m, rows)
        return lambda: m.where(mask, a, b)

    @case("pointwise", f"masked_fill, random mask, {_size}", ratio=1.0)
    def masked_fill(m, rows=_rows):
        a, _, mask = masked(m, rows)
        return lambda: a.masked_fill(mask, 0.0)

    @case("pointwise", f"add, out=, {_size}", ratio=1.0)
    def add_out(m, rows=_rows):
        a, b = values(m, rows, 1024), values(m, rows, 1024, seed=1)
        out = m.empty_like(a)
        return lambda: m.add(a, b, out=out)


@case("random", "randn, 1M")
def randn(m):
    return lambda: m.randn(1024, 1024)


@case("random", "dropout, 1M")
def dropout(m):
    a = values(m, 1024, 1024)
    return lambda: m.nn.functional.dropout(a, 0.1, True)


@lru_cache
def stream_rate(count, threads):
    """Bytes a second that the machine moves in c = a + b over `count` floats; None without a C compiler."""
    if not (compiler := shutil.which("cc") or shutil.which("gcc")):
        return None
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "stream"
        source = Path(__file__).parents[1] / "stream.c"
        subprocess.run([compiler, "-O3", "-march=native", "-fopenmp", source, "-o", program], check=True)
        done = subprocess.run([program, str(count), str(threads)], capture_output=True, text=True, check=True)
    return float(done.stdout)


@case("bandwidth", "a + b, 16M, share of measured bandwidth", above=0.9, unit="/s")
def share_of_bandwidth(m):
    count = 16 << 20
    a, b = values(m, 16384, 1024), values(m, 16384, 1024, seed=1)
    seconds = min(timeit.repeat(lambda: a + b, number=1, repeat=15))
    rate = stream_rate(count, m.get_num_threads())
    if rate is None:
        raise RuntimeError("no C compiler to measure the memory's own rate with")
    return 12 * count / seconds / rate
