"""The tests that every pair of a generative program and a guide has to pass, as a class to inherit from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyro
import torch
from pyro import poutine
from safetensors.torch import load, save
from torch import Tensor, nn

from pyro_lcm.causal.targets import hit_mask
from pyro_lcm.testing.brute_force import brute_force_elbo
from pyro_lcm.testing.guards import check_pair_program
from pyro_lcm.training.objective import PairObjective

Settings = Mapping[str, Any]


class PairProgramTests:
    """Inherit, implement :meth:`make` and :meth:`batch`, and let pytest find the rest.

    Attributes:
        settings: settings of :class:`~pyro_lcm.training.objective.PairObjective` under which the ELBO is compared
            with the sum by brute force.
        has_target: whether the programs have a site ``target``.
        without_gradient: names of parameters, or of modules that hold them, to which the ELBO gives no gradient.
    """

    settings: tuple[Settings, ...] = (
        {},
        {"hypotheses": 1},
        {"hypotheses": 2},
        {"kl_weight": 0.3},
        {"intervention_term": False},
    )
    has_target = True
    without_gradient: tuple[str, ...] = ()

    def make(self) -> tuple[nn.Module, nn.Module]:
        """A new model and its guide, small (three variables, say)."""
        raise NotImplementedError

    def batch(self) -> dict[str, Tensor]:
        """``x`` and ``x_after`` of a few pairs, (pairs, ...), and ``targets`` if some are known."""
        raise NotImplementedError

    # ------------------------------------------------------------------ structure

    def test_guards(self) -> None:
        """Nothing is wrong that Pyro would accept in silence."""
        model, guide, batch = self._ready()
        check_pair_program(model, guide, batch)

    def test_sites_and_shapes(self) -> None:
        """Sites have the names and shapes of the contract, and so have the methods of model and guide."""
        model, guide, batch = self._ready()
        rows, dim = len(batch["x"]), model.dim_z
        with torch.no_grad(), _own_parameters():
            nodes = poutine.trace(model).get_trace(None, None, targets=None, size=rows).nodes
            expected: dict[str, tuple[int, ...]]
            expected = {"noise": (rows, dim), "before/encoding": (rows, dim), "after/encoding": (rows, dim)}
            expected |= {"before/causal": (rows, dim), "after/causal": (rows, dim)}
            expected |= {"before/x": tuple(batch["x"].shape), "after/x": tuple(batch["x"].shape)}
            expected |= {"target": (rows,)} if self.has_target else {}
            found = {name: tuple(nodes[name]["value"].shape) for name in expected if name in nodes}
            assert found == expected, f"sites of the model: got {found}, expected {expected}"
            posterior = guide.encode(batch["x"])
            assert (posterior.batch_shape, posterior.event_shape) == ((rows,), (dim,)), "guide.encode"
            targets = guide.targets(batch["x"], batch["x_after"])
            assert targets.shape == (rows, dim + 1), f"guide.targets: got {tuple(targets.shape)}"
            torch.testing.assert_close(targets.sum(-1), torch.ones_like(targets[:, 0]))
            assert model.causal(posterior.mean).shape == (rows, dim), "model.causal"

    def test_worlds_differ_in_the_target_alone(self) -> None:
        """``pyro.do`` on the target leaves the world before alone and redraws its component in the world after."""
        if not self.has_target:
            return
        model, _, batch = self._ready()
        rows, dim = len(batch["x"]), model.dim_z
        worlds = []
        for variable in range(dim + 1):
            target = torch.full((rows,), variable)
            pyro.set_rng_seed(0)
            with torch.no_grad(), _own_parameters():
                program = poutine.trace(pyro.do(model, {"target": target}))
                nodes = program.get_trace(None, None, targets=None, size=rows).nodes
            world = {name: node["value"] for name, node in nodes.items() if node["type"] == "sample"}
            encoding = torch.where(hit_mask(target, dim), world["redrawn"], world["noise"])
            torch.testing.assert_close(world["after/causal"], model.causal(encoding))
            worlds.append(world)
        torch.testing.assert_close(worlds[0]["after/causal"], worlds[0]["before/causal"])
        for variable, world in enumerate(worlds[1:]):
            torch.testing.assert_close(world["before/x"], worlds[0]["before/x"])
            changed = world["after/causal"][:, variable] != world["before/causal"][:, variable]
            assert changed.all(), f"variable {variable + 1} keeps its value under an intervention on it"

    # ----------------------------------------------------------------------- ELBO

    def test_elbo_is_the_sum_over_targets(self) -> None:
        """Value and gradients equal the brute-force sum in float64, with and without known targets."""
        model, guide, batch = self._ready()
        batches = [batch]
        if self.has_target and "targets" not in batch:
            rows = len(batch["x"])
            batches.append(batch | {"targets": torch.arange(rows) % (model.dim_z + 2) - 1})
        for given in batches:
            for settings in self.settings:
                self._compare(model, guide, given, len(given["x"]), settings)

    def test_a_minibatch_stands_for_the_data_set(self) -> None:
        """The ELBO of B out of N pairs is N / B times their own sum."""
        model, guide, batch = self._ready()
        self._compare(model, guide, batch, 5 * len(batch["x"]), {})

    def _compare(self, model: Any, guide: Any, batch: dict[str, Tensor], size: int, how: Settings) -> None:
        found = _elbo(model, guide, batch, size, how)
        with _own_parameters():
            expected = brute_force_elbo(model, guide, batch, size=size, **how)
        text = f"{dict(how)}, known targets: {'targets' in batch}"
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8, msg=_about(f"ELBO, {text}"))
        gradients, sums = _gradients(found, model, guide), _gradients(expected, model, guide)
        largest = max((float(value.abs().max()) for value in sums.values() if value.numel()), default=0.0)
        for name, value in sums.items():
            torch.testing.assert_close(
                gradients[name],
                value,
                rtol=1e-8,
                atol=1e-8 * (1 + largest),
                msg=partial("gradient of {}, {}: {}".format, name, text),
            )

    # ----------------------------------------------------------------- parameters

    def test_every_parameter_has_a_finite_gradient(self) -> None:
        """No parameter is left out of the ELBO, unless the class says so."""
        model, guide, batch = self._ready()
        for name, gradient in _gradients(_elbo(model, guide, batch, len(batch["x"]), {}), model, guide).items():
            assert torch.isfinite(gradient).all(), f"the gradient of {name} is not finite"
            excused = any(f".{name}.".find(f".{part}.") >= 0 for part in self.without_gradient)
            assert excused or gradient.any(), f"the gradient of {name} is zero"

    def test_no_device_is_named(self) -> None:
        """Model and guide run, are scored and differentiated with every tensor on the meta device."""
        model, guide, batch = self._ready()
        model, guide = model.to("meta"), guide.to("meta")
        tensors = {name: tensor.to("meta") for name, tensor in batch.items()}
        rows = len(batch["x"])
        call = {
            "targets": None,
            **tensors,
            "size": 2 * rows,
            "index": torch.empty(rows, dtype=torch.long, device="meta"),
        }
        with pyro.validation_enabled(False), _own_parameters():
            with poutine.enum(first_available_dim=-2):
                q = poutine.trace(guide).get_trace(**call)
                p = poutine.trace(poutine.replay(model, q)).get_trace(**call)
            total = torch.zeros((), device="meta")
            for trace in (p, q):
                trace.compute_log_prob()
                for site in trace.nodes.values():
                    if isinstance(site.get("log_prob_sum"), Tensor):
                        total = total + site["log_prob_sum"]
        total.backward()
        assert total.device.type == "meta"

    def test_saved_parameters_are_all_there_is(self) -> None:
        """A new model and guide that load the saved tensors have the same ELBO."""
        model, guide, batch = self._ready()
        fresh = nn.ModuleList(part.double() for part in self.make())
        stored = {
            name: value.contiguous().clone() for name, value in nn.ModuleList([model, guide]).state_dict().items()
        }
        fresh.load_state_dict(load(save(stored)))
        values = [_elbo(p, q, batch, len(batch["x"]), {}) for p, q in ((model, guide), (fresh[0], fresh[1]))]
        torch.testing.assert_close(values[1], values[0], rtol=0, atol=0)

    def test_the_driver_trains_it(self) -> None:
        """A few steps of the training driver change the parameters and leave Pyro's global store alone."""
        from pyro_lcm.training import Phase, fit

        model, guide = self.make()
        before = copy.deepcopy(nn.ModuleList([model, guide]).state_dict())
        result = fit(
            PairObjective(model, guide),
            self.batch(),
            [Phase("few", 3, batch_size=4)],
            seed=0,
            device="cpu",
            progress=False,
        )
        after = nn.ModuleList([model, guide]).state_dict()
        assert result.steps == 3
        assert any(not torch.equal(before[name], after[name]) for name in before), "no parameter moved"
        assert all(torch.isfinite(value).all() for value in after.values()), "a parameter is not finite"

    def _ready(self) -> tuple[Any, Any, dict[str, Tensor]]:
        """Model, guide and batch in float64, parameters moved at random so that none is zero by construction."""
        pyro.set_rng_seed(0)
        model, guide = (part.double() for part in copy.deepcopy(self.make()))
        with torch.no_grad():
            for parameter in (*model.parameters(), *guide.parameters()):
                parameter.add_(0.1 * torch.randn_like(parameter))
        tensors = {n: t.double() if t.is_floating_point() else t for n, t in self.batch().items()}
        return model, guide, tensors


@contextmanager
def _own_parameters() -> Iterator[None]:
    """Parameters belong to the modules; the global store stays as it was."""
    with pyro.get_param_store().scope():
        yield


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """The dtype of new tensors, which Pyro's enumerating estimators take their constants in."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _about(text: str) -> Callable[[str], str]:
    return lambda message: f"{text}: {message}"


def _elbo(model: nn.Module, guide: nn.Module, batch: Mapping[str, Tensor], size: int, how: Settings) -> Tensor:
    """ELBO of the data set by the objective that training uses."""
    pyro.set_rng_seed(0)
    index = torch.arange(len(batch["x"]))
    with _default_dtype(batch["x"].dtype):
        loss, _ = PairObjective(model, guide)(batch, size=size, index=index, **how)
    return -loss * size


def _gradients(value: Tensor, model: nn.Module, guide: nn.Module) -> dict[str, Tensor]:
    parameters = dict(nn.ModuleDict({"model": model, "guide": guide}).named_parameters())
    found = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(parameters.items(), found, strict=True)
    }
