"""What all optimizers share: parameter groups, state, the step.

An update rule is written once, in tensor operations and ordinary arithmetic. In plain evaluation its numbers (learning
rate, step count, bias corrections) are Python floats. While a step is traced they are 0-dimensional tensors: the
numbers that a schedule changes are inputs of the graph, and step counts are state that the graph itself advances, so
that many steps can run without Python. Both compute them in double precision, so both give the same results.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, CheckpointError, TraceError
from twinflow.ops import HookHandle, where
from twinflow.optim._updates import Updates
from twinflow.tensor import MODE, SPECIAL, Tensor, current_tracer, enable_grad, host_scalar, paused_tracing, wrap

FLOAT64 = as_dtype("float64")

# Numbers that schedules change: inputs of a compiled step. All other options are part of the compiled code, and changing one compiles anew.
RUNTIME = frozenset({"lr", "momentum", "betas", "weight_decay"})

Member = tuple[
    Tensor, Tensor, dict[str, Any]
]  # a parameter, its gradient (maximize and weight decay applied), its state


class ParamGroup(dict[str, Any]):
    """The options of one group of parameters. It notices changes that a compiled step cannot take as inputs."""

    def __init__(self, options: dict[str, Any], changes: list[int]) -> None:
        super().__init__(options)
        self._changes = changes

    def __setitem__(self, key: str, value: Any) -> None:
        old = self.get(key)
        super().__setitem__(key, value)
        if key not in RUNTIME or _zeros(old) != _zeros(value):
            self._changes[0] += 1

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As dict.update, item by item."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __reduce__(self) -> Any:
        return ParamGroup, (dict(self), self._changes)


def _zeros(value: Any) -> Any:
    """Which numbers among an option's are zero: rules leave out the terms that these switch off."""
    if isinstance(value, (tuple, list)):
        return tuple([_zeros(v) for v in value])
    return "tensor" if isinstance(value, Tensor) else value == 0


def number(group: ParamGroup, key: str, index: int | None = None) -> Any:
    """An option as the number that the update computes with: a runtime input while tracing."""

    def read() -> Any:
        value = group[key]
        return value if index is None else value[index]

    value = read()
    return value if MODE.tracer is None or isinstance(value, Tensor) else host_scalar(read, FLOAT64, key)


def choose(condition: Any, a: Any, b: Any) -> Any:
    """a if the condition holds, else b: for a Python condition, or one of a traced number."""
    return where(condition, a, b) if isinstance(condition, Tensor) else a if condition else b


