"""Observations come back in the number format of the data, whatever their offset."""

import numpy as np
import pytest
from pyro.poutine import trace

from pyro_lcm import InterventionPairs, LatentCausalModel, Range


@pytest.mark.parametrize(("dtype", "offset"), [(np.float32, 0.0), (np.float64, 1e6), (np.float64, 1e9)])
def test_what_comes_back_is_as_fine_as_what_went_in(train, small, tmp_path, dtype, offset):
    sides = [(side[:600] + offset).astype(dtype) for side in (train.x, train.x_after)]
    fitted = LatentCausalModel().fit(InterventionPairs(*sides), budget=small, out=tmp_path / "run", progress=False)
    for model in (fitted, LatentCausalModel.load(tmp_path / "run")):
        x = sides[0][:300]
        found = {
            "decode": model.decode(model.encode(x).noise),
            "intervene": model.intervene({"z1": 0.5}, x=x).x,
            "counterfactual": model.counterfactual(x, {"z1": 0.5}).x,
            "edit": model.edit(x, {"z1": 0.5}, effects=False).x,
            "sample": model.sample(300).x,
            "sample, after": model.sample(300).x_after,
            "plan": model.plan(x, sides[1][0], {"z1": Range(-2, 2)}, points=5, zooms=1).x,
            "program": trace(model.program()).get_trace(size=300).nodes["x"]["value"].numpy(),
        }
        for name, values in found.items():
            assert values.dtype == dtype, name
            assert len(np.unique(values[:, 0])) > 290, name
        assert np.abs(found["decode"] - x).mean() < 0.05 * x.std()
