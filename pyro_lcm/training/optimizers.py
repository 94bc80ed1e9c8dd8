"""Optimizers of a phase: parameters by name prefix, the default optimizer, and its state by parameter name.

The default is AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), which without weight decay is Adam. Its
fused kernel takes a third of the time of the looped one on a CPU, where a training step of small networks is
dispatch-bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pyro_lcm.training.phases import Phase
from pyro_lcm.training.soap import SOAP

__all__ = ["OptimizerFactory", "adam"]

OptimizerFactory = Callable[[list[dict[str, Any]]], Optimizer]


def adam(groups: list[dict[str, Any]]) -> Optimizer:
    """Return AdamW over ``groups``, with the fused kernel where there is one.

    Args:
        groups: Parameter groups with the keys ``params``, ``lr`` and ``weight_decay``.
    """
    return torch.optim.AdamW(groups, fused=_has_fused(groups))


def soap(groups: list[dict[str, Any]]) -> Optimizer:
    """Return SOAP over ``groups``."""
    return SOAP(groups)


def unfused_adam(groups: list[dict[str, Any]]) -> Optimizer:
    """Return AdamW without the fused kernel, which excludes loss scaling with gradient clipping."""
    return torch.optim.AdamW(groups, fused=False)


def optimizer_of(phase: Phase, *, scaled: bool) -> OptimizerFactory:
    """Return the factory that a phase names.

    Args:
        phase: The phase.
        scaled: Whether losses are scaled.
    """
    if phase.optimizer == "soap":
        return soap
    return unfused_adam if scaled else adam


def covers(prefix: str, name: str) -> bool:
    """Whether a prefix stands for the parameter ``name``: it ends at a dot; the empty one covers all.

    >>> covers("model.solution", "model.solution.weight"), covers("model.solution", "model.solution_scale")
    (True, False)
    """
    prefix = prefix.rstrip(".")
    return prefix in ("", name) or name.startswith(prefix + ".")


def check_prefixes(phase: Phase, names: Iterable[str]) -> None:
    """Check that each prefix of a phase covers a parameter, and that something is left to train.

    Raises:
        ValueError: If a prefix covers none, which is a misspelling, or everything is frozen; it names the
            field.
    """
    names = list(names)
    decay = phase.weight_decay if isinstance(phase.weight_decay, Mapping) else {}
    for field, prefixes in (("freeze", phase.freeze), ("weight_decay", decay)):
        for prefix in prefixes:
            if not any(covers(prefix, name) for name in names):
                heads = sorted({".".join(name.split(".")[:2]) for name in names})
                raise ValueError(
                    f"phase {phase.name!r}: {field}: no parameter starts with {prefix!r}; names start with {heads}"
                )
    if phase.steps and not any(not is_frozen(phase, name) for name in names):
        raise ValueError(f"phase {phase.name!r}: freeze: {list(phase.freeze)} leaves no parameter to train")


def is_frozen(phase: Phase, name: str) -> bool:
    """Whether the phase leaves the parameter ``name`` as it is."""
    return any(covers(prefix, name) for prefix in phase.freeze)


def weight_decay_of(phase: Phase, name: str) -> float:
    """Return the weight decay of the parameter ``name``: that of the longest prefix which covers it, or 0."""
    if not isinstance(phase.weight_decay, Mapping):
        return float(phase.weight_decay)
    matches = [prefix for prefix in phase.weight_decay if covers(prefix, name)]
    return float(phase.weight_decay[max(matches, key=len)]) if matches else 0.0


def parameter_groups(phase: Phase, parameters: Mapping[str, nn.Parameter]) -> list[dict[str, Any]]:
    """Return the groups of a phase, one for each weight decay, in the order of the parameters.

    Frozen parameters are included: they get no gradient, hence no update, and keep their moments for later
    phases.
    """
    by_decay: dict[float, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        by_decay.setdefault(weight_decay_of(phase, name), []).append(parameter)
    rate = phase.learning_rate_at(0.0)
    return [{"params": params, "lr": rate, "weight_decay": decay} for decay, params in by_decay.items()]


def export_state(optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Any]:
    """Return the state of an optimizer by parameter name, with the options of its groups."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in parameters.items()}
    groups = [
        {
            "names": [names[parameter] for parameter in group["params"]],
            "options": {key: value for key, value in group.items() if key != "params"},
        }
        for group in optimizer.param_groups
    ]
    return {
        "state": {names[parameter]: dict(values) for parameter, values in optimizer.state.items()},
        "groups": groups,
    }


def moments(saved: Mapping[str, Any] | None) -> dict[str, Tensor]:
    """Return the tensors of what `export_state` returned, by a name to show."""
    return {
        f"{key} of {name}": value
        for name, values in (saved or {"state": {}})["state"].items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def import_state(optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], saved: Mapping[str, Any]) -> None:
    """Put what `export_state` returned into an optimizer of the same parameters.

    Group options (some optimizers count steps there) are taken over where the groups are the same.
    """
    names = {parameter: name for name, parameter in parameters.items()}
    state: dict[int, Any] = {}
    groups: list[dict[str, Any]] = []
    position = 0
    for number, group in enumerate(optimizer.param_groups):
        members = [names[parameter] for parameter in group["params"]]
        options = {key: value for key, value in group.items() if key != "params"}
        if number < len(saved["groups"]) and saved["groups"][number]["names"] == members:
            kept = {"lr", "weight_decay"}  # these belong to the phase
            options |= {key: value for key, value in saved["groups"][number]["options"].items() if key not in kept}
        groups.append({**options, "params": list(range(position, position + len(members)))})
        for name in members:
            if name in saved["state"]:
                # copied, for an optimizer takes over tensors of the right type and changes them in place
                state[position] = {
                    key: value.clone() if isinstance(value, Tensor) else value
                    for key, value in saved["state"][name].items()
                }
            position += 1
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _has_fused(groups: list[dict[str, Any]]) -> bool:
    parameters = [parameter for group in groups for parameter in group["params"]]
    return all(parameter.is_floating_point() and parameter.device.type in ("cpu", "cuda") for parameter in parameters)
