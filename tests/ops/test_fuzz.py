"""Random arguments for every registered op: an exception is fine, a crash, a hang or a corrupted tensor is not.

All ops are called, those that other ops call included, as functions, methods, in place and with `out=`. The arguments
of one call are half alike (shapes and dtypes out of a small pool, words out of the op's own documentation) and half
not, so that calls get past the first check. Seeds are fixed, so a failure repeats:
`python test_fuzz.py SEED SECONDS [NAME ...]`. EMBER_FUZZ_SECONDS sets how long the whole run may take (20 seconds
unless set). The sanitizer's build runs this file.
"""

import faulthandler
import os
import random
import re
import subprocess
import sys
import time

import pytest

SECONDS = float(os.environ.get("EMBER_FUZZ_SECONDS", "20"))
# Of combinations a big number is right, and takes a century.
SKIP = {"combinations"}
WORDS = [
    "none",
    "mean",
    "sum",
    "prod",
    "amax",
    "amin",
    "constant",
    "reflect",
    "replicate",
    "circular",
    "floor",
    "trunc",
]
WORDS += ["tanh", "ij", "xy", "valid", "same", "left", "right", "fro", "nuc", "add", "multiply", "linear", "lower"]
WORDS += ["higher", "midpoint", "nearest", "i,i->", "ij,jk->ik", "...i->i...", "ii", "i->ii", "", "->", "é"]


def callables(ember):
    """(name, object) of all that has a schema: functions, then the methods that are no functions."""
    found = [(name, f) for name, f in vars(ember._C.ops).items() if hasattr(f, "schemas")]
    found += [
        (name, f) for name, f in vars(ember.Tensor).items() if hasattr(f, "schemas") and not hasattr(ember._C.ops, name)
    ]
    return [(name, f) for name, f in found if name not in SKIP]


class Call:
    """One call's arguments, drawn from a pool of shapes and a leading dtype that it shares."""

    def __init__(self, rng, ember, words):
        self.rng, self.ember, self.words = rng, ember, words
        self.dtypes = [ember.float32, ember.float64, ember.int64, ember.bool, ember.float16, ember.complex64]
        self.dtypes += [ember.uint8, ember.bfloat16, ember.int32, ember.uint16, ember.complex128]
        self.dtype = rng.choice(self.dtypes[:3] if rng.random() < 0.7 else self.dtypes)
        self.base = [rng.choice([0, 1, 2, 3, 3, 5]) for _ in range(rng.choice([0, 1, 2, 2, 3, 3, 4, 4, 5]))]
        self.device = "meta" if rng.random() < 0.04 else "cpu"

    def shape(self):
        rng, base = self.rng, list(self.base)
        how = rng.random()
        if how < 0.45:
            return base
        if how < 0.6:
            return [1 if rng.random() < 0.4 else s for s in base]
        if how < 0.75:
            return base[rng.randint(0, len(base)) :]
        if how < 0.85:
            return base[: rng.randint(0, len(base))]
        return [rng.choice([0, 1, 2, 3, 5]) for _ in range(rng.choice([0, 1, 2, 2, 3, 4, 5]))]

    def tensor(self, grad=True):
        rng, ember = self.rng, self.ember
        if rng.random() < 0.01:
            return None
        dtype = self.dtype if rng.random() < 0.65 else rng.choice([*self.dtypes, ember.int64, ember.int64])
        x = ember.randint(*rng.choice([(0, 4), (0, 4), (0, 2), (-3, 8)]), self.shape()).to(dtype)
        if dtype in (ember.int64, ember.int32) and x.numel() and rng.random() < 0.05:
            x.view(-1)[0] = rng.choice([2**31 - 1, -(2**31), 1000])
        if x.is_floating_point() and x.numel() and rng.random() < 0.05:
            x.view(-1)[0] = rng.choice([float("nan"), float("inf"), -1e30])
        if x.dim() > 1 and rng.random() < 0.2:
            x = x.transpose(0, -1)
        elif x.dim() in (4, 5) and rng.random() < 0.2:
            x = x.contiguous(memory_format=ember.channels_last if x.dim() == 4 else ember.channels_last_3d)
        if x.dim() and x.shape[0] > 1 and rng.random() < 0.1:
            x = x[::-1]
        if x.dim() and rng.random() < 0.05:
            x = x.unsqueeze(0).expand(2, *x.shape)
        if self.device == "meta" or rng.random() < 0.02:
            x = x.to("meta" if rng.random() < 0.9 else "cpu")
        if grad and rng.random() < 0.2 and (x.is_floating_point() or x.is_complex()):
            x = x.clone().requires_grad_()
        return x

    def number(self):
        rng = self.rng
        if rng.random() < 0.02:
            return rng.choice([2**63 - 1, -(2**63), 2**62, 2**40, -(2**31) - 1])
        return rng.choice([0, 1, 2, -1, -2, 3, 7, 100, -5, 1, 2, *self.base])

    def value(self, kind):
        rng, ember = self.rng, self.ember
        if rng.random() < 0.02:
            return rng.choice(
                [None, "a", [], 1.5, object(), -(2**63), 2**63 - 1, float("nan"), (1, 2), 2**70, [None], b"x", [1.5]]
            )
        if kind.endswith("?"):
            return None if rng.random() < 0.4 else self.value(kind[:-1])
        if kind.startswith("Tensor"):
            if "[" not in kind:
                return self.tensor()
            optional = "?" in kind
            return [None if optional and rng.random() < 0.3 else self.tensor() for _ in range(rng.randint(0, 3))]
        if kind.startswith(("int[", "SymInt[")):
            if rng.random() < 0.3:
                return self.shape()
            digits = re.search(r"\[(\d+)\]", kind)
            length = int(digits[1]) if digits and rng.random() < 0.7 else rng.randint(0, 4)
            return [self.number() for _ in range(length)]
        if kind in ("int", "SymInt"):
            return self.number()
        if kind.startswith("float["):
            return [rng.choice([rng.random(), 2.0, 0.0, -1.0, float("inf")]) for _ in range(rng.randint(0, 3))]
        if kind.startswith("bool["):
            return [rng.random() < 0.5 for _ in range(rng.choice([0, 1, 2, 2, 3, 3, 3]))]
        if kind == "float":
            return rng.choice([0.0, 0.5, 1.0, -1.0, 1e300, float("inf"), float("nan"), 2, 3.0])
        if kind == "bool":
            return rng.random() < 0.5
        if kind.startswith("Scalar["):
            return [self.number()]
        if kind.startswith("Scalar") and kind != "ScalarType":
            return rng.choice([self.number(), 0.5, True, 1j, 1e30, float("nan")])
        if kind == "str":
            return rng.choice(self.words if self.words and rng.random() < 0.5 else WORDS)
        if kind == "ScalarType":
            return rng.choice(self.dtypes)
        if kind == "Device":
            return rng.choice(["cpu", "meta", ember.device("cpu"), "cuda", "nonsense"])
        if kind == "Layout":
            return ember.strided
        if kind == "MemoryFormat":
            return rng.choice(
                [ember.contiguous_format, ember.preserve_format, ember.channels_last, ember.channels_last_3d]
            )
        return None


