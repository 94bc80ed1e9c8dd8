"""A program for test_processes.py, started by torchrun: fits a latent causal model and saves what came out.

torchrun --nproc-per-node 2 two_processes_of_a_model.py FOLDER
"""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from pyro_lcm import Budget, LatentCausalModel, ScalingSystem


def fitted(out=None):
    """Noise encodings (500, 2) of a fit by all processes there are, and all its parameters in one vector."""
    system = ScalingSystem(2, seed=0)
    model = LatentCausalModel("ilcm", dim_z=2)
    model.fit(system.sample(2000), seed=0, device="cpu", out=out, budget=Budget(refine=50), progress=False)
    noise = torch.from_numpy(model.encode(system.sample(500, seed=1).x).noise)
    parameters = torch.cat([part.detach().flatten() for part in model.fitted.objective.parameters()])
    return {"noise": noise.contiguous(), "parameters": parameters, "edges": torch.tensor(model.adjacency().sum())}


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    save_file(fitted(folder / "run"), folder / f"final-{os.environ['RANK']}.safetensors")
