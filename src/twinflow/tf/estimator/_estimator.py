"""Estimator: a model function that builds a static graph, and the loops that run it with checkpoints in a folder."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from twinflow.core import tree_flatten, tree_unflatten
from twinflow.core.errors import ArgumentError, DataError
from twinflow.tensor import Tensor
from twinflow.tf.compat import v1
from twinflow.utils import load


class ModeKeys:
    """What a model function is asked to build."""

    TRAIN = "train"
    EVAL = "eval"
    PREDICT = "infer"


class EstimatorSpec:
    """What a model function returns.

    Args:
        mode: the mode it was given.
        predictions: a tensor, or a dict of them.
        loss: for training and evaluation.
        train_op: the operation of one step, for training; it counts the global step.
        eval_metric_ops: {name: (value, update_op)} of tf.compat.v1.metrics, for evaluation.
    Raises: ArgumentError if something is missing that the mode needs.
    """

    def __init__(
        self, mode: str, predictions: Any = None, loss: Any = None, train_op: Any = None, eval_metric_ops: Any = None
    ) -> None:
        if mode not in (ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT):
            raise ArgumentError(f"EstimatorSpec: mode is one of tf.estimator.ModeKeys, not {mode!r}")
        if mode == ModeKeys.PREDICT and predictions is None:
            raise ArgumentError("EstimatorSpec: predictions are needed to predict")
        if mode != ModeKeys.PREDICT and loss is None:
            raise ArgumentError(f"EstimatorSpec: a loss is needed for mode {mode!r}")
        if mode == ModeKeys.TRAIN and train_op is None:
            raise ArgumentError(
                "EstimatorSpec: train_op is needed to train, such as optimizer.minimize(loss, global_step=...)"
            )
        self.mode, self.predictions, self.loss, self.train_op = mode, predictions, loss, train_op
        self.eval_metric_ops = dict(eval_metric_ops or {})


class RunConfig:
    """Where and how often things are written.

    Args:
        model_dir: the folder of checkpoints and summaries.
        tf_random_seed: the seed of initial values.
        save_checkpoints_steps: after how many steps a checkpoint is written, beside the one at the end.
        keep_checkpoint_max: how many stay.
        save_summary_steps: after how many steps summaries are written, if the model makes some.
    """

    def __init__(
        self,
        model_dir: str | None = None,
        tf_random_seed: int | None = None,
        save_checkpoints_steps: int | None = None,
        keep_checkpoint_max: int = 5,
        save_summary_steps: int = 100,
    ) -> None:
        self.model_dir, self.tf_random_seed = model_dir, tf_random_seed
        self.save_checkpoints_steps, self.keep_checkpoint_max = save_checkpoints_steps, keep_checkpoint_max
        self.save_summary_steps = save_summary_steps


class TrainSpec(NamedTuple):
    """How `train_and_evaluate` trains: the input function, and the global step to stop at."""

    input_fn: Callable[[], Any]
    max_steps: int | None = None


class EvalSpec(NamedTuple):
    """How `train_and_evaluate` evaluates: the input function, and how many batches."""

    input_fn: Callable[[], Any]
    steps: int | None = 100
    name: str | None = None


def _array(x: Any) -> Any:
    return x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x)


def _batches(input_fn: Callable[[], Any], labelled: bool) -> Iterator[tuple[Any, Any]]:
    """(features, labels) as arrays, batch by batch. A pair that is no data set is one batch, given again and again."""
    made = input_fn()
    endless = isinstance(made, (dict, tuple, Tensor, np.ndarray))
    for element in iter(lambda: made, None) if endless else made:
        if isinstance(element, (tuple, list)) and len(element) == 2:
            features, labels = element
        elif labelled:
            raise DataError(
                f"tf.estimator: the input function must give (features, labels), but gave {type(element).__name__}; return a data set of pairs"
            )
        else:
            features, labels = element, None
        leaves, tree = tree_flatten(features)
        marks, mark_tree = tree_flatten(labels)
        yield (
            tree_unflatten([_array(x) for x in leaves], tree),
            None if labels is None else tree_unflatten([_array(x) for x in marks], mark_tree),
        )


class _Feeds:
    """Placeholders for a tree of arrays."""

    def __init__(self, example: Any, what: str) -> None:
        leaves, self._tree = tree_flatten(example)
        self._placeholders = []
        for k, x in enumerate(leaves):
            if x.dtype.kind not in "biuf":
                raise DataError(
                    f"tf.estimator: {what} hold {x.dtype}, which a graph has no tensors of; turn them into numbers, or use "
                    "tf.feature_column with a canned estimator"
                )
            dtype = np.float32 if x.dtype == np.float64 else x.dtype
            self._placeholders.append(v1.placeholder(dtype, [None, *x.shape[1:]] if x.ndim else [], f"{what}_{k}"))
        self.tensors = tree_unflatten(list(self._placeholders), self._tree)

    def feed(self, values: Any) -> dict[Any, Any]:
        """What is fed for arrays of the same structure."""
        return dict(zip(self._placeholders, tree_flatten(values)[0]))


class Estimator:
    """A model given as a function that builds its graph.

    Args:
        model_fn: (features, labels, mode, params, config) -> EstimatorSpec, with those of the arguments that it names.
        model_dir: the folder of checkpoints; a temporary one if none is given. A new estimator goes on from what it holds.
        config: a `RunConfig`.
        params: handed to `model_fn`.
    """

    def __init__(
        self,
        model_fn: Callable[..., EstimatorSpec],
        model_dir: str | None = None,
        config: Any = None,
        params: Any = None,
    ) -> None:
        self.config: RunConfig = config or RunConfig()
        self._model_fn, self.params = model_fn, dict(params or {})
        self.model_dir = os.fspath(model_dir or self.config.model_dir or tempfile.mkdtemp(prefix="twinflow-estimator-"))

    def _call(self, features: Any, labels: Any, mode: str) -> EstimatorSpec:
        given = {"labels": labels, "mode": mode, "params": self.params, "config": self.config}
        names = inspect.signature(self._model_fn).parameters
        unknown = list(names)[1:] and [n for n in list(names)[1:] if n not in given]
        if unknown:
            raise ArgumentError(
                f"tf.estimator: model_fn takes features, labels, mode, params and config, not {', '.join(unknown)}"
            )
        spec = self._model_fn(features, **{k: v for k, v in given.items() if k in names})
        if not isinstance(spec, EstimatorSpec):
            raise ArgumentError(
                f"tf.estimator: model_fn must return a tf.estimator.EstimatorSpec, not {type(spec).__name__}"
            )
        return spec

    def _prepare(self, features: Any) -> Any:
        """The features as they are fed."""
        return features

    def latest_checkpoint(self) -> str | None:
        """The latest checkpoint in the folder, or None."""
        return v1.train.latest_checkpoint(self.model_dir)

    def _saved(self, what: str, path: str | None) -> str:
        found = path or self.latest_checkpoint()
        if found is None:
            raise ArgumentError(
                f"tf.estimator: {what} needs a trained model, but {self.model_dir} has no checkpoint; call train first"
            )
        return found

    def train(
        self, input_fn: Callable[[], Any], steps: int | None = None, max_steps: int | None = None, hooks: Any = None
    ) -> Estimator:
        """Train until the data end, for `steps` more steps, or up to the global step `max_steps`."""
        if hooks:
            raise ArgumentError(
                "tf.estimator: there are no hooks; call train for a number of steps, and look between the calls"
            )
        if steps is not None and max_steps is not None:
            raise ArgumentError("tf.estimator: give either steps or max_steps")
        config = self.config
        data = _batches(input_fn, True)
        first = next(data, None)
        if first is None:
            raise DataError("tf.estimator: the input function gave no batch to train with")
        with v1.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            if config.tf_random_seed is not None:
                v1.set_random_seed(config.tf_random_seed)
            counter = v1.train.create_global_step()
            x, y = _Feeds(self._prepare(first[0]), "features"), _Feeds(first[1], "labels")
            spec = self._call(x.tensors, y.tensors, ModeKeys.TRAIN)
            summaries = v1.summary.merge_all()
            saver = v1.train.Saver(max_to_keep=config.keep_checkpoint_max)
            session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
            if self.latest_checkpoint():
                saver.restore(session, self.latest_checkpoint())
            step = begin = int(session.run(counter))
            last = begin + steps if steps is not None else max_steps
            writer = None
            batch: Any = first
            while batch is not None and (last is None or step < last):
                feed = {**x.feed(self._prepare(batch[0])), **y.feed(batch[1])}
                write = summaries is not None and step % config.save_summary_steps == 0
                fetched = session.run([spec.train_op, spec.loss, counter, *([summaries] if write else [])], feed)
                if write:
                    writer = writer or v1.summary.FileWriter(self.model_dir)
                    writer.add_summary(fetched[3], step)
                if not np.isfinite(fetched[1]):
                    raise DataError(
                        f"tf.estimator: the loss is {fetched[1]} at step {step}; lower the learning rate or look at the data"
                    )
                before, step = step, int(session.run(counter))
                if step == before:
                    raise ArgumentError(
                        "tf.estimator: train_op does not count the global step: minimize(loss, global_step=tf.train.get_global_step())"
                    )
                if config.save_checkpoints_steps and step % config.save_checkpoints_steps == 0:
                    saver.save(session, os.path.join(self.model_dir, "model.ckpt"), step, write_meta_graph=False)
                batch = next(data, None) if last is None or step < last else None
            saver.save(session, os.path.join(self.model_dir, "model.ckpt"), step, write_meta_graph=False)
            if writer is not None:
                writer.close()
        return self

    def evaluate(
        self,
        input_fn: Callable[[], Any],
        steps: int | None = None,
        checkpoint_path: str | None = None,
        name: str | None = None,
    ) -> dict[str, Any]:
        """The loss's mean over batches and the metrics, with the global step."""
        path = self._saved("evaluate", checkpoint_path)
        data = _batches(input_fn, True)
        first = next(data, None)
        if first is None:
            raise DataError("tf.estimator: the input function gave no batch to evaluate with")
        with v1.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            counter = v1.train.create_global_step()
            x, y = _Feeds(self._prepare(first[0]), "features"), _Feeds(first[1], "labels")
            spec = self._call(x.tensors, y.tensors, ModeKeys.EVAL)
            metrics = dict(spec.eval_metric_ops)
            metrics["loss"] = v1.metrics.mean(spec.loss)
            session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
            v1.train.Saver().restore(session, path)
            done, batch = 0, first
            while batch is not None and (steps is None or done < steps):
                session.run([u for _, u in metrics.values()], {**x.feed(self._prepare(batch[0])), **y.feed(batch[1])})
                done += 1
                batch = next(data, None) if steps is None or done < steps else None  # type: ignore[assignment]
            values = session.run({k: v for k, (v, _) in metrics.items()})
            return {**values, "global_step": int(session.run(counter))}

    def predict(
        self,
        input_fn: Callable[[], Any],
        predict_keys: Any = None,
        checkpoint_path: str | None = None,
        yield_single_examples: bool = True,
    ) -> Iterator[Any]:
        """The predictions, example by example (or batch by batch)."""
        path = self._saved("predict", checkpoint_path)
        data = _batches(input_fn, False)
        first = next(data, None)
        if first is None:
            return
        with v1.Graph().as_default() as graph:
            session = v1.Session(graph=graph)
            v1.train.create_global_step()
            x = _Feeds(self._prepare(first[0]), "features")
            spec = self._call(x.tensors, None, ModeKeys.PREDICT)
            wanted = spec.predictions
            if predict_keys is not None:
                wanted = {k: v for k, v in wanted.items() if k in predict_keys}
            session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
            v1.train.Saver().restore(session, path)
        batch: Any = first
        while batch is not None:
            values = session.run(wanted, x.feed(self._prepare(batch[0])))
            if not yield_single_examples:
                yield values
            else:
                leaves, tree = tree_flatten(values)
                for row in zip(*leaves):
                    yield tree_unflatten(list(row), tree)
            batch = next(data, None)
        session.close()

    def get_variable_names(self) -> list[str]:
        """The names of all variables of the latest checkpoint."""
        return sorted(load(self._saved("get_variable_names", None) + ".safetensors")["variables"])

    def get_variable_value(self, name: str) -> Any:
        """The value of a variable of the latest checkpoint."""
        found = load(self._saved("get_variable_value", None) + ".safetensors")["variables"]
        if name not in found:
            raise ArgumentError(
                f"tf.estimator: there is no variable {name!r}; there are {', '.join(sorted(found)[:8])}"
            )
        return found[name].numpy()


def train_and_evaluate(
    estimator: Estimator, train_spec: TrainSpec, eval_spec: EvalSpec
) -> tuple[dict[str, Any], list[Any]]:
    """Train up to `max_steps`, evaluating at every checkpoint (`RunConfig.save_checkpoints_steps`) and at the end.

    Returns the last evaluation, and an empty list where TensorFlow gives exports.
    """
    every = estimator.config.save_checkpoints_steps
    limit = train_spec.max_steps
    result: dict[str, Any] = {}
    before = -1
    while True:
        if every:
            latest = estimator.latest_checkpoint()
            at = int(latest.rpartition("-")[2]) if latest else 0
            target = at + every if limit is None else min(at + every, limit)
            estimator.train(train_spec.input_fn, max_steps=target)
        else:
            estimator.train(train_spec.input_fn, max_steps=limit)
        result = estimator.evaluate(eval_spec.input_fn, eval_spec.steps, name=eval_spec.name)
        step = result["global_step"]
        if not every or step == before or (limit is not None and step >= limit) or step < target:
            return result, []
        before = step
