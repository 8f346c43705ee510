"""A task from a table of the user's: .csv, .parquet, or arrays in .npz."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from msat.errors import InputError
from msat.tasks.base import Task, TaskSettings
from msat.types import Array, Indices

if TYPE_CHECKING:
    import pandas as pd

Standardise = Literal["none", "features", "features_and_target"]
# commas separate names on the command line
Column = Annotated[str, StringConstraints(pattern=r"^[^,]+$")]
SUFFIXES = (".csv", ".parquet", ".npz")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Columns = Annotated[list[Column], Field(min_length=1), BeforeValidator(_listed, json_schema_input_type=list[str] | str)]


class Settings(TaskSettings):
    """A table of your own: .csv, .parquet or .npz."""

    file: str = Field(
        min_length=1,
        description="The table: .csv, .parquet, or .npz with arrays x (rows, D) and y (rows,) or (rows, m). "
        "A relative path starts at the folder that the command runs in.",
    )
    target: Columns | None = Field(
        None,
        description="Column (or array of .npz) of the labels; by default y, which only .npz may leave out. Several, or "
        "an array of several columns, are as many outputs.",
    )
    features: list[Column] | None = Field(
        None,
        min_length=1,
        description="Columns (or arrays of .npz) of the inputs; by default all other numeric ones (or x).",
    )
    n_train: int | None = Field(
        None, ge=1, description="Number of training samples P. With split: what the column must give, if stated."
    )
    n_test: int | None = Field(
        None,
        ge=0,
        description="Number of test samples Q; by default all rows left. With split: what the column must give, "
        "if stated.",
    )
    split: Column | None = Field(
        None, description="Column (or array) that says train or test for each row, instead of a draw by the seed."
    )
    standardise: Standardise = Field(
        "features",
        description="none: numbers as they are. features: of each input column its train mean is subtracted, and "
        "it is divided by its train standard deviation, so that the mean |x|^2 over the train split is D. "
        "features_and_target: the labels likewise.",
    )

    @field_validator("file")
    @classmethod
    def _known_suffix(cls, file: str) -> str:
        if Path(file).suffix.lower() not in SUFFIXES:
            raise ValueError(f"must end in {', '.join(SUFFIXES)}")
        return file

    @field_validator("features", "target")
    @classmethod
    def _no_repetition(cls, names: list[str] | None) -> list[str] | None:
        if names and len(set(names)) < len(names):
            raise ValueError("a column is named twice")
        return names

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.target is None and Path(self.file).suffix.lower() != ".npz":
            raise ValueError("target: required but missing; name the column of the labels")
        if self.split is None and self.n_train is None:
            raise ValueError("n_train: required but missing; give n_train, or a split column")
        for name, column in (*(("target", item) for item in self.target or ()), ("split", self.split)):
            if column in (self.features or ()):
                raise ValueError(f"{name} = {column!r}: is among the features as well")
        if self.split is not None and self.split in (self.target or ()):
            raise ValueError(f"split = {self.split!r}: is the target as well")
        return self

    @property
    def n_outputs(self) -> int:
        """Number of outputs m, where their columns are named one by one."""
        return len(self.target or "y")

    @property
    def dimension(self) -> int | None:
        """Input dimension D, where the features are named."""
        return len(self.features) if self.features else None

    @property
    def draws_samples(self) -> bool:
        """Whether training rows are drawn, and not named by a column."""
        return self.split is None

    def files(self) -> list[str]:
        """Return the table."""
        return [self.file]


def make(settings: Settings, seed: int) -> Task:
    """Return a data set from a table.

    Every column is read as numbers. An array of .npz with two dimensions counts as that many columns. Columns that
    hold only text are left out of the inputs unless named (``left_out`` in the provenance). Rows are drawn without
    replacement, and training data do not depend on n_test. Standardisation divides by the deviation of P, not of
    P - 1.

    Raises:
        InputError: If the file cannot be read, a column is missing, holds text or a missing value, or there are too few
            rows.

    Examples:
        >>> import tempfile, numpy as np, msat
        >>> with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        ...     np.savez(file, x=np.arange(16.0).reshape(8, 2) ** 2, y=np.arange(8.0))
        ...     file.flush()
        ...     task = msat.tasks.table(file.name, target="y", n_train=5)
        >>> task.n_train, task.n_test, task.dimension
        (5, 3, 2)
    """
    try:
        content = Path(settings.file).read_bytes()
    except OSError as error:
        problem = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise InputError(f"{settings.file}: {problem}") from None
    table = _Table(settings.file, _read(settings.file, content))
    targets = [name for group in settings.target or ["y"] for name in table.named("target", group)]
    split_name = table.one("split", settings.split) if settings.split else None
    left_out: list[str] = []
    if settings.features or Path(settings.file).suffix.lower() == ".npz":
        names = [name for group in settings.features or ["x"] for name in table.named("features", group)]
    else:
        others = [name for name in table.frame.columns if name not in (*targets, split_name)]
        left_out = [name for name in others if table.is_text(name)]
        names = [name for name in others if name not in left_out]
        if not names:
            beside = ", ".join(map(repr, targets))
            raise InputError(f"{settings.file}: no numeric column is left for the inputs beside {beside}")
    y = np.column_stack([table.numbers(name) for name in targets])
    x = np.column_stack([table.numbers(name) for name in names])
    train, test = _split(settings, table.frame[split_name] if split_name else None, len(y), seed)
    x_train, x_test, y_train, y_test = x[train], x[test], y[train], y[test]
    provenance: dict[str, Any] = {"task": "table", "seed": seed, **settings.model_dump(exclude_none=True)}
    provenance |= {"sha256": hashlib.sha256(content).hexdigest(), "rows": len(y), "n_train": len(train)}
    asked = settings.target or ["y"]
    provenance |= {"n_test": len(test), "target": asked[0] if len(asked) == 1 else asked}
    provenance |= {"features": names, "left_out": left_out}
    if settings.standardise != "none":
        x_train, x_test = _standardised(x_train, x_test, names)
    one = len(targets) == 1
    if settings.standardise == "features_and_target":
        mean, sd = [float(column.mean()) for column in y_train.T], [float(column.std()) for column in y_train.T]
        provenance |= {"target_mean": mean[0] if one else mean, "target_sd": sd[0] if one else sd}
        y_train, y_test = _standardised(y_train, y_test, targets)
    try:
        return Task(x_train, y_train[:, 0] if one else y_train, x_test, y_test[:, 0] if one else y_test, provenance)
    except InputError as error:
        raise InputError(f"{settings.file}: {error}") from None


def _read(file: str, content: bytes) -> pd.DataFrame:
    import pandas as pd

    suffix = Path(file).suffix.lower()
    try:
        if suffix == ".csv":
            frame = pd.read_csv(io.BytesIO(content), skipinitialspace=True, low_memory=False)
        elif suffix == ".parquet":
            frame = pd.read_parquet(io.BytesIO(content))
        else:
            frame = pd.DataFrame(_arrays(file, content))
    except InputError:
        raise
    except Exception as error:  # the readers raise almost anything where a file is damaged
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{file}: not a readable {suffix} file ({reason})") from None
    frame.columns = [str(name).strip() for name in frame.columns]
    if frame.columns.has_duplicates:
        name = frame.columns[frame.columns.duplicated()][0]
        raise InputError(f"{file}: two columns are called {name!r}")
    return frame


def _arrays(file: str, content: bytes) -> dict[str, Array]:
    """Return the columns of arrays; those of a two-dimensional one are called name[0], name[1], ..."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {name: array for name, array in archive.items() if array.ndim in (1, 2)}
    if len(set(map(len, arrays.values()))) > 1:
        lengths = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        raise InputError(f"{file}: arrays of different lengths ({lengths}): must be equal")
    columns: dict[str, Array] = {}
    for name, array in arrays.items():
        columns |= {name: array} if array.ndim == 1 else {f"{name}[{j}]": column for j, column in enumerate(array.T)}
    return columns


