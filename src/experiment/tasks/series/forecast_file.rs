//! Forecasts beside the truth as comma-separated text.

use std::io::Write;

use ndarray::Array3;

use super::forecast_columns::TRUTH;
use super::series_task::SeriesTask;
use crate::Result;
use crate::data::Windows;
use crate::experiment::files::folder::unwritten;

impl SeriesTask {
    /// The split that contains a whole forecast starting at row `first`; empty if it crosses into the next one.
    pub(super) fn part_of(&self, first: usize) -> &'static str {
        let rows = first..first + self.frame().horizon;
        let mut parts = self.split.parts().filter(|(_, part)| part.start <= rows.start && rows.end <= part.end);
        parts.next().map_or("", |(part, _)| part)
    }

    /// Writes one line per forecast row of the windows `indices`: its label, the split of the forecast, the last known
    /// row, the steps from there, and `columns`, \[N, K, Q\], of each target. If the data are in long form, so is the
    /// text: a line for each series that is forecast, which begins with its id.
    pub(super) fn write(
        &self,
        windows: &Windows,
        indices: &[usize],
        columns: &[(String, &Array3<f64>)],
        out: &mut (dyn Write + Send),
    ) -> Result<()> {
        let (series, frame) = (self.series(), self.frame());
        let long = self.encoded.codec().long.as_ref();
        let mut csv = csv::Writer::from_writer(out);
        let mut record: Vec<String> = long.map(|form| form.id.clone()).into_iter().collect();
        record.extend([series.label_name().to_owned(), "part".into(), "origin".into(), "step".into()]);
        match long {
            Some(_) => record.extend(columns.iter().map(|(name, _)| name.clone())),
            None => {
                let of = |target: &crate::data::Column| {
                    let target = target.name.clone();
                    columns.iter().map(move |(name, _)| format!("{target}_{name}"))
                };
                record.extend(series.targets().iter().flat_map(of));
            }
        }
        csv.write_record(&record).map_err(unwritten)?;
        // The targets of each line.
        let all = 0..series.targets().len();
        let lines: Vec<_> = if long.is_some() { all.map(|target| target..target + 1).collect() } else { vec![all] };
        let forecast = columns.iter().find(|(name, _)| name != TRUTH).map(|(_, values)| *values);
        for index in indices {
            let first = windows.first_rows()[*index];
            let part = self.part_of(first);
            for targets in &lines {
                // A series that does not reach up to here.
                let target = targets.start;
                if long.is_some() && forecast.is_some_and(|forecast| forecast[[*index, 0, target]].is_nan()) {
                    continue;
                }
                for step in 0..frame.horizon {
                    record.clear();
                    record.extend(long.map(|_| series.targets()[target].name.clone()));
                    let [row, origin] = [first + step, first - 1].map(|row| series.labels()[row].clone());
                    record.extend([row, part.into(), origin, (step + 1).to_string()]);
                    for target in targets.clone() {
                        let values = columns.iter().map(|(_, values)| values[[*index, step, target]]);
                        // A missing value is an empty field, as in the data.
                        record
                            .extend(values.map(|value| if value.is_nan() { String::new() } else { value.to_string() }));
                    }
                    csv.write_record(&record).map_err(unwritten)?;
                }
            }
        }
        csv.flush().map_err(unwritten)
    }
}
