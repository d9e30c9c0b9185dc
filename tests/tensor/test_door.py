"""The native ways through small operations do what the Python functions behind them do, to the bit and on the tape."""

import gc
import inspect
import itertools
import pickle
import pydoc
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import twinflow as tf
from twinflow.runtime import Processor, compile_object
from twinflow.runtime._c_api import can_call_python
from twinflow.tensor import _door_open
from twinflow.tensor._door import DOORS, doors_are_open, open_doors

if not can_call_python():
    pytest.skip("machine code cannot call this interpreter", allow_module_level=True)


@pytest.fixture(autouse=True, scope="module")
def _open():
    assert open_doors()
    assert doors_are_open()


def door_id(door):
    return f"{door.way}-{door.python.__name__}"


UNARY = [d for d in DOORS if d.way == "unary"]
BINARY = [d for d in DOORS if d.way == "binary"]
SHAPES = [(10,), (3, 5), (), (0, 3), (1,), (40, 40), (2, 1, 3), (4, 1)]


def draw(shape, dtype="float32", grad=False, seed=0):
    rng = np.random.default_rng([seed, *shape])
    x = rng.uniform(0.2, 0.9, shape) if dtype.startswith("f") else rng.integers(1, 4, shape)
    return tf.tensor(x.astype(dtype), requires_grad=grad)


def outcome(function, *args):
    """The result, or the error, in a form to compare."""
    try:
        t = function(*args)
    except Exception as error:
        return type(error), str(error)
    if not isinstance(t, tf.Tensor):
        return t
    return t._data.dtype, t._data.shape, t._data.tobytes(), type(t), t.requires_grad, taped(t)


def taped(t):
    """What the tape holds of the operation that made `t`."""
    node = t.grad_fn
    if node is None:
        return None
    args = [id(a) if isinstance(a, tf.Tensor) and a.is_leaf and a.requires_grad else repr(a) for a in node.args]
    edges = [e if e is None else (id(e[0]) if e[1] == -1 else e[0].name(), e[1]) for e in node.edges]
    out = None if node.out is None else [(data is t._data, cell is t._meta.version, v) for data, cell, v in node.out]
    versions = None if node.versions is None else tuple(node.versions)
    return node.prim.name, dict(node.params), args, edges, versions, out, t._meta.index


def assert_same(door, *args):
    assert type(door.call).__name__ == "native_operation"
    assert outcome(door.call, *args) == outcome(door.python, *args)


@pytest.mark.parametrize("door", UNARY, ids=door_id)
def test_functions_of_one_operand(door):
    for shape, dtype, grad in itertools.product(SHAPES, ("float32", "float64", "int64", "float16"), (False, True)):
        if not (grad and dtype == "int64"):
            assert_same(door, draw(shape, dtype, grad))
    assert_same(door, draw((4, 6)).t())
    assert_same(door, tf.tensor([-1.0, 0.0, -0.0, np.inf, -np.inf, np.nan]))
    assert_same(door, 1.0)
    assert_same(door, draw((3,)), draw((3,)))


@pytest.mark.parametrize("door", BINARY, ids=door_id)
def test_functions_of_two_operands(door):
    for a, b in itertools.product(SHAPES, SHAPES):
        for grads in itertools.product((False, True), repeat=2):
            assert_same(door, draw(a, grad=grads[0]), draw(b, grad=grads[1], seed=1))
    for dtypes in itertools.product(("float32", "float64", "int32", "bool"), repeat=2):
        assert_same(door, draw((3, 2), dtypes[0]), draw((3, 2), dtypes[1], seed=1))


@pytest.mark.parametrize("door", BINARY, ids=door_id)
def test_numbers_beside_a_tensor(door):
    numbers = (2, 2.5, -0.0, True, 1e300, 10**400, 1j, np.float32(0.1), "a", None)
    for number, dtype, grad in itertools.product(numbers, ("float32", "float64"), (False, True)):
        for shape in ((10,), (), (0,)):
            x = draw(shape, dtype, grad)
            assert_same(door, x, number)
            assert_same(door, number, x)
    assert_same(door, 1.0, 2.0)


@pytest.mark.parametrize("door", BINARY, ids=door_id)
def test_special_values_and_operands_that_do_not_lie_in_order(door):
    special = tf.tensor([-1.0, 0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3e38, 5.0])
    x, y = special[:, None].expand(9, 9), special[None].expand(9, 9)
    assert_same(door, x, y)
    assert_same(door, x.contiguous(), y.contiguous())
    assert_same(door, draw((4, 6)).t(), draw((6, 4)))
    assert_same(door, draw((8,))[::2], draw((4,), seed=1))


