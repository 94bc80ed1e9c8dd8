"""What has changed in a world, and that alone learned anew: mechanisms, noise, sensors."""

import numpy as np
import pytest

from pyro_lcm import Budget, InterventionPairs, LatentCausalModel, ScalingSystem
from pyro_lcm.data.changed import ChangedSystem
from pyro_lcm.evaluation.report import align_to_truth
from pyro_lcm.transfer import Changes
from tables import each_row

SYSTEM = ScalingSystem(3, seed=1, edge_probability=1.0)
WIDE = ScalingSystem(3, seed=1, edge_probability=1.0, dim_x=6, observation_noise=0.02)
FEW = Budget(refine=50)


def _fitted(system, folder):
    model = LatentCausalModel("ilcm", dim_z=3).fit(system.sample(5000), budget=FEW, seed=0, progress=False)
    model.save(folder)
    test = system.sample(1000, seed=9)
    encoding = model.encode(test.x)
    matching = align_to_truth(test, causal=encoding.causal, noise=encoding.noise)
    return folder, [model.names[i] for i in matching.permutation]


@pytest.fixture(scope="module")
def square(tmp_path_factory):
    """A folder of a model, and its names of the true variables."""
    return _fitted(SYSTEM, tmp_path_factory.mktemp("square"))


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """The same with twice as many sensors as variables."""
    return _fitted(WIDE, tmp_path_factory.mktemp("wide"))


def test_nothing_is_said_where_nothing_has_changed(square, wide):
    for (folder, _), system in ((square, SYSTEM), (wide, WIDE)):
        model = LatentCausalModel.load(folder)
        found = model.what_changed(system.sample(200, seed=3))
        assert not found.any
        assert (found.p_values > 0.01).all()
        before = model.encode(system.sample(5).x).noise
        model.adapt(system.sample(200, seed=3))
        np.testing.assert_array_equal(model.encode(system.sample(5).x).noise, before)


@pytest.mark.parametrize(
    "change", [{"variable": 2, "effects": (1.5,)}, {"variable": 3, "noise": 2.0}, {"variable": 1, "noise": 0.5}]
)
def test_the_mechanism_that_changed_is_found_and_learned_anew(square, change):
    folder, names = square
    model = LatentCausalModel.load(folder)
    now = ChangedSystem(SYSTEM, **change)
    few, test = now.sample(150, seed=4), now.sample(2000, seed=5)
    found = model.what_changed(few, reference=SYSTEM.sample(1000, seed=6))
    assert found.mechanisms == (names[change["variable"] - 1],)
    causal, wrong = model.encode(test.x).causal, _error(model, test, names)
    model.adapt(few, changes=found)
    np.testing.assert_allclose(model.encode(test.x).causal, causal, atol=2e-3)  # variables are what they were
    noise = model.encode(test.x).noise
    np.testing.assert_allclose(np.cov(noise.T), np.eye(3), atol=0.3)
    assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.1
    if "effects" in change:
        assert wrong > 0.3
    assert _error(model, test, names) < 0.02
    assert not model.what_changed(now.sample(200, seed=7)).any


def _error(model, pairs, names):
    """Root mean square error of x after interventions that the model is told of."""
    squares = []
    for number, name in enumerate(names, start=1):
        rows = pairs[np.flatnonzero(pairs.targets == number)]
        value = model.encode(rows.x_after).causal[:, model.names.index(name)]
        squares.append(np.square(model.intervene({name: value}, x=rows.x).x - rows.x_after).mean())
    return float(np.sqrt(np.mean(squares)))


def test_a_sensor_that_reads_otherwise_is_found_and_corrected(wide):
    folder, names = wide
    model = LatentCausalModel.load(folder)
    now = ChangedSystem(WIDE, sensor=4, gain=-1.5, offset=2.0)
    few, test = now.sample(150, seed=4), now.sample(500, seed=5)
    found = model.what_changed(few)
    assert found.observation
    assert found.sensor == 4
    assert found.mechanisms == ()
    model.adapt(few)
    assert not model.what_changed(now.sample(200, seed=7)).any
    matching = align_to_truth(test, causal=model.encode(test.x).causal)
    assert [model.names[i] for i in matching.permutation] == names


def test_a_mechanism_that_changed_is_not_taken_for_a_sensor(wide):
    folder, names = wide
    found = LatentCausalModel.load(folder).what_changed(ChangedSystem(WIDE, 3, noise=2.0).sample(200, seed=4))
    assert found.mechanisms == (names[2],)
    assert not found.observation


def test_an_adapted_model_is_saved_and_loaded(square, wide, tmp_path):
    for (folder, _), now in (
        (square, ChangedSystem(SYSTEM, 3, noise=2.0)),
        (wide, ChangedSystem(WIDE, sensor=1, gain=2.0)),
    ):
        model = LatentCausalModel.load(folder)
        few = now.sample(150, seed=4)
        out = tmp_path / type(now).__name__ / str(now.sensor)
        model.adapt(few, out=out)
        np.testing.assert_array_equal(LatentCausalModel.load(out).encode(few.x).noise, model.encode(few.x).noise)


def test_a_dead_sensor_is_found_and_not_made_up(wide):
    model = LatentCausalModel.load(wide[0])
    few = ChangedSystem(WIDE, sensor=2, gain=0.0, offset=1.0).sample(150, seed=4)
    assert model.what_changed(few).sensor == 2
    with pytest.raises(ValueError, match=r"^changes: got feature 2, which says little"):
        model.adapt(few)


def test_changes_are_shown():
    found = Changes(("a", "b"), np.array([0.001, 0.5]), 0.7, 0.03)
    assert found.threshold == pytest.approx(0.01)
    assert found.mechanisms == ("a",)
    assert list(found.to_dataframe()["changed"]) == [True, False, False]
    assert "Changes(mechanisms=['a'])" in repr(found)


@each_row(
    ("pairs", "options", "message"),
    [
        (SYSTEM.sample(200), {"error_rate": 0.0}, "^error_rate: got 0.0"),
        (SYSTEM.sample(5), {}, "^pairs: got 5, expected more than 5"),
        (WIDE.sample(50), {}, "^pairs: got observations of shape"),
    ],
)
def test_what_cannot_be_told_is_refused(square, pairs, options, message):
    with pytest.raises(ValueError, match=message):
        LatentCausalModel.load(square[0]).what_changed(pairs, **options)


def test_what_cannot_be_learned_anew_is_refused(square):
    model = LatentCausalModel.load(square[0])
    pairs = SYSTEM.sample(200)
    none = Changes(model.names, np.ones(3), 1.0, 0.01)
    with pytest.raises(ValueError, match=r"^changes: got none"):
        model.adapt(pairs, changes=none)
    with pytest.raises(ValueError, match="no single sensor"):
        model.adapt(pairs, changes=Changes(model.names, np.ones(3), 0.0, 0.01))
    with pytest.raises(ValueError, match=r"^changes: got those of a, b, c"):
        model.adapt(pairs, changes=Changes(("a", "b", "c"), np.zeros(3), 1.0, 0.01))
    images = InterventionPairs(*np.zeros((2, 10, 3, 8, 8)))
    with pytest.raises(ValueError, match=r"^pairs: got observations of shape"):
        model.what_changed(images)
