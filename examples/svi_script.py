"""A training loop of one's own, in plain Pyro.

    python examples/svi_script.py

The driver (`pyro_lcm.training.fit`) does devices, schedules, checkpoints and exact resume. Whoever wants none of it
needs the model, its guide, and Pyro's own SVI; `initialize` says where to begin, and `find_order` sharpens the
mechanisms once there is something to put in order.
"""

import argparse

import pyro
import torch
from pyro.infer import SVI, TraceEnum_ELBO

import pyro_lcm as lcm
from pyro_lcm.architecture import Architecture
from pyro_lcm.evaluation import evaluate_latents
from pyro_lcm.registry import build


def main(pairs: int, steps: int, batch_size: int, mixing: str) -> None:
    system = lcm.ScalingSystem(3, seed=1, mixing=mixing, mechanisms="linear" if mixing == "linear" else "nonlinear")
    data = system.sample(pairs, seed=0)
    standardizer = lcm.Standardizer.fit(data)
    x, x_after = (standardizer(torch.as_tensor(side)).float() for side in (data.x, data.x_after))

    layers = 0 if mixing == "linear" else 8
    architecture = Architecture("ilcm", 3, 3, invertible=True, flow_layers=layers, activation="leaky_relu")
    model, guide = build(architecture, seed=0)
    lcm.initialize(model, guide, {"x": x, "x_after": x_after})

    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    decay = 0.01 ** (1 / steps)
    adam = pyro.optim.ClippedAdam({"lr": 1e-2, "lrd": decay, "clip_norm": 20.0})
    svi = SVI(model, guide, adam, TraceEnum_ELBO(max_plate_nesting=1))
    for step in range(steps):
        index = torch.randint(pairs, (batch_size,))
        loss = svi.step(x[index], x_after[index], size=pairs, index=index)
        if step == steps // 3:
            lcm.find_order(model, guide, {"x": x, "x_after": x_after})
        if step % max(1, steps // 5) == 0:
            print(f"step {step:>5}  ELBO per pair {-loss / pairs:.3f}")

    with torch.no_grad():
        noise = guide.encode(x).mean
        causal, targets = model.causal(noise).numpy(), guide.targets(x, x_after).numpy()
    scores = evaluate_latents(data, noise=noise.numpy(), causal=causal, targets=targets, dci_rows=1000)
    for name in ("disentanglement", "mcc", "mcc_noise", "intervention_accuracy"):
        print(f"{name:<24}{scores[name]:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--mixing", default="linear", choices=["linear", "leaky_relu", "tanh_residual", "coupling"])
    main(**vars(parser.parse_args()))
