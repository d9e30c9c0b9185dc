"""Programs of TensorFlow 1, with the numbers that TensorFlow 2.21's compat.v1 gives for them (rounded to four places)."""

import numpy as np
import pytest

from twinflow.tf.compat import v1 as tf

R = np.random.default_rng(0)
PROGRAMS = {}


def program(fn):
    PROGRAMS[fn.__name__] = fn
    return fn


def w(*s):
    return (R.standard_normal(s) * 0.1).astype("f")


@program
def deep_mnist():
    global R
    R = np.random.default_rng(0)
    x = tf.placeholder(tf.float32, [None, 784])
    y_ = tf.placeholder(tf.float32, [None, 10])
    keep = tf.placeholder(tf.float32)
    img = tf.reshape(x, [-1, 28, 28, 1])
    W1 = tf.Variable(w(5, 5, 1, 4))
    b1 = tf.Variable(tf.constant(0.1, shape=[4]))
    h1 = tf.nn.relu(tf.nn.conv2d(img, W1, strides=[1, 1, 1, 1], padding="SAME") + b1)
    p1 = tf.nn.max_pool(h1, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    flat = tf.reshape(p1, [-1, 14 * 14 * 4])
    W2 = tf.Variable(w(784, 16))
    h2 = tf.nn.relu(tf.matmul(flat, W2))
    d = tf.nn.dropout(h2, keep)
    W3 = tf.Variable(w(16, 10))
    y = tf.matmul(d, W3)
    ce = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(labels=y_, logits=y))
    st = tf.train.AdamOptimizer(0.001).minimize(ce)
    acc = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(y, 1), tf.argmax(y_, 1)), tf.float32))
    X = R.random((8, 784)).astype("f")
    Y = np.eye(10)[R.integers(0, 10, 8)]
    with tf.Session() as s:
        s.run(tf.global_variables_initializer())
        out = []
        for _i in range(4):
            out.append(s.run([ce, st], {x: X, y_: Y, keep: 1.0})[0])
        out.append(acc.eval(feed_dict={x: X, y_: Y, keep: 1.0}))
        return out


@program
def clip_and_scopes():
    global R
    R = np.random.default_rng(1)
    x = tf.placeholder(tf.float32, [None, 3])
    with tf.variable_scope("G"):
        a = tf.get_variable("a", initializer=w(3, 4))
    with tf.variable_scope("D"):
        b = tf.get_variable("b", initializer=w(4, 1))
    loss = tf.reduce_sum(tf.square(tf.matmul(tf.tanh(tf.matmul(x, a)), b) - 3.0))
    tv = tf.trainable_variables()
    g, n = tf.clip_by_global_norm(tf.gradients(loss, tv), 1.0)
    op = tf.train.GradientDescentOptimizer(0.1)
    t = op.apply_gradients(zip(g, tv))
    gv = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope="G")
    t2 = tf.train.MomentumOptimizer(0.1, 0.5).minimize(loss, var_list=gv)
    gvs = op.compute_gradients(loss)
    capped = op.apply_gradients([(tf.clip_by_value(g_, -1.0, 1.0), v) for g_, v in gvs])
    with tf.Session() as s:
        s.run(tf.global_variables_initializer())
        f = {x: np.ones((2, 3))}
        r = []
        for o in (t, t2, capped, t2):
            s.run(o, f)
            r.append(s.run(loss, f))
        return [*r, s.run(n, f), len(gv)]


@program
def embeddings():
    global R
    R = np.random.default_rng(2)
    ids = tf.placeholder(tf.int32, [None])
    E = tf.Variable(w(7, 3))
    e = tf.nn.embedding_lookup(E, ids)
    loss = tf.reduce_sum(e * e)
    st = tf.train.AdagradOptimizer(0.5).minimize(loss)
    tf.gradients(loss, E)[0]
    with tf.Session() as s:
        s.run(tf.global_variables_initializer())
        for _ in range(3):
            s.run(st, {ids: [1, 1, 5]})
        return (s.run(E).sum(), s.run(loss, {ids: [0, 1, 5]}))


