"""Recurrent layers, over the same steps and the same scan as `nn`'s: a layer runs its cell over the steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twinflow.core import tree_flatten, tree_leaves, tree_map, tree_unflatten
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras._registry import serialize
from twinflow.keras._variable import Variable
from twinflow.keras.layers._cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells, fixed
from twinflow.nn._recurrent_layers import run_direction
from twinflow.ops import scan, stack, where, zeros
from twinflow.tensor import Tensor, no_grad


def _listed(state: Any) -> list[Any]:
    return list(state) if isinstance(state, (list, tuple)) else [state]


@LAYERS.add()
class RNN(Layer):
    """A cell over the steps of [N, T, ...].

    Args:
        cell: a layer with `state_size` and call(inputs, states) -> (output, new states); or a list of them, stacked.
        return_sequences: the outputs of all steps [N, T, units] instead of the last.
        return_state: also the last states, [output, *states].
        go_backwards: go from the last step to the first; the outputs come in that order.
        stateful: begin with the states in which the last batch ended, until `reset_state()`; needs a fixed batch size.
        zero_output_for_mask: whether steps that do not count give 0 instead of the output before.
        unroll: give each step code of its own instead of one loop; for few steps, and it takes longer to compile.
    """

    supports_masking = True
    _in_float32 = True  # states add up over the steps

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        zero_output_for_mask: bool = False,
        unroll: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        if isinstance(cell, dict):
            cell = LAYERS.deserialize(cell)
        if not isinstance(cell, Layer) or not hasattr(cell, "state_size"):
            raise ArgumentError(
                f"{type(self).__name__}: cell must be a layer with a state_size and call(inputs, states), not {type(cell).__name__}"
            )
        self.cell = cell
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.stateful, self.zero_output_for_mask, self.unroll = stateful, zero_output_for_mask, unroll
        self.states: list[Any] | None = None

    def build(self, input_shape: Any) -> None:
        """Build the cell, and make the states that are kept."""
        if not isinstance(input_shape, tuple) or len(input_shape) < 3:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the input needs at least 3 axes (batch, steps, features), but its shape is "
                f"{input_shape}; a recurrent layer before it needs return_sequences=True"
            )
        if not self.cell.built:
            self.cell.build((input_shape[0], *input_shape[2:]))
            self.cell.built = True
        if self.stateful and self.states is None:
            if input_shape[0] is None:
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r}: stateful=True needs a fixed batch size; give it by "
                    "keras.Input(batch_shape=(batch, steps, features)) or batch_input_shape"
                )
            self.states = tree_map(
                lambda t: Variable(t, trainable=False, name="rnn_state"), self.get_initial_state(input_shape[0])
            )

    def _parts(self) -> Any:
        kept = {id(v) for v in tree_leaves(self.__dict__.get("states"))}  # as in Keras, states are no weights
        return (p for p in super()._parts() if id(p) not in kept)

    def _computing(self) -> Iterable[Layer]:
        return list(self._flatten_layers())

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """Zeros, or what the cell says."""
        return _listed(initial_state(self.cell, batch_size))

    def reset_state(self) -> None:
        """Begin with zeros again."""
        if not self.stateful:
            raise ArgumentError(f"{type(self).__name__} {self.name!r} keeps no state: make it with stateful=True")
        for v in tree_leaves(self.states) if self.states is not None else []:
            with no_grad():
                v.zero_()

    reset_states = reset_state

    def call(
        self, inputs: Tensor, initial_state: Any = None, mask: Tensor | None = None, training: bool = False
    ) -> Any:
        """The last output, or all of them with return_sequences; with return_state also the last states."""
        kind = type(self).__name__
        if inputs.ndim < 3 or inputs.shape[1] == 0:
            raise ShapeError(
                f"{kind} {self.name!r}: the input is (batch, steps, features) with at least one step, but its shape is {tuple(inputs.shape)}"
            )
        if initial_state is not None:
            state = _listed(initial_state)
            want = len(self.get_initial_state(1))
            if len(state) != want:
                raise ShapeError(f"{kind} {self.name!r}: initial_state has {want} tensors, but {len(state)} were given")
        elif self.stateful:
            state = self._kept_state(inputs)
        else:
            state = self.get_initial_state(inputs.shape[0])
        state = tree_map(lambda s: s.to(dtype=inputs.dtype), state)
        allowed = None
        if mask is not None:
            allowed = mask.bool().transpose(0, 1)
            allowed = allowed.reshape(*allowed.shape, *(1,) * (inputs.ndim - 2))
        ys, last = self._run(inputs.transpose(0, 1), state, allowed, training)
        if self.stateful and self.states is not None:
            with no_grad():
                for v, t in zip(tree_leaves(self.states), tree_leaves(last)):
                    v.copy_(t.detach())
        if not self.return_sequences:
            y = self._final(ys, last)
        else:
            # going backwards, Keras gives the outputs in the order in which they were computed
            y = (ys.flip(0) if self.go_backwards else ys).transpose(0, 1)
        return [y, *last] if self.return_state else y

    def _final(self, ys: Tensor, last: list[Any]) -> Tensor:
        """The output of the step that is computed last."""
        return ys[0] if self.go_backwards else ys[-1]

    def _kept_state(self, inputs: Tensor) -> list[Any]:
        states = self.states or []
        if any(v.shape[0] != inputs.shape[0] for v in tree_leaves(states)):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: a stateful layer keeps one state for each of {tree_leaves(states)[0].shape[0]} "
                f"sequences, but the batch has {inputs.shape[0]}; use data whose size is a multiple of the batch size"
            )
        return [tree_map(lambda v: v * 1, s) for s in states]

    def _run(self, x: Tensor, state: list[Any], mask: Tensor | None, training: bool) -> tuple[Tensor, list[Any]]:
        """(output of every step [T, N, ...], last states), in the order of the steps."""
        cell, loop = fixed(self.cell, tuple(x.shape[1:]), training), unrolled if self.unroll else scan
        flat, structure = tree_flatten(state)
        if mask is None:

            def go(carry: Any, xs: Any) -> Any:
                y, new = cell(xs, tree_unflatten(list(carry), structure))
                return tuple(tree_leaves(new)), y

            last, ys = loop(go, tuple(flat), x, reverse=self.go_backwards)
            return ys, tree_unflatten(list(last), structure)

        with no_grad():
            like = cell(x[0], state)[0]

        def masked(carry: Any, xs: Any) -> Any:
            (x_t, m), (before, *old) = xs, carry
            y, new = cell(x_t, tree_unflatten(list(old), structure))
            kept = tuple(where(m, a, b) for a, b in zip(tree_leaves(new), old))
            y_t = where(m, y, before)
            return (y_t, *kept), (where(m, y, 0.0) if self.zero_output_for_mask else y_t)

        last, ys = loop(
            masked, (zeros(tuple(like.shape), dtype=like.dtype), *flat), (x, mask), reverse=self.go_backwards
        )
        return ys, tree_unflatten(list(last[1:]), structure)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """That of the input with return_sequences; states have none."""
        mask = tree_leaves(previous_mask)[0] if isinstance(previous_mask, (list, tuple)) else previous_mask
        found = mask if self.return_sequences else None
        return [found, *[None] * len(self.get_initial_state(1))] if self.return_state else found

    _shared = ("return_sequences", "return_state", "go_backwards", "stateful", "zero_output_for_mask", "unroll")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**self._config(*self._shared), "cell": serialize(self.cell)}


def unrolled(f: Any, init: Any, xs: Any, reverse: bool = False) -> tuple[Any, Tensor]:
    """What `scan` gives, step by step."""
    n = int(tree_leaves(xs)[0].shape[0])
    carry, ys = init, [None] * n
    for t in reversed(range(n)) if reverse else range(n):
        carry, ys[t] = f(carry, tree_map(lambda a, t=t: a[t], xs))
    return carry, stack(ys)


def initial_state(cell: Any, batch_size: Any) -> Any:
    """Zeros of a cell's `state_size`, or what its `get_initial_state` gives."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(batch_size=batch_size)
    return tree_map(lambda n: zeros((batch_size, n)), cell.state_size)


