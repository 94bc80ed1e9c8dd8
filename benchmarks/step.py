"""What one training step costs: the Pyro programs against the same networks in a step written by hand.

    make bench

Both sides do the same mathematics on the same architecture: encoder on both sides of the pairs, averaged noise
encodings, the solution function of the target, two passes of the decoder, backward, Adam. That they do is checked
first, by the losses of one batch with the same parameters and the same random numbers. Steps are timed in turn, in
CPU seconds of one thread, so that other work on the machine counts little; the figures are medians.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import pyro
import torch
from torch import Tensor, nn

from pyro_lcm.architecture import Architecture
from pyro_lcm.registry import build
from pyro_lcm.training.objective import PairObjective
from pyro_lcm.training.optimizers import adam

Step = Callable[[], Tensor]


class HandWritten(nn.Module):
    """The negative ELBO per pair in PyTorch alone; takes the networks of a model and a guide."""

    def __init__(self, model: nn.Module, guide: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = guide.encoder, model.decoder
        self.target_encoder, self.solution = guide.target_encoder, model.solution

    def forward(self, x: Tensor, x_after: Tensor, hard: bool) -> Tensor:
        (mean, mean_after), (sd, sd_after) = (part.chunk(2) for part in self.encoder(torch.cat([x, x_after])))
        pairs, dim = mean.shape
        log_q = self.target_encoder(mean_after - mean).log_softmax(-1)
        if hard:
            target, log_q = log_q.argmax(-1), log_q.new_zeros(1, pairs)
        else:
            target, log_q = torch.arange(dim + 1).unsqueeze(-1), log_q.T
        hit = target.unsqueeze(-1) == torch.arange(1, dim + 1)
        weight = torch.where(hit, 0.0, torch.rand(pairs).unsqueeze(-1))
        loc, scale = torch.lerp(mean, mean_after, weight), torch.lerp(sd, sd_after, weight)
        eps, eps_after = torch.randn(loc.shape), torch.randn(loc.shape)
        noise, redrawn = loc + scale * eps, mean_after + sd_after * eps_after
        rows = noise.reshape(-1, dim)
        which = target.expand(noise.shape[:-1]).reshape(-1)
        shift, spread = (part.view(*noise.shape[:-1], 1) for part in self.solution.coefficients(rows, which))
        x_mean, x_sd = self.decoder(noise)
        after_mean, after_sd = self.decoder(torch.where(hit, redrawn, noise))
        log_p = _normal(x, x_mean, x_sd).sum(-1) + _normal(x_after, after_mean, after_sd).sum(-1)
        log_p = log_p + _normal(noise, 0.0, torch.ones(())).sum(-1) - math.log(dim + 1)
        log_p = log_p + torch.where(hit, _normal(redrawn, shift, spread), 0.0).sum(-1)
        log_noise = _normal(noise, loc, scale).sum(-1)
        log_redrawn = torch.where(hit, _normal(redrawn, mean_after, sd_after), 0.0).sum(-1)
        return -(log_q.exp() * (log_p - log_q - log_noise - log_redrawn)).sum() / pairs


def _normal(value: Tensor, mean: Tensor | float, sd: Tensor) -> Tensor:
    return -0.5 * ((value - mean) / sd).square() - sd.log() - 0.5 * math.log(2 * math.pi)


def make_steps(architecture: Architecture, pairs: int, hypotheses: int | None) -> tuple[Step, Step]:
    """One training step with the Pyro programs and one by hand, on parameters of their own."""
    x, x_after = torch.randn(2, pairs, architecture.dim_x)
    index = torch.arange(pairs)
    model, guide = build(architecture)
    objective = PairObjective(model, guide)
    by_hand = HandWritten(*build(architecture))

    def loss_of_programs() -> Tensor:
        loss, _ = objective({"x": x, "x_after": x_after}, size=pairs, index=index, hypotheses=hypotheses)
        return loss

    def loss_by_hand() -> Tensor:
        loss: Tensor = by_hand(x, x_after, hypotheses == 1)
        return loss

    losses = []
    for loss in (loss_of_programs, loss_by_hand):
        torch.manual_seed(1)
        losses.append(loss().item())
    if not math.isclose(*losses, rel_tol=1e-4):
        raise RuntimeError(f"the two sides compute different losses: {losses[0]} and {losses[1]}")
    return _step(objective, loss_of_programs), _step(by_hand, loss_by_hand)


def _step(module: nn.Module, loss: Step) -> Step:
    # The optimizer of the training driver, fused, on both sides.
    optimizer = adam([{"params": list(module.parameters()), "lr": 1e-4, "weight_decay": 0.0}])

    def step() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        return value

    return step


def medians(steps: tuple[Step, ...], rounds: int) -> list[float]:
    """Median CPU seconds of each step, run in turn."""
    times: list[list[float]] = [[] for _ in steps]
    for number in range(rounds + 3):
        for step, taken in zip(steps, times, strict=True):
            start = time.process_time()
            step()
            if number >= 3:  # the first ones warm up
                taken.append(time.process_time() - start)
    return [statistics.median(taken) for taken in times]


def overhead(rounds: int, dim: int, units: int) -> None:
    print(f"\nOne step, {dim} variables, {units} units, CPU milliseconds (the goal is a ratio of 1.3 at 512 pairs)\n")
    print(f"{'targets':<10}{'pairs':>7}{'programs':>11}{'by hand':>11}{'ratio':>8}")
    widths = (units, units)
    architecture = Architecture("ilcm", dim, dim, hidden=widths, flow_layers=0, solution_hidden=widths)
    for name, hypotheses in (("hard", 1), ("soft", None)):
        for pairs in (64, 256, 512):
            ours, theirs = medians(make_steps(architecture, pairs, hypotheses), rounds)
            print(f"{name:<10}{pairs:>7}{1e3 * ours:>11.2f}{1e3 * theirs:>11.2f}{ours / theirs:>8.2f}", flush=True)


PUBLISHED = {(4, "hard"): 44, (4, "soft"): 15, (16, "hard"): 27, (16, "soft"): 2.5}
"""Steps of 64 pairs a second of the public implementation on two cores, as measured for the design."""


def throughput(rounds: int, units: int) -> None:
    print(f"\nThe full objective, {units} units, pairs per CPU second\n")
    print(f"{'variables':<11}{'targets':<9}{'pairs a step':>13}{'pairs/s':>10}{'published/s':>13}{'times':>8}")
    for dim in (4, 16):
        architecture = Architecture("ilcm", dim, dim, hidden=(units, units), flow_layers=0)
        for name, hypotheses in (("hard", 1), ("soft", None)):
            for pairs in (64, 512, 2048):
                programs, _ = make_steps(architecture, pairs, hypotheses)
                (seconds,) = medians((programs,), rounds)
                rate, reference = pairs / seconds, 64 * PUBLISHED[dim, name]
                print(
                    f"{dim:<11}{name:<9}{pairs:>13}{rate:>10.0f}{reference:>13.0f}{rate / reference:>8.1f}", flush=True
                )


def main(rounds: int, dim: int, units: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with pyro.validation_enabled(False):
        overhead(rounds, dim, units)
        throughput(max(3, rounds // 3), 64)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--dim", type=int, default=4)
    parser.add_argument("--units", type=int, default=128)
    main(**vars(parser.parse_args()))
