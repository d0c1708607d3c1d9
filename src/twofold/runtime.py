"""Flags of the compiler that have to be set before JAX starts."""

import os

SINGLE_THREADED_KERNELS = "--xla_cpu_multi_thread_eigen=false"


def prepare() -> None:
    """Set the flags of XLA that twofold wants, unless the user has set them; has no effect once JAX has started.

    With more than one thread a kernel of XLA on a CPU can wait for ever for another (seen with jaxlib 0.10.1 on two
    busy cores), and the small products here gain nothing from it: a training step takes as long with one.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {SINGLE_THREADED_KERNELS}".strip()
