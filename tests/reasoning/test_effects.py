"""Effects against closed forms, and each source of uncertainty where its answer is known."""

import numpy as np
import pytest
import torch
import xarray as xr

from pyro_lcm.discovery.arviz_compat import arviz_module, make_container, save_container
from pyro_lcm.reasoning import KnownStructure, Uncertainty, average_effects, dose_response, individual_effects

Z = np.random.default_rng(3).normal(size=(10, 3))
FEW = Uncertainty(draws=2, rows=20)


class Curved:
    """b = a^2 e^0 + e_b, c = a b + e_c: individual effects differ."""

    def location_scale(self, variable, parents):
        if variable == 0:
            return parents.new_zeros(()), parents.new_ones(())
        return (parents.square() if variable == 1 else parents).prod(-1), parents.new_ones(())


CURVED = KnownStructure(Curved(), [[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["a", "b", "c"])


def graphs(*adjacency, chains=1, names=("a", "b", "c")):
    draws = np.broadcast_to(np.array(adjacency, dtype=np.int8), (chains, len(adjacency), 3, 3))
    coordinates = {"parent": list(names), "child": list(names)}
    return make_container(
        {"posterior": xr.Dataset({"adjacency": (("chain", "draw", "parent", "child"), draws)}, coords=coordinates)}, {}
    )


def test_individual_effects():
    found = individual_effects(CURVED, Z, "a", low=0.0, high=2.0, uncertainty=FEW)["posterior"]
    assert found["effect"].dims == ("chain", "draw", "row", "outcome")
    own_b = Z[:, 1] - Z[:, 0] ** 2
    np.testing.assert_allclose(found["effect"].sel(outcome="b")[0, 0], 4.0)
    np.testing.assert_allclose(found["effect"].sel(outcome="c")[0, 1], 2 * (own_b + 4))
    np.testing.assert_allclose(found["effect_x"], found["effect"])


def test_average_of_individual_effects():
    options = {"low": -1.0, "high": 0.5, "uncertainty": FEW}
    single = individual_effects(CURVED, Z, "b", **options)["posterior"]["effect"].mean("row")
    found = average_effects(CURVED, x=Z, causes=["b"], **options)["posterior"]["effect"]
    np.testing.assert_allclose(found.sel(cause="b"), single)
    assert float(abs(found.sel(outcome="a")).max()) == 0.0


def test_dose_response(tmp_path):
    container = dose_response(CURVED, "a", [-1.0, 0.0, 3.0], x=Z, uncertainty=FEW)
    save_container(container, tmp_path / "effects.nc")
    response = arviz_module().from_netcdf(tmp_path / "effects.nc")["posterior"]["response"]
    own_b = (Z[:, 1] - Z[:, 0] ** 2).mean()
    np.testing.assert_allclose(response.sel(outcome="b")[0, 0], own_b + np.array([1.0, 0.0, 9.0]))
    assert response["dose"].values.tolist() == [-1.0, 0.0, 3.0]


def test_without_x_nothing_is_said_of_x():
    found = average_effects(CURVED, on_x=False, uncertainty=FEW)["posterior"]
    assert list(found.data_vars) == ["effect"]


def test_draws_of_the_guide_show_in_the_effect():
    class Blurred(KnownStructure):
        def posterior(self, x):
            mean, sd = super().posterior(x)
            return mean, sd + 0.5

    blurred = Blurred(Curved(), CURVED.adjacency, ["a", "b", "c"])
    options = Uncertainty(draws=400)
    effect = individual_effects(blurred, Z[:1], "a", on_x=False, uncertainty=options)["posterior"]["effect"]
    # a moves c by (e_b + 1): its posterior sd is that of e_b; 400 draws, five standard errors of an sd
    assert float(effect.sel(outcome="c").std()) == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(800))
    assert float(effect.sel(outcome="b").std()) < 1e-12


def test_effects_travel_along_the_graphs_of_a_posterior():
    full, cut, none = CURVED.adjacency, [[0, 1, 0], [0, 0, 1], [0, 0, 0]], np.zeros((3, 3))
    options = Uncertainty(draws=3, posterior=graphs(full, cut, none))
    effect = individual_effects(CURVED, Z, "a", low=0, high=1, on_x=False, uncertainty=options)["posterior"]["effect"]
    own_b = Z[:, 1] - Z[:, 0] ** 2
    np.testing.assert_allclose(effect.sel(outcome="c")[0, 0], own_b + 1)
    np.testing.assert_allclose(effect.sel(outcome="c")[0, 1], Z[:, 0], atol=1e-12)  # b moves by 1, c by the old a
    np.testing.assert_allclose(effect.sel(outcome="c")[0, 2], 0.0)
    np.testing.assert_allclose(effect.sel(outcome="a"), 1.0)


def test_variables_of_the_posterior_are_found_by_name():
    order = [2, 0, 1]
    moved = np.asarray(CURVED.adjacency)[np.ix_(order, order)]
    options = Uncertainty(draws=1, posterior=graphs(moved, names=("c", "a", "b")))
    plain = Uncertainty(draws=1)
    found, expected = (
        average_effects(CURVED, x=Z, uncertainty=each)["posterior"]["effect"] for each in (options, plain)
    )
    np.testing.assert_allclose(found, expected)


def test_fits_are_chains_in_the_order_of_the_first():
    """The same system with other labels and signs: all that identifiability leaves open."""
    order, signs = [1, 2, 0], torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64)

    class Relabelled:
        def location_scale(self, variable, parents):  # of a, b and c at the places 2, 0 and 1
            old = order[variable]
            values = parents * signs[[new for new in range(3) if order[new] < old]]
            values = values[..., [0]] if old == 1 else values[..., [1, 0]] if old == 2 else values
            location, scale = Curved().location_scale(old, values)
            return signs[variable] * location, scale

    other = KnownStructure(
        Relabelled(),
        np.asarray(CURVED.adjacency)[np.ix_(order, order)],
        ["u", "v", "w"],
        decoder=lambda z: (z * signs)[..., [2, 0, 1]],
        encoder=lambda x: x[..., order] * signs,
    )
    rows = np.random.default_rng(0).normal(size=(300, 3))
    options = Uncertainty(draws=1, fits=[other])
    effect = average_effects(CURVED, x=rows, low=-0.5, uncertainty=options)["posterior"]
    assert effect["effect"].sizes["chain"] == 2
    np.testing.assert_allclose(effect["effect"][1], effect["effect"][0], atol=1e-9)
    np.testing.assert_allclose(effect["effect_x"][1], effect["effect_x"][0], atol=1e-9)


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match="cause: got 'd'"):
        average_effects(CURVED, causes=["d"])
    with pytest.raises(ValueError, match="high: got inf"):
        average_effects(CURVED, high=np.inf)
    with pytest.raises(ValueError, match="doses: got shape"):
        dose_response(CURVED, "a", [[1.0]])
    with pytest.raises(ValueError, match="x: got none, expected observations"):
        average_effects(CURVED, uncertainty=Uncertainty(fits=[CURVED]))
    with pytest.raises(ValueError, match="draws: got 0"):
        Uncertainty(draws=0)
