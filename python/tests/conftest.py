import logging
from pathlib import Path

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
