"""The Trainer: what it computes, exact resumption, callbacks, loggers, and how it fails."""

import csv
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import twinflow as tf
from twinflow import data, metrics, nn, optim, train
from twinflow.core.errors import ArgumentError, CheckpointError, DataError, GradientError, TraceError
from twinflow.train import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    ProgressBar,
    Trainer,
    TrainModule,
)


def rows(n=24, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return data.TensorDataset(tf.tensor(x), tf.tensor((x.sum(1) > 0).astype(np.int64)))


class Net(TrainModule):
    """Dropout and a shuffled loader make every source of randomness matter."""

    def __init__(self, interval="epoch"):
        super().__init__()
        self.layer = nn.Linear(3, 8)
        self.out = nn.Linear(8, 2)
        self.accuracy = metrics.Accuracy()
        self.interval = interval

    def forward(self, x):
        h = self.layer(x).tanh()
        if self.training:
            h = h * (tf.rand_like(h) > 0.2)
        return self.out(h)

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self(x)
        loss = nn.functional.cross_entropy(scores, y)
        self.accuracy.update(scores.detach(), y)
        self.log("loss", loss, prog_bar=True)
        self.log("accuracy", self.accuracy)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        optimizer = optim.Adam(self.parameters(), lr=0.05)
        schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return {"optimizer": optimizer, "scheduler": schedule, "interval": self.interval}


def quiet(**options):
    return Trainer(enable_progress_bar=False, **options)


def run(stop_after=None, folder=None, resume=None, compile=False, interval="epoch", epochs=3, **options):
    """Weights and metrics of a run; with stop_after, of one that is interrupted after so many batches."""
    tf.manual_seed(11)
    module = Net(interval)
    loader = data.DataLoader(rows(), 5, shuffle=True)
    callbacks = [ModelCheckpoint(folder, monitor="val_loss", every_n_steps=1)] if folder else []
    if stop_after is not None:
        callbacks.append(Interrupt(stop_after))
    trainer = quiet(max_epochs=epochs, callbacks=callbacks, compile=compile, **options)
    if resume:
        tf.rand(7)  # a resumed program has drawn other numbers
    found = trainer.fit(module, loader, data.DataLoader(rows(9, 1), 4), ckpt_path=resume)
    return [p.tolist() for p in module.parameters()], found, trainer


class Interrupt(Callback):
    def __init__(self, after):
        self.after = after

    def on_train_batch_end(self, trainer, module, batch, batch_idx):
        if trainer.global_batch == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("interval", ["epoch", "step"])
@pytest.mark.parametrize("stop", [1, 4, 5, 8, 10])
def test_a_resumed_run_ends_as_if_it_had_not_stopped(tmp_path, stop, interval, compile):
    expected, means, _ = run(interval=interval, compile=compile)
    with pytest.raises(KeyboardInterrupt):
        run(stop, tmp_path, interval=interval, compile=compile)
    weights, again, _ = run(None, tmp_path, str(tmp_path / "last.safetensors"), interval=interval, compile=compile)
    assert weights == expected
    assert again == means


def test_resuming_with_accumulated_gradients(tmp_path):
    expected, means, trainer = run(accumulate_grad_batches=2)
    assert trainer.global_step == 9
    with pytest.raises(KeyboardInterrupt):
        run(8, tmp_path, accumulate_grad_batches=2)
    weights, again, _ = run(None, tmp_path, str(tmp_path / "last.safetensors"), accumulate_grad_batches=2)
    assert weights == expected
    assert again == means


def test_a_killed_run_resumes(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import os, signal, sys
            sys.path.insert(0, {os.path.dirname(__file__)!r})
            import test_trainer as t
            class Kill(t.Callback):
                def on_train_batch_end(self, trainer, module, batch, batch_idx):
                    if trainer.global_batch == 7:
                        os.kill(os.getpid(), signal.SIGKILL)
            t.Interrupt = lambda after: Kill()
            t.run(7, {str(tmp_path)!r})
            """
        )
    )
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, str(program)], env={**os.environ, "PYTHONPATH": path}, check=False, capture_output=True
    )
    assert done.returncode == -9, done.stderr.decode()
    weights, _, _ = run(None, tmp_path, str(tmp_path / "last.safetensors"))
    assert weights == run()[0]


def halving(o):
    return optim.lr_scheduler.StepLR(o, 1, 0.5)


@pytest.mark.parametrize(
    ("made", "rate"),
    [
        (lambda o: o, 1.0),
        (lambda o: [o], 1.0),
        (lambda o: (o, halving(o)), 0.25),
        (lambda o: ([o], [halving(o)]), 0.25),
        (lambda o: {"optimizer": o, "scheduler": halving(o)}, 0.25),
        (lambda o: {"optimizer": o, "lr_scheduler": halving(o), "interval": "step"}, 0.5**6),
        (lambda o: {"optimizer": o, "lr_scheduler": {"scheduler": halving(o), "interval": "step"}}, 0.5**6),
        (
            lambda o: {
                "optimizer": o,
                "scheduler": optim.lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=9),
                "monitor": "x",
            },
            0.1,
        ),
    ],
)
def test_forms_of_configure_optimizers(made, rate):
    module = Configured(made)
    quiet(max_epochs=2).fit(module, [1, 2, 3])
    assert module.made.param_groups[0]["lr"] == pytest.approx(rate)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda o: None, "an optimizer was expected, not NoneType"),
        (lambda o: {"scheduler": halving(o)}, "an optimizer was expected, not NoneType"),
        (lambda o: {"optimizer": o, "schedule": halving(o)}, "'schedule' is not one of the keys 'optimizer'"),
        (
            lambda o: {"optimizer": o, "lr_scheduler": {"scheduler": halving(o), "frequency": 2}},
            "'frequency' is not one",
        ),
        (lambda o: (o, "StepLR"), "a schedule was expected, not str"),
        (lambda o: {"optimizer": o, "scheduler": halving(o), "interval": "batch"}, "interval is 'epoch' or 'step'"),
        (lambda o: [o, o], "with 2 optimizers, set automatic_optimization = False"),
    ],
)
def test_wrong_forms_of_configure_optimizers(made, said):
    with pytest.raises(ArgumentError, match=said):
        quiet().fit(Configured(made), [1])


class Configured(TrainModule):
    def __init__(self, form):
        super().__init__()
        self.w = nn.Parameter(tf.zeros(1))
        self.__dict__["form"] = form

    def training_step(self, batch, batch_idx):
        self.log("x", 1.0)
        return (self.w - 1).sum() ** 2

    def configure_optimizers(self):
        self.__dict__["made"] = optim.SGD(self.parameters(), lr=1.0)
        return self.form(self.made)


def test_a_step_that_depends_on_the_number_of_the_batch_and_gives_nan():
    class Spoilt(Configured):
        def training_step(self, batch, batch_idx):
            return (self.w * (float("nan") if batch_idx == 1 else 1.0)).sum()

    class Branches(Configured):
        def training_step(self, batch, batch_idx):
            return (self.w * float("nan")).sum() if self.w < 1 else self.w.sum()

    with pytest.raises(GradientError, match=r"batch 1, so .* the first operation to give NaN is mul"):
        quiet().fit(Spoilt(lambda o: o), [1, 2, 3])
    with pytest.raises(GradientError, match=r"batch 0, so .* cannot be run again as a graph: .*detect_anomaly"):
        quiet().fit(Branches(lambda o: o), [1, 2, 3])


@pytest.mark.parametrize("check_finite", [False, True])
def test_compiled_steps_with_a_schedule_and_many_parameters(check_finite):
    def trained(compile):
        tf.manual_seed(0)
        model = nn.Sequential(*[nn.Linear(3, 3) for _ in range(9)], nn.Linear(3, 2))
        optimizer = optim.Adam(model.parameters(), lr=0.01)

        class Module(TrainModule):
            def __init__(self):
                super().__init__()
                self.model = model

            def training_step(self, batch, batch_idx):
                return nn.functional.cross_entropy(model(batch[0]), batch[1])

            def configure_optimizers(self):
                schedule = optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=18)
                return {"optimizer": optimizer, "scheduler": schedule, "interval": "step"}

        quiet(max_epochs=3, compile=compile, check_finite=check_finite).fit(Module(), data.DataLoader(rows(), 4))
        return [p.detach().numpy() for p in model.parameters()]

    for a, b in zip(trained(False), trained(True)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_compiled_and_eager_agree():
    eager, means, _ = run()
    compiled, others, _ = run(compile=True)
    for a, b in zip(eager, compiled):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert others == pytest.approx(means, rel=1e-4)


def plain():
    tf.manual_seed(0)
    model = nn.Linear(3, 2)
    return model, optim.SGD(model.parameters(), lr=0.5)


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
def test_a_plain_model_with_loss_and_optimizer(compile):
    model, optimizer = plain()
    trainer = quiet(max_epochs=15, compile=compile)
    found = trainer.fit(
        model, data.DataLoader(rows(), 8), data.DataLoader(rows(), 7), loss=nn.CrossEntropyLoss(), optimizer=optimizer,
        metrics={"accuracy": metrics.Accuracy()},
    )  # fmt: skip
    assert set(found) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert found["val_accuracy"] > 0.9
    assert trainer.validate(model, data.DataLoader(rows(), 24))["val_loss"] == pytest.approx(
        found["val_loss"], rel=1e-5
    )
    tested = trainer.test(model, data.DataLoader(rows(), 10))
    assert set(tested) == {"test_loss", "test_accuracy"}
    predictions = trainer.predict(model, data.DataLoader(rows(), 10))
    assert [p.shape[0] for p in predictions] == [10, 10, 4]
    assert not predictions[0].requires_grad


def test_epoch_means_are_weighted_by_batch_size():
    model, optimizer = plain()
    optimizer.param_groups[0]["lr"] = 0.0
    found = quiet().fit(model, data.DataLoader(rows(), 17), loss=nn.CrossEntropyLoss(), optimizer=optimizer)
    x, y = rows().tensors
    assert found["loss"] == pytest.approx(nn.functional.cross_entropy(model(x), y).item(), rel=1e-6)


def test_gradient_clipping_and_accumulation():
    def first_step(batch, **options):
        model, optimizer = plain()
        before = model.weight.tolist()
        quiet(**options).fit(model, data.DataLoader(rows(), batch), loss=nn.CrossEntropyLoss(), optimizer=optimizer)
        return np.array(before) - np.array(model.weight.tolist())

    np.testing.assert_allclose(first_step(24), first_step(6, accumulate_grad_batches=4), rtol=1e-5)
    clipped = first_step(24, gradient_clip_val=1e-3)
    assert np.linalg.norm(clipped) <= 0.5e-3
    assert np.linalg.norm(clipped) > 0.1e-3


def test_two_optimizers_by_hand():
    class Two(TrainModule):
        automatic_optimization = False

        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 1)

        def training_step(self, batch, batch_idx):
            for part, optimizer in zip((self.a, self.b), self.optimizers()):
                loss = (part(batch[0]) ** 2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                self.log(f"loss_{id(part) == id(self.b):d}", loss)

        def configure_optimizers(self):
            return [optim.SGD(self.a.parameters(), lr=0.1), optim.SGD(self.b.parameters(), lr=0.0)]

    module = Two()
    before = module.b.weight.tolist()
    found = quiet(max_epochs=20).fit(module, data.DataLoader(rows(), 8))
    assert found["loss_0"] < 0.05
    assert module.b.weight.tolist() == before
    Two.automatic_optimization = True
    with pytest.raises(ArgumentError, match="with 2 optimizers, set automatic_optimization = False"):
        quiet().fit(Two(), data.DataLoader(rows(), 8))


class BadLog(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        h = self.layer(x)
        return tf.log(h - h.detach() - 1.0)  # the mistake


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
def test_nan_names_the_operation_and_line_and_spares_the_parameters(compile):
    model = BadLog()
    before = model.layer.weight.tolist()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(
        GradientError,
        match=r"(?s)the loss is not finite in epoch 1, batch 0.*first operation to give NaN is log\(.*# the mistake",
    ):
        quiet(compile=compile).fit(model, data.DataLoader(rows(), 8), loss=nn.CrossEntropyLoss(), optimizer=optimizer)
    assert model.layer.weight.tolist() == before


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
def test_nan_in_a_gradient_is_found_too(compile):
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(tf.zeros(3))

        def forward(self, x):
            return (x * self.w).abs().sum(1).sqrt()  # its derivative at 0 is infinite

    model = Root()
    with pytest.raises(GradientError, match="a gradient is not finite in epoch 1, batch 0"):
        quiet(compile=compile).fit(
            model, data.DataLoader(rows(), 8), loss=lambda p, y: p.sum(), optimizer=optim.SGD(model.parameters())
        )
    assert model.w.tolist() == [0.0] * 3


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
def test_nan_in_the_data(compile):
    x, y = rows().tensors
    x = x.clone()
    x[3, 0] = float("nan")
    model, optimizer = plain()
    before = model.weight.tolist()
    with pytest.raises(GradientError, match="NaN in an input of the step"):
        quiet(compile=compile).fit(
            model, data.DataLoader(data.TensorDataset(x, y), 24), loss=nn.CrossEntropyLoss(), optimizer=optimizer
        )
    assert model.weight.tolist() == before


class Alternating(TrainModule):
    """Two updates a batch, by hand; the loss becomes NaN when the input is large."""

    automatic_optimization = False

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 1)

    def configure_optimizers(self):
        return [optim.SGD(self.a.parameters(), lr=0.1), optim.SGD(self.b.parameters(), lr=0.1)]

    def training_step(self, batch, batch_idx):
        for layer, optimizer in zip((self.a, self.b), self.trainer.optimizers):
            optimizer.zero_grad()
            loss = (layer(batch) - self.a(batch).detach()).square().mean() + (100.0 - batch).sqrt().mean()
            loss.backward()
            optimizer.step()
        return loss


def test_compiled_updates_by_hand_are_not_made_from_nan():
    tf.manual_seed(0)
    model = Alternating()
    good, bad = tf.ones(4, 3), tf.full((4, 3), 101.0)
    once, twice = quiet(compile=True), quiet(compile=True)
    once.fit(model, [good])
    after_good = [p.tolist() for p in model.parameters()]
    with pytest.raises(GradientError, match=r"(?s)the loss is not finite in epoch 1, batch 0.*give NaN is sqrt"):
        twice.fit(model, [bad])
    assert [p.tolist() for p in model.parameters()] == after_good
    with pytest.raises(GradientError, match="has already updated the parameters"):
        quiet(compile=False).fit(model, [bad])


def test_early_stopping_and_best_checkpoint(tmp_path):
    class Scripted(TrainModule):
        values = (3.0, 2.0, 2.5, 1.0, 1.5, 1.2, 1.1)

        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(tf.zeros(1))

        def training_step(self, batch, batch_idx):
            return (self.w - 1).sum() ** 2

        def validation_step(self, batch, batch_idx):
            self.log("val", self.values[self.trainer.current_epoch])

        def configure_optimizers(self):
            return optim.SGD(self.parameters(), lr=0.1)

    stop = EarlyStopping("val", patience=2)
    best = ModelCheckpoint(tmp_path / "one", monitor="val")
    three = ModelCheckpoint(tmp_path / "three", monitor="val", save_top_k=2, save_last=False)
    trainer = quiet(max_epochs=7, callbacks=[stop, best, three])
    module = Scripted()
    trainer.fit(module, [1], [1])
    assert (trainer.current_epoch, stop.stopped_epoch) == (6, 5)
    assert best.best_model_score == 1.0
    assert sorted(os.listdir(tmp_path / "one")) == ["best.safetensors", "last.safetensors"]
    assert sorted(os.listdir(tmp_path / "three")) == [
        "epoch=3-val=1.0000.safetensors",
        "epoch=5-val=1.2000.safetensors",
    ]
    saved = tf.load(best.best_model_path)
    assert saved["epoch"] == 4
    module.load_state_dict(saved["model"])
    reached = quiet(max_epochs=7, callbacks=[EarlyStopping("val", stopping_threshold=2.2, patience=9)])
    reached.fit(Scripted(), [1], [1])
    assert reached.current_epoch == 2
    with pytest.raises(ArgumentError, match="no metric 'loss' to watch; there are val"):
        quiet(callbacks=[EarlyStopping("loss")]).fit(Scripted(), [1], [1])


def test_loggers_and_learning_rates(tmp_path):
    logger = train.CSVLogger(tmp_path)
    module = Net()
    quiet(max_epochs=2, logger=logger, log_every_n_steps=2, callbacks=[LearningRateMonitor()]).fit(
        module, data.DataLoader(rows(), 6), data.DataLoader(rows(), 6)
    )
    with open(tmp_path / "metrics.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["step"] for row in table] == ["2", "4", "6", "8"]
    assert float(table[1]["lr-Adam"]) == pytest.approx(0.045)
    assert float(table[3]["val_loss"]) < 2
    again = train.CSVLogger(tmp_path)
    again.log_metrics({"loss": 9.0}, 6)
    with open(tmp_path / "metrics.csv", newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4", "6"]


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_what_is_logged(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = train.TensorBoardLogger(tmp_path)
    quiet(max_epochs=3, logger=logger).fit(Net(), data.DataLoader(rows(), 6))
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [e.step for e in events.Scalars("loss")] == [4, 8, 12]
    assert all(0 < e.value < 3 for e in events.Scalars("loss"))


def test_progress_is_one_line_an_epoch_without_a_terminal(capsys):
    Trainer(max_epochs=2).fit(Net(), data.DataLoader(rows(), 6))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("epoch 2/2  loss ")
    assert lines[1].endswith("samples/s")


def test_progress_is_live_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    bar = ProgressBar()
    bar._INTERVAL_S = 0.0
    Trainer(max_epochs=2, callbacks=[bar]).fit(Net(), data.DataLoader(rows(), 6), data.DataLoader(rows(), 6))
    printed = capsys.readouterr().out
    assert "epoch 1/2" in printed
    assert "━" in printed


def test_limits(tmp_path):
    trainer = quiet(max_epochs=9, max_steps=6, limit_train_batches=2, limit_val_batches=1, check_val_every_n_epoch=2)
    found = trainer.fit(Net(), data.DataLoader(rows(), 4), data.DataLoader(rows(), 4))
    assert (trainer.global_step, trainer.current_epoch) == (6, 3)
    assert "val_loss" not in found


def batches():
    yield from data.DataLoader(rows(), 8)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: Trainer(0), ArgumentError, "max_epochs must be a whole number of at least 1, but 0"),
        (lambda: Trainer(gradient_clip_val=-1), ArgumentError, "gradient_clip_val must be positive"),
        (lambda: Trainer(logger="csv"), ArgumentError, "a Logger such as CSVLogger"),
        (lambda: ModelCheckpoint(mode="mean"), ArgumentError, "'min' or 'max'"),
        (lambda: ModelCheckpoint(every_n_steps=0), ArgumentError, "every_n_steps is at least 1"),
        (lambda: LearningRateMonitor("hour"), ArgumentError, "'epoch' or 'step'"),
        (lambda: quiet().fit(3, []), ArgumentError, "a Module is needed, not int"),
        (lambda: quiet().fit(Net(), []), DataError, "the training data gave no batch"),
        (lambda: quiet(max_epochs=2).fit(Net(), batches()), DataError, "a second time; pass a DataLoader"),
        (lambda: quiet().fit(Net(), data.DataLoader(rows(), 8), []), DataError, "validation_step gave no batch"),
        (lambda: quiet().fit(Net(), [], loss=nn.MSELoss()), ArgumentError, "its own training_step"),
        (
            lambda: quiet().fit(nn.Linear(3, 2), data.DataLoader(rows(), 8)),
            ArgumentError,
            "a plain model needs optimizer=",
        ),
        (
            lambda: quiet().fit(plain()[0], data.DataLoader(rows(), 8), optimizer=optim.SGD([tf.ones(1)])),
            ArgumentError,
            "a plain model needs loss=",
        ),
        (
            lambda: quiet().fit(plain()[0], [tf.ones(2, 3)], loss=nn.MSELoss(), optimizer=optim.SGD([tf.ones(1)])),
            ArgumentError,
            r"batches are \(inputs, target\)",
        ),
        (lambda: quiet().fit(TrainModule(), [1]), ArgumentError, r"no configure_optimizers\(\)"),
        (lambda: Net().log("x", 1.0), ArgumentError, "is not being trained"),
        (lambda: quiet().save_checkpoint("x"), ArgumentError, "nothing has been trained yet"),
    ],
)
def test_wrong_use(call, error, said):
    with pytest.raises(error, match=said):
        call()


class Wrong(Net):
    def __init__(self, out):
        super().__init__()
        self.__dict__["what"] = out

    def training_step(self, batch, batch_idx):
        return self.what(self, batch)


def log_python_number(module, batch):
    module.log("x", 1.0)
    return module(batch[0]).sum()


@pytest.mark.parametrize(
    ("out", "options", "error", "said"),
    [
        (lambda m, b: None, {}, ArgumentError, "must return the loss .* not NoneType"),
        (lambda m, b: m(b[0]), {}, ArgumentError, r"a loss of shape \(8, 2\); reduce it"),
        (lambda m, b: m.log("x", m(b[0])), {}, ArgumentError, r"one number is needed, not a tensor of shape \(8, 2\)"),
        (log_python_number, {"compile": True}, TraceError, "a number from Python would stay as it is"),
    ],
)
def test_wrong_steps(out, options, error, said):
    with pytest.raises(error, match=said):
        quiet(**options).fit(Wrong(out), data.DataLoader(rows(), 8))


def test_wrong_checkpoints(tmp_path):
    path = tmp_path / "x"
    tf.save({"w": tf.ones(1)}, path)
    with pytest.raises(CheckpointError, match="is no checkpoint of a run"):
        quiet().fit(Net(), [1], ckpt_path=path)
    run(folder=tmp_path, epochs=1)
    model, optimizer = plain()
    last = tmp_path / "last.safetensors"
    with pytest.raises(CheckpointError, match="has 1 optimizers and 1 schedules, but this run has 1 and 0"):
        quiet().fit(model, [1], loss=nn.MSELoss(), optimizer=optimizer, ckpt_path=last)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    with pytest.raises(CheckpointError, match=r"out\.weight"):
        quiet().fit(model, [1], loss=nn.MSELoss(), optimizer=optimizer, scheduler=schedule, ckpt_path=last)
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        quiet().fit(Net(), [1], ckpt_path=last)


class SquareRoot(TrainModule):
    """An update by hand whose gradient is NaN at weight 0, and that forgets its gradients afterwards."""

    automatic_optimization = False

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(tf.zeros(3))

    def configure_optimizers(self):
        return optim.SGD([self.weight], lr=0.1)

    def training_step(self, batch, batch_idx):
        (optimizer,) = self.trainer.optimizers
        loss = ((self.weight * batch).square().sum().sqrt() * 0.0).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
def test_a_step_taken_by_hand_is_not_made_from_a_gradient_that_is_not_finite(compile):
    model = SquareRoot()
    with pytest.raises(GradientError, match="a gradient is not finite in epoch 1, batch 0, so training stops before"):
        quiet(compile=compile).fit(model, [tf.ones(3)])
    assert model.weight.tolist() == [0.0, 0.0, 0.0]
