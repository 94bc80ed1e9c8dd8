"""Saved models, resumed runs and models of one's own."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from pyro_lcm import LatentCausalModel
from pyro_lcm.architecture import Architecture
from pyro_lcm.recipes.calibrate import Calibrate
from pyro_lcm.recipes.published import annealed
from pyro_lcm.registry import build
from pyro_lcm.storage.run_folder import versions
from tables import each_row


def _state(lcm):
    """What is saved of a model: not what belongs to its training alone."""
    parts = {"model": lcm.model, "guide": lcm.guide, "standardizer": lcm.fitted.standardizer}
    return {f"{part}.{name}": value for part, held in parts.items() for name, value in held.state_dict().items()}


def _assert_same_model(first, second, pairs):
    one, other = _state(first), _state(second)
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name
    assert first.names == second.names
    codes = first.encode(pairs.x), second.encode(pairs.x)
    for name in ("noise", "noise_sd", "causal", "causal_sd"):
        assert np.array_equal(getattr(codes[0], name), getattr(codes[1], name))
    assert np.array_equal(first.infer_targets(pairs.x, pairs.x_after), second.infer_targets(pairs.x, pairs.x_after))
    assert np.array_equal(first.sample(5, seed=1).x, second.sample(5, seed=1).x)
    assert first.elbo(pairs) == second.elbo(pairs)


def _interrupted(*_):
    raise KeyboardInterrupt


@pytest.fixture
def own():
    """A model and guide of one's own, made anew each time."""

    def make(seed=0):
        return build(Architecture("ilcm", dim_x=3, dim_z=3, flow_layers=2, flow_hidden=8), seed=seed)

    return make


def test_a_loaded_model_is_the_saved_one(lcm, held_out, tmp_path):
    lcm.save(tmp_path / "run")
    loaded = LatentCausalModel.load(tmp_path / "run")
    _assert_same_model(lcm, loaded, held_out)
    assert np.array_equal(lcm.adjacency(), loaded.adjacency())
    found = [each.intervene({"z1": 0.3}, x=held_out.x[:5]).x for each in (lcm, loaded)]
    assert np.array_equal(*found)
    posteriors = [each.graph_posterior(held_out, draws=20, chains=1) for each in (lcm, loaded)]
    assert np.array_equal(*(posterior["posterior"]["adjacency"].values for posterior in posteriors))


