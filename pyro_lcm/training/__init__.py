"""Training: objectives are optimised by `fit` through phases and schedules that are plain data.

The driver knows nothing of pairs, of Pyro or of the ELBO: an objective is any module that maps a batch of
named tensors to a loss.
"""

from pyro_lcm.training.driver import fit
from pyro_lcm.training.logs import FitResult, PhaseResult
from pyro_lcm.training.monitor import TrainingDiverged
from pyro_lcm.training.optimizers import adam
from pyro_lcm.training.phases import Phase, Setting, StartHook
from pyro_lcm.training.schedules import Constant, Cosine, Linear, Schedule, WarmUp
from pyro_lcm.training.sources import DataSource, TensorSource

__all__ = [
    "Constant",
    "Cosine",
    "DataSource",
    "FitResult",
    "Linear",
    "Phase",
    "PhaseResult",
    "Schedule",
    "Setting",
    "StartHook",
    "TensorSource",
    "TrainingDiverged",
    "WarmUp",
    "adam",
    "fit",
]