def test_products_of_matrices():
    door = door_of("matmul")
    for a, b in [
        ((8, 8), (8, 8)),
        ((3, 4), (4, 1)),
        ((0, 4), (4, 2)),
        ((2, 0), (0, 2)),
        ((3, 4), (3, 4)),
        ((4,), (4, 2)),
        ((2, 3, 4), (4, 2)),
        ((80, 80), (80, 2)),
    ]:
        for grads in itertools.product((False, True), repeat=2):
            assert_same(door, draw(a, grad=grads[0]), draw(b, grad=grads[1], seed=1))
    assert_same(door, draw((3, 4)).t(), draw((3, 2)).detach())
    assert_same(door, draw((3, 4)), draw((4, 2), "float64"))
    assert_same(door, draw((3, 4)), 2.0)


def door_of(way):
    return next(d for d in DOORS if d.way == way)


def tied(t):
    """What a view remembers of its base, and whether it has its memory."""
    base = t._base
    return base if base is None else (id(base), t._meta.view, np.may_share_memory(base._data, t._data), t._data.strides)


def assert_same_view(way, *args):
    door = door_of(way)
    found = [outcome(call, *args) for call in (door.call, door.python)]
    assert found[0] == found[1]
    if len(found[0]) > 2:
        assert tied(door.call(*args)) == tied(door.python(*args))


def bases():
    """Tensors of all states that a view may be made of."""
    for shape in SHAPES:
        yield draw(shape)
        yield draw(shape, "int64")
        yield draw(shape, grad=True)
    yield draw((4, 6)).t()
    yield draw((4, 6))[1:, ::2]
    yield draw((4, 6), grad=True)[1:3]
    yield draw((4, 6), grad=True) * 2.0
    yield draw((4, 6)).detach()
    yield tf.zeros(4, 6).add_(1.0)


def test_views():
    for x in bases():
        assert_same_view("transpose", x)
        for index in (
            0,
            -1,
            1,
            7,
            True,
            None,
            ...,
            slice(None),
            slice(1, None, 2),
            slice(None, None, -1),
            (0, 1),
            tf.tensor(0),
        ):
            assert_same_view("index", x, index)
        for shape in (
            (-1,),
            (x.numel(),),
            (1, -1),
            (2, 5),
            (-1, -1),
            (-2, 5),
            (3, 3),
            ((2, 5),),
            ([2, 5],),
            ((-1, 2),),
            (),
            (2.0, 5),
            (2**70,),
        ):
            assert_same_view("reshape", x, *shape)


def test_views_are_written_through():
    x = draw((4, 6))
    x.t()[1].reshape(2, 2)[0] = 7.0
    x.reshape(24)[:2] += 1.0
    assert x._data[:2, 1].tolist() == [8.0, 7.0]
    w = draw((4,), grad=True)
    x[0, :4] = w * 2.0
    x.t().sum().backward()
    assert w.grad.tolist() == [2.0] * 4


def test_choosing():
    where = door_of("where")
    for shape in SHAPES:
        held = draw(shape) > 0.5
        for dtype, ga, gb in itertools.product(("float32", "float64", "int64"), (False, True), (False, True)):
            if dtype != "int64" or not (ga or gb):
                assert_same(where, held, draw(shape, dtype, ga), draw(shape, dtype, gb, seed=1))
        assert_same(where, held, draw((3, 5)), draw(shape))
        assert_same(where, draw(shape), draw(shape), draw(shape))
    held = draw((5, 3)) > 0.5
    assert_same(where, held.t(), draw((3, 5)), draw((5, 3)).t())
    assert_same(where, held, draw((5, 3)), 2.0)


def test_joining():
    cat = door_of("cat")
    x, y = draw((3, 5)), draw((3, 5), seed=1)
    for axis in (0, 1, -1, -2, 2, -3, 10**30, True, 1.0):
        assert_same(cat, [x, y], axis)
        assert_same(cat, (x, y.t().contiguous().t(), x), axis)
    for tensors in (
        [],
        [x],
        (x, draw((2, 5))),
        (x, draw((2, 4))),
        [x, draw((0,))],
        [draw(()), draw(())],
        [x, 1.0],
        [x, draw((3, 5), "float64")],
    ):
        assert_same(cat, tensors)
    assert_same(cat, [draw((3,), "int64"), draw((2,), "int64")])
    assert_same(cat, [x, draw((3, 5), grad=True)])
    assert_same(cat, x)


def test_sums():
    total = door_of("sum")
    for x in bases():
        assert_same(total, x)
    assert_same(total, draw((300, 300)))
    assert_same(total, tf.tensor([np.inf, -np.inf]))
    x = draw((3, 5), grad=True)
    x.sum().backward()
    assert x.grad.tolist() == np.ones((3, 5)).tolist()


