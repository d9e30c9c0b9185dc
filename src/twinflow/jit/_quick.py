"""The quick way into a compiled program: a Python function written for it.

The native part of a small step takes a microsecond. What `Program.__call__` does around it, in loops over whatever a
program may have, takes ten. So once a program is called again its call is written out as straight-line source, in which
everything that is known stands as a constant:

    def call(args):
        if SPECIAL.count or OBSERVERS or MODE.grad is not True or len(args) != 1:
            return MISS
        a0, = args
        ...
        d0 = a0._data
        if d0 is not bound[0] and (d0.shape != (100, 1) or ...):
            return MISS

`MISS` means that something is not as it was, and that nothing has been done: the general way then finds out what. The
quick call does what `Program.__call__` and `NativeGraph.__call__` do together, and is tested against them. Beyond them,
it writes a gradient into the array that `.grad` already holds, if nobody else does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import TYPE_CHECKING, Any, cast
from weakref import getweakrefcount

import numpy as np

from twinflow.core import TreeDef, tree_unflatten
from twinflow.runtime import UNUSED, address_of, aligned_empty, pool
from twinflow.tensor import MODE, SPECIAL, Attributes, LateGrad, Tensor, meta_of, wrap

if TYPE_CHECKING:
    from twinflow.jit._compile import Program

MISS = object()
"""What a quick call returns if it does not apply to these arguments, or not any more."""

QuickCall = Callable[[tuple[Any, ...]], Any]


class _Writer:
    """Lines of a function, and the objects that they mention."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.indent = 1

    def add(self, *lines: str) -> None:
        self.lines += ["    " * self.indent + line for line in lines]

    def name(self, prefix: str, value: Any) -> str:
        """A name for an object, under which the function finds it; variables of the function have no underscore."""
        name = f"{prefix}_{len(self.names)}"
        self.names[name] = value
        return name

    def miss_if(self, condition: str) -> None:
        self.add(f"if {condition}:", "    return MISS")


def quick_call(program: Program, wanted: Sequence[bool], grad: bool) -> QuickCall | None:
    """The function, or None for a program that only the general way can call: on the interpreter, or differentiable, or
    one that leaves gradients in its arguments or rebinds attributes.

    Args:
        program: one that has been called.
        wanted: which of its arguments, all of them tensors, require gradients.
        grad: the grad mode it was traced in.
    """
    native: Any = program.execute
    if program.way is not None or program.attribute_sets or not hasattr(native, "place_result"):
        return None
    owners = [owner for owner, *_ in [*program.grad_sets, *program.grad_state, *program.grad_guards]]
    if any(type(owner) is int for owner in owners) or any(io < 0 for io, _ in native.results):
        return None
    w = _Writer()
    native.prepare()
    w.names.update(
        MISS=MISS, SPECIAL=SPECIAL, MODE=MODE, Tensor=Tensor, LateGrad=LateGrad, OBSERVERS=native.observers, refs=getrefcount,
        weak=getweakrefcount, new=object.__new__, wrap=wrap, meta_of=meta_of, address_of=address_of,
        bound=native.bound, io=native.program.io, enter=native.program.enter, native=native, program=native.program, errors=native.errors,
        raised=native.raised,
        pool=pool(), acquire=program.lock.acquire, release=program.lock.release, unflatten=tree_unflatten,
    )  # fmt: skip
    _write_guards(w, program, wanted, grad)
    w.add("acquire()", "try:")
    w.indent += 1
    _write_inputs(w, program)
    numbers = iter(native.results)
    outputs = [_write_output(w, native, *next(numbers)) for _ in range(program.n_out)]
    gradients = []
    for target, n_parts, make in program.grad_sets:
        meta, value = w.name("m", meta_of(target)), "None"
        if make is not None:
            parts = [_write_output(w, native, *next(numbers)) for _ in range(n_parts)]
            value = f"LateGrad({w.name('make', make)}, {', '.join(parts)})"
        elif n_parts:
            value = _write_gradient(w, native, meta, *next(numbers))
        gradients.append((meta, value))
    flags = [(check, _write_flag(w, native, *number)) for check, number in zip(native.checks, numbers)]
    w.add(f"enter({native.program.frame})")
    w.add("if errors or raised[0]:" if native.may_fail else "if errors:", "    native.raise_error()")
    for check, flag in flags:
        w.add(f"if {flag}[()]:", f"    raise {w.name('check', check)}.error()")
    w.add(*(f"bound[{i}] = None" for _, i in program.grad_state if i not in program.writes))  # zero_grad frees them
    w.add(*(f"{w.name('v', version)}[0] += 1" for version in program.versions))
    w.add(*(f"meta_of(a{k}).version[0] += 1" for k in program.written_args))
    w.add(*(f"meta_of({w.name('m', meta_of(owner))}.grad).version[0] += 1" for owner in program.written_grads))
    w.add(*(f"{meta}.grad = {value}" for meta, value in gradients))
    w.indent -= 1
    w.add("finally:", "    release()")
    w.add(*(f"{w.name('effect', effect)}()" for effect in program.after_call))
    made = iter(outputs)
    leaves = []
    for k, (is_tensor, value) in enumerate(zip(program.out_is_tensor, program.out_static)):
        if is_tensor:
            w.add(f"t{k} = new(Tensor)", f"t{k}._data = {next(made)}", f"t{k}._info = None")
        leaves.append(f"t{k}" if is_tensor else w.name("c", value))
    w.add(f"return {_result(w, program.out_tree, leaves)}")
    source = "\n".join(["def call(args):", *w.lines, ""])
    exec(compile(source, f"<quick call of {program.name}>", "exec"), w.names)
    call: QuickCall = w.names.pop("call")  # popped, because a function that its own names hold is never freed at once
    return call


