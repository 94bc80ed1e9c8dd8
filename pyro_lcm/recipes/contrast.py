"""Contrastive objectives of content, and which terms of a program's ELBO they are.

Let e = g(x) and e~ = g(x~) be codes of the two sides. Two losses of von Kuegelgen et al. (NeurIPS 2021, arXiv
2106.04619, sections 4 and 5) pull the two together and spread codes out:

    maximum entropy      E |e - e~|^2 / (2 t^2)  -  H(e)                           theorem 4.4, codes in a bounded set
    InfoNCE              -E log [ k(e, e~) / mean_j k(e, e~_j) ],  k = exp(-|e - e~|^2 / (2 t^2))

Take the program of :class:`pyro_lcm.models.content_style.ContentStyle` with r | e ~ N(e, t^2), a point mass at g(x) and
g(x~) as its guide, and any decoder. Then

    ELBO = E log p(e)  +  E log N(e~; e, t^2)  +  E log p(x | e)  +  E log p(x~ | e~)

and, the best decoder given, E log p(x | e) = H(e) - H(x), for e is a function of x. So:

* *alignment*, E |e - e~|^2 / (2 t^2), is the term of the site ``redrawn`` (up to a constant);
* *entropy* with the prior, H(e) + E log p(e) = -KL(q(e) || N(0, 1)), q the law of codes, is the sites ``noise`` and
  ``before/x`` together, with the best decoder in the place of one that is learned, up to H(x), which no code changes.
  Through the normal distribution function codes are in the unit cube, and this is their entropy there;
* the site ``after/x`` has no counterpart: the term of the second side is left out, H(e~) with it. It would count the
  spread of one and the same content twice;
* InfoNCE's numerator is alignment again; its denominator is a kernel estimate of H(e~) from the batch, with nothing in
  the place of the prior, and at most log B nats of it: batches that are told apart say nothing more. It is
  therefore no term of the ELBO but of a bound on the mutual information of the two codes.

Neither loss asks for style. What it does to a code that has more numbers than there are of content is measured in
the page on content and style of the manual.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from scipy.special import digamma
from torch import Tensor

__all__ = ["CONTRASTS", "Contrast", "contrast", "info_nce", "maximum_entropy", "nearest_neighbour_entropy"]

Contrast = Literal["max_entropy", "info_nce"]
CONTRASTS: tuple[Contrast, ...] = get_args(Contrast)

NEIGHBOUR = 8
"""Which neighbour entropy is told by."""
_EPS = 1e-6
"""Added to distances of neighbours, in units of the codes."""


def contrast(way: Contrast, before: Tensor, after: Tensor, tolerance: float) -> tuple[Tensor, dict[str, Tensor]]:
    """One of the losses, a scalar, and its parts by name; arguments as theirs.

    Raises:
        ValueError: if there is no such way.
    """
    if way not in CONTRASTS:
        raise ValueError(f"contrast: got {way!r}, expected one of {', '.join(CONTRASTS)}")
    return (maximum_entropy if way == "max_entropy" else info_nce)(before, after, tolerance)


def maximum_entropy(before: Tensor, after: Tensor, tolerance: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Alignment less entropy, with the prior N(0, 1) of each number: the mean over the two sides.

    Args:
        before: (B, d) codes, B at least 2.
        after: (B, d) codes of the other sides.
        tolerance: t, how far codes of one content may be apart.

    Returns:
        The loss, a scalar, and ``alignment`` and ``divergence``, the KL divergence of codes from the prior.

    >>> codes = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> loss, parts = maximum_entropy(codes, codes, 0.1)
    >>> bool(parts["divergence"].abs() < 0.1), float(parts["alignment"])
    (True, 0.0)
    """
    alignment = (before - after).square().sum(-1).mean() / (2 * tolerance**2)
    prior = torch.stack([side.square().sum(-1).mean() for side in (before, after)]).mean() / 2
    prior = prior + before.shape[1] * math.log(2 * math.pi) / 2
    entropy = torch.stack([nearest_neighbour_entropy(side) for side in (before, after)]).mean()
    divergence = prior - entropy
    return alignment + divergence, {"alignment": alignment.detach(), "divergence": divergence.detach()}


def nearest_neighbour_entropy(codes: Tensor, neighbour: int = NEIGHBOUR) -> Tensor:
    """Differential entropy, in nats, by distances to the k-th nearest neighbour (Kozachenko and Leonenko 1987).

        H = d E log rho + log V_d + psi(B) - psi(k),      rho the distance, V_d the volume of the unit ball

    Args:
        codes: (B, d), B at least 2.
        neighbour: k, at least 1; at most B - 1 is taken. The gradient, 1 / rho, of the first has no finite variance for
            few numbers d.

    Returns:
        The estimate, a scalar, whose gradient drives neighbours apart.

    >>> codes = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0))
    >>> bool(nearest_neighbour_entropy(codes).abs() < 0.1)
    True
    """
    number, dim = codes.shape
    k = min(neighbour, number - 1)
    fixed = codes.detach()
    apart = torch.cdist(fixed, fixed, compute_mode="donot_use_mm_for_euclid_dist")
    apart.fill_diagonal_(torch.inf)
    nearest = apart.topk(k, largest=False).indices[:, -1]
    distance = (codes - codes[nearest]).square().sum(-1).add(_EPS**2).sqrt()
    volume = dim / 2 * math.log(math.pi) - math.lgamma(dim / 2 + 1)
    return dim * distance.log().mean() + (volume + float(digamma(number) - digamma(k)))


def info_nce(before: Tensor, after: Tensor, tolerance: float) -> tuple[Tensor, dict[str, Tensor]]:
    """InfoNCE with a Gaussian kernel, the mean over the two directions; at least -log B.

    Args:
        before: (B, d) codes.
        after: (B, d) codes of the other sides.
        tolerance: t, the width of the kernel.

    Returns:
        The loss, a scalar, and ``alignment`` and ``information``, the bound in nats on what one side says of the other.

    >>> codes = 100 * torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    >>> round(float(info_nce(codes, codes, 1.0)[0]), 4) == round(-math.log(8), 4)
    True
    """
    scores = -torch.cdist(before, after).square() / (2 * tolerance**2)
    alignment = (before - after).square().sum(-1).mean() / (2 * tolerance**2)
    spread = torch.stack([torch.logsumexp(scores, side).mean() for side in (0, 1)]).mean() - math.log(len(before))
    loss = alignment + spread
    return loss, {"alignment": alignment.detach(), "information": -loss.detach()}
