"""The workflow's configuration: what config.yaml may hold, and the grid of runs that follows from it.

The JSON schema in workflow/schemas is generated from here (``msat schema``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msat import levels
from msat.config.whole import Config, shape_of
from msat.errors import InputError
from msat.network import Network
from msat.stages import phase_map
from msat.tasks.base import TaskSettings
from msat.validation import validated


def parse_config(values: Mapping[str, Any]) -> Config:
    """Return the configuration in a mapping, checked in full, with the selected experiments only.

    Raises:
        InputError: With the first problem in one line.
    """
    config = validated(Config, values, where="config: ")
    for name in config.select or ():
        if name not in config.experiments:
            known = ", ".join(config.experiments)
            raise InputError(f"config: select = {name!r}: no such experiment; known are {known}")
    for name in config.reference.experiments or ():
        if name not in config.experiments:
            known = ", ".join(config.experiments)
            raise InputError(f"config: reference.experiments = {name!r}: no such experiment; known are {known}")
    chosen = {}
    for name in config.select or config.experiments:
        experiment = config.experiments[name]
        try:
            _check(config, name)
        except InputError as error:
            raise InputError(f"config: experiments.{name}: {error}") from None
        chosen[name] = experiment.model_copy(update={"task": experiment.task.located(config.mnist.folder)})
    maps = {}
    for name, named in config.maps.items():
        try:
            if isinstance(n_train := getattr(named.task, "n_train", None), list):
                raise InputError(f"task.n_train = {n_train}: must be one number; several are an axis of the map")
            phase_map.check(named, named.network, named.task)
        except InputError as error:
            raise InputError(f"config: maps.{name}: {error}") from None
        maps[name] = named.model_copy(update={"task": named.task.located(config.mnist.folder)})
    checked = config.model_copy(update={"experiments": chosen, "maps": maps})
    _check_reference(checked)
    return checked


def read_config(paths: Sequence[Path]) -> Config:
    """Return the configuration in a file and its overlays, as Snakemake merges them: maps merge, all else is replaced.

    What needs files that are not there is left out, see `with_files`.

    Raises:
        InputError: If a file is missing or unreadable, or with the first problem of the configuration.
    """
    import yaml

    values: dict[str, Any] = {}
    for path in paths:
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise InputError(f"{path}: not a readable config ({str(error).splitlines()[0]})") from None
        if not isinstance(found, dict):
            raise InputError(f"{path}: not a config: must hold keys and values")
        values = merged(values, found)
    return with_files(parse_config(values))[0]


def merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with an overlay on it: maps merge, all else is replaced."""
    both = {
        name: merged(base[name], value)
        for name, value in overlay.items()
        if isinstance(value, dict) and isinstance(base.get(name), dict)
    }
    return {**base, **overlay, **both}


def _check_reference(config: Config) -> None:
    """Raise InputError if the reference would be the training itself, or has seeds that no experiment has."""
    sampler, seeds = config.reference.sampler, config.reference.seeds or ()
    if config.references() and sampler == config.langevin.sampler:
        raise InputError(f"config: reference.sampler = {sampler!r}: must be another one than langevin.sampler")
    known = {seed for name in config.experiments for seed in config.seeds_of(name)}
    for seed in seeds:
        if seed not in known:
            raise InputError(f"config: reference.seeds = {seed}: no experiment has that seed")


def _check(config: Config, name: str) -> None:
    """Raise InputError if the parts of one experiment do not fit together."""
    config.experiments[name].check_samples()
    network = config.experiments[name].network
    for chi in config.scale_names(name):
        Network(**network.model_dump(), chi=float(chi))
    levels.check_levels(config.levels_of(name), *shape_of(config.experiments[name]))
    seeds = config.seeds_of(name)
    if len(set(seeds)) < len(seeds):
        raise InputError(f"seeds = {seeds}: a seed is named twice")


def with_files(config: Config) -> tuple[Config, str]:
    """Return the configuration without what needs files that are not there, and a line that says so, or "".

    Only experiments and maps on files that the workflow can get are left out, and only if the config does not
    require them.

    Raises:
        InputError: If another file is missing, or no experiment is left to run.
    """
    absent = {
        part: [name for name, at in getattr(config, part).items() if _lacks_files(config, f"{part}.{name}", at.task)]
        for part in ("experiments", "maps")
    }
    left_out = [*absent["experiments"], *(f"map {name}" for name in absent["maps"])]
    if not left_out:
        return config, ""
    kept = {
        part: {name: at for name, at in getattr(config, part).items() if name not in names}
        for part, names in absent.items()
    }
    names = ", ".join(left_out)
    line = f"MNIST is not in {config.mnist.folder}: left out {names}; `snakemake mnist` gets the files"
    if not kept["experiments"]:
        raise InputError(f"config: no experiment is left to run. {line}")
    return config.model_copy(update=kept), line


def _lacks_files(config: Config, where: str, task: TaskSettings) -> bool:
    """Return whether what is on a task is left out; InputError if files are missing that are the user's own."""
    missing = [path for path in task.files() if not Path(path).is_file()]
    if missing and not task.fetched:
        key = next((key for key, value in task if value == missing[0]), "files")
        raise InputError(f"config: {where}.task.{key} = {missing[0]!r}: no such file")
    return bool(missing) and not config.mnist.required


def schema() -> dict[str, Any]:
    """Return the JSON schema of the configuration."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
