//! Sequences per second against the batch size.

use super::chart::{Chart, Mark, Panel, Scale, Shape, TALL};
use super::drawing::Drawing;
use crate::format::grouped;

/// The throughput of a batch size.
pub struct Rate {
    /// The rows of a batch.
    pub rows: usize,
    /// Sequences per second.
    pub rate: f64,
    /// The range of most samples.
    pub spread: [f64; 2],
}

/// The throughput of a device.
pub struct Rates {
    /// The name of the line.
    pub name: String,
    /// The measured batch sizes.
    pub rates: Vec<Rate>,
}

/// A line for each of `series` over the `batches`, which double and are drawn at equal distances. The first has its
/// spread.
pub fn throughput(title: &str, batches: &[usize], series: &[Rates]) -> Drawing {
    let x = |rate: &Rate| batches.iter().position(|batch| *batch == rate.rows).map(|index| index as f64);
    let spread = series.first().map(|Rates { rates, .. }| {
        let points = rates.iter().filter_map(|rate| Some((x(rate)?, rate.spread)));
        Mark::new("", "blue", Shape::Area(points.collect()))
    });
    let classes = ["blue", "orange", "ink", "thin"].into_iter().chain(std::iter::repeat("faint"));
    let lines = series.iter().zip(classes).map(|(Rates { name, rates }, class)| {
        Mark::line(name, class, rates.iter().filter_map(|rate| Some((x(rate)?, rate.rate))).collect())
    });
    let marks = spread.into_iter().chain(lines).collect();
    let mut panel =
        Panel { name: "sequences per second".into(), height: TALL, y_from_0: true, marks, ..Panel::default() };
    // Devices of very different speed are compared by ratios.
    if panel.spans_a_factor_of(8.0) {
        panel.y_scale = Scale::Logarithmic;
    }
    let description = "Where the line rises in proportion, more rows cost no time; where it is level, the device is \
                       fully used. It should never fall.";
    Chart {
        title: title.into(),
        description: description.into(),
        x_name: "rows per batch".into(),
        x_scale: Scale::Rows(batches.iter().map(|rows| grouped(*rows as u64)).collect()),
        x_from_0: true,
        panels: vec![panel],
        ..Chart::default()
    }
    .draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(rates: &[(usize, f64)]) -> String {
        let rate = |(rows, rate): &(usize, f64)| Rate { rows: *rows, rate: *rate, spread: [0.9 * rate, 1.1 * rate] };
        let series = vec![Rates { name: "cpu".into(), rates: rates.iter().map(rate).collect() }];
        throughput("t", &[16, 32, 64], &series).file()
    }

    #[test]
    fn batches_that_double_stand_at_equal_distances_over_rates_from_0() {
        let svg = svg(&[(16, 100.0), (32, 110.0), (64, 120.0)]);
        for label in [">16<", ">32<", ">64<", ">0<", ">sequences per second<", ">cpu<"] {
            assert!(svg.contains(label), "{label} is not in {svg}");
        }
    }

    #[test]
    fn a_batch_that_is_not_of_the_picture_and_a_rate_of_nothing_are_left_out() {
        for rates in [&[][..], &[(24, 1.0)], &[(16, f64::NAN), (32, 0.0), (64, 1.0)], &[(16, 1.0), (32, 1e9)]] {
            let svg = svg(rates);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
