"""Recipes of the sibling models on exact linear data: closed forms first, short fits second."""

import numpy as np
import pytest
import torch

from pyro_lcm.causal.graph_sites import FixedOrder, TableLogits, TablePrior
from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.data import ScalingSystem, Standardizer
from pyro_lcm.guides.ada_gvae import AdaGVAEGuide
from pyro_lcm.guides.elcm import ELCMGuide
from pyro_lcm.guides.soft_ilcm import SoftILCMGuide
from pyro_lcm.models.ada_gvae import AdaGVAE
from pyro_lcm.models.elcm import ELCM
from pyro_lcm.models.soft_ilcm import SoftILCM
from pyro_lcm.nn import VectorDecoder, VectorEncoder
from pyro_lcm.nn.isometry import IsometricDecoder
from pyro_lcm.training import fit
from pyro_lcm.training.recipe import Budget
from pyro_lcm.training.recipe_objective import RecipeObjective
from pyro_lcm.training.sibling_recipes import explicit, share_factors
from pyro_lcm.training.soft_recipe import SoftObjective, soft

# Pyro remarks on parameters that a phase holds fixed.
pytestmark = pytest.mark.filterwarnings("ignore:.*was not registered in the param store")

DIM, PAIRS = 3, 2000


def _pairs(edge_probability, seed=0):
    pairs = ScalingSystem(DIM, seed=seed, edge_probability=edge_probability).sample(PAIRS, 0)
    standardizer = Standardizer.fit(pairs)
    tensors = {
        name: standardizer(torch.as_tensor(side)).float() for name, side in (("x", pairs.x), ("x_after", pairs.x_after))
    }
    return pairs, tensors


def _correlations(learned, true):
    """The true variable's correlation with the learned one that is nearest to it, and which one that is."""
    matrix = np.abs(np.corrcoef(learned.T, true.T)[:DIM, DIM:])
    return matrix.max(0), matrix.argmax(0)


@pytest.mark.parametrize("average", ["gvae", "ml-vae"])
def test_shared_factors_are_kept_where_variables_are_independent(average):
    pairs, tensors = _pairs(0.0)
    objective = RecipeObjective(
        AdaGVAE(DIM, VectorDecoder(DIM, DIM, ())), AdaGVAEGuide(DIM, VectorEncoder(DIM, DIM, ()), average)
    )
    phases = share_factors(Budget(refine=50, batch_size=256), linear=True)
    fit(objective, tensors, phases, validation=tensors, seed=0, device="cpu", progress=False)
    with torch.no_grad():
        strength, _ = _correlations(objective.guide.encode(tensors["x"]).mean.numpy(), pairs.z)
    assert strength.min() > 0.99


@pytest.mark.parametrize("ways", [(FixedOrder, FixedOrder), (TablePrior, TableLogits)], ids=["order", "all DAGs"])
def test_the_explicit_model_finds_causal_variables_and_their_graph(ways):
    pairs, tensors = _pairs(1.0)
    prior, posterior = ways
    model = ELCM(DIM, VectorDecoder(DIM, DIM, ()), prior(DIM), Mechanisms(DIM, ()))
    objective = RecipeObjective(model, ELCMGuide(DIM, VectorEncoder(DIM, DIM, ()), posterior(DIM)))
    phases = explicit(Budget(refine=0, solutions=800), linear=True, latent=prior is not FixedOrder)
    fit(objective, tensors, phases, seed=0, device="cpu", progress=False)
    with torch.no_grad():
        causal = model.causal(objective.guide.encode(tensors["x"]).mean).numpy()
    strength, match = _correlations(causal, pairs.z)
    assert strength.min() > 0.98
    np.testing.assert_array_equal(model.adjacency.numpy()[np.ix_(match, match)], pairs.adjacency)


@pytest.mark.parametrize("known", [True, False], ids=["known targets", "unknown targets"])
def test_soft_interventions_through_an_isometry(known):
    """Linear mechanisms that change under intervention, and a rotation: z is found, not only its noise."""
    rng = np.random.default_rng(0)
    before, after = np.triu(rng.normal(1.0, 1.0, (DIM, DIM)), 1), np.triu(rng.normal(3.0, 1.0, (DIM, DIM)), 1)
    noise, new = rng.normal(size=(2, PAIRS, DIM))
    targets = rng.integers(0, DIM + 1, PAIRS)
    z, z_after = np.zeros((2, PAIRS, DIM))
    for i in range(DIM):
        hit = targets == i + 1
        z[:, i] = noise[:, i] + z @ before[:, i]
        z_after[:, i] = np.where(hit, new[:, i] + z_after @ after[:, i], noise[:, i] + z_after @ before[:, i])
    rotation, _ = np.linalg.qr(rng.normal(size=(DIM, DIM)))
    tensors = {"x": torch.tensor(z @ rotation).float(), "x_after": torch.tensor(z_after @ rotation).float()}
    if known:
        tensors["targets"] = torch.as_tensor(targets)
    model = SoftILCM(DIM, IsometricDecoder(DIM, DIM), SolutionFunctions(DIM, ()), SolutionFunctions(DIM, ()))
    objective = SoftObjective(model, SoftILCMGuide(DIM, VectorEncoder(DIM, DIM, ())))
    phases = soft(Budget(refine=20), linear=True)
    fit(objective, tensors, phases, seed=0, device="cpu", progress=False)
    with torch.no_grad():
        encoded = objective.guide.encode(tensors["x"]).mean
        causal = model.causal(encoded).numpy()
    strength, match = _correlations(causal, z)
    assert strength.min() > 0.999
    np.testing.assert_array_equal(model.solution.adjacency.numpy()[np.ix_(match, match)], before != 0)
    if known:
        assert match.tolist() == [0, 1, 2]
    of_noise, _ = _correlations(encoded.numpy(), z)
    assert of_noise.min() < 0.9
