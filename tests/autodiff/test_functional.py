"""Derivatives of functions: right, nested in any order, inside and around compile."""

import numpy as np
import pytest

import twinflow as tf
from twinflow import func as F
from twinflow.core.errors import ArgumentError, DTypeError, GradientError, ShapeError, TraceError

RNG = np.random.default_rng(0)


def normal(*shape):
    return tf.tensor(RNG.normal(size=shape))


W = normal(3, 3)


def f(x):
    return ((x @ W).sin() * x).sum()


def gradient_of_f(x):
    a = x @ W.numpy()
    return np.sin(a) + W.numpy() @ (np.cos(a) * x)


def close(a, b, tol=1e-9):
    np.testing.assert_allclose(
        np.asarray(a.detach()), np.asarray(b.detach() if isinstance(b, tf.Tensor) else b), rtol=tol, atol=tol
    )


def test_grad_and_value():
    x = normal(3)
    g, value = F.value_and_grad(f)(x)
    close(g, gradient_of_f(x.numpy()))
    close(value, f(x))
    assert not g.requires_grad and not value.requires_grad and x.grad is None


def test_grad_of_containers_chosen_arguments_and_aux():
    def model(params, x, scale):
        y = (params["w"] * x + params["b"]) * scale
        return y.sum(), {"y": y, "name": "y"}

    params = {"w": normal(3), "b": normal(3)}
    x = normal(3)
    (grads, g_scale), aux = F.grad(model, argnums=(0, -1), has_aux=True)(params, x, tf.tensor(2.0, dtype=tf.float64))
    close(grads["w"], 2 * x)
    close(grads["b"], np.full(3, 2.0))
    close(g_scale, (params["w"] * x + params["b"]).sum())
    assert aux["name"] == "y" and not aux["y"].requires_grad


def test_a_result_that_does_not_depend_on_the_argument_has_zero_gradient():
    close(F.grad(lambda x: tf.tensor(3.0))(normal(2)), np.zeros(2))
    close(F.grad(lambda x: (x * 0 + W[0, :2]).detach().sum())(normal(2)), np.zeros(2))


@pytest.mark.parametrize("outer", [F.jacfwd, F.jacrev])
@pytest.mark.parametrize("inner", [F.jacfwd, F.jacrev, F.grad])
@pytest.mark.parametrize("wrap", [lambda fn: fn, tf.compile], ids=["plain", "compiled"])
def test_second_derivatives_by_every_nesting_agree(outer, inner, wrap):
    x = normal(3)
    h = wrap(outer(inner(f)))(x)
    eps = 1e-6
    numeric = np.stack(
        [(gradient_of_f(x.numpy() + eps * e) - gradient_of_f(x.numpy() - eps * e)) / (2 * eps) for e in np.eye(3)], 1
    )
    np.testing.assert_allclose(h.numpy(), numeric, rtol=1e-6, atol=1e-8)
    close(F.hessian(f)(x), h)


def test_inner_derivatives_see_outer_variables_without_confusion():
    # d/dx [x · d/dy (x + y)] = 1, the classical case that confuses perturbations
    one = tf.tensor(1.0)
    close(F.grad(lambda x: x * F.grad(lambda y: x + y)(one))(one), 1.0)
    close(F.jvp(lambda x: x * F.jvp(lambda y: x + y, (one,), (one,))[1], (one,), (one,))[1], 1.0)
    close(F.jvp(lambda x: x * F.grad(lambda y: x * y)(one), (one,), (one,))[1], 2.0)
    close(F.grad(lambda x: x * F.jvp(lambda y: x * y, (one,), (one,))[1])(one), 2.0)


def test_functional_gradients_are_seen_by_backward():
    w = normal(3).requires_grad_()
    x = normal(3)
    penalty = (F.grad(lambda x: ((x * w) ** 2).sum())(x) ** 2).sum()
    penalty.backward()
    close(w.grad, 16 * w.detach().numpy() ** 3 * x.numpy() ** 2)
    with tf.no_grad():
        g = F.grad(lambda x: ((x * w) ** 2).sum())(x)
    assert not g.requires_grad


def test_per_example_gradients_inside_an_outer_gradient():
    xs = normal(5, 3)

    def penalty(w, norms):
        return (norms(lambda x: ((x @ w).sin() * x).sum()) ** 2).sum()

    mapped = F.grad(lambda w: penalty(w, lambda fn: F.vmap(F.grad(fn))(xs)))(W)
    looped = F.grad(lambda w: penalty(w, lambda fn: tf.stack([F.grad(fn)(x) for x in xs])))(W)
    close(mapped, looped)
    assert not mapped.requires_grad and not looped.requires_grad


def test_vjp_pulls_back_more_than_once():
    x, y = normal(3), normal(3)
    (out, sums), pull = F.vjp(lambda x, y: (x * y, x.sum()), x, y)
    close(out, x * y)
    for _ in range(2):
        gx, gy = pull((tf.ones_like(out), tf.ones_like(sums)))
        close(gx, y + 1)
        close(gy, x)
    with pytest.raises(ArgumentError, match="structure"):
        pull(out)
    with pytest.raises(ShapeError, match=r"shape \(2,\)"):
        pull((tf.ones(2), sums))


