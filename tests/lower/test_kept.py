"""Programs on disk: found again they run as they did, without being lowered; whatever is wrong with the disk, they run."""

import os
import subprocess
import sys

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import IndexOutOfRange, LinAlgError
from twinflow.lower import _kept, _native
from twinflow.runtime import KernelCache, engine


@pytest.fixture
def cache(tmp_path, monkeypatch):
    made = KernelCache(tmp_path / "kernels")
    monkeypatch.setattr(engine(), "cache", made)
    monkeypatch.setattr(engine(), "_live", {})
    return made


@pytest.fixture
def lowered(monkeypatch):
    """The names of the graphs that were lowered."""
    names = []
    build = _native.NativeGraph._build

    def counting(self):
        build(self)
        names.append(self.graph.name)

    monkeypatch.setattr(_native.NativeGraph, "_build", counting)
    return names


def step_of(seed):
    tf.manual_seed(seed)
    model = tf.nn.Sequential(tf.nn.Linear(4, 8), tf.nn.Tanh(), tf.nn.Linear(8, 3))
    optimizer = tf.optim.Adam(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = tf.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return tf.compile(step)


def looped(x):
    def body(carry, row):
        carry = tf.tanh(carry + row)
        return carry, tf.cond(carry.sum() > 0, lambda c: c * 2, lambda c: c - 1, (carry,))

    last, rows = tf.scan(body, tf.zeros(3), x, reverse=True)
    grown = tf.while_loop(lambda v: v.sum() < 100, lambda v: v * 2 + 1, last * last)
    return last, rows, grown


def with_constant(values):
    return tf.compile(lambda x: x + tf.tensor([float(v) for v in values]).exp() * 2)


X = np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)
Y = np.array([0, 1, 2, 1, 0])


def test_a_training_step_is_not_lowered_twice(cache, lowered):
    runs = []
    for _ in range(2):
        step = step_of(3)
        runs.append([step(tf.from_numpy(X), tf.from_numpy(Y)).item() for _ in range(4)])
    assert runs[0] == runs[1] and runs[0][-1] < runs[0][0]
    assert lowered == ["step"]


def test_control_flow_is_kept_with_its_nested_programs(cache, lowered):
    x = tf.from_numpy(X[:, :3].copy())
    first, again = tf.compile(looped)(x), None
    made = len(lowered)
    f = tf.compile(looped)
    for _ in range(3):
        again = f(x)
    assert len(lowered) == made > 1
    for a, b, c in zip(first, again, looped(x)):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        np.testing.assert_allclose(a.numpy(), c.numpy(), rtol=1e-5)


def test_constants_sizes_and_threads_are_part_of_the_key(cache, lowered):
    x = tf.ones(40)
    for k in range(3):
        values = np.linspace(0, k, 40)
        np.testing.assert_allclose(with_constant(values)(x).numpy(), 1 + 2 * np.exp(values), rtol=1e-5)
    f = tf.compile(lambda x: x.sum() / len(x))
    assert [f(tf.ones(n)).item() for n in (5, 6, 7)] == [1, 1, 1]
    before, known = tf.get_num_threads(), len(lowered)
    try:
        tf.set_num_threads(before + 1)
        with_constant(values)(x)
    finally:
        tf.set_num_threads(before)
    assert len(lowered) == known + 1


def test_looking_inside_lowers_and_the_program_goes_on(cache, lowered):
    step_of(0)(tf.from_numpy(X), tf.from_numpy(Y))
    step, twin = step_of(0), step_of(0)
    x, y = tf.from_numpy(X), tf.from_numpy(Y)
    assert step(x, y).item() == twin(x, y).item()
    assert len(lowered) == 1
    assert "define" in step.llvm_ir and "matmul" in step.kernels and step.memory_plan.startswith("arena ")
    assert len(lowered) == 2
    assert [step(x, y).item() for _ in range(3)] == [twin(x, y).item() for _ in range(3)]
    with tf.profile() as seen:
        assert step(x, y).item() == twin(x, y).item()
    assert len(seen.kernels) > 4
    assert step(x, y).item() == twin(x, y).item()