class Optimizer:
    """Base of all optimizers.

    Args:
        params: parameters, (name, parameter) pairs, or dicts with a list under "params" and options of that group.
        defaults: the options of groups that do not name them.
    Raises: ArgumentError for no parameters, a parameter in two groups, one that is no leaf, or an option out of range.

    A subclass states the names of its options by `defaults`, makes the state of a parameter in `_new_state` and writes
    the rule in `_update(group, t, members)`: t is the number of this step, from 1, for all the members.
    """

    _counts: ClassVar[bool] = True  # whether the rule needs the number of the step
    _decay_in_gradient: ClassVar[bool] = True  # whether weight decay adds to the gradient before the rule

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[ParamGroup] = []
        self._changes = [0]
        self._owners: dict[int, int] = {}  # id of a step counter -> how many parameters share it
        self._pre_hooks: OrderedDict[int, Any] = OrderedDict()
        self._post_hooks: OrderedDict[int, Any] = OrderedDict()
        self._stepped = False
        self._updates = self._make_updates()
        name = type(self).__name__
        if isinstance(params, Tensor):
            raise ArgumentError(f"{name}: params is a single tensor; give a list: {name}([tensor], ...)")
        if not hasattr(params, "__iter__"):
            hint = "; give model.parameters()" if hasattr(params, "parameters") else ""
            raise ArgumentError(f"{name}: params is a list of tensors or of groups, not {type(params).__name__}{hint}")
        groups = list(params)
        if not groups:
            raise ArgumentError(
                f"{name}: the list of parameters is empty; give model.parameters() of a model that has some"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range. The ranges of the common ones are the same everywhere."""
        self._want(group, "lr", lambda v: v >= 0, "not negative")
        for key in (
            "eps",
            "weight_decay",
            "momentum",
            "lr_decay",
            "momentum_decay",
            "initial_accumulator_value",
            "alpha",
        ):
            if key in group:
                self._want(group, key, lambda v: v >= 0, "not negative")
        if "betas" in group:
            self._want(
                group,
                "betas",
                lambda v: len(v) == 2 and all(0 <= float(b) < 1 for b in v),
                "two numbers from 0 up to, but not, 1",
            )
        if "rho" in group:
            self._want(group, "rho", lambda v: 0 <= v <= 1, "between 0 and 1")

    def _want(self, group: dict[str, Any], key: str, holds: Callable[[Any], Any], range_: str) -> None:
        value = group[key]
        try:
            ok = bool(holds(value))
        except TypeError:
            ok = False
        if not ok:
            raise ArgumentError(f"{type(self).__name__}: {key} must be {range_}, but {value!r} was given")

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        """The tensors that a parameter needs beside itself. The step counter is added by the base class."""
        return {}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _update(self, group, t, members)")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own; options not named take the optimizer's defaults."""
        name = type(self).__name__
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise ArgumentError(f"{name}: a parameter group is a dict with the key 'params', not {param_group!r}")
        unknown = param_group.keys() - self.defaults.keys() - {"params", "param_names", "name", "initial_lr"}
        if unknown:
            raise ArgumentError(
                f"{name}: unknown option {', '.join(map(repr, sorted(unknown)))} in a parameter group; there are {', '.join(self.defaults)}"
            )
        given = param_group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        if not params:
            raise ArgumentError(f"{name}: a parameter group without parameters")
        options = {**self.defaults, **param_group}
        if isinstance(params[0], tuple):
            options["param_names"] = [n for n, _ in params]
            params = [p for _, p in params]
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise ArgumentError(f"{name}: parameters are tensors, not {type(p).__name__}; give model.parameters()")
            if not p.is_leaf:
                raise ArgumentError(
                    f"{name}: a parameter must be a leaf, but this {tuple(p.shape)} tensor was computed; use .detach()"
                )
            if not p.dtype.is_floating_point:
                hint = (
                    "; keep a real parameter with a last axis of 2, and compute with view_as_complex of it"
                    if p.dtype.is_complex
                    else ""
                )
                raise ArgumentError(f"{name}: parameters are floating, not {p.dtype.name}{hint}")
            if id(p) in known:
                raise ArgumentError(f"{name}: a parameter of shape {tuple(p.shape)} appears twice")
            known.add(id(p))
        options["params"] = params
        self._check(options)
        self.param_groups.append(ParamGroup({"params": options.pop("params"), **options}, self._changes))
        self._changes[0] += 1

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients: `.grad = None`, or zeros written in place."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad.detach().zero_()

    # -- the step ----------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. `closure`, if given, computes the loss anew and is returned."""
        loss = None
        self._run_hooks(self._pre_hooks, closure)
        if closure is not None:
            with enable_grad():
                loss = closure()
        recorded, MODE.grad = MODE.grad, False
        try:
            if SPECIAL.count or not self._updates.run([p for g in self.param_groups for p in g["params"]], self.state):
                for group in self.param_groups:
                    self._step_group(group)
        finally:
            MODE.grad = recorded
        self._guard_options()
        self._stepped = True
        self._run_hooks(self._post_hooks, closure)
        return loss

    def _make_updates(self) -> Updates:
        me = weakref.ref(self)  # or programs and optimizer would keep each other alive

        def update() -> None:
            optimizer = me()
            if optimizer is not None:
                for group in optimizer.param_groups:
                    optimizer._step_group(group)
                optimizer._guard_options()

        update.__name__ = f"{type(self).__name__}.step"
        return Updates(update)

    def _guard_options(self) -> None:
        """While a step is traced: it holds as long as no option or state changes that is part of it."""
        tracer = current_tracer()
        if tracer is not None:
            changes = self._changes
            tracer.guard(lambda: changes[0], "the number of changes to the optimizer's options and state")

    def _run_hooks(self, hooks: OrderedDict[int, Any], closure: Any) -> None:
        if hooks:
            for hook in list(hooks.values()):
                hook(self, (closure,), {})

    def _step_group(self, group: ParamGroup) -> None:
        state = self.state
        ascend = group.get("maximize", False)
        decay = self._decay_in_gradient and group.get("weight_decay", 0)
        factor = number(group, "weight_decay") if decay is not False and _zeros(decay) is not True else None
        buckets: dict[int, tuple[Any, list[Member]]] = {}
        fresh = None
        for p in group["params"]:
            g = p.grad
            if g is None:
                continue
            s = state.get(p)
            if s is None:
                with paused_tracing():
                    s = state[p] = self._new_state(p, group)
                    if self._counts:
                        if fresh is None:
                            fresh = wrap(np.zeros((), np.float32))
                            self._owners[id(fresh)] = 0
                        s["step"] = fresh
                        self._owners[id(fresh)] += 1
            if ascend:
                g = -g
            if factor is not None:
                g = g + p * factor
            counter = s["step"] if self._counts else None
            bucket = buckets.get(id(counter))
            if bucket is None:
                buckets[id(counter)] = counter, [(p, g, s)]
            else:
                bucket[1].append((p, g, s))
        for counter, members in buckets.values():
            self._update(group, None if counter is None else self._advance(counter, members), members)

    def _advance(self, counter: Tensor, members: list[Member]) -> Any:
        """Count this step. Parameters share a counter as long as they get gradients in the same steps."""
        owners = self._owners
        if len(members) < owners[id(counter)]:
            tracer = current_tracer()
            if tracer is not None and id(counter) in tracer.written:
                raise TraceError(
                    "optimizer.step(): within one compiled function some parameters got gradients in only one of several steps; "
                    "run these steps once before compiling"
                )
            with paused_tracing():
                alone = counter.clone()
            owners[id(counter)] -= len(members)
            owners[id(alone)] = len(members)
            for _, _, s in members:
                s["step"] = alone
            counter = alone
        counter.add_(1.0)
        return counter.item() if MODE.tracer is None else counter.to(dtype=FLOAT64)

    # -- saving ------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": {index: {name: value}}, "param_groups": [{..., "params": [indices]}]}, as PyTorch lays it out."""
        index: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                index.setdefault(id(p), len(index))
            groups.append(
                {**{k: v for k, v in group.items() if k != "params"}, "params": [index[id(p)] for p in group["params"]]}
            )
        return {"state": {index[id(p)]: dict(s) for p, s in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, here or in PyTorch (tensors or arrays).

        Raises: CheckpointError if groups, parameters or shapes differ; nothing is changed then.
        """
        name = type(self).__name__
        try:
            groups, saved = state_dict["param_groups"], state_dict["state"]
            sizes = [len(g["params"]) for g in groups]
        except (KeyError, TypeError):
            raise CheckpointError(
                f"{name}.load_state_dict: the keys 'state' and 'param_groups' of an optimizer's state_dict are needed"
            ) from None
        mine = [len(g["params"]) for g in self.param_groups]
        if sizes != mine:
            raise CheckpointError(
                f"{name}.load_state_dict: groups of {sizes} parameters were saved, but this optimizer has {mine}"
            )
        by_index = {i: p for g, mine_ in zip(groups, self.param_groups) for i, p in zip(g["params"], mine_["params"])}
        updated = [ParamGroup(group, [0]) for group in self.param_groups]
        for group, new in zip(updated, groups):
            group.update(
                {k: v for k, v in new.items() if k != "params" and (k in group or k in ("initial_lr", "param_names"))}
            )
        group_of = {id(p): g for g in updated for p in g["params"]}
        loaded: dict[Tensor, dict[str, Any]] = {}
        for key, entries in saved.items():
            if int(key) not in by_index:
                raise CheckpointError(f"{name}.load_state_dict: state for parameter {key}, which no group has")
            p = by_index[int(key)]
            with paused_tracing():
                fresh = self._new_state(p, group_of[id(p)])
            foreign = entries.keys() - fresh.keys() - {"step"}
            if fresh and foreign:  # optimizers that fill their state in step() do not say what it holds
                raise CheckpointError(
                    f"{name}.load_state_dict: the state holds {', '.join(sorted(foreign))}, which {name} does not have; another "
                    "optimizer saved it, or this one with other options"
                )
            known = {k: v for k, v in fresh.items() if isinstance(v, Tensor) and v.ndim}
            loaded[p] = fresh | {k: self._load_value(name, k, v, known.get(k, p)) for k, v in entries.items()}
        for group, new in zip(self.param_groups, updated):
            group.update(new)
        for p in list(self.state.keys() - loaded.keys()):
            del self.state[p]
        self.state.update(loaded)
        self._share_counters()
        self._changes[0] += 1

    def _load_value(self, name: str, key: str, value: Any, like: Tensor) -> Any:
        """A saved entry as a state tensor in the type of `like`, whose shape it must have unless it is one number."""
        if not isinstance(value, (Tensor, np.ndarray)) and not hasattr(value, "__array__"):
            return value
        array = np.array(value)
        if array.ndim and array.shape != tuple(like.shape):
            raise CheckpointError(
                f"{name}.load_state_dict: {key} of shape {array.shape}, where {tuple(like.shape)} belongs"
            )
        return wrap(array.astype(like.dtype.np) if array.ndim and array.dtype.kind in "fV" else array)

    def _share_counters(self) -> None:
        """One counter for all parameters of a group that have taken the same number of steps."""
        self._owners = {}
        if not self._counts:
            return
        for group in self.param_groups:
            shared: dict[float, Tensor] = {}
            for p in group["params"]:
                s = self.state.get(p)
                if s is None:
                    continue
                steps = float(s.get("step", 1.0))
                counter = shared.setdefault(steps, wrap(np.array(steps, np.float32)))
                s["step"] = counter
                self._owners[id(counter)] = self._owners.get(id(counter), 0) + 1

    def __getstate__(self) -> dict[str, Any]:
        return {"groups": [dict(g) for g in self.param_groups], "state": self.state, "defaults": self.defaults}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.defaults, self.state = saved["defaults"], saved["state"]
        self._changes = [0]
        self.param_groups = [ParamGroup(g, self._changes) for g in saved["groups"]]
        self._pre_hooks, self._post_hooks, self._stepped = OrderedDict(), OrderedDict(), False
        self._updates = self._make_updates()
        self._share_counters()

    # -- hooks and printing ------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., None]) -> HookHandle:
        """Call `hook(optimizer, args, kwargs)` before each step."""
        return _register(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> HookHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return _register(self._post_hooks, hook)

    def __repr__(self) -> str:
        rows = []
        for i, group in enumerate(self.param_groups):
            rows.append(f"Parameter Group {i}")
            rows += [f"    {k}: {group[k]}" for k in sorted(group) if k not in ("params", "param_names")]
        return f"{type(self).__name__} (\n" + "\n".join(rows) + "\n)"


def _register(store: OrderedDict[int, Any], hook: Any) -> HookHandle:
    key = max(store, default=-1) + 1
    store[key] = hook
    return HookHandle(store, key)


def zeros_like_state(p: Tensor) -> Tensor:
    """A state tensor of zeros in the shape and type of a parameter."""
    return wrap(np.zeros(p.shape, p.dtype.np))


def full_like_state(p: Tensor, value: float) -> Tensor:
    """A state tensor of one value in the shape and type of a parameter."""
    return wrap(np.full(p.shape, value, p.dtype.np))
