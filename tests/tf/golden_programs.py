"""Programs as people write them for TensorFlow, which must give what TensorFlow gave (goldens.json)."""

import numpy as np

X = np.random.RandomState(0).rand(8, 4).astype(np.float32)
DATA = np.random.RandomState(0).rand(32, 4).astype(np.float32)
W0 = np.random.RandomState(1).rand(4, 3).astype(np.float32)


def p_newton(tf):
    @tf.function
    def sqrt(a):
        x = a
        i = 0
        while tf.abs(x * x - a) > 1e-4:
            x = 0.5 * (x + a / x)
            i += 1
        return x, i

    return sqrt(tf.constant(9.0))


def p_list_in_fn(tf):
    @tf.function
    def f(x):
        out = []
        for i in range(3):
            out.append(x * i)
        return tf.stack(out)

    return f(tf.constant([1.0, 2.0]))


def p_dict_state(tf):
    @tf.function
    def f(n):
        s = {"a": tf.constant(0), "b": tf.constant(1)}
        for _ in tf.range(n):
            s = {"a": s["b"], "b": s["a"] + s["b"]}
        return s["a"]

    return f(tf.constant(10))


def p_tuple_assign(tf):
    @tf.function
    def fib(n):
        a, b = 0, 1
        for _ in tf.range(n):
            a, b = b, a + b
        return a

    return fib(tf.constant(10))


def p_helper(tf):
    def act(x, kind):
        if kind == "relu":
            return tf.nn.relu(x)
        elif tf.reduce_max(x) > 0.5:
            return x * 2
        else:
            return x

    @tf.function
    def f(x):
        return act(x, "relu") + act(x, "other")

    return f(tf.constant(X))


def p_elif(tf):
    @tf.function
    def g(s):
        if s >= 90:
            r = 4
        elif s >= 80:
            r = 3
        elif s >= 70:
            r = 2
        else:
            r = 0
        return r

    return [g(tf.constant(v)) for v in (95, 85, 75, 10)]


def p_boolops(tf):
    @tf.function
    def f(x, y):
        if x > 0 and (y > 0 or x > 5) and not y == 3:
            return 1
        return 0

    return [f(tf.constant(a), tf.constant(b)) for a, b in ((1, 1), (1, -1), (6, -1), (1, 3), (-1, 1))]


def p_ternary(tf):
    f = tf.function(lambda x: tf.constant(1.0) if x > 0 else tf.constant(-1.0))
    return f(tf.constant(2.0)), f(tf.constant(-2.0))


def p_for_tensor(tf):
    @tf.function
    def f(m):
        s = tf.zeros([4])
        for row in m:
            if row[0] > 0.5:
                s += row
        return s

    return f(tf.constant(X))


def p_grad_while(tf):
    w = tf.Variable(1.5)

    @tf.function
    def f():
        with tf.GradientTape() as t:
            x = tf.constant(1.0)
            i = tf.constant(0)
            while i < 4:
                x = x * w
                i += 1
        return x, t.gradient(x, w)

    return f()


def p_gan_like(tf):
    g = tf.Variable(X[:, :2])
    d = tf.Variable(X[:4, 2:3][:2])

    @tf.function
    def step():
        with tf.GradientTape() as gt, tf.GradientTape() as dt:
            out = tf.matmul(g, d)
            gl = tf.reduce_mean(out)
            dl = tf.reduce_mean(out**2)
        a = gt.gradient(gl, [g])
        b = dt.gradient(dl, [d])
        g.assign_sub(0.1 * a[0])
        d.assign_sub(0.1 * b[0])
        return gl, dl

    return step(), step(), g


def p_penalty(tf):
    w = tf.Variable(X[:4, :1])

    @tf.function
    def f(x):
        with tf.GradientTape() as o:
            with tf.GradientTape() as t:
                t.watch(x)
                y = tf.reduce_sum(tf.matmul(x, w) ** 3)
            g = t.gradient(y, x)
            pen = tf.reduce_mean((tf.sqrt(tf.reduce_sum(g**2, 1)) - 1) ** 2)
        return pen, o.gradient(pen, w)

    return f(tf.constant(X))


