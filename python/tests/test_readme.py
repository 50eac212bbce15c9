"""The README's program, and what a notebook shows of its run."""

import re
from pathlib import Path

import pytest

import bptt

README = Path(__file__).parent.parent / "README.md"


def test_the_readmes_ten_lines_train_on_the_sunspots_and_plot(own_folder, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLBACKEND", "agg")
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert len(code.splitlines()) <= 10
    own = {}
    exec(compile(code.replace("epochs=50", "epochs=4, device='cpu', progress=False"), "README.md", "exec"), own)
    assert Path("sunspots.png").stat().st_size > 10_000
    assert own["years"] == list(range(1722, 2020))


def test_a_notebooks_cell_shows_the_whole_report(own_folder):
    run = bptt.train(epochs=2, device="cpu", progress=False)
    cell = run.report._repr_html_()
    assert cell.count("<iframe") == 1 and cell.endswith("</iframe>")
    # A page within an attribute must not end it.
    page = re.search(r'srcdoc="([^"]*)"', cell)[1]
    assert "&lt;svg" in page and "<" not in page
