//! Runs: what `bptt train`, `forecast`, `eval` and `predict` do, with the same settings, folders and words.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bptt::experiment::config::{
    AudioConfig, ClassesConfig, Config, Data, ModelConfig, RollsConfig, RunConfig, SequencesConfig, SeriesConfig,
    TaskConfig, TextConfig, TrainingConfig,
};
use bptt::experiment::files::names::CONFIG;
use bptt::experiment::resume::{ResumableRun, ResumeRequest};
use bptt::experiment::{Codec, Experiment, LoadedModel, Missing, PathCount, Settings, TrainingRun};
use bptt::train::{Metrics, Observer, StepCounts, StopReason};
use bptt::{Error, Wait};
use pyo3::prelude::*;
use rayon::ThreadPool;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::compute;
use crate::errors::{BpttError, OrRaise, exception};
use crate::numbers::{PATHS, ROWS, THREAD_COUNTS, size_if_any, whole_if_any};
use crate::words;

/// Between two looks at signals.
const LOOK: Duration = Duration::from_millis(50);

/// The keys of a section's settings.
fn keys(section: &impl Serialize) -> Vec<String> {
    match serde_json::to_value(section) {
        Ok(Value::Object(keys)) => keys.into_iter().map(|(key, _)| key).collect(),
        _ => Vec::new(),
    }
}

/// The names of all settings: section, then keys, as in `config.toml`. `data` is a kind of data.
#[pyfunction]
fn setting_names(data: &str) -> PyResult<Vec<(String, Vec<String>)>> {
    let of_data = match data {
        "series" => keys(&SeriesConfig::default()),
        "text" => keys(&TextConfig::default()),
        "sequences" => keys(&SequencesConfig::default()),
        "classes" => keys(&ClassesConfig::default()),
        "rolls" => keys(&RollsConfig::default()),
        "audio" => keys(&AudioConfig::default()),
        "task" => keys(&TaskConfig::default()),
        _ => {
            return crate::arrays::value("data", "series, text, sequences, classes, rolls, audio or task", data);
        }
    };
    let all = [
        (data, of_data),
        ("run", keys(&RunConfig::default())),
        ("model", keys(&ModelConfig::default())),
        ("training", keys(&TrainingConfig::default())),
    ];
    Ok(all.into_iter().map(|(section, keys)| (section.to_owned(), keys)).collect())
}

/// The configuration of sections as JSON. A value of the wrong kind is reported by its key.
fn config(sections: &str) -> bptt::Result<Config> {
    let unsupported = |error: serde_json::Error| Error::Unsupported(error.to_string());
    let whole: Map<String, Value> = serde_json::from_str(sections).map_err(unsupported)?;
    for (section, keys) in &whole {
        for (key, value) in keys.as_object().into_iter().flatten() {
            serde_json::from_value::<Config>(json!({section: {key: value}})).map_err(|error| {
                let (key, told) = (key.replace('-', "_"), error.to_string());
                // Some say themselves what they got.
                let told = if told.contains(", got ") {
                    told
                } else {
                    format!("expected {}, got {}", words::expected(&error), words::shown(value))
                };
                Error::Unsupported(format!("{key}: {told}"))
            })?;
        }
    }
    serde_json::from_value(Value::Object(whole)).map_err(unsupported)
}

/// Sends each step, and stops the run when asked.
struct Sending<'a> {
    to: Sender<Value>,
    steps: u64,
    stop: &'a AtomicBool,
}

impl Observer for Sending<'_> {
    fn step(&mut self, metrics: &Metrics, _: StepCounts) -> bptt::Result<()> {
        let mut step = serde_json::to_value(metrics).unwrap_or_default();
        step["steps"] = self.steps.into();
        // The receiver lives as long as the run.
        let _ = self.to.send(step);
        Ok(())
    }

    fn stop(&mut self, _: u64) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn wants_checkpoint(&mut self, _: u64) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What a run leaves besides its folder.
struct Trained {
    summary: Value,
    is_stopped: bool,
}

