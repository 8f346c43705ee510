import json
from pathlib import Path

import pytest
import yaml

from msat.config import parse_config, schema
from msat.errors import InputError

ROOT = Path(__file__).parent.parent
MINIMAL = {
    "experiments": {"a": {"task": {"name": "ising"}, "network": {"width": 100}}},
    "scales": {"chi": [1, 10]},
}


def _changed(path: str, value):
    """Return the minimal configuration with one key set, given as a dotted path."""
    config = json.loads(json.dumps(MINIMAL))
    *parents, last = path.split(".")
    at = config
    for name in parents:
        at = at.setdefault(name, {})
    at[last] = value
    return config


def _merged(base, overlay):
    """Merge as Snakemake does: maps deeply, lists replaced."""
    result = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result


def test_schema_has_not_drifted():
    """Run ``msat schema --out workflow/schemas/config.schema.json`` after a change of msat.config."""
    assert json.loads((ROOT / "workflow/schemas/config.schema.json").read_text()) == schema()


def test_every_key_has_a_description():
    for name, definition in (schema()["$defs"] | {"Config": schema()}).items():
        for key, value in definition.get("properties", {}).items():
            assert value.get("description"), f"{name}.{key}"


@pytest.mark.parametrize("overlay", [None, "smoke", "paper"])
def test_shipped_configurations_are_valid(overlay):
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    if overlay:
        values = _merged(values, yaml.safe_load((ROOT / f"configs/{overlay}.yaml").read_text()))
    config = parse_config(values)
    for name in config.experiments:
        scales = config.chi(name)
        assert scales[0] == 1.0
        assert scales[-1] == config.experiments[name].network.width


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
    assert experiment.network.model_dump() == {
        "width": 100,
        "activation": "linear",
        "g_w": 0.5,
        "g_v": 0.5,
        "kappa_0": 1.0,
    }
    assert len(config.chi("ising_linear")) >= 7
    assert len(config.seeds) >= 3


def test_gamma_is_the_exponent_of_the_width():
    config = parse_config(_changed("scales", {"gamma": [0.0, 0.5, 1.0]}))
    assert config.chi("a") == [1.0, 10.0, 100.0]


def test_an_experiment_may_have_its_own_scales_and_seeds():
    config = parse_config(_changed("experiments.a.seeds", [7]))
    assert config.seeds_of("a") == [7]
    config = parse_config(_changed("experiments.a.scales", {"chi": [2]}))
    assert config.chi("a") == [2.0]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("experimnets", {}, "experimnets: unknown key; known are results, experiments, select"),
        ("langevin.chians", 3, "langevin.chians: unknown key; known are chains"),
        ("experiments.a.network.depth", 2, "experiments.a.network.depth: unknown key"),
        ("experiments.a.network.width", "100", "experiments.a.network.width = '100'"),
        ("experiments.a.network.width", 0, "experiments.a.network.width = 0: input should be greater than"),
        ("experiments.a.network.kappa_0", 0, "kappa_0 = 0: input should be greater than 0"),
        ("experiments.a.network.activation", "sine", "activation = 'sine'"),
        ("experiments.a.task.n_train", 0, "n_train = 0"),
        ("experiments.a.task.name", "xor", "experiments.a.task"),
        ("experiments.a.network.activation", "erf", "level exact needs activation linear"),
        ("experiments.A-b", {}, "experiments.A-b"),
        ("scales", {"chi": [1], "gamma": [0.0]}, "either as chi or as gamma"),
        ("scales", {"chi": [0]}, r"scales.chi.0 = 0: input should be greater than 0"),
        ("scales", {"chi": [1, 1.0000000001]}, "a scale is named twice"),
        ("scales", {}, "experiments.a: scales: give a list"),
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
