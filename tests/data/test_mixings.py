import numpy as np
import pytest
import torch

from pyro_lcm.data.mixings import MIXINGS, Embedding, Rotation, draw_mixing


@pytest.mark.parametrize("name", MIXINGS)
@pytest.mark.parametrize("dim", [2, 3, 30])
def test_inverse_is_exact(name, dim):
    mixing = draw_mixing(name, dim, np.random.default_rng(0))
    z = 3 * torch.randn(500, dim, dtype=torch.float64)
    torch.testing.assert_close(mixing.inverse(mixing(z)), z, rtol=1e-9, atol=1e-9)
    x = torch.randn(500, dim, dtype=torch.float64)
    torch.testing.assert_close(mixing(mixing.inverse(x)), x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["linear", "leaky_relu", "tanh_residual"])
def test_one_variable_can_be_mixed(name):
    mixing = draw_mixing(name, 1, np.random.default_rng(0))
    z = torch.linspace(-3, 3, 50, dtype=torch.float64)[:, None]
    assert (mixing(z).diff(dim=0) != 0).all()


@pytest.mark.parametrize("name", sorted(set(MIXINGS) - {"linear"}))
def test_nonlinear_mixings_are_far_from_linear(name):
    for seed in range(5):
        mixing = draw_mixing(name, 4, np.random.default_rng(seed))
        z = torch.randn(2000, 4, dtype=torch.float64)
        x = mixing(z)
        x = x - x.mean(dim=0)
        fit = z @ torch.linalg.lstsq(z, x).solution
        assert ((x - fit) ** 2).sum() / (x**2).sum() > 0.02


def test_rotation_is_in_the_special_orthogonal_group_and_follows_the_stated_law():
    rng = np.random.default_rng(0)
    for dim in (1, 2, 8):
        matrix = Rotation(dim, rng).matrix
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(dim, dtype=torch.float64))
        torch.testing.assert_close(torch.linalg.det(matrix), torch.ones((), dtype=torch.float64))
    # In two dimensions the angle is the one normal entry: E[cos a] = exp(-1/2). Five standard errors.
    cosines = np.array([Rotation(2, rng).matrix[0, 0].item() for _ in range(2000)])
    assert abs(cosines.mean() - np.exp(-0.5)) < 5 * cosines.std() / np.sqrt(2000)


@pytest.mark.parametrize("name", MIXINGS)
def test_embedding_is_inverted_on_its_image(name):
    rng = np.random.default_rng(0)
    embedding = Embedding(3, 8, draw_mixing(name, 8, rng), rng)
    z = torch.randn(100, 3, dtype=torch.float64)
    assert embedding(z).shape == (100, 8)
    torch.testing.assert_close(embedding.inverse(embedding(z)), z, rtol=1e-9, atol=1e-9)


def test_linear_embedding_keeps_distances():
    rng = np.random.default_rng(0)
    embedding = Embedding(3, 8, draw_mixing("linear", 8, rng), rng)
    z = torch.randn(100, 3, dtype=torch.float64)
    torch.testing.assert_close(embedding(z).norm(dim=1), z.norm(dim=1))


def test_unknown_and_impossible_mixings_are_refused():
    with pytest.raises(ValueError, match="mixing: got 'spline', expected one of linear, leaky_relu"):
        draw_mixing("spline", 3, np.random.default_rng(0))
    with pytest.raises(ValueError, match="mixing: got 'coupling' of 1 feature"):
        draw_mixing("coupling", 1, np.random.default_rng(0))