def p_method_state(tf):
    class C(tf.Module):
        def __init__(self):
            super().__init__()
            self.n = tf.Variable(0)
            self.best = tf.Variable(0.0)

        @tf.function
        def update(self, x):
            self.n.assign_add(1)
            if x > self.best:
                self.best.assign(x)
            return self.best.read_value()

    c = C()
    return [c.update(tf.constant(v)) for v in (1.0, 3.0, 2.0)], c.n


def p_decay_cb(tf):
    s = tf.keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True)
    return [s(i) for i in (0, 9, 10, 25)]


def p_stateful_loop_break(tf):
    @tf.function
    def f(x):
        n = 0
        for _ in tf.range(100):
            if x < 1.0:
                break
            x = x / 2.0
            n = n + 1
        return x, n

    return f(tf.constant(100.0))


def p_nested_fn(tf):
    @tf.function
    def inner(x):
        return x + 1 if tf.reduce_sum(x) > 0 else x - 1

    @tf.function
    def outer(x):
        return inner(inner(x))

    return outer(tf.constant([1.0])), outer(tf.constant([-5.0]))


def p_range_step(tf):
    @tf.function
    def f(n):
        s = 0
        for i in tf.range(n, 0, -2):
            s += i
        for i in range(n):
            s += i
        return s

    return f(tf.constant(9))


def p_while_else(tf):
    @tf.function
    def f(n):
        i = tf.constant(2)
        r = tf.constant(True)
        while i * i <= n:
            if n % i == 0:
                r = tf.constant(False)
                break
            i += 1
        return r

    return [f(tf.constant(k)) for k in (7, 9, 15, 31)]


def p_linear_keras_loop(tf):
    tf.keras.utils.set_random_seed(0)
    m = tf.keras.Sequential([tf.keras.layers.Dense(1, kernel_initializer="ones", input_shape=(4,))])
    lf = tf.keras.losses.MeanSquaredError()
    o = tf.keras.optimizers.RMSprop(0.01)
    mt = tf.keras.metrics.Mean()

    @tf.function
    def step(x, y):
        with tf.GradientTape() as t:
            p = m(x, training=True)
            loss = lf(y, p)
        o.apply_gradients(zip(t.gradient(loss, m.trainable_variables), m.trainable_variables))
        mt.update_state(loss)
        return loss

    for _ in range(3):
        mt.reset_state()
        for x, y in tf.data.Dataset.from_tensor_slices((X, X[:, :1])).batch(4):
            step(x, y)
    return mt.result(), m.get_weights()


def p_beam(tf):
    @tf.function
    def f(logits):
        n = tf.shape(logits)[0]
        out = tf.TensorArray(tf.int32, size=n)
        h = tf.zeros([4])
        for t in tf.range(n):
            h = h * 0.5 + logits[t]
            out = out.write(t, tf.argmax(h, output_type=tf.int32))
        return out.stack()

    return f(tf.constant(X))


def p_module(tf):
    class Dense(tf.Module):
        def __init__(self, i, o, name=None):
            super().__init__(name=name)
            self.w = tf.Variable(W0[:i, :o], name="w")
            self.b = tf.Variable(tf.zeros([o]), name="b")

        def __call__(self, x):
            return tf.nn.relu(tf.matmul(x, self.w) + self.b)

    class Seq(tf.Module):
        def __init__(self, name=None):
            super().__init__(name=name)
            self.a = Dense(4, 3)
            self.rest = [Dense(3, 2)]

        @tf.function(input_signature=[tf.TensorSpec(shape=[None, 4], dtype=tf.float32)])
        def __call__(self, x):
            for layer in [self.a, *self.rest]:
                x = layer(x)
            return x

    s = Seq(name="m")
    return s(DATA), len(s.trainable_variables), len(s.submodules), s.name


def p_persistent(tf):
    x = tf.constant([1.0, 2.0, 3.0])
    with tf.GradientTape(persistent=True) as t:
        t.watch(x)
        y = x * x
        z = tf.reduce_sum(y * y)
    return t.gradient(z, x), t.gradient(y, x)


def p_nested(tf):
    x = tf.Variable(1.5)
    with tf.GradientTape() as t2:
        with tf.GradientTape() as t1:
            y = tf.sin(x) * x**3
        d = t1.gradient(y, x)
    return d, t2.gradient(d, x)


