"""Stage `checks`: the summary of a run, which fails where an exact level, or a reference, and training disagree."""

from __future__ import annotations

from pathlib import Path

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
    text, problems = summary(checks), disagreements(checks, alpha)
    if problems:
        print(text)  # no caller gets it to print, and it shows how large the disagreement is
        raise ComputationError("\n".join(problems))
    notes = [f"note: {line}" for line in (*unconverged(checks), *shortfalls(checks))]
    with atomic(out) as temporary:
        temporary.write_text("\n".join([text, *notes, verdict(checks, alpha), ""]))
    return text