def test_softmax():
    softmax = door_of("softmax")
    for x in bases():
        for dim in (-1, 1, 0, -2, 5, None):
            assert_same(softmax, x, dim)
    for shape in ((1, 1), (100, 7), (3, 1024), (3, 1025), (64, 65), (0, 3), (3, 0)):
        for dtype in ("float32", "float64"):
            assert_same(softmax, draw(shape, dtype) * 100.0 - 50.0, -1)
            assert_same(softmax, draw(shape, dtype, grad=True), 1)
    assert_same(softmax, tf.tensor([[0.0, np.inf], [np.nan, 1.0], [-np.inf, -np.inf], [-0.0, 0.0], [3e38, -3e38]]), -1)


def test_linear_layers():
    linear = door_of("linear")
    for n, k, m in [(8, 8, 8), (1, 3, 2), (5, 4, 1), (0, 3, 2), (2, 0, 3), (2, 3, 0), (90, 60, 4), (16, 40, 200)]:
        for grads in itertools.product((False, True), repeat=3):
            operands = [draw(s, grad=g, seed=i) for i, (s, g) in enumerate(zip([(n, k), (m, k), (m,)], grads))]
            assert_same(linear, *operands)
        assert_same(linear, draw((n, k)), draw((m, k)), None)
    x, w, b = draw((4, 3)), draw((5, 3)), draw((5,))
    assert_same(linear, x, draw((3, 5)).t(), b)
    assert_same(linear, draw((2, 4, 3)), w, b)
    assert_same(linear, draw((2, 4, 3), grad=True), w, b)
    assert_same(linear, draw((64, 200), grad=True), draw((100, 200), grad=True), draw((100,), grad=True))
    assert_same(linear, draw((3,)), w, b)
    assert_same(linear, x, draw((5, 4)), b)
    assert_same(linear, x, w, draw((4,)))
    assert_same(linear, x, w, draw((10,))[::2])
    assert_same(linear, x, w.double(), b)


def test_gradients_are_those_of_the_python_functions():
    w, x, b = draw((4, 3), grad=True), draw((5, 4)), draw((3,), grad=True)

    def loss(matmul, add, mul, tanh):
        w.grad = b.grad = None
        total = mul(tanh(add(matmul(x, w), b)), 2).sum()
        total.backward()
        return total.item(), w.grad.tolist(), b.grad.tolist()

    names = {"matmul": tf.matmul, "add": tf.Tensor.__add__, "mul": tf.mul, "tanh": tf.tanh}
    python = [next(d.python for d in DOORS if d.python.__name__ in (n, f"_{n}")) for n in names]
    assert loss(*names.values()) == loss(*python)


def test_views_written_in_place_are_noticed():
    base = draw((3, 4))
    view = base[1]
    w = draw((4,), grad=True)
    (view * w).sum().backward()
    assert w.grad.tolist() == view.tolist()
    y = view * w
    base.zero_()
    with pytest.raises(tf.core.errors.GradientError, match="overwritten in place"):
        y.sum().backward()
    base.requires_grad_()
    assert ((base * 2)[1] + 1.0).requires_grad
    assert (base[0] + 1.0).requires_grad


def test_modes_and_transformations_take_the_way_through_python():
    x = draw((3,), grad=True)
    with tf.no_grad():
        assert not (x + x).requires_grad
    with tf.inference_mode():
        made = x * 2.0
        assert made.is_inference()
    with pytest.raises(tf.core.errors.GradientError, match="inference_mode"):
        made * x
    rows = draw((4, 3))
    assert tf.func.vmap(lambda r: r * 2.0 + r)(rows).tolist() == (rows * 3.0).tolist()
    assert tf.compile(lambda r: r.exp() + r)(rows).shape == (4, 3)
    seen = []
    with tf.autograd.graph.saved_tensors_hooks(lambda t: seen.append(t) or t, lambda t: t):
        x * x
    assert seen


def test_parameters_and_subclasses_are_tensors():
    class Named(tf.Tensor):
        def __add__(self, other):
            return "own"

    p = tf.nn.Parameter(draw((3,)))
    assert type(p + p) is tf.Tensor
    assert (p + p).grad_fn.edges[0][0] is p
    t = object.__new__(Named)
    t._data, t._info = np.ones(2, np.float32), None
    assert t + 1 == "own"
    assert (t * 2.0).tolist() == [2.0, 2.0]


def test_other_operands_get_their_turn():
    class Other:
        def __rmul__(self, tensor):
            return "other"

        def __rsub__(self, tensor):
            return "other"

    assert draw((3,)) - Other() == "other"
    with pytest.raises(TypeError):
        tf.Tensor.__sub__(draw((3,)))


