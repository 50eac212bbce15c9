"""What the program does, from Python."""

import copy
import json
import logging
import pickle
import re
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import bptt

QUICK = dict(epochs=3, device="cpu", progress=False, seed=2)


def wave(rows=160):
    t = np.arange(rows)
    return {"t": t, "load": np.sin(t / 5) + 0.01 * t, "heat": np.cos(t / 7)}


def test_the_sunspots_train_and_forecast_the_next_eleven_years(own_folder):
    run = bptt.train(device="cpu", progress=False)
    assert run.path == own_folder / "runs/sunspots-1" and (run.path / "report.html").is_file()
    assert run.summary["lines"][0].startswith("worth it: beats the best of 3 baselines")
    loss = run.metrics["loss"]
    assert len(loss) == 350 and loss[-1] < loss[0]
    forecast = run.forecast(11)
    assert forecast.labels == [str(year) for year in range(2009, 2020)]
    assert forecast["SUNACTIVITY"].shape == (11,) and np.isfinite(forecast["SUNACTIVITY"]).all()
    assert run.report.html.startswith("<!") and "srcdoc=" in run._repr_html_()
    assert forecast._repr_html_().lstrip().startswith("<svg") or "<svg" in forecast._repr_html_()


def test_a_mapping_trains_as_the_same_table_in_a_file(own_folder):
    columns = wave()
    rows = zip(*(column.tolist() for column in columns.values()))
    Path("a.csv").write_text("t,load,heat\n" + "".join(f"{t},{a!r},{b!r}\n" for t, a, b in rows))
    settings = dict(target="load", features="heat", horizon=4, hidden=8, **QUICK)
    of_file, of_frame = bptt.train(series="a.csv", **settings), bptt.train(series=columns, **settings)
    np.testing.assert_array_equal(of_frame.metrics["loss"], of_file.metrics["loss"])
    for name, weight in of_file.state_dict().items():
        np.testing.assert_array_equal(of_frame.state_dict()[name], weight)
    assert len(of_frame.forecast()) == 4


def test_pandas_and_polars_frames_are_the_same_data(own_folder):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = wave()
    times = pandas.date_range("2024-01-01", periods=160, freq="h")
    by_index = pandas.DataFrame({name: columns[name] for name in ("load", "heat")}, index=times)
    by_column = polars.DataFrame({"time": times.to_numpy(), "load": columns["load"], "heat": columns["heat"]})
    settings = dict(target="load", horizon=2, calendar="hour", **QUICK)
    first, second = bptt.train(series=by_index, **settings), bptt.train(series=by_column, **settings)
    np.testing.assert_array_equal(first.metrics["loss"], second.metrics["loss"])
    assert first.forecast(2).labels == ["2024-01-07 16:00:00", "2024-01-07 17:00:00"]
    longer = first.forecast(2, series=by_index.iloc[:100])
    assert longer.labels[0] == "2024-01-05 04:00:00"
    columns = longer.columns
    assert columns["time"].tolist() == longer.labels and columns["origin"][0] == "2024-01-05 03:00:00"


def test_arrows_tables_and_what_has_arrows_interface_alone_are_the_same_data(own_folder):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table(wave())

    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return table.__arrow_c_stream__(requested_schema)

    of = [bptt.train(series=frame, target="load", **QUICK).metrics["loss"] for frame in (wave(), table, Stream())]
    np.testing.assert_array_equal(of[0], of[1])
    np.testing.assert_array_equal(of[0], of[2])


def test_missing_values_of_a_frame_are_the_programs_missing_values(own_folder):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(wave())
    frame.loc[40, "load"] = None
    with pytest.raises(ValueError, match="column \"load\": expected a finite number, got a missing value"):
        bptt.train(series=frame, target="load", **QUICK)
    assert bptt.train(series=frame, target="load", missing="ffill", **QUICK).path.is_dir()


