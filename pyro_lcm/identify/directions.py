"""Directions of differences: the lines through the origin that they lie on in well-chosen coordinates.

A perfect intervention moves one noise encoding, so in the right coordinates every difference e~ - e has a single
entry. In coordinates that are a linear map away, the differences lie on d lines through the origin, one per variable,
and the lines can be found without descending any gradient: a fast independent component analysis of the differences
(Hyvarinen 1999; sparse sources are strongly super-Gaussian), or starts where directions are dense, followed by
k-lines, the clustering that assigns each difference to the line with the largest cosine and refits each line as the
leading eigenvector of its cluster.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


_RESTARTS = 4
"""Starting points from the differences' own density, beside one from FastICA."""
_ITERATIONS = 50
"""Of k-lines at the most."""
_LEAST_USAGE = 0.2
"""Smallest usage of a line to be believed, as a fraction of an even share."""
_FLOOR = 1e-4
"""Smallest variance, as a share of the largest, that whitening of differences scales up in full."""
_NULL = 1e-11
"""Share of the largest variance of the differences below which a direction is taken as without any."""


@dataclass(frozen=True)
class Directions:
    """Directions of the lines through the origin that the differences lie on.

    Attributes:
        directions: (d, d) unit vectors, a row each.
        usage: (d,) share of the differences nearest to each line.
        residual: mean of sin^2 of the angle between a difference and its line, 0 for exactly one-sparse differences.
    """

    directions: Array
    usage: Array
    residual: float


def find_directions(differences: Array, *, share: float = 1.0, seed: int = 0) -> Directions:
    """Find d lines through the origin that explain (N, d) differences, each difference being on one of them.

    Args:
        differences: (N, d) encoded differences; near-zero ones (no intervention) are left out here.
        share: part of them that is on a line; the others, of interventions on several variables, are anywhere.
        seed: of the starting points.

    Returns:
        The best of all starts, by residual.

    Raises:
        ValueError: if all differences are zero.
    """
    rng = np.random.default_rng(seed)
    lengths = np.linalg.norm(differences, axis=1)
    if not lengths.any():
        raise ValueError("differences: got zeros only, expected pairs that differ")
    kept = differences[lengths > 0.1 * np.median(lengths[lengths > 0])]
    whitener, colourer = _whiten(kept, _FLOOR)
    white = kept @ whitener
    unit = white / np.linalg.norm(white, axis=1, keepdims=True)
    starts = [_ica_directions(kept, seed) @ whitener]
    starts += [_dense_directions(unit, rng) for _ in range(_RESTARTS)]
    fits = [_k_lines(unit, start / np.linalg.norm(start, axis=1, keepdims=True), share) for start in starts]
    best = min(fits, key=lambda fit: fit.residual)
    if share < 1:  # differences of several variables that happen to be close to a line bend it
        for part in (share / 2, share / 4, share / 8):
            best = _k_lines(unit, best.directions, part)
    directions = best.directions @ colourer
    return Directions(directions / np.linalg.norm(directions, axis=1, keepdims=True), best.usage, best.residual)


def complete_directions(lines: Directions, covariance: Array) -> Array:
    """Directions in which those of lines that hardly any difference lies on are replaced.

    A variable that is never a target leaves no line, but noise encodings are uncorrelated. With the other directions
    m_j known, its own encoding is w e with w m_j = 0 for all of them, and its direction Cov(e) w.

    Args:
        lines: d lines.
        covariance: (d, d) covariance of what the differences are differences of.

    Returns:
        (d, d) unit vectors, a row each, in the order of the lines.
    """
    dim = len(lines.directions)
    dead = lines.usage < _LEAST_USAGE / dim
    if not dead.any():
        return lines.directions
    directions = lines.directions.copy()
    null = np.linalg.svd(lines.directions[~dead], full_matrices=True)[2][int((~dead).sum()) :]
    directions[dead] = null @ covariance
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))


def _whiten(differences: Array, floor: float) -> tuple[Array, Array]:
    """Maps to and from coordinates with a second moment of about the identity; no axis is blown up beyond a floor."""
    values, vectors = np.linalg.eigh(differences.T @ differences / len(differences))
    scale = np.sqrt(np.maximum(values, floor * values.max()))
    return vectors / scale, (vectors * scale).T


def _ica_directions(differences: Array, seed: int) -> Array:
    """Directions of the independent components of the differences, and any others where these have no variance."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    values, vectors = np.linalg.eigh(differences.T @ differences / len(differences))
    present = values > _NULL * values.max()
    scale = np.sqrt(values[present])
    sample = differences[:20_000] @ vectors[:, present] / scale
    directions = vectors.T.copy()
    if present.sum() > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            ica = FastICA(whiten=False, fun="logcosh", max_iter=300, tol=1e-4, random_state=seed % 2**32)
            ica.fit(np.concatenate([sample, -sample]))
        directions[: present.sum()] = np.linalg.pinv(ica.components_).T * scale @ vectors[:, present].T
        directions[present.sum() :] = vectors[:, ~present].T
    return directions


def _dense_directions(unit: Array, rng: np.random.Generator) -> Array:
    """Directions with the most neighbours, each far from those before it."""
    dim = unit.shape[1]
    sample = unit[rng.choice(len(unit), min(len(unit), 4000), replace=False)]
    nearness = np.square(sample @ sample.T)
    rank = len(sample) - max(2, len(sample) // (4 * dim))
    density = np.partition(nearness, rank, axis=1)[:, rank].copy()
    chosen: list[int] = []
    for _ in range(dim):
        best = int(np.argmax(density))
        chosen.append(best)
        density = np.minimum(density, np.where(nearness[best] > 0.5, 0.0, density * (1 - nearness[best])))
    return sample[chosen]


def _k_lines(unit: Array, directions: Array, share: float) -> Directions:
    dim = unit.shape[1]
    assigned = np.full(len(unit), -1)
    for _ in range(_ITERATIONS):
        nearest = _nearest(unit, directions, share)[0]
        if np.array_equal(nearest, assigned):
            break
        assigned = nearest
        for line in range(dim):
            members = unit[assigned == line]
            if len(members) > 1:
                directions[line] = np.linalg.eigh(members.T @ members)[1][:, -1]
    nearest, cosine2 = _nearest(unit, directions, share)
    on_line = nearest >= 0
    usage = np.bincount(nearest[on_line], minlength=dim) / on_line.sum()
    return Directions(directions, usage, float(1 - cosine2[on_line].mean()))


def _nearest(unit: Array, directions: Array, share: float) -> tuple[NDArray[np.int64], Array]:
    """The line nearest to each difference, and the squared cosine to it.

    -1 for all but the nearest ones of each line, a share of the differences that is divided equally among the lines.
    """
    cosine2 = np.square(unit @ directions.T)
    nearest, closeness = cosine2.argmax(1), cosine2.max(1)
    if share < 1:
        quota = max(2, round(share * len(unit) / len(directions)))
        for line in range(len(directions)):
            members = np.flatnonzero(nearest == line)
            if len(members) > quota:
                nearest[members[np.argsort(-closeness[members])[quota:]]] = -1
    return nearest, closeness
