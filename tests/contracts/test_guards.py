"""Planted mistakes, each of which Pyro accepts in silence or nearly so: the guards and inherited tests name them."""

import pyro
import pytest
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import Normal
from pyro.poutine.messenger import Messenger
from torch import nn

from pyro_lcm.causal.targets import hit_mask, target_distribution
from pyro_lcm.guides.ilcm import ILCMGuide
from pyro_lcm.models.ilcm import ILCM
from pyro_lcm.nn import VectorDecoder, VectorEncoder
from pyro_lcm.testing import PairProgramTests, check_pair_program
from tables import each_row

DIM, ROWS = 2, 4


class Model(ILCM):
    """The implicit latent causal model, written so that one piece at a time can be got wrong."""

    key, plate, extra, masked, inside, factor = "encoding", "pairs", None, True, False, 1.0

    def forward(self, x=None, x_after=None, *, targets=None, size, index=None):
        with pyro.plate(self.plate, size, subsample=index):
            target = pyro.sample("target", target_distribution(self.target_prior, targets))
            noise = pyro.sample("noise", Normal(self.zero, 1.0).expand([self.dim_z]).to_event(1))
            if self.extra:
                pyro.sample(self.extra, Normal(self.zero, 1.0))
            hit = hit_mask(target, self.dim_z)
            density = self.redrawn_dist(noise, target)
            redrawn = pyro.sample("redrawn", (density.mask(hit) if self.masked else density).to_event(1))
            with scope(prefix="before"):
                self.world(noise, x)
            values = {self.key: self.intervention(torch.where(hit, redrawn, noise))}
            with pyro.poutine.scale(scale=self.factor):
                if self.inside:
                    with pyro.poutine.do(data=values), scope(prefix="after"):
                        self.world(noise, x_after)
                else:
                    with scope(prefix="after"):
                        pyro.do(self.world, values)(noise, x_after)

    def intervention(self, encoding):
        return encoding


class Unobserved(Model):
    def world(self, noise, x=None):
        return super().world(noise, None)


class WrongShape(Model):
    def intervention(self, encoding):
        return torch.zeros(ROWS + 3, self.dim_z)


class WrongKind(Model):
    def intervention(self, encoding):
        return encoding.round().long()


class WithoutTargets(Model):
    def forward(self, x=None, x_after=None, *, size, index=None):
        super().forward(x, x_after, size=size, index=index)


class UnmaskedGuide(ILCMGuide):
    def forward(self, *args, **kwargs):
        with Unmask():
            super().forward(*args, **kwargs)


class PointGuide(ILCMGuide):
    def encode(self, x):
        return super().encode(x).mean

    def forward(self, *args, **kwargs):
        self.encode = super().encode
        super().forward(*args, **kwargs)
        del self.encode


class Unmask(Messenger):
    def _pyro_sample(self, msg):
        if msg["name"] == "redrawn":
            msg["fn"] = msg["fn"].base_dist.base_dist.to_event(1)


def _changed(cls=Model, **attributes):
    model = cls(DIM, VectorDecoder(DIM, DIM, ()))
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def _batch():
    return {"x": torch.randn(ROWS, DIM), "x_after": torch.randn(ROWS, DIM)}


def _guide(cls=ILCMGuide):
    return cls(DIM, VectorEncoder(DIM, DIM, ()))


def test_a_right_program_passes():
    check_pair_program(_changed(), _guide(), _batch())


@pytest.mark.filterwarnings("ignore")
@each_row(
    ("make", "guide", "message"),
    [
        (lambda: _changed(WithoutTargets), ILCMGuide, "model: got forward.*targets is missing"),
        (lambda: _changed(Unobserved), ILCMGuide, "'before/x' is missing or not observed"),
        (lambda: _changed(plate="rows"), ILCMGuide, "'before/x' has to be inside the plate 'pairs'"),
        (lambda: _changed(extra="weather"), ILCMGuide, "latent site 'weather' is not in the guide"),
        (lambda: _changed(key="noise_encoding"), ILCMGuide, "pyro.do on 'noise_encoding' meets no site"),
        (lambda: _changed(inside=True), ILCMGuide, "pyro.do on 'encoding' meets no site"),
        (lambda: _changed(WrongShape), ILCMGuide, "pyro.do on 'encoding' got shape"),
        (lambda: _changed(WrongKind), ILCMGuide, "pyro.do on 'encoding' got torch.int64"),
        (lambda: _changed(factor=0.5), ILCMGuide, "'after/x' is scaled by 1 with half of the data"),
        (lambda: _changed(masked=False), ILCMGuide, "'redrawn' counts in components that are not the target's"),
        (_changed, PointGuide, "guide.encode: got Tensor, expected a distribution"),
        (_changed, UnmaskedGuide, "'redrawn' counts in components that are not the target's"),
    ],
)
def test_the_guards_name_the_mistake(make, guide, message):
    with pytest.raises(ValueError, match=message):
        check_pair_program(make(), _guide(guide), _batch())


class Stray(nn.Module):
    """A decoder that makes a tensor on the CPU, whatever the device of its parameters."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.ones(DIM))

    def forward(self, noise):
        return noise * self.slope + torch.zeros(DIM), self.slope.exp()


class _Planted(PairProgramTests):
    def batch(self):
        return _batch()


class StrayTensor(_Planted):
    def make(self):
        return ILCM(DIM, Stray()), _guide()


class LeftOut(_Planted):
    def make(self):
        model = _changed()
        model.unused = nn.Parameter(torch.ones(2))
        return model, _guide()


class NotSaved(_Planted):
    def make(self):
        model = _changed()
        del model.zero  # a buffer
        model.zero = torch.randn(())
        return model, _guide()


def test_a_stray_tensor_fails_the_test_of_placement():
    with pytest.raises((RuntimeError, NotImplementedError)):
        StrayTensor().test_no_device_is_named()


def test_a_parameter_outside_the_elbo_is_named():
    with pytest.raises(AssertionError, match=r"gradient of model\.unused is zero"):
        LeftOut().test_every_parameter_has_a_finite_gradient()


def test_state_that_is_not_saved_is_found():
    with pytest.raises(AssertionError):
        NotSaved().test_saved_parameters_are_all_there_is()
