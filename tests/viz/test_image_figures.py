"""Figures of what a model has found in images, by a model whose every answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from pyro_lcm import InterventionPairs
from pyro_lcm.commands import train
from pyro_lcm.commands.fits import Fit
from pyro_lcm.evaluation import align
from pyro_lcm.evaluation.check import CheckReport
from pyro_lcm.lcm import Encoding, Outcome
from pyro_lcm.viz.image_figures import IMAGE_CAPTIONS, image_figures
from pyro_lcm.viz.run_figures import save_image_figures

SHAPE = (3, 4, 6)
RESIDUAL = 0.05
"""What no latent explains: the lower half of every image that was seen is lighter by this."""


class Chain:
    """z1 = e1, z2 = z1 + e2; z1 is the red of an image, z2 its green, the rest is black."""

    names = ("z1", "z2")

    def __init__(self, *, targets=True, graph=True, settable=True):
        self.has_targets, self.has_graph, self.settable = targets, graph, settable

    def paint(self, causal):
        images = np.zeros((len(causal), *SHAPE))
        images[:, :2] = np.asarray(causal)[:, :, None, None]
        return images

    def encode(self, x):
        causal = np.asarray(x)[:, :2, 0, 0]
        noise = causal - np.stack([0 * causal[:, 0], causal[:, 0]], axis=1)
        return Encoding(noise, 0 * noise, causal, 0 * causal)

    def decode(self, noise):
        return self.paint(np.cumsum(noise, axis=1))

    def infer_targets(self, x, x_after):
        changed = self.encode(x).noise != self.encode(x_after).noise
        return np.concatenate([~changed.any(axis=1, keepdims=True), changed], axis=1).astype(float)

    def adjacency(self):
        return np.array([[0, 1], [0, 0]])

    def program(self):
        if not self.settable:
            raise ValueError("no causal order")

    def intervene(self, values, *, x=None, n=1000):
        noise = np.zeros((n, 2)) if x is None else self.encode(x).noise
        z1 = noise[:, 0] * 0 + values.get("z1", noise[:, 0])
        causal = np.stack([z1, noise[:, 0] * 0 + values.get("z2", z1 + noise[:, 1])], axis=1)
        return Outcome(self.paint(causal), causal, noise, np.cumsum(noise, axis=1), self.decode(noise))

    def counterfactual(self, x, values):
        outcome = self.intervene(values, x=x)
        return Outcome(outcome.x + (x - outcome.x_before), *list(vars(outcome).values())[1:])


class SmallChain(Chain):
    """The same at half the size."""

    def paint(self, causal):
        return super().paint(causal)[:, :, ::2, ::2]


class Checked(Chain):
    """The same with a report of a check."""

    dim_z = 2
    fitted = SimpleNamespace(blocks=False)

    def check(self, pairs, *, fits=()):
        return CheckReport(self.names, np.ones(3) / 3, np.ones(2), np.zeros(2), 1.0, 1.0, 0.0, -1.0, None, ())


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.05, 0.4, size=(30, 2))
    targets = np.arange(30) % 3
    after = noise.copy()
    for i in range(2):
        after[targets == i + 1, i] = rng.uniform(0.05, 0.4, size=10)
    images = np.stack([Chain().decode(side) for side in (noise, after)])
    images[:, :, :, 2:] += RESIDUAL
    return InterventionPairs(*images, targets=targets, z=noise.cumsum(axis=1), noise=noise)


def drawn(figure):
    """The images of a grid, channels first, row by row."""
    return np.stack([np.moveaxis(np.asarray(axes.images[0].get_array()), -1, 0) for axes in figure.axes])


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_every_figure_draws_what_the_model_says(pairs):
    model = Chain()
    figures = image_figures(model, pairs)
    assert list(figures) == list(IMAGE_CAPTIONS)
    shown = np.flatnonzero(pairs.targets)[:10]
    z = pairs.z[shown]
    low, high = np.quantile(pairs.z, [0.02, 0.98], axis=0)

    np.testing.assert_allclose(drawn(figures["pairs"]), [*pairs.x[shown], *pairs.x_after[shown]], atol=1e-6)
    assert titles(figures["pairs"]) == [f"z{target}\n100 %" for target in pairs.targets[shown]]
    np.testing.assert_allclose(drawn(figures["reconstructions"])[10:], model.paint(z), atol=1e-6)

    acts = drawn(figures["interventions"]).reshape(2, 3, *SHAPE)
    start = acts[0, 0, :2, 0, 0]  # the causal variables of the one image
    assert (np.abs(pairs.z - start).max(axis=1) < 1e-6).any()
    alone = model.paint([[high[0], start[1]], [start[0], high[1]]])
    followed = model.paint([[high[0], high[0] + start[1] - start[0]], [start[0], high[1]]])
    np.testing.assert_allclose(
        acts, np.stack([model.paint([start] * 2), alone, followed], axis=1).clip(0, 1), atol=1e-6
    )

    traversals = drawn(figures["traversals"]).reshape(2, 5, *SHAPE)
    np.testing.assert_allclose(traversals[:, 4], alone, atol=1e-6)
    thumbnails = [np.moveaxis(image.get_array(), -1, 0) for image in figures["thumbnails_graph"].axes[0].images]
    np.testing.assert_allclose(thumbnails, traversals[:, [0, 4]].reshape(4, *SHAPE), atol=1e-6)
    np.testing.assert_allclose(traversals[:, 0], model.paint([[low[0], start[1]], [start[0], low[1]]]), atol=1e-6)

    imagined = drawn(figures["counterfactuals"]).reshape(4, 3, *SHAPE)
    np.testing.assert_allclose(imagined[:, 0], pairs.x[shown[:4]], atol=1e-6)
    residual = pairs.x[:1] - model.paint(pairs.z[:1])
    expected = model.paint([(high[0], high[0] + b - a) for a, b in z[:4]]) + residual
    np.testing.assert_allclose(imagined[:, 1], expected.clip(0, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("lacks", "missing"),
    [
        ({"targets": False}, set()),
        ({"graph": False}, {"thumbnails_graph"}),
        ({"settable": False}, {"interventions", "counterfactuals"}),
    ],
)
def test_what_a_model_cannot_do_is_left_out(pairs, lacks, missing):
    figures = image_figures(Chain(**lacks), pairs)
    assert set(IMAGE_CAPTIONS) - set(figures) == missing
    assert bool(titles(figures["pairs"])) == ("targets" not in lacks)


def test_without_mechanisms_noise_encodings_are_traversed(pairs):
    traversals = drawn(image_figures(Chain(settable=False), pairs)["traversals"]).reshape(2, 5, *SHAPE)
    red, green = traversals[:, :, 0, 0, 0], traversals[:, :, 1, 0, 0]
    np.testing.assert_allclose(np.diff(green[0]), np.diff(red[0]), atol=1e-6)  # z2 follows z1
    assert (np.diff(red[0]) > 0).all()
    assert np.ptp(red[1]) == 0


def test_images_that_are_read_when_asked_for_and_bytes_are_drawn_too(pairs):
    whole = InterventionPairs(*(np.rint(255 * side).astype(np.uint8) for side in (pairs.x, pairs.x_after)))
    shown = np.flatnonzero((whole.x != whole.x_after).any(axis=(1, 2, 3)))[:10]
    found = drawn(image_figures(Chain(), whole)["pairs"])
    np.testing.assert_allclose(found, [*whole.x[shown] / 255, *whole.x_after[shown] / 255], atol=1e-6)
    smaller = drawn(image_figures(SmallChain(), whole.resized((2, 3)))["pairs"])
    np.testing.assert_allclose(smaller, found.reshape(20, 3, 2, 2, 3, 2).mean(axis=(3, 5)), atol=1e-6)


def test_training_on_images_leaves_a_report_to_look_at(pairs, tmp_path, capsys):
    fit = Fit(tmp_path, 0, Checked(), -1.0)
    train._report(tmp_path, [fit], fit, (), pairs, 1.0)
    assert f"to look at: {tmp_path / 'report.html'}" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    assert all(caption in page for caption in IMAGE_CAPTIONS.values())
    assert page.count("data:image/png;base64,") == len(IMAGE_CAPTIONS) + 1  # and the graph


def test_the_truth_names_and_orders_the_variables(pairs):
    figure = image_figures(Chain(), pairs, alignment=align(pairs.z, pairs.z[:, ::-1]))["traversals"]
    assert [axes.get_ylabel() for axes in figure.axes[::5]] == ["z2 (true z1)", "z1 (true z2)"]


def test_a_run_gets_the_figures_if_it_is_of_images(pairs, tmp_path):
    flat = pairs.with_observations(pairs.x.reshape(30, -1), pairs.x_after.reshape(30, -1))
    assert save_image_figures(tmp_path, Chain(), flat) == []
    saved = save_image_figures(tmp_path, Chain(), pairs)
    assert saved == [tmp_path / "figures" / f"{name}.png" for name in IMAGE_CAPTIONS]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in saved)
    with pytest.raises(ValueError, match="pairs: got observations of shape \\(72,\\), expected images"):
        image_figures(Chain(), flat)
