"""The stubs say what the module has, and type checkers read them."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import bptt
from bptt import _bptt

STUB = Path(bptt.__file__).with_name("_bptt.pyi")


def own(names):
    return {name for name in names if not name.startswith("_") or name in ("__new__", "__version__")}


def stub():
    tree = ast.parse(STUB.read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    others = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    others |= {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    return classes, {name for name in others if not name.startswith("_") or name == "__version__"}, tree


def parameters(node):
    """Names with whether they have a default, and whether they are given by name alone."""
    given = node.args.posonlyargs + node.args.args
    without = len(given) - len(node.args.defaults)
    told = [(it.arg, place >= without, False) for place, it in enumerate(given)]
    return told + [(it.arg, default is not None, True) for it, default in zip(node.args.kwonlyargs, node.args.kw_defaults)]


def signature(function):
    return [
        (name, it.default is not inspect.Parameter.empty, it.kind is inspect.Parameter.KEYWORD_ONLY)
        for name, it in inspect.signature(function).parameters.items()
    ]


def test_the_stub_has_the_names_of_the_module():
    classes, others, _ = stub()
    assert set(classes) | others == own(vars(_bptt)) - {"__new__"}


def test_the_stub_has_the_members_and_parameters_of_each_class():
    classes, _, tree = stub()
    for name, node in classes.items():
        kind = getattr(_bptt, name)
        if issubclass(kind, Exception):
            assert kind.__mro__[1].__name__ == node.bases[0].id, name
            continue
        members = {it.name: it for it in node.body if isinstance(it, ast.FunctionDef)}
        assert set(members) == own(vars(kind)), name
        for member, it in members.items():
            decorators = [each.id for each in it.decorator_list]
            if "property" in decorators:
                continue
            if member == "__new__":
                assert parameters(it)[1:] == signature(kind), name
            else:
                expected = signature(getattr(kind, member))
                told = parameters(it)
                assert told == [(own, default, keyword) for own, default, keyword in expected], f"{name}.{member}"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            assert parameters(node) == signature(getattr(_bptt, node.name)), node.name


def test_every_member_of_the_module_is_described():
    for name in own(vars(_bptt)) - {"__version__", "__new__"}:
        assert getattr(_bptt, name).__doc__, name


def test_the_package_and_an_example_pass_mypy(own_folder):
    pytest.importorskip("mypy")
    Path("example.py").write_text(
        "import numpy as np\n"
        "import bptt\n"
        "model = bptt.Model('lstm', 3, 8, bptt.Head(2, 'cross-entropy'))\n"
        "trainer = bptt.Trainer(model, bptt.Optimizer('adam', 0.01), device='cpu')\n"
        "loss: float = trainer.step(np.zeros((5, 4, 3)), np.zeros(4, dtype=int))\n"
        "run: bptt.Run = bptt.train(epochs=1)\n"
        "values: np.ndarray = run.forecast(3)['SUNACTIVITY']\n"
        "wrong: str = trainer.steps()\n"
    )
    told = subprocess.run([sys.executable, "-m", "mypy", "--strict", "example.py"], capture_output=True, text=True)
    assert told.stdout.count("error:") == 1 and "example.py:8" in told.stdout, told.stdout
