"""Stage `checks`: the summary of a run, which fails where an exact level, or a reference, and training disagree."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from msat.errors import ComputationError
from msat.store import atomic, check_distinct, check_writable
from msat.tables.checks import disagreements, shortfalls, summary, unconverged, verdict
from msat.tables.files import read_table


def run(table: Path, out: Path, alpha: float) -> str:
    """Write the summary of a table `checks`, with notes and the verdict, and return it without these.

    Args:
        table, out: The table, and the text file to write.
        alpha: False-alarm rate of the whole table.

    Raises:
        InputError: If the file is another table.
        ComputationError: If an exact level, or a reference, and training disagree, with a line for each quantity; the
            summary is printed before.
    """
    check_writable(out)
    check_distinct(("the table", table), ("--out", out))
    checks = read_table(table, ("experiment", "chi", "n_train", "level", "measured_by", "chi2_p"))
    text, problems = judged(checks, alpha)
    if problems:
        print(summary(checks))  # no caller gets it to print, and it shows how large the disagreement is
        raise ComputationError("\n".join(problems))
    with atomic(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return summary(checks)


def judged(checks: pd.DataFrame, alpha: float) -> tuple[str, list[str]]:
    """Return the summary of a table `checks` with notes and the verdict, and a line for each disagreement."""
    notes = [f"note: {line}" for line in (*unconverged(checks), *shortfalls(checks))]
    return "\n".join([summary(checks), *notes, verdict(checks, alpha), ""]), disagreements(checks, alpha)
