import json
import re
from pathlib import Path

import pytest
import yaml

from msat import figures, levels
from msat.config import merged, parse_config, schema, with_files
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
        ("experiments.a.task", {"name": "mnist", "digits": [3, 3]}, "digits = .*digit 3 is given twice"),
        ("experiments.a.task", {"name": "mnist", "digits": [3, 10]}, "digits.1 = 10"),
        ("experiments.a.task", {"name": "mnist", "pool": 3}, "pool = 3: must divide 28"),
        ("experiments.a.task", {"name": "table", "file": "a.xlsx", "target": "y"}, "file = 'a.xlsx': must end in"),
        ("experiments.a.task", {"name": "table", "file": "a.csv", "n_train": 3}, "target: required but missing"),
        ("experiments.a.task", {"name": "table", "file": "a.csv", "target": "a,b"}, r"target.0 = 'a,b'"),
        (
            "experiments.a.task",
            {"name": "teacher_student", "teacher": "linear", "basis": "physicists"},
            "belongs to teacher hermite, not to linear",
        ),
        ("experiments.a.task.n_train", [], r"a.task.ising.n_train = \[\]: must be a number, or a list of at least one"),
        ("experiments.a.task.n_train", [8, 0], "a.task.ising.n_train = 0: input should be greater than or equal to 1"),
        ("experiments.a.task.n_train", [8, 9, 8], r"n_train = \[8, 9, 8\]: a number is named twice"),
        ("experiments.a.task.n_train", [8, 9.5], r"n_train = 9.5: input should be a valid integer"),
        (
            "experiments.a.task",
            {"name": "ising", "n_train": [8, 9], "n_drawn": 8},
            "n_drawn = 8: must be at least n_tr",
        ),
        ("experiments.a.task", {"name": "ising", "n_train": 9, "n_drawn": 8}, "a: n_drawn = 8: must be at least n_tr"),
        (
            "experiments.a.task",
            {"name": "table", "file": "a.csv", "target": "y", "split": "part", "n_train": [8, 9]},
            r"a: n_train = \[8, 9\]: split = 'part' says which rows are training samples; n_train must be one number",
        ),
        ("experiments.a.task", {"name": "table", "file": "a.csv", "target": "y", "n_train": [8, None]}, "numbers only"),
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
    assert task.sizes() == (1000, 1000, 1000, 1)


def test_sizes_and_options_of_a_task():
    config = parse_config(
        _changed("experiments.b", {"task": MNIST, "network": {"width": 10}}) | {"mnist": {"folder": "images"}}
    )
    digits, ising = (config.experiments[name].task for name in "ba")
    assert digits.sizes() == (40, 10, 196, 1)
    assert config.task_options("b")["images"] == "images"
    assert "images" not in digits.model_dump()  # where the files are is no property of the data
    assert digits.files()[0] == "images/train-images-idx3-ubyte"
    assert digits.fetched
    assert ising.files() == []
    assert ising.sizes() == (80, 1000, 200, 1)
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
    needs = {name: figures.declaration(name) for name in figures.NAMES}
    of_experiment = {name: need for name, need in needs.items() if need.kind in ("experiment", "runs")}
    assert set(config.figures_of("a")) == {name for name, need in of_experiment.items() if not need.against_samples}
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
    assert [drawn.name for drawn in config.map_figures()] == ["finite_width", "loop_map"]


AXES = {"x": "chi", "x_values": [1.0, 2.0], "y": "n_train", "y_values": [10, 30]}
THREE = {"name": "teacher_student", "outputs": 3}


