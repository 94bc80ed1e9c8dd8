"""Images in the units of a model: the code, standardised, in pieces and wherever it is."""

import numpy as np
import pytest
import torch

from pyro_lcm.data import InterventionPairs
from pyro_lcm.data.lazy import RowsOf
from pyro_lcm.data.standardize import Standardizer
from pyro_lcm.images import units as module
from pyro_lcm.images.code import ImageCode
from pyro_lcm.images.units import ImageUnits, units_from_config
from tables import each_row

SHAPE = (3, 8, 8)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, size=(20, *SHAPE)).astype(np.uint8)


@pytest.fixture
def units(images):
    code = ImageCode(SHAPE, 3)
    with torch.no_grad():
        codes = code.encode(torch.from_numpy(images).float() / 255).numpy()
    return ImageUnits(code, Standardizer.fit(InterventionPairs(codes, codes)))


def test_codes_are_those_of_the_network_standardised(units, images):
    x = torch.from_numpy(images).float() / 255
    found = units.transform(images)
    np.testing.assert_allclose(found, units.codes(units.code.encode(x)).detach(), atol=1e-5)
    np.testing.assert_allclose(found, units(x).detach(), atol=1e-5)
    np.testing.assert_allclose(np.cov(found.T, bias=True), np.eye(3), atol=1e-3)
    np.testing.assert_array_equal(units.transform(RowsOf(images)), found)
    np.testing.assert_allclose(units.transform(x.numpy()), found, atol=1e-5)


def test_back_to_images_from_any_leading_axes(units):
    codes = torch.randn(2, 5, 3, dtype=torch.float64)
    found = units.inverse(codes)
    assert found.shape == (2, 5, *SHAPE)
    assert found.dtype == torch.float64  # of the argument, as the network's own is another one
    assert found.min() >= 0
    assert found.max() <= 1
    expected = units.code.decode(units.codes.inverse(codes[1].float()))
    torch.testing.assert_close(found[1].float(), expected)
    assert units(found.float()).shape == (2, 5, 3)


def test_pieces_do_not_matter(units, images, monkeypatch):
    whole, painted = units.transform(images), units.inverse(torch.ones(20, 3))
    sizes = []
    encode = units.code.encode
    monkeypatch.setattr(units.code, "encode", lambda x: sizes.append(len(x)) or encode(x))
    monkeypatch.setattr(module, "_BYTES", 4 * 3 * 64 * 7)
    np.testing.assert_allclose(units.transform(images), whole, atol=1e-5)
    assert sizes == [7, 7, 6]
    torch.testing.assert_close(units.inverse(torch.ones(20, 3)), painted)


def test_gradients_go_through(units, images):
    x = (torch.from_numpy(images).float() / 255).requires_grad_()
    units.inverse(units(x)).sum().backward()
    assert x.grad.abs().max() > 0


def test_it_is_built_again_of_its_configuration(units, images):
    again = units_from_config(units.to_config())
    again.load_state_dict(units.state_dict())
    assert (again.shape, again.output_shape, again.mode) == (SHAPE, (3,), "whiten")
    np.testing.assert_array_equal(again.transform(images), units.transform(images))


@each_row(
    ("call", "message"),
    [
        (lambda units: ImageUnits(units.code, Standardizer((4,))), r"codes: got a standardiser of shape \(4,\)"),
        (lambda units: units(torch.zeros(2, 3, 8, 9)), r"x: got shape \(2, 3, 8, 9\), expected \(..., 3, 8, 8\)"),
        (lambda units: units.inverse(torch.zeros(2, 4)), r"y: got shape \(2, 4\), expected \(..., 3\)"),
        (
            lambda units: units.transform(np.zeros((2, 8, 8, 3))),
            r"x: got shape \(2, 8, 8, 3\), expected \(N, 3, 8, 8\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(units, call, message):
    with pytest.raises(ValueError, match=message):
        call(units)