def test_predictions_and_evaluations_are_those_of_the_program(own_folder):
    run = bptt.train(series=wave(), target="load", horizon=2, **QUICK)
    table = run.predict()
    assert {"t", "part"} <= set(table) and any(name.startswith("load") for name in table)
    again = bptt.load(run.path).evaluate(device="cpu")
    assert again["lines"] == bptt.load(run.path / "model.safetensors").evaluate(series=frame_of(run), device="cpu")["lines"]


def frame_of(run):
    return run.summary["settings"]["series"]["file"]


def test_settings_are_the_programs_and_wrong_ones_are_told_with_its_words(own_folder):
    with pytest.raises(TypeError, match="has no setting 'hiden' for series; did you mean hidden"):
        bptt.train(hiden=3)
    with pytest.raises(ValueError, match="^cell: expected rnn, lstm or gru, got \"lstn\"$"):
        bptt.train(cell="lstn")
    with pytest.raises(ValueError, match="expected one kind of data, got series and text"):
        bptt.train(series="a.csv", text="b.txt")
    with pytest.raises(OSError, match="no.csv"):
        bptt.train(series="no.csv", progress=False)
    with pytest.raises(ValueError, match="columns of one length"):
        bptt.train(series={"a": [1, 2], "b": [1]})
    with pytest.raises(TypeError, match="expected a path, a frame"):
        bptt.train(series=3)
    with pytest.raises(ValueError, match="lr: expected a finite number, got nan"):
        bptt.train(lr=float("nan"))
    with pytest.raises(bptt.DataError):
        Path("bad.csv").write_text("t,a\n0,1\n1,x\n")
        bptt.train(series="bad.csv", progress=False)


WRONG = (
    dict(hidden=0),
    dict(hidden=-1),
    dict(proj_size=0),
    dict(layers=0),
    dict(dropout=1.0, layers=2),
    dict(recurrent_dropout=-0.5),
    dict(forget_bias=1e300),
    dict(window=0),
    dict(horizon=0),
    dict(segment=0),
    dict(season=0),
    dict(quantiles=[0.5, 1.0]),
    dict(validation=2.0, train_until="1920"),
    dict(lr=-1),
    dict(weight_decay=-1e-9),
    dict(clip=-1),
    dict(batch=0),
    dict(micro_batch=0),
    dict(accumulate=0),
    dict(epochs=0),
    dict(steps=0, epochs=None),
    dict(patience=0),
    dict(val_every=0),
    dict(flow_every=0),
    dict(checkpoints=0),
    dict(checkpoint_every=0),
    dict(ema_decay=1),
    dict(warmup=-1),
    dict(seed=-1),
    dict(seed=2**63),
    dict(threads=0),
    dict(threads=10**9),
)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_number_out_of_its_range_is_refused_by_its_name_before_anything_is_written(wrong, own_folder):
    setting = next(iter(wrong))
    with pytest.raises(ValueError, match=f"^{setting}: "):
        bptt.train(out="wrong", progress=False, **{"device": "cpu", "epochs": 1, **wrong})
    assert not Path("wrong").exists()


def test_rows_of_a_forecast_have_a_range_too(own_folder):
    run = bptt.train(**QUICK)
    for rows in (0, -1, 10**6):
        with pytest.raises(ValueError, match=f"rows: expected a whole number from 1 to 100000, got {rows}"):
            run.forecast(rows)
    with pytest.raises(ValueError, match="threads: expected a whole number from 1 to 1024, got 0"):
        run.predict(threads=0)


def test_every_kind_of_data_has_the_settings_of_its_section():
    for kind in ("series", "text", "sequences", "classes", "rolls", "audio", "task"):
        names = dict(bptt._bptt.setting_names(kind))
        assert list(names) == [kind, "run", "model", "training"]
        of_all = [key for keys in names.values() for key in keys]
        assert len(set(of_all)) == len(of_all), "one name, one setting"


