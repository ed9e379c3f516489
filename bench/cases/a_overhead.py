"""What a call costs when there is next to nothing to compute: where small models and reinforcement learning live."""

from case import case


def small(m, recorded=False):
    a, b = m.rand(4), m.rand(4)
    return {"a": a.requires_grad_(recorded), "b": b}


@case("overhead", "a + b, 4 floats", ratio=4, below=300e-9)
def add(m):
    return "a + b", small(m)


@case("overhead", "a + b, 4 floats, recorded", ratio=4, below=450e-9)
def add_recorded(m):
    return "a + b", small(m, recorded=True)


@case("overhead", "a * 2.5")
def scalar(m):
    return "a * 2.5", small(m)


@case("overhead", "a[0]")
def index(m):
    return "a[0]", small(m)


@case("overhead", "a.view(2, 2)")
def view(m):
    return "a.view(2, 2)", small(m)


@case("overhead", "a.sum()")
def total(m):
    return "a.sum()", small(m)


@case("overhead", "a.shape, a.dtype, a.device")
def attributes(m):
    return "a.shape, a.dtype, a.device", small(m)


@case("overhead", "with no_grad(): pass")
def no_grad(m):
    return "with no_grad(): pass", {"no_grad": m.no_grad}


@case("overhead", "nn.Linear(8, 8) call", ratio=4)
def linear(m):
    return "layer(x)", {"layer": m.nn.Linear(8, 8), "x": m.rand(1, 8)}


@case("overhead", "MLP 32-64-64-10, one row")
def mlp(m):
    nn = m.nn
    layers = nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
    return "net(x)", {"net": nn.Sequential(*layers), "x": m.rand(1, 32)}


@case("overhead", "(w * b).sum().backward()", ratio=5)
def backward(m):
    return "(w * b).sum().backward()", {"w": m.rand(4, requires_grad=True), "b": m.rand(4)}


def optimizer_step(m, make):
    parameters = [m.nn.Parameter(m.rand(10)) for _ in range(100)]
    for p in parameters:
        p.grad = m.rand(10)
    return make(parameters).step


@case("overhead", "AdamW, 100 tiny parameters", ratio=5)
def adamw(m):
    return optimizer_step(m, lambda p: m.optim.AdamW(p, lr=1e-3))


@case("overhead", "SGD with momentum, 100 tiny parameters")
def sgd(m):
    return optimizer_step(m, lambda p: m.optim.SGD(p, lr=1e-3, momentum=0.9))
