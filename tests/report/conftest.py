"""A small report with every part, made of chains with random torsions."""

import dataclasses

import numpy as np
import pytest
from soundness import findings

from twofold.beads import Beads
from twofold.report import (
    Comparison,
    Metric,
    Observable,
    ReportContent,
    SigmaScan,
    Stability,
    Stop,
    StructureSet,
)


def dipeptide() -> Beads:
    return Beads(
        names=("C", "N", "CA", "C", "N"),
        types=("C", "N", "C", "C", "N"),
        masses=np.array([12.0, 14.0, 12.0, 12.0, 14.0]),
        charges=np.zeros(5),
        bonds=np.array([[0, 1], [1, 2], [2, 3], [3, 4]]),
        residue_names=("ACE", "ALA", "ALA", "ALA", "NME"),
        residue_ids=np.array([1, 2, 2, 2, 3]),
        chains=np.zeros(5, int),
    )


def chains(frames: int, beads: int, seed: int) -> np.ndarray:
    """(frames, beads, 3) nm: bonds of 0.15 nm, angles of 110 degrees, torsions around -70 and 150 degrees."""
    rng = np.random.default_rng(seed)
    positions = np.zeros((frames, beads, 3))
    positions[:, 1, 0] = 0.15
    positions[:, 2] = [0.15 + 0.15 * np.cos(np.radians(70)), 0.15 * np.sin(np.radians(70)), 0.0]
    for bead in range(3, beads):
        torsion = np.radians(rng.normal(np.where(rng.random(frames) < 0.6, -70, 150), 15))
        bond, angle = rng.normal(0.15, 0.002, frames), np.radians(rng.normal(110, 3, frames))
        axis = positions[:, bead - 1] - positions[:, bead - 2]
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        normal = np.cross(positions[:, bead - 2] - positions[:, bead - 3], axis)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        local = np.stack([-np.cos(angle), np.sin(angle) * np.cos(torsion), np.sin(angle) * np.sin(torsion)], 1)
        frame = np.stack([axis, np.cross(normal, axis), normal], 1)
        positions[:, bead] = positions[:, bead - 1] + bond[:, None] * np.einsum("fi,fij->fj", local, frame)
    return positions.astype(np.float32)


def metrics() -> list[Metric]:
    pairs = (("samples", "reference", 1.0), ("simulation", "reference", 1.3), ("samples", "simulation", 1.1))
    return [
        Metric(
            "Torsions",
            name,
            a,
            b,
            0.01 * r,
            0.001,
            0.01,
            r,
            1.2,
            "agree" if r <= 1.2 else "close",
            "nats",
            "A help",
            True,
        )
        for name in ("JS of φ, ψ", "PMF error")
        for a, b, r in pairs
    ]


@pytest.fixture(scope="session")
def content() -> ReportContent:
    beads = dipeptide()
    frames = 3000
    weights = np.random.default_rng(5).gamma(2.0, 0.5, frames)
    replica = np.repeat(np.arange(30), frames // 30)
    sigma = np.geomspace(2e-4, 1e-2, 12)
    return ReportContent(
        beads=beads,
        verdict="Samples and reference agree; the simulation is close.",
        diagnosis=findings(),
        title="Alanine dipeptide",
        temperature=300.0,
        comparisons=(
            Comparison("samples", "reference", "agree", "all is well"),
            Comparison("simulation", "reference", "close"),
        ),
        sets=(
            StructureSet("reference", chains(frames, 5, 0), weights),
            StructureSet("samples", chains(frames, 5, 1), total_frames=50_000),
            StructureSet("simulation", chains(frames, 5, 2), trajectory=replica),
        ),
        metrics=metrics(),
        observables=[
            Observable("populations", "φ > 0", key, value, 0.002)
            for key, value in (("reference", 0.023), ("samples", 0.024), ("simulation", 0.020))
        ],
        training=[
            {"step": s, "loss": 2 * np.exp(-s / 300) - 3, "validation": None if s % 50 else -2.9}
            for s in range(0, 1000, 10)
        ],
        sigma_scan=SigmaScan(sigma, np.log(sigma / 2e-3) ** 2 - 8, 2e-3),
        stability=Stability(30, 100.0, (Stop(3, 12.5, (0, 2), "too close"),), 300.0, 300.4, 0.7),
        speed={"replica-steps per second": 241_000.0, "ns per day": 41_000},
        settings={"fit": {"steps": 20_000, "batch": 512}},
        versions={"twofold": "0.1.0"},
        seeds={"fit": 0},
        notes=("A note.",),
    )


@pytest.fixture(scope="session")
def chain_content(content: ReportContent) -> ReportContent:
    """Seven beads without names that anyone knows: no phi, no psi."""
    beads = Beads.anonymous(7, bonds=[[i, i + 1] for i in range(6)])
    sets = tuple(
        StructureSet(key, chains(500, 7, seed)) for seed, key in enumerate(("reference", "samples", "simulation"))
    )
    return dataclasses.replace(content, beads=beads, sets=sets)