class _Table:
    """The columns of a file, by the names that a user gives: an array's name stands for all its columns."""

    def __init__(self, file: str, frame: pd.DataFrame) -> None:
        import pandas as pd

        self._as_numbers: Callable[[pd.Series], pd.Series] = lambda column: pd.to_numeric(column, errors="coerce")
        self.file, self.frame = file, frame
        self._groups: dict[str, list[str]] = {name: [name] for name in frame.columns}
        for name in frame.columns:
            array, bracket, _ = name.rpartition("[")
            if bracket and name.endswith("]") and array not in frame.columns:
                self._groups.setdefault(array, []).append(name)

    def named(self, key: str, name: str) -> list[str]:
        """Return the columns of a name, which an option called key gives."""
        if name not in self._groups:
            known = list(self._groups)
            shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
            raise InputError(f"{key} = {name!r}: no such column in {self.file}; it has {shown}")
        return self._groups[name]

    def one(self, key: str, name: str) -> str:
        """Return the only column of a name."""
        found = self.named(key, name)
        if len(found) != 1:
            raise InputError(f"{key} = {name!r}: has {len(found)} columns in {self.file}, must have one")
        return found[0]

    def is_text(self, name: str) -> bool:
        """Whether no entry can be read as a number, although some are there."""
        return bool(self.frame[name].notna().any() and self._as_numbers(self.frame[name]).isna().all())

    def numbers(self, name: str) -> Array:
        """Return a column as numbers. Rows are counted from 1 in the message, without a header."""
        column = self.frame[name]
        if column.dtype.kind in "mMc":
            raise InputError(f"{self.file}: column {name!r} has dtype {column.dtype}: must be real numbers")
        values = self._as_numbers(column).to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            row, entry = int(bad[0]), column.iloc[int(bad[0])]
            found = "missing" if column.isna().iloc[row] else repr(entry) if isinstance(entry, str) else str(entry)
            more = f" ({len(bad)} such rows)" if len(bad) > 1 else ""
            raise InputError(f"{self.file}: column {name!r}, row {row + 1} is {found}{more}: must be a finite number")
        return np.asarray(values)