def test_named_maps_have_their_own_folders():
    maps = {"one": AXES | {"title": "A map"}, "two": AXES | {"task": MNIST, "network": {"activation": "erf"}}}
    config = parse_config(MINIMAL | {"maps": maps})
    one, _ = config.map_figures()[-2:]
    assert one == ("map_one", "phase_map", "results/maps/one", "results/figures/maps/one", "A map")
    assert "results/figures/maps/two/phase_map.png" in config.figure_files()
    assert config.maps["one"].task.name == "ising"
    options = config.map_options("one")
    assert {"title", "task", "network", "name"}.isdisjoint(options)
    assert {"x": "chi", "y_values": [10, 30], "dimension": 200, "activation": "linear"}.items() <= options.items()
    assert config.map_options("two")["images"] == config.maps["two"].task.images
    longer = parse_config(MINIMAL | {"maps": {"one": maps["one"] | {"y_values": [10, 3000]}}})
    assert longer.map_mb("one") > config.map_mb("one") > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"y": "chi"}, "config: maps.one: x = chi, y = chi: must be two different parameters"),
        ({"levels": ["exact"], "network": {"activation": "erf"}}, "config: maps.one: level = 'exact' with activation"),
        ({"y_values": [1, 3], "task": MNIST}, "config: maps.one: n_train = 1: input should be greater than or equal"),
        ({"z": 1}, "config: maps.one.z: unknown key"),
        (
            {"task": THREE, "network": {"width": 2}, "levels": ["exact"]},
            "config: maps.one: level = 'exact' with activation = 'linear' and 3 outputs: width = 2: must be at least",
        ),
        (
            {"task": THREE, "network": {"width": [5, 6]}},
            "config: maps.one: 3 outputs and 2 hidden layers: several outputs with several hidden layers are not",
        ),
    ],
)
def test_a_bad_map_is_one_line(values, message):
    with pytest.raises(InputError) as error:
        parse_config(MINIMAL | {"maps": {"one": AXES | values}})
    assert str(error.value).startswith(message)


def test_maps_on_files_that_are_missing_are_left_out(tmp_path):
    maps = {"one": AXES, "two": AXES | {"task": MNIST}}
    config, line = with_files(parse_config(MINIMAL | {"maps": maps, "mnist": {"folder": str(tmp_path)}}))
    assert list(config.maps) == ["one"]
    assert "left out map two;" in line
    table = {"name": "table", "file": "nowhere.npz", "n_train": 4}
    with pytest.raises(InputError, match=r"^config: maps.three.task.file = 'nowhere.npz': no such file"):
        with_files(parse_config(MINIMAL | {"maps": {"three": AXES | {"task": table}}}))


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
    with pytest.raises(
        InputError, match=r"^config: theory.matrices = \['exat'\]: exat: must be a scale, above 0 and finite, or one of"
    ):
        parse_config(values | {"theory": {"matrices": ["exat"]}})


def test_levels_of_several_outputs_are_those_they_have():
    """By default; and a level that several outputs do not have is refused with the config."""
    task = {"name": "teacher_student", "outputs": 3}
    values = _changed("experiments.b", {"task": task, "network": {"width": 10, "activation": "erf"}})
    config = parse_config(values)
    assert "one_loop" not in config.levels_of("b")
    assert "components" not in config.figures_of("b")
    assert config.experiments["b"].task.sizes() == (60, 1000, 30, 3)
    for network, level in (({"width": 10, "activation": "erf"}, "one_loop"), ({"width": 2}, "exact")):
        wrong = _changed("experiments.b", {"task": task, "network": network, "levels": [level]})
        with pytest.raises(InputError, match=f"experiments.b: level = '{level}' .* and 3 outputs"):
            parse_config(wrong)
    deep = _changed("experiments.b", {"task": task, "network": {"width": [10, 5]}})
    with pytest.raises(
        InputError, match=r"experiments.b: 3 outputs and 2 hidden layers: .* not derived; give one width"
    ):
        parse_config(deep)


def _several(**task):
    experiment = {
        "task": {"name": "ising", "n_test": 5, "dimension": 30} | task,
        "network": {"width": 10},
        "seeds": [7],
    }
    return parse_config(_changed("experiments.b", experiment))


def test_several_numbers_of_samples_are_an_axis_of_the_runs():
    config = _several(n_train=[40, 8, 20])
    runs = config.runs()
    assert [(run.n_train, run.chi) for run in runs if run.experiment == "b"] == [
        (p, chi) for p in (8, 20, 40) for chi in ("1", "10")
    ]
    assert {run.n_train for run in runs if run.experiment == "a"} == {None}
    run = config.run_of("b", "7", "10", "/p20")
    assert run in runs
    assert run.theory == "results/b/p20/seed7/theory.nc"
    assert run.langevin == "results/b/p20/seed7/chi10/langevin.nc"
    assert run.final_state("langevin") == "results/states/b/p20/seed7/chi10/langevin.pt"
    assert run.checkpoint("f00") == "results/checkpoints/b-p20-seed7-chi10-f00.pt"
    files = [path for run in runs for path in (run.langevin, run.reference, run.checkpoint(""), run.final_state("x"))]
    assert len(set(files)) == len(files)
    patterns = config.wildcards()
    places = re.compile(rf"x/(?:{patterns['experiment']})(?:{patterns['samples']})/y")
    assert all(places.fullmatch(f"x/{place}/y") for place in ("a", "b/p8", "b/p20", "b/p40"))
    assert not any(places.fullmatch(f"x/{place}/y") for place in ("b", "a/p8", "b/p9", "bp8", "b/p", "b/p80", "ab/p8"))
    for place in (("a", "0", "1", "/p8"), ("b", "7", "1", ""), ("b", "7", "1", "/p9")):
        with pytest.raises(InputError, match="not in the grid of runs"):
            config.run_of(*place)


