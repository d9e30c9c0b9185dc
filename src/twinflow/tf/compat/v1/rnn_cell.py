"""Recurrent cells and the loop over steps: `tf.nn.rnn_cell`, `tf.nn.dynamic_rnn`. The steps are those of `nn`."""

from __future__ import annotations

from typing import Any, NamedTuple

from twinflow import ops
from twinflow.core import tree_flatten, tree_map, tree_unflatten
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import activations
from twinflow.keras._variable import to_tensor
from twinflow.nn._recurrent import Weights, gru_step, lstm_step_with, rnn_step
from twinflow.tensor import Tensor as Value
from twinflow.tf._array import sequence_mask as _sequence_mask
from twinflow.tf.compat.v1 import layers as _layers
from twinflow.tf.compat.v1._control import scan_along
from twinflow.tf.compat.v1._deferred import convert_to_tensor, deferred
from twinflow.tf.compat.v1._functions import concat, reverse, shape, transpose, where, zeros
from twinflow.tf.compat.v1._operations import Tensor
from twinflow.tf.compat.v1._scopes import get_variable, ones_initializer, variable_scope


class LSTMStateTuple(NamedTuple):
    """The state of an LSTM: the cell's c and the output h."""

    c: Any
    h: Any


def _parts(x: Value, kernel: Value, bias: Any) -> tuple[Value, Value]:
    """(the input's part of the gates, the weights of the state) of a kernel [in + H, G·H]."""
    n = int(x.shape[-1])
    gates = ops.matmul(x, kernel[:n])
    return gates if bias is None else gates + bias, kernel[n:].mT


def _rnn(x: Any, h: Any, kernel: Any, bias: Any, activation: str) -> Value:
    gates, w = _parts(to_tensor(x), kernel, bias)
    return rnn_step(activations.get(activation))(gates, (h,), Weights(w))[0]


def _reorder(t: Value, axis: int) -> Value:
    """From TensorFlow's gates i, j, f, o to i, f, g, o."""
    i, j, f, o = ops.chunk(t, 4, axis)
    return ops.concat([i, f, j, o], axis)


def _lstm(x: Any, c: Any, h: Any, kernel: Any, bias: Any, forget_bias: float, activation: str) -> Any:
    gates, w = _parts(to_tensor(x), kernel, bias)
    i, j, f, o = ops.chunk(gates, 4, -1)
    step = lstm_step_with(activations.get(activation), ops.sigmoid)
    new_h, new_c = step(ops.concat([i, f + forget_bias, j, o], -1), (h, c), Weights(_reorder(w, 0)))
    return new_c, new_h


def _gru(x: Any, h: Any, gate_kernel: Any, gate_bias: Any, kernel: Any, bias: Any, activation: str) -> Value:
    t = to_tensor(x)
    gates, w = _parts(t, gate_kernel, gate_bias)
    candidate, w_n = _parts(t, kernel, bias)
    step = gru_step(False, "keep", activations.get(activation), ops.sigmoid)
    return step(ops.concat([gates, candidate], -1), (h,), Weights(ops.concat([w, w_n], 0)))[0]


_rnn_op = deferred(_rnn, "basic_rnn_cell", name="BasicRNNCell")
_lstm_op = deferred(_lstm, "lstm_cell", name="LSTMCell")
_gru_op = deferred(_gru, "gru_cell", name="GRUCell")


def _activation(cell: str, value: Any) -> str:
    name = "tanh" if value is None else value if isinstance(value, str) else getattr(value, "__name__", "")
    if name not in ("tanh", "relu", "sigmoid", "elu", "selu", "softsign", "softplus", "linear"):
        raise ArgumentError(
            f"tf.nn.rnn_cell.{cell}: activation is one of tf.nn's functions, such as tf.nn.relu, not {value!r}"
        )
    return name


