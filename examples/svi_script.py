"""A training loop of one's own, in plain Pyro and PyTorch.

    python examples/svi_script.py

The driver (`pyro_lcm.training.fit`) does devices, schedules, checkpoints and exact resume. Whoever wants none of it
needs the model, its guide, an ELBO of Pyro's and an optimizer of PyTorch's. Descent alone rarely finds the causal
variables from random parameters, so the script begins with the two warm starts of the default recipe.
"""

import argparse

import pyro
import torch
from pyro.infer import TraceEnum_ELBO

import pyro_lcm as lcm
from pyro_lcm.evaluation import evaluate_latents
from pyro_lcm.networks import Architecture, build
from pyro_lcm.training import TensorSource
from pyro_lcm.training.recipe_objective import RecipeObjective
from pyro_lcm.training.warmstart import AlignToLines, Calibrate


def main(pairs: int, steps: int, batch_size: int) -> None:
    data = lcm.simulate_scaling(dim=3, n=pairs, seed=1)
    standardizer = lcm.Standardizer.fit(data)
    x, x_after = (standardizer(torch.as_tensor(side)).float() for side in (data.x, data.x_after))

    model, guide = build(Architecture("ilcm", dim_x=x.shape[1], dim_z=3, flow_layers=0), seed=0)
    with torch.no_grad():
        for warm_start in (AlignToLines(), Calibrate()):
            warm_start(RecipeObjective(model, guide), TensorSource({"x": x, "x_after": x_after}), 0)

    pyro.enable_validation(False)  # checks cost about a third of a step
    torch.manual_seed(0)
    elbo = TraceEnum_ELBO(max_plate_nesting=1)
    optimizer = torch.optim.Adam([*model.parameters(), *guide.parameters()], lr=1e-3)
    for step in range(steps):
        index = torch.randint(pairs, (batch_size,))
        # The parameters are the modules' own. Pyro also registers them by name in its global store, where those of
        # another model with the same names would take their place; the scope drops them after each step.
        with pyro.get_param_store().scope():
            loss = elbo.differentiable_loss(model, guide, x[index], x_after[index], size=pairs, index=index) / pairs
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*model.parameters(), *guide.parameters()], 10.0)
        optimizer.step()
        if step % max(1, steps // 5) == 0:
            print(f"step {step:>5}  ELBO per pair {-loss.item():.3f}")
    pyro.enable_validation(True)

    with torch.no_grad():
        noise = guide.encode(x).mean
        scores = evaluate_latents(
            data,
            noise=noise.numpy(),
            causal=model.causal(noise).numpy(),
            targets=guide.targets(x, x_after).numpy(),
            dci_rows=1000,
        )
    for name in ("disentanglement", "mcc", "mcc_noise", "intervention_accuracy"):
        print(f"{name:<24}{scores[name]:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=256)
    main(**vars(parser.parse_args()))
