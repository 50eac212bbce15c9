"""Runs: what the program `bptt` does, with the same settings, folders and words."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import logging
import math
import os
import socket
import tempfile
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Union

import numpy as np

from . import _bptt

Pathlike = Union[str, "os.PathLike[str]"]

_log = logging.getLogger("bptt")

_DATA = ("series", "text", "sequences", "classes", "rolls", "audio", "task")


def train(
    *,
    series: Any = None,
    text: Pathlike | None = None,
    sequences: Pathlike | None = None,
    classes: Pathlike | None = None,
    rolls: Pathlike | None = None,
    audio: tuple[Pathlike, Pathlike] | None = None,
    task: str | None = None,
    out: Pathlike | None = None,
    resume: Pathlike | None = None,
    progress: bool | Callable[[list[dict[str, Any]]], object] = True,
    **settings: Any,
) -> Run:
    """Trains a network as `bptt train` does, and returns the run.

    One of the kinds of data is given: ``series`` is a file or a frame (pandas, polars, or a mapping of names to
    columns), the others are files or folders; without any, the bundled sunspot numbers are used. ``settings`` are
    those of the program with ``_`` for ``-``: ``target="load"``, ``horizon=24``, ``hidden=32``, ``epochs=20``,
    ``device="cpu"``. ``static``, ``lr`` and all others have the names that `config.toml` has.

    The run's folder is ``out``, or the next unused ``runs/NAME-N``. ``resume`` is the folder of a run to continue.
    ``progress`` shows a bar if tqdm is installed; False is silent; a function is called with lists of steps.

    Raises ValueError for settings that do not fit, with the program's words. An interrupt ends the run after its step
    with a checkpoint, from which ``resume`` continues. After the last step, while the run is measured, it is raised at
    once, and measuring ends in the background; if the process ends before, ``resume`` measures the run.
    """
    given = {
        name: data
        for name, data in zip(_DATA, (series, text, sequences, classes, rolls, audio, task))
        if data is not None
    }
    if len(given) > 1:
        raise ValueError(f"expected one kind of data, got {' and '.join(given)}")
    if resume is not None and given:
        raise ValueError(f"{next(iter(given))}: a resumed run has its data; leave it out")
    kind = next(iter(given), "series")
    sections = _sections(kind, settings)
    if kind == "task":
        sections.setdefault("task", {})["name"] = task
    elif kind == "audio":
        try:
            dry, wet = given["audio"]
        except (TypeError, ValueError):
            raise ValueError(f"audio: expected two files, dry and wet, got {audio!r}") from None
        sections.setdefault("audio", {}).update(file=_absolute(dry), wet=_absolute(wet))
    elif given:
        sections.setdefault(kind, {})["file"] = _file(given[kind], kind)
    elif resume is None:
        sections.setdefault("series", {})["file"] = "bundled:sunspots"
    facts = [
        ("date", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")),
        ("host", socket.gethostname()),
        ("version", _bptt.__version__),
        ("command", "bptt.train from Python"),
    ]
    with _Progress(progress) as shown:
        summary = _bptt.train(
            json.dumps(sections), None if out is None else Path(out), None if resume is None else Path(resume), facts, shown
        )
    told = json.loads(summary)
    return Run(told["run"], told)


def load(path: Pathlike) -> Run:
    """Opens a run's folder or a model file, `model.safetensors`."""
    return Run(path)


