"""Peak memory of a simulation at two lengths: it must not depend on the length.

    python benchmarks/simulation_memory.py

Each length runs in a process of its own; the record of the longer one is far larger than the memory that it may add.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

LENGTHS_PS = (20.0, 200.0)
FRAME_PS = 0.02
REPLICAS, BEADS = 200, 20


def run(length_ps: float, folder: str) -> None:
    """Simulates cheap springs and prints the peak resident memory and the size of the record, both in MB."""
    import numpy as np

    from twofold.beads import Beads
    from twofold.simulation import SimulationSettings, simulate
    from twofold.systems.harmonic import Harmonic

    chain = Harmonic.chain([3e4] * (BEADS - 1))
    start = chain.sample(REPLICAS, 300.0, np.random.default_rng(0))
    settings = SimulationSettings(300.0, length_ps, frame_ps=FRAME_PS, timestep_fs=2.0)
    path = Path(folder) / f"{length_ps:g}.h5"
    summary = simulate(chain, start, settings, path, beads=Beads.anonymous(BEADS))
    print(f"{summary.peak_memory_mb:.1f} {path.stat().st_size / 1e6:.1f} {summary.speed.rate:.0f}")


def main() -> None:
    """Measures both lengths and prints a Markdown table."""
    if len(sys.argv) == 3:
        run(float(sys.argv[1]), sys.argv[2])
        return
    print(f"Peak memory of `simulate`, {REPLICAS} replicas of {BEADS} beads, a frame every {FRAME_PS} ps, springs.\n")
    print("| length, ps | record, MB | peak memory, MB | replica-steps/s |\n| --- | --- | --- | --- |")
    peaks = []
    for length in LENGTHS_PS:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, str(length), folder]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        peak, size, rate = map(float, answer)
        peaks.append(peak)
        print(f"| {length:g} | {size:.0f} | {peak:.0f} | {rate:,.0f} |", flush=True)
    print(f"\nDifference: {peaks[-1] - peaks[0]:.0f} MB.")


if __name__ == "__main__":
    main()
