"""Every program of the README and the manual's pages runs as it stands, and a notebook shows what it promises."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import bptt

PACKAGE = Path(__file__).parent.parent


def page(name):
    """A page of the manual: beside the package, or where the tests of a wheel have been copied to."""
    return next(path for path in (PACKAGE / "docs" / name, PACKAGE.parent / "docs" / name) if path.is_file())


def blocks(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.S)


def run(path, names):
    """Runs the blocks of a page one after another, as a reader would."""
    for code in blocks(path):
        exec(compile(code, path.name, "exec"), names)


def test_the_readmes_ten_lines_train_on_the_sunspots_and_plot(own_folder, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLBACKEND", "agg")
    (code,) = blocks(PACKAGE / "README.md")
    assert len(code.splitlines()) <= 10
    names = {}
    run(PACKAGE / "README.md", names)
    assert Path("sunspots.png").stat().st_size > 10_000
    assert names["years"] == list(range(1722, 2020))
    assert names["run"].summary["lines"][0].startswith("worth it: beats the best of 3 baselines")


def test_every_program_of_the_page_on_python_runs(own_folder, numbers):
    for package in ("torch", "sklearn"):
        pytest.importorskip(package)
    hours = np.arange(300)
    load = np.sin(2 * np.pi * hours / 24) + 0.1 * numbers.normal(size=300)
    rows = zip(hours.tolist(), load.tolist(), np.cos(hours / 24).tolist())
    Path("load.csv").write_text("hour,load,temperature\n" + "".join(f"{t},{a!r},{b!r}\n" for t, a, b in rows))
    # What a reader has.
    names = {"X": numbers.normal(size=(40, 6, 2)), "y": np.arange(40) % 2, "series": load}
    run(page("python.md"), names)
    assert names["run"].path == own_folder / "runs/load-1"


def test_every_program_of_the_page_on_pytorch_runs(own_folder):
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    names = {}
    run(page("pytorch-on-a-laptop.md"), names)
    assert Path("classifier.pt").is_file()
    assert {f"rnn.{name}" for name, _ in names["net"].lstm.named_parameters()} == set(names["gradients"])
    # It has learned.
    with torch.no_grad():
        right = (names["net"](names["x"]).argmax(1) == names["classes"]).float().mean()
    assert right > 0.9


def test_a_notebooks_cell_shows_the_whole_report(own_folder):
    run = bptt.train(epochs=2, device="cpu", progress=False)
    cell = run.report._repr_html_()
    assert cell.count("<iframe") == 1 and cell.endswith("</iframe>")
    # A page within an attribute must not end it.
    page = re.search(r'srcdoc="([^"]*)"', cell)[1]
    assert "&lt;svg" in page and "<" not in page


def test_a_notebook_that_is_executed_has_the_report_as_the_output_of_its_cell(own_folder):
    client, formats = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    code = "import bptt\nrun = bptt.train(epochs=2, device='cpu', progress=False)\nrun.report"
    notebook = formats.v4.new_notebook(cells=[formats.v4.new_code_cell(code), formats.v4.new_code_cell("run.forecast(3)")])
    client.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(own_folder)}}).execute()
    (report,), (forecast,) = (cell["outputs"] for cell in notebook.cells)
    assert json.dumps(report["data"]["text/html"]).startswith('"<iframe srcdoc=')
    assert "&lt;svg" in report["data"]["text/html"] and "<svg" in forecast["data"]["text/html"]
