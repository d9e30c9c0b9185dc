"""The articles' Keras and tape programs run as they stand in the examples."""

import runpy
from pathlib import Path

import pytest

ARTICLES = Path(__file__).resolve().parents[2] / "examples" / "articles"


@pytest.mark.parametrize("name", ["keras_sequences", "tf_regressions"])
def test_the_program_runs_and_its_last_model_learned(name, capsys):
    values = runpy.run_path(str(ARTICLES / f"{name}.py"))
    if name == "tf_regressions":
        assert float(values["loss_value"]) < values["first"]
    else:
        losses = values["history"].history["loss"]
        assert losses[-1] < losses[0]
    assert len(capsys.readouterr().out.splitlines()) >= 2
