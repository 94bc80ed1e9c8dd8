"""R2 of content and style: against scikit-learn, and where the answer is known."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from pyro_lcm.evaluation.blocks import _kernel_ridge, block_scores, kernel_ridge_r2, linear_r2
from tables import each_row


def test_kernel_ridge_regression_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x, y, new = rng.normal(size=(60, 3)), rng.normal(size=(60, 2)), rng.normal(size=(20, 3))
    own = _kernel_ridge(x, y, new, 0.3, 0.05)
    other = KernelRidge(kernel="rbf", gamma=0.3, alpha=0.05).fit(x, y - y.mean(0)).predict(new) + y.mean(0)
    np.testing.assert_allclose(own, other, atol=1e-10)


def test_noise_sets_the_best_r2():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 1))
    y = np.column_stack([x[:, 0] + rng.normal(size=2000), 3 * x[:, 0]])
    assert linear_r2(x, y) == pytest.approx(0.75, abs=0.03)  # one half, and one
    assert kernel_ridge_r2(x, y) == pytest.approx(0.75, abs=0.03)
    assert abs(kernel_ridge_r2(rng.normal(size=(2000, 1)), y)) < 0.03


def test_style_that_content_causes_is_told_by_content_alone():
    rng = np.random.default_rng(0)
    content = rng.uniform(-1.5, 1.5, size=(2000, 1))
    style = content**2 + 0.5 * rng.normal(size=(2000, 1))
    scores = block_scores(np.tanh(content), content, style)
    assert scores.content > 0.99
    assert scores.style == pytest.approx(scores.style_by_content, abs=0.03)
    assert scores.style_by_content == pytest.approx(0.45 / (0.45 + 0.25), abs=0.05)
    assert abs(scores.style_by_content_linear) < 0.05
    leaks = block_scores(np.column_stack([content, style]), content, style)
    assert leaks.style > 0.99


def test_units_do_not_matter():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 2))
    y = np.tanh(x[:, :1] + x[:, 1:])
    assert kernel_ridge_r2(x, y) == pytest.approx(kernel_ridge_r2(x * [1e3, 1e-3] + 5, y * 100 - 7), abs=1e-6)


@each_row(
    ("features", "response", "message"),
    [
        (np.zeros((80, 1)), np.zeros((70, 1)), "^features: got 80 rows, expected 70"),
        (np.zeros((20, 1)), np.zeros((20, 1)), "^features: got 20 rows, expected at least 60"),
        (np.full((80, 1), np.nan), np.zeros((80, 1)), "^features: got nan"),
    ],
)
def test_what_does_not_fit_is_refused(features, response, message):
    with pytest.raises(ValueError, match=message):
        kernel_ridge_r2(features, response)
