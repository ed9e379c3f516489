# Differences from PyTorch that test_registry.py knows of, by reason. A test that stands here must fail: delete its
# line with the repair. A line says less than the test: run it to see the samples.
"""Known gaps: reason -> tests."""

KNOWN = {
    "nuclear and spectral norms need the decompositions of linalg": [
        "test_forward[linalg.norm-bfloat16]",
        "test_forward[linalg.norm-complex64]",
        "test_forward[linalg.norm-float32]",
        "test_forward[linalg.norm-float64]",
        "test_forward[linalg.norm.subgradients_at_zero-bfloat16]",
        "test_forward[linalg.norm.subgradients_at_zero-complex64]",
        "test_forward[linalg.norm.subgradients_at_zero-float32]",
        "test_forward[linalg.norm.subgradients_at_zero-float64]",
        "test_forward[norm.nuc-complex64]",
        "test_forward[norm.nuc-float32]",
        "test_forward[norm.nuc-float64]",
        "test_gradient[linalg.norm-float64]",
        "test_gradient[linalg.norm.subgradients_at_zero-float64]",
        "test_gradient[norm.nuc-float64]",
        "test_method[linalg.norm.subgradients_at_zero-float32]",
        "test_method[norm.nuc-float32]",
        "test_out[linalg.norm-float32]",
        "test_out[linalg.norm.subgradients_at_zero-float32]",
        "test_out[norm.nuc-float32]",
        "test_second_gradient[linalg.norm-float64]",
        "test_second_gradient[linalg.norm.subgradients_at_zero-float64]",
        "test_second_gradient[norm.nuc-float64]",
    ],
    "PyTorch's own double backward has no rule for it, or none without a weight": [
        "test_second_gradient[native_layer_norm-float64]",
        "test_second_gradient[nn.functional.ctc_loss-float64]",
        "test_second_gradient[nn.functional.scaled_dot_product_attention-float64]",
    ],
    "PyTorch fills a strided destination as if it were dense, or not at all": [
        "test_out[narrow_copy-float32]",
        "test_out[narrow_copy-int64]",
        "test_out[nn.functional.avg_pool3d-float32]",
        "test_out[nn.functional.avg_pool3d-int64]",
        "test_out[nn.functional.gelu-float32]",
    ],
    "PyTorch refuses an empty destination for a tensor of means and a number as deviation": [
        "test_out[normal-float32]",
    ],
    "PyTorch's gradient to self is that of the elements that src replaced, not of those that stay": [
        "test_gradient[as_strided_scatter-float64]",
        "test_second_gradient[as_strided_scatter-float64]",
    ],
    "PyTorch rounds an intermediate to bfloat16; Ember's result is nearer to float64's": [
        "test_forward[div.trunc_rounding-bfloat16]",
        "test_forward[histc-bfloat16]",
        "test_forward[nn.functional.hinge_embedding_loss-bfloat16]",
    ],
    "rounding: float32 weights whose sum less the correction cancels to its last digits": [
        "test_forward[cov-float64]",
    ],
    "deliberate: out= takes every dtype that the result can be cast to, in all ops; PyTorch only in some": [
        "test_error[aminmax]",
        "test_error[complex]",
        "test_error[gather]",
        "test_error[multinomial]",
    ],
    "deliberate: a destination is resized first, as other ops do it; PyTorch looks here at the strides it had": [
        "test_error[index_select]",
    ],
    "deliberate: a dim out of range is an IndexError in all ops; here PyTorch's own assertion fails": [
        "test_error[narrow_copy]",
    ],
    "deliberate: steps of a half do not go into an integer out=; PyTorch cuts the step to 0, and refuses that": [
        "test_error[arange]",
    ],
}