class _Progress:
    """A bar, a function of the caller's, or nothing."""

    def __init__(self, progress: bool | Callable[[list[dict[str, Any]]], object]) -> None:
        self.each: Callable[[list[dict[str, Any]]], object] | None = None
        self.bar: Any = None
        if callable(progress):
            self.each = progress
        elif progress:
            try:
                import tqdm as bars
            except ImportError:
                return
            with warnings.catch_warnings():
                # In a notebook without widgets its bar is text, which needs no warning.
                warnings.simplefilter("ignore", bars.TqdmWarning)
                from tqdm.auto import tqdm
            self.make = tqdm
            self.each = self.advance

    def __enter__(self) -> Callable[[str], None] | None:
        each = self.each
        return None if each is None else lambda steps: (each(json.loads(steps)), None)[1]

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def advance(self, steps: list[dict[str, Any]]) -> None:
        last = steps[-1]
        if self.bar is None:
            self.bar = self.make(total=last["steps"], unit="step", leave=False)
        self.bar.set_postfix_str(f"loss {last['loss']:.4g}" if last["loss"] is not None else "", refresh=False)
        self.bar.update(last["step"] - self.bar.n)


def _sections(kind: str, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings by the sections of a configuration file."""
    names = dict(_bptt.setting_names(kind))
    sections: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        if value is None:
            continue
        key = name.rstrip("_").replace("_", "-")
        section = next((section for section, keys in names.items() if key in keys), None)
        if section is None:
            near = get_close_matches(key, [key for keys in names.values() for key in keys], 3)
            tip = f"; did you mean {' or '.join(near).replace('-', '_')}?" if near else ""
            raise TypeError(f"train() has no setting {name!r} for {kind}{tip}")
        sections.setdefault(section, {})[key] = _plain(value, name)
    return sections


# Settings that are lists, where one name may be given alone.
_LISTS = {"target", "features", "known", "calendar", "now", "static"}


def _plain(value: Any, name: str) -> Any:
    """A value as JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, os.PathLike):
        return _absolute(value)
    if name in _LISTS and isinstance(value, str):
        return [value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(each, "") for each in value]
    if isinstance(value, Mapping):
        return {str(key).replace("_", "-"): _plain(each, "") for key, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"{name}: expected a number, a text or a list, got {type(value).__name__}")


def _absolute(path: Pathlike) -> str:
    return os.path.abspath(os.fspath(path))


def _file(data: Any, kind: str) -> str:
    """The path of data, which a frame is written to."""
    if isinstance(data, (str, os.PathLike)):
        return _absolute(data)
    if kind != "series":
        raise TypeError(f"{kind}: expected a path, got {type(data).__name__}")
    return _write_frame(data)


@contextmanager
def _read_once(data: Any, kind: str) -> Iterator[str | None]:
    """The path of data that no run keeps; a frame is a file for as long as it is read."""
    if data is None or isinstance(data, (str, os.PathLike)) or kind != "series":
        yield None if data is None else _file(data, kind)
        return
    text = _frame_text(data)
    with tempfile.TemporaryDirectory(prefix="bptt-") as folder:
        path = os.path.join(folder, "frame.csv")
        with open(path, "wb") as file:
            file.write(text)
        yield path


def _columns(frame: Any) -> Iterator[tuple[str, Any]]:
    """Names and columns of a frame, its index first if it says something."""
    if isinstance(frame, Mapping):
        _check_names([str(name) for name in frame])
        yield from ((str(name), frame[name]) for name in frame)
        return
    if hasattr(frame, "__arrow_c_stream__") and not hasattr(frame, "columns"):
        # pyarrow's own tables, and whatever else has Arrow's interface alone.
        try:
            import pyarrow
        except ImportError:
            raise TypeError(
                f"series: {type(frame).__name__} gives its columns through Arrow alone, which needs pyarrow; give a "
                "mapping of names to arrays, or a file"
            ) from None
        frame = pyarrow.table(frame)
    if hasattr(frame, "column_names") and hasattr(frame, "column"):
        _check_names([str(name) for name in frame.column_names])
        yield from ((str(name), frame.column(name)) for name in frame.column_names)
        return
    if not hasattr(frame, "columns") or not hasattr(frame, "__getitem__"):
        raise TypeError(
            f"series: expected a path, a frame (pandas, polars, pyarrow) or a mapping of names to columns, got "
            f"{type(frame).__name__}"
        )
    index = getattr(frame, "index", None)
    for what, own in (("index", index), ("columns", frame.columns)):
        if getattr(own, "nlevels", 1) > 1:
            does = (
                "reset_index() makes columns of it, and id= and time= name them if each row is of one of several series"
                if what == "index"
                else "frame.columns = ['_'.join(map(str, names)) for names in frame.columns] makes one name of each"
            )
            raise ValueError(f"series: expected {what} of one level, got a MultiIndex of {own.nlevels}; {does}")
    names = [str(name) for name in frame.columns]
    # 0, 1, 2, … without a name is only a count of the rows.
    if index is not None and not (index.name is None and type(index).__name__ == "RangeIndex"):
        name = str(index.name or "time")
        _check_names([name, *names])
        yield name, index
    _check_names(names)
    yield from ((str(name), frame[name]) for name in frame.columns)


