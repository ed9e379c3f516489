"""ember.special: the ops of the table whose names begin with `special_`, and the top level's functions of this kind.

>>> ember.special.entr(ember.tensor([0.0, 0.5, 1.0]))
tensor([0.0000, 0.3466, -0.0000])
"""

from ember._prefixed import prefixed_ops

_SAME = "digamma erf erfc erfinv exp2 expm1 log1p log_softmax logit logsumexp polygamma round sinc softmax xlogy"
_RENAMED = {"expit": "sigmoid", "gammaln": "lgamma", "psi": "digamma"}

__getattr__, __dir__ = prefixed_ops(__name__, "special_", {**{name: name for name in _SAME.split()}, **_RENAMED})
