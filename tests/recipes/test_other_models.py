"""Recipes of the sibling models on exact linear data: closed forms first, short fits second."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from pyro_lcm.architecture import Architecture
from pyro_lcm.causal.graph_sites import FixedOrder, TableLogits, TablePrior
from pyro_lcm.causal.mechanisms import Mechanisms
from pyro_lcm.causal.solution import SolutionFunctions
from pyro_lcm.data import ScalingSystem, Standardizer
from pyro_lcm.data.soft import SoftSystem
from pyro_lcm.guides.ada_gvae import AdaGVAEGuide
from pyro_lcm.guides.elcm import ELCMGuide
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.guides.soft_ilcm_subsets import SubsetILCMGuide
from pyro_lcm.models.beta_vae import BetaVAE
from pyro_lcm.models.elcm import ELCM
from pyro_lcm.models.soft_elcm import SoftELCM
from pyro_lcm.models.soft_ilcm import SoftILCM
from pyro_lcm.models.soft_ilcm_subsets import SubsetILCM
from pyro_lcm.nn import VectorDecoder, VectorEncoder
from pyro_lcm.nn.isometry import IsometricDecoder
from pyro_lcm.recipes.baselines import share_factors
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.encodings import encode_pairs
from pyro_lcm.recipes.explicit import explicit
from pyro_lcm.recipes.implicit import coordinates
from pyro_lcm.recipes.objective import IMPLICIT, ImplicitFirst, RecipeObjective
from pyro_lcm.recipes.soft import soft, soft_explicit
from pyro_lcm.registry import build
from pyro_lcm.training import fit

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
        BetaVAE(DIM, VectorDecoder(DIM, DIM, ())), AdaGVAEGuide(DIM, VectorEncoder(DIM, DIM, ()), average)
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


def _soft_pairs(known):
    """Linear mechanisms that change under intervention, and a rotation."""
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
    return z, before != 0, tensors | ({"targets": torch.as_tensor(targets)} if known else {})


def _implicit():
    solution, changed = SolutionFunctions(DIM, ()), SolutionFunctions(DIM, ())
    model = SoftILCM(DIM, IsometricDecoder(DIM, DIM), solution, changed)
    return RecipeObjective(model, ILCMGuide(DIM, VectorEncoder(DIM, DIM, ()))), soft(Budget(refine=20), linear=True)


def _explicit(prior, posterior):
    mechanisms, changed = Mechanisms(DIM, ()), Mechanisms(DIM, ())
    model = SoftELCM(DIM, IsometricDecoder(DIM, DIM), prior(DIM), mechanisms, changed)
    guide = ELCMGuide(DIM, VectorEncoder(DIM, DIM, ()), posterior(DIM))
    latent = prior is not FixedOrder
    return RecipeObjective(model, guide), soft_explicit(
        Budget(refine=20, solutions=1000, batch_size=64), linear=True, latent=latent
    )


@pytest.mark.parametrize("known", [True, False], ids=["known targets", "unknown targets"])
@pytest.mark.parametrize(
    "make",
    [
        _implicit,
        partial(_explicit, FixedOrder, FixedOrder),
        partial(_explicit, partial(TablePrior, penalty=5.0), TableLogits),
    ],
    ids=["implicit", "order", "all DAGs"],
)
def test_soft_interventions_through_an_isometry(make, known):
    """z is found, not only its noise, and the graph with it."""
    z, edges, tensors = _soft_pairs(known)
    objective, phases = make()
    fit(objective, tensors, phases, seed=0, device="cpu", progress=False)
    model = objective.model
    with torch.no_grad():
        encoded = objective.guide.encode(tensors["x"]).mean
        causal = model.causal(encoded).numpy()
    strength, match = _correlations(causal, z)
    assert strength.min() > 0.999
    graph = model.adjacency if hasattr(model, "adjacency") else model.solution.adjacency
    np.testing.assert_array_equal(graph.numpy()[np.ix_(match, match)], edges)
    if known:
        assert match.tolist() == [0, 1, 2]
    of_noise, _ = _correlations(encoded.numpy(), z)
    assert of_noise.min() < 0.9


def test_a_parent_that_matters_after_the_intervention_only_is_found():
    rng = np.random.default_rng(1)
    cause, noise, new = rng.normal(size=(3, PAIRS))
    targets = rng.integers(0, 3, PAIRS)
    z = np.stack([cause, noise], 1)
    z_after = np.stack([np.where(targets == 1, new, cause), np.where(targets == 2, new + 2 * cause, noise)], 1)
    rotation = np.array([[0.6, 0.8], [-0.8, 0.6]])
    tensors = {name: torch.tensor(side @ rotation).float() for name, side in (("x", z), ("x_after", z_after))}
    mechanisms, changed = Mechanisms(2, ()), Mechanisms(2, ())
    model = SoftELCM(2, IsometricDecoder(2, 2), FixedOrder(2), mechanisms, changed)
    objective = RecipeObjective(model, ELCMGuide(2, VectorEncoder(2, 2, ()), FixedOrder(2)))
    tensors["targets"] = torch.as_tensor(targets)
    fit(objective, tensors, soft_explicit(Budget(refine=0), linear=True), seed=0, device="cpu", progress=False)
    assert model.adjacency.tolist() == [[0, 1], [0, 0]]


def test_coordinates_of_soft_interventions_get_better_where_a_line_is_exact_already():
    """Saturating mechanisms: the moves of a variable without effects lie on a line, those of the others near one."""
    pairs = SoftSystem(0, hidden=8).sample(6000, 0)
    standardizer = Standardizer.fit(pairs, "common")
    tensors = {
        name: torch.as_tensor(standardizer.transform(side)).float()
        for name, side in (("x", pairs.x), ("x_after", pairs.x_after))
    }
    model, guide = build(Architecture("soft_ilcm", 4, 4, activation="leaky_relu"))
    phases = coordinates(Budget(fit=150, batch_size=256), dim=4, program=IMPLICIT)
    held_out = {name: side[:1000] for name, side in tensors.items()}
    fit(ImplicitFirst(model, guide), tensors, phases, validation=held_out, seed=0, device="cpu", progress=False)
    with torch.no_grad():
        before, _, target = encode_pairs(guide, tensors)
    correlation = np.abs(np.corrcoef(before.numpy().T, pairs.noise.T)[:4, 4:])
    learned, true = linear_sum_assignment(-correlation)
    assert correlation[learned, true].min() > 0.85  # lines alone: .6, and .5 after the fit without level tolerances
    accuracy = (np.concatenate([[0], true + 1])[target.numpy()] == pairs.targets).mean()
    assert accuracy > 0.6  # and .4


@pytest.mark.parametrize("known", [True, False], ids=["known targets", "unknown targets"])
def test_soft_interventions_on_sets(known):
    """Every variable is a target in half of the pairs; single ones are among the sets."""
    system = SoftSystem(1, DIM, sets=True)
    pairs = system.sample(3000, 0)
    tensors = {name: torch.tensor(side).float() for name, side in (("x", pairs.x), ("x_after", pairs.x_after))}
    if known:
        tensors["targets"] = torch.as_tensor(pairs.targets)
    model = SubsetILCM(
        DIM, IsometricDecoder(DIM, DIM), solution=SolutionFunctions(DIM, ()), changed=SolutionFunctions(DIM, ())
    )
    guide = SubsetILCMGuide(DIM, VectorEncoder(DIM, DIM, ()))
    phases = soft(Budget(refine=20, batch_size=256), linear=True, sets=True)
    fit(RecipeObjective(model, guide), tensors, phases, seed=0, device="cpu", progress=False)
    with torch.no_grad():
        causal = model.causal(guide.encode(tensors["x"]).mean).numpy()
        hits = guide.targets(tensors["x"], tensors["x_after"])[:, 1:].numpy() > 0.5
    strength, match = _correlations(causal, pairs.z)
    assert strength.min() > 0.999
    np.testing.assert_array_equal(model.solution.adjacency.numpy()[np.ix_(match, match)], system.adjacency)
    assert (hits[:, match] == (pairs.targets == 1)).all(1).mean() > 0.98
    if known:
        assert match.tolist() == [0, 1, 2]


def test_a_parent_that_matters_as_before_is_kept():
    """z2 = .8 z1 + noise before and after an intervention on it: what is redrawn does not tell of z1."""
    generator = torch.Generator().manual_seed(0)
    noise, fresh = torch.randn(2, 4000, 2, generator=generator)
    target = torch.randint(0, 3, (4000,), generator=generator)
    hit = target.unsqueeze(1) == torch.arange(1, 3)
    drawn = torch.where(hit, 0.5 * fresh + 1.0, noise)

    def observed(e):
        z = torch.stack([e[:, 0], 0.8 * e[:, 0] + e[:, 1]], 1)
        return z @ torch.tensor([[0.6, 0.8], [-0.8, 0.6]])

    tensors = {"x": observed(noise), "x_after": observed(drawn), "targets": target}
    model = SoftELCM(2, IsometricDecoder(2, 2), FixedOrder(2), Mechanisms(2, ()), Mechanisms(2, ()))
    objective = RecipeObjective(model, ELCMGuide(2, VectorEncoder(2, 2, ()), FixedOrder(2)))
    fit(objective, tensors, soft_explicit(Budget(refine=0), dim=2, linear=True), seed=0, device="cpu", progress=False)
    assert model.adjacency.sum() == 1
