"""Recurrent layers: RNN, LSTM, GRU and their cells.

A layer is a loop over time of a cell's step, written with ops; the input's product with its weight is taken for all
steps at once. Packed sequences run the steps on a batch that shrinks (or, backwards, grows).
"""

import math
import numbers
import warnings

import ember

from .. import functional as F
from .. import init
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .module import Module

__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNBase", "RNNCell", "RNNCellBase"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


# ---- one step: (x W_ih^T + b_ih, state) -> state; a state is a tuple of tensors whose first is the output ----


def _step_tanh(gates, state, w_hh, b_hh, w_hr):
    return (ember.tanh(gates + F.linear(state[0], w_hh, b_hh)),)


def _step_relu(gates, state, w_hh, b_hh, w_hr):
    return (ember.relu(gates + F.linear(state[0], w_hh, b_hh)),)


def _step_lstm(gates, state, w_hh, b_hh, w_hr):
    h, c = state
    i, f, g, o = (gates + F.linear(h, w_hh, b_hh)).chunk(4, -1)
    c = ember.sigmoid(f) * c + ember.sigmoid(i) * ember.tanh(g)
    h = ember.sigmoid(o) * ember.tanh(c)
    return (h if w_hr is None else F.linear(h, w_hr)), c


def _step_gru(gates, state, w_hh, b_hh, w_hr):
    (h,) = state
    i_r, i_z, i_n = gates.chunk(3, -1)
    h_r, h_z, h_n = F.linear(h, w_hh, b_hh).chunk(3, -1)
    r, z = ember.sigmoid(i_r + h_r), ember.sigmoid(i_z + h_z)
    n = ember.tanh(i_n + r * h_n)
    return (n + z * (h - n),)


_STEPS = {"LSTM": _step_lstm, "GRU": _step_gru, "RNN_TANH": _step_tanh, "RNN_RELU": _step_relu}


def _run_dense(step, x, state, weights, reverse):
    """One layer in one direction over [T, N, C]: (outputs [T, N, H], last state)."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    gates = F.linear(x, w_ih, b_ih).unbind(0)
    outputs = []
    for g in reversed(gates) if reverse else gates:
        state = step(g, state, w_hh, b_hh, w_hr)
        outputs.append(state[0])
    return ember.stack(outputs[::-1] if reverse else outputs), state


def _run_packed(step, x, batch_sizes, state, weights, reverse):
    """One layer in one direction over packed data [sum of sizes, C]; `state` is of the largest batch."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    gates = F.linear(x, w_ih, b_ih).split(batch_sizes, 0)
    outputs = []
    if reverse:
        now = tuple(s[: batch_sizes[-1]] for s in state)
        for size, g in zip(reversed(batch_sizes), reversed(gates)):
            have = now[0].shape[0]
            if size > have:  # the sequences that end here begin, backwards, with their initial state
                now = tuple(ember.cat([s, first[have:size]]) for s, first in zip(now, state))
            now = step(g, now, w_hh, b_hh, w_hr)
            outputs.append(now[0])
        return ember.cat(outputs[::-1]), now
    finished = []
    for size, g in zip(batch_sizes, gates):
        have = state[0].shape[0]
        if size < have:  # those that ended keep their last state
            finished.append(tuple(s[size:have] for s in state))
            state = tuple(s[:size] for s in state)
        state = step(g, state, w_hh, b_hh, w_hr)
        outputs.append(state[0])
    ended = [state, *reversed(finished)]
    return ember.cat(outputs), tuple(ember.cat(parts) for parts in zip(*ended))


