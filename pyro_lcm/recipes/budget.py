"""How many optimizer steps each phase of a recipe takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Optimizer steps of each phase; 0 leaves a phase out.

    Args:
        fit: of the ELBO of an implicit model that is not linear; as ``unmix`` if None, and if that is None too 1,000
            and 170 for each variable.
        reconstruct: of the autoencoder, for x wider than the number of variables.
        refine: of the ELBO where closed forms or a decoder come before it.
        unmix: of the flow of the other models, for mixings or mechanisms that are not linear; 5,000 if None.
        solutions: of the mechanisms of the other models.
        batch_size: pairs in a step.

    Raises:
        ValueError: if a number is negative.
    """

    reconstruct: int = 3000
    unmix: int | None = None
    refine: int = 1000
    solutions: int = 3000
    batch_size: int = 512
    fit: int | None = None

    def __post_init__(self) -> None:
        for name in ("reconstruct", "unmix", "refine", "solutions", "fit"):
            steps = getattr(self, name)
            if steps is not None and steps < 0:
                raise ValueError(f"{name}: got {steps}, expected at least 0 steps")
        if self.batch_size < 1:
            raise ValueError(f"batch_size: got {self.batch_size}, expected at least 1")

    @property
    def steps_of_unmix(self) -> int:
        """Those of the flow of the other models, the default resolved."""
        return 5000 if self.unmix is None else self.unmix

    def steps_of_fit(self, dim: int) -> int:
        """Those of the implicit model's ELBO for ``dim`` variables, the default resolved."""
        given = self.unmix if self.fit is None else self.fit
        return 1000 + 170 * dim if given is None else given
