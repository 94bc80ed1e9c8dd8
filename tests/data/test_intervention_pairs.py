import dataclasses

import numpy as np
import pytest
import torch

from pyro_lcm.data import UNKNOWN_TARGET, InterventionPairs
from pyro_lcm.data import checks as checks_module
from tables import each_row

N, D, DIM = 12, 5, 3


def good_arrays():
    rng = np.random.default_rng(0)
    latents = {key: rng.normal(size=(N, DIM)) for key in ("z", "z_after", "noise", "noise_after")}
    return {
        "x": rng.normal(size=(N, D)),
        "x_after": rng.normal(size=(N, D)),
        "targets": rng.integers(0, DIM + 1, size=N),
        "adjacency": np.triu(np.ones((DIM, DIM), dtype=int), 1),
        **latents,
    }


def make(**changes):
    arrays = good_arrays() | changes
    return InterventionPairs(arrays.pop("x"), arrays.pop("x_after"), **arrays)


def with_value(key, value, place=(3, 1)):
    array = good_arrays()[key].astype(float)
    array[place] = value
    return array


def test_what_came_in_comes_out():
    arrays = good_arrays()
    pairs = make()
    for key, array in arrays.items():
        np.testing.assert_array_equal(getattr(pairs, key), array)
    assert len(pairs) == N
    assert pairs.observation_shape == (D,)
    assert pairs.dim == DIM


def test_truth_is_optional():
    pairs = InterventionPairs(np.zeros((4, 2)), np.ones((4, 2)))
    for key in ("targets", "z", "z_after", "noise", "noise_after", "adjacency"):
        assert getattr(pairs, key) is None
    assert pairs.dim is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.uint8, np.int64])
@pytest.mark.parametrize("shape", [(6, 4), (6, 5, 8, 8)])
def test_any_number_type_and_shape_becomes_float32_in_a_batch(dtype, shape):
    x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    batch = InterventionPairs(x, x[::-1]).batch(np.array([4, 1]))
    assert batch["x"].dtype == batch["x_after"].dtype == torch.float32
    np.testing.assert_array_equal(batch["x"].numpy(), x[[4, 1]].astype(np.float32))
    np.testing.assert_array_equal(batch["x_after"].numpy(), x[[1, 4]].astype(np.float32))


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().x = np.zeros((N, D))
    with pytest.raises(AttributeError):
        make().other = 1


BROKEN = {
    "x is one-dimensional": ({"x": np.zeros(N)}, r"x: got shape \(12,\), expected \(N, D\)"),
    "no pairs": (
        {"x": np.zeros((0, D)), "x_after": np.zeros((0, D))},
        r"x: got shape \(0, 5\).*at least one",
    ),
    "no features": ({"x": np.zeros((N, 0))}, r"x: got shape \(12, 0\)"),
    "lengths differ": ({"x_after": np.zeros((N - 1, D))}, r"x_after: got shape \(11, 5\).*\(12, 5\)"),
    "widths differ": ({"x_after": np.zeros((N, D + 1))}, r"x_after: got shape \(12, 6\)"),
    "NaN in x": ({"x": with_value("x", np.nan)}, r"x: got nan at index \(3, 1\), expected finite"),
    "infinity in x_after": (
        {"x_after": with_value("x_after", np.inf)},
        r"x_after: got inf at index \(3, 1\)",
    ),
    "NaN in z": ({"z": with_value("z", np.nan)}, r"z: got nan at index \(3, 1\)"),
    "x is text": ({"x": np.full((N, D), "a")}, r"x: got dtype <U1, expected floats or integers"),
    "x is complex": ({"x": np.zeros((N, D), complex)}, r"x: got dtype complex128"),
    "x is boolean": ({"x": np.zeros((N, D), bool)}, r"x: got dtype bool"),
    "x is objects": ({"x": np.full((N, D), None)}, r"x: got dtype object"),
    "latents are one-dimensional": ({"z": np.zeros(N)}, r"z: got shape \(12,\), expected \(12, d\)"),
    "latents have other length": ({"z_after": np.zeros((N + 1, DIM))}, r"z_after: got shape \(13, 3\)"),
    "latents disagree": (
        {"noise": np.zeros((N, DIM + 1))},
        r"noise: got shape \(12, 4\), expected \(12, 3\)",
    ),
    "targets are floats": ({"targets": np.zeros(N)}, r"targets: got dtype float64, expected integers"),
    "targets have other length": ({"targets": np.zeros(N + 1, int)}, r"targets: got shape \(13,\)"),
    "target is negative": (
        {"targets": np.full(N, -1)},
        r"targets: got values -1 to -1, expected 0 \(none\) to 3",
    ),
    "target is too large": ({"targets": np.full(N, DIM + 1)}, r"targets: got values 4 to 4, expected 0"),
    "sets of targets have other width": ({"targets": np.zeros((N, 2), int)}, r"targets: got shape \(12, 2\)"),
    "sets of targets are not 0 and 1": ({"targets": np.full((N, DIM), 2)}, r"targets: got values 2 to 2 in sets"),
    "graph is not square": ({"adjacency": np.zeros((3, 2))}, r"adjacency: got shape \(3, 2\)"),
    "graph has other size": (
        {"adjacency": np.zeros((4, 4))},
        r"adjacency: got shape \(4, 4\), expected \(3, 3\)",
    ),
    "graph has weights": ({"adjacency": np.full((3, 3), 0.5)}, r"adjacency: got .* other than 0 and 1"),
    "graph has a loop": ({"adjacency": np.eye(3)}, r"adjacency: got ones on the diagonal"),
    "graph is cyclic": ({"adjacency": 1 - np.eye(3)}, r"adjacency: got a graph with the cycle"),
    "graph has NaN": ({"adjacency": np.full((3, 3), np.nan)}, r"adjacency: got"),
}


