"""Prints the polynomials of src/kernel/cpu/vec_coef.h: minimax fits by Remez's exchange in mpmath.

Each line of FITS is (name, function, weight, interval, degrees for float and double): the polynomial p minimises the
largest |p - f| * weight. What to divide out (x + x^3 p(x^2), ...) is the business of vec_math.h.
"""

import sys

import mpmath as mp

mp.mp.dps = 70


def remez(f, weight, lo, hi, degree, rounds=8):
    """Coefficients, lowest first, and the weighted error, of the minimax polynomial of `f` on [lo, hi]."""
    n = degree + 2
    mid, half = (mp.mpf(lo) + hi) / 2, (mp.mpf(hi) - lo) / 2
    at = [-mp.cos(mp.pi * i / (n - 1)) for i in range(n)]
    grid = [-mp.cos(mp.pi * (i + mp.mpf(1) / 2) / (24 * n)) for i in range(24 * n)]
    value = {}

    def fw(t):
        if t not in value:
            value[t] = f(mid + half * t), weight(mid + half * t)
        return value[t]

    for _ in range(rounds):
        rows = [[t**j for j in range(degree + 1)] + [(-1) ** i / fw(t)[1]] for i, t in enumerate(at)]
        solved = mp.lu_solve(mp.matrix(rows), mp.matrix([fw(t)[0] for t in at]))
        c = list(solved[: degree + 1])
        error = [(mp.polyval(c[::-1], t) - fw(t)[0]) * fw(t)[1] for t in grid]
        peaks = []  # the largest error of each run of one sign
        for t, e in zip(grid, error):
            if peaks and (e > 0) == (peaks[-1][1] > 0):
                if abs(e) > abs(peaks[-1][1]):
                    peaks[-1] = (t, e)
            else:
                peaks.append((t, e))
        while len(peaks) > n:
            peaks.pop(0 if abs(peaks[0][1]) < abs(peaks[-1][1]) else -1)
        if len(peaks) < n:
            break
        at = [t for t, _ in peaks]
        worst = max(abs(e) for _, e in peaks)
        if worst < min(abs(e) for _, e in peaks) * mp.mpf("1.02"):
            break
    # from t = (x - mid) / half back to x
    shifted = [mp.mpf(0)]
    for a in reversed(c):
        shifted = [
            (shifted[j - 1] / half if j else 0) - (shifted[j] * mid / half if j < len(shifted) else 0)
            for j in range(len(shifted) + 1)
        ]
        shifted[0] += a
    return shifted[: degree + 1], max(abs(e) for e in error)


def root(f):
    return lambda z: f(mp.sqrt(z)) if z else f(mp.mpf(10) ** -11)


def away_from_zero(f):
    return lambda x: f(x) if abs(x) > mp.mpf(10) ** -18 else f(mp.mpf(10) ** -18)


def one(x):
    return mp.mpf(1)


LN2, DIGAMMA_ROOT = mp.log(2), mp.findroot(mp.digamma, 1.4616)
FITS = [
    ("exp", away_from_zero(lambda x: (mp.expm1(x) - x) / x**2), lambda x: abs(x) + 0.01, -0.3475, 0.3475, 4, 9),
    ("exp2", away_from_zero(lambda x: mp.expm1(x * LN2) / x), lambda x: abs(x) + 0.01, -0.5, 0.5, 5, 10),
    ("log", root(lambda s: (2 * mp.atanh(s) / s - 2) / s**2), one, 0, 0.02945, 2, 6),
    # double, for pow: what follows 2 s + (2/3) s^3
    ("pow", root(lambda s: ((2 * mp.atanh(s) / s - 2) / s**2 - mp.mpf(2) / 3) / s**2), one, 0, 0.02945, None, 7),
    ("sin", root(lambda x: (mp.sin(x) / x - 1) / x**2), lambda z: z + 0.01, 0, 0.6177, 2, 5),
    ("cos", root(lambda x: (mp.cos(x) - 1 + x**2 / 2) / x**4), lambda z: z + 0.01, 0, 0.6177, 2, 5),
    ("tanh", root(lambda x: (mp.tanh(x) / x - 1) / x**2), lambda z: z + 0.01, 0, 0.391, 4, 10),
    ("sinh", root(lambda x: (mp.sinh(x) / x - 1) / x**2), lambda z: z + 0.01, 0, 1, 3, 6),
    ("asin", root(lambda x: (mp.asin(x) / x - 1) / x**2), lambda z: z + 0.01, 0, 0.25, 4, 12),
    ("atan", root(lambda x: (mp.atan(x) / x - 1) / x**2), lambda z: z + 0.01, 0, 0.3601, 6, 14),
    ("erf", root(lambda x: mp.erf(x) / x - 1), one, 0, 0.64, 5, None),
    ("erf", root(lambda x: mp.erf(x) / x - 1), one, 0, 0.81, None, 11),
    # float: log2(erfc(x)) where erf is 1 - exp2 of it
    ("erf_tail", lambda x: mp.log(mp.erfc(x), 2), lambda x: mp.erfc(x) * LN2, 0.6, 4.0, 7, None),
    # double: (1 + 2x) exp(x^2) erfc(x) over t = (x - 4) / (x + 4)
    ("erfcx", lambda t: erfcx_of(t), one, -0.8, 0.7455, None, 21),
    ("lgamma1", away_from_zero(lambda x: mp.loggamma(1 + x) / x), one, -0.5, 0.5, None, 27),
    ("lgamma2", away_from_zero(lambda x: mp.loggamma(2 + x) / x), one, -0.5, 0.5, None, 16),
    ("digamma", lambda x: digamma_of(x), one, -1, 1, None, 29),
]


def erfcx_of(t):
    x = 4 * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def digamma_of(u):
    """digamma(2 + u) over its distance from the root."""
    d = 2 + u - DIGAMMA_ROOT
    return mp.digamma(2 + u) / d if abs(d) > mp.mpf(10) ** -15 else mp.psi(1, DIGAMMA_ROOT)


if __name__ == "__main__":
    only = sys.argv[1:]
    for index, (kind, digits) in enumerate((("float", 9), ("double", 17))):
        print(f"template <>\nstruct Coef<{kind}> {{")
        for name, f, weight, lo, hi, *degrees in FITS:
            if degrees[index] is None or (only and name not in only):
                continue
            c, error = remez(f, weight, lo, hi, degrees[index])
            numbers = ", ".join(mp.nstr(a, digits, strip_zeros=True) + ("f" if kind == "float" else "") for a in c)
            print(
                f"  static constexpr {kind} {name}[] = {{{numbers}}};  // 2^{mp.nstr(mp.log(error, 2), 3)}", flush=True
            )
        print("};")
