"""Checks of a pair program that Pyro does not make: each finds a mistake that gives a wrong loss without an error."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine.do_messenger import DoMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _PYRO_STACK
from pyro.poutine.trace_struct import Trace
from torch import Tensor, nn

from pyro_lcm.causal.abilities import sets_of
from pyro_lcm.causal.targets import hit_mask
from pyro_lcm.testing.brute_force import arguments, assignments, latent_sites, run_conditioned, trace_guide

PLATE = "pairs"
PARAMETERS = ("x", "x_after", "targets", "size", "index")
_SCALE = 2


def check_pair_program(model: nn.Module, guide: nn.Module, batch: Mapping[str, Tensor]) -> None:
    """Run model and guide once and look for what Pyro accepts in silence.

    Found are: a signature that is not the contract's; observations that are missing, misshapen or outside the plate
    ``pairs``; latent sites without a partner in the other program; interventions (``pyro.do``) that meet no site or
    do not fit it, or are scored; enumeration inside another plate; sites that a minibatch scales wrongly; a
    ``redrawn`` site whose density counts where it is not the target's; a ``guide.encode`` that gives no distribution.

    Args:
        model: the generative program.
        guide: its guide.
        batch: ``x`` and ``x_after``, (pairs, ...), at least two pairs; optionally ``targets``.

    Raises:
        ValueError: for the first mistake found; the message names the program and the site.
    """
    rows = len(batch["x"])
    for name, program in (("model", model), ("guide", guide)):
        _check_signature(name, program)
    recorder = _InterventionRecorder()
    call = arguments(batch) | {"size": _SCALE * rows}
    with torch.no_grad(), pyro.get_param_store().scope():
        with poutine.enum(first_available_dim=-2):
            q = poutine.trace(guide).get_trace(**call)
            with recorder:
                p = poutine.trace(poutine.replay(model, q)).get_trace(**call)
        _check_observations(p, batch)
        _check_partners(p, q)
        recorder.check()
        for name, trace in (("model", p), ("guide", q)):
            _check_sites(name, trace)
        _check_redrawn(model, guide, batch)
        _check_encode(guide, batch)


def _check_signature(name: str, program: nn.Module) -> None:
    parameters = inspect.signature(program.forward).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    missing = [argument for argument in PARAMETERS if argument not in parameters]
    if missing:
        raise ValueError(
            f"{name}: got forward({', '.join(parameters)}), expected the arguments {', '.join(PARAMETERS)} "
            f"({missing[0]} is missing)"
        )


def _check_observations(p: Trace, batch: Mapping[str, Tensor]) -> None:
    for name, key in (("before/x", "x"), ("after/x", "x_after")):
        site = p.nodes.get(name)
        if site is None or not site["is_observed"]:
            raise ValueError(f"model: site {name!r} is missing or not observed, expected obs={key}")
        if site["value"].shape != batch[key].shape:
            raise ValueError(f"model: site {name!r} has shape {tuple(site['value'].shape)}, expected that of {key}")
        batch_shape, rows = site["fn"].batch_shape, len(batch[key])
        if not batch_shape or batch_shape[-1] != rows:
            raise ValueError(
                f"model: site {name!r} has batch shape {tuple(batch_shape)}, expected (..., {rows}); "
                "declare the dimensions of one observation by to_event"
            )
        if [frame.name for frame in site["cond_indep_stack"]] != [PLATE]:
            raise ValueError(f"model: site {name!r} has to be inside the plate {PLATE!r} and no other")


def _check_partners(p: Trace, q: Trace) -> None:
    inferred = latent_sites(q)
    for name, site in latent_sites(p).items():
        if "__CF" in name:
            raise ValueError(f"model: site {name!r} is the value set by pyro.do, scored; put the trace outside do")
        if name not in inferred and site["infer"].get("enumerate") != "parallel":
            raise ValueError(
                f"model: the latent site {name!r} is not in the guide, and Pyro would draw it from its prior; "
                "add it to the guide, or make it a pyro.deterministic function of other sites"
            )
    for name, site in inferred.items():
        if name not in p.nodes and not site["infer"].get("is_auxiliary"):
            raise ValueError(f"guide: the site {name!r} is not in the model; mark it infer={{'is_auxiliary': True}}")


def _check_sites(program: str, trace: Trace) -> None:
    for name, site in trace.nodes.items():
        if site["type"] != "sample" or poutine.util.site_is_subsample(site):
            continue
        plates = [frame.name for frame in site["cond_indep_stack"]]
        if site["infer"].get("_enumerate_dim") is not None and plates not in ([], [PLATE]):
            raise ValueError(
                f"{program}: the enumerated site {name!r} is inside the plates {plates}; only {PLATE!r} sums rightly"
            )
        silent = site["infer"].get("_deterministic", False)
        if plates and not silent and float(site["scale"]) != _SCALE:
            raise ValueError(
                f"{program}: site {name!r} is scaled by {float(site['scale']):g} with half of the data, "
                f"expected {_SCALE}; pyro.do outside the plate scales twice, and weights belong in the objective"
            )


def _check_redrawn(model: nn.Module, guide: nn.Module, batch: Mapping[str, Tensor]) -> None:
    """Other values of untouched components must leave log p - log q as it is."""
    for assignment in assignments(trace_guide(guide, batch), len(batch["x"])):
        values = assignment.values
        target, redrawn = values.get("target"), values.get("redrawn")
        if target is None or redrawn is None or target.dim() != 1 or redrawn.dim() != 2:
            return
        sets = sets_of(model)
        hit = hit_mask(target, redrawn.shape[-1]) if sets is None else sets[target]
        other = values | {"redrawn": torch.where(hit, redrawn, redrawn + 1.0)}
        before, after = (_log_ratio(model, guide, batch, v) for v in (values, other))
        if not torch.allclose(before, after, rtol=1e-4, atol=1e-4):
            raise ValueError(
                "the site 'redrawn' counts in components that are not the target's, "
                "expected the model's own density of them in the guide (redrawn_dist=model.redrawn_dist), "
                "or .mask(hit) before .to_event(1) in both"
            )


def _check_encode(guide: nn.Module, batch: Mapping[str, Tensor]) -> None:
    """What encodes observations tells how sure it is: its mean and standard deviation are read."""
    encode = getattr(guide, "encode", None)
    if encode is None:
        return
    encoded = encode(batch["x"])
    if not isinstance(encoded, torch.distributions.Distribution):
        raise ValueError(
            f"guide.encode: got {type(encoded).__name__}, expected a distribution of noise encodings, (pairs, d)"
        )


def _log_ratio(model: nn.Module, guide: nn.Module, batch: Mapping[str, Tensor], values: dict[str, Tensor]) -> Tensor:
    p, q = run_conditioned(model, batch, values), run_conditioned(guide, batch, values)
    return torch.as_tensor(p.log_prob_sum() - q.log_prob_sum())


class _InterventionRecorder(Messenger):
    """Watches which sites each ``pyro.do`` on the stack acts on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, tuple[DoMessenger, set[str]]] = {}

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        for frame in _PYRO_STACK:
            if isinstance(frame, DoMessenger):
                self.seen.setdefault(frame._intervener_id, (frame, set()))
        # pyro.do sends a fresh copy of the site it acts on through the stack, marked with its own id.
        if msg.get("_intervener_id") in self.seen:
            frame, used = self.seen[msg["_intervener_id"]]
            for key, value in frame.data.items():
                if key not in used and f"/{msg['name']}".endswith(f"/{key}"):
                    used.add(key)
                    _check_intervention(key, value, msg)

    def check(self) -> None:
        for frame, used in self.seen.values():
            for key in set(frame.data) - used:
                raise ValueError(
                    f"model: pyro.do on {key!r} meets no site of that name, and Pyro ignores it; "
                    "inside do the name is the one without the prefix of a scope around it"
                )


def _check_intervention(key: str, value: Any, msg: dict[str, Any]) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"model: pyro.do on {key!r} got {type(value).__name__}, expected a tensor")
    # To the left of the plate and the event there may be dimensions of enumerated sites.
    wanted = torch.Size(msg["fn"].shape())[-1 - msg["fn"].event_dim :]
    came = value.shape[-len(wanted) :]
    if len(came) > len(wanted) or any(
        size not in (1, own) for size, own in zip(came[::-1], wanted[::-1], strict=False)
    ):
        raise ValueError(f"model: pyro.do on {key!r} got shape {tuple(value.shape)}, expected {tuple(wanted)}")
    natural = msg["value"]
    if natural is not None and natural.is_floating_point() != value.is_floating_point():
        raise ValueError(f"model: pyro.do on {key!r} got {value.dtype}, expected {natural.dtype}")
