"""One LSTM or GRU layer read at its last step by a dense layer."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.frameworks import jax_layers as jl

from ._base import Arrays, Contraction, Workload, labels, linear, recurrent


@dataclass
class Recurrent(Workload):
    cell: str = "LSTM"
    steps: int = 28
    n_in: int = 28
    n_hidden: int = 128
    n_out: int = 10

    @property
    def gates(self) -> int:
        return 4 if self.cell == "LSTM" else 3

    def parameters(self, rng: np.random.Generator) -> Arrays:
        return recurrent(rng, "rnn", self.n_in, self.n_hidden, self.gates) | linear(
            rng, "fc", self.n_hidden, self.n_out
        )

    def data(self, rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(batch, self.steps, self.n_in)).astype(np.float32)
        if self.loss == "mse":
            return x, rng.uniform(size=(batch, self.n_out)).astype(np.float32)
        return x, labels(rng, batch, self.n_out)

    def contractions(self, batch: int) -> list[Contraction]:
        width = self.gates * self.n_hidden
        return [
            Contraction(batch * self.steps, width, self.n_in, learned_input=False),
            Contraction(batch, width, self.n_hidden, count=self.steps - 1),  # the first state is zero
            Contraction(batch, self.n_out, self.n_hidden),
        ]

    def torch_model(self, torch: Any) -> Any:
        nn, spec = torch.nn, self

        class Net(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                layer = nn.LSTM if spec.cell == "LSTM" else nn.GRU
                self.rnn = layer(spec.n_in, spec.n_hidden, batch_first=True)
                self.fc = nn.Linear(spec.n_hidden, spec.n_out)

            def forward(self, x: Any) -> Any:
                outputs, _ = self.rnn(x)
                return self.fc(outputs[:, -1])

        return Net()

    def jax_model(self, p: Any, state: Any, x: Any, train: bool) -> tuple[Any, Any]:
        run = jl.lstm if self.cell == "LSTM" else jl.gru
        return jl.dense(p, "fc", run(p, "rnn", x)), state

    def keras_model(self, keras: Any) -> Any:
        layer = keras.layers.LSTM if self.cell == "LSTM" else keras.layers.GRU
        shape = (self.steps, self.n_in)
        return keras.Sequential(
            [keras.Input(shape), layer(self.n_hidden, name="rnn"), keras.layers.Dense(self.n_out, name="fc")]
        )


# Keras's LSTM has one bias where PyTorch's has two, whose sum moves twice as fast: hence the wider later tolerance.
WORKLOADS = [
    Recurrent("lstm128", "LSTM 128 over 28 steps, batch 64, Adam", 64, rtol_later=2e-2, limit=0.7),
    Recurrent("gru128", "GRU 128 over 28 steps, batch 64, Adam", 64, rtol_later=2e-2, limit=0.7, cell="GRU"),
    Recurrent(
        "lstm50",
        "LSTM 50 over 10 steps, batch 10 (articles), Adam",
        10,
        "mse",
        rtol_later=5e-2,
        limit=0.2,
        steps=10,
        n_in=1,
        n_hidden=50,
        n_out=1,
    ),
]