def test_what_depends_on_the_number_of_samples_is_that_of_the_job():
    config = _several(n_train=[8, 20, 40])
    for n_train in (8, 20, 40):
        assert config.task_of("b", n_train).sizes() == (n_train, 5, 30, 1)
        values = config.task_values("b", n_train)
        assert (values["n_train"], values["n_drawn"]) == (n_train, 40)
        assert config.task_options("b", n_train)["n_drawn"] == 40
        assert config.theory_of("b", n_train)["chi"] == ["1", "10"]
    assert len({config.trajectory("b", "langevin", "f00", n_train) for n_train in (8, 20, 40)}) == 3
    assert config.plan().splitlines()[0] == "experiment,seed,chi,theory,langevin,reference,n_train"
    assert (
        config.plan().splitlines()[-1]
        == "b,7,10,results/b/p40/seed7/theory.nc,results/b/p40/seed7/chi10/langevin.nc,,40"
    )
    assert config.plan().splitlines()[1].endswith("/langevin.nc,,")
    # more samples are drawn than used: room for larger P, at which nothing is made anew
    roomy, grown = _several(n_train=[8, 20], n_drawn=40), _several(n_train=[8, 20, 40], n_drawn=40)
    for n_train in (8, 20):
        assert roomy.task_values("b", n_train) == grown.task_values("b", n_train) == config.task_values("b", n_train)


def test_one_number_of_samples_is_as_it_was():
    config = _several(n_train=20)
    assert "n_drawn" not in config.task_values("b")
    assert config.run_of("b", "7").theory == "results/b/seed7/theory.nc"
    assert config.wildcards()["samples"] == "(?<=/a)(?:)|(?<=/b)(?:)"
    assert "n_train" not in config.plan()
    assert "n_train" not in config.figures_options("b")
    assert _several(n_train=20, n_drawn=30).task_values("b")["n_drawn"] == 30


def test_figures_of_several_numbers_of_samples_show_the_largest():
    task = {"name": "teacher_student", "n_train": [8, 30], "n_drawn": 40}
    config = parse_config(_changed("experiments.a.task", task))
    assert "learning_curves" in config.figures_of("a")
    assert config.figures_options("a")["n_train"] == 30
    assert config.figures_options("a")["theory"] == "results/a/p30/seed0/theory.nc"
    assert config.figure_input("kernels", "a")[1] == "results/a/p30/seed0/chi1/langevin.nc"
    assert config.shows_one_of_several("kernels", "a")
    assert not config.shows_one_of_several("learning_curves", "a")
    one = parse_config(_changed("experiments.a.task", task | {"n_train": [8]}))
    assert "learning_curves" not in one.figures_of("a")
    assert one.run_of("a", "0", samples="/p8").n_train == 8


def test_a_reference_is_another_sampler_at_seeds_that_there_are():
    """The sampler is part of the seed: two runs of one would agree to the last bit."""
    values = _changed("experiments.b", {"task": {"name": "ising"}, "network": {"activation": "erf"}})
    assert parse_config(values).references()
    for section, message in (
        ({"langevin": {"sampler": "hmc"}}, "reference.sampler = 'hmc': must be another one than langevin.sampler"),
        ({"reference": {"sampler": "langevin"}}, "reference.sampler = 'langevin': must be another one than"),
        ({"reference": {"seeds": [0, 77]}}, "reference.seeds = 77: no experiment has that seed"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            parse_config({**values, **section})
    none = {"langevin": {"sampler": "hmc"}, "reference": {"experiments": []}}
    assert not parse_config({**values, **none}).references()