EXPRESSIONS = {
    "plain": lambda a, g, m, n: a + a * 2 - (a > 1) / a,
    "recorded": lambda a, g, m, n: (g * a + 2.5 * g).tanh(),
    "products": lambda a, g, m, n: (m @ m, m @ n, n @ n),
    "numpy": lambda a, g, m, n: (a[::2] + a[1::2], g.exp(), tf.relu(m)),
    "views": lambda a, g, m, n: (
        m.t()[2],
        m[1:3].reshape(4, 4),
        m.reshape((-1,)),
        n.t(),
        outcome(lambda: m.reshape(3, -1)),
    ),
    "wholes": lambda a, g, m, n: (
        m.sum(),
        n.sum(),
        tf.where(m > 0, m, n),
        tf.cat([m, m]),
        tf.cat((m, n), 1),
        m.softmax(-1),
        n.softmax(1),
    ),
    "linear": lambda a, g, m, n: (tf.nn.functional.linear(m, n, n[0]), tf.nn.functional.linear(m, m, m[0])),
    "python": lambda a, g, m, n: (a.to(dtype="int64") + 1, outcome(lambda: a + m)),
    "backward": lambda a, g, m, n: ((g * a + g).tanh() / 2.0).sum().backward(),
}


def dot_leaks_types():
    """Whether NumPy's own product leaves a reference to the element type behind, as 2.5 does on Python 3.12."""
    a, kind = np.ones((2, 2), np.float32), np.dtype(np.float32)
    before = sys.getrefcount(kind)
    for _ in range(1000):
        np.dot(a, a)
    return sys.getrefcount(kind) - before > 500


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_references_and_memory_do_not_leak(name):
    operands = draw((10,)), draw((10,), grad=True), draw((8, 8)), draw((8, 8), grad=True)
    watched = [
        *_door_open._OBJECTS.values(),
        *operands,
        *(t._data for t in operands),
        _door_open._NO_PARAMS,
        tf.Tensor.__add__,
    ]
    if dot_leaks_types():
        watched = [o for o in watched if not isinstance(o, np.dtype)]
    expression = EXPRESSIONS[name]
    for _ in range(50):
        expression(*operands)
    gc.collect()
    before = [sys.getrefcount(o) for o in watched]
    tracemalloc.start()
    first = tracemalloc.get_traced_memory()[0]
    for _ in range(1000):
        expression(*operands)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - first
    tracemalloc.stop()
    after = [sys.getrefcount(o) for o in watched]
    assert max(abs(b - a) for a, b in zip(before, after)) < 100
    assert grown < 20_000


def test_many_threads_at_once():
    found = []

    def work(k):
        x = draw((50,), grad=True, seed=k)
        for _ in range(300):
            x.grad = None
            ((x * x + 1.0).exp() / 3.0).sum().backward()
        found.append((k, x.grad.numpy().tobytes()))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k, bits in found:
        x = draw((50,), grad=True, seed=k)
        ((x * x + 1.0).exp() / 3.0).sum().backward()
        assert x.grad.numpy().tobytes() == bits
    assert len(found) == 4


def test_methods_are_documented_and_pickled_as_before():
    assert pydoc.plain(pydoc.render_doc(tf.Tensor.tanh)).count("tanh(input: 'Tensor') -> 'Tensor'") == 1
    assert "yperbolic tangent" in tf.Tensor.tanh.__doc__
    assert str(inspect.signature(tf.Tensor.__add__)).startswith("(input")
    assert inspect.isroutine(tf.Tensor.__add__)
    assert tf.Tensor.tanh.__name__ == "tanh"
    assert pickle.loads(pickle.dumps(tf.Tensor.tanh))(draw((3,))).tolist() == draw((3,)).tanh().tolist()
    assert pickle.loads(pickle.dumps(tf.tanh)) is tf.tanh
    assert "native" in repr(tf.Tensor.__add__)


def test_doors_stay_closed_where_code_cannot_call_python(monkeypatch):
    monkeypatch.setattr(_door_open, "can_call_python", lambda: False)
    assert _door_open.find_code(make=True) is None


def test_code_is_kept_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("TWINFLOW_CACHE", str(tmp_path))
    assert _door_open.find_code(make=False) is None
    made = _door_open.find_code(make=True)
    monkeypatch.setattr(_door_open, "compile_object", None)
    again = _door_open.find_code(make=False)
    assert again is not None
    assert made.functions.keys() == again.functions.keys()


def test_code_can_be_made_after_code_for_another_target(tmp_path, monkeypatch):
    """Which once left jump tables in it, that lie outside of the instructions: LLVM had been told so by the other target."""
    compile_object("define i64 @f(i64 %x) { ret i64 %x }", Processor("wasm32-unknown-unknown", "generic", ""))
    monkeypatch.setenv("TWINFLOW_CACHE", str(tmp_path))
    assert _door_open.find_code(make=True) is not None
