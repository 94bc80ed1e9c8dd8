"""What is said of a model of content and style: its blocks, without truth, and their scores against it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyro_lcm.data.pairs import InterventionPairs
from pyro_lcm.data.sources import sides
from pyro_lcm.evaluation.blocks import block_scores
from pyro_lcm.fitting.fitted import FittedModel
from pyro_lcm.frames import shown_in_notebook
from pyro_lcm.identify.blocks import suggest_content
from pyro_lcm.recipes.content_style import ABLE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LatentBlocks", "blocks_of", "evaluate_blocks"]

SCORES = (
    "r2_content",
    "r2_content_linear",
    "r2_style",
    "r2_style_linear",
    "r2_style_by_content",
    "r2_style_by_content_linear",
)


@dataclass(frozen=True, repr=False)
class LatentBlocks:
    """Which latents are content and which are style.

    Attributes:
        names: of the latents, the most agreeing first in a model by name.
        agreement: (d,) the correlation of each with itself on the other side of a pair.
        is_content: (d,) bool.
    """

    names: tuple[str, ...]
    agreement: NDArray[np.float64]
    is_content: NDArray[np.bool_]

    @property
    def content(self) -> tuple[str, ...]:
        """Names of the latents that are content."""
        return tuple(name for name, of in zip(self.names, self.is_content, strict=True) if of)

    @property
    def style(self) -> tuple[str, ...]:
        """Names of the others."""
        return tuple(name for name, of in zip(self.names, self.is_content, strict=True) if not of)

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each latent: ``agreement`` and ``block``."""
        import pandas as pd

        block = np.where(self.is_content, "content", "style")
        return pd.DataFrame({"agreement": self.agreement, "block": block}, index=list(self.names))

    def __repr__(self) -> str:
        return f"LatentBlocks(content={list(self.content)}, style={list(self.style)})"

    def _repr_html_(self) -> str:
        return shown_in_notebook(f"{len(self.content)} of {len(self.names)} latents are content", self.to_dataframe())


def blocks_of(fitted: FittedModel, pairs: InterventionPairs | None = None) -> LatentBlocks:
    """The blocks, as the fit found them or as other pairs say.

    Args:
        fitted: of a model of blocks.
        pairs: to measure agreement on, held-out ones say; None for those of the fit.

    Raises:
        ValueError: if the model has no blocks, or there are fewer pairs than latents.
    """
    if not fitted.blocks:
        raise ValueError(f"model: got {fitted.name}, which has no blocks, expected content_style")
    model = fitted.model
    if pairs is None:
        agreement, content = (part.cpu().numpy() for part in (model.agreement, model.content))
        return LatentBlocks(fitted.names, agreement.astype(np.float64), content)
    if len(pairs) <= fitted.dim_z:
        raise ValueError(f"pairs: got {len(pairs)}, expected more than {fitted.dim_z}, the number of latents")
    before, after = (fitted.encode(side).noise.astype(np.float64) for side in sides(pairs))
    apart = np.square(before - after).mean(0) / 2
    disagreement = apart / np.concatenate([before, after]).var(0)
    order = np.argsort(disagreement, kind="stable")
    content = np.zeros(fitted.dim_z, dtype=bool)
    content[order[: suggest_content(disagreement[order], tolerance=ABLE)]] = True
    return LatentBlocks(fitted.names, 1 - disagreement, content)


def evaluate_blocks(
    fitted: FittedModel, pairs: InterventionPairs, *, rows: int = 10_000, seed: int = 0
) -> dict[str, float | None]:
    """Scores against the truth in pairs; None where it is missing.

    True content is what no pair changes.

    Args:
        fitted: of a model of blocks.
        pairs: test pairs; with ``z`` and ``z_after`` for the scores of :class:`pyro_lcm.evaluation.blocks.BlockScores`.
        rows: used for regressions at most, the first ones.
        seed: of the rows that are fitted.

    Returns:
        ``r2_content``, ``r2_content_linear``, ``r2_style``, ``r2_style_linear``, ``r2_style_by_content``,
        ``r2_style_by_content_linear``, predicted from the latents that are content; ``content``, their number, and
        ``elbo``.
    """
    found = blocks_of(fitted)
    scores: dict[str, float | None] = dict.fromkeys(SCORES)
    part = pairs[:rows]
    if part.z is not None and part.z_after is not None and found.is_content.any():
        shared = (part.z == part.z_after).all(0)
        if shared.any() and not shared.all():
            latents = fitted.encode(part.x).noise[:, found.is_content]
            told = block_scores(latents, part.z[:, shared], part.z[:, ~shared], seed=seed)
            scores |= {f"r2_{name}": value for name, value in asdict(told).items()}
    return scores | {"content": float(found.is_content.sum()), "elbo": fitted.elbo(pairs, hypotheses=1, seed=seed)}
