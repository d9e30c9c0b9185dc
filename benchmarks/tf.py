"""`Session.run` of one training step of the articles' programs: twinflow's `tf.compat.v1` beside TensorFlow's.

    python -m benchmarks.tf --peers .venv-peers/bin/python

Each framework runs the same text in a process of its own; blocks of steps alternate, and the first losses must agree. Every run
fetches the step and the loss.
"""

import argparse
import os
import subprocess
import sys
import time
from statistics import median
from typing import Any

import numpy as np

from . import tables
from .harness import ROOT, environment, find_peers_python

LIMIT = 0.3  # of TensorFlow's time, for the articles' programs
STEPS = 200


def linear_numpy(tf: Any) -> tuple[Any, Any, dict[Any, Any]]:
    """y = W x + b of 100 points."""
    rng = np.random.default_rng(0)
    x, y = tf.placeholder(tf.float32, [None]), tf.placeholder(tf.float32, [None])
    w, b = tf.Variable(0.1, dtype=tf.float32), tf.Variable(0.1, dtype=tf.float32)
    loss = tf.reduce_mean(tf.square(y - (w * x + b)))
    data = np.linspace(-1, 1, 100)
    feed = {x: data, y: 2 * data + 1 + rng.normal(0, 0.1, 100)}
    return tf.train.GradientDescentOptimizer(0.01).minimize(loss), loss, feed


def linear_graph(tf: Any) -> tuple[Any, Any, dict[Any, Any]]:
    """X W + b of 100 rows."""
    rng = np.random.default_rng(0)
    x, y = tf.placeholder(tf.float32, [None, 1]), tf.placeholder(tf.float32, [None, 1])
    w, b = tf.Variable(tf.ones([1, 1])), tf.Variable(tf.zeros([1]))
    loss = tf.reduce_mean(tf.square(y - (tf.matmul(x, w) + b)))
    data = rng.random((100, 1)).astype(np.float32)
    return tf.train.GradientDescentOptimizer(0.01).minimize(loss), loss, {x: data, y: 3 * data + 2}


def softmax(tf: Any) -> tuple[Any, Any, dict[Any, Any]]:
    """Softmax regression, 784 to 10, batches of 100."""
    rng = np.random.default_rng(0)
    x, y = tf.placeholder(tf.float32, [None, 784]), tf.placeholder(tf.float32, [None, 10])
    w, b = tf.Variable(tf.zeros([784, 10])), tf.Variable(tf.zeros([10]))
    p = tf.nn.softmax(tf.matmul(x, w) + b)
    loss = tf.reduce_mean(-tf.reduce_sum(y * tf.log(p), reduction_indices=[1]))
    feed = {x: rng.random((100, 784), np.float32), y: np.eye(10, dtype=np.float32)[rng.integers(0, 10, 100)]}
    return tf.train.GradientDescentOptimizer(0.01).minimize(loss), loss, feed


def mlp(tf: Any) -> tuple[Any, Any, dict[Any, Any]]:
    """784-128-10 with Adam, batches of 64 (no article's)."""
    rng = np.random.default_rng(0)
    x, y = tf.placeholder(tf.float32, [None, 784]), tf.placeholder(tf.int64, [None])
    w1 = tf.Variable(rng.standard_normal((784, 128)).astype(np.float32) * 0.05)
    w2 = tf.Variable(rng.standard_normal((128, 10)).astype(np.float32) * 0.1)
    b1, b2 = tf.Variable(tf.zeros([128])), tf.Variable(tf.zeros([10]))
    logits = tf.matmul(tf.nn.relu(tf.matmul(x, w1) + b1), w2) + b2
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    feed = {x: rng.random((64, 784), np.float32), y: rng.integers(0, 10, 64)}
    return tf.train.AdamOptimizer(0.001).minimize(loss), loss, feed


ARTICLES = (linear_numpy, linear_graph, softmax)
PROGRAMS = {p.__name__: p for p in (*ARTICLES, mlp)}


def work(framework: str) -> None:
    """A process that times what is asked for: lines `program steps`, answered by `seconds a step, first losses`."""
    if framework == "tensorflow":
        import tensorflow.compat.v1 as tf

        tf.disable_v2_behavior()
    else:
        from twinflow.tf.compat import v1 as tf
    ready: dict[str, Any] = {}
    for line in sys.stdin:
        name, steps = line.split()
        if name not in ready:
            with tf.Graph().as_default():
                step, loss, feed = PROGRAMS[name](tf)
                session = tf.Session()
                session.run(tf.global_variables_initializer())
            losses = [float(session.run([step, loss], feed)[1]) for _ in range(3)]
            ready[name] = session, step, loss, feed, losses
        session, step, loss, feed, losses = ready[name]
        start = time.perf_counter()
        for _ in range(int(steps)):
            session.run([step, loss], feed_dict=feed)
        print((time.perf_counter() - start) / int(steps), *losses, flush=True)


def ask(worker: "subprocess.Popen[str]", name: str, steps: int) -> list[float]:
    """What a process answers."""
    if worker.stdin is None or worker.stdout is None:
        raise RuntimeError("the worker has no pipes")
    worker.stdin.write(f"{name} {steps}\n")
    worker.stdin.flush()
    return [float(v) for v in worker.stdout.readline().split()]


def main() -> int:
    """Print the table; the exit status says whether the articles' programs keep the limit."""
    parser = argparse.ArgumentParser(description="Session.run beside TensorFlow's.")
    parser.add_argument("--peers", default=find_peers_python(), help="a Python that has tensorflow")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return 0
    env = {**environment(options.threads), "TWINFLOW_NUM_THREADS": str(options.threads)}
    workers = {
        name: subprocess.Popen(
            [python, "-m", "benchmarks.tf", "--worker", name],
            cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for name, python in (("twinflow", sys.executable), ("tensorflow", options.peers))
    }  # fmt: skip
    rows, kept = [], True
    try:
        for name, program in PROGRAMS.items():
            times: dict[str, list[float]] = {w: [] for w in workers}
            losses = {}
            for _ in range(options.rounds):
                for framework, worker in workers.items():
                    answer = ask(worker, name, STEPS)
                    times[framework].append(answer[0])
                    losses[framework] = answer[1:]
            if not np.allclose(losses["twinflow"], losses["tensorflow"], rtol=1e-4):
                raise SystemExit(f"{name}: the first losses differ: {losses}")
            ours, theirs = (median(times[f]) for f in ("twinflow", "tensorflow"))
            kept &= program not in ARTICLES or ours <= LIMIT * theirs
            title = (program.__doc__ or name).splitlines()[0]
            rows.append([title, tables.seconds(ours), tables.seconds(theirs), f"{ours / theirs:.2f}"])
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
    print(tables.markdown(["one step by `Session.run`", "twinflow", "TensorFlow", "ratio"], rows))
    print(f"\nevery article's program at most {LIMIT}: {'yes' if kept else 'NO'}   ({os.cpu_count()} processors)")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