@program
def dqn_targets():
    q = tf.Variable([1.0, 2.0])
    t = tf.Variable([0.0, 0.0])
    cp = [tf.assign(a, b) for a, b in zip([t], [q])]
    soft = tf.assign(t, t * 0.9 + q * 0.1)
    with tf.Session() as s:
        s.run(tf.global_variables_initializer())
        s.run(soft)
        a = s.run(t)
        s.run(cp)
        return np.r_[a, s.run(t)]


@program
def slicing_feeds():
    x = tf.placeholder(tf.float32, [None, 4, 5])
    n = tf.shape(x)
    y = tf.reshape(x, [n[0] * n[1], 5])
    z = x[:, -1, :]
    u = x[..., 1:3]
    v = tf.strided_slice(x, [0, 0, 0], [1, 2, 5], [1, 1, 2])
    t = tf.transpose(x, [1, 0, 2])
    tt = tf.tile(x[:1], [2, 1, 1])
    un = tf.unstack(x, axis=1)
    m = tf.reduce_max(x, axis=[1, 2], keepdims=True)
    o = tf.one_hot(tf.argmax(x, 2), 5)
    c = tf.concat([x, x], axis=2)
    sp = tf.split(x, 2, axis=1)
    ex = tf.expand_dims(x, -1)
    sq = tf.squeeze(ex, [-1])
    d = np.random.default_rng(3).random((3, 4, 5))
    with tf.Session() as s:
        r = s.run([y, z, u, v, t, tt, un[1], m, o, c, sp[1], sq], {x: d})
        return [float(a.sum()) for a in r] + [a.ndim for a in r]


@program
def while_grad():
    i = tf.constant(0)
    x = tf.Variable(1.5)
    _, y = tf.while_loop(lambda i, y: tf.less(i, 5), lambda i, y: [tf.add(i, 1), y * x], [i, x])
    with tf.Session() as s:
        s.run(tf.global_variables_initializer())
        return s.run(y)


@program
def cond_fn():
    p = tf.placeholder(tf.bool)
    a = tf.constant(3.0)
    r = tf.cond(p, lambda: tf.square(a), lambda: tf.add(a, 1.0))
    with tf.Session() as s:
        return [s.run(r, {p: True}), s.run(r, {p: False})]


@program
def ctrl():
    v = tf.Variable(0.0)
    a = tf.assign_add(v, 1.0)
    with tf.control_dependencies([a]):
        b = v.read_value()
        c = tf.no_op()
    g = tf.group(a, tf.assign_add(v, 10.0))
    with tf.Session() as s:
        s.run(tf.global_variables_initializer())
        r = [s.run(b)]
        s.run(c)
        r.append(s.run(v))
        s.run(g)
        r.append(s.run(v))
        return r


@program
def types():
    a = tf.constant([1, 2, 3])
    b = tf.cast(a, tf.float32) / 2
    c = a // 2
    d = a % 2
    e = tf.constant(7) / 2
    f = -b
    g = abs(f)
    h = 2 - b
    k = b**2
    loss = tf.constant([True, False])
    m = tf.logical_and(loss, [True, True])
    n = 1 / b
    with tf.Session() as s:
        return [float(np.sum(x)) for x in s.run([b, c, d, e, f, g, h, k, m, n])]


@program
def ema_decay():
    gs = tf.Variable(0, trainable=False)
    w_ = tf.Variable(4.0)
    lr = tf.train.exponential_decay(0.1, gs, 2, 0.5, staircase=True)
    st = tf.train.GradientDescentOptimizer(lr).minimize(w_ * w_, global_step=gs)
    ema = tf.train.ExponentialMovingAverage(0.9, gs)
    with tf.control_dependencies([st]):
        op = ema.apply([w_])
    with tf.Session() as s:
        s.run(tf.global_variables_initializer())
        for _ in range(5):
            s.run(op)
        return s.run([w_, ema.average(w_), lr, gs])


@program
def second_order():
    x = tf.Variable([1.0, 2.0])
    y = tf.reduce_sum(x**3)
    g = tf.gradients(y, x)[0]
    gp = tf.reduce_sum(tf.square(g))
    gg = tf.gradients(gp, x)[0]
    st = tf.train.GradientDescentOptimizer(0.01).minimize(gp + y)
    with tf.Session() as s:
        s.run(tf.global_variables_initializer())
        r = s.run(gg)
        s.run(st)
        return np.r_[r, s.run(x)]


