"""The code of images: what it asks of pairs, what it finds, and that nothing but images goes into it."""

import numpy as np
import pytest
import torch

from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.images.code import ImageCode
from pyro_lcm.images.fit_code import CodeObjective, _begin_at, fit_code
from tables import each_row


def _bars(n, seed):
    """Two bars on two tracks of an 8 pixel image, the second drawn to the first; blurred, in one channel."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 3, n)
    noise = rng.uniform(-1, 1, (n, 2))
    redrawn = rng.uniform(-1, 1, (n, 2))
    pixels = np.linspace(-1.2, 1.2, 8)

    def paint(hit):
        first = np.where(hit == 1, redrawn[:, 0], noise[:, 0])
        second = np.where(hit == 2, redrawn[:, 1], 0.6 * noise[:, 1] + 0.4 * first)
        tracks = [np.exp(-(((pixels - z[:, None]) / 0.4) ** 2)) for z in (first, second)]
        return np.stack([np.repeat(track[:, None], 4, 1) for track in tracks], 1).reshape(n, 1, 8, 8)

    return InterventionPairs(paint(np.zeros(n)), paint(target), targets=target), noise


@pytest.fixture(scope="module")
def fitted():
    pairs, noise = _bars(1500, 0)
    code, result = fit_code(pairs, 2, seed=0, out=None, resume=False, device="cpu", progress=False, steps=600)
    return code, result, pairs, noise


def test_each_number_of_a_code_is_one_noise_encoding(fitted):
    code, _, pairs, noise = fitted
    with torch.no_grad():
        found = code.encode(torch.as_tensor(pairs.x).float()).numpy()
    ranks = [np.argsort(np.argsort(values, axis=0), axis=0) for values in (found, noise)]
    correlation = np.abs(np.corrcoef(ranks[0].T, ranks[1].T)[:2, 2:])
    np.testing.assert_array_less(0.95, correlation.max(0))
    np.testing.assert_array_less(correlation.min(0), 0.2)
    np.testing.assert_allclose(found.std(0), 1, atol=0.2)


def test_codes_are_painted_as_the_images_they_are_of(fitted):
    code, _, pairs, _ = fitted
    images = torch.as_tensor(pairs.x).float()
    with torch.no_grad():
        left = (code.decode(code.encode(images)) - images).square().mean()
    assert float(left / images.var(0).mean()) < 0.1


def test_where_the_target_is_not_the_codes_of_a_pair_are_one():
    torch.manual_seed(0)
    objective = CodeObjective(ImageCode((1, 8, 8), 2, components=4), 3)
    v, v_after = torch.randn(2, 3, 4)
    objective.target.copy_(torch.tensor([0, 1, -1]))
    _, metrics = objective({"v": v, "v_after": v_after}, size=3, index=torch.arange(3), spread=0.0)
    raw = torch.stack([objective.code.raw_code(side) for side in (v, v_after)])
    change = (raw[0] - raw[1]).square() / raw.flatten(0, 1).var(0)
    # All of a pair without a target, the other number of one with a target, nothing of an unknown one.
    torch.testing.assert_close(metrics["apart"], (change[0].sum() + change[1, 1]) / 3)


def test_a_cut_off_code_is_gone_on_with_exactly(tmp_path):
    pairs, _ = _bars(200, 1)
    options = {"seed": 0, "device": "cpu", "progress": False, "steps": 40}
    whole, _ = fit_code(pairs, 2, out=None, resume=False, **options)
    fit_code(pairs, 2, out=tmp_path, resume=False, **options)
    again, _ = fit_code(pairs, 2, out=tmp_path, resume=True, **options)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)


@each_row(
    ("make", "message"),
    [
        (lambda: ImageCode((1, 8, 8), 0), "^dim: got 0, expected at least 1"),
        (lambda: ImageCode((1, 8, 8), 2, components=65), "^components: got 65, expected 2 to 64"),
        (lambda: ImageCode((1, 8, 8), 2, 4).set_components(torch.ones(9, 1, 8, 8)), "^images: got images that are all"),
        (
            lambda: fit_code(_bars(60, 0)[0], None, seed=0, out=None, resume=False, device="cpu", progress=False),
            "^dim: got none",
        ),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_code_and_its_decoder_begin_at_the_functions_that_were_found():
    torch.manual_seed(0)
    code = ImageCode((1, 4, 4), 2, components=6, hidden=32)
    components = torch.randn(2000, 6)
    values = torch.stack([components[:, 0], -components[:, 1].tanh()], 1)
    components[:, 2:] = 0
    _begin_at(code, components, values, steps=300)
    with torch.no_grad():
        assert (code.raw_code(components) - values).square().mean() < 0.02
        painted = code.decoder(values)
    # The decoder can paint what these functions tell from the start.
    assert (painted - components).square().sum(1).mean() < 0.1 * components.square().sum(1).mean()
    assert all(parameter.grad is None for parameter in code.parameters())
