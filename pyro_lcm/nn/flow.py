"""An invertible map of the latents: coupling layers whose elementwise maps have a kink.

The map between the codes of an autoencoder (or whitened observations) and noise encodings is a diffeomorphism that
has to be found. A normalising flow finds it by exact likelihood, with no decoder in the loop, and has an exact
inverse that the decoder can use. Layers alternate a full linear map with an affine coupling (Dinh, Sohl-Dickstein,
Bengio, ICLR 2017) that is extended by one soft kink (:mod:`pyro_lcm.nn.kink`), so that a piecewise linear mixing needs
few layers; a network of the other half of the coordinates says where it is and how much it bends.

Inside, coordinates are rows and observations columns, for which small networks are a fifth faster.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyro_lcm.nn.activations import Activation, activation_layer
from pyro_lcm.nn.kink import COEFFICIENTS, kink, unkink


class Coupling(nn.Module):
    """One coupling layer: half of the coordinates pass, the others go through a kinked affine map.

    Args:
        dim: number of coordinates, at least 2.
        hidden: width of the two hidden layers of its network.
        swap: whether the first or the second half passes.
        activation: of the network's hidden layers.
    """

    def __init__(self, dim: int, hidden: int, *, swap: bool, activation: Activation = "silu") -> None:
        super().__init__()
        self.swap = swap
        self.split = dim // 2
        passed, moved = (dim - self.split, self.split) if swap else (self.split, dim - self.split)
        last = nn.Linear(hidden, COEFFICIENTS * moved)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        with torch.no_grad():
            # Kinks start spread out: where all sit at one point their gradients are alike.
            last.bias[3 * moved : 4 * moved].normal_(0.0, 0.5)
        self.network = nn.Sequential(
            nn.Linear(passed, hidden),
            activation_layer(activation),
            nn.Linear(hidden, hidden),
            activation_layer(activation),
            last,
        )

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Image (dim, rows) and log absolute determinant (rows,) of (dim, rows) values."""
        passed, moved = self._halves(value)
        moved, log_det = kink(self._coefficients(passed), moved)
        return self._join(passed, moved), log_det

    def inverse(self, value: Tensor) -> Tensor:
        """The (dim, rows) values whose image is given."""
        passed, moved = self._halves(value)
        return self._join(passed, unkink(self._coefficients(passed), moved))

    def _coefficients(self, passed: Tensor) -> Tensor:
        for layer in self.network:
            if isinstance(layer, nn.Linear):
                passed = torch.addmm(layer.bias.unsqueeze(1), layer.weight, passed)
            else:
                passed = layer(passed)
        return passed

    def _halves(self, value: Tensor) -> tuple[Tensor, Tensor]:
        first, second = value[: self.split], value[self.split :]
        return (second, first) if self.swap else (first, second)

    def _join(self, passed: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([moved, passed] if self.swap else [passed, moved])


class Flow(nn.Module):
    """Invertible map of ``dim`` latents: linear maps and couplings in turn, a linear map and a shift at the end.

    It starts as a rotation followed by its inverse, up to the couplings' kinks, which start flat: the identity.

    Args:
        dim: number of latents.
        layers: number of couplings; none for ``dim`` 1, where the flow is affine.
        hidden: width of the hidden layers of each coupling.
        activation: of these layers.
    """

    def __init__(self, dim: int, *, layers: int = 12, hidden: int = 64, activation: Activation = "silu") -> None:
        super().__init__()
        layers = 0 if dim == 1 else layers
        rotations = [torch.linalg.qr(torch.randn(dim, dim))[0] for _ in range(layers)]
        undone = torch.eye(dim)
        for rotation in rotations:
            undone = rotation.T @ undone
        self.rotations = nn.ParameterList([nn.Parameter(rotation) for rotation in rotations])
        self.couplings = nn.ModuleList(
            [Coupling(dim, hidden, swap=bool(layer % 2), activation=activation) for layer in range(layers)]
        )
        self.weight = nn.Parameter(undone)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Image (..., dim) and log absolute determinant (...) of (..., dim) values."""
        image, log_det = self._through(value)
        linear = torch.linalg.slogdet(torch.stack([*self.rotations, self.weight]))[1].sum()
        return image, log_det + linear

    def image(self, value: Tensor) -> Tensor:
        """Image (..., dim) of (..., dim) values."""
        return self._through(value)[0]

    def inverse(self, value: Tensor) -> Tensor:
        """The (..., dim) values whose image is given."""
        columns = _solve(_columns(value - self.bias), self.weight)
        for rotation, coupling in zip(reversed(self.rotations), reversed(self.couplings), strict=True):
            columns = _solve(coupling.inverse(columns), rotation)  # type: ignore[operator]
        return columns.T.reshape(value.shape)

    def _through(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Image, and what the couplings add to the log absolute determinant."""
        columns = _columns(value)
        log_det = columns.new_zeros(columns.shape[1])
        for rotation, coupling in zip(self.rotations, self.couplings, strict=True):
            columns, change = coupling(rotation.T @ columns)
            log_det = log_det + change
        image = columns.T @ self.weight + self.bias
        return image.reshape(value.shape), log_det.reshape(value.shape[:-1])

    @torch.no_grad()
    def compose(self, weight: Tensor, bias: Tensor) -> None:
        """Follow the map by ``e -> e W + b``."""
        self.bias.copy_(self.bias @ weight + bias)
        self.weight.copy_(self.weight @ weight)


def _columns(value: Tensor) -> Tensor:
    """(..., dim) values as (dim, rows)."""
    return value.reshape(-1, value.shape[-1]).T.contiguous()


def _solve(columns: Tensor, weight: Tensor) -> Tensor:
    """Solve W' v = columns for v; a map that has no inverse gives no error, for which a device would have to wait."""
    return torch.linalg.inv_ex(weight).inverse.T @ columns