def p_jacobian(tf):
    x = tf.Variable(DATA[:2])
    with tf.GradientTape(persistent=True) as t:
        y = tf.nn.softmax(tf.matmul(x, W0))
    return t.jacobian(y, x), t.batch_jacobian(y, x)


def p_dict_sources(tf):
    v = {"w": tf.Variable([[1.0, 2.0], [3.0, 4.0]]), "b": tf.Variable([1.0, 1.0])}
    with tf.GradientTape() as t:
        loss = tf.reduce_mean((tf.constant([[1.0, 2.0]]) @ v["w"] + v["b"]) ** 2)
    return t.gradient(loss, v)


def p_collatz(tf):
    @tf.function
    def f(n):
        c = tf.constant(0)
        while n != 1:
            if n % 2 == 0:
                n = n // 2
            else:
                n = 3 * n + 1
            c += 1
        return c

    return f(tf.constant(27))


def p_ta_loop(tf):
    @tf.function
    def rnn(seq, state):
        ta = tf.TensorArray(tf.float32, tf.shape(seq)[0])
        for i in tf.range(tf.shape(seq)[0]):
            state = tf.tanh(tf.matmul(seq[i], W0[:, :3]) + state)
            ta = ta.write(i, state)
        return ta.stack(), state

    return rnn(tf.constant(DATA.reshape(4, 8, 4)), tf.zeros([8, 3]))


def p_gather_scatter(tf):
    p = tf.constant(DATA)
    idx = tf.constant([[0, 1], [2, 3]])
    return (
        tf.gather_nd(p, idx),
        tf.scatter_nd([[1], [3]], [9.0, 8.0], [5]),
        tf.math.segment_sum(p[:4], [0, 0, 1, 1]),
        tf.math.unsorted_segment_max(p[:3], [1, 0, 1], 2),
        tf.tensor_scatter_nd_update(tf.zeros([4]), [[1], [2]], [1.0, 2.0]),
        tf.gather(p, [0, 2], axis=1),
        tf.boolean_mask(p, [True] + [False] * 31),
        tf.where([True, False, True]),
        tf.one_hot([0, 2], 3),
        tf.sequence_mask([1, 3], 4),
    )


def p_custom_grad(tf):
    @tf.custom_gradient
    def log1pexp(x):
        e = tf.exp(x)

        def grad(up):
            return up * (1 - 1 / (1 + e))

        return tf.math.log(1 + e), grad

    x = tf.constant(2.0)
    with tf.GradientTape() as t:
        t.watch(x)
        y = log1pexp(x)
    return y, t.gradient(y, x)


def p_early_return(tf):
    @tf.function
    def f(x):
        if tf.reduce_sum(x) > 10:
            return x * 0
        for i in tf.range(5):
            x = x + 1
            if tf.reduce_max(x) > 6:
                break
            if i == 1:
                continue
            x = x * 1.5
        return x

    return f(tf.constant([1.0, 2.0])), f(tf.constant([20.0, 1.0]))


def p_reduce(tf):
    return [getattr(tf, "reduce_" + k)(DATA, axis=1) for k in ("sum", "mean", "max", "min", "prod")] + [
        tf.reduce_logsumexp(DATA),
        tf.math.reduce_std(DATA, 0),
        tf.reduce_any(DATA > 0.9, axis=0),
        tf.math.cumsum(DATA, 1, exclusive=True),
        tf.math.top_k(DATA, 2),
        tf.sort(DATA, direction="DESCENDING"),
        tf.argsort(DATA[0]),
        tf.unique([3, 1, 3, 2]),
        tf.math.bincount([1, 1, 3]),
        tf.math.confusion_matrix([0, 1, 1], [0, 1, 0]),
    ]


def p_clip(tf):
    g = [tf.constant([3.0, 4.0]), tf.constant([12.0])]
    c, n = tf.clip_by_global_norm(g, 5.0)
    return c, n, tf.clip_by_value(g[0], 0.0, 3.5), tf.clip_by_norm(g[0], 1.0)


PROGRAMS = {name[2:]: fn for name, fn in list(globals().items()) if name.startswith("p_")}
