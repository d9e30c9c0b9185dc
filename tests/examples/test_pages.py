"""The README's program runs, and links lead somewhere."""

import re
from pathlib import Path

import pytest

import twinflow

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text(encoding="utf-8")):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"


@pytest.mark.parametrize(
    ("style", "answers"),
    [("import twinflow as torch", "[0., 1., 1., 0.]"), ("from twinflow import keras", "[0. 1. 1. 0.]")],
)
def test_readme_learns_xor(style: str, answers: str, capsys: pytest.CaptureFixture[str]):
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    (block,) = [b for b in blocks if style in b]
    twinflow.manual_seed(0)
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    assert answers in capsys.readouterr().out
