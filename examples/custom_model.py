"""A Pyro model of one's own: sensors with outliers, and influences that saturate.

    python examples/custom_model.py

`SaturatingModel` is the whole of it: a decoder, a mechanism, and the generative program. Guide, training, checks and
scores are those of the library: the recipe for models of one's own finds the variables because the encoder ends in an
invertible map. Of a program it asks only what `PairProgramTests` tests (tests/test_examples.py
runs it on this one).
"""

import argparse

import pyro
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import Normal, StudentT
from pyro.nn import PyroModule
from torch import Tensor, nn

import pyro_lcm as lcm
from pyro_lcm.causal.targets import hit_mask, target_distribution
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.nn import VectorEncoder


class SaturatingModel(PyroModule):
    """Additive mechanisms that saturate, z_i = (e_i - sum_j W_ji tanh(e_j)) / s_i, and sensors with heavy tails."""

    def __init__(self, dim_z: int, dim_x: int) -> None:
        super().__init__()
        self.dim_z = dim_z
        self.influence = nn.Parameter(torch.zeros(dim_z, dim_z))
        self.log_scale = nn.Parameter(torch.zeros(dim_z))
        self.sensors = nn.Linear(dim_z, dim_x)
        self.log_sd = nn.Parameter(torch.full((dim_x,), -2.0))
        self.register_buffer("others", 1 - torch.eye(dim_z))
        self.register_buffer("zero", torch.zeros(()))
        self.register_buffer("prior", torch.full((dim_z + 1,), 1 / (dim_z + 1)))

    def mechanism(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and scale of every variable, (..., d)."""
        return noise.tanh() @ (self.influence * self.others), self.log_scale.exp()

    def causal(self, noise: Tensor) -> Tensor:
        shift, scale = self.mechanism(noise)
        return (noise - shift) / scale

    def x_dist(self, noise: Tensor) -> StudentT:
        return StudentT(4.0, self.sensors(noise), self.log_sd.exp()).to_event(1)

    def world(self, noise: Tensor, x: Tensor | None) -> Tensor:
        encoding = pyro.deterministic("encoding", noise, event_dim=1)
        pyro.deterministic("causal", self.causal(encoding), event_dim=1)
        return pyro.sample("x", self.x_dist(encoding), obs=x)

    def forward(self, x=None, x_after=None, *, targets=None, size, index=None):
        with pyro.plate("pairs", size, subsample=index):
            target = pyro.sample("target", target_distribution(self.prior, targets))
            noise = pyro.sample("noise", Normal(self.zero, 1.0).expand([self.dim_z]).to_event(1))
            hit = hit_mask(target, self.dim_z)
            redrawn = pyro.sample("redrawn", Normal(*self.mechanism(noise)).mask(hit).to_event(1))
            with scope(prefix="before"):
                before = self.world(noise, x)
            with scope(prefix="after"):
                after = pyro.do(self.world, {"encoding": torch.where(hit, redrawn, noise)})(noise, x_after)
        return before, after


def make(dim_z: int = 3, dim_x: int = 5) -> tuple[SaturatingModel, ILCMGuide]:
    return SaturatingModel(dim_z, dim_x), ILCMGuide(dim_z, VectorEncoder(dim_x, dim_z, ()))


def truth(seed: int) -> SaturatingModel:
    """The system to be found: 1 -> 2 -> 3, and sensors that mix."""
    torch.manual_seed(seed)
    model = SaturatingModel(dim_z=3, dim_x=5)
    model.influence[0, 1], model.influence[1, 2] = 1.5, -1.5
    model.log_scale.fill_(-0.5)
    model.sensors.weight.normal_()
    model.log_sd.fill_(-3.5)
    return model


def simulate(model: SaturatingModel, pairs: int) -> lcm.InterventionPairs:
    trace = pyro.poutine.trace(model).get_trace(size=pairs)
    value = {name: trace.nodes[name]["value"].numpy() for name in ("noise", "target", "before/causal")}
    before, after = (side.numpy() for side in trace.nodes["_RETURN"]["value"])
    return lcm.InterventionPairs(before, after, noise=value["noise"], targets=value["target"], z=value["before/causal"])


def main(pairs: int, steps: int) -> None:
    with torch.no_grad(), pyro.get_param_store().scope():
        system = truth(seed=1)
        training, test = simulate(system, pairs), simulate(system, 2000)
    torch.manual_seed(0)
    budget = lcm.Budget(fit=steps // 2, refine=steps // 4, solutions=steps)
    model = lcm.LatentCausalModel(*make()).fit(training, seed=0, budget=budget)
    for name, value in model.evaluate(test, dci_rows=1000).items():
        if value is not None:
            print(f"{name:<24}{value:.3f}")
    print("influences found, [parent, child], up to order and sign of the variables:")
    print((model.model.influence * model.model.others).detach().numpy().round(2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=3000)
    main(**vars(parser.parse_args()))
