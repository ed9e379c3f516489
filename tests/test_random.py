"""Random numbers against PyTorch: the same calls from the same seed, in both libraries.

Words, integers, masks and shuffles are equal bit for bit; floats that pass through log, sin or cos to 2 ulp, on
machines where PyTorch runs its AVX2 kernels (elsewhere its floats end in other digits). After each call both generators
must be in the same state, so that whatever a program draws next agrees too.
"""

import numpy as np
import pytest

ember = pytest.importorskip("ember")
torch = pytest.importorskip("torch")

FLOATS = ["float16", "bfloat16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]
INTS = ["uint8", "int8", "int16", "int32", "int64"]
SIZES = [0, 1, 7, 15, 16, 17, 100, 5000]
BASELINE_TORCH = torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX")


def numbers(t):
    """A float64 or int64 array of t's elements; widening is exact."""
    if t.is_complex():
        t = (ember if isinstance(t, ember.Tensor) else torch).view_as_real(t)
    if not t.dtype.is_floating_point:
        return t.int().numpy() if "bool" in str(t.dtype) else t.numpy()
    return t.double().numpy()


def same_draws(call, ulp=0, seed=20, times=2):
    """`call(library)` gives equal tensors, from the seed and then from where the first call left the generator."""
    if ulp and BASELINE_TORCH:
        pytest.skip("this PyTorch runs without AVX2: its floats differ in their last digits")
    torch.manual_seed(seed)
    ember.manual_seed(seed)
    for _ in range(times):
        ours, theirs = call(ember), call(torch)
        assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
        assert tuple(ours.shape) == tuple(theirs.shape)
        a, b = numbers(ours), numbers(theirs)
        if ulp and a.size:
            spacing = {2: 2.0**-8 if "bfloat16" in str(theirs.dtype) else 2.0**-11, 4: 2.0**-23, 8: 2.0**-52}
            width = theirs.element_size() // (2 if theirs.is_complex() else 1)
            np.testing.assert_allclose(a, b, rtol=ulp * spacing[width], atol=0)
        else:
            np.testing.assert_array_equal(a, b)
        state = ember.get_rng_state().numpy()
        np.testing.assert_array_equal(state[:5024], torch.get_rng_state().numpy()[:5024])  # the words and counters


def dtype(m, name):
    return getattr(m, name)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32 + 5, 2**63 - 1, -1, 67280421310721])
def test_seeds(seed):
    same_draws(lambda m: m.rand(3), seed=seed)
    assert ember.initial_seed() == torch.initial_seed()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", FLOATS + COMPLEX)
class TestRealFills:
    def test_rand(self, name, n):
        same_draws(lambda m: m.rand(n, dtype=dtype(m, name)))

    def test_randn(self, name, n):
        same_draws(lambda m: m.randn(n, dtype=dtype(m, name)), ulp=2)

    def test_uniform_(self, name, n):
        same_draws(lambda m: m.empty(n, dtype=dtype(m, name)).uniform_(-1.3, 2.9))

    def test_normal_(self, name, n):
        same_draws(lambda m: m.empty(n, dtype=dtype(m, name)).normal_(0.7, 1.9), ulp=2)


@pytest.mark.parametrize("name", FLOATS)
def test_distributions_of_floats(name):
    def empty(m):
        return m.empty(301, dtype=dtype(m, name))

    same_draws(lambda m: empty(m).exponential_(1.7), ulp=2)
    same_draws(lambda m: empty(m).cauchy_(0.3, 1.7), ulp=2)
    same_draws(lambda m: empty(m).log_normal_(0.2, 0.7), ulp=2)


@pytest.mark.parametrize("shape", [(3, 5), (10, 20)])
def test_tensors_that_are_not_contiguous(shape):
    same_draws(lambda m: m.empty(shape).t().normal_(), ulp=2)
    same_draws(lambda m: m.empty(shape).t().uniform_())
    same_draws(lambda m: m.empty(shape)[:, 1].normal_(), ulp=2)
    same_draws(lambda m: m.empty(shape)[:, ::2].uniform_())
    same_draws(lambda m: m.empty(shape, dtype=m.int64).t().random_(0, 100))
    same_draws(lambda m: m.empty((2,) + shape).permute(2, 0, 1).bernoulli_(0.3))


@pytest.mark.parametrize("name", INTS + FLOATS)
class TestIntegers:
    def test_random_without_bounds(self, name):
        same_draws(lambda m: m.empty(50, dtype=dtype(m, name)).random_())

    def test_random_below(self, name):
        same_draws(lambda m: m.empty(50, dtype=dtype(m, name)).random_(100))

    def test_random_from(self, name):
        same_draws(lambda m: m.empty(50, dtype=dtype(m, name)).random_(5, None))

    def test_randint(self, name):
        same_draws(lambda m: m.randint(3, 97, (5, 10), dtype=dtype(m, name)))

    def test_randperm(self, name):
        same_draws(lambda m: m.randperm(100, dtype=dtype(m, name)))

    def test_geometric(self, name):
        same_draws(lambda m: m.empty(50, dtype=dtype(m, name)).geometric_(0.3))


@pytest.mark.parametrize(
    "low, high",
    [(0, 1), (0, 64), (-5, 2**28 - 6), (-5, 2**28), (0, 2**30 + 7), (-(2**40), 2**50 + 3), (-(2**63), 2**63 - 1)],
)
def test_ranges_of_int64(low, high):
    same_draws(lambda m: m.randint(low, high, (40,)))