class RNNBase(Module):
    """What RNN, LSTM and GRU share: weights by layer and direction, checks, and the loop over layers.

    >>> ember.nn.GRU(3, 4, num_layers=2).weight_ih_l1.shape
    ember.Size([12, 4])
    """

    __constants__ = [
        "mode",
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ]

    def __init__(
        self,
        mode,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._flat_weight_refs = []
        directions = 2 if bidirectional else 1
        if not isinstance(dropout, numbers.Number) or not 0 <= dropout <= 1 or isinstance(dropout, bool):
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
                stacklevel=2,
            )
        if not isinstance(hidden_size, int):
            raise TypeError(f"hidden_size should be of type int, got: {type(hidden_size).__name__}")
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        rows = _GATES[mode] * hidden_size
        out = proj_size or hidden_size

        def new(*shape):
            return Parameter(ember.empty(shape, device=device, dtype=dtype))

        self._flat_weights_names, self._all_weights = [], []
        for layer in range(num_layers):
            for direction in range(directions):
                suffix = f"_l{layer}" + ("_reverse" if direction else "")
                params = {
                    "weight_ih": new(rows, input_size if layer == 0 else out * directions),
                    "weight_hh": new(rows, out),
                }
                if bias:
                    params.update(bias_ih=new(rows), bias_hh=new(rows))
                if proj_size > 0:
                    params["weight_hr"] = new(proj_size, hidden_size)
                names = [name + suffix for name in params]
                for name, param in zip(names, params.values()):
                    setattr(self, name, param)
                self._flat_weights_names.extend(names)
                self._all_weights.append(names)
        self.reset_parameters()

    @property
    def _flat_weights(self):
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self):
        """The parameters as a list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self):
        """Nothing to do: weights need not lie in one block here."""

    def reset_parameters(self):
        """All of U(-1/sqrt(hidden), 1/sqrt(hidden))."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def __setstate__(self, state):
        state = {key: value for key, value in state.items() if key not in ("_flat_weights", "all_weights")}
        if "all_weights" in state:
            state["_all_weights"] = state.pop("all_weights")
        state.setdefault("proj_size", 0)
        state.setdefault("_flat_weight_refs", [])
        super().__setstate__(state)
        if "_flat_weights_names" not in self.__dict__:
            self._flat_weights_names = [name for names in self._all_weights for name in names]

    # ---- checks ----

    def check_input(self, input, batch_sizes):
        """Raises unless the input's dims and size fit."""
        if not input.dtype.is_floating_point:
            raise ValueError(f"RNN input dtype must be a floating-point type, but got {input.dtype}")
        expected = 2 if batch_sizes is not None else 3
        if input.dim() != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}"
            )

    def _batch_of(self, input, batch_sizes):
        return int(batch_sizes[0]) if batch_sizes is not None else input.size(0 if self.batch_first else 1)

    def get_expected_hidden_size(self, input, batch_sizes):
        """[layers * directions, N, H] of the hidden state."""
        directions = 2 if self.bidirectional else 1
        return self.num_layers * directions, self._batch_of(input, batch_sizes), self.proj_size or self.hidden_size

    def get_expected_cell_size(self, input, batch_sizes):
        """[layers * directions, N, H] of the cell state."""
        return (*self.get_expected_hidden_size(input, batch_sizes)[:2], self.hidden_size)

    def check_hidden_size(self, hx, expected_hidden_size, msg="Expected hidden size {}, got {}"):
        """Raises RuntimeError unless the state has the expected shape."""
        if hx.size() != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def check_forward_args(self, input, hidden, batch_sizes):
        """All checks of a call."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx, permutation):
        """The state with its batch reordered, as packed sequences are."""
        return hx if permutation is None else hx.index_select(1, permutation)

    # ---- the computation ----

    def _direction_weights(self, index):
        named = dict(zip(("weight_ih", "weight_hh"), (None, None)))
        for name in self._all_weights[index]:
            named[name.rsplit("_l", 1)[0]] = getattr(self, name)
        return tuple(named.get(name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"))

    def _run(self, x, states, batch_sizes):
        """All layers over [T, N, C] or packed data: (outputs, states stacked by layer and direction)."""
        step, directions = _STEPS[self.mode], 2 if self.bidirectional else 1
        last = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(directions):
                index = layer * directions + direction
                state = tuple(s[index] for s in states)
                weights = self._direction_weights(index)
                if batch_sizes is None:
                    y, state = _run_dense(step, x, state, weights, direction == 1)
                else:
                    y, state = _run_packed(step, x, batch_sizes, state, weights, direction == 1)
                outputs.append(y)
                last.append(state)
            x = outputs[0] if directions == 1 else ember.cat(outputs, -1)
            if self.dropout and self.training and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, True)
        return x, tuple(ember.stack(parts) for parts in zip(*last))

    def _is_lstm(self):
        return self.mode == "LSTM"

    def _initial(self, input, batch_sizes):
        hidden = ember.zeros(self.get_expected_hidden_size(input, batch_sizes), dtype=input.dtype, device=input.device)
        if not self._is_lstm():
            return hidden
        return hidden, ember.zeros(
            self.get_expected_cell_size(input, batch_sizes), dtype=input.dtype, device=input.device
        )

    def _check_unbatched_state(self, hx, batched):
        for s in hx if self._is_lstm() else (hx,):
            if s.dim() != (3 if batched else 2):
                if self._is_lstm():
                    raise RuntimeError(
                        "For batched 3-D input, hx and cx should also be 3-D but got "
                        f"({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
                        if batched
                        else "For unbatched 2-D input, hx and cx should also be 2-D but got "
                        f"({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
                    )
                kind = (
                    "batched 3-D input, hx should also be 3-D"
                    if batched
                    else "unbatched 2-D input, hx should also be 2-D"
                )
                raise RuntimeError(f"For {kind} but got {s.dim()}-D tensor")

    def _forward_packed(self, packed, hx):
        input, batch_sizes, sorted_indices, unsorted_indices = packed
        hx = self._initial(input, batch_sizes) if hx is None else self.permute_hidden(hx, sorted_indices)
        self.check_forward_args(input, hx, batch_sizes)
        y, state = self._run(input, hx if self._is_lstm() else (hx,), [int(n) for n in batch_sizes])
        output = PackedSequence(y, batch_sizes, sorted_indices, unsorted_indices)
        return output, self.permute_hidden(state if self._is_lstm() else state[0], unsorted_indices)

    def forward(self, input, hx=None):
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(f"{type(self).__name__}: Expected input to be 2D or 3D, got {input.dim()}D instead")
        batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        if not batched:
            input = input.unsqueeze(batch_dim)
        if hx is not None:
            self._check_unbatched_state(hx, batched)
            if not batched:
                hx = tuple(s.unsqueeze(1) for s in hx) if self._is_lstm() else hx.unsqueeze(1)
        else:
            hx = self._initial(input, None)
        self.check_forward_args(input, hx, None)
        x = input.transpose(0, 1) if self.batch_first else input
        if x.size(0) == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        y, state = self._run(x, hx if self._is_lstm() else (hx,), None)
        if self.batch_first:
            y = y.transpose(0, 1)
        if not batched:
            y, state = y.squeeze(batch_dim), tuple(s.squeeze(1) for s in state)
        return y, state if self._is_lstm() else state[0]

    def extra_repr(self):
        s = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size != 0:
            s += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            s += f", num_layers={self.num_layers}"
        if self.bias is not True:
            s += f", bias={self.bias}"
        if self.batch_first is not False:
            s += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            s += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            s += f", bidirectional={self.bidirectional}"
        return s


class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu: [T, N, C] -> ([T, N, D * H], [layers * D, N, H]).

    >>> y, h = ember.nn.RNN(10, 20, 2)(ember.randn(5, 3, 10)); y.shape, h.shape
    (ember.Size([5, 3, 20]), ember.Size([2, 3, 20]))
    """

    def __init__(self, *args, **kwargs):
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if len(args) > 3:
            self.nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            self.nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if self.nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{self.nonlinearity}'. Select from 'tanh' or 'relu'.")
        nonlinearity = self.nonlinearity
        super().__init__("RNN_TANH" if nonlinearity == "tanh" else "RNN_RELU", *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997): [T, N, C] -> (output, (h_n, c_n)).

    >>> y, (h, c) = ember.nn.LSTM(10, 20, 2)(ember.randn(5, 3, 10)); y.shape, c.shape
    (ember.Size([5, 3, 20]), ember.Size([2, 3, 20]))
    """

    def __init__(self, *args, **kwargs):
        super().__init__("LSTM", *args, **kwargs)

    def check_forward_args(self, input, hidden, batch_sizes):
        self.check_input(input, batch_sizes)
        self.check_hidden_size(
            hidden[0], self.get_expected_hidden_size(input, batch_sizes), "Expected hidden[0] size {}, got {}"
        )
        self.check_hidden_size(
            hidden[1], self.get_expected_cell_size(input, batch_sizes), "Expected hidden[1] size {}, got {}"
        )

    def permute_hidden(self, hx, permutation):
        return hx if permutation is None else tuple(s.index_select(1, permutation) for s in hx)


class GRU(RNNBase):
    """The gated recurrent unit (Cho et al., 2014): [T, N, C] -> (output, h_n).

    >>> y, h = ember.nn.GRU(10, 20, 2)(ember.randn(5, 3, 10)); y.shape, h.shape
    (ember.Size([5, 3, 20]), ember.Size([2, 3, 20]))
    """

    def __init__(self, *args, **kwargs):
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)


class RNNCellBase(Module):
    """What the cells share: one step's weights."""

    __constants__ = ["input_size", "hidden_size", "bias"]
    _mode = None

    def __init__(self, input_size, hidden_size, bias, num_chunks, device=None, dtype=None):
        super().__init__()
        made = {"device": device, "dtype": dtype}
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(ember.empty((rows, input_size), **made))
        self.weight_hh = Parameter(ember.empty((rows, hidden_size), **made))
        self.register_parameter("bias_ih", Parameter(ember.empty(rows, **made)) if bias else None)
        self.register_parameter("bias_hh", Parameter(ember.empty(rows, **made)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self):
        """All of U(-1/sqrt(hidden), 1/sqrt(hidden))."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _check(self, input, hx, names=("hidden",)):
        name = type(self).__name__
        if input.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        for i, s in enumerate(hx or ()):
            if s.dim() not in (1, 2):
                what = "hidden" if len(hx) == 1 else f"hx[{i}]"
                raise ValueError(f"{name}: Expected {what} to be 1D or 2D, got {s.dim()}D instead")

    def _step(self, input, hx, states):
        """One step of an input [N, C] or [C] from `hx` (or zeros) to a tuple of `states` tensors."""
        self._check(input, hx)
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        if hx is None:
            hx = (ember.zeros(x.size(0), self.hidden_size, dtype=x.dtype, device=x.device),) * states
        elif not batched:
            hx = tuple(s.unsqueeze(0) for s in hx)
        new = _STEPS[self._mode](F.linear(x, self.weight_ih, self.bias_ih), hx, self.weight_hh, self.bias_hh, None)
        return new if batched else tuple(s.squeeze(0) for s in new)

    def extra_repr(self):
        s = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            s += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            s += f", nonlinearity={self.nonlinearity}"
        return s


class RNNCell(RNNCellBase):
    """One step of RNN: [N, C], [N, H] -> [N, H].

    >>> ember.nn.RNNCell(10, 20)(ember.randn(3, 10)).shape
    ember.Size([3, 20])
    """

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    @property
    def _mode(self):
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return "RNN_TANH" if self.nonlinearity == "tanh" else "RNN_RELU"

    def forward(self, input, hx=None):
        return self._step(input, None if hx is None else (hx,), 1)[0]


class LSTMCell(RNNCellBase):
    """One step of LSTM: [N, C], ([N, H], [N, H]) -> ([N, H], [N, H]).

    >>> h, c = ember.nn.LSTMCell(10, 20)(ember.randn(3, 10)); h.shape
    ember.Size([3, 20])
    """

    _mode = "LSTM"

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input, hx=None):
        return self._step(input, hx, 2)


class GRUCell(RNNCellBase):
    """One step of GRU: [N, C], [N, H] -> [N, H].

    >>> ember.nn.GRUCell(10, 20)(ember.randn(3, 10)).shape
    ember.Size([3, 20])
    """

    _mode = "GRU"

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input, hx=None):
        return self._step(input, None if hx is None else (hx,), 1)[0]
