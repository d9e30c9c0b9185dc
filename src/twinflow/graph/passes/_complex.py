"""Complex numbers as pairs of real ones: kernels then know real numbers only, and fuse both parts with everything else.

Where a complex value enters or leaves (inputs, results, operations that stay on their references), its memory is read
as pairs: `bitcast` between complex [s] and real [s, 2]. Formulas that keep their accuracy: Kahan, "Branch cuts for complex
elementary functions", 1987; quotients: Smith, "Algorithm 116", CACM 5, 1962.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core import DType, as_dtype
from twinflow.graph._ir import Graph, Node, Operand, rebuild
from twinflow.graph._primitive import Aval, find_primitive

_REAL = {"complex64": "float32", "complex128": "float64"}


class Real:
    """A real operand (a node or a number) with operators that add nodes; numbers are computed at once."""

    __slots__ = ("at", "x")

    def __init__(self, at: _Site, x: Operand) -> None:
        self.at, self.x = at, x

    def _binary(self, name: str, other: Any, *, swap: bool = False) -> Real:
        y = other.x if isinstance(other, Real) else other
        a, b = (y, self.x) if swap else (self.x, y)
        return self.at.op(name, a, b)

    def __add__(self, other: Any) -> Real:
        return self._binary("add", other)

    def __sub__(self, other: Any) -> Real:
        return self._binary("sub", other)

    def __rsub__(self, other: Any) -> Real:
        return self._binary("sub", other, swap=True)

    def __mul__(self, other: Any) -> Real:
        return self._binary("mul", other)

    def __truediv__(self, other: Any) -> Real:
        return self._binary("div", other)

    def __rtruediv__(self, other: Any) -> Real:
        return self._binary("div", other, swap=True)

    def __lt__(self, other: Any) -> Real:
        return self._binary("lt", other)

    def __ge__(self, other: Any) -> Real:
        return self._binary("ge", other)

    def __eq__(self, other: Any) -> Real:  # type: ignore[override]  # elementwise, as arrays compare
        return self._binary("eq", other)

    def __or__(self, other: Any) -> Real:
        return self._binary("bitwise_or", other)

    def __and__(self, other: Any) -> Real:
        return self._binary("bitwise_and", other)

    def __neg__(self) -> Real:
        return self.at.op("neg", self.x)

    __radd__ = __add__
    __rmul__ = __mul__
    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Callable[..., Real]:
        return lambda *others: self.at.op(name, self.x, *(o.x if isinstance(o, Real) else o for o in others))


class Pair:
    """A complex value of the new graph: its real and imaginary part."""

    __slots__ = ("aval", "im", "re")

    def __init__(self, re: Real, im: Real, aval: Aval) -> None:
        self.re, self.im, self.aval = re, im, aval


class _Site:
    """Where nodes are added: the new graph, and the line of the node that they stand for."""

    def __init__(self, graph: Graph, line: Any, dtype: DType) -> None:
        self.graph, self.line, self.dtype = graph, line, dtype

    def op(self, name: str, *xs: Any) -> Real:
        """A node of operands alone."""
        if not any(isinstance(x, Node) for x in xs):  # numbers alone: a tensor of one element gives them their type
            xs = (self.number(xs[0]).x, *xs[1:])
        return Real(self, self.graph.add(find_primitive(name), xs, {}, line=self.line))

    def number(self, value: float) -> Real:
        """A number as a tensor of one element."""
        return self.op_of("full", (), {"shape": (), "value": value, "dtype": self.dtype})

    def op_of(self, name: str, operands: tuple[Any, ...], params: dict[str, Any]) -> Real:
        """A node with parameters."""
        return Real(self, self.graph.add(find_primitive(name), operands, params, line=self.line))

    def where(self, test: Real, a: Any, b: Any) -> Real:
        values = [v.x if isinstance(v, Real) else v for v in (a, b)]
        if not any(isinstance(v, Node) for v in values):
            values[0] = self.number(values[0]).x
        return self.op("where", test.x, *values)

    def shaped(self, part: Real, shape: tuple[int, ...]) -> Node:
        """A part as a node of the whole shape: parts may be numbers or smaller."""
        x = part.x
        if not isinstance(x, Node):
            return self.graph.add(
                find_primitive("full"), (), {"shape": shape, "value": float(x), "dtype": self.dtype}, line=self.line
            )
        if x.aval.shape != shape:
            return self.graph.add(find_primitive("expand"), (x,), {"shape": shape}, line=self.line)
        return x


Z = tuple[Real, Real]


def _is_real(z: Z) -> bool:
    """Whether the imaginary part is the number 0."""
    return not isinstance(z[1].x, Node) and z[1].x == 0


def _mul(a: Z, b: Z) -> Z:
    for z, r in ((a, b), (b, a)):
        if _is_real(r):
            return z[0] * r[0], z[1] * r[0]
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _div(a: Z, b: Z) -> Z:
    if _is_real(b):
        return a[0] / b[0], a[1] / b[0]
    s = b[0].at
    wide = b[0].abs() >= b[1].abs()
    big, small = s.where(wide, b[0], b[1]), s.where(wide, b[1], b[0])
    ratio = s.where(big == 0, 0.0, small / big)
    below = big + small * ratio
    p, q = a[0] + a[1] * ratio, a[0] * ratio + a[1]  # |re| ≥ |im|
    t, u = a[1] - a[0] * ratio, a[1] * ratio - a[0]
    return s.where(wide, p, q) / below, s.where(wide, t, u) / below


def _abs(z: Z) -> Real:
    s = z[0].at
    a, b = z[0].abs(), z[1].abs()
    top, low = a.maximum(b), a.minimum(b)
    ratio = s.where((top == 0) | (low == math.inf), 0.0, low / top)
    size = top * (1.0 + ratio * ratio).sqrt()
    return s.where((a == math.inf) | (b == math.inf), math.inf, size)


def _exp(z: Z) -> Z:
    e = z[0].exp()
    return e * z[1].cos(), _zero_with(z[1], e * z[1].sin())


def _zero_with(im: Real, value: Real) -> Real:
    """`value`, but 0 where the imaginary part is 0: exp(∞) · sin(0) is no number."""
    return im.at.where(im == 0, im, value)


def _log(z: Z) -> Z:
    return _abs(z).log(), z[1].atan2(z[0])


def _sqrt(z: Z) -> Z:
    s = z[0].at
    size = _abs(z)
    t = ((size + z[0].abs()) * 0.5).sqrt()
    other = s.where(t == 0, 0.0, z[1].abs() * 0.5 / t)
    right = z[0] >= 0
    im = s.where(right, other, t)
    return s.where(right, t, other), s.where(z[1].signbit(), -im, im)


def _tanh(z: Z) -> Z:
    s = z[0].at
    e = (z[0].abs() * -2.0).exp()  # tanh(x + iy) = (sinh 2x + i sin 2y) / (cosh 2x + cos 2y), times 2e on both sides
    y = z[1] * 2.0
    below = 1.0 + e * (2.0 * y.cos()) + e * e
    size = -((z[0].abs() * -4.0).expm1()) / below
    return s.where(z[0].signbit(), -size, size), e * 2.0 * y.sin() / below


def _sinh(z: Z) -> Z:
    return z[0].sinh() * z[1].cos(), z[0].cosh() * z[1].sin()


def _cosh(z: Z) -> Z:
    return z[0].cosh() * z[1].cos(), z[0].sinh() * z[1].sin()


def _times_i(z: Z) -> Z:
    return -z[1], z[0]


def _over_i(z: Z) -> Z:
    return z[1], -z[0]


def _around(f: Callable[[Z], Z]) -> Callable[[Z], Z]:
    """f(iz) / i: sin from sinh, tan from tanh, asinh from asin, atan from atanh."""
    return lambda z: _over_i(f(_times_i(z)))


def _roots(z: Z) -> tuple[Z, Z]:
    """√(1 - z) and √(1 + z)."""
    return _sqrt((1.0 - z[0], -z[1])), _sqrt((1.0 + z[0], z[1]))


def _asin(z: Z) -> Z:
    minus, plus = _roots(z)
    below = minus[0] * plus[0] - minus[1] * plus[1]
    return z[0].atan2(below), (plus[1] * minus[0] - plus[0] * minus[1]).asinh()


def _acos(z: Z) -> Z:
    minus, plus = _roots(z)
    return minus[0].atan2(plus[0]) * 2.0, (plus[0] * minus[1] - plus[1] * minus[0]).asinh()


def _acosh(z: Z) -> Z:
    minus, plus = _sqrt((z[0] - 1.0, z[1])), _sqrt((z[0] + 1.0, z[1]))
    return (minus[0] * plus[0] + minus[1] * plus[1]).asinh(), minus[1].atan2(plus[0]) * 2.0


def _atanh(z: Z) -> Z:
    s, x, y = z[0].at, z[0].abs(), z[1]
    far = (1.0 - x) * (1.0 - x) + y * y
    size = (x * 4.0 / far).log1p() * 0.25
    return s.where(z[0].signbit(), -size, size), (y * 2.0).atan2((1.0 - x) * (1.0 + x) - y * y) * 0.5


def _expm1(z: Z) -> Z:
    half = (z[1] * 0.5).sin()
    return z[0].expm1() * z[1].cos() - half * half * 2.0, _zero_with(z[1], z[0].exp() * z[1].sin())


def _log1p(z: Z) -> Z:
    s = z[0].at
    near = (z[0] * (z[0] + 2.0) + z[1] * z[1]).log1p() * 0.5
    far = _abs((z[0] + 1.0, z[1])).log()
    return s.where(_abs(z) < 0.5, near, far), z[1].atan2(z[0] + 1.0)


def _sigmoid(z: Z) -> Z:
    e = _exp((-z[0], -z[1]))
    one = z[0] * 0.0 + 1.0
    return _div((one, z[1] * 0.0), (e[0] + 1.0, e[1]))


def _sign(z: Z) -> Z:
    s, size = z[0].at, _abs(z)
    return s.where(size == 0, 0.0, z[0] / size), s.where(size == 0, 0.0, z[1] / size)


def _rsqrt(z: Z) -> Z:
    root = _sqrt(z)
    return _div((z[0] * 0.0 + 1.0, z[1] * 0.0), root)


def _pow(a: Z, b: Z) -> Z:
    s = a[0].at
    re, im = _exp(_mul(b, _log(a)))
    zero, none = (a[0] == 0) & (a[1] == 0), (b[0] == 0) & (b[1] == 0)
    at_zero = s.where(none, 1.0, s.where(b[0] < 0, s.number(math.inf), 0.0))
    return s.where(zero, at_zero, re), s.where(zero, 0.0, im)


def _both(z: Z, name: str, **params: Any) -> Z:
    """The same operation on both parts."""
    re, im = (part.at.op_of(name, (part.x,), params) for part in z)
    return re, im


def _cut(z: Z, axis: int, start: int, stop: int) -> Z:
    shape = z[0].x.aval.shape
    starts = tuple(start if i == axis else 0 for i in range(len(shape)))
    stops = tuple(stop if i == axis else n for i, n in enumerate(shape))
    return _both(z, "slice", starts=starts, stops=stops, steps=(1,) * len(shape))


def _prod(z: Z, node: Node) -> Z:
    """Products over axes: the halves of what is left, element by element, until one element is left."""
    shape: tuple[int, ...] = z[0].x.aval.shape
    axes = node.params["axes"]
    kept = [i for i in range(len(shape)) if i not in axes]
    lead, n = tuple(shape[i] for i in kept), math.prod(shape[i] for i in axes)
    z = _both(_both(z, "permute", axes=(*kept, *axes)), "reshape", shape=(*lead, n))
    last = len(lead)
    if n == 0:
        return z[0].at.number(1.0), z[0].at.number(0.0)
    while n > 1:
        half, odd = divmod(n, 2)
        rest = _cut(z, last, 2 * half, n)
        z = _mul(_cut(z, last, 0, half), _cut(z, last, half, 2 * half))
        if odd:
            re, im = (a.at.op_of("concat", (a.x, b.x), {"axis": last}) for a, b in zip(z, rest))
            z = re, im
        n = half + odd
    return _both(z, "reshape", shape=node.aval.shape)


def _cumprod(z: Z, axis: int) -> Z:
    """Running products: each turn doubles how many elements have been multiplied (Hillis and Steele, CACM 29, 1986)."""
    shape: tuple[int, ...] = z[0].x.aval.shape
    if not shape:
        return z
    none, step = (0,) * len(shape), 1
    while step < shape[axis]:
        low = tuple(step if i == axis else 0 for i in range(len(shape)))
        kept = _cut(z, axis, 0, shape[axis] - step)
        re, im = (
            part.at.op_of("pad", (part.x,), {"low": low, "high": none, "interior": none, "value": value})
            for part, value in zip(kept, (1.0, 0.0))
        )
        z, step = _mul(z, (re, im)), 2 * step
    return z


_TO_PAIR: dict[str, Callable[..., Z]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[0], a[1] - b[1]),
    "mul": _mul, "div": _div, "pow": _pow,
    "neg": lambda z: (-z[0], -z[1]),
    "conj": lambda z: (z[0], -z[1]),
    "copy": lambda z: (z[0].copy(), z[1].copy()),
    "stop_gradient": lambda z: (z[0].stop_gradient(), z[1].stop_gradient()),
    "square": lambda z: ((z[0] - z[1]) * (z[0] + z[1]), z[0] * z[1] * 2.0),
    "exp": _exp, "log": _log, "sqrt": _sqrt, "rsqrt": _rsqrt, "expm1": _expm1, "log1p": _log1p, "sigmoid": _sigmoid, "sign": _sign,
    "sinh": _sinh, "cosh": _cosh, "tanh": _tanh, "sin": _around(_sinh), "cos": lambda z: _cosh(_times_i(z)), "tan": _around(_tanh),
    "asin": _asin, "acos": _acos, "acosh": _acosh, "atanh": _atanh, "asinh": _around(_asin), "atan": _around(_atanh),
}  # fmt: skip
_TO_REAL: dict[str, Callable[..., Real]] = {
    "real": lambda z: z[0],
    "imag": lambda z: z[1],
    "abs": _abs,
    "eq": lambda a, b: (a[0] == b[0]) & (a[1] == b[1]),
    "ne": lambda a, b: a[0].ne(b[0]) | a[1].ne(b[1]),
    "isnan": lambda z: z[0].isnan() | z[1].isnan(),
    "isinf": lambda z: z[0].isinf() | z[1].isinf(),
}
_EACH = frozenset([  # operations that do the same to both parts
    "reshape", "permute", "expand", "slice", "slice_update", "pad", "concat", "diagonal", "gather", "take", "scatter", "scatter_add",
    "put_add", "sum", "cumsum", "where", "window_sum", "max_pool_input",
])  # fmt: skip
_BILINEAR = frozenset(["matmul", "conv", "conv_input", "conv_weight"])


def split_complex(graph: Graph) -> Graph:
    """z = f(w), complex  →  re(z), im(z) = f(re(w), im(w)), real."""
    if not any(_is_complex(n) for n in (*graph.inputs, *graph.nodes)):
        return graph
    return _Splitter().run(graph)


def _is_complex(x: Any) -> bool:
    return isinstance(x, Node) and isinstance(x.aval, Aval) and x.aval.dtype.is_complex


class _Splitter:
    """One run of the pass: it remembers how complex nodes of the new graph were taken apart."""

    def __init__(self) -> None:
        self.parts: dict[Node, Pair] = {}
        self.wholes: dict[Pair, Node] = {}

    def run(self, graph: Graph) -> Graph:
        """The graph without complex arithmetic."""
        new = rebuild(graph, self._replace)
        new.outputs = [self._whole(new, x) for x in new.outputs]
        new.writes = {k: self._whole(new, v) for k, v in new.writes.items()}
        return new

    def _replace(self, new: Graph, node: Node, inputs: tuple[Any, ...]) -> Any:
        if not (_is_complex(node) or any(isinstance(x, Pair) or _is_complex(x) for x in inputs)):
            return None
        made = self._split(new, node, inputs)
        if made is not None:
            return made
        prim = node.prim
        if prim is None:
            return None
        whole = tuple(self._whole(new, x) for x in inputs)
        return new.add(prim, whole, node.params, aval=node.aval, line=node.line)

    def _split(self, new: Graph, node: Node, inputs: tuple[Any, ...]) -> Any:
        """The pair (or real operand) that stands for the node; None if it keeps its complex operands."""
        complex_avals = [x.aval for x in (node, *inputs) if isinstance(x, Pair) or _is_complex(x)]
        real = as_dtype(_REAL[complex_avals[0].dtype.name])
        site = _Site(new, node.line, real)
        if node.op in _TO_REAL:
            return _TO_REAL[node.op](*(self._pair(site, x) for x in inputs)).x
        if node.op in _TO_PAIR:
            parts = _TO_PAIR[node.op](*(self._pair(site, x) for x in inputs))
        elif node.op == "complex":
            parts = (Real(site, inputs[0]), Real(site, inputs[1]))
        elif node.op in _EACH:
            parts = self._each(site, node, inputs)
        elif node.op in _BILINEAR:
            parts = self._product(site, node, inputs)
        elif node.op in ("prod", "cumprod"):
            z = self._shaped(site, inputs[0])
            parts = _prod(z, node) if node.op == "prod" else _cumprod(z, node.params["axis"])
        elif node.op == "cast":
            return self._cast(site, node, inputs[0])
        elif node.op == "full":
            value = complex(node.params["value"])
            re, im = (
                site.op_of("full", (), node.params | {"value": v, "dtype": real}) for v in (value.real, value.imag)
            )
            parts = re, im
        elif node.op == "constant":
            array = np.asarray(node.params["value"])
            re, im = (site.op_of("constant", (), {"value": np.ascontiguousarray(v)}) for v in (array.real, array.imag))
            parts = re, im
        else:
            return None
        return Pair(parts[0], parts[1], node.aval)

    def _shaped(self, site: _Site, x: Any) -> Z:
        """The parts of an operand, both as nodes of its shape."""
        re, im = self._pair(site, x)
        return Real(site, site.shaped(re, x.aval.shape)), Real(site, site.shaped(im, x.aval.shape))

    def _product(self, site: _Site, node: Node, inputs: tuple[Any, ...]) -> Z:
        """The parts of an operation that is linear in both of its operands."""
        a, b = (self._shaped(site, x) for x in inputs)
        rr, ii, ri, ir = (
            site.op_of(node.op, (a[j].x, b[k].x), node.params) for j, k in ((0, 0), (1, 1), (0, 1), (1, 0))
        )
        return rr - ii, ri + ir

    def _each(self, site: _Site, node: Node, inputs: tuple[Any, ...]) -> Z:
        pairs = [
            self._pair(site, x) if isinstance(x, Pair) or _is_complex(x) or isinstance(x, complex) else None
            for x in inputs
        ]
        shaped = node.op != "where"  # its operands broadcast
        found = []
        for k in (0, 1):
            operands = [
                x
                if z is None
                else (site.shaped(z[k], x.aval.shape) if shaped and not isinstance(x, complex) else z[k].x)
                for x, z in zip(inputs, pairs)
            ]
            params = dict(node.params)
            if node.op == "pad":
                value = complex(params["value"])
                params["value"] = value.imag if k else value.real
            if node.op == "where":
                operands = [
                    operands[0],
                    *((x.imag if k else x.real) if isinstance(x, (int, float)) else x for x in operands[1:]),
                ]
            found.append(site.op_of(node.op, tuple(operands), params))
        return found[0], found[1]

    def _cast(self, site: _Site, node: Node, x: Any) -> Any:
        to: DType = node.params["dtype"]
        if to.is_complex:
            real = as_dtype(_REAL[to.name])
            site = _Site(site.graph, site.line, real)
            if not (isinstance(x, Pair) or _is_complex(x)):
                return Pair(site.op_of("cast", (x,), {"dtype": real}), Real(site, 0.0), node.aval)
            parts = [site.op_of("cast", (site.shaped(p, x.aval.shape),), {"dtype": real}) for p in self._pair(site, x)]
            return Pair(parts[0], parts[1], node.aval)
        re, im = self._pair(site, x)
        if to.name == "bool":
            return (re.ne(0.0) | im.ne(0.0)).x
        return site.op_of("cast", (site.shaped(re, x.aval.shape),), {"dtype": to}).x

    def _pair(self, site: _Site, x: Any) -> Z:
        """The parts of an operand: a pair, a complex node, a real node or a number."""
        if isinstance(x, Pair):
            return Real(site, x.re.x), Real(site, x.im.x)
        if not isinstance(x, Node):
            value = complex(x)
            return Real(site, value.real), Real(site, value.imag)
        if not _is_complex(x):
            return Real(site, x), Real(site, 0.0)
        found = self.parts.get(x)
        if found is None:
            shape = x.aval.shape
            both = site.op_of("bitcast", (x,), {"dtype": as_dtype(_REAL[x.aval.dtype.name])})
            parts = []
            for k in (0, 1):
                zeros, ones = (0,) * len(shape), (1,) * len(shape)
                part = site.op_of(
                    "slice", (both.x,), {"starts": (*zeros, k), "stops": (*shape, k + 1), "steps": (*ones, 1)}
                )
                parts.append(site.op_of("reshape", (part.x,), {"shape": shape}))
            found = self.parts[x] = Pair(parts[0], parts[1], x.aval)
        return Real(site, found.re.x), Real(site, found.im.x)

    def _whole(self, new: Graph, x: Any) -> Any:
        """A pair as one complex node."""
        if not isinstance(x, Pair):
            return x
        if x not in self.wholes:
            site = _Site(new, x.re.at.line, as_dtype(_REAL[x.aval.dtype.name]))
            shape = x.aval.shape
            columns = [site.op_of("reshape", (site.shaped(p, shape),), {"shape": (*shape, 1)}).x for p in (x.re, x.im)]
            both = site.op_of("concat", tuple(columns), {"axis": len(shape)})
            node = site.op_of("bitcast", (both.x,), {"dtype": x.aval.dtype}).x
            self.wholes[x] = node
        return self.wholes[x]
