"""Random arguments for every registered op: an exception is fine, a crash, a hang or a corrupted tensor is not.

Each op gets its calls in a process of its own kind of luck: seeds are fixed, so a failure repeats. EMBER_FUZZ_SECONDS
sets how long the whole run may take (20 seconds unless set). The sanitizer's build runs this file.
"""

import faulthandler
import os
import random
import subprocess
import sys
import time

import pytest

SECONDS = float(os.environ.get("EMBER_FUZZ_SECONDS", "20"))
# Names that open with an underscore, and backward kernels, are called by other ops alone, which check first.
# Of these a huge number is right, and takes a century.
SKIP = {"combinations", "hsplit", "vsplit", "dsplit", "tensor_split", "chunk"}


def public(name):
    return name[0] != "_" and not name.endswith("_backward") and name not in SKIP


def tensors(rng, ember):
    dtypes = [
        ember.float32,
        ember.float64,
        ember.int64,
        ember.bool,
        ember.float16,
        ember.complex64,
        ember.uint8,
        ember.bfloat16,
    ]
    dtype = rng.choice(dtypes[:4] if rng.random() < 0.7 else dtypes)
    shape = [rng.choice([0, 1, 2, 3, 5]) for _ in range(rng.choice([0, 1, 2, 2, 3, 4, 5]))]
    x = ember.randint(0, 4, shape).to(dtype)
    if x.dim() > 1 and rng.random() < 0.3:
        x = x.transpose(0, -1)
    if x.dim() and x.shape[0] > 1 and rng.random() < 0.2:
        x = x[::-1]
    if rng.random() < 0.05:
        x = x.to("meta")
    if rng.random() < 0.2 and (x.is_floating_point() or x.is_complex()):
        x = x.clone().requires_grad_()
    return x


def value(rng, ember, kind):
    if rng.random() < 0.03:
        return rng.choice([None, "a", [], 1.5, object(), -(2**63), 2**63 - 1, float("nan"), (1, 2)])
    number = lambda: rng.choice([0, 1, 2, -1, -2, 3, 7, 100, -5])  # noqa: E731
    if kind.endswith("?"):
        return None if rng.random() < 0.4 else value(rng, ember, kind[:-1])
    if kind.startswith("Tensor"):
        if "[" in kind:
            optional = "?" in kind
            return [None if optional and rng.random() < 0.3 else tensors(rng, ember) for _ in range(rng.randint(0, 3))]
        return tensors(rng, ember)
    if kind.startswith(("int[", "SymInt[")):
        return [number() for _ in range(rng.randint(0, 4))]
    if kind in ("int", "SymInt"):
        return number()
    if kind.startswith("float["):
        return [rng.random() for _ in range(rng.randint(0, 3))]
    if kind.startswith("bool["):
        return [rng.random() < 0.5 for _ in range(3)]
    if kind == "float":
        return rng.choice([0.0, 0.5, 1.0, -1.0, 1e300, float("inf"), 2])
    if kind == "bool":
        return rng.random() < 0.5
    if kind.startswith("Scalar"):
        return [number()] if "[" in kind else rng.choice([number(), 0.5, True, 1j, 1e30])
    if kind == "str":
        return rng.choice(
            ["none", "mean", "sum", "constant", "reflect", "floor", "trunc", "tanh", "ij", "i,i->", "linear"]
        )
    if kind == "ScalarType":
        return rng.choice([ember.float32, ember.int64, ember.bool, ember.complex64, ember.float16])
    if kind == "Device":
        return rng.choice(["cpu", "meta"])
    if kind == "Layout":
        return ember.strided
    if kind == "MemoryFormat":
        return rng.choice([ember.contiguous_format, ember.preserve_format, ember.channels_last])
    return None


def arguments(schema):
    """(type, name) of each argument in a schema line."""
    text = schema[schema.index("(") + 1 : schema.rindex(") ->")]
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text + ","):
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    out = []
    for part in parts:
        if part and part != "*":
            kind, name = part.split("=")[0].rsplit(" ", 1)
            out.append((kind.split("(")[0] + (kind.split(")")[1] if ")" in kind else ""), name))
    return out


def use(result, ember, rng):
    """Reads what came back, and walks its graph: a wrong result must at least be a whole tensor."""
    for t in result if isinstance(result, (tuple, list)) else (result,):
        if isinstance(t, ember.Tensor):
            if not t.is_meta and 0 < t.numel() < 10_000:
                t.tolist()
            repr(t.shape), t.stride(), t.is_contiguous()
            if t.requires_grad and rng.random() < 0.5:
                t.sum().abs().backward()


def fuzz(seed, seconds):
    import ember

    faulthandler.enable()
    end = time.monotonic() + seconds
    rng = random.Random(seed)
    ember.manual_seed(seed)
    callables = [(name, f) for name, f in vars(ember._C.ops).items() if hasattr(f, "schemas") and public(name)]
    callables += [
        (name, f) for name, f in vars(ember.Tensor).items() if hasattr(f, "schemas") and not hasattr(ember._C.ops, name)
    ]
    calls = 0
    while time.monotonic() < end:
        rng.shuffle(callables)
        for name, f in callables:
            schema = arguments(rng.choice(f.schemas))
            args = [value(rng, ember, kind) for kind, _ in schema]
            print(
                f"{name} {[(tuple(a.shape), a.dtype) if isinstance(a, ember.Tensor) else a for a in args]}",
                file=sys.stderr,
            )
            kwargs = {}
            while args and rng.random() < 0.5:
                kwargs[schema[len(args) - 1][1]] = args.pop()
            try:
                use(f(*args, **kwargs), ember, rng)
            except (
                RuntimeError,
                TypeError,
                ValueError,
                IndexError,
                NotImplementedError,
                OverflowError,
                AttributeError,
            ):
                pass
            calls += 1
            if time.monotonic() > end:
                break
    print(f"{calls} calls")


@pytest.mark.sanitize
@pytest.mark.parametrize("seed", [1, 2])
def test_no_arguments_crash(seed):
    done = subprocess.run(
        [sys.executable, __file__, str(seed), str(SECONDS / 2)],
        capture_output=True,
        text=True,
        timeout=SECONDS * 10 + 120,
    )
    assert done.returncode == 0, "\n".join(done.stderr.splitlines()[-25:])


if __name__ == "__main__":
    fuzz(int(sys.argv[1]), float(sys.argv[2]))