def test_saving_again_changes_nothing(lcm, tmp_path):
    lcm.save(tmp_path / "a")
    LatentCausalModel.load(tmp_path / "a").save(tmp_path / "b")
    for name in ("config.yaml", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(file.name for file in (tmp_path / "b").iterdir()) == ["config.yaml", "model.safetensors"]


def test_the_configuration_repeats_the_run(lcm, train, small, tmp_path, held_out):
    lcm.save(tmp_path)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["seed"] == 0
    assert config["names"] == ["z1", "z2", "z3"]
    assert config["pairs"] == 2700
    assert config["versions"] == versions()
    assert [phase["name"] for phase in config["phases"]] == [phase.name for phase in lcm.result.phases]
    architecture = Architecture.from_dict(config["architecture"])
    model, guide = build(architecture)
    assert {name for name, _ in model.named_parameters()} == {name for name, _ in lcm.model.named_parameters()}
    assert {name for name, _ in guide.named_parameters()} == {name for name, _ in lcm.guide.named_parameters()}


def test_options_and_names_survive(train, small, tmp_path, held_out):
    lcm = LatentCausalModel(
        names=["a", "b", "c"], options={"flow_layers": 0, "spline_bins": 4, "solution_hidden": (5,)}
    )
    lcm.fit(train[:500], budget=small, progress=False).save(tmp_path)
    loaded = LatentCausalModel.load(tmp_path)
    assert loaded.names == ("a", "b", "c")
    assert loaded.model.solution.bins == 4
    _assert_same_model(lcm, loaded, held_out)


def test_a_run_that_was_cut_off_ends_like_one_left_alone(train, small, tmp_path, held_out, monkeypatch):
    def fit(folder, **options):
        lcm = LatentCausalModel()
        return lcm.fit(train[:800], budget=small, seed=2, out=tmp_path / folder, progress=False, **options)

    alone = fit("alone")
    with monkeypatch.context() as patch:
        patch.setattr(Calibrate, "__call__", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit("cut")
    with pytest.raises(FileNotFoundError, match="has not ended"):
        LatentCausalModel.load(tmp_path / "cut")
    resumed = fit("cut", resume=True)
    assert resumed.result.resumed_at is not None
    _assert_same_model(alone, resumed, held_out)
    _assert_same_model(alone, LatentCausalModel.load(tmp_path / "cut"), held_out)


def test_a_run_is_not_written_over(train, small, tmp_path):
    LatentCausalModel().fit(train[:300], budget=small, seed=2, out=tmp_path, progress=False)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(ValueError, match=r"^out: "):
        LatentCausalModel().fit(train[:400], budget=small, seed=3, out=tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"^resume: "):
        LatentCausalModel().fit(train[:400], budget=small, seed=3, out=tmp_path, progress=False, resume=True)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_model_of_ones_own_goes_the_whole_way(own, train, held_out, tmp_path):
    lcm = LatentCausalModel(*own()).fit(train[:500], phases=annealed(8, batch_size=64), progress=False)
    assert lcm.dim_z == 3
    assert set(lcm.evaluate(held_out[:300], dci_rows=200)) >= {"mcc", "elbo"}
    assert len(lcm.sample(7)) == 7
    lcm.save(tmp_path)
    _assert_same_model(lcm, LatentCausalModel.load(tmp_path, model=own(1)[0], guide=own(1)[1]), held_out)


def test_a_saved_model_of_ones_own_needs_its_programs(own, train, tmp_path):
    lcm = LatentCausalModel(*own()).fit(train[:200], phases=annealed(4, batch_size=64), progress=False)
    lcm.save(tmp_path)
    with pytest.raises(ValueError, match="model, guide: got none"):
        LatentCausalModel.load(tmp_path)
    wrong = build(Architecture("ilcm", dim_x=3, dim_z=2, flow_layers=2))
    with pytest.raises(ValueError, match=r"names|tensors"):
        LatentCausalModel.load(tmp_path, model=wrong[0], guide=wrong[1])


def test_tensors_of_another_model_are_refused(lcm, tmp_path):
    lcm.save(tmp_path)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    config["architecture"]["flow_layers"] = 3
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match="the tensors do not fit the configuration"):
        LatentCausalModel.load(tmp_path)


@each_row("key", ["model", "names", "architecture", "standardizer"])
def test_a_configuration_with_a_missing_part_is_named(lcm, tmp_path, key):
    lcm.save(tmp_path)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    del config[key]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match=key):
        LatentCausalModel.load(tmp_path)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"options": {"min_scale": 0.1}}, "min_scale"),
        ({"options": {"min_sd": 0.02}}, "min_sd"),
        ({"names": ["a", "b", "c"]}, "names"),
    ],
)
def test_a_run_goes_on_only_as_what_it_was(changed, named, train, small, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Calibrate, "__call__", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            LatentCausalModel().fit(train[:300], budget=small, out=tmp_path, progress=False)
    with pytest.raises(ValueError, match=rf"^resume: .*{named}"):
        LatentCausalModel(**changed).fit(train[:300], budget=small, out=tmp_path, progress=False, resume=True)


def test_a_fit_that_is_refused_leaves_nothing(train, small, tmp_path):
    with pytest.raises(ValueError, match=r"^device"):
        LatentCausalModel().fit(train[:300], budget=small, out=tmp_path / "run", device="quantum", progress=False)
    assert not list(tmp_path.rglob("*.yaml"))
    LatentCausalModel().fit(train[:300], budget=small, out=tmp_path / "run", progress=False)


def test_double_precision_is_kept(train, held_out, small, tmp_path):
    lcm = LatentCausalModel().fit(train[:500], budget=small, precision="64-true", progress=False)
    assert all(parameter.dtype == torch.float64 for parameter in lcm.model.parameters())
    lcm.save(tmp_path)
    loaded = LatentCausalModel.load(tmp_path)
    _assert_same_model(lcm, loaded, held_out)
    assert loaded.fitted.dtype == torch.float64
    assert loaded.adjacency().shape == (3, 3)


def test_the_training_is_told_of_only_after_it(lcm, tmp_path):
    assert lcm.result.steps > 0
    with pytest.raises(RuntimeError, match="no training to tell of"):
        _ = LatentCausalModel().result
    lcm.save(tmp_path)
    with pytest.raises(RuntimeError, match="no training to tell of"):
        _ = LatentCausalModel.load(tmp_path).result


PROGRAM = """
import sys
import torch
from pyro_lcm import Budget, LatentCausalModel, simulate_scaling

pairs = simulate_scaling(dim=2, n=400, seed=0)
budget = Budget(refine=20, batch_size=64)
LatentCausalModel().fit(pairs, seed=1, budget=budget, out=sys.argv[1], device="cpu", progress=False)
torch.distributed.destroy_process_group()
"""


def test_of_two_processes_the_first_writes(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    done = subprocess.run([*command, str(tmp_path / "run")], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert LatentCausalModel.load(tmp_path / "run").dim_z == 2
    assert not list((tmp_path / "run").glob("*.tmp"))