@each_row("changes", BROKEN.values())
def test_broken_arrays_are_named(changes):
    arrays, message = changes
    with pytest.raises(ValueError, match=message):
        make(**arrays)


def test_the_finite_check_reads_pieces(monkeypatch):
    monkeypatch.setattr(checks_module.chunks, "__defaults__", (2 * D * 8,))
    with pytest.raises(ValueError, match=r"x: got nan at index \(11, 4\)"):
        make(x=with_value("x", np.nan, (11, 4)))
    assert len(make()) == N


@pytest.mark.parametrize(
    "index",
    [slice(2, 9, 3), slice(None), [5, 0, 5], np.array([-1, 2]), np.arange(N) % 2 == 0, range(3)],
    ids=["slice", "all", "list", "negative", "mask", "range"],
)
def test_selection_takes_the_same_rows_everywhere(index):
    pairs = make().with_known_targets()
    chosen = pairs[index]
    rows = np.arange(N)[index if isinstance(index, slice) else np.asarray(index)]
    assert len(chosen) == len(rows)
    for key, array in good_arrays().items():
        np.testing.assert_array_equal(getattr(chosen, key), array if key == "adjacency" else array[rows])
    np.testing.assert_array_equal(chosen.batch(slice(None))["targets"], good_arrays()["targets"][rows])


def test_a_slice_is_a_view():
    pairs = make()
    assert np.shares_memory(pairs[2:5].x, pairs.x)


@each_row(
    ("index", "error", "message"),
    [
        *((index, ValueError, "index: got") for index in (3, 1.5, [[0]], [0.0], np.zeros(N - 1, bool), "a", [])),
        *((index, IndexError, "index: got") for index in ([N], [-N - 1])),
        (slice(5, 5), ValueError, "empty selection of 12 pairs"),
    ],
)
def test_other_selections_are_refused(index, error, message):
    with pytest.raises(error, match=message):
        make()[index]


def test_split_is_a_seeded_partition():
    x = np.arange(100.0)[:, None]
    pairs = InterventionPairs(x, -x)
    parts = pairs.split((0.7, 0.2, 0.1), seed=3)
    assert [len(part) for part in parts] == [70, 20, 10]
    together = np.concatenate([part.x for part in parts])
    np.testing.assert_array_equal(np.sort(together, axis=0), x)
    for part in parts:
        np.testing.assert_array_equal(part.x, -part.x_after)
    again = pairs.split((0.7, 0.2, 0.1), seed=3)
    assert all(np.array_equal(a.x, b.x) for a, b in zip(parts, again, strict=True))
    assert not np.array_equal(pairs.split((0.7,), seed=4)[0].x, parts[0].x)


@each_row("fractions", [(), (0.5, 0.6), (0.0, 0.5), (-0.1, 0.5), (0.999, 0.001)])
def test_bad_fractions_are_refused(fractions):
    with pytest.raises(ValueError, match="fractions: got"):
        make().split(fractions, seed=0)


def test_a_batch_holds_no_truth_unless_asked_for():
    pairs = make()
    assert set(pairs.batch([0, 1])) == {"x", "x_after"}
    assert set(pairs.with_known_targets().batch([0, 1])) == {"x", "x_after", "targets"}
    assert set(pairs.batch([0, 1])) == {"x", "x_after"}


def test_partly_known_targets_are_marked():
    known = np.arange(N) < 4
    batch = make().with_known_targets(known).batch(torch.arange(N))
    assert batch["targets"].dtype == torch.int64
    np.testing.assert_array_equal(batch["targets"][:4], good_arrays()["targets"][:4])
    assert (batch["targets"][4:] == UNKNOWN_TARGET).all()


def test_known_targets_need_targets_and_a_mask():
    with pytest.raises(ValueError, match="targets: got none"):
        InterventionPairs(np.zeros((2, 1)), np.zeros((2, 1))).with_known_targets()
    with pytest.raises(ValueError, match="rows: got"):
        make().with_known_targets(np.arange(N))


def test_a_batch_can_be_written_to_without_changing_the_data():
    pairs = InterventionPairs(np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32))
    pairs.batch(slice(None))["x"] += 1
    assert not pairs.x.any()


def test_with_observations_keeps_the_truth():
    pairs = make().with_known_targets()
    narrow = pairs.with_observations(pairs.x[:, :2], pairs.x_after[:, :2])
    assert narrow.observation_shape == (2,)
    np.testing.assert_array_equal(narrow.z, pairs.z)
    assert "targets" in narrow.batch([0])
    with pytest.raises(ValueError, match="x: got 3 rows, expected 12"):
        pairs.with_observations(pairs.x[:3], pairs.x_after[:3])


def test_repr_says_what_is_there():
    assert repr(InterventionPairs(np.zeros((4, 2)), np.zeros((4, 2)), targets=[0, 0, 1, 2])) == (
        "InterventionPairs(n=4, observation_shape=(2,), truth=['targets'])"
    )
