import json
import re
from pathlib import Path

import pytest
import yaml

from msat import figures, levels
from msat.config import parse_config, schema, with_files
from msat.errors import InputError

ROOT = Path(__file__).parent.parent
MINIMAL = {"experiments": {"a": {"task": {"name": "ising"}, "network": {"width": 100}}}, "scales": {"chi": [1, 10]}}


def _changed(path: str, value):
    """Return the minimal configuration with one key set, given as a dotted path."""
    config = json.loads(json.dumps(MINIMAL))
    *parents, last = path.split(".")
    at = config
    for name in parents:
        at = at.setdefault(name, {})
    at[last] = value
    return config


def merged(base, overlay):
    """Merge as Snakemake does: maps deeply, lists replaced."""
    result = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def test_the_schema_has_the_ranges_of_seeds():
    assert schema()["properties"]["seeds"]["items"] == {"maximum": 2**63 - 1, "minimum": 0, "type": "integer"}


def test_schema_has_not_drifted():
    """Run ``msat schema --out workflow/schemas/config.schema.json`` after a change of msat.config."""
    assert json.loads((ROOT / "workflow/schemas/config.schema.json").read_text()) == schema()


def test_every_key_has_a_description():
    for name, definition in (schema()["$defs"] | {"Config": schema()}).items():
        for key, value in definition.get("properties", {}).items():
            assert value.get("description"), f"{name}.{key}"


@pytest.mark.parametrize("overlay", [None, "smoke", "paper", "own_data"])
def test_shipped_configurations_are_valid(overlay):
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    if overlay:
        values = merged(values, yaml.safe_load((ROOT / f"configs/{overlay}.yaml").read_text()))
    config = parse_config(values)
    for name in config.experiments:
        scales = config.scale_names(name)
        assert scales[0] == "1"
        assert scales[-1] == str(config.experiments[name].network.widths[-1])


def test_an_overlay_can_select_experiments():
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert list(parse_config(values | {"select": ["ising_erf"]}).experiments) == ["ising_erf"]
    with pytest.raises(InputError, match="select = 'nope': no such experiment; known are ising_linear"):
        parse_config(values | {"select": ["nope"]})


def test_default_is_the_papers_setting():
    config = parse_config(yaml.safe_load((ROOT / "config.yaml").read_text()))
    experiment = config.experiments["ising_linear"]
    assert (experiment.task.n_train, experiment.task.n_test, experiment.task.dimension) == (80, 1000, 200)
    assert experiment.task.delta_p == 0.1
    assert experiment.network.parameters() == {
        "width": 100,
        "activation": "linear",
        "g_w": 0.5,
        "g_v": 0.5,
        "kappa_0": 1.0,
    }
    assert len(config.scale_names("ising_linear")) >= 7
    assert len(config.seeds) >= 3


def test_levels_are_those_of_the_activation_unless_named():
    assert parse_config(MINIMAL).levels_of("a") == list(levels.NAMES)
    config = parse_config(_changed("experiments.a.network.activation", "erf"))
    assert config.levels_of("a") == levels.defined_levels("erf")
    assert parse_config(_changed("theory.levels", ["nngp"])).levels_of("a") == ["nngp"]


def test_gamma_is_the_exponent_of_the_width():
    config = parse_config(_changed("scales", {"gamma": [0.0, 0.5, 1.0]}))
    assert config.scale_names("a") == ["1", "10", "100"]