def _check_names(names: list[str]) -> None:
    """A table names each column by a text of its own: 1 and "1" are one name there."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"series: expected columns whose names differ as texts, got {', '.join(map(repr, twice))} more than once, the "
            "index included; rename one"
        )


def _texts(name: str, column: Any) -> list[str]:
    """A column as the fields of a table: numbers to the last bit, times in ISO 8601, and missing values empty."""
    local_and_utc = _times_of_zone(column)
    if local_and_utc is not None:
        return _zoned_times(*local_and_utc)
    values = np.asarray(column)
    if values.ndim != 1:
        raise ValueError(f"series, column {name!r}: expected one axis, got shape {values.shape}")
    if isinstance(column, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(column)
        return ["" if is_missing else text for is_missing, text in zip(masked, _texts(name, values))]
    if values.dtype.kind == "M":
        # Whole days are dates.
        return _times(values, ("D", "s"))
    if values.dtype.kind == "f":
        # As the shortest text that reads as the same number.
        return ["" if math.isnan(value) else repr(value) for value in values.astype(np.float64).tolist()]
    if values.dtype.kind in "iub":
        return [str(int(value)) for value in values]
    texts = ["" if _is_missing(value) else value for value in values.tolist()]
    if all(isinstance(value, (bool, np.bool_)) for value in texts if not isinstance(value, str) or value):
        # Truth values of which some are missing are written as others are.
        return ["" if isinstance(value, str) else str(int(value)) for value in texts]
    return [str(value) for value in texts]


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    # NaN, of any type.
    differs = value != value
    return isinstance(differs, (bool, np.bool_)) and bool(differs)


def _times(values: np.ndarray, units: tuple[str, ...]) -> list[str]:
    """Times in the first of these units that all of them are whole in, or else in their own."""
    for unit in units:
        whole = values.astype(f"datetime64[{unit}]")
        if bool(np.all((values == whole) | np.isnat(values))):
            values = whole
            break
    return ["" if np.isnat(value) else str(value).replace("T", " ") for value in values]


def _times_of_zone(column: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """The times of a column with a time zone, as its clocks show them and in UTC: NumPy has no zones, and would have UTC
    alone."""
    dtype = getattr(column, "dtype", None)
    if getattr(dtype, "tz", None) is not None and hasattr(getattr(column, "dt", column), "tz_convert"):
        # pandas.
        times = getattr(column, "dt", column)
        return np.asarray(times.tz_localize(None)), np.asarray(times.tz_convert(None))
    if getattr(dtype, "time_zone", None) is not None:
        # polars.
        local, utc = column.dt.replace_time_zone(None), column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return local.to_numpy(), utc.to_numpy()
    if getattr(getattr(column, "type", None), "tz", None) is not None:
        # pyarrow.
        from pyarrow import compute

        return np.asarray(compute.local_timestamp(column)), np.asarray(column)
    return None


def _zoned_times(local: np.ndarray, utc: np.ndarray) -> list[str]:
    """Times with their offset from UTC: 2024-03-31 03:00:00+02:00."""
    offsets = (local - utc).astype("timedelta64[s]").astype(int)
    return [text and text + _offset(int(seconds)) for text, seconds in zip(_times(local, ("s", "us")), offsets)]


def _offset(seconds: int) -> str:
    minutes, seconds_left = divmod(abs(seconds), 60)
    offset = f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
    return f"{offset}:{seconds_left:02}" if seconds_left else offset


def _frame_text(frame: Any) -> bytes:
    """A frame as the text of a table."""
    columns = [(name, _texts(name, column)) for name, column in _columns(frame)]
    if not columns:
        raise ValueError("series: expected a frame with columns, got none")
    lengths = {name: len(texts) for name, texts in columns}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"series: expected columns of one length, got {lengths}")
    if len(columns) == 1:
        # A table has the time, or the number of the row, first.
        columns.insert(0, ("row", [str(row) for row in range(len(columns[0][1]))]))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(name for name, _ in columns)
    writer.writerows(zip(*(texts for _, texts in columns)))
    return text.getvalue().encode()


def _write_frame(frame: Any) -> str:
    """Writes a frame as a table, which the run names as its data: runs/frames/frame-DIGEST.csv."""
    data = _frame_text(frame)
    path = Path("runs", "frames", f"frame-{hashlib.sha256(data).hexdigest()[:12]}.csv").absolute()
    if not path.is_file() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of its own name, since another thread or process may write the same frame.
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        _log.info("the frame is kept as %s, which the run reads", path)
    return str(path)


def _table(text: bytes, texts: Callable[[list[str]], list[bool]]) -> dict[str, np.ndarray]:
    """Columns of comma-separated text. ``texts`` says of their names which are texts; the others are numbers, NaN where
    there is none. A class "007" or a time "2008" is no number, though it reads as one."""
    names, *rows = csv.reader(io.StringIO(text.decode(), newline=""))
    fields = [[row[place] for row in rows] for place in range(len(names))]
    return {
        name: np.array(column, dtype=object)
        if is_text
        else np.array([float(field) if field else math.nan for field in column], dtype=float)
        for name, column, is_text in zip(names, fields, texts(names))
    }


class Report:
    """The report of a run: one page, which a notebook shows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def html(self) -> str:
        """The page."""
        return self.path.read_text(encoding="utf-8")

    def _repr_html_(self) -> str:
        # A page of its own keeps its styles from the notebook's.
        page = html.escape(self.html, quote=True)
        return f'<iframe srcdoc="{page}" width="100%" height="700" style="border:0"></iframe>'

    def __repr__(self) -> str:
        return f"Report({str(self.path)!r})"


