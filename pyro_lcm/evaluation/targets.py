"""How often the inferred intervention target is the true one, under a matching of variables."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_lcm.evaluation.alignment import Alignment


def most_likely_targets(targets: ArrayLike, dim: int) -> NDArray[np.int64]:
    """Turn what a model says about targets into one target a pair.

    Args:
        targets: Probabilities (or scores), shape (N, d + 1), column 0 = none; or integer targets, shape (N,).
        dim: Number of variables d.

    Returns:
        Targets, shape (N,): 0 = none, i = variable i.

    Raises:
        ValueError: If the argument is neither, is out of range, or is not finite.
    """
    array = np.asarray(targets)
    if array.ndim == 2 and array.shape[1] == dim + 1 and array.dtype.kind in "iuf":
        if not np.isfinite(array).all():
            raise ValueError("targets: got NaN or infinity, expected finite probabilities")
        return np.asarray(array.argmax(axis=1), dtype=np.int64)
    if array.ndim == 1 and array.dtype.kind in "iu":
        if len(array) and (array.min() < 0 or array.max() > dim):
            raise ValueError(f"targets: got {array.min()} to {array.max()}, expected 0 (none) to {dim}")
        return array.astype(np.int64)
    raise ValueError(
        f"targets: got shape {array.shape} and dtype {array.dtype}, expected probabilities (N, {dim + 1}) "
        "or integers (N,)"
    )


def set_accuracy(inferred: ArrayLike, true: ArrayLike, alignment: Alignment) -> float:
    """Compute the share of pairs whose inferred set of targets is the true one.

    Args:
        inferred: Shape (N, d' + 1): column i the probability that learned variable i is a target, column 0 that none
            is. A variable with a probability of more than one half is taken as a target.
        true: True targets, shape (N, d), 1 for each target and 0 elsewhere.
        alignment: Matching of learned to true variables.

    Returns:
        The accuracy, in [0, 1]. A pair with a true target that has no learned variable is never right.

    Raises:
        ValueError: If the shapes do not fit each other.
    """
    probabilities, truth = np.asarray(inferred), np.asarray(true)
    expected = (len(truth), alignment.learned_dim + 1)
    if probabilities.shape != expected or len(truth) == 0:
        raise ValueError(f"inferred: got shape {probabilities.shape}, expected {expected}")
    matched = alignment.matched
    hit = probabilities[:, 1:] > 0.5
    guess = np.where(matched, hit[:, alignment.permutation], False)
    spurious = np.delete(hit, alignment.permutation[matched], axis=1).any(1)
    return float(((guess == (truth == 1)).all(1) & ~spurious).mean())


def intervention_accuracy(inferred: ArrayLike, true: ArrayLike, alignment: Alignment) -> float:
    """Compute the share of pairs whose inferred target is the true one.

    Args:
        inferred: Probabilities, shape (N, d' + 1), or targets, shape (N,), over the learned variables.
        true: True targets, shape (N,): 0 = none, i = true variable i.
        alignment: Matching of learned to true variables; "none" is matched to "none".

    Returns:
        The accuracy, in [0, 1]. A learned variable without a partner is never right.

    Raises:
        ValueError: If an argument is wrong or the lengths differ.
    """
    truth = most_likely_targets(true, len(alignment.permutation))
    guess = alignment.relabel_targets(most_likely_targets(inferred, alignment.learned_dim))
    if guess.shape != truth.shape or len(truth) == 0:
        raise ValueError(f"inferred: got {len(guess)} targets, expected {len(truth)} and at least one")
    return float((guess == truth).mean())
