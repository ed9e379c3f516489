"""Work bound by arithmetic: matrix products, convolutions, attention. Each group's mean ratio is to be 1 or more."""

from case import case, values


def register(group, name):
    def decorate(make):
        make.__module__ = __name__
        return case(group, name)(make)

    return decorate


for _n in (16, 64, 128, 256, 512, 1024, 2048):

    @register("gemm", f"{_n} x {_n} @ {_n} x {_n}")
    def square(m, n=_n):
        return "a @ b", {"a": values(m, n, n), "b": values(m, n, n, seed=1)}


for _m, _k, _n in ((1, 784, 512), (1, 4096, 4096), (8, 4096, 4096), (32, 1024, 256), (2048, 128, 512)):

    @register("gemm", f"linear {_m} x {_k} -> {_n}")
    def linear(m, rows=_m, inputs=_k, outputs=_n):
        x, w, b = values(m, rows, inputs), values(m, outputs, inputs, seed=1), values(m, outputs, seed=2)
        return "f(x, w, b)", {"f": m.nn.functional.linear, "x": x, "w": w, "b": b}


@register("gemm", "bmm 64 x (128 x 64 @ 64 x 128)")
def bmm(m):
    return "a @ b", {"a": values(m, 64, 128, 64), "b": values(m, 64, 64, 128, seed=1)}


@register("gemm", "1024 x 1024 @ its own transpose")
def transposed(m):
    return "a @ a.t()", {"a": values(m, 1024, 1024)}


@register("gemm", "float64, 512 x 512 @ 512 x 512")
def double(m):
    a = values(m, 512, 512).to(m.float64)
    return "a @ a", {"a": a}


CONVOLUTIONS = {  # name: input, weight, stride, padding, groups
    "3x3, 8x64x56x56": ((8, 64, 56, 56), (64, 64, 3, 3), 1, 1, 1),
    "3x3, 1x256x14x14": ((1, 256, 14, 14), (256, 256, 3, 3), 1, 1, 1),
    "1x1, 8x64x56x56 -> 256": ((8, 64, 56, 56), (256, 64, 1, 1), 1, 0, 1),
    "7x7 stride 2, 8x3x224x224": ((8, 3, 224, 224), (64, 3, 7, 7), 2, 3, 1),
    "3x3, 64x32x8x8": ((64, 32, 8, 8), (32, 32, 3, 3), 1, 1, 1),
    "3x3 depthwise, 8x64x56x56": ((8, 64, 56, 56), (64, 1, 3, 3), 1, 1, 64),
}
for _name, _shape in CONVOLUTIONS.items():

    @register("conv", f"{_name}, forward")
    def forward(m, shape=_shape):
        x, w = values(m, *shape[0]), values(m, *shape[1], seed=1)
        return lambda: m.nn.functional.conv2d(x, w, None, shape[2], shape[3], 1, shape[4])

    @register("conv", f"{_name}, forward and backward")
    def both(m, shape=_shape):
        x, w = (values(m, *shape[i], seed=i).clone().requires_grad_() for i in (0, 1))

        def work():
            m.nn.functional.conv2d(x, w, None, shape[2], shape[3], 1, shape[4]).sum().backward()
            x.grad = w.grad = None

        return work


for _batch, _heads, _length, _width in ((2, 8, 256, 64), (32, 4, 64, 32), (1, 12, 1024, 64)):

    @register("attention", f"causal {_batch}x{_heads}x{_length}x{_width}, forward")
    def attend(m, shape=(_batch, _heads, _length, _width)):
        q, k, v = (values(m, *shape, seed=i) for i in range(3))
        return lambda: m.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    @register("attention", f"causal {_batch}x{_heads}x{_length}x{_width}, forward and backward")
    def attend_both(m, shape=(_batch, _heads, _length, _width)):
        q, k, v = (values(m, *shape, seed=i).clone().requires_grad_() for i in range(3))

        def work():
            m.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()
            q.grad = k.grad = v.grad = None

        return work