class Forecast:
    """A forecast: labels, and the values of each target."""

    def __init__(self, told: Mapping[str, Any], table: bytes, svg: str, texts: int) -> None:
        self.told = told
        self.csv = table.decode()
        self.svg = svg
        # The first columns of the table, which are no numbers.
        self._texts = texts

    @property
    def labels(self) -> list[str]:
        """The labels of the rows."""
        return list(self.told["labels"])

    @property
    def values(self) -> dict[str, np.ndarray]:
        """The forecast of each target."""
        return {name: np.array(values, dtype=float) for name, values in self.told["targets"].items()}

    @property
    def quantiles(self) -> dict[float, dict[str, np.ndarray]]:
        """Each quantile's forecast of each target, if the network forecasts quantiles."""
        levels = self.told.get("quantiles", {})
        return {
            float(level): {name: np.array(values, dtype=float) for name, values in targets.items()}
            for level, targets in levels.items()
        }

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """The columns of the table that `bptt forecast --out` writes: ids, times and origins as texts, others as
        numbers."""
        return _table(self.csv.encode(), lambda names: [place < self._texts for place in range(len(names))])

    def __getitem__(self, target: str) -> np.ndarray:
        return self.values[target]

    def __len__(self) -> int:
        return len(self.told["labels"])

    def _repr_html_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"Forecast({len(self)} rows of {', '.join(self.told['targets'])} after {self.told['after']})"


