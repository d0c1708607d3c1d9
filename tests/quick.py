"""Compile quickly rather than well, here and in processes that tests start, unless the environment says otherwise.

To be imported before jax is, which reads the environment then.
"""

import os
import subprocess
import sys

QUICK = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false"}
"""Programs are compiled in a third of the time, which is what nearly all time of the tests goes into."""

if not QUICK.keys() & os.environ.keys():
    # XLA ends a process for a flag that its version does not know
    ask = [sys.executable, "-c", "import jax; jax.devices()"]
    known = subprocess.run(ask, env=os.environ | QUICK, capture_output=True, check=False).returncode == 0
    os.environ.update(QUICK if known else {**QUICK, "XLA_FLAGS": ""})
