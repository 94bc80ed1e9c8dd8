"""What a program does by a buffer that seldom changes, without waiting for the device in every step."""

from __future__ import annotations

from torch import Tensor


class BufferFlag:
    """Whether an entry of a buffer is not zero; asked again when it has been written to, whoever did.

    Example:
        >>> import torch
        >>> flag, buffer = BufferFlag(), torch.zeros(2)
        >>> flag(buffer), flag(buffer.fill_(1.0))
        (False, True)
    """

    def __init__(self) -> None:
        self._known: tuple[int, bool] | None = None

    def __call__(self, buffer: Tensor) -> bool:
        """The answer for a buffer, always the same one; no on the meta device."""
        if buffer.is_inference():  # which does not count what is written to it
            return bool(buffer.any())
        if self._known is None or self._known[0] != buffer._version:
            self._known = buffer._version, not buffer.is_meta and bool(buffer.any())
        return self._known[1]
