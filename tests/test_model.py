"""The fitted model: units, forces, files that come back to the bit, files that are refused."""

import dataclasses
import json
import shutil
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synthetic
import twofold
from twofold.errors import UserError
from twofold.model import Model
from twofold.units import thermal_energy


@pytest.fixture(scope="module")
def positions(chain_ensemble):
    return chain_ensemble.positions[:6]


@pytest.fixture(scope="module")
def stored(untrained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    untrained.save(folder)
    return folder


@pytest.fixture
def copy(stored, tmp_path):
    return shutil.copytree(stored, tmp_path / "copy")


def test_shapes_of_one_and_of_many(untrained, positions):
    assert untrained.energy(positions[0]).shape == ()
    assert untrained.force(positions[0]).shape == (5, 3)
    assert untrained.energy(positions).shape == (6,)
    assert untrained.force(positions).shape == (6, 5, 3)
    np.testing.assert_allclose(untrained.force(positions)[2], untrained.force(positions[2]), rtol=1e-3, atol=0.05)
    assert untrained.force(positions[0].tolist()).shape == (5, 3)


def test_energy_is_kt_times_that_of_the_network(untrained, positions):
    expected = untrained.network.of_positions(None, untrained.chart, jnp.asarray(positions[0]), jnp.float32(0.3))
    assert float(untrained.energy(positions[0])) == pytest.approx(thermal_energy(300.0) * float(expected), rel=1e-4)


def test_force_is_minus_the_gradient(untrained, positions):
    """Against finite differences in double precision."""
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, untrained.force_field())
        x = np.asarray(positions[0], np.float64)
        steps = 1e-6 * np.eye(15).reshape(15, 5, 3)
        energies = jax.jit(jax.vmap(wide.energy))(jnp.asarray(np.concatenate([x + steps, x - steps])))
        slope = np.asarray(energies[:15] - energies[15:]).reshape(5, 3) / 2e-6
    force = untrained.force(positions[0])
    np.testing.assert_allclose(force, -slope, rtol=2e-3, atol=2e-3 * np.abs(slope).max())
    assert np.abs(force).max() > 10


@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 4, 3), (1, 2, 5, 3), (5, 2)])
def test_positions_of_another_shape(untrained, shape):
    with pytest.raises(UserError, match=r"(?i)shape"):
        untrained.force(np.zeros(shape))


@pytest.mark.parametrize("sigma", [0.0, -1.0, 1e3, float("nan")])
def test_levels_that_were_not_trained(untrained, positions, sigma):
    with pytest.raises(UserError, match=r"(?i)sigma"):
        untrained.energy(positions, sigma=sigma)


def test_another_level_is_another_force_field(untrained, positions):
    other = replace(untrained, sigma_star=0.6)
    np.testing.assert_allclose(other.energy(positions), untrained.energy(positions, sigma=0.6))
    assert other.identity != untrained.identity
    assert np.abs(other.energy(positions) - untrained.energy(positions)).max() > 0.1


def test_extrapolation_takes_out_the_leading_part_of_the_blur(untrained, positions):
    """Energies of Gaussian data of variance 1: quadratic in x, times 1/(1 + s^2), and 1 - s^4 + ...."""
    size = untrained.chart.encode(jnp.asarray(positions[0])).size
    model = replace(untrained, network=synthetic.Gaussian.of(np.eye(size)))
    level = 0.3
    quadratic = [0.5 * jnp.sum(model.chart.encode(jnp.asarray(x)) ** 2) for x in positions]
    jacobian = [model.chart.log_jacobian(model.chart.encode(jnp.asarray(x))) for x in positions]
    field = model.force_field(level, extrapolated=True)
    found = jnp.stack([field.energy(jnp.asarray(x)) for x in positions]) / field.thermal
    factor = (1 + 2 * level**2) / (1 + level**2) ** 2
    np.testing.assert_allclose(found, factor * jnp.stack(quadratic) + jnp.stack(jacobian), rtol=1e-4)
    assert abs(1 - factor) < level**4
    with pytest.raises(UserError, match="the range that was trained"):
        untrained.force_field(1.1 * untrained.schedule.largest, extrapolated=True)