def test_errors_name_the_line_of_the_present_source(cache, lowered):
    def first(table, i):
        return table[i]

    def second(table, i):
        # the same graph from another line
        return table[i]

    table, wrong = tf.zeros(5, 2), tf.tensor([1, 7])
    lines = []
    for f in (first, second):
        f.__name__ = "f"
        with pytest.raises(IndexOutOfRange, match=r"outside \[0, 4\]") as caught:
            tf.compile(f)(table, wrong)
        lines.append(str(caught.value).split("test_kept.py:")[1].split(",")[0])
    assert lowered == ["f"] and int(lines[1]) > int(lines[0])


def test_arguments_that_are_written_and_not_contiguous(cache, lowered):
    for _ in range(2):
        f = tf.compile(lambda x: x.mul_(2))
        x = tf.ones(3, 4).t()
        f(x)
        assert x.tolist() == [[2] * 3] * 4
    assert len(lowered) == 1


def test_factorisations_and_what_their_failing_means_are_kept(cache, lowered):
    bad = -tf.eye(2)
    for _ in range(2):
        engine()._live.clear()
        f = tf.compile(tf.linalg.cholesky)
        assert f(tf.eye(2) * 4).tolist() == [[2, 0], [0, 2]]
        with pytest.raises(LinAlgError, match=r"not positive-definite\n.*test_kept.py"):
            f(bad)
    assert len(lowered) == 1


def shown(x):
    tf.ops.print_values([x])
    return x * 2


def test_references_live_in_their_process_only(cache, lowered, capsys):
    for _ in range(2):
        tf.compile(shown)(tf.ones(2))
    assert len(lowered) == 2
    assert capsys.readouterr().out == "[1 1]\n" * 2


def test_damaged_and_missing_files_are_made_anew(cache, lowered, caplog):
    f = with_constant(range(3))
    expected = f(tf.ones(3)).tolist()
    paths = sorted(cache.folder.rglob("*.kernel"), key=lambda p: p.stat().st_size)
    assert len(paths) == 2  # the program, and the code of its kernel
    paths[0].write_bytes(b"twinflow kernel 2\nnonsense")
    assert with_constant(range(3))(tf.ones(3)).tolist() == expected
    engine()._live.clear()
    engine().kernels.clear()
    paths[1].unlink()
    assert with_constant(range(3))(tf.ones(3)).tolist() == expected
    assert len(lowered) == 3
    assert with_constant(range(3))(tf.ones(3)).tolist() == expected
    assert len(lowered) == 3


def test_without_a_cache_nothing_is_kept(monkeypatch, lowered):
    monkeypatch.setattr(engine(), "cache", KernelCache(None))
    for _ in range(2):
        tf.compile(lambda x: x + 1)(tf.ones(2))
    assert len(lowered) == 2


def test_passes_that_are_to_be_printed_run(cache, lowered, monkeypatch, capsys):
    tf.compile(lambda x: x * 1 + 2)(tf.ones(2))
    monkeypatch.setenv("TWINFLOW_DUMP", "simplify")
    tf.compile(lambda x: x * 1 + 2)(tf.ones(2))
    assert len(lowered) == 2 and "simplify: after" in capsys.readouterr().err


def test_a_large_constant_is_not_kept(cache, lowered, monkeypatch):
    monkeypatch.setattr("twinflow.runtime._image._KEPT_NBYTES", 100)
    for _ in range(2):
        with_constant(range(40))(tf.ones(40))
    assert len(lowered) == 2


def test_a_program_that_was_kept_does_not_import_the_compiler(tmp_path):
    code = (
        "import sys, twinflow as tf\n"
        "f = tf.compile(lambda x: (x @ x).exp())\n"
        "print(f(tf.ones(3, 3)).sum().item(), sum('twinflow.compiler' in m for m in sys.modules))"
    )
    environment = os.environ | {"TWINFLOW_CACHE": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    said = [subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).split() for _ in range(2)]
    assert said[0][0] == said[1][0] and int(said[0][1]) > 10 > int(said[1][1])


def test_keys_differ_where_programs_differ(cache):
    def key(f, *args):
        compiled = tf.compile(f)
        compiled(*args)
        return _kept.program_key(compiled.graph)

    x = tf.ones(3)
    keys = [key(f, x) for f in (lambda x: x + 1, lambda x: x + 2, lambda x: x * 1.0, lambda x: x.double())]
    keys.append(key(lambda x: x + 1, tf.ones(4)))
    assert len(set(keys)) == 5 and None not in keys
    assert key(lambda x: x + 1, x) == keys[0]
