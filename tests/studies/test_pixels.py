"""The table of the study of scenes: one line for each scene and method, in the order of the scenes."""

from pyro_lcm.studies.pixels import COLUMNS, METHODS, SCENES, by_scene, true_names
from pyro_lcm.studies.results import FOUND, NOTHING


def _row(scene, method, seed, **scores):
    return dict.fromkeys(COLUMNS) | {"scene": scene, "method": method, "seed": seed, "verdict": FOUND} | scores


def test_ranges_over_seeds():
    rows = [
        _row("plane", "dvae", 0, disentanglement=0.4),
        _row("discs", "dvae", 0, disentanglement=0.3, cpu_seconds=61.4),
        _row("discs", "ilcm", 1, disentanglement=0.9876, shd=0, verdict=NOTHING),
        _row("discs", "ilcm", 0, disentanglement=0.9912, shd=2, cpu_seconds=99.0),
    ]
    header, cells = by_scene(rows)
    assert [row[:3] for row in cells] == [("discs", "ilcm", "2"), ("discs", "dvae", "1"), ("plane", "dvae", "1")]
    first = dict(zip(header, cells[0], strict=True))
    assert (first["D"], first["SHD"], first["CPU s"], first["no problem found"]) == (
        "0.988 to 0.991",
        "0 to 2",
        "99",
        "1 of 2",
    )
    assert dict(zip(header, cells[1], strict=True))["GB"] == "-"


def test_every_scene_has_names_for_its_variables():
    assert [len(true_names(scene)) for scene in SCENES] == [4, 4, 4, 4, 8] * 2 + [6, 4]
    assert METHODS[0] == "ilcm"
