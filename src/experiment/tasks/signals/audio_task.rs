//! Learns what a device makes of a sound: an amplifier or an effect.

use std::io::Write;
use std::ops::Range;

use ndarray::{Array2, s};
use serde_json::json;

use super::super::relation::{OTHER_FILE, Relation};
use super::super::task::{MeasureOptions, Order, Pending, Results, Task, Unit};
use super::super::{objective, relation};
use super::audio_data::AudioData;
use super::reading::{carried, lanes, training_lanes};
use crate::data::{Batches, Signal};
use crate::experiment::config::AudioConfig;
use crate::experiment::config::agree::shares;
use crate::experiment::device::network::Network;
use crate::experiment::measure::comparison::{BaselineName, ComparedMetric, Comparison};
use crate::experiment::measure::error_to_signal::ErrorToSignal;
use crate::experiment::measure::linear::LinearFit;
use crate::experiment::measure::quantiles::mean;
use crate::experiment::model::audio_codec::AudioCodec;
use crate::experiment::model::codec::Codec;
use crate::experiment::model::model_file::ModelFile;
use crate::experiment::model::origin::Origin;
use crate::format::{grouped, short};
use crate::plot::{Baseline, Drawing, RowAxis, SignalChart, SignalLine, SignalTarget};
use crate::{Error, Head, Loss, Readout, Result};

const FILTER: BaselineName = BaselineName { key: "linear_filter", words: "a linear filter" };

/// The frames that the linear filter reads.
const TAPS: usize = 64;

/// The frames in the picture.
const DRAWN: usize = 600;

/// Explains the columns.
const NOTE: &str = "ESR: the error's energy by the signal's, in %; pre-emphasised: of both after the filter 1 - 0.85/z";

pub(crate) struct AudioTask {
    name: String,
    /// A description of the data.
    facts: Vec<String>,
    codec: AudioCodec,
    signal: Signal,
    /// The frames of training, validation and test.
    parts: [Range<usize>; 3],
    /// Frames of a step of truncated BPTT.
    window: usize,
    head: Head,
    /// What no network is needed for; `None` for a model that has none stored.
    filter: Option<LinearFit>,
    origin: Origin,
    relation: Option<String>,
}

impl AudioTask {
    /// Reads the files of `data` and fills in its defaults.
    pub(crate) fn load(data: &mut AudioConfig, applies: bool, model: Option<&ModelFile>) -> Result<Self> {
        let known = match model.map(|model| &model.codec) {
            Some(Codec::Audio(codec)) => Some(codec),
            _ => None,
        };
        let AudioData { name, path, dry, wet, mut facts, sha256 } = AudioData::read(data, known)?;
        let window = *data.window.get_or_insert(1024);
        let of_training = Relation::new(model, &sha256, data.splitting(), applies);
        let shares = shares(&mut data.split, of_training.default_shares([0.8, 0.1, 0.1]))?;
        of_training.check_shares(data.split.as_ref())?;
        let frames = dry.samples.nrows();
        let end = |share: f64| (share * frames as f64).round() as usize;
        let (train, validation) = (end(shares[0]), end(shares[0] + shares[1]).min(frames));
        let parts = [0..train, train..validation, validation..frames];
        let codec = match known {
            Some(codec) => codec.clone(),
            None if train == 0 => return Err(Error::Unsupported("--split leaves no training data".into())),
            None => AudioCodec::fit(&dry, &wet, train).map_err(|error| error.in_file(&path))?,
        };
        let signal = Signal::new(codec.encode(dry.samples), codec.encode_wet(wet.samples))
            .map_err(|error| error.in_file(&path))?;
        let natural = Head::new(codec.wet.len(), Loss::SquaredError, Readout::PerStep);
        let head = objective::head(natural, &mut None, model)?;
        let of_model = model.and_then(|model| model.origin.as_ref()?.linear.clone());
        let of_model = of_model.filter(|fit| applies && fit.fits(codec.dry.len(), codec.wet.len()));
        let taps = LinearFit::steps_of(TAPS, codec.dry.len());
        let filter = of_model.or_else(|| LinearFit::fit(&signal, parts[0].clone(), taps));
        let relation = of_training.describe(Some(OTHER_FILE));
        facts.extend(relation.clone());
        let hash = None::<fn(usize) -> String>;
        let trained = (train > 0 && !applies).then(|| relation::of_pieces(sha256, &data.splitting(), &parts, hash));
        let origin = Origin { data: trained.into_iter().collect(), linear: filter.clone(), ..Origin::default() };
        Ok(Self { name, facts, codec, signal, parts, window, head, filter, origin, relation })
    }

