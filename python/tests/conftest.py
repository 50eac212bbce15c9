import logging
import os
from pathlib import Path

# Without it, scikit-learn skips a check of each estimator. SciPy reads it when it is imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import numpy as np
import pytest


@pytest.fixture
def numbers():
    return np.random.default_rng(1)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Runs go into the test's own folder."""
    monkeypatch.chdir(tmp_path)
    logging.getLogger("bptt").setLevel(logging.NOTSET)
    return Path(tmp_path)
