"""The packaged alanine dipeptide: complete, weighted, and its parts agree."""

import numpy as np
import pytest

from twofold import packaged

PHI, PSI = (4, 6, 8, 14), (6, 8, 14, 16)


@pytest.fixture(scope="module")
def parts() -> dict[str, tuple[list, np.ndarray]]:
    """For training and held_out: trajectories and weights."""
    mdtraj = pytest.importorskip("mdtraj")
    data = packaged.ala2()
    top = mdtraj.load_topology(str(data.topology))
    out = {}
    for name in ("training", "held_out"):
        trajectories = [mdtraj.load(str(path), top=top) for path in getattr(data, name)]
        out[name] = (trajectories, np.load(getattr(data, f"{name}_weights"), allow_pickle=False))
    return out


def torsions(trajectories) -> tuple[np.ndarray, np.ndarray]:
    import mdtraj

    angles = np.concatenate([mdtraj.compute_dihedrals(one, [PHI, PSI]) for one in trajectories])
    return angles[:, 0], angles[:, 1]


def effective_size(weights) -> float:
    weights = weights.astype(float)
    return weights.sum() ** 2 / (weights**2).sum()


def test_size_of_the_package():
    data = packaged.ala2()
    assert sum(path.stat().st_size for path in data.paths) < 12e6
    assert not set(data.training) & set(data.held_out)


def test_one_finite_positive_weight_for_each_frame(parts):
    for trajectories, weights in parts.values():
        assert weights.dtype == np.float32
        assert weights.shape == (sum(len(one) for one in trajectories),)
        assert np.isfinite(weights).all()
        assert (weights > 0).all()
    joined = np.concatenate([weights for _, weights in parts.values()]).astype(float)
    assert joined.mean() == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_array_equal(packaged.ala2().weights(), joined)


def test_at_least_100_ns_of_which_a_third_is_held_out(parts):
    frame_ps = packaged.ala2().frame_ps
    frames = {name: sum(len(one) for one in trajectories) for name, (trajectories, _) in parts.items()}
    total = sum(frames.values())
    assert total * frame_ps >= 100_000
    assert 0.28 <= frames["held_out"] / total <= 0.37
    for trajectories, _ in parts.values():
        for one in trajectories:
            np.testing.assert_allclose(np.diff(one.time), frame_ps, rtol=1e-4)


def test_frames_are_molecules_centred_and_not_repeated(parts):
    trajectories = [one for both, _ in parts.values() for one in both]
    for one in trajectories:
        assert one.n_atoms == 22
        np.testing.assert_allclose(one.xyz.mean(axis=1), 0.0, atol=5e-4)
        bond = np.linalg.norm(one.xyz[:, 8] - one.xyz[:, 6], axis=1)  # N-CA
        assert bond.mean() == pytest.approx(0.1468, abs=5e-4)
    flat = np.concatenate([one.xyz.reshape(len(one), -1) for one in trajectories])
    assert len(np.unique(np.round(1000 * flat[:, :12]).astype(np.int32), axis=0)) == len(flat)


def test_both_parts_have_the_populations_of_the_force_field(parts):
    for trajectories, weights in parts.values():
        phi, psi = torsions(trajectories)
        weights = weights.astype(float) / weights.sum()
        assert 0.015 < weights[phi > 0].sum() < 0.035
        helical = (phi < 0) & (psi > np.radians(-120)) & (psi < np.radians(50))
        assert 0.33 < weights[helical].sum() < 0.39
        assert effective_size(weights) > 0.25 * len(weights)
        # the bias makes phi > 0 common among the frames: without weights the populations are wrong
        assert (phi > 0).mean() > 0.1


def test_weights_are_those_of_the_bias_at_each_frame(parts):
    """exp(V/kT) with V read off the packaged map (linearly; the bias is cubic), up to one constant."""
    from twofold.systems import ala2

    bias = ala2.static_bias(ala2.read_map(packaged.ala2().free_energy))
    errors = []
    for trajectories, weights in parts.values():
        columns, rows = ((angle + np.pi) / (2 * np.pi) * (len(bias) - 1) for angle in torsions(trajectories))
        i, j = (np.clip(x.astype(int), 0, len(bias) - 2) for x in (rows, columns))
        u, v = rows - i, columns - j
        value = (1 - u) * ((1 - v) * bias[i, j] + v * bias[i, j + 1])
        value += u * ((1 - v) * bias[i + 1, j] + v * bias[i + 1, j + 1])
        errors.append(np.log(weights) - ala2.log_weights(value))
    constants = [np.median(error) for error in errors]
    assert constants[0] == pytest.approx(constants[1], abs=0.01)
    for error in errors:
        assert np.abs(error - constants[0]).max() < 0.5
        assert np.std(error) < 0.1


def test_parts_agree_on_the_torsions(parts):
    histograms = []
    for trajectories, weights in parts.values():
        counts, *_ = np.histogram2d(*torsions(trajectories), bins=24, range=[[-np.pi, np.pi]] * 2, weights=weights)
        histograms.append(counts / counts.sum())
    # two independent samples with as many effective frames, spread over about 100 bins, differ by 0.06
    assert 0.5 * np.abs(histograms[0] - histograms[1]).sum() < 0.08
