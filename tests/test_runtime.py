import os
import subprocess
import sys

import pytest

from twofold import runtime


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", runtime.SINGLE_THREADED_KERNELS),
        ("--xla_x=1", f"--xla_x=1 {runtime.SINGLE_THREADED_KERNELS}"),
        ("--xla_cpu_multi_thread_eigen=true", "--xla_cpu_multi_thread_eigen=true"),
    ],
)
def test_flags_of_the_user_stay(monkeypatch, before, after):
    monkeypatch.setenv("XLA_FLAGS", before)
    runtime.prepare()
    assert os.environ["XLA_FLAGS"] == after


def test_twofold_imports_nothing_that_starts_jax():
    code = "import twofold.cli, twofold.architectures; from jax._src import xla_bridge as b; print(b._backends)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "{}"