def test_jvp_and_linearize_agree():
    x, t = normal(3), normal(3)
    out, tangent = F.jvp(lambda x: {"y": x.sin(), "k": tf.tensor(1.0)}, (x,), (t,))
    close(tangent["y"], x.cos() * t)
    close(tangent["k"], 0.0)
    y, push = F.linearize(lambda x: {"y": x.sin(), "k": x * 0 + 1}, x)
    close(y["y"], out["y"])
    for scale in (1.0, 2.0):
        close(push(t * scale)["y"], x.cos() * t * scale)
    _, tangent, aux = F.jvp(lambda x: (x * x, [x, "name"]), (x,), (t,), has_aux=True)
    close(tangent, 2 * x * t)
    close(aux[0], x)
    assert aux[1] == "name"


def test_linearize_does_not_evaluate_the_function_again():
    calls = []

    def fn(x):
        calls.append(1)
        return x.exp() * x

    _, push = F.linearize(fn, normal(3))
    push(normal(3))
    push(normal(3))
    assert len(calls) == 1


def test_jacobians_of_containers_and_in_chunks():
    x, y = normal(2), normal(3)

    def fn(x, y):
        return {"outer": x[:, None] * y, "sum": x.sum() + y.sum()}

    for jac in (F.jacrev, F.jacfwd):
        for chunk in (None, 2):
            (jx, jy) = jac(fn, argnums=(0, 1), chunk_size=chunk)(x, y)["outer"]
            close(jx, np.einsum("ik,j->ijk", np.eye(2), y.numpy()))
            close(jy, np.einsum("jk,i->ijk", np.eye(3), x.numpy()))
        j, aux = jac(lambda x: (x * 2, x.sum()), has_aux=True)(x)
        close(j, 2 * np.eye(2))
        close(aux, x.sum())


def test_complex_gradients_follow_the_conjugate_convention():
    z = tf.tensor([1.0 + 2.0j, -0.5j])
    close(F.grad(lambda z: (z.abs() ** 2).sum())(z), 2 * z)


def test_errors():
    x = normal(3)
    with pytest.raises(GradientError, match="one number"):
        F.grad(lambda x: x)(x)
    with pytest.raises(ArgumentError, match="argnums=2"):
        F.grad(f, argnums=2)(x)
    with pytest.raises(DTypeError, match="int64"):
        F.grad(lambda x: x.sum())(tf.tensor([1, 2]))
    with pytest.raises(ArgumentError, match="holds float"):
        F.grad(lambda x: x)(3.0)
    with pytest.raises(ArgumentError, match=r"\(output, aux\)"):
        F.grad(f, has_aux=True)(x)
    with pytest.raises(ArgumentError, match="must be tuples"):
        F.jvp(f, x, x)
    with pytest.raises(ShapeError, match="tangent"):
        F.jvp(f, (x,), (normal(2),))
    with pytest.raises(ArgumentError, match="return tensors"):
        F.vjp(lambda x: 3, x)


def test_a_value_kept_beyond_its_transformation_is_an_error_that_says_so():
    kept = []

    def leak(x):
        kept.append(x * 2)
        return x.sum()

    F.vmap(leak)(normal(2, 3))
    F.jvp(leak, (normal(3),), (normal(3),))
    for t in kept:
        with pytest.raises(TraceError, match="return it from the function"):
            t + 1
        with pytest.raises(TraceError, match="return it"):
            t.numpy()
        with pytest.raises(TraceError, match="return it"):
            tf.compile(lambda t=t: t * 2)()


class Affine:
    """The smallest thing with the tables of a module."""

    def __init__(self):
        self._parameters = {"w": normal(3).requires_grad_()}
        self._buffers = {"shift": normal(3)}

    def named_parameters(self):
        return self._parameters.items()

    def named_buffers(self):
        return self._buffers.items()

    def __call__(self, x):
        return x * self._parameters["w"] + self._buffers["shift"]


def test_functional_call_and_stacked_models():
    models = [Affine(), Affine()]
    x = normal(3)
    params, buffers = F.stack_module_state(models)
    assert params["w"].shape == (2, 3) and params["w"].requires_grad and params["w"].is_leaf
    out = F.vmap(lambda p, b: F.functional_call(models[0], (p, b), (x,)))(params, buffers)
    close(out, np.stack([m(x).detach().numpy() for m in models]))
    g = F.grad(lambda p: F.functional_call(models[0], p, x).sum())(dict(models[0].named_parameters()))
    close(g["w"], x)
    with pytest.raises(ArgumentError, match="'nothing'"):
        F.functional_call(models[0], {"nothing": x}, x)
    with pytest.raises(ArgumentError, match="twice"):
        F.functional_call(models[0], ({"w": x}, {"w": x}), x)
    with pytest.raises(ArgumentError, match="one class"):
        F.stack_module_state([models[0], 3])


def test_third_derivative_and_compile_inside_grad():
    inner = tf.compile(lambda x: x**4)
    close(F.grad(F.grad(F.grad(inner)))(tf.tensor(2.0, dtype=tf.float64)), 48.0)
    close(tf.compile(F.grad(F.grad(F.grad(inner))))(tf.tensor(2.0, dtype=tf.float64)), 48.0)
