"""One table over all models: the same pairs, the same driver, the same scores.

Data sets: ``scaling`` (linear, four variables, random graphs) and ``independent`` (the same with an empty graph). The
row ``true noise`` scores the noise encodings themselves, which is what an ideal dVAE finds.

    python benchmarks/models_table.py --pairs 20000 --seeds 3 --models ilcm dvae beta-vae ada-gvae elcm-all
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pyro_lcm.causal.graph_sites import (
    EdgeOrderLogits,
    FixedOrder,
    PermutationLogits,
    PermutationPrior,
    TableLogits,
    TablePrior,
)
from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.data import InterventionPairs, ScalingSystem, Standardizer
from pyro_lcm.evaluation import dci
from pyro_lcm.guides.ada_gvae import AdaGVAEGuide, Average
from pyro_lcm.guides.beta_vae import BetaVAEGuide
from pyro_lcm.guides.dvae import DVAEGuide
from pyro_lcm.guides.elcm import ELCMGuide
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.models.ada_gvae import AdaGVAE
from pyro_lcm.models.beta_vae import BetaVAE
from pyro_lcm.models.dvae import DVAE
from pyro_lcm.models.elcm import ELCM
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.nn import VectorDecoder, VectorEncoder
from pyro_lcm.training import Phase, fit
from pyro_lcm.training.recipe import Budget, identify
from pyro_lcm.training.recipe_objective import RecipeObjective
from pyro_lcm.training.sibling_recipes import ExplicitObjective, ada_phases, elcm_phases, vae_phases

Build = Callable[[int], tuple[nn.Module, nn.Module, tuple[Phase, ...]]]
_EDGE_PENALTY = 5.0


def _vectors(dim: int, hidden: Sequence[int] = ()) -> tuple[VectorEncoder, VectorDecoder]:
    return VectorEncoder(dim, dim, hidden), VectorDecoder(dim, dim, hidden)


def _ilcm(dim: int) -> tuple[nn.Module, nn.Module, tuple[Phase, ...]]:
    encoder, decoder = _vectors(dim)
    budget = Budget(refine=200, solutions=400, batch_size=256)
    phases = identify(budget, linear=True)
    return ILCM(dim, decoder, SolutionFunctions(dim, (16,))), ILCMGuide(dim, encoder), phases


def _dvae(dim: int) -> tuple[nn.Module, nn.Module, tuple[Phase, ...]]:
    encoder, decoder = _vectors(dim)
    return DVAE(dim, decoder), DVAEGuide(dim, encoder), identify(Budget(refine=300, solutions=0), linear=True)


def _beta_vae(dim: int) -> tuple[nn.Module, nn.Module, tuple[Phase, ...]]:
    encoder, decoder = _vectors(dim, (32,))
    return BetaVAE(dim, decoder), BetaVAEGuide(dim, encoder), vae_phases(1500, batch_size=256)


def _ada(average: Average) -> Build:
    def build(dim: int) -> tuple[nn.Module, nn.Module, tuple[Phase, ...]]:
        encoder, decoder = _vectors(dim)
        return AdaGVAE(dim, decoder), AdaGVAEGuide(dim, encoder, average), ada_phases(500, batch_size=256)

    return build


def _elcm(prior: Callable[..., nn.Module], posterior: Callable[..., nn.Module], cold: bool = False) -> Build:
    def build(dim: int) -> tuple[nn.Module, nn.Module, tuple[Phase, ...]]:
        encoder, decoder = _vectors(dim)
        options = {} if prior is FixedOrder else {"penalty": _EDGE_PENALTY}
        model = ELCM(dim, decoder, prior(dim, **options), Mechanisms(dim, ()))
        logits = 0 if prior is FixedOrder else 150
        mechanisms = 300 if cold else None
        phases = elcm_phases(logits=logits, graph=150, refine=100, mechanisms=mechanisms, batch_size=128)
        return model, ELCMGuide(dim, encoder, posterior(dim)), phases

    return build


MODELS: dict[str, Build] = {
    "ilcm": _ilcm,
    "dvae": _dvae,
    "beta-vae": _beta_vae,
    "ada-gvae": _ada("gvae"),
    "ada-ml-vae": _ada("ml-vae"),
    "elcm-order": _elcm(FixedOrder, FixedOrder),
    "elcm-all": _elcm(TablePrior, TableLogits),
    "elcm-enco": _elcm(TablePrior, EdgeOrderLogits),
    "elcm-dds": _elcm(PermutationPrior, PermutationLogits),
    "elcm-all-cold": _elcm(TablePrior, TableLogits, cold=True),
    "elcm-enco-cold": _elcm(TablePrior, EdgeOrderLogits, cold=True),
    "elcm-dds-cold": _elcm(PermutationPrior, PermutationLogits, cold=True),
}
DATA = {"scaling": 0.5, "independent": 0.0}


def _tensors(pairs: InterventionPairs, standardizer: Standardizer) -> dict[str, Tensor]:
    return {
        name: standardizer(torch.as_tensor(side)).float() for name, side in (("x", pairs.x), ("x_after", pairs.x_after))
    }


def score(name: str, pairs: InterventionPairs, test: InterventionPairs, seed: int, out: Path | None) -> list[float]:
    """Train one model; disentanglement, completeness and seconds."""
    start = time.perf_counter()
    standardizer = Standardizer.fit(pairs)
    torch.manual_seed(seed)
    model, guide, phases = MODELS[name](pairs.x.shape[1])
    objective = (ExplicitObjective if isinstance(model, ELCM) else RecipeObjective)(model, guide)
    data, held_out = (_tensors(part, standardizer) for part in (pairs, test))
    fit(objective, data, phases, seed=seed, device="cpu", progress=False, validation=held_out, out=out)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        causal = model.causal(guide.encode(held_out["x"]).mean)
    result = dci(causal.numpy(), test.z, rows=len(test))
    return [result.disentanglement, result.completeness, seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--dim", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--test", type=int, default=5_000)
    parser.add_argument("--seeds", type=int, default=3, help="data seeds")
    parser.add_argument("--model-seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keep run folders here")
    options = parser.parse_args()
    print(f"{'data':12} {'model':14} {'seed':>7}      D      C  seconds")
    for data in options.data:
        for seed in range(options.seeds):
            system = ScalingSystem(options.dim, seed=seed, edge_probability=DATA[data])
            pairs, test = system.sample(options.pairs, 0), system.sample(options.test, 1)
            ideal = dci(test.noise, test.z, rows=options.test)
            print(f"{data:12} {'true noise':14} {seed:5}/- {ideal.disentanglement:6.3f} {ideal.completeness:6.3f}")
            for name in options.models:
                rows = []
                for model_seed in range(options.model_seeds):
                    out = None if options.out is None else options.out / f"{data}-{name}-{seed}-{model_seed}"
                    rows.append(score(name, pairs, test, model_seed, out))
                    d, c, seconds = rows[-1]
                    print(f"{data:12} {name:14} {seed:5}/{model_seed} {d:6.3f} {c:6.3f} {seconds:8.1f}", flush=True)
                if len(rows) > 1:
                    middle = np.median(rows, 0)
                    print(f"{data:12} {name:14} {'median':>7} {middle[0]:6.3f} {middle[1]:6.3f} {middle[2]:8.1f}")


if __name__ == "__main__":
    main()