    /// The splits with frames, and their frames.
    fn parts(&self) -> impl Iterator<Item = (&'static str, &Range<usize>)> {
        ["training", "validation", "test"].into_iter().zip(&self.parts).filter(|(_, part)| !part.is_empty())
    }

    /// Sound of the network's units, \[frames, channels\].
    fn decode(&self, scaled: &Array2<f64>) -> Array2<f64> {
        Array2::from_shape_fn(scaled.dim(), |(frame, channel)| scaled[[frame, channel]] * self.codec.wet[channel])
    }

    fn truth(&self, part: &Range<usize>) -> Array2<f64> {
        self.decode(&self.signal.y().slice(s![part.clone(), ..]).mapv(f64::from))
    }

    /// What the linear filter makes of a part; NaN without one.
    fn filtered(&self, part: &Range<usize>) -> Array2<f64> {
        match &self.filter {
            Some(filter) => self.decode(&filter.predict(self.signal.x(), part.clone())),
            None => Array2::from_elem((part.len(), self.codec.wet.len()), f64::NAN),
        }
    }

    /// The loudest frames of a part in a picture.
    fn picture(&self, part: &str, truth: &Array2<f64>, network: &Array2<f64>, filter: &Array2<f64>) -> Drawing {
        let (frames, half) = (truth.nrows(), DRAWN / 2);
        let energy = |from: &usize| {
            let shown = truth.slice(s![*from..frames.min(from + DRAWN), ..]);
            shown.iter().map(|sample| sample * sample).sum::<f64>()
        };
        let loudest = (0..frames).step_by(half).max_by(|a, b| energy(a).total_cmp(&energy(b)));
        let first = loudest.unwrap_or_default().min(frames.saturating_sub(DRAWN));
        let shown = first..frames.min(first + DRAWN);
        let begin = self.parts().find(|(name, _)| *name == part).map_or(0, |(_, part)| part.start) + first;
        let milliseconds = |frame: usize| 1e3 * frame as f64 / f64::from(self.codec.rate);
        let positions: Vec<f64> = shown.clone().map(|frame| milliseconds(frame - first)).collect();
        let values = |sound: &Array2<f64>, channel: usize| sound.slice(s![shown.clone(), channel]).to_vec();
        let all = [("truth", "ink", truth), ("linear filter", "thin", filter), ("network", "blue", network)];
        let lines: Vec<_> = (0..truth.ncols())
            .map(|channel| (format!("channel {}", channel + 1), all.map(|(_, _, sound)| values(sound, channel))))
            .collect();
        let targets = lines.iter().map(|(name, values)| {
            let lines = all.iter().zip(values).map(|((name, class, _), values)| SignalLine { name, class, values });
            SignalTarget { name: if truth.ncols() == 1 { "" } else { name }, lines: lines.collect() }
        });
        SignalChart {
            title: format!(
                "{}: the loudest place of the {part} split, at {:.3} s",
                self.name,
                milliseconds(begin) / 1e3
            ),
            description:
                "The network's line should lie on the truth; the dashed one is what a linear filter makes of the \
                          dry sound."
                    .into(),
            rows: RowAxis { name: "ms", positions: Some(&positions), labels: &[] },
            first: 0,
            targets: targets.collect(),
        }
        .draw()
    }
}

/// A ratio in percent.
fn percent(ratio: f64) -> String {
    short(100.0 * ratio)
}

