"""How a loss is reduced: the number that ops take for each word, and the words that older flags meant."""

import warnings

_ENUM = {"none": 0, "mean": 1, "elementwise_mean": 1, "sum": 2}


def get_enum(reduction):
    """The op's number for "none", "mean" or "sum"."""
    try:
        return _ENUM[reduction]
    except KeyError:
        raise ValueError(f"{reduction} is not a valid value for reduction") from None


def legacy_get_string(size_average, reduce, emit_warning=True):
    """What the flags `size_average` and `reduce` of old programs mean as a word."""
    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    word = "none" if not reduce else "mean" if size_average else "sum"
    if emit_warning:
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{word}' instead.", stacklevel=3
        )
    return word


def legacy_get_enum(size_average, reduce, emit_warning=True):
    """`legacy_get_string` as the op's number."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))