/// Trains on this thread.
fn trained(
    wanted: &Config,
    (out, resume): (Option<PathBuf>, Option<PathBuf>),
    facts: Vec<(String, String)>,
    to: Sender<Value>,
    stop: &AtomicBool,
) -> bptt::Result<Trained> {
    let resumed = match &resume {
        None => None,
        Some(path) => {
            let request = ResumeRequest {
                flags: wanted,
                elsewhere: out.is_some(),
                read_config: Config::read,
                follows: false,
                measures_again: false,
            };
            let Some(run) = ResumableRun::open(path, &request)? else {
                let reason = format!(
                    "{}: the run has finished; epochs or steps, the new total length, extends it in a new folder",
                    path.display()
                );
                return Err(Error::Unsupported(reason));
            };
            Some(run)
        }
    };
    let settings = Settings::new(resumed.as_ref().map_or(wanted, |run| &run.given).clone())?;
    let mut experiment = Experiment::load_resumed(settings, resumed.as_ref())?;
    if let Some(note) = experiment.start.as_ref().and_then(|start| start.note.as_ref()) {
        log::warn!(target: "bptt", "{note}");
    }
    let (run, mut network) = TrainingRun::open(&mut experiment, resumed, out.as_deref(), None).wait()?;
    for (name, text) in run.facts() {
        log::info!(target: "bptt", "{name:<9} {text}");
    }
    let mut missing = Missing::notifying(|words| log::warn!(target: "bptt", "missing   {words}"));
    let display =
        |length: &bptt::experiment::training::TrainingLength, _: &_| Ok(Sending { to, steps: length.steps, stop });
    let mut steps = run.train(&mut network, display, &mut missing).wait()?;
    // A stop that came after the last step is one too.
    let is_stopped = steps.outcome.stop_reason == StopReason::Stopped || stop.load(Ordering::Relaxed);
    // An interrupted call ends soon; what resumes the run measures it.
    let results = if is_stopped { None } else { run.measure(network, true, &mut missing).wait() };
    let mut results = results.unwrap_or_default();
    for line in &results.lines {
        log::info!(target: "bptt", "{line}");
    }
    let of_results = std::mem::take(&mut results.summary);
    let lines = json!(results.lines);
    run.write_results(&mut steps, results, facts, &mut missing);
    let mut summary = run.summary(&steps, &missing)?;
    summary.extend(of_results);
    summary.insert("lines".into(), lines);
    if !is_stopped {
        run.finish()?;
    }
    Ok(Trained { summary: Value::Object(summary), is_stopped })
}

/// Passes steps on to Python and looks for signals, until the run ends.
fn watch(from: &Receiver<Value>, progress: Option<&Py<PyAny>>, stop: &AtomicBool) -> PyResult<()> {
    loop {
        let mut newest = match from.recv_timeout(LOOK) {
            Ok(step) => vec![step],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        newest.extend(from.try_iter());
        let seen = Python::attach(|py| {
            py.check_signals()?;
            if let (Some(progress), false) = (progress, newest.is_empty()) {
                progress.call1(py, (Value::Array(newest).to_string(),))?;
            }
            Ok(())
        });
        if let Err(error) = seen {
            stop.store(true, Ordering::Relaxed);
            // The run ends after its step, with a checkpoint.
            while from.recv().is_ok() {}
            return Err(error);
        }
    }
}

/// Computes on a thread of its own. The calling one looks for signals meanwhile: an interrupt is raised at once, while
/// the thread, which has all that it needs, goes on to its end, and what it returns is dropped.
fn attended<R: Send + 'static>(
    py: Python<'_>,
    pool: Arc<ThreadPool>,
    work: impl FnOnce() -> bptt::Result<R> + Send + 'static,
) -> PyResult<R> {
    py.detach(move || {
        let (to, from) = channel();
        let thread = thread(move || drop(to.send(pool.install(work))))?;
        outcome(&from, thread)
    })
}

fn thread(work: impl FnOnce() + Send + 'static) -> PyResult<JoinHandle<()>> {
    let named = std::thread::Builder::new().name("bptt-call".into());
    named.spawn(work).map_err(|error| BpttError::new_err(format!("a thread cannot be started: {error}")))
}