def test_a_text_and_a_task_train_too(own_folder):
    Path("a.txt").write_text("the cat sat on the mat. " * 60)
    text = bptt.train(text="a.txt", hidden=8, window=16, **QUICK)
    assert text.model.cell == bptt.Cell("lstm") and text.model.hidden_size == 8
    assert bptt.train(task="adding", length=6, steps=5, hidden=4, device="cpu", progress=False).metrics["step"][-1] == 5


def test_progress_is_called_with_every_step_in_order(own_folder):
    seen = []
    bptt.train(epochs=2, device="cpu", progress=seen.extend)
    assert [step["step"] for step in seen] == list(range(1, 15)) and seen[0]["steps"] == 14


def test_a_bar_is_shown_by_tqdm_and_silence_is_silent(own_folder, capfd):
    pytest.importorskip("tqdm")
    bptt.train(epochs=1, device="cpu", progress=False)
    assert capfd.readouterr() == ("", "")
    bptt.train(epochs=1, device="cpu")
    assert "step" in capfd.readouterr().err


def test_what_the_program_prints_is_logged(own_folder, caplog):
    caplog.set_level(logging.INFO, logger="bptt")
    bptt.train(**QUICK)
    words = [record.getMessage() for record in caplog.records if record.name == "bptt"]
    assert any(word.startswith("data") and "sunspots" in word for word in words)
    assert any("worth it" in word for word in words)


def test_without_a_hardware_gpu_auto_says_that_it_takes_the_cpu(own_folder):
    code = "import bptt; t = bptt.Trainer(bptt.Model('lstm', 1, 1, bptt.Head(1))); print(t.device)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert "CPU" not in told.stdout or re.search("CPU", told.stderr)


def test_a_run_reads_json_of_its_summary(own_folder):
    run = bptt.train(**QUICK)
    assert json.loads(json.dumps(run.summary))["run"].endswith("sunspots-1")
    assert repr(run) == f"Run({str(own_folder / 'runs/sunspots-1')!r}, a series)"


def test_classes_ids_and_times_are_texts_and_never_read_as_numbers(own_folder):
    Path("few.ts").write_text(
        "@problemName few\n@timestamps false\n@univariate true\n@equalLength true\n@seriesLength 4\n"
        "@classLabel true 007 1_000 nan\n@data\n"
        + "".join(f"{n},{n + 1},{n + 2},{n % 5}:{('007', '1_000', 'nan')[n % 3]}\n" for n in range(30))
    )
    table = bptt.train(sequences="few.ts", hidden=4, **QUICK).predict()
    assert set(table["label"]) == {"007", "1_000", "nan"} and set(table["predicted"]) <= {"007", "1_000", "nan"}
    own = np.array([table["p_" + label][row] for row, label in enumerate(table["predicted"])])
    assert own.dtype == float and (own > 1 / 3 - 1e-6).all()
    assert next(iter(table.values())).tolist() == [str(number) for number in range(1, 31)]
    run = bptt.train(device="cpu", progress=False, epochs=1)
    table, forecast = run.predict(), run.forecast(2).columns
    assert isinstance(table["YEAR"][0], str) and table["YEAR"][0].isdigit() and table["origin"][0].isdigit()
    assert table["step"].dtype == float and table["SUNACTIVITY_truth"].dtype == float
    assert forecast["YEAR"].tolist() == ["2009", "2010"] and forecast["step"].tolist() == [1.0, 2.0]


def test_values_of_sequences_are_numbers(own_folder):
    Path("few.ts").write_text(
        "@problemName few\n@timestamps false\n@univariate true\n@equalLength true\n@seriesLength 3\n@targetLabel true\n"
        "@data\n" + "".join(f"{n},{n + 1},{n + 2}:{n / 3}\n" for n in range(30))
    )
    table = bptt.train(sequences="few.ts", hidden=4, **QUICK).predict()
    assert table["label"].dtype == table["predicted"].dtype == float and table["label"][3] == pytest.approx(1)


