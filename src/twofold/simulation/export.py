"""A record for other programs: XTC or DCD with a PDB, and a table of energies and temperatures.

Replica after replica, so that each stays one stretch of time. The rows of the table are the frames of the trajectory,
in the same order: they tell the replica and the time of each frame, which XTC and DCD cannot.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.files.atomic import atomic_path
from twofold.files.trajectories import TrajectoryWriter
from twofold.simulation.record import COPY_BYTES, Record

COLUMNS = "replica,time_ps,potential_kj_mol,temperature_k"


def replica_blocks(record: Record, stride: int = 1) -> Iterator[tuple[int, int, int]]:
    """(replica, start, stop) over the valid frames, in blocks of about 16 MB; starts are multiples of `stride`."""
    length = max(1, COPY_BYTES // (12 * len(record.header.beads)) // stride) * stride
    for replica, valid in enumerate(record.valid_frames):
        for start in range(0, int(valid), length):
            yield replica, start, min(start + length, int(valid))


def export_trajectory(record_path: str | Path, path: str | Path, *, stride: int = 1, overwrite: bool = False) -> Path:
    """Writes the valid frames as XTC or DCD (by the extension of `path`); returns the PDB of the beads beside it."""
    with Record.open(record_path) as record, TrajectoryWriter(path, record.header.beads, overwrite=overwrite) as writer:
        times = record.times
        for replica, start, stop in replica_blocks(record, stride):
            writer.write(record.read("positions", start, stop, replica)[::stride], times[start:stop:stride])
        return writer.topology_path


def export_table(record_path: str | Path, path: str | Path, *, stride: int = 1, overwrite: bool = False) -> None:
    """Writes CSV: replica, time in ps, potential energy in kJ/mol, kinetic temperature in K of every valid frame."""
    with Record.open(record_path) as record, atomic_path(path, overwrite=overwrite) as temporary:
        times = record.times
        with temporary.open("w", encoding="utf-8") as file:
            file.write(COLUMNS + "\n")
            for replica, start, stop in replica_blocks(record, stride):
                columns = [
                    times[start:stop],
                    *(record.read(n, start, stop, replica) for n in ("potential", "kinetic_temperature")),
                ]
                rows = zip(*(column[::stride].tolist() for column in columns), strict=True)
                file.writelines(f"{replica},{time:.6g},{energy:.7g},{kelvin:.6g}\n" for time, energy, kelvin in rows)


def record_ensemble(record_path: str | Path, *, stride: int = 1, skip_ps: float = 0.0) -> Ensemble:
    """The valid frames after `skip_ps` as an ensemble; a replica is a trajectory. Takes memory for all of them.

    Raises UserError when no frame is left.
    """
    with Record.open(record_path) as record:
        settings = record.header.settings
        first = int(np.searchsorted(record.times, skip_ps * (1 + 1e-9), side="right"))
        parts, replicas = [], []
        for replica, valid in enumerate(record.valid_frames):
            part = record.read("positions", first, int(valid), replica)[::stride]
            parts.append(part)
            replicas.append(np.full(len(part), replica))
        if not sum(len(part) for part in parts):
            raise UserError(f"{record_path} has no valid frames after {skip_ps:g} ps", "at least one")
        return Ensemble.build(
            record.header.beads,
            np.concatenate(parts),
            settings.temperature,
            trajectory=np.concatenate(replicas),
            frame_ps=settings.interval_ps * stride,
            source={"record": str(record_path), "identity": record.header.identity},
        )
