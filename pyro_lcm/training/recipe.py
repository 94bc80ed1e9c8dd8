"""The default recipe: phases that find the causal variables instead of descending towards them."""

from __future__ import annotations

from dataclasses import dataclass

from pyro_lcm.training.phases import Phase
from pyro_lcm.training.schedules import Cosine
from pyro_lcm.training.warmstart import AlignToLines, Calibrate


@dataclass(frozen=True)
class Recipe:
    reconstruct: int = 0
    unmix: int = 2500
    refine: int = 1000
    solutions: int = 1500
    batch_size: int = 512

    def phases(self) -> tuple[Phase, ...]:
        b = self.batch_size
        out = []
        if self.reconstruct:
            out.append(
                Phase(
                    "reconstruct",
                    self.reconstruct,
                    Cosine(2e-3, 1e-4),
                    b,
                    {"stage": "reconstruct", "kl_weight": 1.0},
                    gradient_clip=10.0,
                )
            )
        if self.unmix:
            out.append(
                Phase(
                    "unmix",
                    self.unmix,
                    Cosine(6e-3, 1e-5),
                    b,
                    {"stage": "unmix"},
                    gradient_clip=20.0,
                    start=AlignToLines(),
                )
            )
        out.append(Phase("calibrate", 0, start=Calibrate() if self.unmix else _both))
        if self.refine:
            out.append(
                Phase(
                    "refine",
                    self.refine,
                    Cosine(1e-3, 1e-5),
                    b,
                    {"stage": "pairs", "hypotheses": 1},
                    gradient_clip=10.0,
                )
            )
        if self.solutions:
            out.append(
                Phase(
                    "solutions",
                    self.solutions,
                    Cosine(2e-3, 1e-5),
                    4 * b,
                    {"stage": "solutions"},
                    weight_decay={"model.solution": 0.1},
                    freeze=("guide", "model.decoder"),
                    keep="best",
                )
            )
        return tuple(out)


def _both(objective, source, seed):
    return {**AlignToLines()(objective, source, seed), **Calibrate()(objective, source, seed)}