def test_ids_of_the_long_form_are_texts(own_folder):
    t = np.tile(np.arange(80), 2)
    columns = {"shop": np.repeat([7, 8], 80), "t": t, "sold": np.sin(t / 5) + np.repeat([0.0, 3.0], 80)}
    run = bptt.train(series=columns, id="shop", time="t", target="sold", hidden=4, **QUICK)
    for table in (run.predict(), run.forecast(2).columns):
        assert set(table["shop"]) == {"7", "8"} and isinstance(table["t"][0], str)
        assert all(it.dtype == float for name, it in table.items() if name.startswith(("step", "forecast", "q")))


def test_names_that_are_one_text_and_levels_are_refused(own_folder):
    with pytest.raises(ValueError, match="names differ as texts, got '1' more than once"):
        bptt.train(series={"t": [1, 2], 1: [1, 2], "1": [3, 4]}, progress=False)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(wave())
    with pytest.raises(ValueError, match="index of one level, got a MultiIndex of 2; reset_index"):
        bptt.train(series=frame.set_index(["t", "heat"]), progress=False)
    frame.columns = pandas.MultiIndex.from_tuples([("t", 0), ("load", 0), ("heat", 1)])
    with pytest.raises(ValueError, match="columns of one level, got a MultiIndex of 2; frame.columns = "):
        bptt.train(series=frame, progress=False)
    with pytest.raises(ValueError, match="got 'load' more than once, the index included"):
        named = pandas.DataFrame(wave())
        named.index = pandas.Index(named["t"], name="load")
        bptt.train(series=named, progress=False)


