"""Layer: a part of a Keras model. It makes its weights when it first sees an input's shape."""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

import numpy as np

from twinflow.autograph import prepared
from twinflow.core import DType, as_dtype, tree_leaves, tree_map
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import activations, constraints, dtype_policies, initializers, regularizers
from twinflow.keras._input_spec import check_inputs
from twinflow.keras._masking import any_masks, converted, get_masks, has_mask, set_masks
from twinflow.keras._registry import Registry, serialize, snake_case, unique_name
from twinflow.keras._symbolic import OPERATOR_LAYER, CallNode, KerasTensor, infer, operator_function, symbolic_leaves
from twinflow.keras._variable import Variable, to_tensor
from twinflow.nn import Module, Parameter
from twinflow.tensor import Tensor, enable_grad, is_tracing, paused_tracing

LAYERS = Registry("layer")
FLOAT32 = as_dtype("float32")


class _Calls(threading.local):
    """What calls of layers hand down: whether the model is being trained."""

    training = False
    depth = 0  # how many layers are being called


CALLS = _Calls()
_ADDED: weakref.WeakKeyDictionary[Layer, list[Tensor]] = weakref.WeakKeyDictionary()  # what `add_loss` was given


_WEIGHT_OPTIONS = {"initializer": initializers.get, "regularizer": regularizers.get, "constraint": constraints.get}


def shape_of(tree: Any) -> Any:
    """The shapes of all tensors in a container; a single tensor gives its own."""
    if isinstance(tree, (Tensor, KerasTensor)):
        return tuple(None if s is None else int(s) for s in tree.shape)
    if isinstance(tree, (list, tuple)):
        return [shape_of(t) for t in tree]
    if isinstance(tree, dict):
        return {k: shape_of(t) for k, t in tree.items()}
    return None


def _as_input(x: Any, dtype: DType | None) -> Any:
    """Arrays become tensors, and floating ones are converted to the type in which the layer computes, as Keras casts inputs."""
    if isinstance(x, (np.ndarray, np.generic)):
        x = to_tensor(x)
    if isinstance(x, Tensor):
        kind = x.dtype
        return x if kind is dtype or dtype is None or not kind.is_floating_point else converted(x, dtype)
    if hasattr(x, "op") and hasattr(x, "graph"):
        raise ArgumentError(
            "a Keras layer keeps variables of its own and cannot stand in a static graph; use the layers of tf.compat.v1.layers, which make "
            "variables of the graph, or a keras.Model without a session"
        )
    return x


