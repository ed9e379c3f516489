"""Parameters as one vector and back."""

import ember

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def _check_param_device(param, old_param_device):
    """The device all parameters are on; TypeError when they are on several."""
    device = param.device
    if old_param_device is not None and device != old_param_device:
        raise TypeError("Found two parameters on different devices, this is currently not supported.")
    return device


def parameters_to_vector(parameters):
    """All parameters flattened into one vector.

    >>> ember.nn.utils.parameters_to_vector(ember.nn.Linear(2, 3).parameters()).shape
    ember.Size([9])
    """
    device, parts = None, []
    for param in parameters:
        device = _check_param_device(param, device)
        parts.append(param.view(-1))
    return ember.cat(parts)


def vector_to_parameters(vec, parameters):
    """Sets the parameters, in order, to the pieces of `vec`."""
    if not isinstance(vec, ember.Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {ember.typename(vec)}")
    device, start = None, 0
    for param in parameters:
        device = _check_param_device(param, device)
        count = param.numel()
        param.data = vec[start : start + count].view_as(param).data
        start += count