def test_a_frame_that_is_only_read_leaves_no_file(own_folder, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(own_folder / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    Path("tmp").mkdir()
    run = bptt.train(series=wave(), target="load", horizon=2, **QUICK)
    before = sorted(Path("runs/frames").iterdir())
    assert len(before) == 1
    other = wave(120)
    assert len(run.forecast(2, series=other)) == 2
    assert len(run.predict(series=other)["t"]) > 0 and run.evaluate(series=other)["lines"]
    with pytest.raises(bptt.DataError):
        run.predict(series={"t": [1, 2], "load": ["a", "b"]})
    assert sorted(Path("runs/frames").iterdir()) == before and not list(Path("tmp").iterdir())


def test_a_run_is_pickled_by_its_path_and_copied(own_folder, monkeypatch):
    run = bptt.train(**QUICK)
    text = pickle.dumps(run)
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    for again in (pickle.loads(text), copy.deepcopy(pickle.loads(text))):
        assert again.path.name == "sunspots-1" and again.summary == run.summary
        np.testing.assert_array_equal(again.state_dict()["head.weight"], run.state_dict()["head.weight"])


@pytest.mark.parametrize(
    ("settings", "words"),
    (
        (dict(hidden=2.5), "hidden: expected a whole number, got 2.5"),
        (dict(hidden=-1), "hidden: expected a whole number of at least 0, got -1"),
        (dict(hidden=True), "hidden: expected a whole number, got True"),
        (dict(lr="a"), 'lr: expected a number, got "a"'),
        (dict(panel=1), "panel: expected True or False, got 1"),
        (dict(split="a"), 'split: expected a list, got "a"'),
        (dict(batch=2.5), 'batch: expected a whole number of at least 1, or "auto", got 2.5'),
        (dict(memory=1.5), 'memory: expected bytes, as in "2GiB", "1.5GB" or 1000000, got 1.5'),
        (dict(input_limit=1.5), 'input_limit: expected bytes, as in "2GiB", "1.5GB" or 1000000, got 1.5'),
        (dict(scale="x"), 'scale: expected standard, min-max, mean-absolute or none, got "x"'),
        (dict(window=0), "window: expected a whole number from 1 to 16777216, got 0"),
        (dict(out="full"), 'out="full": expected a folder that does not exist yet, or an empty one; nothing was written'),
        (dict(carry_state=True), "carry_state= is for now=: a forecast reads windows"),
        (dict(split=[0.5, 0.5, 0.5]), "split: expected three shares of at least 0 that add up to 1, got 0.5, 0.5, 0.5"),
    ),
)
def test_messages_have_the_words_of_python(settings, words, own_folder):
    Path("full").mkdir()
    Path("full/file").touch()
    with pytest.raises(ValueError) as told:
        bptt.train(progress=False, **{"device": "cpu", "epochs": 1, **settings})
    assert str(told.value) == words


def test_messages_on_data_and_devices_have_the_words_of_python_and_of_the_system(own_folder):
    with pytest.raises(bptt.DataError, match='; missing="ffill" repeats the previous value, missing="mask" marks them'):
        bptt.train(series={"t": [1, 2, 3], "a": [1.0, None, 3.0]}, device="cpu", progress=False)
    with pytest.raises(FileNotFoundError, match=r"\[Errno 2\] No such file or directory: .*none.csv"):
        bptt.train(series="none.csv", device="cpu", progress=False)
    with pytest.raises(bptt.DeviceError, match='device="cuda": expected auto, gpu, cpu'):
        bptt.train(device="cuda", progress=False)
    run = bptt.train(**QUICK)
    with pytest.raises(ValueError, match='paths: the network .*: train it with loss="gaussian", student-t'):
        run.forecast(paths=5)


def written(frame):
    return bptt._runs._frame_text(frame).decode()


# A day on which clocks in Berlin are put forward, and a missing time.
ZONED = ["2024-03-31 00:30:00+01:00", "2024-03-31 01:30:00+01:00", "2024-03-31 03:30:00+02:00", "2024-03-31 04:30:00+02:00"]


def test_times_with_a_zone_are_written_with_their_offset_whatever_has_them(own_folder):
    pandas = pytest.importorskip("pandas")
    times = pandas.date_range("2024-03-30 23:30", periods=4, freq="h", tz="UTC").tz_convert("Europe/Berlin")
    values = np.arange(4.0)
    expected = "time,a\n" + "".join(f"{time},{value!r}\n" for time, value in zip(ZONED, values.tolist()))
    by_column = pandas.DataFrame({"time": times, "a": values})
    frames = {
        "index": pandas.DataFrame({"a": values}, index=times),
        "column": by_column,
        "objects": by_column.astype({"time": object}),
        "mapping": {"time": times, "a": values},
    }
    for name, frame in frames.items():
        assert written(frame) == expected, name
    polars = pytest.importorskip("polars")
    assert written(polars.DataFrame({"time": times, "a": values})) == expected
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"time": pyarrow.array(times), "a": values})
    assert written(table) == expected
    assert written({"time": table.column("time"), "a": polars.Series(values)}) == expected
    fixed = table.column("time").cast(pyarrow.timestamp("us", tz="-03:30"))
    assert written({"time": fixed, "a": values}).splitlines()[1] == "2024-03-30 20:00:00-03:30,0.0"


def test_times_with_a_zone_may_be_missing_and_have_parts_of_seconds(own_folder):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    times = pandas.Series(pandas.to_datetime(["2024-07-01 12:00:00.5", None], utc=True)).dt.tz_convert("Europe/Berlin")
    expected = "time,a\n2024-07-01 14:00:00.500000+02:00,1\n,2\n"
    assert written(pandas.DataFrame({"time": times, "a": [1, 2]})) == expected
    of_polars = polars.DataFrame({"time": polars.Series(times.astype(object).where(times.notna(), None).to_list()).dt.cast_time_unit("ns"), "a": [1, 2]})
    assert written(of_polars) == expected


