//! The predictions of labelled sequences, as comma-separated text.

use std::io::Write;
use std::sync::Arc;

use super::labelled_task::{LabelledTask, PARTS};
use super::part::LabelledPart;
use crate::Result;
use crate::data::{Labels, LabelsPer};
use crate::experiment::device::network::Network;
use crate::experiment::files::folder::unwritten;
use crate::experiment::model::label_codec::LabelCodec;

/// Maximum number of probabilities in memory while writing.
const AT_ONCE: usize = 1 << 23;

/// The position of a sequence in the file and in its split.
struct SequencePlace {
    /// Whether it is in the test file.
    second: bool,
    sequence: usize,
    part: usize,
    example: usize,
}

impl LabelledPart {
    /// An original label; empty if it is missing or unknown.
    fn truth(&self, label: usize, outputs: usize) -> Vec<String> {
        let is_missing = self.labels.is_missing(label);
        match &*self.labels {
            Labels::Classes { names, of } if !is_missing => vec![names[of[label] as usize].clone()],
            Labels::Values(values) if !is_missing => values.row(label).iter().copied().map(as_written).collect(),
            _ => vec![String::new(); outputs],
        }
    }
}

impl LabelledTask {
    /// Writes one line per sequence, or per step if each has a label, in the order of the file, whatever the split;
    /// those of a test file come after it.
    ///
    /// # Errors
    /// Those of the network, and of writing.
    pub(super) async fn write_predictions(
        &self,
        network: &mut Network,
        rows: usize,
        out: &mut (dyn Write + Send),
    ) -> Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        let outputs = self.labels.outputs();
        let lines = self.parts.iter().any(|part| !part.examples.labelled().lines.is_empty());
        let mut names = vec![self.id_name.to_owned()];
        names.extend(lines.then(|| "line_number".to_owned()));
        let per_step = self.labels_per() == LabelsPer::Step;
        names.extend(per_step.then(|| "step".to_owned()));
        names.push("part".into());
        names.extend(self.labels.numbered("label"));
        names.extend(self.labels.columns());
        csv.write_record(&names).map_err(unwritten)?;
        let nothing = |line: usize, part: &str| {
            let mut record = vec![String::new(); names.len()];
            (record[1], record[2]) = (line.to_string(), part.into());
            record
        };
        let mut blank = self.blank.iter().copied().peekable();
        let all = self.places();
        let of_each = match &self.labels {
            LabelCodec::Classes(classes) => classes.len().max(1),
            LabelCodec::Values(_) => outputs,
        };
        let mut rest = all.as_slice();
        let mut last = "";
        while !rest.is_empty() {
            let (places, after) = rest.split_at(self.fitting(rest, AT_ONCE / of_each));
            rest = after;
            for (place, predicted) in places.iter().zip(self.predict_places(network, places, rows).await?) {
                let (name, part, sequence) = (PARTS[place.part], &self.parts[place.part], &place.sequence);
                let number = (sequence + 1).to_string();
                let id = part.examples.labelled().ids.get(*sequence).unwrap_or(&number);
                let line = part.examples.labelled().lines.get(*sequence).copied();
                while let Some(blank) = blank.next_if(|blank| line.is_some_and(|line| *blank < line)) {
                    csv.write_record(nothing(blank, name)).map_err(unwritten)?;
                }
                for ((step, label), predicted) in part.examples.labels_of(place.example).enumerate().zip(predicted) {
                    let mut record = vec![id.clone()];
                    record.extend(lines.then(|| line.map(|line| line.to_string()).unwrap_or_default()));
                    record.extend(per_step.then(|| (step + 1).to_string()));
                    record.push(name.to_owned());
                    record.extend(part.truth(label, outputs));
                    record.extend(self.labels.cells(&predicted));
                    csv.write_record(&record).map_err(unwritten)?;
                }
                last = name;
            }
        }
        for blank in blank {
            csv.write_record(nothing(blank, last)).map_err(unwritten)?;
        }
        csv.flush().map_err(unwritten)
    }

    /// The number of leading `places` that have so many predictions in all; at least 1.
    fn fitting(&self, places: &[SequencePlace], most: usize) -> usize {
        let counts = places.iter().map(|place| self.parts[place.part].examples.labels_of(place.example).len());
        let sums = counts.scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        sums.take_while(|sum| *sum <= most).count().clamp(1, places.len().max(1))
    }

    /// The sequences of all splits in the order of the file; those of a test file come after it.
    fn places(&self) -> Vec<SequencePlace> {
        let mut all = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            let second = !Arc::ptr_eq(&part.labels, &self.parts[0].labels);
            let places = part.examples.sequences().iter().enumerate();
            all.extend(places.map(|(example, sequence)| SequencePlace {
                second,
                sequence: *sequence,
                part: index,
                example,
            }));
        }
        all.sort_by_key(|place| (place.second, place.sequence));
        all
    }

    /// The predictions of sequences of several splits, in their order: one for each sequence or step.
    async fn predict_places(
        &self,
        network: &mut Network,
        places: &[SequencePlace],
        rows: usize,
    ) -> Result<Vec<Vec<Vec<f64>>>> {
        let mut predicted = vec![Vec::new(); places.len()];
        for (index, part) in self.parts.iter().enumerate() {
            // In the order of the split, as for the whole split.
            let of_part = places.iter().enumerate().filter(|(_, place)| place.part == index);
            let mut of_part: Vec<(usize, usize)> = of_part.map(|(at, place)| (place.example, at)).collect();
            of_part.sort_unstable();
            if of_part.is_empty() {
                continue;
            }
            let few = part.examples.select(&of_part.iter().map(|(example, _)| *example).collect::<Vec<_>>());
            let mut of_labels = self.predict(network, &few, rows, |values| values).await?.into_iter();
            for (example, (_, at)) in of_part.iter().enumerate() {
                predicted[*at] = of_labels.by_ref().take(few.labels_of(example).len()).collect();
            }
        }
        Ok(predicted)
    }
}

/// A label as in its file: exact f32 values have few digits there, though f64 would show many.
fn as_written(value: f64) -> String {
    let single = value as f32;
    if f64::from(single) == value && value.fract() != 0.0 { single.to_string() } else { value.to_string() }
}