def _standardised(x_train: Array, x_test: Array, names: Sequence[str]) -> tuple[Array, Array]:
    """Return each column minus its train mean over its train standard deviation: mean |x_train|^2 is D."""
    constant = np.ptp(x_train, axis=0) == 0
    if constant.any():
        name = names[int(np.argmax(constant))]
        raise InputError(f"column {name!r} is constant over the train split and cannot be standardised: leave it out")
    mean, sd = x_train.mean(axis=0), x_train.std(axis=0)
    return (x_train - mean) / sd, (x_test - mean) / sd


def _split(settings: Settings, column: pd.Series | None, rows: int, seed: int) -> tuple[Indices, Indices]:
    """Return the rows of the training and of the test split."""
    if column is not None:
        values = column.astype(str).str.strip().to_numpy()
        wrong = np.flatnonzero((values != "train") & (values != "test"))
        if len(wrong):
            raise InputError(
                f"{settings.file}: column {settings.split!r}, row {int(wrong[0]) + 1} "
                f"is {str(values[wrong[0]])!r}: must be train or test"
            )
        parts = np.flatnonzero(values == "train"), np.flatnonzero(values == "test")
        for key, part in zip(("n_train", "n_test"), parts, strict=True):
            stated = getattr(settings, key)
            if stated not in (None, len(part)):
                raise InputError(
                    f"{key} = {stated}: column {settings.split!r} of {settings.file} gives {len(part)}; "
                    "leave it out, or correct it"
                )
        return parts
    wanted = settings.n_train or 0
    if wanted + (settings.n_test or 0) > rows:
        asked = f"n_train = {wanted}" + (f", n_test = {settings.n_test}" if settings.n_test else "")
        raise InputError(f"{asked}: {settings.file} has {rows} rows, too few")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(rows)
    end = rows if settings.n_test is None else wanted + settings.n_test
    return order[:wanted], order[wanted:end]
