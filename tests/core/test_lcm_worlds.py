"""What a fitted model says about observations: latents, targets, samples, interventions."""

import numpy as np
import pytest

from pyro_lcm import LatentCausalModel
from pyro_lcm.evaluation.alignment import align
from tables import each_row


@pytest.fixture(scope="module")
def order(lcm, held_out):
    """The learned variable that is matched with each true one."""
    return align(lcm.encode(held_out.x).noise, held_out.noise).permutation


def test_encodings_have_one_row_for_each_observation(lcm, held_out):
    encoding = lcm.encode(held_out.x)
    for values in (encoding.noise, encoding.noise_sd, encoding.causal, encoding.causal_sd):
        assert values.shape == (len(held_out), 3)
        assert values.dtype == np.float32
    assert encoding.noise_sd.min() > 0
    assert encoding.causal_sd.min() > 0
    # x determines the latents of these data, up to the decoder's least standard deviation.
    assert encoding.noise_sd.max() < 0.1


def test_decoding_undoes_encoding(lcm, held_out):
    error = lcm.decode(lcm.encode(held_out.x).noise) - held_out.x
    assert np.sqrt(np.square(error).mean()) < 0.02 * held_out.x.std()


def test_rows_do_not_depend_on_how_many_are_given(lcm, train, monkeypatch):
    whole = lcm.encode(train.x)
    targets = lcm.infer_targets(train.x, train.x_after)
    monkeypatch.setattr("pyro_lcm.fitting.fitted._ROWS", 700)
    pieces = lcm.encode(train.x)
    for name in ("noise", "noise_sd", "causal", "causal_sd"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(lcm.infer_targets(train.x, train.x_after), targets, atol=1e-3)
    np.testing.assert_allclose(lcm.encode(train.x[2999:]).noise, whole.noise[2999:], rtol=1e-4, atol=1e-5)
    assert lcm.decode(whole.noise).shape == train.x.shape


def test_targets_are_inferred(lcm, held_out, order):
    probabilities = lcm.infer_targets(held_out.x, held_out.x_after)
    assert probabilities.shape == (len(held_out), 4)
    np.testing.assert_allclose(probabilities.sum(1), 1.0, rtol=1e-5)
    expected = np.concatenate([[0], order + 1])[held_out.targets]
    assert (probabilities.argmax(1) == expected).mean() > 0.99


def test_a_pair_of_equal_sides_has_no_target(lcm, held_out):
    assert (lcm.infer_targets(held_out.x, held_out.x).argmax(1) == 0).all()


@each_row(
    ("x", "message"),
    [
        ([[0.0, np.nan, 0.0]], "x: got a value that is not finite in row 0"),
        ([[0.0, 1.0]], r"x: got shape \(1, 2\), expected \(N, 3\)"),
        ([0.0, 1.0, 2.0], r"x: got shape \(3,\)"),
        (np.empty((0, 3)), r"x: got shape \(0, 3\)"),
    ],
)
def test_observations_that_do_not_fit_are_named(lcm, x, message):
    for read in (lcm.encode, lambda x: lcm.infer_targets(x, x), lambda x: lcm.intervene({"z1": 0.0}, x=x)):
        with pytest.raises(ValueError, match=message):
            read(x)


def test_sides_of_different_shapes_are_named(lcm, held_out):
    with pytest.raises(ValueError, match="x_after: got shape"):
        lcm.infer_targets(held_out.x[:3], held_out.x_after[:4])
    with pytest.raises(ValueError, match="x_after: got a value that is not finite in row 0"):
        lcm.infer_targets(held_out.x[:1], np.full((1, 3), np.inf))


@each_row("noise", [[[1.0, 2.0]], [1.0, 2.0, 3.0]])
def test_noise_of_another_shape_is_named(lcm, noise):
    with pytest.raises(ValueError, match="noise: got shape"):
        lcm.decode(noise)


# ------------------------------------------------------------------------ samples


def test_samples_are_pairs_with_the_latents_that_made_them(lcm):
    pairs = lcm.sample(500, seed=3)
    assert len(pairs) == 500
    moved = (pairs.noise_after != pairs.noise).sum(1)
    assert np.array_equal(moved, pairs.targets > 0)
    assert (np.argmax(pairs.noise_after != pairs.noise, axis=1) + 1 == pairs.targets)[pairs.targets > 0].all()
    for side, noise in ((pairs.x, pairs.noise), (pairs.x_after, pairs.noise_after)):
        # Samples scatter around the decoded mean by the decoder's small standard deviation.
        assert np.sqrt(np.square(lcm.decode(noise) - side).mean()) < 0.05 * side.std()


def test_samples_are_distributed_like_the_data(lcm, train):
    pairs = lcm.sample(20_000, seed=3)
    for found, data in ((pairs.x, train.x), (pairs.x_after, train.x_after)):
        # 3,000 pairs of data: the standard error of a variance is 2.6 per cent; four of them.
        np.testing.assert_allclose(np.cov(found.T), np.cov(data.T), atol=0.11 * np.trace(np.cov(data.T)))
    shares = np.bincount(pairs.targets, minlength=4) / len(pairs)
    np.testing.assert_allclose(shares, 0.25, atol=5 * np.sqrt(0.25 * 0.75 / 20_000))


def test_samples_are_a_function_of_the_seed(lcm):
    first, again, other = (lcm.sample(20, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)


@pytest.mark.parametrize("target", [0, 1, 2, 3])
def test_a_chosen_target_redraws_its_variable_and_moves_its_descendants_alone(lcm, target):
    pairs = lcm.sample(4000, seed=5, targets=np.full(4000, target))
    assert (pairs.targets == target).all()
    changed = (pairs.z_after != pairs.z).mean(0)
    reach = np.linalg.matrix_power(np.eye(3, dtype=int) + lcm.adjacency(), 3) > 0
    for i in range(3):
        if target and i == target - 1:
            assert changed[i] > 0.99
            redrawn = pairs.z_after[:, i]
            # Five standard errors of mean, variance and correlation with what was before.
            assert abs(redrawn.mean()) < 5 / np.sqrt(4000)
            assert abs(redrawn.var() - 1) < 5 * np.sqrt(2 / 4000)
            assert np.abs(np.corrcoef(redrawn, pairs.z.T)[0, 1:]).max() < 5 / np.sqrt(4000)
        elif target and reach[target - 1, i]:
            assert changed[i] > 0.99
        else:
            assert changed[i] == 0


def test_unknown_targets_are_drawn(lcm):
    pairs = lcm.sample(300, targets=np.where(np.arange(300) % 2, 1, -1))
    assert (pairs.targets[1::2] == 1).all()
    assert set(pairs.targets[::2]) == {0, 1, 2, 3}


@each_row(
    ("arguments", "message"),
    [
        ({"n": 0}, "n: got 0"),
        ({"n": 3, "targets": [1, 1]}, r"targets: got shape \(2,\)"),
        ({"n": 1, "targets": [1.0]}, "targets: got"),
        ({"n": 1, "targets": [4]}, "targets: got"),
        ({"n": 1, "targets": [-2]}, "targets: got"),
    ],
)
def test_samples_that_cannot_be_drawn_are_named(lcm, arguments, message):
    with pytest.raises(ValueError, match=message):
        lcm.sample(**arguments)


# ------------------------------------------------------------------ interventions


def test_interventions_reach_their_values_and_leave_non_descendants_alone(lcm, held_out):
    reach = np.linalg.matrix_power(np.eye(3, dtype=int) + lcm.adjacency(), 3) > 0
    for i, name in enumerate(lcm.names):
        result = lcm.intervene({name: 1.5}, x=held_out.x)
        np.testing.assert_allclose(result.causal[:, i], 1.5, atol=1e-4)
        for j in range(3):
            same = result.causal[:, j] == result.before[:, j]
            assert same.all() if not reach[i, j] else not same.any()
        assert result.x.shape == held_out.x.shape
        np.testing.assert_allclose(result.before, lcm.encode(held_out.x).causal, atol=1e-5)


@pytest.mark.parametrize("variable", [0, 1, 2])
def test_an_intervention_gives_the_observation_that_the_system_gave(lcm, held_out, order, variable):
    """Set the target's variable to what it became, and x has to become what was seen after."""
    rows = held_out[held_out.targets == variable + 1]
    learned = order[variable]
    value = lcm.encode(rows.x_after).causal[:, learned]
    found = lcm.intervene({lcm.names[learned]: value}, x=rows.x).x
    assert np.sqrt(np.square(found - rows.x_after).mean()) < 0.03 * held_out.x.std()


def test_several_variables_are_set_at_once_in_any_order(lcm, held_out):
    values = {"z1": 0.5, "z2": -1.0, "z3": np.linspace(-1, 1, len(held_out))}
    found = lcm.intervene(values, x=held_out.x)
    np.testing.assert_allclose(found.causal[:, 0], 0.5, atol=1e-4)
    np.testing.assert_allclose(found.causal[:, 1], -1.0, atol=1e-4)
    np.testing.assert_allclose(found.causal[:, 2], values["z3"], atol=1e-4)
    turned = lcm.intervene(dict(reversed(values.items())), x=held_out.x)
    assert np.array_equal(found.x, turned.x)


def test_setting_variables_to_what_they_are_changes_nothing(lcm, held_out):
    encoding = lcm.encode(held_out.x)
    found = lcm.intervene(dict(zip(lcm.names, encoding.causal.T, strict=True)), x=held_out.x)
    np.testing.assert_allclose(found.causal, encoding.causal, atol=1e-4)
    np.testing.assert_allclose(found.x, lcm.decode(encoding.noise), atol=1e-3)


@each_row(
    ("values", "message"),
    [
        ({"z9": 1.0}, "values: got the variable 'z9', expected some of z1, z2, z3"),
        ({"z1": [1.0, 2.0]}, r"values\['z1'\]: got shape \(2,\)"),
        ({"z1": float("nan")}, r"values\['z1'\]"),
    ],
)
def test_interventions_that_cannot_be_made_are_named(lcm, held_out, values, message):
    with pytest.raises(ValueError, match=message):
        lcm.intervene(values, x=held_out.x[:5])


def test_reading_a_model_that_is_not_fitted_says_so(held_out):
    lcm = LatentCausalModel()
    for read in (lambda: lcm.encode(held_out.x), lambda: lcm.sample(1), lambda: lcm.adjacency(), lambda: lcm.save("x")):
        with pytest.raises(RuntimeError, match="not fitted"):
            read()
