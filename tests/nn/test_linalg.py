"""ember.linalg's Python front against torch.linalg."""

import ember
import pytest
import torch
from nn_oracle import assert_same, to_ember


@pytest.mark.parametrize(
    "ord,dim", [(None, None), (2, 1), (1, (0,)), (float("inf"), -1), ("fro", None), ("fro", (0, 2))]
)
@pytest.mark.parametrize("keepdim", [True, False])
def test_norm(ord, dim, keepdim):
    torch.manual_seed(0)
    x = torch.randn(3, 4, 5) if dim is not None or ord is None else torch.randn(3, 4)
    assert_same(ember.linalg.norm(to_ember(x), ord, dim, keepdim), torch.linalg.norm(x, ord, dim, keepdim), "norm")


def test_products():
    torch.manual_seed(0)
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    assert_same(ember.linalg.vecdot(*to_ember([x, y])), torch.linalg.vecdot(x, y), "vecdot")
    assert_same(ember.linalg.diagonal(to_ember(x)), torch.linalg.diagonal(x), "diagonal")
    assert "vector_norm" in dir(ember.linalg)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        ember.linalg.nothing  # noqa: B018
