"""What training a model by name takes: its objective, the units of x, and its phases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyro_lcm.data.standardize import Mode
from pyro_lcm.networks import Architecture
from pyro_lcm.recipes.baselines import autoencode, share_factors
from pyro_lcm.recipes.budget import Budget
from pyro_lcm.recipes.explicit import explicit
from pyro_lcm.recipes.implicit import identify
from pyro_lcm.recipes.objective import ImplicitFirst, RecipeObjective
from pyro_lcm.recipes.soft import soft, soft_explicit
from pyro_lcm.training.phases import Phase

__all__ = ["ModelRecipe", "recipe_of"]

MakePhases = Callable[[Architecture, "Budget | None", bool], tuple[Phase, ...]]


@dataclass(frozen=True)
class ModelRecipe:
    """How a model by name is trained.

    Attributes:
        phases: from its architecture, the budget, and whether mixing and mechanisms are linear.
        objective: made of model and guide.
        units: how x is standardised.
        known_targets: whether it needs pairs whose targets are known.
        sets: whether known targets may be sets of variables.
    """

    phases: MakePhases
    objective: type[RecipeObjective] = RecipeObjective
    units: Mode = "whiten"
    known_targets: bool = False
    sets: bool = False


def recipe_of(name: str) -> ModelRecipe:
    """The recipe of a model by name; that of the implicit model for any other name.

    Example:
        >>> recipe_of("gvae").known_targets, recipe_of("soft_ilcm").units
        (True, 'common')
    """
    return _RECIPES.get(name, _RECIPES["ilcm"])


def _wide(architecture: Architecture) -> bool:
    return architecture.dim_z < architecture.dim_x


def _identify(architecture: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    a = architecture
    how = {
        "wide": _wide(a),
        "flat": not a.hidden,
        "linear": linear,
        "invertible": a.invertible,
        "causal": a.model == "ilcm",
    }
    return identify(budget, dim=a.dim_z, **how)


def _autoencode(architecture: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return autoencode(budget)


def _share(architecture: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    return share_factors(budget, dim=architecture.dim_z, wide=_wide(architecture), linear=linear)


def _explicit(architecture: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    a = architecture
    how = {"wide": _wide(a), "linear": linear, "latent": a.graph != "order", "invertible": a.invertible}
    return explicit(budget, dim=a.dim_z, **how)


def _soft(architecture: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    a = architecture
    return soft(budget, dim=a.dim_z, linear=linear, sets=a.model == "soft_ilcm_subsets")


def _soft_explicit(architecture: Architecture, budget: Budget | None, linear: bool) -> tuple[Phase, ...]:
    a = architecture
    return soft_explicit(budget, dim=a.dim_z, linear=linear, latent=a.graph != "order")


_RECIPES = {
    "ilcm": ModelRecipe(_identify),
    "dvae": ModelRecipe(_identify),
    "beta_vae": ModelRecipe(_autoencode),
    "ada_gvae": ModelRecipe(_share, ImplicitFirst, sets=True),
    "ada_ml_vae": ModelRecipe(_share, ImplicitFirst, sets=True),
    "gvae": ModelRecipe(_share, ImplicitFirst, known_targets=True, sets=True),
    "ml_vae": ModelRecipe(_share, ImplicitFirst, known_targets=True, sets=True),
    "elcm": ModelRecipe(_explicit, ImplicitFirst),
    "soft_ilcm": ModelRecipe(_soft, ImplicitFirst, units="common"),
    "soft_elcm": ModelRecipe(_soft_explicit, ImplicitFirst, units="common"),
    "soft_ilcm_subsets": ModelRecipe(_soft, units="common", sets=True),
}
