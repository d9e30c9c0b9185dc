"""A decoder-only character transformer: pre-norm blocks of causal attention and a four times wider GELU layer.

Source: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (GPT-2's block).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.frameworks import jax_layers as jl

from ._base import Arrays, Contraction, Workload, layer_norm, linear


@dataclass
class Transformer(Workload):
    layers: int = 4
    width: int = 128
    heads: int = 4
    length: int = 64
    vocabulary: int = 65

    def parameters(self, rng: np.random.Generator) -> Arrays:
        d = self.width
        made: Arrays = {
            "token.weight": (0.02 * rng.normal(size=(self.vocabulary, d))).astype(np.float32),
            "position.weight": (0.02 * rng.normal(size=(self.length, d))).astype(np.float32),
        }
        for i in range(self.layers):
            name = f"blocks.{i}"
            made |= layer_norm(f"{name}.ln1", d) | linear(rng, f"{name}.qkv", d, 3 * d)
            made |= linear(rng, f"{name}.proj", d, d) | layer_norm(f"{name}.ln2", d)
            made |= linear(rng, f"{name}.fc1", d, 4 * d) | linear(rng, f"{name}.fc2", 4 * d, d)
        return made | layer_norm("ln", d) | linear(rng, "head", d, self.vocabulary, bias=False)

    def data(self, rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
        text = rng.integers(0, self.vocabulary, (batch, self.length + 1))
        return np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])

    def contractions(self, batch: int) -> list[Contraction]:
        rows, d, n = batch * self.length, self.width, self.layers
        of_head = d // self.heads
        pairs = batch * self.heads * n
        return [
            Contraction(rows, 12 * d, d, count=n),  # qkv 3d, proj d, fc1 4d, fc2 4d
            Contraction(self.length, self.length / 2, of_head, count=pairs),  # the causal half of the scores
            Contraction(self.length, of_head, self.length / 2, count=pairs),
            Contraction(rows, self.vocabulary, d),
        ]

    def torch_model(self, torch: Any) -> Any:
        nn, spec = torch.nn, self

        class Block(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self, d: int) -> None:
                super().__init__()
                self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
                self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
                self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

            def forward(self, x: Any) -> Any:
                n, t, d = x.shape
                q, k, v = self.qkv(self.ln1(x)).view(n, t, 3, spec.heads, d // spec.heads).permute(2, 0, 3, 1, 4)
                y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
                x = x + self.proj(y.transpose(1, 2).reshape(n, t, d))
                return x + self.fc2(nn.functional.gelu(self.fc1(self.ln2(x))))

        class Net(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.token = nn.Embedding(spec.vocabulary, spec.width)
                self.position = nn.Embedding(spec.length, spec.width)
                self.blocks = nn.Sequential(*[Block(spec.width) for _ in range(spec.layers)])
                self.ln = nn.LayerNorm(spec.width)
                self.head = nn.Linear(spec.width, spec.vocabulary, bias=False)

            def forward(self, tokens: Any) -> Any:
                x = self.token(tokens) + self.position(torch.arange(tokens.shape[1]))
                return self.head(self.ln(self.blocks(x)))

        return Net()

    def jax_model(self, p: Any, state: Any, x: Any, train: bool) -> tuple[Any, Any]:
        import jax

        x = p["token.weight"][x] + p["position.weight"]
        n, t, d = x.shape
        for i in range(self.layers):
            name = f"blocks.{i}"
            qkv = jl.dense(p, f"{name}.qkv", jl.layer_norm(p, f"{name}.ln1", x))
            q, k, v = qkv.reshape(n, t, 3, self.heads, d // self.heads).transpose(2, 0, 1, 3, 4)
            y = jax.nn.dot_product_attention(q, k, v, is_causal=True)
            x = x + jl.dense(p, f"{name}.proj", y.reshape(n, t, d))
            y = jl.dense(p, f"{name}.fc1", jl.layer_norm(p, f"{name}.ln2", x))
            x = x + jl.dense(p, f"{name}.fc2", jax.nn.gelu(y, approximate=False))
        return jl.dense(p, "head", jl.layer_norm(p, "ln", x)), state

    def keras_model(self, keras: Any) -> Any:
        layers, ops, spec = keras.layers, keras.ops, self

        class Attention(layers.Layer):  # type: ignore[misc, name-defined]
            """Causal attention of the three parts of [N, T, 3·D]."""

            def call(self, qkv: Any) -> Any:
                t, d = qkv.shape[1], qkv.shape[2] // 3
                q, k, v = ops.unstack(ops.reshape(qkv, (-1, t, 3, spec.heads, d // spec.heads)), axis=2)
                return ops.reshape(ops.dot_product_attention(q, k, v, is_causal=True), (-1, t, d))

        class Position(layers.Layer):  # type: ignore[misc, name-defined]
            """Adds a learned vector to each position."""

            def build(self, shape: Any) -> None:
                self.table = self.add_weight(shape=(spec.length, spec.width), name="table")

            def call(self, x: Any) -> Any:
                return x + self.table

        d = spec.width
        tokens = keras.Input((spec.length,), dtype="int32")
        x = Position(name="position")(layers.Embedding(spec.vocabulary, d, name="token")(tokens))
        for i in range(spec.layers):
            name = f"blocks_{i}"
            y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_ln1")(x)
            y = Attention()(layers.Dense(3 * d, name=f"{name}_qkv")(y))
            x = layers.Add()([x, layers.Dense(d, name=f"{name}_proj")(y)])
            y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_ln2")(x)
            y = layers.Dense(4 * d, activation="gelu", name=f"{name}_fc1")(y)
            x = layers.Add()([x, layers.Dense(d, name=f"{name}_fc2")(y)])
        x = layers.LayerNormalization(epsilon=1e-5, name="ln")(x)
        return keras.Model(tokens, layers.Dense(spec.vocabulary, use_bias=False, name="head")(x))


WORKLOADS = [
    Transformer(
        "transformer",
        "character transformer, 4 layers, d 128, batch 32 x 64, Adam",
        32,
        limit=0.7,
        tables=frozenset({"token.weight", "position.weight"}),
    )
]
