"""Checks without truth, on latents of which it is known what is off."""

import numpy as np
import pytest

from pyro_lcm.evaluation.check import MAX_LEAKAGE, MIN_USAGE, agreement_of_fits, check_latents

ROWS = 4000


def _latents(dim=3, *, seed=0, shares=None, leak=0.0, restless=0.0):
    """Noise encodings of both sides and certain targets; ``leak`` where others are the target, ``restless`` always."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(ROWS, dim))
    target = rng.choice(dim + 1, size=ROWS, p=shares)
    probabilities = np.eye(dim + 1)[target]
    after = np.where(probabilities[:, 1:] == 1, rng.normal(size=(ROWS, dim)), noise)
    moves = leak * (1 - probabilities[:, :1]) + restless
    return noise, after + moves * rng.normal(size=(ROWS, dim)) * (1 - probabilities[:, 1:]), probabilities


def _check(noise, after, targets, *, explained=0.999, **given):
    names = [f"v{i}" for i in range(1, noise.shape[1] + 1)]
    return check_latents(noise, after, targets, explained=explained, elbo=-1.0, names=names, **given)


def test_perfect_latents_have_no_problem():
    noise, after, targets = _latents()
    report = _check(noise, after, targets)
    assert report.ok
    np.testing.assert_allclose(report.usage, targets.mean(0))
    # The difference of two standard normal draws.
    np.testing.assert_allclose(report.moves, np.sqrt(2), rtol=0.1)
    assert report.leakage.max() == 0
    assert report.names == ("v1", "v2", "v3")
    assert report.elbo == -1.0


def test_the_numbers_are_those_of_a_hand_computed_example():
    noise = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, -1.0]])
    after = np.array([[3.0, 0.0], [1.0, 6.0], [2.0, 0.0]])
    targets = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    report = _check(noise, after, targets)
    np.testing.assert_allclose(report.usage, [1 / 3] * 3)
    np.testing.assert_allclose(report.moves, [3.0, 4.0])
    typical = np.sqrt((9 + 16) / 2)
    np.testing.assert_allclose(report.leakage, [0.0, np.sqrt(1 / 2) / typical])
    assert report.dependence == pytest.approx(abs(np.corrcoef(noise.T)[0, 1]))


RARE = 0.9 * MIN_USAGE / 4


@pytest.mark.parametrize("share", [0.0, RARE])
def test_a_component_that_is_hardly_a_target_is_named(share):
    rest = (1 - share) / 3
    noise, after, targets = _latents(seed=1, shares=[rest, rest, share, rest])
    after[:, 1] = noise[:, 1] + 0.1 * (after[:, 1] - noise[:, 1])  # what are taken for its pairs
    report = _check(noise, after, targets)
    assert len(report.problems) == 1
    assert report.problems[0].startswith("v2 is hardly ever a target")


def test_a_variable_that_is_a_target_seldom_but_truly_is_none():
    rest = (1 - RARE) / 3
    assert _check(*_latents(seed=1, shares=[rest, rest, RARE, rest])).ok


def test_targets_are_counted_among_the_pairs_that_have_one():
    noise, after, targets = _latents(shares=[0.91, 0.03, 0.03, 0.03])
    assert _check(noise, after, targets).ok
    moved = noise + 0.5 * (np.random.default_rng(1).normal(size=noise.shape))
    report = _check(noise, np.where(targets[:, :1] == 1, moved, after), targets)
    assert any("the targets have collapsed" in problem for problem in report.problems)


def test_components_that_move_with_others_are_named():
    report = _check(*_latents(leak=1.5 * MAX_LEAKAGE * np.sqrt(2)))
    assert [problem.split()[0] for problem in report.problems] == ["v1", "v2", "v3"]
    assert all("differences are not one-sparse" in problem for problem in report.problems)
    # Of two others, or nothing, one is nothing.
    np.testing.assert_allclose(report.leakage, 1.5 * MAX_LEAKAGE * np.sqrt(2 / 3), rtol=0.1)


def test_components_that_move_without_a_target_too_are_noisy_and_no_problem():
    report = _check(*_latents(restless=1.5 * MAX_LEAKAGE * np.sqrt(2)))
    assert report.ok
    np.testing.assert_allclose(report.leakage, 1.5 * MAX_LEAKAGE, rtol=0.1)
    said = f"v1, v2, v3 move though nothing is changed (by {report.leakage.max():.0%} of a typical target's move)"
    assert report.hints == (f"{said}: noise of the sensors, or of the system",)


def test_without_pairs_without_a_target_nothing_passes_for_noise():
    report = _check(*_latents(restless=1.5 * MAX_LEAKAGE * np.sqrt(2), shares=[0.0, 0.3, 0.3, 0.4]))
    assert len([problem for problem in report.problems if "not one-sparse" in problem]) == 3


def test_an_offset_of_the_side_after_is_a_note():
    noise, after, targets = _latents()
    report = _check(noise, after + np.array([0.5, 0.0, 0.0]), targets)
    assert report.ok
    assert report.leakage.max() < 1e-6
    assert any("another offset" in hint for hint in report.hints)


def test_targets_that_collapsed_are_a_problem():
    noise, after, _ = _latents()
    report = _check(noise, after, np.eye(4)[np.zeros(ROWS, dtype=int)])
    assert any("the targets have collapsed" in problem for problem in report.problems)


def test_a_poor_reconstruction_is_a_problem():
    report = _check(*_latents(), explained=0.5)
    assert any("50.0% of the variance" in problem for problem in report.problems)


def _image_change(targets, *, pixel_noise=0.0):
    """Squared distances of images that differ where there is a target, by more or less."""
    hit = targets.argmax(1) > 0
    return pixel_noise + np.where(hit, np.random.default_rng(1).exponential(size=ROWS), 0.0)


@pytest.mark.parametrize("pixel_noise", [0.0, 2.0])
def test_of_images_it_is_said_where_they_change_and_nothing_is_said_to(pixel_noise):
    noise, after, targets = _latents()
    change = _image_change(targets, pixel_noise=pixel_noise)
    report = _check(noise, after, targets, explained=0.5, image_change=change)
    assert report.ok, "what codes leave out of the pixels says nothing of them"
    assert report.unseen == 0
    assert "0.5000 of the variance of all pixels" in report.to_text()
    # A component that is folded over itself: a third of its changes come to nothing.
    missed = (targets.argmax(1) == 2) & (np.random.default_rng(2).uniform(size=ROWS) < 1 / 3)
    after[missed] = noise[missed]
    told = np.where(missed[:, None], np.eye(4)[0], targets)
    report = _check(noise, after, told, image_change=change)
    assert [problem.split(" pairs")[0][:15] for problem in report.problems] == ["images differ i"]
    missed_plainly = (missed & (change > pixel_noise + 0.5 * np.log(2))).sum() / (told[:, 0] == 1).sum()
    assert report.unseen == pytest.approx(missed_plainly, abs=0.01)


def test_correlated_components_are_named():
    noise, after, targets = _latents()
    report = _check(noise @ [[1, 0, 0.5], [0, 1, 0], [0, 0, 1]], after, targets)
    assert any("noise encodings of v1 and v3 are correlated" in problem for problem in report.problems)
    assert report.dependence == pytest.approx(0.5 / np.sqrt(1.25), abs=0.05)


@pytest.mark.parametrize(("value", "ok"), [(0.99, True), (0.5, False)])
def test_agreement_decides(value, ok):
    report = _check(*_latents(), agreement=np.array([[1.0, value], [value, 1.0]]))
    assert report.ok == ok
    assert "agreement of fits" in report.to_text()


def test_one_variable_can_be_checked():
    report = _check(*_latents(dim=1))
    assert report.ok
    assert report.dependence == 0


def test_a_constant_component_is_reported_without_warnings():
    noise, after, targets = _latents()
    noise[:, 1] = after[:, 1] = 0.3
    assert not _check(noise, after, targets).ok


def test_the_text_has_a_line_for_each_variable_and_problem():
    report = _check(*_latents(shares=[0.4, 0.3, 0.0, 0.3]), explained=0.5)
    text = report.to_text().splitlines()
    for name in ("(none)", "v1", "v2", "v3"):
        assert sum(line.startswith(name) for line in text) == 1
    assert [line for line in text if line.startswith("PROBLEM: ")] == [f"PROBLEM: {p}" for p in report.problems]
    assert "No problem found." not in text


def test_fits_agree_up_to_permutation_and_sign():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(500, 3))
    same, other = -2 * first[:, [2, 0, 1]] + 1, rng.normal(size=(500, 3))
    agreement = agreement_of_fits([first, same, other])
    assert agreement[0, 1] == pytest.approx(1.0)
    assert agreement[0, 2] < 0.2
    np.testing.assert_allclose(agreement, agreement.T)
    np.testing.assert_allclose(agreement.diagonal(), 1.0)


def test_heavy_tails_of_noise_are_no_leakage():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4000, 2))
    target = np.arange(4000) % 3
    after = noise + 0.05 * rng.standard_t(2, size=noise.shape)
    for i in (0, 1):
        after[target == i + 1, i] = rng.normal(size=(target == i + 1).sum())
    after[17, 0] += 50.0
    said = {"explained": 1.0, "elbo": 0.0, "names": ["z1", "z2"]}
    report = check_latents(noise, after, np.eye(3)[target], **said)
    assert report.leakage.max() < MAX_LEAKAGE
    after[:1000][target[:1000] > 0] += rng.normal(size=2)
    leaking = check_latents(noise, after, np.eye(3)[target], **said)
    assert any("not one-sparse" in problem for problem in leaking.problems)