def test_a_calendar_of_times_with_a_zone_is_local_whatever_has_them(own_folder):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns, times = wave(), pandas.date_range("2024-01-01", periods=160, freq="h", tz="Asia/Tokyo")
    of_pandas = pandas.DataFrame({"time": times, "load": columns["load"]})
    of_polars = polars.DataFrame({"time": times, "load": columns["load"]})
    settings = dict(target="load", horizon=2, calendar="hour", **QUICK)
    first, second = (bptt.train(series=frame, **settings) for frame in (of_pandas, of_polars))
    assert frame_of(first) == frame_of(second)
    np.testing.assert_array_equal(first.metrics["loss"], second.metrics["loss"])


def test_masked_values_of_a_series_are_missing_values(own_folder):
    columns = wave()
    columns["load"] = np.ma.masked_array(columns["load"], mask=np.arange(160) == 40)
    with pytest.raises(ValueError, match="column \"load\": expected a finite number, got a missing value"):
        bptt.train(series=columns, target="load", **QUICK)
    names = np.ma.masked_array(["a", "b", "c"], mask=[0, 1, 0])
    counts = np.ma.masked_array([1, 2, 3], mask=[0, 0, 1])
    assert written({"t": [0, 1, 2], "name": names, "count": counts}) == "t,name,count\n0,a,1\n1,,2\n2,c,\n"


def test_pandas_na_is_a_missing_value_in_columns_of_every_type(own_folder):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "t": [0, 1, 2],
            "text": pandas.array(["a", pandas.NA, "c"], dtype="string"),
            "truth": pandas.array([True, False, pandas.NA], dtype="boolean"),
            "any": pandas.Series(["x", pandas.NA, float("nan")], dtype=object),
        }
    )
    assert written(frame) == "t,text,truth,any\n0,a,1,x\n1,,0,\n2,c,,\n"
    # As those without a missing value are written.
    assert written({"t": [0, 1], "truth": [True, False], "few": [None, True]}) == "t,truth,few\n0,1,\n1,0,1\n"
    polars = pytest.importorskip("polars")
    assert written(polars.DataFrame({"t": [0, 1], "truth": [True, None]})) == "t,truth\n0,1\n1,\n"


def test_threads_that_write_the_same_frame_at_once_do_not_disturb_each_other(own_folder, monkeypatch):
    writes, both = Path.write_bytes, threading.Barrier(2)

    def write_together(path, data):
        # Each has written before one of them renames its file.
        count = writes(path, data)
        both.wait(20)
        return count

    monkeypatch.setattr(Path, "write_bytes", write_together)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(bptt._runs._write_frame, [wave(), wave()])
    assert first == second and [str(path) for path in (own_folder / "runs/frames").iterdir()] == [first]


def test_a_run_finds_its_folder_after_a_change_of_folder(own_folder, monkeypatch):
    run = bptt.train(**QUICK)
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert run.path.is_absolute() and len(run.metrics["loss"]) > 0 and run.report.html
    monkeypatch.chdir(own_folder)
    assert bptt.load("runs/sunspots-1").path == run.path


def test_without_scikit_learn_the_package_is_imported_and_the_estimators_say_what_they_need(own_folder):
    code = """
    import sys
    # As if it were not installed.
    sys.modules["sklearn"] = None
    import bptt
    from bptt import *
    from bptt import SequenceClassifier
    assert Trainer is bptt.Trainer and hasattr(bptt, "SequenceClassifier") and not hasattr(SeriesForecaster, "windows")
    for use in (lambda: SequenceClassifier(hidden=3), lambda: bptt.SeriesForecaster.windows([1, 2], 1)):
        try:
            use()
        except (ImportError, AttributeError) as error:
            print(error)
    """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    first, second = told.stdout.splitlines()
    assert first.startswith("bptt.SequenceClassifier needs scikit-learn 1.6 or later: ")
    assert second.startswith("windows: bptt.SeriesForecaster needs scikit-learn 1.6 or later: ")