class RNNCell:
    """Base of cells: `output, state = cell(inputs, state)`."""

    _scope = "rnn_cell"
    state_size: Any
    output_size: int

    def __init__(self, num_units: int, activation: Any = None, reuse: Any = None, name: str | None = None) -> None:
        if not isinstance(num_units, int) or num_units <= 0:
            raise ArgumentError(
                f"tf.nn.rnn_cell.{type(self).__name__}: num_units is a positive whole number, not {num_units!r}"
            )
        self._units, self._reuse, self._name = num_units, reuse, name
        self._activation = _activation(type(self).__name__, activation)
        self._built: Any = None
        self.state_size, self.output_size = num_units, num_units

    def _features(self, inputs: Tensor) -> int:
        n = inputs.shape.dims[-1] if inputs.shape.dims else None
        if n is None:
            raise ShapeError(
                f"tf.nn.rnn_cell.{type(self).__name__}: the number of features of {inputs!r} must be known"
            )
        return n

    def _build(self, n: int, dtype: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _build(self, n, dtype)")

    def _step(self, weights: Any, inputs: Tensor, state: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _step(self, weights, inputs, state)")

    def __call__(self, inputs: Any, state: Any, scope: Any = None) -> Any:
        """(output, new state) of one step."""
        x = convert_to_tensor(inputs)
        if self._built is None:
            with variable_scope(scope or self._name or self._scope, reuse=self._reuse):
                self._built = self._build(self._features(x), x.dtype)
        return self._step(self._built, x, state)

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        """The state before the first step."""
        return tree_map(lambda n: zeros([batch_size, n], dtype), self.state_size)


class BasicRNNCell(RNNCell):
    """h' = activation([x, h] W + b)."""

    _scope = "basic_rnn_cell"

    def _build(self, n: int, dtype: Any) -> Any:
        h = self._units
        return get_variable("kernel", [n + h, h], dtype), get_variable("bias", [h], dtype, "zeros")

    def _step(self, weights: Any, inputs: Tensor, state: Any) -> Any:
        h = _rnn_op(inputs, state, *weights, self._activation)
        return h, h


class BasicLSTMCell(RNNCell):
    """An LSTM: i, j, f, o = [x, h] W + b; c' = σ(f + forget_bias)·c + σ(i)·tanh(j); h' = σ(o)·tanh(c')."""

    _scope = "basic_lstm_cell"

    def __init__(
        self,
        num_units: int,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: Any = None,
        reuse: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(num_units, activation, reuse, name)
        if not state_is_tuple:
            raise ArgumentError("tf.nn.rnn_cell: the state of an LSTM is a tuple (c, h); leave state_is_tuple out")
        self._forget = float(forget_bias)
        self.state_size = LSTMStateTuple(num_units, num_units)

    def _build(self, n: int, dtype: Any) -> Any:
        h = self._units
        return get_variable("kernel", [n + h, 4 * h], dtype), get_variable("bias", [4 * h], dtype, "zeros")

    def _step(self, weights: Any, inputs: Tensor, state: Any) -> Any:
        c, h = state
        c, h = _lstm_op(inputs, c, h, *weights, self._forget, self._activation)
        return h, LSTMStateTuple(c, h)


class LSTMCell(BasicLSTMCell):
    """The same, with an initializer for its weights."""

    _scope = "lstm_cell"

    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        initializer: Any = None,
        num_proj: int | None = None,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: Any = None,
        reuse: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(num_units, forget_bias, state_is_tuple, activation, reuse, name)
        if use_peepholes or num_proj is not None:
            raise ArgumentError(
                "tf.nn.rnn_cell.LSTMCell: there are no peepholes and no projections; twinflow.nn.LSTM has proj_size"
            )
        self._initializer = initializer

    def _build(self, n: int, dtype: Any) -> Any:
        h = self._units
        kernel = get_variable("kernel", [n + h, 4 * h], dtype, self._initializer)
        return kernel, get_variable("bias", [4 * h], dtype, "zeros")


class GRUCell(RNNCell):
    """A GRU: r, u = σ([x, h] W + b); c = tanh([x, r·h] V + d); h' = u·h + (1 - u)·c."""

    _scope = "gru_cell"

    def _build(self, n: int, dtype: Any) -> Any:
        h = self._units
        with variable_scope("gates"):
            gates = (
                get_variable("kernel", [n + h, 2 * h], dtype),
                get_variable("bias", [2 * h], dtype, ones_initializer()),
            )
        with variable_scope("candidate"):
            return *gates, get_variable("kernel", [n + h, h], dtype), get_variable("bias", [h], dtype, "zeros")

    def _step(self, weights: Any, inputs: Tensor, state: Any) -> Any:
        h = _gru_op(inputs, state, *weights, self._activation)
        return h, h


class MultiRNNCell(RNNCell):
    """Cells on top of each other."""

    def __init__(self, cells: Any, state_is_tuple: bool = True) -> None:
        self._cells = list(cells)
        if not self._cells:
            raise ArgumentError("tf.nn.rnn_cell.MultiRNNCell: there are no cells")
        if len({id(c) for c in self._cells}) != len(self._cells):
            raise ArgumentError(
                "tf.nn.rnn_cell.MultiRNNCell: a cell stands in the list twice and would share its weights; make one for each layer: "
                "[make_cell() for _ in range(n)]"
            )
        self.state_size = tuple(c.state_size for c in self._cells)
        self.output_size = self._cells[-1].output_size

    def __call__(self, inputs: Any, state: Any, scope: Any = None) -> Any:
        """(output of the last cell, states of all)."""
        x, new = convert_to_tensor(inputs), []
        with variable_scope(scope or "multi_rnn_cell"):
            for k, (cell, s) in enumerate(zip(self._cells, state)):
                with variable_scope(f"cell_{k}"):
                    x, s = cell(x, s)
                new.append(s)
        return x, tuple(new)


class DropoutWrapper(RNNCell):
    """A cell whose inputs and outputs are dropped at random."""

    def __init__(self, cell: RNNCell, input_keep_prob: Any = 1.0, output_keep_prob: Any = 1.0) -> None:
        self._cell, self._keep = cell, (input_keep_prob, output_keep_prob)
        self.state_size, self.output_size = cell.state_size, cell.output_size

    def _dropped(self, x: Any, keep: Any) -> Any:
        return x if isinstance(keep, float) and keep == 1.0 else _layers.dropout(x, 1.0 - keep, training=True)

    def __call__(self, inputs: Any, state: Any, scope: Any = None) -> Any:
        """(output, new state) of one step."""
        y, new = self._cell(self._dropped(convert_to_tensor(inputs), self._keep[0]), state)
        return self._dropped(y, self._keep[1]), new


_mask = deferred(_sequence_mask, "SequenceMask", name="RnnMask", static=("maxlen",))


def dynamic_rnn(
    cell: Any,
    inputs: Any,
    sequence_length: Any = None,
    initial_state: Any = None,
    dtype: Any = None,
    parallel_iterations: Any = None,
    swap_memory: bool = False,
    time_major: bool = False,
    scope: Any = None,
) -> Any:
    """(outputs of all steps, last state) of a cell along sequences [N, T, features]: one loop, whatever T is.

    Args:
        sequence_length: the length of each sequence; behind it outputs are 0 and the state stays.
        initial_state: the state before the first step, zeros of type `dtype` if none is given.
        time_major: whether inputs and outputs are [T, N, ...].
    """
    x = convert_to_tensor(inputs)
    if x.shape.rank != 3:
        raise ShapeError(
            f"tf.nn.dynamic_rnn: inputs have 3 axes, [batch, steps, features], but {x!r} has the shape {x.shape}"
        )
    if initial_state is None and dtype is None:
        raise ArgumentError("tf.nn.dynamic_rnn: give initial_state, or its type as dtype=tf.float32")
    steps = x if time_major else transpose(x, [1, 0, 2])
    with variable_scope(scope or "rnn"):
        if initial_state is None:
            known = steps.shape.dims[1] if steps.shape.dims else None
            initial_state = cell.zero_state(shape(steps)[1] if known is None else known, dtype)
        leaves, tree = tree_flatten(initial_state)
        along = [steps]
        if sequence_length is not None:
            length = shape(steps)[0] if steps.shape.dims is None or steps.shape.dims[0] is None else steps.shape.dims[0]
            along.append(transpose(_mask(sequence_length, length), [1, 0]))

        def step(carry: list[Tensor], xs: list[Tensor]) -> Any:
            y, new = cell(xs[0], tree_unflatten(carry, tree))
            flat = tree_flatten(new)[0]
            if sequence_length is not None:
                on = xs[1][:, None]
                flat = [where(on, a, b) for a, b in zip(flat, carry)]
                y = where(on, y, y * 0.0)
            return flat, [y]

        last, (ys,) = scan_along(step, [convert_to_tensor(s) for s in leaves], along, 1)
    return (ys if time_major else transpose(ys, [1, 0, 2])), tree_unflatten(list(last), tree)


def static_rnn(cell: Any, inputs: Any, initial_state: Any = None, dtype: Any = None, scope: Any = None) -> Any:
    """(list of outputs, last state) of a cell along a list of inputs, one copy of the step for each."""
    xs = [convert_to_tensor(x) for x in inputs]
    if initial_state is None:
        known = xs[0].shape.dims[0] if xs[0].shape.dims else None
        initial_state = cell.zero_state(shape(xs[0])[0] if known is None else known, dtype)
    ys, state = [], initial_state
    with variable_scope(scope or "rnn"):
        for x in xs:
            y, state = cell(x, state)
            ys.append(y)
    return ys, state


def bidirectional_dynamic_rnn(
    cell_fw: Any,
    cell_bw: Any,
    inputs: Any,
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: Any = None,
    scope: Any = None,
) -> Any:
    """((outputs forwards, outputs backwards), (last states)) of two cells along [N, T, features] in both directions."""
    x = convert_to_tensor(inputs)
    with variable_scope(scope or "bidirectional_rnn"):
        forwards, last = dynamic_rnn(cell_fw, x, initial_state=initial_state_fw, dtype=dtype, scope="fw")
        backwards, first = dynamic_rnn(
            cell_bw, reverse(x, [1]), initial_state=initial_state_bw, dtype=dtype, scope="bw"
        )
    return (forwards, reverse(backwards, [1])), (last, first)


class ResidualWrapper(RNNCell):
    """A cell whose inputs are added to its outputs."""

    def __init__(self, cell: RNNCell, residual_fn: Any = None) -> None:
        self._cell, self._join = cell, residual_fn
        self.state_size, self.output_size = cell.state_size, cell.output_size

    def __call__(self, inputs: Any, state: Any, scope: Any = None) -> Any:
        """(output, new state) of one step."""
        x = convert_to_tensor(inputs)
        y, new = self._cell(x, state)
        return (x + y if self._join is None else self._join(x, y)), new


def static_bidirectional_rnn(cell_fw: Any, cell_bw: Any, inputs: Any, initial_state_fw: Any = None, initial_state_bw: Any = None,
                             dtype: Any = None, scope: Any = None) -> Any:  # fmt: skip
    """(list of outputs of both directions side by side, last state forwards, last state backwards) along a list of inputs."""
    with variable_scope(scope or "bidirectional_rnn"):
        forwards, last = static_rnn(cell_fw, inputs, initial_state_fw, dtype, "fw")
        backwards, first = static_rnn(cell_bw, list(inputs)[::-1], initial_state_bw, dtype, "bw")
    return [concat([a, b], -1) for a, b in zip(forwards, backwards[::-1])], last, first