def _write_guards(w: _Writer, program: Program, wanted: Sequence[bool], grad: bool) -> None:
    """Whether these are arguments of the program, and what it assumed of Python state still holds."""
    n = program.n_args
    w.miss_if("native.program is not program or not pool.started")  # the number of threads may have changed
    w.miss_if(f"SPECIAL.count != SPECIAL.marking or OBSERVERS or MODE.grad is not {grad} or len(args) != {n}")
    inside = "SPECIAL.count and " if program.autocast is None else ""  # without a mark nothing is cast anywhere
    w.miss_if(f"{inside}MODE.autocast is not {w.name('autocast', program.autocast)}")
    if n:
        w.add(", ".join(f"a{k}" for k in range(n)) + ", = args")
    for k, requires_grad in enumerate(wanted):
        w.miss_if(f"type(a{k}) is not Tensor")
        w.add(f"d{k} = a{k}._data")
        _write_fits(w, program, k)
        w.add(f"i = a{k}._info")
        w.miss_if("i is None or not i.requires_grad" if requires_grad else "i is not None and i.requires_grad")
    for owner, was_none in program.grad_guards:
        w.miss_if(f"{w.name('m', meta_of(owner))}.grad is {'not ' * was_none}None")
    for read, value, _ in program.guards:
        if isinstance(read, Attributes):
            for x, known in zip(read.objects, value):
                w.miss_if(f"{w.name('x', x)}.{read.name} is not {w.name('known', known)}")
            continue
        w.miss_if(f"{w.name('guard', read)}() != {w.name('g', value)}")


def _write_fits(w: _Writer, program: Program, i: int) -> None:
    """Whether an array can be input `i`."""
    aval = program.graph.inputs[i].aval
    shape, dtype = w.name("shape", tuple(int(n) for n in aval.shape)), w.name("dtype", aval.dtype.np)
    unlike = f"d{i}.shape != {shape} or d{i}.dtype is not {dtype} or not d{i}.flags.c_contiguous"
    w.miss_if(f"d{i} is not bound[{i}] and ({unlike})")


