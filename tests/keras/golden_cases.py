"""Small trainings, written once for Keras's names: `tools/keras_goldens.py` runs them with Keras, the test with this library.

A case is a function of the `keras` module that gives (model, x, y, arguments of compile, arguments of fit).
"""

import numpy as np

CASES = {}


def case(fn):
    CASES[fn.__name__] = fn
    return fn


def data(*shape, seed=0, scale=1.0):
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype("float32")


def words(n, t, seed=3):
    """Numbers 1 to 5, with zeros behind each sequence's end."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 6, (n, t))
    for row, length in zip(x, rng.integers(1, t + 1, n)):
        row[length:] = 0
    return x


def dense(keras, **compiled):
    k = keras.layers
    model = keras.Sequential([keras.Input((3,)), k.Dense(4, "tanh"), k.Dense(1)])
    return model, data(10, 3), data(10, 1, seed=1), {"optimizer": "sgd", "loss": "mse", **compiled}, {}


def with_optimizer(name, *args, **kwargs):
    label = "_".join([name, *(f"{k}_{v}" for k, v in kwargs.items() if isinstance(v, (int, float, str)))])

    def fn(keras):
        return dense(keras, optimizer=getattr(keras.optimizers, name)(*args, **kwargs))

    CASES[f"optimizer_{label}".lower()] = fn


for _name, _kwargs in [
    ("SGD", {}), ("SGD", {"momentum": 0.9}), ("SGD", {"momentum": 0.9, "nesterov": True}), ("SGD", {"weight_decay": 0.1}),
    ("SGD", {"clipnorm": 0.1}), ("SGD", {"clipvalue": 0.05}), ("SGD", {"global_clipnorm": 0.1}),
    ("SGD", {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3}),
    ("SGD", {"gradient_accumulation_steps": 2}),
    ("Adam", {}), ("Adam", {"amsgrad": True}), ("AdamW", {"weight_decay": 0.1}), ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.5, "centered": True}), ("Adagrad", {}), ("Adadelta", {}), ("Adamax", {}), ("Nadam", {}),
    ("Ftrl", {"l1_regularization_strength": 0.01, "l2_regularization_strength": 0.01}), ("Lamb", {}),
    ("Adafactor", {}), ("Lion", {}), ("Muon", {}), ("SGD", {"loss_scale_factor": 64.0}), ("ScheduleFreeAdamW", {"warmup_steps": 3}),
]:  # fmt: skip
    with_optimizer(_name, 0.05, **_kwargs)


@case
def optimizer_of_each_part(keras):
    o = keras.optimizers
    model, x, y, compiled, fitted = dense(keras)
    compiled["optimizer"] = o.MultiOptimizer(o.OptimizerMap(o.SGD(0.1), {".*bias": o.Adam(0.05)}))
    return model, x, y, compiled, fitted


@case
def optimizer_with_a_loss_scale(keras):
    """Gradients overflow until the scale was halved often enough; then it grows again."""
    o = keras.optimizers
    model, x, y, compiled, fitted = dense(keras)
    compiled["optimizer"] = o.LossScaleOptimizer(
        o.SGD(0.1, momentum=0.5), initial_scale=2.0**126, dynamic_growth_steps=2
    )
    return model, x, y * 10, compiled, fitted


def layer(name, make, x, y_size=1, head=True, **compiled):
    """A model of one layer (and a linear one behind it)."""

    def fn(keras):
        k = keras.layers
        made = make(k, keras)
        made = made if isinstance(made, list) else [made]
        parts = [keras.Input(x.shape[1:], dtype=str(x.dtype)), *made]
        if head:
            parts += [k.Flatten(), k.Dense(y_size)]
        model = keras.Sequential(parts)
        y = data(x.shape[0], y_size, seed=9) if head else data(*((x.shape[0], *model.output_shape[1:])), seed=9)
        return model, x, y, {"optimizer": keras.optimizers.SGD(0.002), "loss": "mse", **compiled}, {}

    CASES[f"layer_{name}"] = fn


IMAGES, SEQUENCES, VOLUMES = data(6, 7, 6, 4), data(6, 5, 4), data(4, 4, 5, 4, 2)

layer("dense_constraints", lambda k, r: k.Dense(
    3, kernel_constraint=r.constraints.MaxNorm(0.5), bias_constraint="non_neg", kernel_regularizer="l2", activity_regularizer="l1"),
    SEQUENCES)  # fmt: skip
layer("einsum_dense", lambda k, r: k.EinsumDense("abc,cd->abd", (5, 3), bias_axes="d", activation="relu"), SEQUENCES)
layer("prelu", lambda k, r: k.PReLU(shared_axes=[1]), SEQUENCES)
layer("conv1d_causal", lambda k, r: k.Conv1D(3, 2, padding="causal", dilation_rate=2, activation="relu"), SEQUENCES)
layer("conv2d_same", lambda k, r: k.Conv2D(3, 3, strides=2, padding="same", groups=1), IMAGES)
layer("conv2d_groups", lambda k, r: k.Conv2D(4, (2, 3), groups=2), IMAGES)
layer("conv3d", lambda k, r: k.Conv3D(2, 2), VOLUMES)
for _padding in ("valid", "same"):
    for _s, _e in ((1, None), (2, None), (3, 1)):
        layer(f"conv1d_transpose_{_padding}_{_s}_{_e}", lambda k, r, p=_padding, s=_s, e=_e: k.Conv1DTranspose(
            3, 3, strides=s, padding=p, output_padding=e), SEQUENCES)  # fmt: skip
layer(
    "conv2d_transpose", lambda k, r: k.Conv2DTranspose(3, (2, 3), strides=2, padding="same", activation="tanh"), IMAGES
)
layer("conv2d_transpose_short", lambda k, r: k.Conv2DTranspose(3, 2, strides=3), IMAGES)
layer("conv3d_transpose", lambda k, r: k.Conv3DTranspose(2, 2, strides=2), VOLUMES)
layer("separable_conv1d", lambda k, r: k.SeparableConv1D(3, 2, depth_multiplier=2), SEQUENCES)
layer("separable_conv2d", lambda k, r: k.SeparableConv2D(3, 3, padding="same", activation="relu"), IMAGES)
layer("depthwise_conv1d", lambda k, r: k.DepthwiseConv1D(2, depth_multiplier=2), SEQUENCES)
layer("depthwise_conv2d", lambda k, r: k.DepthwiseConv2D(3, strides=2, padding="same"), IMAGES)
layer("max_pooling", lambda k, r: [k.Conv2D(2, 1), k.MaxPooling2D(2, padding="same")], IMAGES)
layer("average_pooling", lambda k, r: [k.Conv3D(2, 1), k.AveragePooling3D(2)], VOLUMES)
layer("adaptive_pooling", lambda k, r: [k.Conv2D(2, 1), k.AdaptiveAveragePooling2D((3, 2))], IMAGES)
layer("adaptive_max_pooling", lambda k, r: [k.Conv1D(2, 1), k.AdaptiveMaxPooling1D(3)], SEQUENCES)
layer(
    "global_pooling",
    lambda k, r: [k.Conv3D(2, 1), k.GlobalAveragePooling3D(keepdims=True), k.GlobalMaxPooling3D()],
    VOLUMES,
)
layer("reshaping", lambda k, r: [
    k.Conv2D(2, 1), k.ZeroPadding2D(((1, 0), (2, 1))), k.Cropping2D(((0, 1), (1, 0))), k.UpSampling2D((2, 1)), k.Permute((2, 1, 3)),
    k.Reshape((-1, 2))], IMAGES)  # fmt: skip
layer("upsampling_bilinear", lambda k, r: [k.Conv2D(2, 1), k.UpSampling2D(2, interpolation="bilinear")], IMAGES)
layer("batch_normalization", lambda k, r: [k.Dense(3), k.BatchNormalization(momentum=0.5)], SEQUENCES)
layer(
    "layer_normalization",
    lambda k, r: [k.Dense(3), k.LayerNormalization(), k.RMSNormalization(), k.UnitNormalization()],
    SEQUENCES,
)
layer("group_normalization", lambda k, r: [k.Conv2D(4, 1), k.GroupNormalization(2)], IMAGES)
layer("spectral_normalization", lambda k, r: k.SpectralNormalization(k.Dense(3), power_iterations=2), SEQUENCES)
layer("softmax_axes", lambda k, r: [k.Dense(3), k.Softmax(axis=(1, 2))], SEQUENCES)
for _name in ("SimpleRNN", "LSTM", "GRU"):
    layer(f"{_name}_last".lower(), lambda k, r, n=_name: getattr(k, n)(3), SEQUENCES)
    layer(f"{_name}_masked".lower(), lambda k, r, n=_name: [
        k.Embedding(6, 4, mask_zero=True), getattr(k, n)(3, return_sequences=True), getattr(k, n)(2, go_backwards=True)], words(6, 5))  # fmt: skip
layer("gru_reset_before", lambda k, r: k.GRU(3, reset_after=False, return_sequences=True), SEQUENCES)
layer("lstm_zero_output", lambda k, r: [k.Masking(0.0), k.LSTM(3, return_sequences=True, zero_output_for_mask=True), k.GlobalAveragePooling1D()],
      SEQUENCES * (words(6, 5) > 0)[..., None].astype("float32"))  # fmt: skip
layer("rnn_of_cells", lambda k, r: k.RNN([k.LSTMCell(3), k.GRUCell(2), k.SimpleRNNCell(4)]), SEQUENCES)
layer("rnn_of_cells_masked", lambda k, r: [
    k.Embedding(6, 4, mask_zero=True), k.RNN([k.LSTMCell(3), k.GRUCell(2)], return_sequences=True), k.Bidirectional(k.RNN(k.GRUCell(2)))],
    words(6, 5))  # fmt: skip
layer("bidirectional_masked", lambda k, r: [
    k.Embedding(6, 4, mask_zero=True), k.Bidirectional(k.LSTM(3, return_sequences=True)), k.Bidirectional(k.GRU(2), merge_mode="sum")],
    words(6, 5))  # fmt: skip
layer("time_distributed_loss_mask", lambda k, r: [
    k.Embedding(6, 4, mask_zero=True), k.LSTM(3, return_sequences=True), k.TimeDistributed(k.Dense(2))],
    words(6, 5), head=False)  # fmt: skip
layer("batch_normalization_masked", lambda k, r: [k.Embedding(6, 4, mask_zero=True), k.BatchNormalization(), k.GlobalAveragePooling1D()],
      words(6, 5))  # fmt: skip


layer(
    "conv_lstm", lambda k, r: k.ConvLSTM2D(2, 2, strides=2, padding="same", return_sequences=True), data(4, 3, 4, 5, 2)
)
layer("conv_lstm_1d", lambda k, r: k.ConvLSTM1D(3, 2, go_backwards=True), data(4, 3, 6, 2))


def attention(name, make, tokens=False):
    def fn(keras):
        k = keras.layers
        if tokens:
            inputs = keras.Input((5,), dtype="int64")
            h = k.Embedding(6, 4, mask_zero=True)(inputs)
            x = words(6, 5)
        else:
            inputs = keras.Input((5, 4))
            h, x = k.Dense(4)(inputs), SEQUENCES
        h = make(k, h)
        model = keras.Model(inputs, k.Dense(1)(k.GlobalAveragePooling1D()(h)))
        return model, x, data(6, 1, seed=9), {"optimizer": keras.optimizers.SGD(0.02), "loss": "mse"}, {}

    CASES[f"attention_{name}"] = fn


attention("dot", lambda k, h: k.Attention(use_scale=True)([h, h], use_causal_mask=True))
attention("dot_masked", lambda k, h: k.Attention()([h, h]), tokens=True)
attention("additive_masked", lambda k, h: k.AdditiveAttention()([h, h]), tokens=True)
attention("heads", lambda k, h: k.MultiHeadAttention(2, 3)(h, h, use_causal_mask=True))
attention("heads_masked", lambda k, h: k.MultiHeadAttention(2, 3)(h, h), tokens=True)
attention("grouped", lambda k, h: k.GroupQueryAttention(3, 4, 2)(h, h))


@case
def stateful(keras):
    k = keras.layers
    model = keras.Sequential([keras.Input(batch_shape=(3, 5, 4)), k.GRU(3, stateful=True), k.Dense(1)])
    return model, SEQUENCES, data(6, 1, seed=9), {"optimizer": "sgd", "loss": "mse"}, {"batch_size": 3}


@case
def states_from_another_layer(keras):
    k = keras.layers
    a, b = keras.Input((5, 4)), keras.Input((5, 4))
    _, h, c = k.LSTM(3, return_state=True)(a)
    model = keras.Model([a, b], k.Dense(1)(k.LSTM(3)(b, initial_state=[h, c])))
    return model, [SEQUENCES, data(6, 5, 4, seed=8)], data(6, 1, seed=9), {"optimizer": "sgd", "loss": "mse"}, {}


@case
def weighted_metrics(keras):
    model, x, y, compiled, _ = dense(keras, metrics=["mae"], weighted_metrics=["mse"])
    return model, x, y, compiled, {"sample_weight": np.linspace(0.5, 2, 10).astype("float32")}


def run(keras, fn, **options):
    """The losses and metrics of four epochs, and what the model evaluates to in the end, from weights that depend on shapes alone."""
    model, x, y, compiled, fitted = fn(keras)
    rng = np.random.default_rng(5)
    values = []
    for v in model.weights:
        value = rng.uniform(-0.5, 0.5, tuple(v.shape)).astype("float32")
        values.append(np.abs(value) + 0.5 if "variance" in v.name else value)
    model.set_weights(values)
    model.compile(**compiled, **options)
    batch_size = fitted.get("batch_size", 4)
    history = model.fit(
        x, y, **{"epochs": 4, "batch_size": batch_size, "shuffle": False, "verbose": 0, **fitted}
    ).history
    found = {k: [float(n) for n in v] for k, v in history.items()}
    end = model.evaluate(x, y, batch_size=batch_size, verbose=0)
    found["end"] = [float(n) for n in (end if isinstance(end, list) else [end])]
    return found
