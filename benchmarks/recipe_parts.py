"""What each part of the default recipe does: scores after every phase, and of fits that lack a part.

The system is the scaling simulator, nonlinear unless told otherwise; targets, graph and true variables only score, by
`pyro_lcm.evaluation`. Seconds are CPU seconds of one thread up to that point.

    python benchmarks/recipe_parts.py --pairs 100000 --variants "all parts" "without initialize"
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pyro
import torch

from pyro_lcm.assessment.pair_assessment import evaluate
from pyro_lcm.data import InterventionPairs
from pyro_lcm.data.holdout import hold_out
from pyro_lcm.data.scaling import ScalingSystem
from pyro_lcm.fitting.design import choose_design, fit_standardizer
from pyro_lcm.fitting.fitted import FittedModel
from pyro_lcm.recipes.implicit import RATE
from pyro_lcm.recipes.initialize import LEAST_TOLERANCE
from pyro_lcm.registry import build, spec_of
from pyro_lcm.training import Cosine, Phase, fit

Phases = tuple[Phase, ...]
SHOWN = ("disentanglement", "mcc", "mcc_noise", "intervention_accuracy", "shd")


@dataclass(frozen=True)
class Scored:
    """The start of a phase, with the scores before it, and after it where it belongs to the first phase."""

    start: Callable[..., Any] | None
    show: Callable[[str], None]
    before: str | None = None
    after: str | None = None

    def __call__(self, objective: Any, source: Any, seed: int) -> Any:
        if self.before is not None:
            self.show(self.before)
        found = None if self.start is None else self.start(objective, source, seed)
        if self.after is not None:
            self.show(self.after)
        return found


@dataclass(frozen=True)
class SmallTolerance:
    """The start of a fit, and the tolerance set to the least it starts from."""

    start: Callable[..., Any]

    def __call__(self, objective: Any, source: Any, seed: int) -> Any:
        found = self.start(objective, source, seed)
        objective.guide.encoder.set_tolerance(LEAST_TOLERANCE)
        return found


def _each(phases: Phases, **changes: Any) -> Phases:
    return tuple(replace(phase, **changes) if phase.steps else phase for phase in phases)


def _without_order(phases: Phases) -> Phases:
    steps = sum(phase.steps for phase in phases)
    return (replace(phases[0], steps=steps, learning_rate=Cosine(RATE, 1e-5), keep="best"),)


def _small_tolerance(phases: Phases) -> Phases:
    start = phases[0].start
    assert start is not None
    return (replace(phases[0], start=SmallTolerance(start), freeze=("model.decoder.log_tolerance",)), *phases[1:])


VARIANTS: dict[str, Callable[[Phases], Phases]] = {
    "all parts": lambda phases: phases,
    "without initialize": lambda phases: (replace(phases[0], start=None), *phases[1:]),
    "without order": _without_order,
    "one target a pair": lambda phases: _each(phases, settings={"hypotheses": 1}),
    "Adam": lambda phases: _each(phases, optimizer="adam", learning_rate=Cosine(3e-3, 1e-5)),
    "small tolerance": _small_tolerance,
}


def run(name: str, training: InterventionPairs, test: InterventionPairs, dci_rows: int, seed: int) -> None:
    """One fit, a line for each phase."""
    spec = spec_of("ilcm")
    training, held_out = hold_out(training, seed=seed)
    standardizer = fit_standardizer(training, units=spec.units)
    design = choose_design(spec, training, standardizer, seed=seed)
    model, guide = build(design.architecture, seed=seed)
    names = tuple(f"z{i + 1}" for i in range(design.architecture.dim_z))
    fitted = FittedModel(spec.objective(model, guide), standardizer, names, design.architecture)
    spent, begun = 0.0, time.process_time()

    def show(after: str) -> None:
        nonlocal spent, begun
        spent += time.process_time() - begun
        scores = evaluate(fitted, test, dci_rows=dci_rows)
        values = " | ".join("" if (value := scores.get(key)) is None else f"{value:.3f}" for key in SHOWN)
        print(f"| {name} | {after} | {values} | {spent:.0f} |", flush=True)
        begun = time.process_time()

    phases = VARIANTS[name](design.phases)
    marked = [
        replace(phases[0], start=Scored(phases[0].start, show, after="initialize" if phases[0].start else "nothing"))
    ]
    for earlier, phase in pairwise(phases):
        marked.append(replace(phase, start=Scored(phase.start, show, before=earlier.name)))
    sources = [fitted.source(part) for part in (training, held_out)]
    with pyro.validation_enabled(False):
        fit(fitted.objective, sources[0], marked, validation=sources[1], seed=seed, device="cpu", progress=False)
    show(phases[-1].name)


def main(dim: int, pairs: int, linear: bool, data_seed: int, seed: int, dci_rows: int, variants: list[str]) -> None:
    torch.set_num_threads(1)
    how = {} if linear else {"mechanisms": "nonlinear", "mixing": "leaky_relu"}
    system = ScalingSystem(dim, seed=data_seed, **how)
    training, test = system.sample(pairs, 0), system.sample(10_000, 1)
    print("| variant | after | D | MCC | MCC of noise | target accuracy | SHD | CPU s |\n|" + "---|" * 8)
    for name in variants:
        run(name, training, test, dci_rows, seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dim", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--linear", action="store_true")
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dci-rows", type=int, default=5_000)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    main(**vars(parser.parse_args()))