/// What a thread sends at its end. It looks for signals until then.
fn outcome<R>(from: &Receiver<bptt::Result<R>>, thread: JoinHandle<()>) -> PyResult<R> {
    loop {
        match from.recv_timeout(LOOK) {
            Ok(result) => return result.or_raise(),
            Err(RecvTimeoutError::Timeout) => Python::attach(|py| py.check_signals())?,
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Err(BpttError::new_err("the thread of a call ended without a result")),
            },
        }
    }
}

/// Trains, and returns the summary as JSON. `sections` are the settings as JSON; `progress` is called with lists of
/// steps as JSON.
#[pyfunction]
#[pyo3(signature = (sections, out=None, resume=None, facts=Vec::new(), progress=None))]
fn train(
    py: Python<'_>,
    sections: &str,
    out: Option<PathBuf>,
    resume: Option<PathBuf>,
    facts: Vec<(String, String)>,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let mut wanted = config(sections).or_raise()?;
    // The number of threads is used before the library sees it.
    wanted.check_ranges().or_raise()?;
    wanted.run.device = match &resume {
        None => Some(compute::usable_if_any(py, wanted.run.device)?),
        Some(run) => resumed_device(py, run, wanted.run.device)?,
    };
    let pool = compute::pool(py, wanted.run.threads)?;
    // The pool has as many; a pool of the library's own would be made again for each network.
    let trained = py.detach(move || {
        let stop = Arc::new(AtomicBool::new(false));
        let (to, steps) = channel();
        let (send, end) = channel();
        let stops = stop.clone();
        let run = move || trained(&wanted, (out, resume), facts, to, &stops);
        let thread = thread(move || drop(send.send(pool.install(run))))?;
        if let Err(error) = watch(&steps, progress.as_ref(), &stop) {
            // The run is not measured then, and its thread ends soon.
            let _ = thread.join();
            return Err(error);
        }
        // After the steps, the run is measured.
        outcome(&end, thread)
    })?;
    if trained.is_stopped {
        return Err(exception(Error::Failed("the run was stopped".into())));
    }
    Ok(trained.summary.to_string())
}

/// The device to set for a resumed run. `None` is the run's own; after a fork that may be one that is not to be used.
fn resumed_device(py: Python<'_>, run: &Path, device: Option<String>) -> PyResult<Option<String>> {
    if device.is_some() {
        return compute::usable_if_any(py, device).map(Some);
    }
    // What is wrong with it is told when the run is opened.
    let Ok(config) = py.detach(|| Config::read(&run.join(CONFIG))) else { return Ok(None) };
    let own = config.run.device.unwrap_or_else(|| "auto".into());
    let usable = compute::usable(py, &own)?;
    Ok(Some(usable).filter(|usable| *usable != own))
}

/// A trained model: of a run's folder, or a model file.
#[pyclass(frozen, module = "bptt._bptt")]
struct TrainedModel {
    model: Arc<LoadedModel>,
}

impl TrainedModel {
    /// The settings of a device for other data or the run's own, and the threads of this process for it.
    fn on(
        &self,
        py: Python<'_>,
        device: Option<&str>,
        threads: Option<i128>,
        data: Option<&Data>,
    ) -> PyResult<(RunConfig, Arc<ThreadPool>)> {
        let threads = size_if_any(threads, "threads", THREAD_COUNTS)?;
        let device = match device {
            Some(device) => Some(device.to_owned()),
            // The run's own. What is wrong with its configuration is told when it is used.
            None => {
                let own = py.detach(|| self.model.config(&RunConfig::default(), data.cloned()));
                own.ok().and_then(|own| own.run.device)
            }
        };
        let device = Some(compute::usable_if_any(py, device)?);
        let pool = compute::pool(py, threads)?;
        Ok((RunConfig { device, threads, ..RunConfig::default() }, pool))
    }
}

