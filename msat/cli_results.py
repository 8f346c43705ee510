"""The commands over results: compare, collect, check, verify and show; see `msat.cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from msat.cli_options import PATH, build, command, option, options


def compare() -> click.Command:
    """Return the command that prints theory against training."""

    def run(theory: Path, langevin: Path, csv: Path | None) -> None:
        from msat.stages import tables

        print(tables.compare_files(theory, langevin, csv))

    return command(
        run,
        click.Argument(["theory"], type=PATH),
        click.Argument(["langevin"], type=PATH),
        option("--csv", "Also write the table as CSV.", type=PATH),
    )


def collect() -> click.Command:
    """Return the command that builds the tables."""

    def run(
        out: Path,
        theory: tuple[Path, ...],
        langevin: tuple[Path, ...],
        reference: tuple[Path, ...],
        plan: Path | None,
        partial: bool,
        processes: int,
    ) -> None:
        from msat.stages import code, tables

        made = code.made(code.tables())
        text = tables.run(out, theory or None, langevin or None, plan, partial, reference or None, processes, made)
        if text:
            print(text)

    listed = "Instead of these: CSV with the columns experiment, seed, chi, theory, langevin, reference."
    return command(
        run,
        option("--out", "Folder for the tables.", type=PATH, required=True),
        option("--theory", "Results of msat solve; repeat it.", type=PATH, multiple=True),
        option("--langevin", "Results of msat train; repeat it.", type=PATH, multiple=True),
        option("--reference", "Results of msat train by another sampler, to compare with.", type=PATH, multiple=True),
        click.Option(["--list", "plan"], help=listed, type=PATH),
        option("--partial", "Take what of --list exists, and say what is missing.", is_flag=True),
        option("--processes", "Processes that read results.", type=click.IntRange(min=1), default=1),
    )


def check() -> click.Command:
    """Return the command that judges the checks."""
    from msat.config.sections import Checks

    def run(table: Path, out: Path, **values: Any) -> None:
        from msat.stages import checks

        print(checks.run(table, out, build(Checks, values).alpha))

    return command(
        run,
        click.Argument(["table"], type=PATH),
        option("--out", "File to write.", type=PATH, required=True),
        options(Checks),
    )


def verify() -> click.Command:
    """Return the command that holds a results folder against its config."""

    def run(results: Path | None, configfile: tuple[Path, ...], partial: bool, same_code: bool) -> None:
        from msat.config import read_config
        from msat.stages import verify

        config = read_config(configfile)
        place = {} if results is None else {"results": str(results)}
        print(verify.run(config.model_copy(update=place), partial, same_code))

    overlays = "Config of the results; repeat it for overlays, in the order of snakemake --configfile."
    return command(
        run,
        click.Argument(["results"], type=PATH, required=False),
        option("--configfile", overlays, type=PATH, multiple=True, default=[Path("config.yaml")], show_default=True),
        option("--partial", "Take what is there: a missing file is not wrong.", is_flag=True),
        option("--same-code", "Files that were made by other code than this are wrong.", is_flag=True),
    )


def show() -> click.Command:
    """Return the command that prints where a file is from."""

    def run(file: Path) -> None:
        from msat.stages.show import show

        print(show(file))

    return command(run, click.Argument(["file"], type=PATH))