class Run:
    """A trained run: its folder, or a model file alone."""

    def __init__(self, path: Pathlike, summary: Mapping[str, Any] | None = None) -> None:
        # The program may change its folder.
        self.path = Path(path).absolute()
        self._model = _bptt.TrainedModel(self.path)
        self._summary = summary

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def model(self) -> _bptt.Model:
        """The form of the network."""
        return self._model.form

    @property
    def summary(self) -> dict[str, Any]:
        """What `bptt train --json` prints; of a run that was loaded, what `bptt eval --json` prints."""
        if self._summary is None:
            self._summary = self.evaluate()
        return dict(self._summary)

    @property
    def metrics(self) -> dict[str, np.ndarray]:
        """The losses and norms of the steps: `step`, `epoch`, `loss`, `val_loss`, `grad_norm`, `lr`."""
        path = self.folder / "metrics.jsonl"
        with path.open(encoding="utf-8") as lines:
            steps = [json.loads(line) for line in lines]
        names = ("step", "epoch", "loss", "val_loss", "grad_norm", "lr")
        columns = {name: [step.get(name) for step in steps] for name in names}
        return {
            name: np.array(values, dtype=int)
            if name in ("step", "epoch")
            else np.array([math.nan if value is None else value for value in values], dtype=float)
            for name, values in columns.items()
        }

    @property
    def report(self) -> Report:
        """The report."""
        path = self.folder / "report.html"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: the run has no report")
        return Report(path)

    def state_dict(self) -> dict[str, np.ndarray]:
        """The weights by PyTorch's names."""
        return self._model.state_dict()

    def forecast(
        self,
        rows: int | None = None,
        *,
        series: Any = None,
        paths: int | None = None,
        device: str | None = None,
        threads: int | None = None,
    ) -> Forecast:
        """Forecasts the rows after the last one of the run's series, or of another: a file or a frame.

        An interrupt is raised at once; what was begun ends in the background, and its results are dropped.
        """
        with _read_once(series, "series") as path:
            file = None if path is None else Path(path)
            told, table, svg = self._model.forecast(file, rows, paths, device, threads)
        # Those of `predict` but the split.
        texts = sum(self._model.texts([""] * 5)) - 1
        return Forecast(json.loads(told), table, svg, texts)

    def predict(
        self, *, device: str | None = None, threads: int | None = None, **data: Any
    ) -> dict[str, np.ndarray]:
        """The columns that `bptt predict` writes, for the run's data or for others: `series=` a file or a frame,
        `sequences=` a file, and so on. Ids, times, splits and classes are texts, the others numbers.

        An interrupt is raised at once; what was begun ends in the background, and its results are dropped.
        """
        with self._data(data) as sections:
            table = self._model.predict(sections, device, threads)
        return _table(table, self._model.texts)

    def evaluate(self, *, device: str | None = None, threads: int | None = None, **data: Any) -> dict[str, Any]:
        """What `bptt eval --json` prints, for the run's data or for others.

        An interrupt is raised at once; what was begun ends in the background, and its results are dropped.
        """
        with self._data(data) as sections:
            told, lines = self._model.evaluate(sections, device, threads)
        return {**json.loads(told), "lines": lines}

    @contextmanager
    def _data(self, data: Mapping[str, Any]) -> Iterator[str | None]:
        """Other data as sections of a configuration."""
        if not data:
            yield None
            return
        (kind, given), *more = data.items()
        if more or kind not in _DATA:
            raise TypeError(f"expected one of {', '.join(_DATA)}, got {', '.join(data)}")
        with _read_once(given, kind) as path:
            yield json.dumps({kind: {"file": path}})

    def __reduce__(self) -> Any:
        # The folder is read again.
        return Run, (self.path, self._summary)

    def _repr_html_(self) -> str:
        return self.report._repr_html_() if (self.folder / "report.html").is_file() else f"<pre>{html.escape(repr(self))}</pre>"

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self._model.kind})"
