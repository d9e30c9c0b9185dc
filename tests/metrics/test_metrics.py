"""Metrics against scikit-learn and hand-made values; over batches, inside compiled steps, saved; wrong inputs."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk

import twinflow as tf
from twinflow import metrics as M
from twinflow.core.errors import ArgumentError, CheckpointError, DataError, DTypeError, IndexOutOfRange, ShapeError

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(90, 4)).astype(np.float32)
TRUE = RNG.integers(0, 4, 90)
BINARY, BINARY_TRUE = RNG.random(90).astype(np.float32).round(1), RNG.integers(0, 2, 90)
Y, Y_HAT = RNG.normal(1000, 3, 90), RNG.normal(1000, 3, 90)


def fed(metric, *arrays, parts=3, compiled=False):
    """The metric after the arrays in parts."""
    update = tf.compile(metric.update) if compiled else metric.update
    for rows in np.array_split(np.arange(len(arrays[0])), parts):
        update(*[tf.tensor(a[rows]) for a in arrays])
    return metric


CASES = [
    (lambda: M.Accuracy(), (SCORES, TRUE), lambda: sk.accuracy_score(TRUE, SCORES.argmax(1))),
    (lambda: M.Accuracy(top_k=2), (SCORES, TRUE), lambda: sk.top_k_accuracy_score(TRUE, SCORES, k=2)),
    (
        lambda: M.Accuracy(ignore_index=1),
        (SCORES, TRUE),
        lambda: sk.accuracy_score(TRUE[TRUE != 1], SCORES.argmax(1)[TRUE != 1]),
    ),
    (
        lambda: M.Accuracy(threshold=0.3),
        (BINARY, BINARY_TRUE),
        lambda: sk.accuracy_score(BINARY_TRUE, BINARY > np.float32(0.3)),
    ),
    *[
        (lambda c=c, a=a: c(4, a), (SCORES, TRUE), lambda f=f, a=a: f(TRUE, SCORES.argmax(1), average=a))
        for c, f in (
            (M.Precision, sk.precision_score),
            (M.Recall, sk.recall_score),
            (M.F1Score, sk.f1_score),
            (M.IoU, sk.jaccard_score),
        )
        for a in ("macro", "micro", "weighted")
    ],
    (lambda: M.F1Score(), (BINARY, BINARY_TRUE), lambda: sk.f1_score(BINARY_TRUE, BINARY > 0.5)),
    (lambda: M.MSE(), (Y_HAT, Y), lambda: sk.mean_squared_error(Y, Y_HAT)),
    (lambda: M.MSE(squared=False), (Y_HAT, Y), lambda: sk.root_mean_squared_error(Y, Y_HAT)),
    (lambda: M.MAE(), (Y_HAT, Y), lambda: sk.mean_absolute_error(Y, Y_HAT)),
    (lambda: M.R2(), (Y_HAT, Y), lambda: sk.r2_score(Y, Y_HAT)),
    (
        lambda: M.Perplexity(),
        (SCORES, TRUE),
        lambda: math.exp(sk.log_loss(TRUE, np.exp(SCORES - np.logaddexp.reduce(SCORES, 1)[:, None]))),
    ),
]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    ("make", "arrays", "expected"),
    CASES,
    ids=lambda x: repr(x()) if callable(x) and "Metric" in str(type(x())) else None,
)
def test_matches_the_reference(make, arrays, expected, compiled):
    assert fed(make(), *arrays, compiled=compiled).compute() == pytest.approx(expected(), rel=1e-5)


@pytest.mark.parametrize(("make", "arrays", "expected"), CASES)
def test_calling_gives_the_batch_and_gathers_the_whole(make, arrays, expected):
    metric = make()
    halves = np.array_split(np.arange(len(arrays[0])), 2)
    for rows in halves:
        part = [tf.tensor(a[rows]) for a in arrays]
        assert metric(*part) == pytest.approx(fed(make(), *[a[rows] for a in arrays], parts=1).compute(), rel=1e-9)
    assert metric.compute() == pytest.approx(expected(), rel=1e-5)
    metric.reset()
    with pytest.raises(DataError, match="no result before the first update"):
        metric.compute()


def test_confusion_matrix_and_scores_per_class():
    found = fed(M.ConfusionMatrix(4), SCORES, TRUE).compute()
    assert found.tolist() == sk.confusion_matrix(TRUE, SCORES.argmax(1)).tolist()
    each = fed(M.Recall(4, "none"), SCORES, TRUE).compute()
    np.testing.assert_allclose(each.tolist(), sk.recall_score(TRUE, SCORES.argmax(1), average=None), rtol=1e-6)
    ignoring = M.ConfusionMatrix(2, ignore_index=-100)
    ignoring.update(tf.tensor([0, 1, 1]), tf.tensor([0, -100, 0]))
    assert ignoring.compute().tolist() == [[1, 1], [0, 0]]
    absent = M.Precision(3)
    absent.update(tf.tensor([0, 0]), tf.tensor([0, 0]))  # classes that never occur do not count
    assert absent.compute() == 1.0


def test_images_of_labels():
    labels = RNG.integers(0, 3, (2, 5, 5))
    guess = RNG.integers(0, 3, (2, 5, 5))
    metric = M.IoU(3)
    metric.update(tf.tensor(guess), tf.tensor(labels))
    assert metric.compute() == pytest.approx(sk.jaccard_score(labels.ravel(), guess.ravel(), average="macro"))
    scores = tf.tensor(np.eye(3, dtype=np.float32)[guess].transpose(0, 3, 1, 2))
    assert M.IoU(3)(scores, tf.tensor(labels)) == metric.compute()


def test_auroc():
    metric = M.AUROC()
    fed(metric, BINARY, BINARY_TRUE)  # scores have one digit, so there are ties
    assert metric.compute() == pytest.approx(sk.roc_auc_score(BINARY_TRUE, BINARY))
    other = M.AUROC()
    other.load_state_dict(metric.state_dict())
    assert other.compute() == metric.compute()
    with pytest.raises(DataError, match="no result"):
        M.AUROC()(tf.tensor([0.5]), tf.tensor([1]))
    with pytest.raises(IndexOutOfRange, match="0 or 1"):
        metric.update(tf.tensor([0.5]), tf.tensor([2]))
    with pytest.raises(ShapeError, match=r"both \[N\]"):
        metric.update(tf.tensor([0.5]), tf.tensor([[1]]))


def test_perplexity_without_padding():
    scores, tokens = tf.tensor(SCORES.reshape(9, 10, 4)), TRUE.reshape(9, 10)
    kept = tokens != 2
    logs = SCORES - np.logaddexp.reduce(SCORES, 1)[:, None]
    own = logs[np.arange(90), TRUE].reshape(9, 10)[kept]
    assert M.Perplexity(ignore_index=2)(scores, tf.tensor(tokens)) == pytest.approx(math.exp(-own.mean()), rel=1e-6)


def test_r2_of_constant_targets():
    assert M.R2()(tf.tensor([1.0, 1.0]), tf.tensor([1.0, 1.0])) == 1.0
    assert M.R2()(tf.tensor([1.0, 2.0]), tf.tensor([1.0, 1.0])) == -math.inf


def test_bleu():
    # Papineni et al. 2002, example 2: the modified unigram precision is 2/7
    one = M.BLEU(1)
    assert one(
        ["the the the the the the the"], [["the cat is on the mat", "there is a cat on the mat"]]
    ) == pytest.approx(2 / 7)
    # 5-word candidate, 6-word reference: precisions 5/5, 4/4, 3/3, 2/2 and the penalty exp(1 - 6/5)
    assert M.BLEU()(["a b c d e"], ["a b c d e f"]) == pytest.approx(math.exp(-0.2))
    assert M.BLEU()(["a b c"], ["x y z"]) == 0.0
    assert M.BLEU(2, smooth=True)([["a", "b"]], [["b a".split()]]) == pytest.approx(math.sqrt(2 / 2 * 1 / 2))
    whole = M.BLEU(2)
    whole.update(["a b c"], ["a b d"])
    whole.update(["x y"], ["x y"])
    assert whole.compute() == pytest.approx(math.sqrt(4 / 5 * 2 / 3))


def test_word_error_rate():
    metric = M.WER()
    assert metric(["the cat sat"], ["the cat sat on"]) == 0.25
    assert metric(["a x c", "b"], ["a b c", ""]) == pytest.approx(2 / 3)
    assert metric.compute() == pytest.approx(3 / 7)


@pytest.mark.parametrize("make", [lambda: M.Accuracy(), lambda: M.F1Score(4), lambda: M.Perplexity()])
def test_saving(make):
    metric, other = fed(make(), SCORES, TRUE), make()
    other.load_state_dict(metric.state_dict())
    assert other.compute() == metric.compute()
    with pytest.raises(CheckpointError, match="was saved, but"):
        other.load_state_dict({"x": 1})


def test_saving_other_shapes():
    with pytest.raises(CheckpointError, match=r"counts of shape \(3, 3\), not \(4, 4\)"):
        M.F1Score(4).load_state_dict(M.F1Score(3).state_dict())


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (
            lambda: M.Accuracy()(tf.ones(3, 2), tf.ones(3)),
            DTypeError,
            r"whole numbers, not float32; convert with .long\(\)",
        ),
        (
            lambda: M.Accuracy()(tf.ones(3, 2), tf.ones(4, dtype="int64")),
            ShapeError,
            r"predictions of shape \(3, 2\) for targets of shape \(4,\)",
        ),
        (
            lambda: M.Accuracy()(tf.ones(3, dtype="int64"), tf.ones(3, 1, dtype="int64")),
            ShapeError,
            "predicted labels of shape",
        ),
        (lambda: M.Accuracy(0), ArgumentError, "top_k must be a whole number"),
        (lambda: M.Accuracy(2)(tf.ones(3), tf.ones(3, dtype="int64")), ShapeError, r"top_k=2 needs scores \[N, C\]"),
        (
            lambda: M.F1Score(3)(tf.tensor([0, 3]), tf.tensor([0, 1])),
            IndexOutOfRange,
            "predicted label 3 among classes 0 to 2",
        ),
        (
            lambda: M.F1Score(3)(tf.tensor([0, 1]), tf.tensor([0, -1])),
            IndexOutOfRange,
            "true label -1 among classes 0 to 2",
        ),
        (
            lambda: M.F1Score(3)(tf.ones(2, 4), tf.tensor([0, 1])),
            ShapeError,
            "scores of 4 classes, but num_classes is 3",
        ),
        (lambda: M.F1Score(3)(tf.ones(2), tf.tensor([0, 1])), ShapeError, "scores of 3 classes need a shape"),
        (lambda: M.F1Score(1), ArgumentError, "num_classes must be a whole number of at least 2"),
        (lambda: M.F1Score(3, "mean"), ArgumentError, "average is macro"),
        (lambda: M.F1Score(3, "binary"), ArgumentError, "needs two classes, not 3"),
        (lambda: M.MSE()(tf.ones(3, 1), tf.ones(3)), ShapeError, "they would broadcast"),
        (lambda: M.Perplexity()(tf.ones(3, 4), tf.ones(3, 4, dtype="int64")), ShapeError, "are not those of tokens"),
        (lambda: M.BLEU()("a", ["a"]), ArgumentError, "put it into a list"),
        (lambda: M.BLEU()(["a"], []), DataError, "1 predictions for 0 references"),
        (lambda: M.BLEU()(["a"], [[]]), DataError, "without references"),
        (lambda: M.BLEU(0), ArgumentError, "n_gram must be"),
        (lambda: M.WER()([3], ["a"]), ArgumentError, "strings or lists of words, not int"),
    ],
)
def test_wrong_inputs(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_printing():
    assert repr(M.F1Score(3)) == "F1Score(num_classes=3, threshold=0.5, ignore_index=None, average='macro')"