class _OfUnits(RNN):
    """A layer around one of the three cells; the arguments of the cell are the layer's."""

    _cell: Any
    _rank, _axes = 3, "batch, steps, features"

    def __init__(self, units: int, *args: Any, **kwargs: Any) -> None:
        own = {k: kwargs.pop(k) for k in list(kwargs) if k in self._own_names}
        trained = kwargs.get("trainable", True)
        activity = own.get("activity_regularizer")
        own["activity_regularizer"] = activity
        super().__init__(self._cell(units, *args, trainable=trained, dtype=own.get("dtype"), **kwargs), **own)

    _own_names = frozenset(
        ("name", "trainable", "dtype", "activity_regularizer", "input_shape", "input_dim", "batch_input_shape", *RNN._shared)
    )  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        """Units, weights and activations are the cell's."""
        cell = self.__dict__.get("_modules", {}).get("cell")
        if cell is not None and not name.startswith("_") and hasattr(cell, name):
            return getattr(cell, name)
        return super().__getattr__(name)

    def _run(self, x: Tensor, state: list[Any], mask: Tensor | None, training: bool) -> tuple[Tensor, list[Any]]:
        if self.unroll or (self.zero_output_for_mask and mask is not None):
            return super()._run(x, state, mask, training)
        cell = self.cell
        x = cell.drop_input(x, (1, *x.shape[1:]), training)
        step, weights = cell.step(x.shape[1], training)
        ys, last = run_direction(step, cell.gates(x), tuple(state), weights, mask, self.go_backwards)
        return ys, list(last)

    def _final(self, ys: Tensor, last: list[Any]) -> Tensor:
        """The output is the state h, so that the outputs of the other steps need not be kept."""
        return super()._final(ys, last) if self.zero_output_for_mask else last[0]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        inner = self.cell.get_config()
        for name in ("name", "trainable", "dtype"):
            inner.pop(name, None)
        return {**inner, **self._config(*self._shared)}


@LAYERS.add()
class SimpleRNN(_OfUnits):
    """h' = activation(x W + h U + b). Arguments as for `LSTM`."""

    _cell = SimpleRNNCell


@LAYERS.add()
class LSTM(_OfUnits):
    """Long short-term memory over [N, T, features].

    Args:
        units: the size of the state.
        activation, recurrent_activation: of the candidate and output, and of the gates.
        unit_forget_bias: begin with 1 in the forget gate's bias.
        dropout, recurrent_dropout: the fractions of input and state that are dropped while training, the same in all steps.
        return_sequences, return_state, go_backwards, stateful, zero_output_for_mask, unroll: as for `RNN`.
    Source: Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000.
    """

    _cell = LSTMCell


@LAYERS.add()
class GRU(_OfUnits):
    """Gated recurrent unit over [N, T, features]: h' = z·h + (1 - z)·n. Arguments as for `LSTM`, and:

    Args:
        reset_after: whether the reset gate multiplies after the product with U (then there are two biases) or before.
    Source: Cho et al., arXiv:1406.1078 (v3 before, v1 after).
    """

    _cell = GRUCell