@program
def partial_feed_names():
    with tf.name_scope("a"):
        x = tf.placeholder(tf.float32, [None], name="x")
        tf.multiply(x, 2.0, name="y")
    with tf.Session() as s:
        return s.run("a/y:0", {"a/x:0": [1.0, 2.0]})


@program
def rnn_by_hand():
    x = tf.placeholder(tf.float32, [2, 3, 4])
    W = tf.get_variable("W", [4, 5], initializer=tf.constant_initializer(0.1))
    U = tf.get_variable("U", [5, 5], initializer=tf.constant_initializer(0.2))
    h = tf.zeros([2, 5])
    for t in range(3):
        h = tf.tanh(tf.matmul(x[:, t], W) + tf.matmul(h, U))
    with tf.Session() as s:
        s.run(tf.global_variables_initializer())
        return s.run([tf.reduce_sum(h), tf.reduce_sum(tf.gradients(h, U)[0])], {x: np.ones((2, 3, 4))})


@program
def misc():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    o = [
        tf.reduce_mean(x, 0),
        tf.matrix_inverse(x),
        tf.where(x > 2.0, x, -x),
        tf.gather(x, [1, 0]),
        tf.clip_by_value(x, 1.5, 3.5),
        tf.norm(x),
        tf.trace(x),
        tf.cumsum(x, 1),
        tf.pad(x, [[1, 0], [0, 1]]),
        tf.maximum(x, 2.5),
        tf.nn.l2_loss(x),
        tf.nn.moments(x, [0])[1],
        tf.range(5),
        tf.fill([2, 2], 3.0),
        tf.linspace(0.0, 1.0, 5),
        tf.ones_like(x),
        tf.reverse(x, [0]),
        tf.nn.softmax(x),
        tf.nn.top_k(x, 1)[0],
        tf.stack([x, x], 1),
        tf.reduce_logsumexp(x),
        tf.add_n([x, x]),
        tf.diag_part(x),
        tf.sign(x - 2.0),
        tf.floor(x / 2.0),
        tf.size(x),
        tf.rank(x),
        tf.reduce_prod(x),
        tf.squared_difference(x, 1.0),
    ]
    with tf.Session() as s:
        return [float(np.sum(v)) for v in s.run(o)]


GOLDEN = {
    "deep_mnist": [2.2259, 2.1238, 2.0315, 1.9483, 0.25],
    "clip_and_scopes": [17.885, 17.5725, 15.9502, 14.3136, 13.7109, 1.0],
    "embeddings": [-0.0316, 0.0659],
    "dqn_targets": [0.1, 0.2, 1.0, 2.0],
    "slicing_feeds": [
        30.1188,
        7.5352,
        11.9922,
        1.6876,
        30.1188,
        18.5228,
        7.4704,
        2.8082,
        12.0,
        60.2375,
        14.9503,
        30.1188,
        2.0,
        2.0,
        3.0,
        3.0,
        3.0,
        3.0,
        2.0,
        3.0,
        3.0,
        3.0,
        3.0,
        3.0,
    ],
    "while_grad": 11.3906,
    "cond_fn": [9.0, 4.0],
    "ctrl": [1.0, 2.0, 13.0],
    "types": [3.0, 2.0, 2.0, 3.5, -3.0, 3.0, 3.0, 3.5, 1.0, 3.6667],
    "ema_decay": [1.9699, 2.0642, 0.025, 5.0],
    "second_order": [36.0, 288.0, 0.61, -1.0],
    "partial_feed_names": [2.0, 4.0],
    "rnn_by_hand": [7.8285, 16.8561],
    "misc": [
        5.0,
        -0.0,
        4.0,
        10.0,
        10.0,
        5.4772,
        5.0,
        14.0,
        10.0,
        12.0,
        15.0,
        2.0,
        10.0,
        12.0,
        2.5,
        4.0,
        10.0,
        2.0,
        6.0,
        20.0,
        4.4402,
        20.0,
        5.0,
        1.0,
        4.0,
        4.0,
        2.0,
        24.0,
        14.0,
    ],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_programs_give_tensorflows_numbers(name):
    tf.reset_default_graph()
    got = np.asarray(PROGRAMS[name](), dtype=float)
    np.testing.assert_allclose(got, GOLDEN[name], rtol=0.002, atol=0.0002)
