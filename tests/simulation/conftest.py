"""A record that many tests read."""

from pathlib import Path

import pytest

from .springs import run


@pytest.fixture(scope="session")
def record_path(tmp_path_factory) -> Path:
    """A finished record of twelve frames."""
    path = tmp_path_factory.mktemp("record") / "md.h5"
    run(path)
    return path