def arguments(schema):
    """(type, name) of each argument in a schema line, and how many of them are positional."""
    text = schema[schema.index("(") + 1 : schema.rindex(") ->")]
    parts, depth, start, quoted = [], 0, 0, False
    for i, c in enumerate(text + ","):
        quoted ^= c == '"'
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0 and not quoted:
            parts.append(text[start:i].strip())
            start = i + 1
    out, positional = [], None
    for part in parts:
        if part == "*":
            positional = len(out)
        elif part:
            kind, name = part.split("=")[0].rsplit(" ", 1)
            out.append((kind.split("(")[0] + (kind.split(")")[1] if ")" in kind else ""), name))
    return out, len(out) if positional is None else positional


def use(result, ember, rng):
    """Reads what came back, and walks its graph: a wrong result must at least be a whole tensor."""
    for t in result if isinstance(result, (tuple, list)) else (result,):
        if isinstance(t, ember.Tensor):
            if not t.is_meta and 0 < t.numel() < 10_000:
                t.tolist()
            repr(t.shape), t.stride(), t.is_contiguous()
            if t.requires_grad and rng.random() < 0.5:
                total = t.sum().abs()
                if rng.random() < 0.2:  # gradients of gradients run the backward ops' own rules
                    leaf = ember.autograd.grad(total, t, create_graph=True)
                    total = total + sum(g.sum().abs() for g in leaf if g is not None)
                total.backward()


def attack(rng, ember, name, f):
    """One call of f. Errors that belong to wrong arguments are swallowed; all else is a finding."""
    schema = rng.choice(f.schemas)
    kinds, positional = arguments(schema)
    words = re.findall(r'"([^" ]+)"', f"{schema} {f.__doc__}")
    call = Call(rng, ember, words)
    args = [call.value(kind) for kind, _ in kinds]
    kwargs = {}
    while args and (len(args) > positional or rng.random() < 0.3):
        kwargs[kinds[len(args) - 1][1]] = args.pop()
    if rng.random() < 0.1:
        results = schema[schema.rindex("->") :].count("Tensor")
        out = [call.tensor(grad=rng.random() < 0.1) for _ in range(results)]
        if args and isinstance(args[0], ember.Tensor) and rng.random() < 0.3:
            out[:1] = [args[0]]
        kwargs["out"] = out[0] if len(out) == 1 else tuple(out)
    show = lambda a: f"{tuple(a.shape)}{a.dtype}" if isinstance(a, ember.Tensor) else a  # noqa: E731
    text = [[show(b) for b in a] if isinstance(a, (list, tuple)) else show(a) for a in args]
    print(name, text, {k: show(v) for k, v in kwargs.items()}, file=sys.stderr)
    try:
        use(f(*args, **kwargs), ember, rng)
    except (RuntimeError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        assert str(error), f"{name}: {type(error).__name__} says nothing"
    except AssertionError as error:  # PyTorch's type for a device that is not there
        assert str(error) == "Torch not compiled with CUDA enabled", f"{name}: {error}"


def fuzz(seed, seconds, names=()):
    import ember

    faulthandler.enable()
    end = time.monotonic() + seconds
    rng = random.Random(seed)
    ember.manual_seed(seed)
    found = [c for c in callables(ember) if not names or c[0] in names]
    calls = 0
    while time.monotonic() < end:
        rng.shuffle(found)
        for name, f in found:
            attack(rng, ember, name, f)
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
    lines = done.stderr.splitlines()
    found = [i for i, line in enumerate(lines) if "runtime error:" in line or "ERROR: AddressSanitizer" in line]
    start = max(found[0] - 2, 0) if found else max(len(lines) - 25, 0)  # the call, then what it did
    assert done.returncode == 0, "\n".join(lines[start : start + 25])


if __name__ == "__main__":
    fuzz(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