class Layer(Module):
    """Base of all layers. A subclass makes its weights in `build(input_shape)` and computes in `call(inputs)`.

    Args:
        name: how it is called; made from the class's name if not given.
        trainable: whether its weights are trained.
        dtype: the type in which it computes and keeps its weights, or a policy such as 'mixed_bfloat16' that says so; by default the
            one of `keras.config.set_dtype_policy`.
        activity_regularizer: a penalty on what the layer computes, divided by the number of examples.
        input_shape, input_dim, batch_input_shape: the input's shape (the first two without the batch axis), for the first
            layer of a Sequential model.
        {weight}_initializer, {weight}_regularizer, {weight}_constraint: for each of the layer's weights, such as `kernel`, what it
            begins with, a penalty on it, and what it is projected on after each step.

    >>> from twinflow import keras
    >>> class Scale(keras.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.w = self.add_weight(shape=(input_shape[-1],), initializer="ones")
    ...     def call(self, inputs):
    ...         return inputs * self.w
    >>> Scale()(keras.ops.ones((2, 3))).shape
    twinflow.Size([2, 3])
    """

    input_spec: Any = None  # an `InputSpec`, or a list or dict of them, that inputs are held against
    supports_masking = False  # whether a mask of the input passes on to the output
    _options: ClassVar[dict[str, Any]] = {}  # the weights that have options by name, and their initializers
    _is_operation = (
        False  # whether it is a function or an operator that became part of a model, and no layer of the user's
    )
    _rank: int | None = None  # how many axes the input has, with the batch axis, where only one number is right
    _axes = ""  # what they are, for the error

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        activity_regularizer: Any = None,
        input_shape: Any = None,
        input_dim: int | None = None,
        batch_input_shape: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        kind = type(self).__name__
        for weight, initializer in self._options.items():
            for what, get in _WEIGHT_OPTIONS.items():
                default = initializer if what == "initializer" else None
                setattr(self, f"{weight}_{what}", get(unknown.pop(f"{weight}_{what}", default)))
        if unknown:
            raise ArgumentError(f"{kind}: there is no argument {', '.join(map(repr, unknown))}")
        self._policy = dtype_policies.get(dtype)
        self.name = name or unique_name(snake_case(kind))
        self.__dict__["_trainable"] = bool(trainable)
        self.built = False
        self.training = False
        if input_dim is not None:
            input_shape = (input_dim,)
        if input_shape is not None:
            batch_input_shape = (None, *((input_shape,) if isinstance(input_shape, int) else input_shape))
        self._batch_input_shape = batch_input_shape
        self._regularized: list[tuple[Any, Variable]] = []
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._output_shape: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._gives_its_dtype = cls.__module__.startswith("twinflow.keras.layers.")
        own = cls.__dict__.get("build")
        if own is not None:

            @functools.wraps(own)
            def build(self: Layer, *args: Any, **options: Any) -> None:
                own(self, *args, **options)
                self.built = True  # also where a program calls it: a second build would make other weights

            cls.build = build  # type: ignore[method-assign]

    # -- what a subclass defines ---------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape (with the batch axis)."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer computes."""
        raise ArgumentError(f"{type(self).__name__} has no call method: define call(self, inputs)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the layer again."""
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        if self._policy.name != "float32":
            config["dtype"] = self._policy.name
        if self._batch_input_shape is not None:
            config["batch_input_shape"] = list(self._batch_input_shape)
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = serialize(self.activity_regularizer)
        for weight in self._options:
            for what in _WEIGHT_OPTIONS:
                config[f"{weight}_{what}"] = serialize(getattr(self, f"{weight}_{what}"))
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**config)

    def _config(self, *names: str) -> dict[str, Any]:
        """Layer.get_config and the attributes of these names."""
        return {**Layer.get_config(self), **{n: serialize(getattr(self, n)) for n in names}}

    # -- weights -------------------------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = "glorot_uniform",
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
        **unknown: Any,
    ) -> Variable:
        """A new variable of the layer, with a penalty on it if there is a regularizer, and projected if there is a constraint."""
        if isinstance(shape, str):
            raise ArgumentError(
                f"{type(self).__name__}.add_weight: the first argument is the shape, but {shape!r} was given; write "
                f"add_weight(shape=..., name={shape!r})"
            )
        if unknown:
            raise ArgumentError(
                f"{type(self).__name__}.add_weight: there is no argument {', '.join(map(repr, unknown))}"
            )
        with paused_tracing():
            size = (shape,) if isinstance(shape, int) else tuple(shape)
            if any(s is None for s in size):
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r}: a weight of shape {size} depends on a size that is not known; give it in Input"
                )
            v = Variable(
                initializers.get(initializer)(size, dtype or self.variable_dtype),
                trainable=trainable,
                name=name or unique_name("variable"),
            )
        v.path = f"{self.name}/{v.name}"
        v.constraint = constraints.get(constraint)
        self._own.append(v)
        if regularizer is not None:
            self._regularized.append((regularizers.get(regularizer), v))
        return v

    def _weight(self, name: str, shape: Any) -> Variable:
        """A new variable with the layer's options for a weight of this name."""
        return self.add_weight(
            shape,
            getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            name=name,
        )

    @property
    def _own(self) -> list[Variable]:
        found: list[Variable] = self.__dict__.setdefault("_own_weights", [])
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "activation":
            value = activations.get(value)  # None and names too, for users who put another one in place
        if name != "_own_weights" and "_parameters" in self.__dict__ and not name.startswith("_own"):
            order: dict[str, None] = self.__dict__.setdefault("_attribute_order", {})
            order.setdefault(name)
        if isinstance(value, (Parameter, Module)) and "_parameters" not in self.__dict__:
            raise ArgumentError(
                f"{type(self).__name__}.{name} was assigned before the base class was started; call super().__init__() first"
            )
        super().__setattr__(name, value)

    _places_in_file: ClassVar[dict[str, str]] = {}  # of weights that belong to layers inside this one in Keras

    def _own_variables(self) -> list[Variable]:
        """The variables of the layer itself, in the order in which they were made."""
        found = [*self._own, *(p for p in self._parameters.values() if isinstance(p, Variable))]
        return list({id(v): v for v in found}.values())

    def _parts(self) -> Iterator[Any]:
        """The variables and layers of this layer, in the order in which they were assigned."""
        yield from self._own
        seen = {id(v) for v in self._own}
        for name in list(self.__dict__.get("_attribute_order", ())):
            if name.startswith("_regularized"):
                continue
            value = getattr(self, name, None)
            for part in tree_leaves(value) if isinstance(value, (list, tuple, dict)) else [value]:
                if isinstance(part, (Parameter, Module)) and id(part) not in seen:
                    seen.add(id(part))
                    yield part

    def _flatten_layers(self) -> Iterator[Any]:
        yield self
        for part in self._parts():
            if isinstance(part, Layer):
                yield from part._flatten_layers()

    @property
    def trainable(self) -> bool:
        """Whether the layer's weights are trained; setting it sets it for all layers inside."""
        return bool(self.__dict__["_trainable"])

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._flatten_layers():
            layer.__dict__["_trainable"] = bool(value)

    def _variables(self) -> Iterator[tuple[Any, bool]]:
        """(variable, whether its layer trains it), each once where it first stands."""
        for part in self._parts():
            if isinstance(part, Layer):
                yield from part._variables()
            elif isinstance(part, Module):
                yield from ((p, p.requires_grad and self.trainable) for p in part.parameters())
            else:
                yield part, bool(part.requires_grad) and self.trainable

    def _unique(self) -> list[tuple[Any, bool]]:
        return list({id(v): (v, t and self.trainable) for v, t in self._variables()}.values())

    @property
    def weights(self) -> list[Any]:
        """All variables."""
        return [v for v, _ in self._unique()]

    variables = weights

    @property
    def trainable_variables(self) -> list[Any]:
        """The variables that an optimizer changes."""
        return [v for v, trained in self._unique() if trained]

    trainable_weights = trainable_variables

    @property
    def non_trainable_variables(self) -> list[Any]:
        """The variables that no optimizer changes: frozen ones and statistics."""
        return [v for v, trained in self._unique() if not trained]

    non_trainable_weights = non_trainable_variables

    def count_params(self) -> int:
        """How many numbers the weights have."""
        if not self.built:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r} has no weights yet; call it, or build(input_shape)"
            )
        return sum(int(v.numel()) for v in self.weights)

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Copies of all weights as arrays."""
        return [np.array(v.detach()._data) for v in self.weights]

    def set_weights(self, weights: Any) -> None:
        """Take over arrays in the order of `get_weights`. Raises: ShapeError if their number or shapes differ."""
        own, given = self.weights, [np.asarray(w) for w in weights]
        if len(own) != len(given):
            hint = "" if self.built else "; the layer is not built yet: call it, or build(input_shape), first"
            raise ShapeError(
                f"set_weights: {type(self).__name__} {self.name!r} has {len(own)} weights, but {len(given)} were given{hint}"
            )
        for v, w in zip(own, given):
            if tuple(v.shape) != w.shape:
                raise ShapeError(
                    f"set_weights: {getattr(v, 'path', 'a weight')} has shape {tuple(v.shape)}, but {w.shape} was given"
                )
        for v, w in zip(own, given):
            v.detach().copy_(to_tensor(w, v.dtype))

    @property
    def losses(self) -> list[Tensor]:
        """The penalties of all regularizers, computed now, and what `add_loss` was given in the latest call."""
        layers = dict.fromkeys(self._flatten_layers())
        added = [t for layer in layers for t in _ADDED.get(layer, ())] if _ADDED else []
        return added + [r(v) for layer in layers for r, v in layer._regularized]

    def add_loss(self, loss: Any) -> None:
        """Add to the loss: it is among `losses` until the model is called again, and `fit` adds it to what it minimises."""
        _ADDED.setdefault(self, []).extend(to_tensor(t) for t in tree_leaves(loss))

    def _clear_losses(self) -> None:
        """Forget what `add_loss` was given in the latest call."""
        if _ADDED:
            for layer in self._flatten_layers():
                _ADDED.pop(layer, None)

    # -- calling -------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `call`, building the layer first if need be; on symbolic tensors, extend the model's graph."""
        if "_parameters" not in self.__dict__:
            raise ArgumentError(f"{type(self).__name__}: call super().__init__() in __init__ before anything else")
        if symbolic_leaves((args, kwargs)):
            return self._symbolic_call(args, kwargs)
        return super().__call__(*args, **kwargs)

    def _symbolic_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        node = CallNode(self, args, kwargs)
        self._ensure_built(args)
        result = infer(super().__call__, args, kwargs)
        self._clear_losses()
        node.outputs = result
        self._nodes.append(node)
        for t in symbolic_leaves(result):
            t.node = node
        self._output_shape = shape_of(result)
        return result

    def _ensure_built(self, args: tuple[Any, ...]) -> None:
        if self.built:
            return
        if not args:
            raise ArgumentError(f"{type(self).__name__} {self.name!r}: call it with its inputs as the first argument")
        shape = shape_of(args[0])
        self._check_rank(shape)
        self.__dict__["_build_shape"] = shape
        with paused_tracing(), enable_grad():
            self.build(shape)
        self.built = True

    def _check_rank(self, shape: Any) -> None:
        if self._rank is None:
            return
        if not isinstance(shape, tuple):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: one tensor with {self._rank} axes ({self._axes}) is needed, not {shape}"
            )
        if len(shape) != self._rank:
            hint = ""
            if self._batch_input_shape is not None and len(self._batch_input_shape) == len(shape):
                hint = f"; input_shape does not contain the batch axis, so it has {self._rank - 1} numbers here, not {len(shape) - 1}"
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the input needs {self._rank} axes ({self._axes}), but its shape is {shape}{hint}"
            )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What `Module.__call__` runs: casts inputs, builds, hands `training` down, calls."""
        dtype = self._input_dtype()
        args, kwargs = (tree_map(lambda x: _as_input(x, dtype), given) for given in (args, kwargs))
        if self.input_spec is not None and args:
            check_inputs(self._label(""), self.input_spec, args[0], shape_of(args[0]))
        self._ensure_built(args)
        if self._rank is not None and args:
            self._check_rank(shape_of(args[0]))
        if not CALLS.depth:
            self._clear_losses()
        before, CALLS.depth = CALLS.training, CALLS.depth + 1
        given = kwargs.pop("training", None)
        CALLS.training = before if given is None else bool(given)
        names = self._call_arguments()
        if "training" in names:
            kwargs["training"] = CALLS.training
        try:
            makes_mask = type(self).compute_mask is not Layer.compute_mask
            if not makes_mask and not any_masks() and not has_mask(kwargs.get("mask")):
                result = self._run_call(args, kwargs)
            else:
                result = self._masked_call(names, args, kwargs)
        finally:
            CALLS.training, CALLS.depth = before, CALLS.depth - 1
        if self.activity_regularizer is not None:
            for y in tree_leaves(result):
                self.add_loss(self.activity_regularizer(y) / y.shape[0])
        return result

    def _run_call(self, args: Any, kwargs: dict[str, Any]) -> Any:
        """`call`; while a step is traced, with the control flow of a user's layer rewritten for tensors."""
        call = prepared(self.call) if is_tracing() else self.call
        if self._policy.name == "float32":
            return call(*args, **kwargs)
        with ExitStack() as stack:
            for layer in self._computing():
                stack.enter_context(layer._converted_weights())
            result = call(*args, **kwargs)
        if not self._gives_its_dtype:
            return result
        dtype = as_dtype(self._policy.compute_dtype)
        return tree_map(lambda y: _as_input(y, dtype), result)

    def _computing(self) -> Iterable[Layer]:
        """The layers whose variables `call` uses without calling them."""
        return (self,)

    _in_float32 = False  # whether it computes in float32 at least: statistics of shorter types would be too coarse
    _gives_its_dtype = False  # whether its results are converted to the type in which it computes

    def _input_dtype(self) -> DType | None:
        """What floating inputs are converted to; None to leave them."""
        if self._is_operation:
            return None
        found = as_dtype(self._policy.compute_dtype)
        return FLOAT32 if self._in_float32 and found.itemsize < 4 else found

    @contextmanager
    def _converted_weights(self) -> Iterator[None]:
        """Within it, the layer's own trained variables are tensors of the type in which it computes."""
        own, dtype = self._parameters, self._input_dtype()
        before = dict(own)
        for name, v in before.items():
            if (
                dtype is not None
                and v is not None
                and v.dtype.is_floating_point
                and v.requires_grad
                and v.dtype is not dtype
            ):
                own[name] = v.to(dtype=dtype)  # for the call alone
        try:
            yield
        finally:
            own.update(before)

    def _masked_call(self, names: tuple[str, ...], args: Any, kwargs: dict[str, Any]) -> Any:
        """`call` with the masks of its arguments filled in, and the result's mask attached to it."""
        masks = kwargs.get("mask")
        if masks is None:
            masks = get_masks(args[0]) if args else None
            if "mask" in names and has_mask(masks):
                kwargs["mask"] = masks
        for name, value in [*zip(names, args), *list(kwargs.items())]:
            if f"{name}_mask" in names and kwargs.get(f"{name}_mask") is None:
                kwargs[f"{name}_mask"] = get_masks(value)
        result = self._run_call(args, kwargs)
        if not has_mask(masks) and type(self).compute_mask is Layer.compute_mask:
            return result
        if self.supports_masking or type(self).compute_mask is not Layer.compute_mask:
            if not has_mask(get_masks(result)):
                set_masks(result, self.compute_mask(args[0], masks))
        elif not has_mask(get_masks(result)) and not self._keeps_masks:
            warnings.warn(
                f"{type(self).__name__} {self.name!r}: its input has a mask, which it does not pass on; layers behind it see all steps",
                stacklevel=4,
            )
        return result

    _keeps_masks = False  # whether masks are up to the layers inside

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the result: by default the one of the input."""
        return previous_mask

    @classmethod
    def _call_arguments(cls) -> tuple[str, ...]:
        found: tuple[str, ...] | None = cls.__dict__.get("_call_names")
        if found is None:
            found = tuple(inspect.signature(cls.call).parameters)[1:]
            cls._call_names = found  # type: ignore[attr-defined]
        return found

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the result for an input of this shape."""
        if isinstance(input_shape, list) and input_shape and isinstance(input_shape[0], (list, tuple)):
            arg: Any = [KerasTensor(s) for s in input_shape]
        else:
            arg = KerasTensor(input_shape)
        self._ensure_built((arg,))
        return shape_of(infer(super().__call__, (arg,), {}))

    @property
    def output_shape(self) -> Any:
        """The shape of the latest symbolic result."""
        if self._output_shape is None:
            raise ArgumentError(f"{type(self).__name__} {self.name!r} has no output_shape before it is part of a model")
        return self._output_shape

    @property
    def _nodes(self) -> list[CallNode]:
        """The calls on symbolic tensors, in order."""
        found: list[CallNode] = self.__dict__.setdefault("_call_nodes", [])
        return found

    @property
    def input(self) -> Any:
        """The symbolic tensors that the layer was first called on."""
        found = self._first_call().inputs
        return found[0] if len(found) == 1 else found

    @property
    def output(self) -> Any:
        """What the layer gave when it was first called on symbolic tensors."""
        return self._first_call().outputs

    def _first_call(self) -> CallNode:
        if not self._nodes:
            raise AttributeError
        return self._nodes[0]

    def __getattr__(self, name: str) -> Any:
        if name in ("input", "output"):  # the properties found nothing
            raise AttributeError(
                f"{self._kind()} {self.name!r} has no {name} before it is called on a symbolic tensor: on keras.Input(...), or as part of a "
                "Sequential model whose input's shape is known"
            )
        return super().__getattr__(name)

    @property
    def compute_dtype(self) -> str:
        """The type in which it computes."""
        return self._policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The type of its weights."""
        return self._policy.variable_dtype

    dtype = variable_dtype

    @property
    def dtype_policy(self) -> dtype_policies.DTypePolicy:
        """The policy that says so."""
        return self._policy

    @dtype_policy.setter
    def dtype_policy(self, policy: Any) -> None:
        self._policy = dtype_policies.get(policy)

    def _kind(self) -> str:
        """What it is called in summaries and messages."""
        return type(self).__name__

    def _label(self, path: str) -> str:
        return f"{self._kind()} {self.name!r}"

    def __repr__(self) -> str:
        return f"<{self._kind()} name={self.name}, built={self.built}>"


_OPERATOR_NAMES = {
    "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "pow": "power", "floordiv": "floor_divide", "lt": "less",
    "le": "less_equal", "gt": "greater", "ge": "greater_equal", "neg": "negative", "abs": "absolute", "getitem": "get_item",
}  # fmt: skip


def camel_case(name: str) -> str:
    """`true_divide` -> `TrueDivide`."""
    return "".join(part.capitalize() for part in name.split("_"))


@LAYERS.add()
class Operator(Layer):
    """One of Python's operators between symbolic tensors, such as `a + b` or `x[:, 0]`."""

    _is_operation = True

    def __init__(self, operator: str, **kwargs: Any) -> None:
        super().__init__(**{"name": unique_name(_OPERATOR_NAMES.get(operator, operator)), **kwargs})
        self.operator = operator
        self._function = operator_function(operator)
        self.built = True

    def call(self, *args: Any) -> Any:
        """Apply the operator."""
        return self._function(*args)

    def _kind(self) -> str:
        return camel_case(_OPERATOR_NAMES.get(self.operator, self.operator))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("operator")


OPERATOR_LAYER.append(Operator)
