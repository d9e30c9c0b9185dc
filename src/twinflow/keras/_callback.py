"""What callbacks are: the base class, several as one, and those that keep the logs or call functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError

Logs = dict[str, Any]


class Callback:
    """Base: override what is needed. `self.model` is the model and `self.params` says how long training is."""

    model: Any = None
    params: dict[str, Any]

    def set_model(self, model: Any) -> None:
        """Called before anything else."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called with the number of epochs and steps."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a step; defining it makes `fit` return to Python at every step."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a step; defining it makes `fit` return to Python at every step."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation; defining it makes evaluation return to Python at every batch."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation; defining it makes evaluation return to Python at every batch."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction; the logs hold its outputs."""


def wants_batches(callback: Callback, kind: str = "train") -> bool:
    """Whether it looks at single steps of training (or at batches of an evaluation, kind "test")."""
    said = getattr(callback, "wants_batches", None)
    if said is not None:
        return bool(said)
    cls = type(callback)
    names = (f"on_{kind}_batch_begin", f"on_{kind}_batch_end")
    return any(getattr(cls, n) is not getattr(Callback, n) for n in names)


def listeners(what: str, given: Any, model: Any, params: dict[str, Any]) -> list[Callback]:
    """Callbacks that were given, ready to be called. Raises: ArgumentError for anything else."""
    found = [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    for c in found:
        if not isinstance(c, Callback):
            raise ArgumentError(f"{what}: a callback is an object of keras.callbacks.Callback, not {c!r}")
        c.set_model(model)
        c.set_params(params)
    return found


def emit(given: list[Callback], event: str, *args: Any) -> None:
    """Call all of them."""
    for c in given:
        getattr(c, event)(*args)


class CallbackList(Callback):
    """Several callbacks as one: every event goes to each of them in order."""

    def __init__(self, callbacks: Any = None, model: Any = None, **params: Any) -> None:
        self.callbacks = list(callbacks or [])
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def append(self, callback: Callback) -> None:
        """Add one at the end."""
        self.callbacks.append(callback)

    def set_model(self, model: Any) -> None:
        """Hand it to all."""
        self.model = model
        for c in self.callbacks:
            c.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        """Hand them to all."""
        self.params = params
        for c in self.callbacks:
            c.set_params(params)

    @property
    def wants_batches(self) -> bool:
        """Whether any of them looks at single steps."""
        return any(wants_batches(c) for c in self.callbacks)


def _to_all(event: str) -> Callable[..., None]:
    def send(self: CallbackList, *args: Any, **kwargs: Any) -> None:
        for c in self.callbacks:
            getattr(c, event)(*args, **kwargs)

    send.__doc__ = f"`{event}` of all."
    return send


for _event in [n for n in vars(Callback) if n.startswith("on_")]:
    setattr(CallbackList, _event, _to_all(_event))


class History(Callback):
    """The logs of all epochs; `fit` returns one."""

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep the logs."""
        self.epoch.append(epoch)
        for k, v in (logs or {}).items():
            self.history.setdefault(k, []).append(v)


class LambdaCallback(Callback):
    """Functions as a callback."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        names = {n for n in dir(Callback) if n.startswith("on_")}
        unknown = functions.keys() - names
        if unknown:
            raise ArgumentError(
                f"LambdaCallback: there is no {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}"
            )
        self.wants_batches = any("batch" in n for n, f in functions.items() if f is not None)
        for name, f in functions.items():
            if f is not None:
                setattr(self, name, f)


def is_better(name: str, mode: str, monitor: str, min_delta: float = 0.0) -> Callable[[float, float], bool]:
    """(now, best) -> whether now is better. 'auto' takes accuracies and the like upwards, and the rest downwards."""
    if mode not in ("auto", "min", "max"):
        raise ArgumentError(f"{name}: mode is 'auto', 'min' or 'max', not {mode!r}")
    up = mode == "max" or (mode == "auto" and any(w in monitor for w in ("acc", "precision", "recall", "auc", "f1")))
    return (lambda a, b: a - min_delta > b) if up else (lambda a, b: a + min_delta < b)


def watched(name: str, monitor: str, logs: Logs | None) -> float:
    """A number among the logs. Raises: ArgumentError if it is not there."""
    value = (logs or {}).get(monitor)
    if value is None:
        raise ArgumentError(
            f"{name}: there is no {monitor!r} among the logs, which have {', '.join(logs or {}) or 'nothing'}"
            + ("; give validation data" if monitor.startswith("val_") else "")
        )
    return float(value)
