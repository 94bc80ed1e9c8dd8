"""Steps of every phase of every model's recipe, on a small set of pairs, wherever they are."""

from collections.abc import Callable, Iterator

import pyro
import torch

from pyro_lcm.architecture import Architecture
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.registry import SPECS, build
from pyro_lcm.training.optimizers import optimizer_of
from pyro_lcm.training.sources import PlacedSource, TensorSource

DIM, PAIRS = 3, 400
MODELS = [(name, invertible) for name, spec in SPECS.items() for invertible in {False, spec.invertible}]


def steps(name: str, invertible: bool, device: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """The phases of a model's recipe, each begun, with a function that takes one step of it."""
    place = torch.device(device)
    spec = SPECS[name]
    tensors, targets = _tensors()
    if spec.known_targets:
        tensors["targets"] = targets
    architecture = Architecture(name, DIM, DIM, invertible=invertible, flow_layers=2, flow_hidden=4)
    objective = spec.objective(*build(architecture)).to(place)
    source = PlacedSource(TensorSource(tensors), place)
    index = torch.arange(64)
    with pyro.validation_enabled(False):
        for phase in spec.phases(architecture, Budget(fit=10, reconstruct=1, refine=1, solutions=1), False):
            if phase.start is not None:
                with torch.no_grad():
                    phase.start(objective, source, 0)
            if not phase.steps:
                continue
            optimizer = optimizer_of(phase, scaled=False)([{"params": list(objective.parameters()), "lr": 1e-4}])
            rows, settings = index.to(place), phase.settings_at(0.0)

            def step(optimizer=optimizer, rows=rows, settings=settings) -> None:
                loss, _ = objective(source.batch(index), size=PAIRS, index=rows, **settings)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(objective.parameters(), 10.0)
                optimizer.step()

            yield phase.name, step


def _tensors():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(PAIRS, DIM, generator=generator)
    targets = torch.randint(DIM + 1, (PAIRS,), generator=generator)
    hit = torch.nn.functional.one_hot(targets, DIM + 1)[:, 1:].bool()
    after = torch.where(hit, torch.randn(PAIRS, DIM, generator=generator), noise)
    return {"x": noise, "x_after": after}, targets
