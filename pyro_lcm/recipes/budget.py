"""How many optimizer steps each phase of a recipe takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Optimizer steps of each phase; 0 leaves a phase out.

    Args:
        fit: of the ELBO that finds noise encodings where mixing or mechanisms are not linear, and of that of sequences;
            by default 700 and 225 for each variable, of sequences 2,000 and 600 for each latent.
        reconstruct: of the autoencoder, for x wider than the number of variables.
        refine: of the ELBO where closed forms or a decoder come before it, and of fine-tuning; sequences have none.
        unmix: an older name of ``fit``, which wins; the beta-VAE takes 5,000 if neither is given.
        solutions: of the mechanisms of the models beside the implicit one, those of one's own included.
        batch_size: pairs in a step.
        code: of the network between images and their codes; None for as many as it needs as a rule.

    Raises:
        ValueError: if a number is negative.
    """

    reconstruct: int = 3000
    unmix: int | None = None
    refine: int = 1000
    solutions: int = 3000
    batch_size: int = 512
    fit: int | None = None
    code: int | None = None

    def __post_init__(self) -> None:
        for name in ("reconstruct", "unmix", "refine", "solutions", "fit", "code"):
            steps = getattr(self, name)
            if steps is not None and steps < 0:
                raise ValueError(f"{name}: got {steps}, expected at least 0 steps")
        if self.batch_size < 1:
            raise ValueError(f"batch_size: got {self.batch_size}, expected at least 1")

    @property
    def steps_of_unmix(self) -> int:
        """Those of the beta-VAE, the default resolved."""
        given = self.fit if self.unmix is None else self.unmix
        return 5000 if given is None else given

    def steps_of_fit(self, dim: int) -> int:
        """Those that find the noise encodings of ``dim`` variables, the default resolved."""
        given = self.unmix if self.fit is None else self.fit
        return 700 + 225 * dim if given is None else given

    def steps_of_sequences(self, dim: int) -> int:
        """Those that find ``dim`` latents of sequences, the default resolved."""
        given = self.unmix if self.fit is None else self.fit
        return 2000 + 600 * dim if given is None else given
