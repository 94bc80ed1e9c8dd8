"""Observations come back in the number format of the data, whatever their offset."""

import numpy as np
import pytest

from pyro_lcm import InterventionPairs, LatentCausalModel


@pytest.mark.parametrize(("dtype", "offset"), [(np.float32, 0.0), (np.float64, 1e9)])
def test_what_comes_back_is_as_fine_as_what_went_in(train, small, tmp_path, dtype, offset):
    sides = [(side[:600] + offset).astype(dtype) for side in (train.x, train.x_after)]
    fitted = LatentCausalModel().fit(InterventionPairs(*sides), budget=small, out=tmp_path / "run", progress=False)
    for model in (fitted, LatentCausalModel.load(tmp_path / "run")):
        x = sides[0][:300]
        found = {
            "decode": model.decode(model.encode(x).noise),
            "intervene": model.intervene({"z1": 0.5}, x=x).x,
            "counterfactual": model.counterfactual(x, {"z1": 0.5}).x,
            "sample": model.sample(300).x,
        }
        for name, values in found.items():
            assert values.dtype == dtype, name
            assert len(np.unique(values[:, 0])) > 290, name
        assert np.abs(found["decode"] - x).mean() < 0.05 * x.std()
