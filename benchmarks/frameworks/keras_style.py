"""Programs as Keras users write them, on TensorFlow: `train_on_batch`, `predict_on_batch`, and `tf.function`."""

from typing import Any

import numpy as np

from benchmarks.operations import Operation
from benchmarks.workloads import CHECK_STEPS, Workload

from ._program import Program, with_batch


def layer_weights(layer: Any, p: dict[str, np.ndarray]) -> list[np.ndarray]:
    """PyTorch's arrays of one module (without its name) in the order and layout of the Keras layer's `set_weights`."""
    kind = type(layer).__name__
    bias = [p["bias"]] if "bias" in p else []
    if kind == "Dense":
        return [p["weight"].T, *bias]
    if kind == "Conv2D":
        return [p["weight"].transpose(2, 3, 1, 0), *bias]
    if kind == "BatchNormalization":
        return [p["weight"], p["bias"], p["running_mean"], p["running_var"]]
    if kind == "LSTM":
        return [p["weight_ih_l0"].T, p["weight_hh_l0"].T, p["bias_ih_l0"] + p["bias_hh_l0"]]
    if kind == "GRU":  # gates are z, r, n in Keras and r, z, n in PyTorch

        def zrn(a: np.ndarray) -> np.ndarray:
            r, z, n = np.split(a, 3)
            return np.concatenate([z, r, n])

        biases = np.stack([zrn(p["bias_ih_l0"]), zrn(p["bias_hh_l0"])])
        return [zrn(p["weight_ih_l0"]).T, zrn(p["weight_hh_l0"]).T, biases]
    return [p["weight"], *bias]


class Framework:
    def __init__(self, name: str, threads: int) -> None:
        import keras
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.keras, self.tf = keras, tf
        self.version = f"{keras.__version__} on TensorFlow {tf.__version__}"

    def model(self, workload: Workload, arrays: dict[str, Any]) -> Any:
        torch_style = workload.channels_last({k[2:]: a for k, a in arrays.items() if k.startswith("p/")})
        modules: dict[str, dict[str, np.ndarray]] = {}
        for name, a in torch_style.items():
            module, _, leaf = name.rpartition(".")
            modules.setdefault(module.replace(".", "_"), {})[leaf] = a
        model = workload.keras_model(self.keras)
        layers = {layer.name: layer for layer in model.layers if layer.weights}
        if layers.keys() != modules.keys():
            raise ValueError(f"layers {sorted(layers)} are not the modules {sorted(modules)}")
        for name, layer in layers.items():
            layer.set_weights(layer_weights(layer, modules[name]))
        return model

    @staticmethod
    def images_last(x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if x.ndim == 4 else x

    def train(self, workload: Workload, arrays: dict[str, Any]) -> Program:
        keras = self.keras
        model = self.model(workload, arrays)
        optimizers = keras.optimizers
        optimizer = {
            "adam": lambda: optimizers.Adam(workload.lr, epsilon=1e-8),
            "sgd": lambda: optimizers.SGD(workload.lr),
            "momentum": lambda: optimizers.SGD(workload.lr, momentum=0.9),
        }[workload.optimizer]()
        mse = workload.loss == "mse"
        loss = "mse" if mse else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=optimizer, loss=loss)
        tensors = {k: self.tf.constant(self.images_last(a)) for k, a in arrays.items() if not k.startswith("p/")}
        batches = [(tensors[f"x{i}"], tensors[f"y{i}"]) for i in range(CHECK_STEPS)]
        return Program(model.train_on_batch, batches, lambda result: None, np.asarray)

    def predict(self, workload: Workload, arrays: dict[str, Any], batch: int) -> Program:
        model = self.model(workload, arrays)
        x = self.tf.constant(self.images_last(with_batch(arrays["x0"], batch)))
        return Program(model.predict_on_batch, [(x,)], lambda result: None, np.asarray)

    def operation(self, operation: Operation, arrays: list[Any]) -> Program:
        assert operation.tf
        function = self.tf.function(lambda *args: operation.tf(self.tf, *args))
        return Program(function, [tuple(map(self.tf.constant, arrays))], lambda result: None, np.asarray)