def test_an_experiment_may_have_its_own_scales_and_seeds():
    config = parse_config(_changed("experiments.a.seeds", [7]))
    assert config.seeds_of("a") == [7]
    config = parse_config(_changed("experiments.a.scales", {"chi": [2]}))
    assert config.scale_names("a") == ["2"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("experimnets", {}, "experimnets: unknown key; known are results, experiments, select"),
        ("langevin.chians", 3, "langevin.chians: unknown key; known are sampler, chains"),
        ("experiments.a.network.depth", 2, "experiments.a.network.depth: unknown key"),
        ("experiments.a.network.width", "100", "experiments.a.network.width = '100'"),
        ("experiments.a.network.width", 0, "experiments.a.network.width = 0: must be an integer from 1"),
        ("experiments.a.network.kappa_0", 0, "kappa_0 = 0: must be a finite number greater than 0"),
        ("experiments.a.network.activation", "sine", "activation = 'sine'"),
        ("experiments.a.task.n_train", 0, "n_train = 0"),
        ("experiments.a.task.name", "xor", "experiments.a.task.name = 'xor': must be one of ising, mnist, table"),
        (
            "experiments.a",
            {"task": {"name": "ising"}, "network": {"activation": "erf"}, "levels": ["exact"]},
            "experiments.a: level = 'exact' with activation = 'erf': exact needs activation = 'linear'",
        ),
        ("experiments.a.task", {"name": "mnist", "digits": [3, 3]}, "digits = .*the two digits must differ"),
        ("experiments.a.task", {"name": "mnist", "digits": [3, 10]}, "digits.1 = 10"),
        ("experiments.a.task", {"name": "mnist", "pool": 3}, "pool = 3: must divide 28"),
        ("experiments.a.task", {"name": "table", "file": "a.xlsx", "target": "y"}, "file = 'a.xlsx': must end in"),
        ("experiments.a.task", {"name": "table", "file": "a.csv", "n_train": 3}, "target: required but missing"),
        ("experiments.a.task", {"name": "table", "file": "a.csv", "target": "a,b"}, "target = 'a,b'"),
        (
            "experiments.a.task",
            {"name": "teacher_student", "teacher": "linear", "basis": "physicists"},
            "belongs to teacher hermite, not to linear",
        ),
        ("mnist.sources", [], "mnist.sources"),
        ("experiments.A-b", {}, "experiments.A-b"),
        ("scales", {"chi": [1], "gamma": [0.0]}, "either as chi or as gamma"),
        ("scales", {"chi": [0]}, r"scales.chi.0 = 0: input should be greater than 0"),
        ("scales", {"chi": [1, 1.0000000001]}, "a scale is named twice"),
        ("scales", {}, "experiments.a: scales: give a list"),
        (
            "experiments.a",
            {"task": {"name": "ising"}, "network": {"activation": "quadratic"}, "levels": ["tree_level"]},
            "experiments.a: level = 'tree_level' with activation = 'quad",
        ),
        ("theory.levels", ["nngp", "nngp"], "experiments.a: levels = nngp,nngp: a level is named twice"),
        ("seeds", [1, 1], "a seed is named twice"),
        ("seeds", [], "seeds = "),
        ("seeds", [-1], "seeds.0 = -1"),
        ("theory.levels", ["nlo"], "theory.levels.0 = 'nlo'"),
        ("langevin.device", "tpu", "langevin.device = 'tpu'"),
        ("checks.alpha", 0, "checks.alpha = 0"),
        ("figures.formats", ["jpg"], "figures.formats.0 = 'jpg'"),
    ],
)
def test_bad_keys_are_named_in_one_line(path, value, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_config(_changed(path, value))
    assert "\n" not in str(caught.value)


MNIST = {"name": "mnist", "n_train": 40, "n_test": 10, "pool": 2}


def test_experiments_on_mnist_need_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = _changed("experiments.b", {"task": MNIST, "network": {"width": 10}})
    config = parse_config(values)
    kept, line = with_files(config)
    assert list(kept.experiments) == ["a"]
    assert line == "MNIST is not in data/mnist: left out b; `snakemake mnist` gets the files"
    required = parse_config(values | {"mnist": {"required": True}})
    assert with_files(required) == (required, "")
    with pytest.raises(InputError, match=r"no experiment is left to run\. MNIST is not in data/mnist: left out b"):
        with_files(parse_config(values | {"select": ["b"]}))
    assert with_files(parse_config(values | {"select": ["a"]}))[1] == ""
    (tmp_path / "data/mnist").mkdir(parents=True)
    for path in config.experiments["b"].task.files():
        Path(path).touch()
    assert with_files(config) == (config, "")


def test_a_table_must_be_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = {"name": "table", "file": "mine.csv", "target": "y", "split": "part"}
    config = parse_config(_changed("experiments.a.task", task))
    with pytest.raises(InputError, match=r"experiments\.a\.task\.file = 'mine\.csv': no such file"):
        with_files(config)
    (tmp_path / "mine.csv").touch()
    assert with_files(config) == (config, "")
    task = config.experiments["a"].task
    assert task.files() == ["mine.csv"]
    assert task.sizes() == (1000, 1000, 1000)


def test_sizes_and_options_of_a_task():
    config = parse_config(
        _changed("experiments.b", {"task": MNIST, "network": {"width": 10}}) | {"mnist": {"folder": "images"}}
    )
    digits, ising = (config.experiments[name].task for name in "ba")
    assert digits.sizes() == (40, 10, 196)
    assert config.task_options("b")["images"] == "images"
    assert "images" not in digits.model_dump()  # where the files are is no property of the data
    assert digits.files()[0] == "images/train-images-idx3-ubyte"
    assert digits.fetched
    assert ising.files() == []
    assert ising.sizes() == (80, 1000, 200)
    assert not ising.fetched
    assert not digits.has_direction
    for teacher, known in (("hermite", True), ("linear", True), ("network", False)):
        task = {"name": "teacher_student", "teacher": teacher}
        assert parse_config(_changed("experiments.a.task", task)).experiments["a"].task.has_direction is known


def test_the_grid_and_its_paths():
    values = _changed("experiments.b", {"task": {"name": "ising"}, "network": {"width": 10}, "seeds": [7]})
    config = parse_config(values | {"scales": {"chi": [1, 2.15, 1e-7]}, "seeds": [0, 1], "results": "out"})
    runs = config.runs()
    assert [(run.experiment, run.seed) for run in runs[::3]] == [("a", 0), ("a", 1), ("b", 7)]
    assert runs[1] == config.run_of("a", "0", "2.15")
    assert runs[1].theory == "out/a/seed0/theory.nc"
    assert runs[1].langevin == "out/a/seed0/chi2.15/langevin.nc"
    assert runs[1].final_state("langevin") == "out/states/a/seed0/chi2.15/langevin.pt"
    assert runs[1].checkpoint("f00") == "out/checkpoints/a-seed0-chi2.15-f00.pt"
    assert len({run.langevin for run in runs}) == len(runs)
    assert config.plan().splitlines()[:2] == [
        "experiment,seed,chi,theory,langevin,reference",
        "a,0,1,out/a/seed0/theory.nc,out/a/seed0/chi1/langevin.nc,",
    ]


def test_which_runs_have_a_reference():
    erf = {"task": {"name": "ising"}, "network": {"width": 10, "activation": "erf"}, "seeds": [7, 8]}
    values = _changed("experiments.b", erf) | {"scales": {"chi": [1, 2]}, "seeds": [0, 1]}

    def found(**reference):
        config = parse_config(values | {"reference": reference})
        listed = [line.split(",") for line in config.plan().splitlines()[1:]]
        assert [row[5] for row in listed if row[5]] == [run.reference for run in config.references()]
        return [(run.experiment, run.seed, run.chi) for run in config.references()]

    assert found() == [("b", 7, "1"), ("b", 7, "2")]
    assert found(seeds=[0, 8]) == [("b", 8, "1"), ("b", 8, "2")]
    assert found(experiments=["a"], seeds=[1]) == [("a", 1, "1"), ("a", 1, "2")]
    assert found(experiments=[]) == []
    with pytest.raises(InputError, match=r"reference\.experiments = 'c': no such experiment; known are a, b"):
        found(experiments=["c"])


def test_names_of_scales_are_made_and_matched_by_one_rule():
    config = parse_config(_changed("scales", {"chi": [1, 2.15, 1e-7, 123456789.0, 1.5e20]}))
    names = config.scale_names("a")
    assert names == ["1", "2.15", "1e-07", "1.23457e+08", "1.5e+20"]
    pattern = config.wildcards()["chi"]
    assert all(re.fullmatch(pattern, name) for name in names)
    assert not any(re.fullmatch(pattern, other) for other in ("2x15", "1e07", "3", "1/2", ""))
    assert re.fullmatch(config.wildcards()["experiment"], "a")


def test_the_trajectory_is_named_without_its_end():
    def named(code="f00", **langevin):
        return parse_config(_changed("langevin", langevin)).trajectory("a", "langevin", code)

    assert named() == named(target_error=0.1, max_steps=999)
    assert len({named(), named(chains=4), named("f01")}) == 3


def test_figures_follow_from_levels_and_task():
    """A figure without its levels, or its teacher's direction, is left out."""
    config = parse_config(_changed("experiments.a.task", {"name": "teacher_student"}))
    assert set(config.figures_of("a")) == {name for name in figures.NAMES if figures.declaration(name).kind != "map"}
    assert "components" not in parse_config(MINIMAL).figures_of("a")
    kernel_levels = parse_config(_changed("experiments.a.levels", ["nngp", "rescaling"]))
    assert "kernels" not in kernel_levels.figures_of("a")
    assert "results/figures/a/kernels.pdf" in parse_config(MINIMAL).figure_files()
    assert "results/figures/loop_map.png" in kernel_levels.figure_files()
    assert "results/figures/a/kernels.pdf" not in kernel_levels.figure_files()


def test_what_figures_read_and_how_they_are_asked_for():
    config = parse_config(_changed("experiments.a.title", "A: b"))
    ends = ["results/a/seed0/chi1/langevin.nc", "results/a/seed0/chi10/langevin.nc"]
    assert config.figure_input("kernels", "a") == ["results/a/seed0/theory.nc", *ends]
    assert config.figure_input("samples", "a") == ["results/tables/samples.parquet"]
    assert config.figure_input("loop_map") == ["results/tables/loop_map.parquet"]
    tables = [f"results/tables/{name}.parquet" for name in ("chains", "evidence", "evidence_maximum", "samples")]
    found = config.figures_input("a")
    assert {*tables, "results/a/seed0/theory.nc", *ends} <= set(found)
    assert len(set(found)) == len(found)
    of_tables = {"formats": ["pdf", "png"], "title": "A: b", "tables": "results/tables", "experiment": "a"}
    runs = {"theory": "results/a/seed0/theory.nc", "langevin": tuple(ends)}
    assert config.figures_options("a") == of_tables | runs
    without_runs = parse_config(_changed("experiments.a.levels", ["nngp", "rescaling"]))
    assert config.figures_options("a").keys() - without_runs.figures_options("a").keys() == {"theory", "langevin"}
    assert config.maps() == ["finite_width", "loop_map"]


def test_a_task_may_name_its_own_folder_of_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = parse_config(_changed("experiments.b", {"task": MNIST | {"images": "mine"}, "network": {"width": 10}}))
    assert config.experiments["b"].task.files()[0] == "mine/train-images-idx3-ubyte"


def test_the_theory_keeps_the_matrices_asked_for_and_those_that_figures_draw():
    network = {"width": 50, "activation": "linear"}
    small = {"task": {"name": "ising", "n_train": 20, "dimension": 30, "n_test": 5}, "network": network}
    large = small | {"task": small["task"] | {"n_train": 5000}}
    without = large | {"levels": ["exact"]}  # no figure of kernels
    values = {"experiments": {"small": small, "large": large, "without": without}, "scales": {"chi": [1, 7, 50]}}
    config = parse_config(values)
    assert config.matrices_of("small") is None
    assert config.matrices_of("large") == ["nngp", "laplace", "1", "50"]
    assert config.matrices_of("without") == ["none"]
    assert config.theory_of("large")["matrices"] == ["nngp", "laplace", "1", "50"]
    config = parse_config(values | {"theory": {"matrices": ["exact", 7]}})
    assert config.matrices_of("without") == ["exact", "7"]
    assert config.matrices_of("small") == ["nngp", "laplace", "exact", "1", "7", "50"]
    with pytest.raises(InputError, match=r"^config: theory.matrices = \['exat'\]: exat: must be a scale or one of"):
        parse_config(values | {"theory": {"matrices": ["exat"]}})
