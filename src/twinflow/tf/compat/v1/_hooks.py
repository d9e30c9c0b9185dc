"""Sessions that train: `MonitoredTrainingSession`, hooks, and a `Coordinator` for loops."""

from __future__ import annotations

import logging
import math
import os
import time
from typing import Any, NamedTuple

import numpy as np

from twinflow.core import tree_leaves
from twinflow.core.errors import ArgumentError
from twinflow.tf._checkpoints import latest_checkpoint
from twinflow.tf.compat.v1._control import group
from twinflow.tf.compat.v1._graph import GraphKeys, get_default_graph
from twinflow.tf.compat.v1._init_ops import global_variables_initializer, local_variables_initializer
from twinflow.tf.compat.v1._saver import Saver
from twinflow.tf.compat.v1._schedules import get_global_step
from twinflow.tf.compat.v1._session import Session
from twinflow.tf.compat.v1.summary import FileWriter, merge_all
from twinflow.tf.errors import OutOfRangeError

_LOG = logging.getLogger("twinflow")


class SessionRunArgs(NamedTuple):
    """What a hook wants to be run beside the program's fetches."""

    fetches: Any
    feed_dict: Any = None
    options: Any = None


class SessionRunValues(NamedTuple):
    """What became of it."""

    results: Any
    options: Any = None
    run_metadata: Any = None


class SessionRunContext:
    """What a hook knows of a run, and how it ends the training."""

    def __init__(self, original_args: SessionRunArgs, session: Any) -> None:
        self.original_args, self.session, self.stop_requested = original_args, session, False

    def request_stop(self) -> None:
        """Let this be the last run."""
        self.stop_requested = True


class SessionRunHook:
    """Base of hooks: what is done before and after each run of a monitored session."""

    def begin(self) -> None:
        """Before the session is made: operations may be added to the graph."""

    def after_create_session(self, session: Any, coord: Any) -> None:
        """After the session was made and variables have their values."""

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs | None:
        """Before each run; may ask for further fetches."""
        return None

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """After each run."""

    def end(self, session: Any) -> None:
        """At the end, unless it is an error."""


class _EveryN(SessionRunHook):
    """What is done every so many steps, or seconds."""

    def __init__(self, steps: int | None, secs: float | None, what: str) -> None:
        if (steps is None) == (secs is None):
            raise ArgumentError(f"{what}: give either a number of steps or of seconds")
        self._steps, self._secs = steps, secs
        self._last_step: int | None = None
        self._last_time = 0.0

    def _is_due(self, step: int) -> bool:
        now = time.monotonic()
        if self._last_step is not None:
            if self._steps is not None and step < self._last_step + self._steps:
                return False
            if self._secs is not None and now < self._last_time + self._secs:
                return False
        self._last_step, self._last_time = step, now
        return True


class StopAtStepHook(SessionRunHook):
    """Ends the training after so many steps (`num_steps`), or when the global step reaches `last_step`."""

    def __init__(self, num_steps: int | None = None, last_step: int | None = None) -> None:
        if (num_steps is None) == (last_step is None):
            raise ArgumentError("tf.train.StopAtStepHook: give either num_steps or last_step")
        self._n, self._last = num_steps, last_step

    def begin(self) -> None:
        self._step = get_global_step()
        if self._step is None:
            raise ArgumentError(
                "tf.train.StopAtStepHook: there is no global step; call tf.train.get_or_create_global_step()"
            )

    def after_create_session(self, session: Any, coord: Any) -> None:
        if self._last is None:
            self._last = int(session.run(self._step)) + int(self._n or 0)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        if int(run_context.session.run(self._step)) >= int(self._last or 0):
            run_context.request_stop()


class LoggingTensorHook(_EveryN):
    """Writes values to the log (`logging.getLogger("twinflow")`) every so many runs or seconds.

    Args:
        tensors: tensors or their names, in a list or under names.
        formatter: a function from the dictionary of values to the text.
    """

    def __init__(self, tensors: Any, every_n_iter: int | None = None, every_n_secs: float | None = None, at_end: bool = False,
                 formatter: Any = None) -> None:  # fmt: skip
        super().__init__(every_n_iter, every_n_secs, "tf.train.LoggingTensorHook")
        given = tensors if isinstance(tensors, dict) else {getattr(t, "name", t): t for t in tensors}
        self._tensors, self._format, self._at_end = given, formatter, at_end
        self._runs = 0

    def begin(self) -> None:
        graph = get_default_graph()
        self._fetches = {k: graph.as_graph_element(t) for k, t in self._tensors.items()}

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs | None:
        self._wanted = self._is_due(self._runs)
        return SessionRunArgs(self._fetches) if self._wanted else None

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        self._runs += 1
        if self._wanted:
            self._write(run_values.results)

    def end(self, session: Any) -> None:
        if self._at_end:
            self._write(session.run(self._fetches))

    def _write(self, values: dict[str, Any]) -> None:
        _LOG.info(self._format(values) if self._format else ", ".join(f"{k} = {v}" for k, v in values.items()))


