"""Model and Sequential: layers put together, with training."""

from __future__ import annotations

import json
import sys
from typing import Any

from twinflow.core import tree_leaves, tree_map
from twinflow.core.errors import ArgumentError, CheckpointError, ShapeError, TwinflowError
from twinflow.keras import _saving
from twinflow.keras._input_layer import InputLayer
from twinflow.keras._layer import LAYERS, Layer, shape_of
from twinflow.keras._registry import serialize, unique_name
from twinflow.keras._summary import summary_text
from twinflow.keras._symbolic import CallNode, Input, KerasTensor, by_depth, infer, ordered_calls, run_calls
from twinflow.keras._training import Trainer
from twinflow.tensor import Tensor


@LAYERS.add("Functional")
class Model(Trainer, Layer):  # type: ignore[misc] # Keras's compile is not Module's
    """A model: `Model(inputs, outputs)` of symbolic tensors, or a subclass with layers and a `call`.

    Args:
        inputs, outputs: symbolic tensors from `keras.Input` and what layers made of them; lists and dicts of them for several.

    >>> from twinflow import keras
    >>> x = keras.Input((4,))
    >>> model = keras.Model(x, keras.layers.Dense(2)(x))
    >>> model.output_shape
    (None, 2)
    """

    _keeps_masks = True

    def __init__(self, *args: Any, inputs: Any = None, outputs: Any = None, **kwargs: Any) -> None:
        given = list(args)
        if given:
            inputs = given.pop(0)
        if given:
            outputs = given.pop(0)
        if given:
            raise ArgumentError("keras.Model: Model(inputs, outputs, name=...) takes no more arguments")
        if type(self) is Model and inputs is not None and kwargs.get("name") is None:
            kwargs["name"] = unique_name("functional")
        Layer.__init__(self, **kwargs)
        self.__dict__["stop_training"] = False
        self.__dict__["_graph"] = None
        if (inputs is None) != (outputs is None):
            raise ArgumentError(
                "keras.Model: give both inputs and outputs, or none of them in a subclass with a call method"
            )
        if inputs is not None:
            self._make_functional(inputs, outputs)

    def build(self, input_shape: Any) -> None:
        """Make all weights, for inputs of this shape (with the batch axis), or a list or dict of them."""
        if self.__dict__["_graph"] is None and self._can_be_called():
            several = isinstance(input_shape, dict) or (
                isinstance(input_shape, list) and isinstance(input_shape[0], (list, tuple))
            )
            shapes = input_shape if several else (tuple(input_shape),)
            given = (
                {k: KerasTensor(s) for k, s in shapes.items()}
                if isinstance(shapes, dict)
                else [KerasTensor(s) for s in shapes]
            )
            infer(Layer.__call__, (self, given if several else given[0]), {})
        self.built = True

    def _ensure_built(self, args: tuple[Any, ...]) -> None:
        if type(self).build is Model.build:
            self.built = True  # a model's layers are built when it calls them
        else:
            super()._ensure_built(args)

    # -- functional ------------------------------------------------------------------------------------------------

    def _make_functional(self, inputs: Any, outputs: Any) -> None:
        for what, tree in (("inputs", inputs), ("outputs", outputs)):
            for t in tree_leaves(tree):
                if not isinstance(t, KerasTensor):
                    raise ArgumentError(
                        f"keras.Model: {what} are symbolic tensors from keras.Input and layers called on them, not {type(t).__name__}"
                    )
        calls = ordered_calls(tree_leaves(inputs), tree_leaves(outputs))
        d = self.__dict__
        d["_graph"] = (inputs, outputs, calls)
        d["inputs"], d["outputs"] = tree_leaves(inputs), tree_leaves(outputs)
        starts = {id(t): _input_layer(t) for t in d["inputs"]}
        d["_operations"] = [
            starts[id(x)] if isinstance(x, KerasTensor) else x for x in by_depth(d["inputs"], d["outputs"])
        ]
        for k, layer in enumerate(x for x in d["_operations"] if not isinstance(x, InputLayer)):
            self._modules[f"layer_{k}"] = layer
            d.setdefault("_attribute_order", {})[f"layer_{k}"] = None
        last = [t.node.layer if t.node is not None else None for t in d["outputs"]]
        d["_output_layers"] = last
        d["output_names"] = [getattr(layer, "name", f"output_{k}") for k, layer in enumerate(last)]
        self._output_shape = shape_of(outputs)
        self.built = True

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the layers of a functional model."""
        graph = self.__dict__.get("_graph")
        if graph is None:
            raise ArgumentError(
                f"{type(self).__name__}: define call(self, inputs), or make the model with inputs and outputs"
            )
        start, outputs, _ = graph
        values = self._match(start, inputs)
        return run_calls(tree_leaves(start), values, outputs, _run_call)

    def _can_be_called(self) -> bool:
        """Whether there is a computation beside `train_step`, which may use models inside and need none."""
        return self.__dict__["_graph"] is not None or type(self).call is not Model.call

    def _match(self, start: Any, given: Any) -> list[Any]:
        """The inputs' values in the order of the symbolic inputs, checked and converted."""
        wanted = tree_leaves(start)
        if isinstance(given, dict):
            names = list(start) if isinstance(start, dict) else [t.name for t in wanted]
            missing = [n for n in names if n not in given]
            if missing:
                raise ArgumentError(
                    f"{type(self).__name__} {self.name!r}: there is no input {missing[0]!r} among {', '.join(map(str, given))}"
                )
            values = [given[n] for n in names]
        else:
            values = list(given) if isinstance(given, (list, tuple)) else [given]
        if len(values) != len(wanted):
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r} has {len(wanted)} inputs, but {len(values)} were given; put several into a list"
            )
        out = []
        for t, v in zip(wanted, values):
            if isinstance(v, Tensor):
                v = self._fit_input(t, v)
            out.append(v)
        return out

    def _fit_input(self, t: KerasTensor, v: Tensor) -> Tensor:
        shape = tuple(v.shape)
        if len(shape) == len(t.shape) - 1 and t.shape[-1] == 1:
            v = v.unsqueeze(-1)
        elif len(shape) == len(t.shape) + 1 and shape[-1] == 1:
            v = v.squeeze(-1)
        shape = tuple(v.shape)
        if len(shape) != len(t.shape) or any(m is not None and m != n for m, n in zip(t.shape, shape)):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the input {t.name!r} has shape {t.shape} (None: any size), but the data has {shape}"
            )
        return v if v.dtype.name == t.dtype else v.to(dtype=t.dtype)

    # -- layers ----------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Any]:
        """The layers of the model itself, in order; operators and functions between them are not layers."""
        if self.__dict__.get("_graph") is not None:
            return [x for x in self.__dict__["_operations"] if not x._is_operation]
        return [p for p in self._parts() if isinstance(p, Layer)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """A layer by its name or number."""
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ArgumentError(f"get_layer: index {index} for {len(layers)} layers")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ArgumentError(f"get_layer: there is no layer {name!r}; there are {', '.join(x.name for x in layers)}")

    @property
    def input(self) -> Any:
        """The symbolic inputs, as they were given."""
        graph = self.__dict__.get("_graph")
        return super().input if graph is None else graph[0]

    @property
    def output(self) -> Any:
        """The symbolic outputs, as they were given."""
        graph = self.__dict__.get("_graph")
        return super().output if graph is None else graph[1]

    def _kind(self) -> str:
        return "Functional" if type(self) is Model and self.__dict__.get("_graph") is not None else super()._kind()

    @property
    def input_shape(self) -> Any:
        """The shape of the input, with the batch axis."""
        graph = self.__dict__.get("_graph")
        if graph is None:
            raise ArgumentError(f"{type(self).__name__}: a subclassed model has no input_shape")
        return shape_of(graph[0])

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print the table of layers, shapes and parameters.

        Args:
            line_length: its width; as wide as the terminal, within bounds, if not given.
            positions: where columns end, as parts of the width.
            print_fn: called with the whole text instead of printing it.
            expand_nested: show the layers of models inside the model.
            show_trainable: a column that says whether a layer is trained.
            layer_range: the names (or patterns) of the first and the last layer to show.
        """
        text = summary_text(self, line_length, positions, expand_nested, show_trainable, layer_range)
        (sys.stdout.write if print_fn is None else print_fn)(text)

    # -- saving ----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The model as JSON: its layers and how they are called."""
        graph = self.__dict__.get("_graph")
        if graph is None:
            raise CheckpointError(
                f"{type(self).__name__}: a subclassed model needs a get_config method (and @keras.saving.register_keras_serializable()) to "
                "be saved whole; save_weights saves its weights"
            )
        inputs, outputs, calls = graph
        numbers: dict[int, list[int]] = {id(t): [-1, k] for k, t in enumerate(tree_leaves(inputs))}
        layers = list(dict.fromkeys(c.layer for c in calls))
        steps = []
        for k, c in enumerate(calls):
            refs = tree_map(lambda v: _ref(v, numbers), [list(c.args), dict(c.kwargs)])
            steps.append({"layer": layers.index(c.layer), "args": refs[0], "kwargs": refs[1]})
            for j, t in enumerate(tree_leaves(c.outputs)):
                numbers[id(t)] = [k, j]
        starts = [{"batch_shape": list(t.shape), "dtype": t.dtype, "name": t.name} for t in tree_leaves(inputs)]
        return {
            "name": self.name, "trainable": self.trainable, "layers": [serialize(x) for x in layers], "inputs": starts, "calls": steps,
            "input_structure": tree_map(lambda t: numbers[id(t)], inputs),
            "output_structure": tree_map(lambda t: {"ref": numbers[id(t)]}, outputs),
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """The inverse of `get_config`."""
        if "calls" not in config:
            return cls(**config)
        starts = [Input(batch_shape=c["batch_shape"], dtype=c["dtype"], name=c["name"]) for c in config["inputs"]]
        layers = [LAYERS.deserialize(c, custom_objects) for c in config["layers"]]
        values: dict[tuple[int, int], Any] = {(-1, k): t for k, t in enumerate(starts)}
        for k, step in enumerate(config["calls"]):
            args, kwargs = _resolve(step["args"], values), _resolve(step["kwargs"], values)
            for j, t in enumerate(tree_leaves(layers[step["layer"]](*args, **kwargs))):
                values[k, j] = t
        outputs = _resolve(config["output_structure"], values)
        model = Model(starts[0] if len(starts) == 1 else starts, outputs, name=config["name"])
        model.trainable = config["trainable"]
        return model

    def to_json(self, **options: Any) -> str:
        """The configuration as text."""
        return json.dumps(serialize(self), **options)

    def save(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the model to one `.keras` file: configuration as JSON, weights as safetensors."""
        _saving.save_model(self, filepath, overwrite)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights alone, as safetensors."""
        _saving.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: Any) -> None:
        """Take over weights that `save_weights` or `save` wrote. Raises: CheckpointError if they do not fit."""
        _saving.load_weights(self, filepath)


def _input_layer(t: KerasTensor) -> InputLayer:
    """The layer that stands for an input among a model's layers."""
    layer = InputLayer(batch_shape=t.shape, dtype=t.dtype, name=t.name)
    layer.__dict__["_tensor"] = t
    return layer


def _run_call(node: CallNode, args: Any, kwargs: Any) -> Any:
    return node.layer(*args, **kwargs)


def _ref(v: Any, numbers: dict[int, list[int]]) -> Any:
    if isinstance(v, KerasTensor):
        return {"ref": numbers[id(v)]}
    if isinstance(v, slice):
        return {"slice": [v.start, v.stop, v.step]}
    if v is Ellipsis:
        return {"ellipsis": True}
    return serialize(v)


def _resolve(tree: Any, values: dict[tuple[int, int], Any]) -> Any:
    if isinstance(tree, dict):
        if tree.keys() == {"ref"}:
            return values[tuple(tree["ref"])]
        if tree.keys() == {"slice"}:
            return slice(*tree["slice"])
        if tree.keys() == {"ellipsis"}:
            return Ellipsis
        return {k: _resolve(v, values) for k, v in tree.items()}
    if isinstance(tree, list):
        found = [_resolve(v, values) for v in tree]
        return tuple(found) if any(isinstance(v, slice) for v in found) else found
    return tree


@LAYERS.add()
class Sequential(Model):
    """Layers one after the other.

    Args:
        layers: the layers; the first may say its input's shape by `input_shape`, or be `keras.Input(shape)`.

    >>> from twinflow import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="relu")])
    >>> model.output_shape
    (None, 2)
    """

    def __init__(self, layers: Any = None, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.__dict__["_stack"] = []
        for layer in layers or []:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Append a layer."""
        if isinstance(layer, KerasTensor):
            layer = InputLayer(batch_shape=layer.shape, dtype=layer.dtype, name=layer.name)
        if not isinstance(layer, Layer):
            raise ArgumentError(f"Sequential.add: a layer is needed, not {layer!r}")
        stack = self.__dict__["_stack"]
        if any(x is layer or x.name == layer.name for x in stack):
            raise ArgumentError(f"Sequential.add: there is already a layer called {layer.name!r}; give it another name")
        stack.append(layer)
        self._modules[f"layer_{len(stack)}"] = layer
        self.__dict__.setdefault("_attribute_order", {})[f"layer_{len(stack)}"] = None
        if self.__dict__["_graph"] is not None:
            self._extend(self.input, self.output, [layer])
            return
        self.built = False
        first = stack[0]._batch_input_shape
        if first is None and isinstance(stack[0], Model) and stack[0].__dict__["_graph"] is not None:
            first = stack[0].input_shape
        if first is not None:
            self.build(first)

    def pop(self) -> Any:
        """Remove the last layer and return it."""
        stack = self.__dict__["_stack"]
        if not stack:
            raise ArgumentError("Sequential.pop: there are no layers")
        layer = stack.pop()
        del self._modules[f"layer_{len(stack) + 1}"]
        del self.__dict__["_attribute_order"][f"layer_{len(stack) + 1}"]
        outputs = [c.outputs for c in self.__dict__["_graph"][2]] if self.__dict__["_graph"] is not None else []
        if len(outputs) > 1:
            self._extend(self.input, outputs[-2], [])
        else:
            self.__dict__["_graph"] = None
            self.built = False
        return layer

    @property
    def layers(self) -> list[Any]:
        """The layers."""
        return [x for x in self.__dict__["_stack"] if not isinstance(x, InputLayer)]

    def build(self, input_shape: Any) -> None:
        """Make all weights for inputs of this shape (with the batch axis)."""
        stack = self.__dict__["_stack"]
        if not stack:
            raise ArgumentError(f"Sequential {self.name!r}: there are no layers")
        own = stack[0].input_dtype if isinstance(stack[0], InputLayer) else "float32"
        if isinstance(input_shape, list):
            input_shape = tuple(input_shape)
        fixed = stack[0]._batch_input_shape
        name = stack[0].name if isinstance(stack[0], InputLayer) else None
        start = Input(batch_shape=(None if fixed is None else fixed[0], *input_shape[1:]), dtype=own, name=name)
        self._extend(start, start, self.layers)

    def _extend(self, start: KerasTensor, x: Any, layers: list[Any]) -> None:
        """Make the model one of what leads from `start` to `x`, and then these layers."""
        for layer in layers:
            try:
                x = layer(x)
            except TwinflowError as error:
                if len(tree_leaves(x)) > 1:
                    error.args = (
                        f"{error.args[0]}\n  in a Sequential model, the layer before {layer.name!r} gives several tensors",
                    )
                raise
        names = dict(self.__dict__["_attribute_order"])
        modules = dict(self._modules)
        self._make_functional(start, x)
        self._modules.clear()
        self._modules.update(modules)
        self.__dict__["_attribute_order"] = names

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the layers."""
        if self.__dict__["_graph"] is None:
            self._ensure_built((inputs,))
        return super().call(inputs)

    def get_config(self) -> dict[str, Any]:
        """The layers' configurations."""
        stack = self.__dict__["_stack"]
        shape = None if self.__dict__["_graph"] is None else list(self.input_shape)
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [serialize(x) for x in stack],
            "build_shape": shape,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """The inverse of `get_config`."""
        model = cls(
            [LAYERS.deserialize(c, custom_objects) for c in config["layers"]], config["name"], config["trainable"]
        )
        if config.get("build_shape") is not None and not model.built:
            model.build(tuple(config["build_shape"]))
            model.built = True
        return model


def clone_model(model: Any, input_tensors: Any = None, clone_function: Any = None, recursive: bool = False) -> Any:
    """A model of the same layers with weights of its own.

    Args:
        input_tensors: symbolic tensors (or a list of them) to begin with instead of inputs like the model's.
        clone_function: layer -> the layer that takes its place; without it, a layer of the same configuration.
        recursive: also clone the layers of models inside by `clone_function`, which otherwise gets these models whole.
    """
    make = clone_function or (lambda layer: type(layer).from_config(layer.get_config()))

    def copy(layer: Any) -> Any:
        if recursive and isinstance(layer, Model) and layer.__dict__["_graph"] is not None:
            return clone_model(layer, None, clone_function, True)
        found = make(layer) if not layer._is_operation else type(layer).from_config(layer.get_config())
        if not isinstance(found, Layer):
            raise ArgumentError(f"clone_model: clone_function gave {found!r} for {layer!r}; it must give a layer")
        return found

    graph = model.__dict__.get("_graph")
    if graph is None or type(model).call not in (Model.call, Sequential.call):
        if clone_function is not None or input_tensors is not None:
            raise ArgumentError(
                f"clone_model: {type(model).__name__} {model.name!r} is no functional or Sequential model with a known input; its layers "
                "cannot be replaced one by one"
            )
        return type(model).from_config(model.get_config())
    if isinstance(model, Sequential):
        start = input_tensors if input_tensors is not None else Input(batch_shape=graph[0].shape, dtype=graph[0].dtype)
        return Sequential([start, *(copy(x) for x in model.layers)], name=model.name)
    starts = tree_leaves(input_tensors) if input_tensors is not None else [
        Input(batch_shape=t.shape, dtype=t.dtype, name=t.name) for t in tree_leaves(graph[0])
    ]  # fmt: skip
    layers = {id(x): copy(x) for x in dict.fromkeys(c.layer for c in graph[2])}
    outputs = run_calls(
        tree_leaves(graph[0]), starts, graph[1], lambda c, args, kwargs: layers[id(c.layer)](*args, **kwargs)
    )
    given = iter(starts)
    return type(model)(tree_map(lambda _: next(given), graph[0]), outputs, name=model.name)


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """The model, with new weights, that `model.to_json()` described. Runs no code but that of registered classes."""
    return LAYERS.deserialize(json.loads(json_string), custom_objects)