def test_all_64_bits():
    same_draws(lambda m: m.empty(9, dtype=m.int64).random_(-(2**63), None))


def test_empty_ranges_raise():
    with pytest.raises(RuntimeError, match="random_ expects 'from' to be less than 'to', but got from=3 >= to=3"):
        ember.randint(3, 3, (2,))
    with pytest.raises(RuntimeError, match="out of bounds"):
        ember.empty(3, dtype=ember.int8).random_(0, 1000)


@pytest.mark.parametrize("n", [0, 1, 2, 1000, 100003])
def test_randperm(n):
    same_draws(lambda m: m.randperm(n), times=1)


@pytest.mark.parametrize("name", ["bool"] + INTS + FLOATS)
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
def test_bernoulli_with_a_number(name, p):
    same_draws(lambda m: m.empty(300, dtype=dtype(m, name)).bernoulli_(p))


@pytest.mark.parametrize("name", FLOATS)
def test_bernoulli_with_a_tensor(name):
    same_draws(lambda m: m.bernoulli(m.linspace(0, 1, 65, dtype=m.float64).to(dtype(m, name))))


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_dropout(p):
    same_draws(lambda m: m.nn.functional.dropout(m.arange(1.0, 301.0), p))
    same_draws(lambda m: m.nn.functional.dropout2d(m.ones(2, 50, 3, 3), p))
    same_draws(lambda m: m.nn.functional.alpha_dropout(m.arange(1.0, 301.0), p, training=True), ulp=2)


def test_samplers():
    weights = np.random.default_rng(0).random((6, 40)).astype(np.float32)
    weights[:, 30:] = 0
    same_draws(lambda m: m.multinomial(m.from_numpy(weights), 50, replacement=True))
    same_draws(lambda m: m.multinomial(m.from_numpy(weights), 9))
    same_draws(lambda m: m.multinomial(m.from_numpy(weights), 1))
    same_draws(lambda m: m.multinomial(m.from_numpy(weights), 36))  # zeros tie: PyTorch's order among them too
    rates = np.array([0, 0.5, 3, 9, 10, 40, 1000] * 9, np.float32)
    same_draws(lambda m: m.poisson(m.from_numpy(rates)))
    same_draws(lambda m: m.binomial(m.from_numpy(rates.round()), m.full((63,), 0.4)))


def test_normal_with_tensors():
    same_draws(lambda m: m.normal(m.arange(20.0), m.arange(1.0, 21.0)), ulp=2)
    same_draws(lambda m: m.normal(0.5, m.arange(1.0, 21.0)), ulp=2)
    same_draws(lambda m: m.normal(2.0, 3.0, (4, 5)), ulp=2)


def test_initial_weights():
    def init(f):
        return lambda m: f(m.nn.init, m.empty(20, 30))

    same_draws(init(lambda i, t: i.kaiming_uniform_(t, a=5**0.5)))
    same_draws(init(lambda i, t: i.xavier_uniform_(t)))
    same_draws(init(lambda i, t: i.kaiming_normal_(t)), ulp=2)
    same_draws(init(lambda i, t: i.trunc_normal_(t, std=0.02)), ulp=2)
    same_draws(lambda m: m.nn.Linear(7, 5).weight.detach())
    same_draws(lambda m: m.nn.Embedding(7, 5).weight.detach(), ulp=2)


def test_shuffles_of_a_loader():
    def order(m):
        data = m.utils.data.TensorDataset(m.arange(50))
        loader = m.utils.data.DataLoader(data, batch_size=8, shuffle=True)
        return m.cat([b[0] for b in loader])

    same_draws(order)


def test_states_travel_both_ways():
    ember.manual_seed(3)
    ember.randn(7)
    ember.rand(700)
    torch.set_rng_state(torch.from_numpy(ember.get_rng_state().numpy().copy()))
    np.testing.assert_array_max_ulp(ember.randn(3).numpy(), torch.randn(3).numpy(), 2)  # the first waited in the state
    ember.set_rng_state(ember.from_numpy(torch.get_rng_state().numpy().copy()))
    np.testing.assert_array_equal(ember.rand(1000).numpy(), torch.rand(1000).numpy())


def test_generators_of_their_own():
    ours, theirs = ember.Generator(), torch.Generator()
    assert ours.initial_seed() == theirs.initial_seed()
    ours.manual_seed(11), theirs.manual_seed(11)
    ember.manual_seed(1)
    before = ember.get_rng_state().numpy().copy()
    np.testing.assert_array_equal(ember.rand(5, generator=ours).numpy(), torch.rand(5, generator=theirs).numpy())
    np.testing.assert_array_equal(
        ember.randperm(9, generator=ours).numpy(), torch.randperm(9, generator=theirs).numpy()
    )
    np.testing.assert_array_equal(ember.get_rng_state().numpy(), before)
    np.testing.assert_array_equal(ours.get_state().numpy()[:5024], theirs.get_state().numpy()[:5024])
    ours.set_state(ember.get_rng_state())
    np.testing.assert_array_equal(ember.rand(4, generator=ours).numpy(), ember.rand(4).numpy())


def test_forged_states_raise():
    state = ember.get_rng_state()
    with pytest.raises(RuntimeError, match="size 5056"):
        ember.set_rng_state(state[:-1].clone())
    state[8:12] = 0
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        ember.set_rng_state(state)


def test_fork_rng_restores_the_state():
    ember.manual_seed(5)
    before = ember.get_rng_state().numpy().copy()
    with ember.random.fork_rng():
        ember.rand(10)
    np.testing.assert_array_equal(ember.get_rng_state().numpy(), before)