class NanLossDuringTrainingError(RuntimeError):
    """The loss became NaN."""


class NanTensorHook(SessionRunHook):
    """Ends the training, or raises an error, when a loss becomes NaN."""

    def __init__(self, loss_tensor: Any, fail_on_nan_loss: bool = True) -> None:
        self._loss, self._fail = loss_tensor, fail_on_nan_loss

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs:
        return SessionRunArgs(self._loss)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        if math.isnan(float(np.asarray(run_values.results))):
            if self._fail:
                raise NanLossDuringTrainingError(f"tf.train.NanTensorHook: {self._loss.name!r} is NaN")
            run_context.request_stop()


class CheckpointSaverHook(_EveryN):
    """Saves the variables every so many steps or seconds, and at the end."""

    def __init__(self, checkpoint_dir: str, save_secs: float | None = None, save_steps: int | None = None, saver: Any = None,
                 checkpoint_basename: str = "model.ckpt") -> None:  # fmt: skip
        super().__init__(save_steps, save_secs, "tf.train.CheckpointSaverHook")
        self._saver, self._path = saver, os.path.join(checkpoint_dir, checkpoint_basename)

    def begin(self) -> None:
        self._step = get_global_step()
        self._saver = self._saver or Saver()

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._save(session)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        step = int(run_context.session.run(self._step)) if self._step is not None else 0
        if self._is_due(step):
            self._save(run_context.session)

    def end(self, session: Any) -> None:
        self._save(session)

    def _save(self, session: Any) -> None:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        self._saver.save(session, self._path, global_step=self._step)


class SummarySaverHook(_EveryN):
    """Writes summaries to event files every so many steps or seconds."""

    def __init__(self, save_steps: int | None = None, save_secs: float | None = None, output_dir: str | None = None,
                 summary_writer: Any = None, summary_op: Any = None) -> None:  # fmt: skip
        super().__init__(save_steps, save_secs, "tf.train.SummarySaverHook")
        self._writer, self._dir, self._summary = summary_writer, output_dir, summary_op

    def begin(self) -> None:
        self._step = get_global_step()
        self._summary = self._summary if self._summary is not None else merge_all()
        self._writer = self._writer or FileWriter(self._dir)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        step = int(run_context.session.run(self._step)) if self._step is not None else 0
        if self._summary is not None and self._is_due(step):
            values = run_context.session.run(self._summary, run_context.original_args.feed_dict)
            self._writer.add_summary(values, step)

    def end(self, session: Any) -> None:
        self._writer.flush()


class StepCounterHook(_EveryN):
    """Writes the number of steps a second to the log."""

    def __init__(self, every_n_steps: int | None = 100, every_n_secs: float | None = None) -> None:
        super().__init__(every_n_steps, every_n_secs, "tf.train.StepCounterHook")
        self._at: tuple[int, float] | None = None

    def begin(self) -> None:
        self._step = get_global_step()

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        step, now = int(run_context.session.run(self._step)), time.monotonic()
        if self._is_due(step):
            if self._at is not None and now > self._at[1]:
                _LOG.info("steps a second: %g", (step - self._at[0]) / (now - self._at[1]))
            self._at = (step, now)


class FeedFnHook(SessionRunHook):
    """Feeds each run with what a function returns."""

    def __init__(self, feed_fn: Any) -> None:
        self._feed = feed_fn

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs:
        return SessionRunArgs([], self._feed())


class FinalOpsHook(SessionRunHook):
    """Runs something at the end; the values are in `final_ops_values`."""

    def __init__(self, final_ops: Any, final_ops_feed_dict: Any = None) -> None:
        self._ops, self._feeds = final_ops, final_ops_feed_dict
        self.final_ops_values: Any = None

    def end(self, session: Any) -> None:
        self.final_ops_values = session.run(self._ops, self._feeds)


