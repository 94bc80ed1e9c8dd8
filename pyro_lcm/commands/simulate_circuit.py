"""``pyro-lcm simulate causal_circuit``: rendered pairs of images in the published layout."""

from __future__ import annotations

from pathlib import Path

from pyro_lcm.commands.console import say
from pyro_lcm.commands.files import claim_folder
from pyro_lcm.commands.rendering import RECORD, rendering_bar
from pyro_lcm.commands.threads import available_cores


def simulate_circuit(
    out: Path, *, pairs: int, n_val: int, n_test: int, size: int, seed: int, processes: int | None
) -> int:
    """Render what is not there yet.

    Raises:
        ValueError: If the folder holds a set that was made otherwise, or something else.
        CommandFailed: If nothing can be rendered here.
    """
    from pyro_lcm.data.causal_circuit.simulate import plan_shards, render_shards

    if out.exists() and not out.is_dir():
        raise ValueError(f"--out: {out} is a file, expected a folder")
    shards = plan_shards(out, pairs, n_val=n_val, n_test=n_test, size=size, seed=seed)
    made = {"simulator": "causal_circuit", "pairs": pairs, "n_val": n_val, "n_test": n_test, "size": size, "seed": seed}
    claim_folder(out, RECORD, made, holds="a set", kind="a simulated set")
    waiting = sum(not shard.done for shard in shards)
    say(f"{len(shards)} files, {len(shards) - waiting} of them rendered before")
    with rendering_bar(sum(shard.pairs for shard in shards)) as advance:
        render_shards(shards, processes=processes or available_cores(), progress=advance)
    say(f"wrote {out}: {pairs} pairs to train on, {n_val} to validate, {n_test} to test, {size} pixels")
    return 0
