import numpy as np
import pytest
import torch

from pyro_lcm.data import InterventionPairs, Standardizer, simulate_scaling
from pyro_lcm.data import standardize as standardize_module
from tables import each_row


def correlated(n, widths, seed=0):
    """Gaussian samples with the given standard deviations along random axes."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(len(widths), len(widths))))[0]
    return (rng.normal(size=(n, len(widths))) * widths) @ axes.T


def pairs_of(x):
    return InterventionPairs(x[::2], x[1::2])


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-6, 0), (1e6, 0), (1, 1e6), (1e-6, -1e3), (1e6, 1e9)])
@pytest.mark.parametrize("condition", [1.0, 1e8])
def test_whitening_at_any_scale_offset_and_condition(scale, offset, condition):
    x = scale * correlated(4000, np.geomspace(1, condition**-0.5, 6)) + offset
    standardizer = Standardizer.fit(pairs_of(x))
    assert standardizer.output_shape == (6,)
    y = standardizer.transform(x)
    assert y.dtype == np.float32
    # float32 leaves 1e-7 relative to the largest direction, 1e-3 relative to one 1e4 times smaller
    np.testing.assert_allclose(np.cov(y.T, bias=True), np.eye(6), atol=1e-3)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-3)
    back = standardizer.inverse(torch.from_numpy(y).double()).numpy()
    np.testing.assert_allclose((back - x) / scale, 0, atol=5e-6)


@pytest.mark.parametrize(("scale", "offset"), [(1e-6, 1e-5), (1e6, 1e7), (1.0, 1e3)])
def test_float32_data_are_whitened_in_a_batch(scale, offset):
    x = (scale * correlated(4000, [1.0, 0.3, 0.1]) + offset).astype(np.float32)
    pairs = pairs_of(x)
    standardizer = Standardizer.fit(pairs)
    batch = pairs.batch(slice(None))
    y = torch.cat([standardizer(batch["x"]), standardizer(batch["x_after"])])
    assert y.dtype == torch.float32
    np.testing.assert_allclose(np.cov(y.T, bias=True), np.eye(3), atol=1e-3)
    back = standardizer.inverse(y[::2])
    np.testing.assert_allclose(back, torch.cat([batch["x"], batch["x_after"]])[::2], rtol=1e-5)


def test_directions_without_variance_are_dropped_and_come_back():
    latent = correlated(1000, [1.0, 0.5, 0.2])
    frame = np.random.default_rng(1).normal(size=(3, 7)) * np.array([1, 1e-4, 1e4, 1, 1, 1, 1])
    x = np.concatenate([latent @ frame, np.full((1000, 1), 42.0)], axis=1) + 3.0
    standardizer = Standardizer.fit(pairs_of(x))
    assert standardizer.output_shape == (3,)
    back = standardizer.inverse(torch.from_numpy(standardizer.transform(x))).numpy()
    np.testing.assert_allclose((back - x) / np.maximum(x.std(axis=0), 1), 0, atol=1e-5)


def test_rounding_of_float32_is_no_direction():
    x = (correlated(2000, [1.0, 1.0]) @ np.random.default_rng(0).normal(size=(2, 6)) + 1000).astype(np.float32)
    assert Standardizer.fit(pairs_of(x)).output_shape == (2,)


def test_weak_directions_are_kept_unless_the_tolerance_says_otherwise():
    x = correlated(2000, [1.0, 1.0, 1e-3])
    assert Standardizer.fit(pairs_of(x)).output_shape == (3,)
    assert Standardizer.fit(pairs_of(x), tolerance=1e-4).output_shape == (2,)


def test_both_sides_count():
    x = np.random.default_rng(0).normal(size=(500, 2))
    y = Standardizer.fit(InterventionPairs(x, x + 10), mode="standardize")
    np.testing.assert_allclose(y.offset, np.concatenate([x, x + 10]).mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(y.scale, np.concatenate([x, x + 10]).std(axis=0), rtol=1e-6)


def test_standardize_scales_each_feature_and_keeps_the_shape():
    x = np.random.default_rng(0).normal(size=(400, 3, 4)) * np.geomspace(1e-3, 1e3, 4) + 5
    x[:, 1, 2] = 0.1
    standardizer = Standardizer.fit(pairs_of(x), mode="standardize")
    y = standardizer.transform(x)
    assert y.shape == x.shape
    expected = np.ones((3, 4))
    expected[1, 2] = 0
    np.testing.assert_allclose(y.std(axis=0), expected, atol=1e-4)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(standardizer.inverse(torch.from_numpy(y)), x, rtol=1e-4, atol=1e-3)


def test_image_has_one_mean_and_scale_a_channel():
    images = np.random.default_rng(0).integers(0, 256, size=(20, 3, 4, 5)).astype(np.uint8)
    images[:, 1] //= 4
    standardizer = Standardizer.fit(pairs_of(images), mode="image")
    seen = images / 255  # units of images are 0 to 1, however they are kept
    y = standardizer(torch.from_numpy(seen))
    np.testing.assert_allclose(standardizer.transform(images), y, atol=1e-5)
    channels = seen.transpose(1, 0, 2, 3).reshape(3, -1)
    np.testing.assert_allclose(standardizer.offset.flatten(), channels.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(standardizer.scale.flatten(), channels.std(axis=1), rtol=1e-6)
    np.testing.assert_allclose(standardizer.inverse(y), seen, atol=1e-5)


@pytest.mark.parametrize("mode", ["whiten", "standardize"])
def test_pieces_give_the_same_as_the_whole(mode, monkeypatch, tmp_path):
    simulate_scaling(4, 300, seed=0, dim_x=6).save(tmp_path / "p.npz")
    pairs = InterventionPairs.load(tmp_path / "p.npz", mmap=True).split((0.5, 0.5), seed=0)[0]
    whole = Standardizer.fit(pairs, mode)
    monkeypatch.setattr(standardize_module, "CHUNK_BYTES", 7 * 6 * 8)
    pieces = Standardizer.fit(pairs, mode)
    for name, buffer in whole.state_dict().items():
        torch.testing.assert_close(pieces.state_dict()[name], buffer, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("mode", "shape"), [("whiten", (6,)), ("standardize", (2, 3)), ("image", (2, 3, 5))])
def test_state_is_restored(mode, shape):
    x = np.random.default_rng(0).normal(size=(50, *shape)) @ np.diag(np.r_[np.ones(shape[-1] - 1), 0.0])
    fitted = Standardizer.fit(pairs_of(x), mode)
    restored = Standardizer(**fitted.to_config())
    restored.load_state_dict(fitted.state_dict())
    tensor = torch.from_numpy(x)
    assert torch.equal(restored(tensor), fitted(tensor))
    assert restored.output_shape == fitted.output_shape


def test_a_new_instance_is_the_identity():
    x = torch.randn(5, 3)
    assert torch.equal(Standardizer((3,))(x), x)
    assert torch.equal(Standardizer((3,)).inverse(x), x)


def test_extra_leading_dimensions_and_gradients_pass():
    x = correlated(200, [1.0, 0.1])
    standardizer = Standardizer.fit(pairs_of(x))
    y = torch.randn(4, 1, 3, 2, requires_grad=True)
    standardizer(standardizer.inverse(y)).sum().backward()
    torch.testing.assert_close(y.grad, torch.ones_like(y), rtol=1e-4, atol=1e-4)


def test_it_follows_the_module_to_another_dtype():
    x = correlated(200, [1.0, 0.1])
    standardizer = Standardizer.fit(pairs_of(x)).double()
    assert standardizer(torch.from_numpy(x)).dtype == torch.float64


@each_row(
    ("make", "message"),
    [
        (lambda: Standardizer((3,), "zca"), "mode: got 'zca'"),
        (lambda: Standardizer((3, 4), "whiten"), "mode: got 'whiten' for observations of shape"),
        (lambda: Standardizer((3,), "image"), "mode: got 'image'"),
        (lambda: Standardizer((3,), width=4), "width: got 4, expected 1 to 3"),
        (lambda: Standardizer((3,), "standardize", width=2), "width: got 2 with mode 'standardize'"),
        (lambda: Standardizer((0,)), "shape: got"),
        (lambda: Standardizer((3,))(torch.zeros(2, 4)), r"x: got shape \(2, 4\), expected \(..., 3\)"),
        (lambda: Standardizer((3,)).inverse(torch.zeros(2, 4)), r"y: got shape \(2, 4\)"),
        (lambda: Standardizer.fit(pairs_of(np.ones((4, 2)))), "x: got observations that are all alike"),
        (lambda: Standardizer.fit(pairs_of(np.eye(4)), tolerance=1.0), "tolerance: got 1.0"),
        (
            lambda: Standardizer.fit(pairs_of((1e6 + 0.01 * correlated(400, [1, 1])).astype(np.float32))),
            "hardly vary beyond their rounding",
        ),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_directions_of_little_variance_are_not_blurred_by_rounding():
    rng = np.random.default_rng(0)
    mixing = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    x = rng.normal(size=(400, 4)) * [1.0, 1.0, 1.0, 1e-6] @ mixing + 3.0
    fitted = Standardizer.fit(InterventionPairs(x, x), tolerance=1e-13)
    assert fitted.output_shape == (4,)
    scaled = (x - fitted.offset.double().numpy() - fitted.offset_rest.double().numpy()) / fitted.scale.double().numpy()
    exact = scaled @ fitted.rotation.double().numpy()
    assert np.abs(fitted.transform(x, np.float64) - exact).max() < 1e-9
    assert np.abs(fitted.transform(x) - exact).max() < 1e-6 * np.abs(exact).max()