class MonitoredSession:
    """A session that gives variables their values (the latest checkpoint's, if there is one), runs hooks, and knows when to end.

    The graph is finalized. The end of a data set ends the `with` block without an error.
    """

    def __init__(self, session_creator: Any = None, hooks: Any = None, checkpoint_dir: str | None = None) -> None:
        if session_creator is not None:
            raise ArgumentError("tf.train.MonitoredSession: there is one process, so session_creator is left out")
        self._hooks = list(hooks or [])
        for hook in self._hooks:
            hook.begin()
        graph = get_default_graph()
        first = group(
            global_variables_initializer(), local_variables_initializer(), *graph.get_collection("table_initializer")
        )
        saver = Saver() if checkpoint_dir and graph.get_collection(GraphKeys.GLOBAL_VARIABLES) else None
        graph.finalize()
        self._session = Session(graph=graph)
        self._session.run(first)
        latest = latest_checkpoint(checkpoint_dir) if checkpoint_dir else None
        if saver is not None and latest is not None:
            saver.restore(self._session, latest)
        self._stop = False
        for hook in self._hooks:
            hook.after_create_session(self._session, None)

    @property
    def graph(self) -> Any:
        """The graph that it runs."""
        return self._session.graph

    def should_stop(self) -> bool:
        """Whether a hook asked for the end, or the data have ended."""
        return self._stop

    def run(self, fetches: Any, feed_dict: Any = None) -> Any:
        """The values of fetches; hooks run before and after."""
        contexts, extra, feeds = [], [], dict(feed_dict or {})
        for hook in self._hooks:
            context = SessionRunContext(SessionRunArgs(fetches, feed_dict), self._session)
            asked = hook.before_run(context)
            feeds.update((asked.feed_dict if asked is not None else None) or {})
            extra.append(None if asked is None or not tree_leaves(asked.fetches) else asked.fetches)
            contexts.append(context)
        wanted = [x for x in extra if x is not None]
        try:
            values, *found = self._session.run([fetches, *wanted], feeds)
        except OutOfRangeError:
            self._stop = True
            raise
        results = iter(found)
        for hook, context, asked in zip(self._hooks, contexts, extra):
            hook.after_run(context, SessionRunValues(None if asked is None else next(results)))
            self._stop |= context.stop_requested
        return values

    def run_step_fn(self, step_fn: Any) -> Any:
        """`step_fn` with a context whose `session` runs without hooks."""
        return step_fn(SessionRunContext(SessionRunArgs(None), self._session))

    def close(self) -> None:
        """End the hooks and the session."""
        for hook in self._hooks:
            hook.end(self._session)
        self._session.close()

    def __enter__(self) -> MonitoredSession:
        self._block = self._session.as_default()
        self._block.__enter__()
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> bool:
        self._block.__exit__(kind, error, traceback)
        ended = kind is not None and issubclass(kind, OutOfRangeError)
        if kind is None or ended:
            self.close()
        else:
            self._session.close()
        return bool(ended)


SingularMonitoredSession = MonitoredSession


def MonitoredTrainingSession(
    master: str = "", is_chief: bool = True, checkpoint_dir: str | None = None, hooks: Any = None, chief_only_hooks: Any = None,
    save_checkpoint_secs: float | None = None, save_summaries_steps: int | None = None, save_summaries_secs: float | None = None,
    config: Any = None, log_step_count_steps: int | None = 100, save_checkpoint_steps: int | None = None,
    summary_dir: str | None = None,
) -> MonitoredSession:  # fmt: skip
    """A `MonitoredSession` that saves checkpoints (every 600 seconds, if nothing else is said) and summaries to a folder."""
    if master:
        raise ArgumentError(
            f"tf.train.MonitoredTrainingSession: there are no remote sessions, so {master!r} cannot be reached"
        )
    every = [*(hooks or []), *(chief_only_hooks or [])]
    if get_global_step() is not None and log_step_count_steps:
        every.append(StepCounterHook(log_step_count_steps))
    if checkpoint_dir:
        secs = 600 if save_checkpoint_secs is None and save_checkpoint_steps is None else save_checkpoint_secs
        every.append(CheckpointSaverHook(checkpoint_dir, secs, None if secs is not None else save_checkpoint_steps))
    folder = summary_dir or checkpoint_dir
    if folder and merge_all() is not None:
        steps = 100 if save_summaries_steps is None and save_summaries_secs is None else save_summaries_steps
        every.append(SummarySaverHook(steps, save_summaries_secs, folder))
    return MonitoredSession(hooks=every, checkpoint_dir=checkpoint_dir)
