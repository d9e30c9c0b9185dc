"""The table that `model.summary()` prints."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError


def _shape(layer: Any) -> str:
    shape = layer.__dict__.get("_output_shape")
    if shape is None and layer.__dict__.get("_batch_input_shape") is not None:
        shape = layer._batch_input_shape
    return "?" if shape is None else str(tuple(shape) if isinstance(shape, tuple) else shape)


def _cut(text: str, width: int) -> str:
    return (text if len(text) <= width else text[: width - 1] + "…").ljust(width)


def summary_lines(model: Any, line_length: int | None = None) -> list[str]:
    """The lines of the table. Raises: ArgumentError for a model without weights."""
    if not model.built:
        raise ArgumentError(
            f"summary: the model {model.name!r} has no weights yet; give the first layer an input_shape, or call the model on data"
        )
    width = line_length or 80
    a, b = int(width * 0.42), int(width * 0.33)
    c = width - a - b - 10
    rows = [
        (f"{x.name} ({type(x).__name__})", _shape(x), f"{sum(int(v.numel()) for v in x.weights):,}")
        for x in model.layers
    ]

    def line(left: str, fill: str, middle: str, right: str) -> str:
        return left + middle.join(fill * (n + 2) for n in (a, b, c)) + right

    lines = [f'Model: "{model.name}"', line("┏", "━", "┳", "┓")]
    lines.append(f"┃ {_cut('Layer (type)', a)} ┃ {_cut('Output Shape', b)} ┃ {'Param #'.rjust(c)} ┃")
    lines.append(line("┡", "━", "╇", "┩"))
    for k, (name, shape, count) in enumerate(rows):
        if k:
            lines.append(line("├", "─", "┼", "┤"))
        lines.append(f"│ {_cut(name, a)} │ {_cut(shape, b)} │ {count.rjust(c)} │")
    lines.append(line("└", "─", "┴", "┘"))
    trained = sum(int(v.numel()) for v in model.trainable_variables)
    frozen = sum(int(v.numel()) for v in model.non_trainable_variables)
    for what, n in (
        (" Total params", trained + frozen),
        (" Trainable params", trained),
        (" Non-trainable params", frozen),
    ):
        lines.append(f"{what}: {n:,} ({_size(4 * n)})")
    return lines


def _size(nbytes: float) -> str:
    for unit in ("B", "KB", "MB"):
        if nbytes < 1024:
            return f"{nbytes:.2f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.2f} GB"
