"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv 2409.11321).

For a matrix W with gradient G, running means of G G' and G' G have eigenvectors Q and R; Adam's moments are taken of
Q' G R, where the coordinates are nearly uncorrelated. Small networks that have to be bent into shape, the couplings of
a flow above all, need about half the steps of Adam, and with all matrices of one shape in one batched product a step
costs hardly more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_LARGEST = 512
"""Longest side of a matrix that gets a basis of its own."""


class SOAP(Optimizer):
    """Adam in a slowly rotating basis for matrices, and Adam for everything else.

    Parameters of more than two dimensions are stacks of matrices, the last two dimensions each.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
        betas: decay of the mean of gradients, and of their squares and outer products.
        eps: added to the root of the mean square.
        weight_decay: decoupled, as AdamW's.
        every: steps between two turns of the bases.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        every: int = 10,
    ) -> None:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas: got {betas}, expected numbers in [0, 1)")
        if every < 1:
            raise ValueError(f"every: got {every}, expected at least 1")
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "every": every, "count": 0}
        super().__init__(params, defaults)
        self._stacks: dict[tuple[int, ...], dict[str, Tensor]] = {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state; what was stacked before is forgotten."""
        super().load_state_dict(state_dict)
        self._stacks = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step with the gradients that are there."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_shape: dict[tuple[Any, ...], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[tuple(parameter.shape), parameter.dtype, parameter.device].append(parameter)
            group["count"] += 1
            for parameters in by_shape.values():
                self._update(group, parameters)
        return loss

    def _update(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        """One step of parameters of one shape, as one stack."""
        gradient = torch.stack([parameter.grad for parameter in parameters if parameter.grad is not None])
        stack = self._stacked(parameters)
        decay, slow = group["betas"]
        # Each parameter counts its own steps: one that was frozen for a while starts anew where it stands.
        stack["mean"].lerp_(gradient, 1 - decay)
        sides = [side for side in ("left", "right") if side in stack]
        turned, mean = gradient, stack["mean"]
        if sides:
            turned, mean = (_turn(value, stack, sides, back=False) for value in (gradient, mean))
        stack["square"].lerp_(turned.square(), 1 - slow)
        count = stack["steps"].add_(1)
        shape = (-1, *(1 for _ in parameters[0].shape))
        mean = mean / (1 - decay**count).view(shape)
        square = stack["square"] / (1 - slow**count).view(shape)
        change = mean / (square.sqrt() + group["eps"])
        if sides:
            change = _turn(change, stack, sides, back=True)
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(parameters, list(change.unbind()), alpha=-group["lr"])
        refresh = group["count"] % group["every"] == 0 or group["count"] in (1, 2, 4)
        for side in sides:
            outer = gradient @ gradient.mT if side == "left" else gradient.mT @ gradient
            stack[side].lerp_(outer, 1 - slow)
            if refresh:  # one step of orthogonal iteration from the basis before
                stack[f"{side}_basis"].copy_(torch.linalg.qr(stack[side] @ stack[f"{side}_basis"])[0])

    def _stacked(self, parameters: list[Tensor]) -> dict[str, Tensor]:
        """The state of some parameters as stacks, of which the state of each is a view."""
        key = tuple(id(parameter) for parameter in parameters)
        if key not in self._stacks:
            states = [self.state[parameter] or _new_state(parameter) for parameter in parameters]
            stack = {name: torch.stack([state[name] for state in states]) for name in states[0]}
            for position, parameter in enumerate(parameters):
                self.state[parameter] = {name: value[position] for name, value in stack.items()}
            members = set(key)
            self._stacks = {old: value for old, value in self._stacks.items() if not members & set(old)}
            self._stacks[key] = stack
        return self._stacks[key]


def _new_state(parameter: Tensor) -> dict[str, Tensor]:
    state = {
        "steps": torch.zeros((), device=parameter.device),
        "mean": torch.zeros_like(parameter),
        "square": torch.zeros_like(parameter),
    }
    sizes = {"left": parameter.shape[-2], "right": parameter.shape[-1]} if parameter.dim() > 1 else {}
    for side, size in sizes.items():
        if min(sizes.values()) > 1 and size <= _LARGEST:
            eye = torch.eye(size, dtype=parameter.dtype, device=parameter.device)
            state[side] = torch.zeros_like(eye).expand(*parameter.shape[:-2], size, size).clone()
            state[f"{side}_basis"] = eye.expand(*parameter.shape[:-2], size, size).clone()
    return state


def _turn(value: Tensor, stack: dict[str, Tensor], sides: Sequence[str], *, back: bool) -> Tensor:
    """Into the bases, or back."""
    if "left" in sides:
        basis = stack["left_basis"]
        value = (basis if back else basis.mT) @ value
    if "right" in sides:
        basis = stack["right_basis"]
        value = value @ (basis.mT if back else basis)
    return value
