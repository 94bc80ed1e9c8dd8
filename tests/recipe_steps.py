"""Steps of every phase of every model's recipe, on a small set of pairs, wherever they are."""

from collections.abc import Callable, Iterator

import pyro
import torch

from pyro_lcm.architecture import Architecture
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.registry import SPECS, build
from pyro_lcm.training.optimizers import optimizer_of
from pyro_lcm.training.phases import Phase
from pyro_lcm.training.recorded import Gradients
from pyro_lcm.training.sources import PlacedSource, TensorSource

DIM, PAIRS = 3, 400
MODELS = [(name, invertible) for name, spec in SPECS.items() for invertible in {False, spec.invertible}]


def gradients_of(name: str, invertible: bool, device: str) -> Iterator[tuple[Phase, list, Gradients, torch.Tensor]]:
    """The phases of a model's recipe, each begun: parameters, the gradients of a step, and rows to take it with."""
    place = torch.device(device)
    spec = SPECS[name]
    tensors, targets = _tensors()
    if spec.known_targets:
        tensors["targets"] = targets
    variables = None
    if spec.temporal:
        variables = DIM
        tensors["targets"] = torch.nn.functional.one_hot(targets, DIM + 1)[:, 1:]
    how = {"invertible": invertible, "flow_layers": 2, "flow_hidden": 4}
    architecture = Architecture(name, DIM, DIM, variables=variables, actions=DIM if spec.actions else None, **how)
    objective = spec.objective(*build(architecture)).to(place)
    source = PlacedSource(TensorSource(tensors), place)
    parameters = list(objective.parameters())
    with pyro.validation_enabled(False):
        for phase in spec.phases(architecture, Budget(fit=10, reconstruct=1, refine=1, solutions=1), False):
            if phase.start is not None:
                with torch.no_grad():
                    phase.start(objective, source, 0)
            if phase.steps:

                def gradients(index, progress, phase=phase):
                    for parameter in parameters:
                        parameter.grad = None
                    settings = phase.settings_at(progress)
                    loss, metrics = objective(source.batch(index), size=PAIRS, index=index, **settings)
                    loss.backward()
                    return {"loss": loss.detach(), **metrics}

                yield phase, parameters, gradients, torch.arange(64, device=place)


def steps(name: str, invertible: bool, device: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """The phases of a model's recipe, each begun, with a function that takes one step of it."""
    for phase, parameters, gradients, index in gradients_of(name, invertible, device):
        optimizer = optimizer_of(phase, scaled=False)([{"params": parameters, "lr": 1e-4}])

        def step(gradients=gradients, parameters=parameters, optimizer=optimizer, index=index) -> None:
            gradients(index, 0.0)
            torch.nn.utils.clip_grad_norm_(parameters, 10.0)
            optimizer.step()

        yield phase.name, step


def _tensors():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(PAIRS, DIM, generator=generator)
    targets = torch.randint(DIM + 1, (PAIRS,), generator=generator)
    hit = torch.nn.functional.one_hot(targets, DIM + 1)[:, 1:].bool()
    after = torch.where(hit, torch.randn(PAIRS, DIM, generator=generator), noise)
    return {"x": noise, "x_after": after}, targets
