"""What `compile` says of a model: its optimizer, its losses and its metrics, for one output or several."""

from __future__ import annotations

from typing import Any

from twinflow.core import tree_leaves
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import activations, losses, metrics, optimizers
from twinflow.keras._masking import get_mask, set_mask
from twinflow.keras._metric import REGISTRY
from twinflow.tensor import Tensor, no_grad


class Objectives:
    """The losses and metrics of a model, made when its outputs' shapes are first known."""

    optimizer: Any
    loss: Any

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
            auto_scale_loss: put a `LossScaleOptimizer` around the optimizer of a model with the policy 'mixed_float16'.
        """
        d = self.__dict__
        found = optimizers.get(optimizer)
        scales = auto_scale_loss and self.dtype_policy.name == "mixed_float16"  # type: ignore[attr-defined]
        inside = isinstance(found, optimizers.LossScaleOptimizer)
        d["optimizer"] = optimizers.LossScaleOptimizer(found) if scales and not inside else found
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
                try:
                    part = d["_output_losses"][k] = loss(targets[k], outs[k], w)
                except ShapeError as error:
                    raise self._name_output(error, k, outs[k]) from None
                part = part if weight == 1.0 else part * weight
                total = part if total is None else total + part
        return total

    def _last_layer(self, k: int) -> str:
        """What output k comes from, for messages."""
        layers = self.__dict__.get("_output_layers") or []
        if k < len(layers) and layers[k] is not None:
            return f"the last layer {layers[k]._kind()} {layers[k].name!r}"
        return f"{self._kind()} {self.name!r}"  # type: ignore[attr-defined]

    def _name_output(self, error: ShapeError, k: int, given: Any) -> ShapeError:
        """The error of a loss with what it was given the outputs of."""
        text, at, line = str(error).partition("\n  at ")
        made = f"output of {self._last_layer(k)}: {given.dtype.name}[{', '.join(map(str, given.shape))}]"
        return ShapeError(f"{text}\n  {made}{at}{line}", line=getattr(error, "line", None))

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


def _metrics_mean() -> Any:
    return metrics.Mean(name="loss")


def _validate(loss: Any, wanted: Any) -> None:
    """Find misspelt names and what is no loss at once, not at the first step."""
    for spec in tree_leaves(loss):
        losses.get(spec)
    for spec in tree_leaves(wanted):
        if isinstance(spec, str) and spec not in ("accuracy", "acc"):
            REGISTRY.find(spec)
