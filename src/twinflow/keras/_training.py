"""compile, fit, evaluate and predict: the training loop as a native loop over rows of the data."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from twinflow.autodiff import grad as gradients
from twinflow.autograph import prepared
from twinflow.core import tree_flatten, tree_leaves, tree_map, tree_unflatten
from twinflow.core.errors import ArgumentError
from twinflow.jit import compile as compile_function
from twinflow.keras import losses
from twinflow.keras._callback import emit, listeners, wants_batches
from twinflow.keras._data import (
    Arrays,
    Batches,
    adapt,
    as_tensors,
    class_weights,
    is_batches,
    pack_x_y_sample_weight,
    triple,
)
from twinflow.keras._fit_loop import FitLoop, full_and_rest, named, number
from twinflow.keras._objectives import Objectives
from twinflow.keras._progress import progress_line
from twinflow.ops import fori_loop, from_numpy, zeros
from twinflow.tensor import Tensor, enable_grad, no_grad


class Trainer(Objectives):
    """What models inherit beside layers."""

    stop_training: bool

    # -- one batch -------------------------------------------------------------------------------------------------

    def _forward_loss(self, x: Any, y: Any, w: Any, training: bool) -> tuple[Tensor, Any]:
        try:
            y_pred = self(x, training=training)  # type: ignore[operator]
            return self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=w), y_pred
        finally:
            self._clear_losses()  # type: ignore[attr-defined] # they belong to the traced step

    def _train_batch(self, x: Any, y: Any, w: Any) -> None:
        """One step: forward, backward, update, metrics. Everything in it can be traced."""
        with enable_grad():
            loss, y_pred = self._forward_loss(x, y, w, True)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables  # type: ignore[attr-defined]
        if not scaled.requires_grad:
            raise self.optimizer.no_gradient("fit", variables)
        found = gradients(scaled, variables, allow_unused=True)
        self.optimizer.step(variables, list(found))
        self._update_metrics(loss, y, y_pred, _batch_size(x), w)

    def _test_batch(self, x: Any, y: Any, w: Any) -> None:
        with no_grad():
            loss, y_pred = self._forward_loss(x, y, w, False)
            self._update_metrics(loss, y, y_pred, _batch_size(x), w)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step on a batch (x, y) or (x, y, sample_weight); override it for a step of your own.

        Inside, use a gradient tape and `self.optimizer.apply_gradients`, and return numbers by name.
        """
        x, y, w = triple(data)
        self._train_batch(x, y, w)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data: Any) -> dict[str, Any]:
        """The evaluation of a batch (x, y) or (x, y, sample_weight); override it for one of your own, and return numbers by name."""
        x, y, w = triple(data)
        self._test_batch(x, y, w)
        return {m.name: m.result() for m in self.metrics}

    def predict_step(self, data: Any) -> Any:
        """What `predict` gives for a batch of inputs; override it for something of your own."""
        return self(data, training=False)  # type: ignore[operator]

    def _has_own_step(self, kind: str = "train_step") -> bool:
        return getattr(type(self), kind) is not getattr(Trainer, kind)

    def _program(self, kind: str) -> Any:
        """The compiled function of one kind, made when first needed."""
        programs, key = self.__dict__["_programs"], self._program_key(kind)
        if key not in programs:
            fn = getattr(self, f"_run_{kind}")
            programs[key] = fn if self.__dict__["run_eagerly"] else compile_function(fn)
        return programs[key]

    def _program_key(self, kind: Any) -> Any:
        """What a program depends on: its kind, and which variables are trained."""
        return kind, tuple(id(v) for v in self.trainable_variables)  # type: ignore[attr-defined]

    def _run_train(self, x: Any, y: Any, w: Any) -> None:
        self._train_batch(x, y, w)

    def _run_test(self, x: Any, y: Any, w: Any) -> None:
        self._test_batch(x, y, w)

    def _run_own(self, data: Any) -> dict[str, Any]:
        results = prepared(self.train_step)(data)
        self.__dict__["_output_losses"] = None  # they belong to this step alone
        return results

    def _run_own_test(self, data: Any) -> dict[str, Any]:
        with no_grad():
            results = prepared(self.test_step)(data)
        self.__dict__["_output_losses"] = None
        return results

    def _rows_program(self, kind: str, data: Any) -> Any:
        """The compiled loop over rows of this data: a function of (order, first, last). See `_loop`."""
        leaves, tree = tree_flatten(data)
        given = [t for t in leaves if isinstance(t, Tensor)]
        held = tuple(isinstance(t, Tensor) for t in leaves)
        programs, key = self.__dict__["_programs"], self._program_key((kind, tree, held))
        if key not in programs:
            step = getattr(self, f"_{kind}_batch")

            def loop(order: Tensor, first: Tensor, last: Tensor, *tensors: Tensor) -> Tensor:
                found = iter(tensors)
                return self._loop(
                    step, tree_unflatten([next(found) if h else None for h in held], tree), order, first, last
                )

            programs[key] = loop if self.__dict__["run_eagerly"] else compile_function(loop)
        program = programs[key]
        return lambda order, first, last: program(order, first, last, *given)  # tensors alone: the quick way in

    def _loop(self, step: Any, data: Any, order: Tensor, first: Tensor, last: Tensor) -> Tensor:
        """Steps `first` to `last` on the rows that `order` [steps, batch] names: one native loop when compiled."""

        def body(i: Any, carry: Tensor) -> Tensor:
            rows = order[i]
            step(*tree_map(lambda t: t[rows] if isinstance(t, Tensor) else t, data))
            return carry

        with no_grad():
            return fori_loop(first, last, body, zeros(()))

    # -- the loops -------------------------------------------------------------------------------------------------

    def _start(self, what: str, x: Any, y: Any, training: bool) -> None:
        """Build the model and everything that needs shapes, with a few examples."""
        self._need_compiled(what)
        if self._has_own_step("train_step" if training else "test_step"):
            if self._can_be_called():  # type: ignore[attr-defined]
                self._try(x)
        else:
            y_pred = self._try(x)
            self._prepare_losses(y, y_pred)
            self._check_data(y, y_pred)
        if training:
            variables = self.trainable_variables  # type: ignore[attr-defined]
            if variables:
                self.optimizer.build(variables)
            elif not self._has_own_step():
                raise ArgumentError(f"{what}: the model has no trainable variables")
            self.optimizer.prepare()

    def _try(self, x: Any) -> Any:
        """What the model makes of a few examples, for the shapes; layers that keep a state are left as they were."""
        start = getattr(self, "_batch_input_shape", None) or _first_shape(self.__dict__.get("_graph"))
        n = start[0] if start is not None and start[0] is not None else 2
        kept = [(v, np.array(v.detach()._data)) for layer in self._flatten_layers() if getattr(layer, "stateful", False)  # type: ignore[attr-defined]
                for v in (tree_leaves(layer.states) if layer.states is not None else [])]  # fmt: skip
        with no_grad():
            y_pred = self(tree_map(lambda t: t[:n] if isinstance(t, Tensor) else t, x), training=False)  # type: ignore[operator]
        for v, before in kept:
            v.assign(before)
        return y_pred

    def _check_data(self, y: Any, y_pred: Any) -> None:
        """Look at the targets once, where they are known: compiled steps cannot."""
        for k, (loss, t, p) in enumerate(zip(self.__dict__["_losses"], tree_leaves(y), tree_leaves(y_pred))):
            if t is None:
                continue
            if isinstance(loss, losses.BinaryCrossentropy):
                losses.check_targets(loss.name, t)
            if isinstance(loss, losses.SparseCategoricalCrossentropy):
                low, high, n = float(t.min()), float(t.max()), int(p.shape[-1])
                if (low < 0 or high >= n) and loss.ignore_class is None:
                    raise ArgumentError(
                        f"{loss.name}: labels are whole numbers from 0 to {n - 1}, because {self._last_layer(k)} has {n} units, but they reach "
                        f"from {low:g} to {high:g}"
                    )
                if t.dtype.is_floating_point and bool((t != t.floor()).any()):
                    raise ArgumentError(
                        f"{loss.name}: labels are whole numbers, but the targets have fractions; use a loss for numbers such as "
                        "'mean_squared_error'"
                    )

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> Any:
        """Train for a number of epochs; returns a `History`.

        Args:
            x, y: arrays, tensors, or lists and dicts of them; or x alone is a data set, loader or generator of (x, y).
            batch_size: examples in each step; 32 if not given.
            verbose: 0 for nothing, 1 for a bar, 2 for a line for each epoch.
            validation_split: which part of the end of the arrays is for validation.
            validation_data: (x, y) or (x, y, sample_weight), or a data set.
            steps_per_epoch: how many batches make an epoch.
        """
        self._need_compiled("fit")
        cut = validation_split and not is_batches(x)  # the steps are those of a part of the data
        data = adapt("fit", x, y, sample_weight, batch_size, None if cut else steps_per_epoch)
        validation = self._validation(data, validation_split, validation_data, validation_batch_size, validation_steps)
        if validation_split and isinstance(data, Arrays):
            data, validation = data.split(validation_split, steps_per_epoch, validation_steps)
        if class_weight is not None:  # validation is not weighted by classes
            data.weigh_classes(class_weight)
        loop = FitLoop(self, data, epochs, _verbosity(verbose), callbacks, shuffle)
        return loop.run(initial_epoch, validation, validation_freq)

    def _validation(self, data: Any, split: float, given: Any, batch_size: int | None, steps: int | None) -> Any:
        if given is None:
            if split and isinstance(data, Batches):
                raise ArgumentError("fit: validation_split needs arrays; give validation_data with a data set")
            return None
        if isinstance(given, (tuple, list)):
            if len(given) not in (2, 3):
                raise ArgumentError("fit: validation_data is (x, y) or (x, y, sample_weight)")
            vx, vy, vw = triple(given)
            own = data.batch_size if isinstance(data, Arrays) else None
            return adapt("fit: validation_data", vx, vy, vw, batch_size or own, steps)
        return adapt("fit: validation_data", given, None, None, batch_size, steps)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss, or [loss, metrics...], over the data."""
        data = adapt("evaluate", x, y, sample_weight, batch_size, steps)
        started = time.perf_counter()
        params = {"verbose": verbose, "epochs": 1, "steps": data.n_steps}
        logs, n = self._evaluate(data, listeners("evaluate", callbacks, self, params))
        if _verbosity(verbose):
            text = progress_line(n, n, time.perf_counter() - started, logs, _verbosity(verbose) == 1)
            sys.stdout.write(text + "\n")
        return logs if return_dict else self._in_order(logs)

    def _evaluate(self, data: Arrays | Batches, given: list[Any]) -> tuple[dict[str, Any], int]:
        """(all numbers, how many batches)."""
        emit(given, "on_test_begin")
        if isinstance(data, Arrays) and not self._has_own_step("test_step"):
            logs, count = self._evaluate_rows(data, given)
        else:
            logs, count = self._evaluate_batches(data, given)
        emit(given, "on_test_end", logs)
        return logs, count

    def _evaluate_rows(self, data: Arrays, given: list[Any]) -> tuple[dict[str, Any], int]:
        """Native loops over rows; one loop, unless a callback looks at batches."""
        self._start("evaluate", *data.data[:2], False)
        self.reset_metrics()
        watched, count = any(wants_batches(c, "test") for c in given), 0
        program = self._rows_program("test", data.data)
        for rows in full_and_rest(np.arange(min(data.n, data.n_steps * data.batch_size)), data.batch_size):
            order = from_numpy(rows)
            size = 1 if watched else len(rows)
            for at in range(0, len(rows), size):
                if watched:
                    emit(given, "on_test_batch_begin", count)
                program(order, number(at), number(at + size))
                if watched:
                    emit(given, "on_test_batch_end", count, self._results())
                count += size
        return self._results(), count

    def _evaluate_batches(self, data: Arrays | Batches, given: list[Any]) -> tuple[dict[str, Any], int]:
        """Batch by batch; of a `test_step` of the model's own the last numbers count, as metrics keep theirs."""
        own, count = self._has_own_step("test_step"), 0
        logs: dict[str, Any] = {}
        for batch in data.batches() if isinstance(data, Arrays) else data.epoch("evaluate"):
            if not count:
                self._start("evaluate", batch[0], batch[1], False)
                self.reset_metrics()
            emit(given, "on_test_batch_begin", count)
            if own:
                logs = named(self, "test_step", self._program("own_test")(pack_x_y_sample_weight(*batch)))
            else:
                self._program("test")(*batch)
            emit(given, "on_test_batch_end", count, logs or self._results())
            count += 1
        return logs or self._results(), count

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for all examples, as arrays."""
        data = adapt("predict", x, None, None, batch_size, steps)
        given = listeners("predict", callbacks, self, {"verbose": verbose, "epochs": 1, "steps": steps})
        programs = self.__dict__.setdefault("_predict_programs", {})
        started, tree = time.perf_counter(), None
        parts: list[list[Any]] = []
        emit(given, "on_predict_begin")
        source: Iterator[Any] = data.batches() if isinstance(data, Arrays) else data.epoch("predict")
        for xs, _, _ in source:
            if not parts:
                self._try(xs)
            emit(given, "on_predict_batch_begin", len(parts))
            program = programs.setdefault("forward", compile_function(self._run_forward))
            outputs = program(xs)
            leaves, tree = tree_flatten(outputs)
            parts.append([np.asarray(t) for t in leaves])
            emit(given, "on_predict_batch_end", len(parts) - 1, {"outputs": outputs})
        emit(given, "on_predict_end")
        if _verbosity(verbose):
            n = len(parts)
            sys.stdout.write(progress_line(n, n, time.perf_counter() - started, {}) + "\n")
        if tree is None:
            raise ArgumentError("predict: there is no data")
        return tree_unflatten([np.concatenate(column) for column in zip(*parts)], tree)

    def _run_forward(self, x: Any) -> Any:
        with no_grad():
            return prepared(self.predict_step)(x)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as arrays."""
        with no_grad():
            return tree_map(np.asarray, self(as_tensors(x), training=False))  # type: ignore[operator]

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One step on one batch; the loss, or [loss, metrics...], since the metrics were last reset."""
        data = as_tensors(x), as_tensors(y), as_tensors(sample_weight)
        if class_weight is not None:
            data = data[0], data[1], class_weights(data[1], class_weight)
        if not self.__dict__.get("_started"):
            self._start("train_on_batch", data[0], data[1], True)
            self.__dict__["_started"] = True
        self.reset_metrics()
        self._program("train")(*data)
        self.optimizer.prepare()
        logs = self._results()
        return logs if return_dict else self._in_order(logs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss, or [loss, metrics...], of one batch."""
        data = as_tensors(x), as_tensors(y), as_tensors(sample_weight)
        self._start("test_on_batch", data[0], data[1], False)
        self.reset_metrics()
        self._program("test")(*data)
        logs = self._results()
        return logs if return_dict else self._in_order(logs)


def _first_shape(graph: Any) -> Any:
    return None if graph is None else tree_leaves(graph[0])[0].shape


def _batch_size(x: Any) -> Any:
    return next(t for t in tree_leaves(x) if isinstance(t, Tensor)).shape[0]


def _verbosity(verbose: Any) -> int:
    if verbose == "auto":
        return 1
    if verbose not in (0, 1, 2):
        raise ArgumentError(f"verbose is 'auto', 0, 1 or 2, not {verbose!r}")
    return int(verbose)
