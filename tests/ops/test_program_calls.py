"""Compiled programs of eager operations called natively: the same as when Python runs them."""

import gc
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import twinflow as tf
from twinflow.ops import _native
from twinflow.ops._native import Native
from twinflow.runtime._c_api import can_call_python
from twinflow.tensor import apply
from twinflow.tensor._door import open_doors

if not can_call_python():
    pytest.skip("machine code cannot call this interpreter", allow_module_level=True)

MATMUL = tf.graph.find_primitive("matmul")


def _two(a, b):
    product = apply(MATMUL, a, b)
    return product, product.sum(0) / a.shape[0]


def _reference(a, b):
    raise AssertionError("compiled kernels serve every size")


@pytest.fixture
def native():
    """A function with two results, one of which needs the size of the batch, and its program for [8, 16] by [16, 4]."""
    assert open_doors()
    made = Native("test_program_calls", _reference, _two, 0)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(np.float32) for s in ((8, 16), (16, 4))]
    first = made(*arrays)
    program = next(p for k, p in _native._programs.items() if k[0] is made)
    assert type(program.call).__name__ == "native_operation"
    yield made, program, arrays, [x.copy() for x in first]
    for key in [k for k in _native._programs if k[0] is made]:
        del _native._programs[key]


def test_results_are_those_of_python_and_are_left_alone_while_held(native):
    function, _, (a, b), want = native
    held = [function(a * k, b) for k in (1, 2, 4)]
    for k, (product, mean) in zip((1, 2, 4), held):
        assert (product == want[0] * k).all()
        assert (mean == want[1] * k).all()
    assert len({x.ctypes.data for pair in held for x in pair}) == 6


def test_memory_of_results_serves_again(native):
    function, _, (a, b), _ = native
    for _ in range(5):
        function(a, b)
    gc.collect()  # what other tests left may hold references too
    before = sys.getrefcount(a), sys.getrefcount(True), sys.getrefcount(function)
    tracemalloc.start()
    for _ in range(500):
        function(a, b)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 10_000
    assert sys.getrefcount(a) == before[0]
    assert abs(sys.getrefcount(True) - before[1]) < 50
    assert abs(sys.getrefcount(function) - before[2]) < 5


def test_operands_that_do_not_lie_in_order_go_through_python(native):
    function, program, (a, b), want = native
    turned = np.asfortranarray(a)
    assert (function(turned, b)[0] == want[0]).all()
    assert (program.call(turned, b)[0] == want[0]).all()


def test_a_wrong_number_of_operands_does_no_harm(native):
    _, program, (a, b), want = native
    with pytest.raises(TypeError):
        program.call(a, b, kept=1)
    assert (program.call(a, b)[0] == want[0]).all()


def test_threads_take_turns(native):
    function, _, (a, b), want = native
    wrong = []

    def work(k):
        for _ in range(300):
            product, mean = function(a * k, b)
            if not ((product == want[0] * k).all() and (mean == want[1] * k).all()):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(2.0**k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_profiles_see_runs(native):
    function, _, (a, b), want = native
    with tf.profile() as seen:
        assert (function(a, b)[0] == want[0]).all()
    assert "test_program_calls" in str(seen) or "matmul" in str(seen)


def test_more_threads_make_a_new_program_and_leave_the_old_call(native):
    function, program, (a, b), want = native
    threads = tf.get_num_threads()
    old = program.run.program
    try:
        tf.set_num_threads(threads + 3)
        for _ in range(3):
            assert (function(a, b)[0] == want[0]).all()
        assert program.run.program is not old
    finally:
        tf.set_num_threads(threads)
    assert (function(a, b)[0] == want[0]).all()


def test_programs_that_are_let_go_are_freed(native):
    function, program, _, _ = native
    watched = weakref.ref(program.run.program)
    for key in [k for k in _native._programs if k[0] is function]:
        del _native._programs[key]
    program.__dict__.clear()
    gc.collect()
    assert watched() is None
