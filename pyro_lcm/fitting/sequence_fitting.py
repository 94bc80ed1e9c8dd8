"""From sequences to a fitted model: what the user's class does to fit models of time, as functions.

The driver, the run folder and the fitted model are those of pairs: training sees all pairs of adjacent frames, with
their targets. What is held out is the end of every episode.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from pyro_lcm.architecture import Architecture
from pyro_lcm.data.holdout import HELD_OUT, MIN_PAIRS
from pyro_lcm.data.sequences import InterventionSequences
from pyro_lcm.fitting.design import fit_standardizer
from pyro_lcm.fitting.fit_options import FitOptions
from pyro_lcm.fitting.fitted import FittedModel
from pyro_lcm.fitting.image_fitting import code_pairs
from pyro_lcm.fitting.model_choice import ModelChoice
from pyro_lcm.fitting.pair_fitting import train_fitted
from pyro_lcm.images.code import ImageCode
from pyro_lcm.process import random_state
from pyro_lcm.process.process_state import ready_to_train
from pyro_lcm.registry import ModelSpec, build, spec_of
from pyro_lcm.training.logs import FitResult

__all__ = ["fit_sequences", "hold_out_ends"]


@ready_to_train()
def fit_sequences(
    choice: ModelChoice,
    sequences: InterventionSequences,
    how: FitOptions,
    *,
    validation: InterventionSequences | float = HELD_OUT,
    code: ImageCode | None = None,
) -> tuple[FittedModel, FitResult, dict[str, Any]]:
    """Build what was chosen and train it.

    Args:
        choice: the model, by a name of one of sequences.
        sequences: training sequences.
        how: the options of the fit.
        validation: held-out sequences, or the share of each episode, its end, to hold out.
        code: of frames that are images (:func:`pyro_lcm.images.frame_code.fit_frame_code`), to model the codes in their
            place; without one there are convolutional networks.

    Returns:
        The fitted model, how the training went, and the configuration that its run folder records.

    Raises:
        ValueError: if data or options do not fit, or the model is of pairs.
        TrainingDiverged: if the loss is not finite.
    """
    spec = temporal_spec(choice)
    training, held_out = hold_out_ends(sequences, validation)
    pairs, held_pairs = training.transitions(), held_out.transitions()
    coded = None if code is None else code_pairs(code, pairs, held_pairs, mode=spec.units, device=how.device)
    if coded is None:
        standardizer = fit_standardizer(pairs, units=None if pairs.is_images else spec.units)
    else:
        pairs, held_pairs, standardizer = coded.training, coded.held_out, coded.units.codes
    architecture = choose_architecture(spec, choice, standardizer.output_shape, sequences.dim)
    model, guide = build(architecture, seed=how.seed)
    with random_state.isolated(how.seed, torch.device("cpu")):  # an objective may have networks of its own
        objective = spec.objective(model, guide, 0)
    fitted = FittedModel(objective, standardizer, choice.names_of(architecture.dim_z), architecture)
    recipe = spec.phases(architecture, how.budget, False) if how.phases is None else tuple(how.phases)
    units = standardizer if coded is None else coded.units
    result, config = train_fitted(fitted, pairs, held_pairs, recipe, how, units=units)
    return fitted if coded is None else replace(fitted, standardizer=coded.units.to(fitted.device)), result, config


def temporal_spec(choice: ModelChoice) -> ModelSpec:
    """The specification of a model of sequences.

    Raises:
        ValueError: if the model is of pairs, or one's own.
    """
    spec = spec_of(choice.model) if isinstance(choice.model, str) else None
    if spec is None or not spec.temporal:
        name = type(choice.model).__name__ if spec is None else spec.name
        raise ValueError(f"sequences: got sequences for {name}, expected InterventionPairs, or a model such as citris")
    return spec


def hold_out_ends(
    sequences: InterventionSequences, validation: InterventionSequences | float
) -> tuple[InterventionSequences, InterventionSequences]:
    """Hold out the end of each episode, or check sequences that were held out.

    Raises:
        ValueError: if there are too few steps, a variable that is set at none of them or at all, or the two do not fit.
    """
    if len(sequences) < MIN_PAIRS:
        raise ValueError(f"sequences: got {len(sequences)} steps, expected at least {MIN_PAIRS}")
    if isinstance(validation, InterventionSequences):
        if (validation.observation_shape, validation.dim) != (sequences.observation_shape, sequences.dim):
            raise ValueError(
                f"validation: got frames of shape {validation.observation_shape} and {validation.dim} variables,"
                f" expected {sequences.observation_shape} and {sequences.dim}"
            )
        training, held_out = sequences, validation
    else:
        training, held_out = sequences.split(1 - validation)
    for number, share in enumerate(training.targets.mean(0), 1):
        if not 0 < share < 1:
            how = "at every step" if share else "at no step"
            raise ValueError(f"targets: got variable {number} set {how} to train on, expected at some steps")
    return training, held_out


def choose_architecture(spec: ModelSpec, choice: ModelChoice, shape: tuple[int, ...], variables: int) -> Architecture:
    """Widths of a model of sequences: a flow alone where latents are as many as directions of x.

    Args:
        spec: of the model.
        choice: which model, with the options that are given.
        shape: of a frame in the units of the model.
        variables: number of causal variables, or of actions.

    Raises:
        ValueError: if an option is out of range, or frames are images that are not square or have no three channels.
    """
    images = len(shape) > 1
    if images and (len(shape) != 3 or shape[0] != 3 or shape[1] != shape[2]):
        raise ValueError(f"x: got frames of shape {shape}, expected vectors, or square images of three channels")
    if images and choice.dim_z is None:
        raise ValueError("dim_z: got none for images, expected their number of latents (--dim-z)")
    dim_x = math.prod(shape)
    dim_z = dim_x if choice.dim_z is None else choice.dim_z
    given = dict(choice.options)
    if spec.actions:  # a latent is a variable of its own
        given |= {"actions": variables}
        variables = dim_z
    defaults: dict[str, Any] = {"graph": spec.graph, "flow_layers": min(max(12, 2 * dim_z), 32), "flow_hidden": 32}
    defaults |= {"activation": "leaky_relu", "hidden": () if dim_z == dim_x else (128, 128)}
    defaults["invertible"] = spec.invertible and dim_z == dim_x and not given.get("hidden")
    size = shape[1] if images else None
    architecture = Architecture(spec.name, dim_x, dim_z, variables=variables, image_size=size, **(defaults | given))
    spec.check(architecture)
    return architecture
