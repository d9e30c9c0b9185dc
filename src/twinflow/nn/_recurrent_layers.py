"""The recurrent layers RNN, LSTM and GRU: several layers and directions, over padded or packed sequences.

The input's part of the gates is one matrix product over all steps, outside the loop. The loop itself is `scan`: one node of
the graph in a compiled function, whatever the number of steps; in eager plain Python for small sequences, and a compiled
function of its own for others.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn._module import Module
from twinflow.nn._recurrent import (
    ACTIVATIONS,
    State,
    Step,
    Weights,
    activation_named,
    check_features,
    check_gru,
    check_sizes,
    check_state,
    fill_uniform,
    fold_biases,
    gru_step,
    lstm_step,
    rnn_step,
    uniform_parameter,
)
from twinflow.nn._recurrent_packed import PackedSequence
from twinflow.nn.functional._dropout import dropout
from twinflow.nn.functional._linear import linear
from twinflow.ops import cat, scan, stack, where, zeros
from twinflow.ops._autocast import in_float32
from twinflow.ops._composite import Composite, only_computes
from twinflow.tensor import Tensor


def run_direction(
    step: Step,
    x: Tensor,
    state: State,
    w: Weights,
    mask: Tensor | None = None,
    reverse: bool = False,
    *,
    pure: bool = False,
) -> tuple[Tensor, State]:
    """One layer in one direction over the gates' input parts [T, N, G·H]: (h of every step [T, N, ·], last state).

    Where `mask` [T, N, 1] is False the state stays as it is, so that a sequence that has ended (or, backwards, has not
    begun) is left alone. A `pure` step depends on its operands alone, and equal equations are one function: then eager may
    run a compiled loop.
    """
    operands = [x, *state, *(t for t in w if t is not None)]
    if (
        pure
        and mask is None
        and w.hr is None
        and x._data.size >= _LARGE
        and x.shape[0] > 3
        and only_computes(*operands)
    ):
        given = tuple([t is not None for t in w])
        out = _direction(*operands, step=step, n_states=len(state), given=given, reverse=reverse)
        n = x.shape[0]
        last_h = out[0 if reverse else n - 1]
        return (out, (last_h,)) if len(state) == 1 else (out[:n], (last_h, out[n]))
    return _walk_direction(step, x, state, w, mask, reverse)


def _walk_direction(
    step: Step, x: Tensor, state: State, w: Weights, mask: Tensor | None, reverse: bool
) -> tuple[Tensor, State]:
    def go(carry: State, xs: Any) -> tuple[State, Tensor]:
        if mask is None:
            new = step(xs, carry, w)
        else:
            new = tuple(where(xs[1], a, b) for a, b in zip(step(xs[0], carry, w), carry))
        return new, new[0]

    last, ys = scan(go, state, x if mask is None else (x, mask), reverse=reverse)
    return ys, last


def _compose_direction(
    x: Tensor, *rest: Tensor, step: Step, n_states: int, given: tuple[bool, ...], reverse: bool
) -> Tensor:
    """h of every step, and behind them the last c if there is one: one result, as a `Composite` has."""
    weights = iter(rest[n_states:])
    w = Weights(*[next(weights) if g else None for g in given])  # type: ignore[arg-type] # hh is always given
    ys, last = _walk_direction(step, x, rest[:n_states], w, None, reverse)
    return ys if n_states == 1 else cat([ys, last[1].unsqueeze(0)])


_LARGE = 1 << 14  # gates of all steps, from which on a compiled loop is worth being made for this number of steps
_direction = Composite("recurrent", _compose_direction, _LARGE, batched=0)


class RecurrentBase(Module):
    """What RNN, LSTM and GRU share: weights by PyTorch's names, layers, directions, packed sequences."""

    gates: int = 1
    n_states: int = 1
    bias_inside: bool = False  # whether the step itself adds a bias

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_sizes(name, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if isinstance(dropout, bool) or not 0.0 <= dropout <= 1.0:
            raise ArgumentError(f"{name}: dropout is a probability in [0, 1], not {dropout!r}")
        if not 0 <= proj_size < hidden_size:
            raise ArgumentError(f"{name}: proj_size lies in [0, hidden_size), but {proj_size} was given")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"{name}: dropout acts between layers, so dropout={dropout} does nothing with num_layers=1",
                stacklevel=3,
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bool(bias), bool(batch_first), float(dropout)
        self.bidirectional, self.proj_size = bool(bidirectional), proj_size
        for layer in range(num_layers):
            for direction in range(self.n_directions):
                self._make_weights(layer, direction, dtype)
        if device is not None:
            self.to(device=device)

    # -- weights -----------------------------------------------------------------------------------------------

    @property
    def n_directions(self) -> int:
        """1, or 2 if the sequence is read backwards too."""
        return 2 if self.bidirectional else 1

    @property
    def out_size(self) -> int:
        """The features of h: hidden_size, or proj_size if there is a projection."""
        return self.proj_size or self.hidden_size

    def _make_weights(self, layer: int, direction: int, dtype: Any) -> None:
        inputs = self.input_size if layer == 0 else self.out_size * self.n_directions
        rows = self.gates * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, self.out_size)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        for kind, shape in shapes.items():
            bound = 1.0 / math.sqrt(self.hidden_size)
            self.register_parameter(_key(kind, layer, direction), uniform_parameter(shape, bound, dtype))

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew, uniformly from ±1/√hidden_size."""
        for p in self.parameters():
            fill_uniform(p, 1.0 / math.sqrt(self.hidden_size))

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The weights of each layer and direction."""
        kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        kinds += ["weight_hr"] if self.proj_size else []
        places = [(layer, d) for layer in range(self.num_layers) for d in range(self.n_directions)]
        return [[getattr(self, _key(k, *place)) for k in kinds] for place in places]

    def flatten_parameters(self) -> RecurrentBase:
        """The layer itself: its weights need no rearranging. PyTorch programs call this."""
        return self

    # -- running -----------------------------------------------------------------------------------------------

    def step(self) -> Step:
        """The layer's equations for one step."""
        raise NotImplementedError(f"{type(self).__name__} must define step(self)")

    def _layer(self, x: Tensor, state: State, layer: int, direction: int, mask: Tensor | None) -> tuple[Tensor, State]:
        def weight(kind: str) -> Tensor | None:
            return self._parameters.get(_key(kind, layer, direction))

        w_ih, w_hh, b_ih, b_hh = (weight(k) for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        assert w_ih is not None and w_hh is not None  # noqa: S101 - made by the constructor
        outside, inside = fold_biases(b_ih, b_hh, self.bias_inside)
        gates = linear(x, w_ih, outside)
        weights = Weights(w_hh, inside, weight("weight_hr"))
        pure = type(self).step in _PURE_STEPS
        return run_direction(self.step(), gates, state, weights, mask, direction == 1, pure=pure)

    def _run(self, x: Tensor, states: State, mask: Tensor | None) -> tuple[Tensor, State]:
        """All layers over [T, N, features]; states are [layers · directions, N, ·]."""
        finals: list[State] = []
        for layer in range(self.num_layers):
            if layer:
                x = dropout(x, self.dropout, self.training)
            ys = []
            for direction in range(self.n_directions):
                k = layer * self.n_directions + direction
                y, last = self._layer(x, tuple(s[k] for s in states), layer, direction, mask)
                ys.append(y)
                finals.append(last)
            x = ys[0] if len(ys) == 1 else cat(ys, -1)
        return x, tuple(stack(list(column)) for column in zip(*finals))

    def _start(self, hx: State | None, n: int, batched: bool, dtype: Any, order: Tensor | None) -> State:
        """The first states [layers · directions, N, ·], checked, in the order of the batch."""
        rows = self.num_layers * self.n_directions
        sizes = (self.out_size, self.hidden_size)[: self.n_states]
        if hx is None:
            return tuple(zeros(rows, n, s, dtype=dtype) for s in sizes)
        first = getattr(self, _key("weight_hh", 0, 0))
        for h, s in zip(hx, sizes):
            check_state(type(self).__name__, h, (rows, n, s) if batched else (rows, s), first)
        if not batched:
            return tuple(h.unsqueeze(1) for h in hx)
        return hx if order is None else tuple(h[:, order] for h in hx)

    def _states(self, hx: Any) -> State | None:
        """The states given, as a tuple."""
        return None if hx is None else (hx,)

    @in_float32
    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Read sequences.

        Args:
            input: [T, N, input_size]; [N, T, input_size] with batch_first; [T, input_size]; or a PackedSequence.
            hx: the first state [layers · directions, N, hidden_size] (without N for an unbatched input), zeros if None.
        Returns: (h of the last layer at every step, in the form of the input; last state of every layer and direction).
        """
        name = type(self).__name__
        packed = input if isinstance(input, PackedSequence) else None
        x = packed.to_steps() if packed is not None else input
        check_features(name, x, self.input_size, getattr(self, _key("weight_ih", 0, 0)))
        states = self._states(hx)
        if packed is not None:
            if x.ndim != 3:
                raise ShapeError(f"{name}: a packed sequence's data is [steps, features], not of {x.ndim - 1} axes")
            start = self._start(states, packed.n_sequences, True, x.dtype, packed.sorted_indices)
            mask = packed.mask()
            y, last = self._run(x, start, None if mask is None else mask.unsqueeze(-1))
            if packed.order is not None:
                last = tuple(s[:, packed.unsorted_indices] for s in last)
            return packed.with_steps(y), self._result(last)
        if x.ndim not in (2, 3):
            raise ShapeError(
                f"{name}: the input is a batch of sequences (3 axes) or one sequence (2 axes), but its shape is {tuple(x.shape)}"
            )
        batched = x.ndim == 3
        x = x.transpose(0, 1) if batched and self.batch_first else x if batched else x.unsqueeze(1)
        if x.shape[0] == 0:
            raise ShapeError(f"{name}: the sequences have no steps (input shape {tuple(input.shape)})")
        y, last = self._run(x, self._start(states, x.shape[1], batched, x.dtype, None), None)
        if not batched:
            return y.squeeze(1), self._result(tuple(s.squeeze(1) for s in last))
        return (y.transpose(0, 1) if self.batch_first else y), self._result(last)

    def _result(self, last: State) -> Any:
        return last[0]

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        for name, usual in _USUAL.items():
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text


_USUAL = {
    "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False,
}  # fmt: skip


def _key(kind: str, layer: int, direction: int) -> str:
    return f"{kind}_l{layer}" + ("_reverse" if direction else "")


class RNN(RecurrentBase):
    """Simple recurrent layers.

    h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)

    Args:
        input_size, hidden_size: the features of x and h.
        num_layers: how many layers; each reads the h of the one below.
        nonlinearity: "tanh" or "relu".
        bias: whether there are biases.
        batch_first: whether batches come as [N, T, ...] instead of [T, N, ...]. States do not change.
        dropout: the probability with which each h is dropped between layers, in training.
        bidirectional: read backwards too; the h of both directions stand side by side.
    Shapes: as `forward` says. Weights: `weight_ih_l0` [H, input_size], `weight_hh_l0` [H, H], `bias_ih_l0`, `bias_hh_l0` [H],
        with `_reverse` for the other direction: PyTorch's names and shapes.
    Raises: ShapeError for a wrong number of features or a state of the wrong shape.
    Cost: 2·T·N·H·(input_size + H) flops for each layer and direction.
    Source: Elman 1990, Cognitive Science 14.

    >>> import twinflow
    >>> y, h = RNN(3, 4)(twinflow.ones(5, 2, 3))
    >>> y.shape, h.shape
    (twinflow.Size([5, 2, 4]), twinflow.Size([1, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        activation_named("RNN", nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.nonlinearity = nonlinearity

    def step(self) -> Step:
        """The layer's equations for one step."""
        return rnn_step(ACTIVATIONS[self.nonlinearity])


class LSTM(RecurrentBase):
    """Long short-term memory.

    i, f, g, o = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh
    c_t = σ(f)·c_(t-1) + σ(i)·tanh(g),  h_t = σ(o)·tanh(c_t)

    The articles' form, with one bias for each gate, is this one with bias_hh = 0.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional: as in `RNN`.
        proj_size: if positive, h_t is W_hr (σ(o)·tanh(c_t)) with so many features.
    Shapes: as `forward` says; the state is a pair (h, c). Weights: PyTorch's names and shapes, the gates in the order i, f, g, o.
    Raises: ShapeError for a wrong number of features or a state of the wrong shape; ArgumentError for a state that is no pair.
    Cost: 8·T·N·H·(input_size + H) flops for each layer and direction.
    Source: Hochreiter & Schmidhuber 1997; the forget gate: Gers et al. 2000; the projection: Sak et al. 2014, arXiv:1402.1128.

    >>> import twinflow
    >>> y, (h, c) = LSTM(3, 4, num_layers=2, bidirectional=True)(twinflow.ones(5, 2, 3))
    >>> y.shape, c.shape
    (twinflow.Size([5, 2, 8]), twinflow.Size([4, 2, 4]))
    """

    gates = 4
    n_states = 2

    def step(self) -> Step:
        """The layer's equations for one step."""
        return lstm_step

    def _states(self, hx: Any) -> State | None:
        if hx is None:
            return None
        if not isinstance(hx, (tuple, list)) or len(hx) != 2:
            raise ArgumentError(f"LSTM: the state is a pair (h, c), not {type(hx).__name__}")
        return tuple(hx)

    def _result(self, last: State) -> Any:
        return last


class GRU(RecurrentBase):
    """Gated recurrent units.

    r = σ(W_ir x_t + b_ir + W_hr h + b_hr),  z = σ(W_iz x_t + b_iz + W_hz h + b_hz)   with h = h_(t-1)
    n = tanh(W_in x_t + b_in + r·(W_hn h + b_hn))       reset_after=True, as PyTorch and cuDNN compute it
    n = tanh(W_in x_t + b_in + W_hn (r·h) + b_hn)       reset_after=False, as published
    h_t = (1 - z)·n + z·h                               update_gate="keep": z says how much stays
    h_t = (1 - z)·h + z·n                               update_gate="replace": z says how much is new

    The articles' equations are reset_after=False with update_gate="replace" (and bias_hh = 0).

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional: as in `RNN`.
        reset_after: whether the reset gate acts after the matrix product or before it.
        update_gate: "keep" or "replace".
    Shapes: as `forward` says. Weights: PyTorch's names and shapes, the gates in the order r, z, n.
    Raises: ShapeError for a wrong number of features or a state of the wrong shape.
    Cost: 6·T·N·H·(input_size + H) flops for each layer and direction.
    Source: Cho et al. 2014, arXiv:1406.1078 ("keep"); Chung et al. 2014, arXiv:1412.3555 ("replace").

    >>> import twinflow
    >>> y, h = GRU(3, 4, reset_after=False, update_gate="replace")(twinflow.ones(5, 2, 3))
    >>> y.shape, h.shape
    (twinflow.Size([5, 2, 4]), twinflow.Size([1, 2, 4]))
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        reset_after: bool = True,
        update_gate: str = "keep",
    ) -> None:
        check_gru("GRU", update_gate)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.reset_after, self.update_gate, self.bias_inside = reset_after, update_gate, reset_after

    def step(self) -> Step:
        """The layer's equations for one step."""
        return gru_step(self.reset_after, self.update_gate)


_PURE_STEPS = {RNN.step, LSTM.step, GRU.step}  # not those of subclasses with equations of their own