def test_what_is_stored_comes_back_to_the_bit(untrained, stored, positions):
    loaded = Model.load(stored)
    np.testing.assert_array_equal(loaded.energy(positions), untrained.energy(positions))
    np.testing.assert_array_equal(loaded.force(positions), untrained.force(positions))
    assert eqx.tree_equal(
        (loaded.network, loaded.chart, loaded.region), (untrained.network, untrained.chart, untrained.region)
    )
    assert loaded.identity == untrained.identity
    assert loaded.beads == untrained.beads
    for name in ("temperature", "sigma_star", "report"):
        assert getattr(loaded, name) == getattr(untrained, name)
    assert (loaded.schedule.smallest, loaded.schedule.largest) == (
        untrained.schedule.smallest,
        untrained.schedule.largest,
    )


def test_files_need_no_pickle_and_say_their_units(stored):
    with np.load(stored / "model.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "fiub" for name in arrays.files)
    description = json.loads((stored / "model.json").read_text())
    assert description["units"]["length"] == "nm"
    assert description["temperature"] == 300.0
    assert sorted(path.name for path in stored.iterdir()) == ["model.json", "model.npz"]


def test_an_existing_model_is_not_replaced(untrained, copy):
    before = (copy / "model.npz").read_bytes()
    with pytest.raises(UserError, match=r"(?i)exists already"):
        replace(untrained, sigma_star=0.6).save(copy)
    assert (copy / "model.npz").read_bytes() == before
    replace(untrained, sigma_star=0.6).save(copy, overwrite=True)
    assert Model.load(copy).sigma_star == 0.6


def test_a_kill_between_the_two_files_can_be_mended(untrained, copy):
    """Arrays without a description are what a kill leaves: saving again must work."""
    (copy / "model.json").unlink()
    with pytest.raises(UserError, match=r"(?i)no model"):
        Model.load(copy)
    untrained.save(copy)
    assert Model.load(copy).identity == untrained.identity


def change(copy, **entries):
    path = copy / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


DAMAGE = {
    "no folder": lambda copy: shutil.rmtree(copy),
    "no arrays": lambda copy: (copy / "model.npz").unlink(),
    "empty description": lambda copy: (copy / "model.json").write_text(""),
    "cut description": lambda copy: (copy / "model.json").write_text((copy / "model.json").read_text()[:300]),
    "a list": lambda copy: (copy / "model.json").write_text("[1, 2]"),
    "foreign": lambda copy: (copy / "model.json").write_text('{"format": "something else"}'),
    "format alone": lambda copy: (copy / "model.json").write_text('{"format": "twofold model", "version": 1}'),
    "later version": lambda copy: change(copy, version=99),
    "another level": lambda copy: change(copy, sigma_star=0.7),
    "no schedule": lambda copy: change(copy, schedule=None),
    "unknown part": lambda copy: change(copy, chart={"module": "os.system", "fields": {}}),
    "no fields": lambda copy: change(copy, chart={"module": "InternalChart"}),
    "cut arrays": lambda copy: (copy / "model.npz").write_bytes((copy / "model.npz").read_bytes()[:2000]),
    "text for arrays": lambda copy: (copy / "model.npz").write_text("hello"),
    "other arrays": lambda copy: np.savez(copy / "model.npz", a=np.ones(3)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_and_foreign_files_are_refused(copy, damage):
    DAMAGE[damage](copy)
    with pytest.raises(UserError) as caught:
        Model.load(copy)
    assert "\n" not in str(caught.value)
    assert str(copy) in str(caught.value)


def test_arrays_of_another_model_are_refused(untrained, copy):
    other = dataclasses.replace(untrained, network=synthetic.with_random_readout(untrained.network, seed=8))
    other.save(copy.parent / "other")
    shutil.copy(copy.parent / "other" / "model.npz", copy / "model.npz")
    with pytest.raises(UserError, match=r"(?i)do not belong together"):
        Model.load(copy)


def test_pickles_are_never_loaded(copy):
    np.savez(copy / "model.npz", **{"region/lower": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(UserError, match=r"(?i)cannot be read"):
        Model.load(copy)


def test_load_takes_a_run_or_a_model_folder(fitted_run):
    assert twofold.load(fitted_run).identity == twofold.load(fitted_run / "model").identity
    with pytest.raises(UserError, match=r"(?i)no model"):
        twofold.load(fitted_run / "nothing")


def test_fitted_model(fitted_run, chain_ensemble):
    model = twofold.load(fitted_run)
    assert model.beads == chain_ensemble.beads
    assert model.report["architecture"] == "internal"
    assert model.schedule.smallest <= model.sigma_star <= model.schedule.largest
    drawn = model.sample(20, seed=3, steps=20)
    assert len(drawn) == 20
    assert drawn.not_finite == 0
