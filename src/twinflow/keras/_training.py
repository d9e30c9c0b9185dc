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
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.jit import compile as compile_function
from twinflow.keras import activations, losses, metrics, optimizers
from twinflow.keras._callback import emit, listeners, wants_batches
from twinflow.keras._data import Arrays, Batches, adapt, as_tensors, class_weights, pack_x_y_sample_weight, triple
from twinflow.keras._fit_loop import FitLoop, full_and_rest, named, number
from twinflow.keras._masking import get_mask, set_mask
from twinflow.keras._progress import progress_line
from twinflow.ops import fori_loop, from_numpy, zeros
from twinflow.tensor import Tensor, enable_grad, no_grad


class Trainer:
    """What models inherit beside layers."""

    optimizer: Any
    loss: Any
    stop_training: bool

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is trained.

        Args:
            optimizer: a name or an object.
            loss: a name, an object or a function; for several outputs a list, or a dict by the outputs' names.
            loss_weights: how much each output's loss counts.
            metrics: names, objects or functions; for several outputs a list of lists, or a dict by name.
            weighted_metrics: the same, but updated with the weights of samples and classes.
            run_eagerly: run each step in Python, without compiling; jit_compile=False means the same.
            steps_per_execution: how many steps to take between two calls of callbacks that look at steps.
            auto_scale_loss: for Keras's programs; it says something about float16, in which layers do not compute.
        """
        d = self.__dict__
        d["optimizer"] = optimizers.get(optimizer)
        if jit_compile not in ("auto", True, False):
            raise ArgumentError(f"compile: jit_compile is 'auto', True or False, not {jit_compile!r}")
        if not isinstance(steps_per_execution, int) or steps_per_execution < 1:
            raise ArgumentError(f"compile: steps_per_execution is a positive whole number, not {steps_per_execution!r}")
        d["loss"], d["loss_weights"], d["run_eagerly"] = loss, loss_weights, run_eagerly or jit_compile is False
        d["steps_per_execution"] = steps_per_execution
        d["_metric_spec"], d["_weighted_spec"] = metrics, weighted_metrics
        d["_losses"] = d["_metric_objects"] = d["_output_trackers"] = d["_output_losses"] = None
        d["_loss_tracker"] = _metrics_mean()
        d["_programs"] = {}
        d["stop_training"] = False
        _validate(loss, [metrics, weighted_metrics])

    def _need_compiled(self, what: str) -> None:
        if "_programs" not in self.__dict__:
            raise ArgumentError(f"{what}: call model.compile(optimizer=..., loss=...) first")

    # -- losses and metrics ----------------------------------------------------------------------------------------

    def _output_names(self, n: int) -> list[str]:
        names = self.__dict__.get("output_names")
        return names if names is not None and len(names) == n else [f"output_{i + 1}" for i in range(n)]

    def _per_output(self, what: str, spec: Any, names: list[str]) -> list[Any]:
        n = len(names)
        if isinstance(spec, dict):
            unknown = spec.keys() - set(names)
            if unknown:
                raise ArgumentError(
                    f"compile: {what} names the output {sorted(unknown)[0]!r}, but there are {', '.join(names)}"
                )
            return [spec.get(name) for name in names]
        if isinstance(spec, (list, tuple)):
            if len(spec) != n:
                raise ArgumentError(f"compile: {what} has {len(spec)} entries, but the model has {n} outputs")
            return list(spec)
        return [spec] * n

    def _prepare_losses(self, y: Any, y_pred: Any) -> None:
        """Make losses and metrics when the outputs' shapes are first known."""
        d = self.__dict__
        if d["_losses"] is not None:
            return
        outs = tree_leaves(y_pred)
        names = self._output_names(len(outs))
        found = [losses.get(spec) for spec in self._per_output("loss", d["loss"], names)]
        self._check_logits(found)
        rows = self._metric_rows("metrics", d["_metric_spec"], names, tree_leaves(y), outs)
        weighted = self._metric_rows("weighted_metrics", d["_weighted_spec"], names, tree_leaves(y), outs)
        d["_weighted"] = {id(m) for row in weighted for m in row}
        taken = {m.name for row in rows for m in row}
        for m in (m for row in weighted for m in row if m.name in taken):
            m.name = f"weighted_{m.name}"
        objects = [[*a, *b] for a, b in zip(rows, weighted)]
        weights = d["loss_weights"]
        d["_weights"] = [1.0 if w is None else w for w in self._per_output("loss_weights", weights, names)]
        d["_losses"], d["_metric_objects"] = found, objects
        if len(outs) > 1:  # the mean loss of each output, beside that of all
            d["_output_trackers"] = [
                None if loss is None else metrics.Mean(name=f"{name}_loss") for name, loss in zip(names, found)
            ]

    def _metric_rows(
        self, what: str, spec: Any, names: list[str], targets: list[Any], outs: list[Any]
    ) -> list[list[Any]]:
        """The metrics of each output, made for its shape."""
        if len(outs) == 1 and not isinstance(spec, dict):
            per_output: list[Any] = [spec]
        else:
            per_output = self._per_output(what, spec, names) if spec is not None else [None] * len(outs)
        rows: list[list[Any]] = []
        for k, wanted in enumerate(per_output):
            wanted = [] if wanted is None else wanted if isinstance(wanted, (list, tuple)) else [wanted]
            shape = tuple(targets[k].shape) if k < len(targets) and targets[k] is not None else ()
            row = [metrics.for_model(m, shape, tuple(outs[k].shape)) for m in wanted]
            if len(outs) > 1:
                for m in row:
                    if not m.name.startswith(f"{names[k]}_"):
                        m.name = f"{names[k]}_{m.name}"
            rows.append(row)
        return rows

    def _check_logits(self, found: list[Any]) -> None:
        """Raise where a softmax (or sigmoid) is followed by a loss that applies it again."""
        layers = self.__dict__.get("_output_layers") or []
        for layer, loss in zip(layers, found):
            activation = getattr(layer, "activation", None)
            pairs = {activations.softmax: "softmax", activations.sigmoid: "sigmoid"}
            name = pairs.get(activation) if callable(activation) else None
            if name and getattr(loss, "from_logits", False):
                raise ArgumentError(
                    f"the last layer {layer.name!r} applies {name}, and the loss {loss.name} with from_logits=True applies it again; "
                    "remove the activation, or write from_logits=False"
                )

    def _total_loss(self, y: Any, y_pred: Any, sample_weight: Any) -> Tensor | None:
        outs, targets = tree_leaves(y_pred), tree_leaves(y) if y is not None else []
        d = self.__dict__
        wanted = [loss for loss in d["_losses"] if loss is not None]
        if wanted and len(targets) != len(outs):
            raise ShapeError(
                f"fit: the model has {len(outs)} outputs, but there are {len(targets)} targets; give y"
                + (" as a list with one array for each output" if len(outs) > 1 else "")
            )
        total: Tensor | None = None
        if isinstance(y, dict) and not isinstance(y_pred, dict):
            targets = [y[name] for name in self._output_names(len(outs))]
        d["_output_losses"] = [None] * len(d["_losses"])
        for k, (loss, weight) in enumerate(zip(d["_losses"], d["_weights"])):
            if loss is not None:
                w = sample_weight[k] if isinstance(sample_weight, (list, tuple)) else sample_weight
                part = d["_output_losses"][k] = loss(targets[k], outs[k], w)
                part = part if weight == 1.0 else part * weight
                total = part if total is None else total + part
        return total

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Tensor:
        """The loss of a batch with all penalties; override it for a loss of your own."""
        self._prepare_losses(y, y_pred)
        total = self._total_loss(y, y_pred, sample_weight)
        for part in self.losses:  # type: ignore[attr-defined]
            total = part if total is None else total + part
        if total is None:
            raise ArgumentError("fit: there is no loss; give one to compile, or call add_loss in a layer")
        return total

    @property
    def metrics(self) -> list[Any]:
        """The loss's mean and all metrics."""
        tracker = self.__dict__.get("_loss_tracker")
        parts = [m for m in self.__dict__.get("_output_trackers") or [] if m is not None]
        rows = self.__dict__.get("_metric_objects") or []
        return ([tracker] if tracker is not None else []) + parts + [m for row in rows for m in row]

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`, in the order of `evaluate`'s values."""
        return [m.name for m in self.metrics]

    def _update_metrics(self, loss: Tensor, y: Any, y_pred: Any, n: Any, w: Any = None) -> None:
        d = self.__dict__
        with no_grad():
            seen_losses = [(d["_loss_tracker"], loss), *zip(d["_output_trackers"] or [], d["_output_losses"] or [])]
            d["_output_losses"] = None
            for tracker, value in seen_losses:
                if tracker is not None and value is not None:
                    tracker.total.add_(value.detach().float() * n)
                    tracker.count.add_(n)
            for k, (row, t, p) in enumerate(zip(d["_metric_objects"], tree_leaves(y), tree_leaves(y_pred))):
                seen = p.detach()
                set_mask(seen, get_mask(p))
                for m in row:
                    weight = w[k] if isinstance(w, (list, tuple)) else w
                    m.update_state(t, seen, *([weight] if id(m) in d["_weighted"] and weight is not None else []))

    def _results(self) -> dict[str, float]:
        """All numbers by name, in the order of the names, as Keras logs them."""
        return dict(sorted((m.name, m.numbers()) for m in self.metrics))

    def _in_order(self, logs: dict[str, Any]) -> Any:
        """The loss, or [loss, metrics...], of logs."""
        names = [n for n in self.metrics_names if n in logs]
        values = [logs[n] for n in [*names, *(n for n in logs if n not in names)]]
        return values[0] if len(values) == 1 else values

    def reset_metrics(self) -> None:
        """Begin all metrics anew."""
        for m in self.metrics:
            m.reset_state()

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
        variables = self.trainable_variables  # type: ignore[attr-defined]
        found = gradients(self.optimizer.scale_loss(loss), variables, allow_unused=True)
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
        programs = self.__dict__["_programs"]
        key = (kind, tuple(id(v) for v in self.trainable_variables))  # type: ignore[attr-defined]
        if key not in programs:
            fn = getattr(self, f"_run_{kind}")
            programs[key] = fn if self.__dict__["run_eagerly"] else compile_function(fn)
        return programs[key]

    def _run_train(self, x: Any, y: Any, w: Any) -> None:
        self._train_batch(x, y, w)

    def _run_test(self, x: Any, y: Any, w: Any) -> None:
        self._test_batch(x, y, w)

    def _run_own(self, data: Any) -> dict[str, Any]:
        return prepared(self.train_step)(data)

    def _run_own_test(self, data: Any) -> dict[str, Any]:
        with no_grad():
            return prepared(self.test_step)(data)

    def _run_train_rows(self, data: Any, order: Tensor, first: Tensor, last: Tensor) -> Tensor:
        return self._loop(self._train_batch, data, order, first, last)

    def _run_test_rows(self, data: Any, order: Tensor, first: Tensor, last: Tensor) -> Tensor:
        return self._loop(self._test_batch, data, order, first, last)

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
        for loss, t, p in zip(self.__dict__["_losses"], tree_leaves(y), tree_leaves(y_pred)):
            if t is None:
                continue
            if isinstance(loss, losses.BinaryCrossentropy):
                losses.check_targets(loss.name, t)
            if isinstance(loss, losses.SparseCategoricalCrossentropy):
                low, high, n = float(t.min()), float(t.max()), int(p.shape[-1])
                if (low < 0 or high >= n) and loss.ignore_class is None:
                    raise ArgumentError(
                        f"{loss.name}: labels are whole numbers from 0 to {n - 1}, because the last layer has {n} units, but they reach "
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
        if class_weight is not None:
            weight = class_weights(as_tensors(y), class_weight)
            sample_weight = weight if sample_weight is None else weight * as_tensors(sample_weight)
        data = adapt("fit", x, y, sample_weight, batch_size, steps_per_epoch)
        validation = self._validation(data, validation_split, validation_data, validation_batch_size, validation_steps)
        if validation_split and isinstance(data, Arrays):
            data, validation = data.split(validation_split)
        loop = FitLoop(self, data, epochs, _verbosity(verbose), callbacks, shuffle, steps_per_epoch)
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
            return adapt("fit", vx, vy, vw, batch_size or own, steps)
        return adapt("fit", given, None, None, batch_size, steps)

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
        params = {"verbose": verbose, "epochs": 1, "steps": data.steps() if isinstance(data, Arrays) else data.n_steps}
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
        for rows in full_and_rest(np.arange(data.n), data.batch_size):
            program, order = self._program("test_rows"), from_numpy(rows)
            size = 1 if watched else len(rows)
            for at in range(0, len(rows), size):
                if watched:
                    emit(given, "on_test_batch_begin", count)
                program(data.data, order, number(at), number(at + size))
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
        self.optimizer.iterations += 1
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


def _metrics_mean() -> Any:
    return metrics.Mean(name="loss")


def _validate(loss: Any, wanted: Any) -> None:
    """Find misspelt names and what is no loss at once, not at the first step."""
    for spec in tree_leaves(loss):
        losses.get(spec)
    for spec in tree_leaves(wanted):
        if isinstance(spec, str) and spec not in ("accuracy", "acc"):
            metrics.get(spec)


def _batch_size(x: Any) -> Any:
    return next(t for t in tree_leaves(x) if isinstance(t, Tensor)).shape[0]


def _verbosity(verbose: Any) -> int:
    if verbose == "auto":
        return 1
    if verbose not in (0, 1, 2):
        raise ArgumentError(f"verbose is 'auto', 0, 1 or 2, not {verbose!r}")
    return int(verbose)
