"""Which runs a study is made of, and in which order."""

from pathlib import Path

from pyro_lcm.studies.study import TRUE_NOISE, Setting, study_jobs


def _jobs(name_data=True, **changes):
    grid = {"dims": (2, 3), "data": ("scaling",), "methods": ("ilcm",), "data_seeds": (0, 1), "model_seeds": (0, 1)}
    return study_jobs(Path("s"), Setting(), **(grid | changes), name_data=name_data)


def test_every_cell_of_the_grid_is_one_run_and_the_largest_come_first():
    jobs = _jobs()
    assert [job.dim for job in jobs] == [3] * 4 + [2] * 4
    assert len({job.folder for job in jobs}) == 8
    assert jobs[0].folder == Path("s/runs/scaling-ilcm-d3-data0-model0")
    assert _jobs(name_data=False)[0].folder == Path("s/runs/ilcm-d3-data0-model0")


def test_the_true_noise_encodings_have_no_seed_of_a_fit():
    assert [job.model_seed for job in _jobs(methods=(TRUE_NOISE,), dims=(2,))] == [0, 0]


def test_methods_of_one_target_are_left_out_where_sets_are_targets():
    jobs = _jobs(data=("soft", "soft_sets"), methods=("ilcm", "soft_ilcm_subsets"), dims=(2,))
    assert {(job.data, job.method) for job in jobs} == {
        ("soft", "ilcm"),
        ("soft", "soft_ilcm_subsets"),
        ("soft_sets", "soft_ilcm_subsets"),
    }