def _write_inputs(w: _Writer, program: Program) -> None:
    """The addresses of arguments and state, and the numbers that Python supplies."""
    for t, i in program.state:
        w.miss_if(f"{w.name('s', t)}._data is not bound[{i}]")
    for owner, i in program.grad_state:
        w.add(f"g{i} = {w.name('m', meta_of(owner))}.grad")
        w.miss_if(f"type(g{i}) is not Tensor")
        w.add(f"d{i} = g{i}._data")
        _write_fits(w, program, i)
    for _, i in program.grad_state:
        w.add(f"if d{i} is not bound[{i}]:", f"    io[{i}] = address_of(d{i})", f"    bound[{i}] = d{i}")
    for k in range(program.n_args):
        w.add(f"if d{k} is not bound[{k}]:", f"    io[{k}] = address_of(d{k})", f"    bound[{k}] = d{k}")
    for read, buffer in program.scalars:
        # writing through a memoryview takes half the time, but it wants numbers of exactly the type
        place: Any = memoryview(cast(Any, buffer)) if buffer.dtype.char in "df" else buffer
        w.add(f"{w.name('b', place)}[()] = {w.name('read', read)}()")


def _spares(native: Any, number: int, aval: Any) -> list[np.ndarray[Any, Any]]:
    """The two arrays that take turns as a result."""
    spares: list[np.ndarray[Any, Any]] = native.spares[number]
    while len(spares) < 2:
        spares.append(aligned_empty(aval.shape, aval.dtype.np))
    return spares


def _write_output(w: _Writer, native: Any, number: int, aval: Any) -> str:
    """An array for a result, by the rule of `NativeGraph.place_result`."""
    spares, out = w.name("spares", _spares(native, number, aval)), f"o{number}"
    for k, array in enumerate(w.names[spares]):
        w.add(f"{'el' * bool(k)}if refs({spares}[{k}]) == {UNUSED}:")
        w.add(f"    {out} = {spares}[{k}]", f"    io[{number}] = {address_of(array)}")
    w.add("else:", f"    {out} = native.place_result({number}, {w.name('aval', aval)})")
    return out


def _write_gradient(w: _Writer, native: Any, meta: str, number: int, aval: Any) -> str:
    """The tensor for a gradient: the very one that `.grad` holds if it came from here and nobody else has it."""
    spares = native.spares[number]
    owner, out = w.names[meta], f"n{number}"
    held = owner.grad._data if type(owner.grad) is Tensor else None
    array = next((a for a in spares if a is held), None)
    if array is None:
        array = _spares(native, number, aval)[0]
    else:
        spares[:] = [array]  # whatever else served is not needed as long as this one does
    kept = w.name("kept", [owner.grad if held is array else wrap(array), array])
    tensor, memory = f"{kept}[0]", f"{kept}[1]"
    w.add(f"{out} = {meta}.grad")
    # beside `kept`, the tensor may be in `.grad` and `out`; the array is in the tensor and in the native graph's spares
    w.add(
        f"if (refs({tensor}) == ({UNUSED + 2} if {out} is {tensor} else {UNUSED}) and refs({memory}) == {UNUSED + 2}"
        f" and {tensor}._data is {memory} and {tensor}._info is None and not weak({tensor})):"
    )
    w.add(f"    {out} = {tensor}", f"    io[{number}] = {address_of(array)}")
    w.add("else:", f"    {out} = wrap(native.place_result({number}, {w.name('aval', aval)}))")
    return out


def _write_flag(w: _Writer, native: Any, number: int, aval: Any) -> str:
    """A result that nobody sees: whether an index was outside."""
    array = _spares(native, number, aval)[0]
    w.add(f"io[{number}] = {address_of(array)}")
    return w.name("flag", array)


def _result(w: _Writer, tree: TreeDef, leaves: Sequence[str]) -> str:
    """An expression for the container of results."""
    if tree.kind is None:
        return leaves[0]
    return f"unflatten([{', '.join(leaves)}], {w.name('tree', tree)})"