impl Task for AudioTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn describe(&self) -> Vec<String> {
        let mut lines = self.facts.clone();
        if !self.parts[0].is_empty() {
            let window = grouped(self.window as u64);
            lines.push(format!("from end to end with the state carried on (truncated BPTT), {window} frames a step"));
        }
        let seconds = |part: &Range<usize>| part.len() as f64 / f64::from(self.codec.rate);
        let parts: Vec<String> = self.parts().map(|(name, part)| format!("{name} {:.1} s", seconds(part))).collect();
        lines.push(parts.join(", "));
        lines
    }

    fn input_size(&self) -> usize {
        self.codec.dry.len()
    }

    fn head(&self) -> Head {
        self.head.clone()
    }

    fn codec(&self) -> Codec {
        Codec::Audio(self.codec.clone())
    }

    fn training(&self, order: Order) -> Result<Option<Box<dyn Batches + '_>>> {
        let part = &self.parts[0];
        Ok(if part.is_empty() {
            None
        } else {
            Some(Box::new(training_lanes(&self.signal, part.clone(), self.window, order.rows)?))
        })
    }

    fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>> {
        let part = &self.parts[1];
        Ok(if part.is_empty() {
            None
        } else {
            Some(Box::new(training_lanes(&self.signal, part.clone(), self.window, rows)?))
        })
    }

    fn carries_state(&self) -> bool {
        true
    }

    fn forward_only(&self) -> Option<&'static str> {
        Some("a sound is made while it comes in, and the reverse direction would begin with its end")
    }

    fn unit(&self) -> Unit {
        Unit::Frames
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn relation(&self) -> Option<&str> {
        self.relation.as_deref()
    }

    fn baseline(&self) -> Option<Baseline> {
        let (part, filter) = (&self.parts[1], self.filter.as_ref()?);
        let filtered = filter.predict(self.signal.x(), part.clone());
        let truth = self.signal.y().slice_move(s![part.clone(), ..]);
        let loss = mean(truth.iter().zip(&filtered).map(|(truth, filtered)| (f64::from(*truth) - filtered).powi(2)));
        (!loss.is_nan()).then(|| Baseline { name: "linear filter, validation".into(), loss })
    }

    fn results_bytes(&self) -> u64 {
        // The network's frames in f32, and in f64 beside the truth and what the filter makes.
        let most = self.parts[1..].iter().map(Range::len).max().unwrap_or_default();
        (most * self.codec.wet.len() * (4 + 8 * 6)) as u64
    }

    fn results<'a>(
        &'a self,
        network: &'a mut Network,
        MeasureOptions { rows, .. }: MeasureOptions,
    ) -> Pending<'a, Results> {
        Box::pin(async move {
            let mut results = Results::default();
            let mut table = Vec::new();
            for (name, part) in self.parts().filter(|(name, _)| *name != "training") {
                let lanes = lanes(&self.signal, part.clone(), self.window, rows)?;
                let made = carried(network, &lanes, part.clone(), self.codec.wet.len()).await?;
                let (truth, made, filtered) =
                    (self.truth(part), self.decode(&made.mapv(f64::from)), self.filtered(part));
                let [of_network, of_filter] =
                    [&made, &filtered].map(|sound| ErrorToSignal::of(truth.view(), sound.view()));
                let ratios = [of_network.plain, of_filter.plain, of_network.pre_emphasised, of_filter.pre_emphasised];
                table.push([name.to_owned()].into_iter().chain(ratios.map(percent)).collect());
                results.key_figures.push((format!("ESR in %, {name}"), percent(of_network.plain)));
                results.key_figures.push((format!("ESR in %, linear filter, {name}"), percent(of_filter.plain)));
                let value = json!({
                    "frames": part.len(), "esr": of_network.plain, "pre_emphasised_esr": of_network.pre_emphasised,
                    "filter_esr": of_filter.plain, "filter_pre_emphasised_esr": of_filter.pre_emphasised,
                });
                results.summary.insert(name.into(), value);
                let [network, other] = [of_network.plain, of_filter.plain].map(|ratio| 100.0 * ratio);
                results.comparisons.push(Comparison::new(
                    name,
                    ComparedMetric::Error("ESR in %"),
                    network,
                    FILTER,
                    other,
                ));
                results.figures.retain(|(file, _)| *file != "sound.svg");
                results.figures.push(("sound.svg", self.picture(name, &truth, &made, &filtered)));
            }
            if table.is_empty() {
                results.lines.push("every frame was used in training: nothing is left to test".into());
                return Ok(results);
            }
            let columns = ["part", "ESR", "linear filter", "pre-emphasised", "linear filter"];
            results.put_table(&format!("Error-to-signal ratio; {NOTE}"), &columns, table);
            let taps = self.filter.as_ref().map_or(TAPS, |filter| filter.steps);
            results.lines.push(NOTE.into());
            results
                .lines
                .push(format!("linear filter: the {taps} factors of the last frames with the least squared error"));
            Ok(results)
        })
    }

    fn predictions<'a>(&'a self, _: &'a mut Network, _: usize, _: &'a mut (dyn Write + Send)) -> Pending<'a, ()> {
        Box::pin(async move {
            Err(Error::Unsupported(
                "a model of audio makes sound, and no table: `bptt apply RUN in.wav --out out.wav` writes it, `bptt eval` \
                 measures the model"
                    .into(),
            ))
        })
    }
}
