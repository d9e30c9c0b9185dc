"""The memory plan: nothing that lives at the same time overlaps, and what does not fit is an error that names it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twinflow as tf
from twinflow.core.errors import OutOfMemory
from twinflow.lower._memory import ALIGN, Request, in_units, plan_memory


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 20), st.integers(0, 8)), max_size=40))
def test_values_that_live_together_do_not_overlap(rows):
    requests = [Request(k, n, first, first + more) for k, (n, first, more) in enumerate(rows)]
    size = plan_memory(requests)
    for k, a in enumerate(requests):
        assert a.offset % ALIGN == 0
        assert a.offset + a.nbytes <= size
        for b in requests[:k]:
            if a.first <= b.last and b.first <= a.last:
                assert a.offset + a.nbytes <= b.offset or b.offset + b.nbytes <= a.offset


def test_a_step_that_does_not_fit_names_its_largest_buffers_and_leaves_all_as_it_was():
    count = tf.zeros(())

    @tf.compile
    def step(x):
        count.add_(1)
        square = x.reshape(-1, 1) @ x.reshape(1, -1)
        return (square @ square).sum()

    step(tf.ones(3))
    with pytest.raises(OutOfMemory, match=r"needs 1\.\d+ TiB .*largest buffers:\n  596 GiB .* = matmul .*square = x"):
        step(tf.ones(400_000))
    assert step(tf.ones(3)).item() == 27
    assert count.item() == 2
    with pytest.raises(MemoryError):
        step(tf.ones(400_000))


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1 << 20, "1 MiB"), (3 << 40, "3 TiB"), (5 << 50, "5120 TiB")],
)
def test_units(nbytes, text):
    assert in_units(nbytes) == text
