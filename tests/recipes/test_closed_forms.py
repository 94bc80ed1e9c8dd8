"""Warm starts: what has a closed form is found, and a planted collapse is repaired."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from pyro_lcm.architecture import Architecture
from pyro_lcm.guides.target_encoder import TargetEncoder
from pyro_lcm.recipes.calibrate import Calibrate, posterior_sd
from pyro_lcm.recipes.encodings import encode_in_chunks, sample_pairs
from pyro_lcm.recipes.initialize import Initialize, initialize
from pyro_lcm.recipes.objective import RecipeObjective
from pyro_lcm.registry import build
from pyro_lcm.training.sources import TensorSource

DIM = 4
ROTATION = torch.linalg.qr(torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(1)))[0]


@pytest.fixture(autouse=True)
def _no_gradients():
    # As the driver calls hooks.
    with torch.no_grad():
        yield


def _pairs(rows=3000, *, seed=0, sd=0.0, weights=None):
    """Pairs x = e R of the chain e~_2 = 0.8 e_1 + 0.5 z~_2 + 0.3, everyone else redrawn as N(0, 1)."""
    generator = torch.Generator().manual_seed(seed)
    share = torch.ones(DIM + 1) if weights is None else torch.tensor(weights)
    noise = torch.randn(rows, DIM, generator=generator)
    target = torch.multinomial(share, rows, replacement=True, generator=generator)
    fresh = torch.randn(rows, DIM, generator=generator)
    fresh[:, 1] = 0.8 * noise[:, 0] + 0.5 * fresh[:, 1] + 0.3
    hit = target.unsqueeze(1) == torch.arange(1, DIM + 1)
    after = torch.where(hit, fresh, noise)
    error = sd * torch.randn(2, rows, DIM, generator=generator)
    source = TensorSource({"x": noise @ ROTATION + error[0], "x_after": after @ ROTATION + error[1]})
    return source, noise, target


def _objective(weight=ROTATION.T):
    """A linear model whose encoder is e = x W; the truth by default."""
    objective = RecipeObjective(
        *build(Architecture("ilcm", dim_x=DIM, dim_z=DIM, flow_layers=0, solution_hidden=(4,), min_sd=0.01))
    )
    objective.guide.encoder.flow.weight.copy_(weight)
    return objective


def _encode(objective, source):
    return encode_in_chunks(objective.guide.encoder, source.tensors["x"])


def _one_to_one(found, truth):
    """|correlation| of each true variable with the encoding that is matched with it, a permutation."""
    correlation = torch.corrcoef(torch.cat([truth, found], 1).T)[:DIM, DIM:].abs()
    assert sorted(correlation.argmax(1).tolist()) == list(range(DIM))
    return correlation.max(1).values


def _turn(angle):
    """A rotation of the plane of the first two components."""
    plane = torch.eye(DIM)
    plane[:2, :2] = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return plane


COLLAPSES = {
    "nothing found yet": torch.eye(DIM),
    "two targets share two components": ROTATION.T @ _turn(math.pi / 4),
    "one component holds two variables, another is dead": ROTATION.T
    @ _turn(math.pi / 4)
    @ torch.diag(torch.tensor([1.0, 0.02, 1.0, 1.0])),
}


@pytest.mark.parametrize("sd", [0.0, 0.01])
@pytest.mark.parametrize("case", COLLAPSES)
def test_a_planted_collapse_is_repaired(case, sd):
    source, noise, _ = _pairs(sd=sd)
    objective = _objective(COLLAPSES[case])
    report = Initialize()(objective, source, 0)
    found = _encode(objective, source)
    # A small move and the noise are of one size, which weighs much more than sd^2 on average.
    assert report["lines_residual"] < (0.02 if sd else 1e-6)
    assert report["least_used_line"] > 0.15
    assert _one_to_one(found, noise).min() > (0.999 if sd else 0.99999)
    torch.testing.assert_close(found.std(0), torch.ones(DIM), rtol=1e-3, atol=0)
    torch.testing.assert_close(found.mean(0), torch.zeros(DIM), rtol=0, atol=1e-3)


def test_an_aligned_encoder_stays_aligned():
    source, noise, _ = _pairs()
    objective = _objective()
    Initialize()(objective, source, 0)
    assert _one_to_one(_encode(objective, source), noise).min() > 0.99999


def test_a_variable_that_is_never_a_target_is_found_from_the_others():
    source, noise, _ = _pairs(20_000, weights=[1.0, 1.0, 1.0, 1.0, 0.0])
    objective = _objective(torch.eye(DIM))
    report = Initialize()(objective, source, 0)
    assert report["least_used_line"] < 0.2 / DIM
    # It is found from uncorrelatedness, with an error of the order of 1 / sqrt(20,000).
    assert _one_to_one(_encode(objective, source), noise).min() > 0.999


def test_known_targets_name_the_components():
    source, noise, target = _pairs()
    objective = _objective(torch.eye(DIM))
    known = torch.where(torch.arange(len(target)) % 10 == 0, target, -1)
    source = TensorSource(source.tensors | {"targets": known})
    report = Initialize()(objective, source, 0)
    correlation = torch.corrcoef(torch.cat([noise, _encode(objective, source)], 1).T)[:DIM, DIM:].abs()
    assert correlation.diagonal().min() > 0.9999
    assert report["matched_share"] > 0.999


def test_calibration_finds_the_linear_coefficients():
    source, _, target = _pairs(6000)
    objective = _objective()
    report = Calibrate()(objective, source, 0)
    solution = objective.model.solution
    shift, scale = solution.all_coefficients(torch.eye(DIM))
    constant, _ = solution.all_coefficients(torch.zeros(1, DIM))
    slopes = shift - constant
    expected = torch.zeros(DIM, DIM)
    expected[0, 1] = 0.8
    # 1,200 pairs for each regression: a standard error of 0.03; five of them.
    torch.testing.assert_close(slopes, expected, rtol=0, atol=0.15)
    torch.testing.assert_close(constant[0], torch.tensor([0.0, 0.3, 0.0, 0.0]), rtol=0, atol=0.15)
    torch.testing.assert_close(scale[0], torch.tensor([1.0, 0.5, 1.0, 1.0]), rtol=0.1, atol=0)
    assert report["no_target"] == pytest.approx(float((target == 0).float().mean()), abs=0.01)


def test_the_regression_is_that_of_least_squares():
    source, noise, target = _pairs()
    objective = _objective()
    Calibrate()(objective, TensorSource(source.tensors | {"targets": target}), 0)
    hit = target == 2
    after = source.tensors["x_after"] @ ROTATION.T
    design = torch.cat([noise[hit], torch.ones(int(hit.sum()), 1)], 1).double()
    design[:, 1] = 0.0
    expected = torch.linalg.pinv(design) @ after[hit, 1].double()
    networks = objective.model.solution.networks
    torch.testing.assert_close(networks.affine[1, :, 0].double(), expected[:-1], rtol=0, atol=1e-4)
    torch.testing.assert_close(networks.bias[1, 0, 0].double(), expected[-1], rtol=0, atol=1e-4)
    sd = (after[hit, 1].double() - design @ expected).square().mean().sqrt()
    _, scale = objective.model.solution.all_coefficients(torch.zeros(1, DIM))
    torch.testing.assert_close(scale[0, 1].double(), sd, rtol=1e-3, atol=0)


def test_a_variable_with_few_targets_keeps_its_solution_function():
    source, _, _ = _pairs(400, weights=[1.0, 1.0, 1.0, 1.0, 0.0])
    objective = _objective()
    objective.model.solution.networks.affine[3].fill_(0.1)
    Calibrate()(objective, source, 0)
    assert (objective.model.solution.networks.affine[3] == 0.1).all()


@pytest.mark.parametrize("sd", [0.02, 0.1])
def test_calibration_finds_the_noise_of_observations(sd):
    source, _, _ = _pairs(20_000, sd=sd)
    objective = _objective()
    Calibrate()(objective, source, 0)
    # An untouched component's encodings are averaged, which leaves half of the noise's variance in x; the target's
    # are reproduced. Of five targets one is none.
    expected = sd * math.sqrt(0.5 * (1 - 0.8 / DIM))
    found = objective.model.decoder.log_sd.exp() + objective.model.decoder.min_sd
    torch.testing.assert_close(found, torch.full((DIM,), expected), rtol=0.1, atol=0.011)
    # The difference of two observations.
    tolerance = objective.guide.target_encoder.variances()[0].sqrt()
    torch.testing.assert_close(tolerance, torch.full((DIM,), sd * math.sqrt(2)), rtol=0.15, atol=0)


def test_calibration_gives_the_decoder_the_encoders_flow():
    source, _, _ = _pairs(500)
    objective = _objective()
    Calibrate()(objective, source, 0)
    x = source.tensors["x"]
    torch.testing.assert_close(objective.model.decoder(objective.guide.encoder(x)[0])[0], x, rtol=0, atol=1e-5)


def test_the_posterior_sd_of_a_linear_decoder_is_exact():
    class Linear(torch.nn.Module):
        def forward(self, noise):
            return noise @ matrix, sd

    matrix, sd = torch.randn(3, 5, dtype=torch.float64), torch.rand(5, dtype=torch.float64) + 0.1
    found = posterior_sd(Linear(), torch.randn(7, 3, dtype=torch.float64))
    precision = torch.eye(3, dtype=torch.float64) + (matrix / sd) @ (matrix / sd).T
    torch.testing.assert_close(found, precision.diagonal().rsqrt())


def test_pairs_are_sampled_without_repetition_by_seed():
    source = TensorSource({"x": torch.arange(100.0), "x_after": torch.zeros(100)})
    first, again, other = (sample_pairs(source, 30, seed)["x"] for seed in (1, 1, 2))
    assert len(first.unique()) == 30
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(sample_pairs(source, 1000, 0)["x"], torch.arange(100.0))


@pytest.mark.parametrize("hook", [Initialize(), Calibrate()])
def test_hooks_give_the_same_result_each_time(hook):
    source, _, target = _pairs(1000, sd=0.01)
    source = TensorSource(source.tensors | {"targets": target})
    states = []
    for _ in range(2):
        objective = _objective(COLLAPSES["two targets share two components"])
        hook(objective, source, 3)
        states.append(objective.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def _mixture(encoder):
    """p(m~ - m) as a mixture of multivariate normals, a target each."""
    untouched, redrawn = encoder.variances()
    covariance = torch.stack(
        [untouched.diag(), *(untouched.clone().index_put_((torch.tensor(i),), redrawn[i]).diag() for i in range(3))]
    )
    return MultivariateNormal(torch.zeros(4, 3), covariance)


@pytest.fixture
def target_encoder():
    encoder = TargetEncoder(3).double()
    encoder.log_tolerance.copy_(torch.tensor([0.05, 0.1, 0.2]).log())
    encoder.log_width.copy_(torch.tensor([0.5, 1.0, 1.5]).log())
    return encoder


def test_target_probabilities_are_posteriors_of_the_mixture(target_encoder):
    move = torch.randn(20, 3, dtype=torch.float64) * 0.3
    expected = _mixture(target_encoder).log_prob(move.unsqueeze(1)).softmax(-1)
    torch.testing.assert_close(target_encoder(move).softmax(-1), expected)


@pytest.mark.parametrize("share_known", [0.0, 0.2])
def test_expectation_maximisation_recovers_tolerances_and_widths(share_known):
    generator = torch.Generator().manual_seed(0)
    rows = 40_000
    tolerance, width = torch.tensor([0.02, 0.05, 0.1]), torch.tensor([0.5, 1.0, 0.8])
    target = torch.randint(0, 4, (rows,), generator=generator)
    hit = target.unsqueeze(1) == torch.arange(1, 4)
    sd = torch.where(hit, (tolerance**2 + 2 * width**2).sqrt(), tolerance)
    move = sd * torch.randn(rows, 3, generator=generator)
    known = torch.where(torch.rand(rows, generator=generator) < share_known, target, -1)
    encoder = TargetEncoder(3)
    encoder.fit(move, known)
    # Relative standard errors of a standard deviation from 10,000 rows are 0.7 per cent.
    torch.testing.assert_close(encoder.variances()[0].sqrt(), tolerance, rtol=0.04, atol=0)
    torch.testing.assert_close(encoder.log_width.exp(), width, rtol=0.04, atol=0)
    best = TargetEncoder(3)
    best.log_tolerance.copy_(tolerance.log())
    best.log_width.copy_(width.log())
    accuracy, possible = ((probable(move).argmax(-1) == target).float().mean() for probable in (encoder, best))
    assert accuracy > possible - 0.005


def test_calibration_sets_the_sd_of_an_encoder_that_was_trained_before():
    source, _, _ = _pairs(500, sd=0.1)
    objective = _objective()
    objective.guide.encoder.spread[-1].bias.fill_(1.0)
    Calibrate()(objective, source, 0)
    sd = objective.guide.encoder(source.tensors["x"])[1]
    expected = posterior_sd(objective.model.decoder, _encode(objective, source))
    torch.testing.assert_close(sd, expected.expand_as(sd), rtol=0.1, atol=0)


def test_a_guide_that_variables_cannot_be_searched_for_with_is_named():
    model, guide = build(Architecture("ilcm", DIM, DIM))
    del guide.target_encoder
    with pytest.raises(ValueError, match=r"^guide: got ILCMGuide, expected one with a target_encoder"):
        initialize(model, guide, {})
