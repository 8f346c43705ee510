"""Tables: rows from result files, one against the other, pooled over seeds; and how long ones go to a file."""

# which there are, in the order of docs/formats.md: `msat.stages.tables` makes them, workflow and docs read this
TABLES = (
    "theory",
    "langevin",
    "reference",
    "comparison",
    "samples",
    "chains",
    "components",
    "half_learned",
    "evidence",
    "evidence_maximum",
    "checks",
)