#[pymethods]
impl TrainedModel {
    /// Opens it.
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(Self { model: Arc::new(py.detach(|| LoadedModel::open(path)).or_raise()?) })
    }

    /// The kind of its data in words.
    #[getter]
    fn kind(&self) -> String {
        self.model.file.codec.kind().to_string()
    }

    /// The form of its network.
    #[getter]
    fn form(&self) -> crate::model::Model {
        crate::model::Model(self.model.file.model.clone())
    }

    /// Its weights by PyTorch's names.
    fn state_dict(&self, py: Python<'_>) -> PyResult<Py<pyo3::types::PyDict>> {
        crate::arrays::state_dict_out(py, &self.model.file.weights)
    }

    /// The forecast as JSON, CSV and SVG.
    #[pyo3(signature = (file=None, rows=None, paths=None, device=None, threads=None))]
    fn forecast(
        &self,
        py: Python<'_>,
        file: Option<PathBuf>,
        #[pyo3(from_py_with = whole_if_any)] rows: Option<i128>,
        #[pyo3(from_py_with = whole_if_any)] paths: Option<i128>,
        device: Option<&str>,
        #[pyo3(from_py_with = whole_if_any)] threads: Option<i128>,
    ) -> PyResult<(String, Vec<u8>, String)> {
        let data = SeriesConfig { file, ..SeriesConfig::default() };
        let named = data.file.is_some().then(|| Data::Series(data.clone()));
        let (on, pool) = self.on(py, device, threads, named.as_ref())?;
        let rows = size_if_any(rows, "rows", ROWS)?;
        let paths = size_if_any(paths, "paths", PATHS)?.map_or(PathCount::Automatic, PathCount::Exactly);
        let model = self.model.clone();
        attended(py, pool, move || {
            let input = model.series(&on, data)?;
            for remark in &input.remarks {
                log::info!(target: "bptt", "{remark}");
            }
            let forecast = model.forecast(input, rows, paths).wait()?;
            Ok((forecast.to_json().to_string(), forecast.to_csv()?, forecast.picture().file()))
        })
    }

    /// Of the columns of `predict`, which are texts and not numbers: ids, times, splits and classes.
    fn texts(&self, names: Vec<String>) -> Vec<bool> {
        let file = &self.model.file;
        let takes_classes = file.model.head.as_ref().is_some_and(|head| head.loss.takes_classes());
        let is_text = |(place, name): (usize, &String)| match &file.codec {
            // The id of the long form, the time, the split and the origin.
            Codec::Series { series, .. } => place < if series.long.is_some() { 4 } else { 3 },
            // The time and the split.
            Codec::Sensor { .. } => place < 2,
            Codec::Sequences(_) | Codec::Classes { .. } => match name.as_str() {
                "label" | "predicted" => takes_classes,
                name => place == 0 || name == "part",
            },
            _ => false,
        };
        names.iter().enumerate().map(is_text).collect()
    }

    /// The predictions of every example as comma-separated text; `sections` may name other data as JSON.
    #[pyo3(signature = (sections=None, device=None, threads=None))]
    fn predict(
        &self,
        py: Python<'_>,
        sections: Option<&str>,
        device: Option<&str>,
        #[pyo3(from_py_with = whole_if_any)] threads: Option<i128>,
    ) -> PyResult<Vec<u8>> {
        let data = data(sections)?;
        let (on, pool) = self.on(py, device, threads, data.as_ref())?;
        let model = self.model.clone();
        attended(py, pool, move || {
            let mut text = Vec::new();
            model.apply(model.config(&on, data)?).wait()?.predict(&mut text).wait()?;
            Ok(text)
        })
    }

    /// The results on data, as JSON and in lines.
    #[pyo3(signature = (sections=None, device=None, threads=None))]
    fn evaluate(
        &self,
        py: Python<'_>,
        sections: Option<&str>,
        device: Option<&str>,
        #[pyo3(from_py_with = whole_if_any)] threads: Option<i128>,
    ) -> PyResult<(String, Vec<String>)> {
        let data = data(sections)?;
        let (on, pool) = self.on(py, device, threads, data.as_ref())?;
        let model = self.model.clone();
        attended(py, pool, move || {
            let results = model.apply(model.config(&on, data)?).wait()?.evaluate(true).wait()?;
            Ok((Value::Object(results.summary).to_string(), results.lines))
        })
    }
}

/// The data of a configuration in JSON.
fn data(sections: Option<&str>) -> PyResult<Option<Data>> {
    Ok(sections.map(config).transpose().or_raise()?.and_then(|config| config.data))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(setting_names, module)?)?;
    module.add_function(wrap_pyfunction!(train, module)?)?;
    module.add_class::<TrainedModel>()
}
