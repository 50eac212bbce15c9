//! Sequences a second over the rows of a batch.

use super::chart::{Area, Chart, Line, Panel, TALL};
use super::drawing::Drawing;
use crate::format::grouped;

/// What a batch comes to.
pub struct Rate {
    /// One of the picture's batches.
    pub rows: usize,
    /// Sequences a second.
    pub rate: f64,
    /// What most samples lie between.
    pub spread: [f64; 2],
}

/// What a device comes to, batch by batch.
pub struct Rates {
    /// The name of the curve.
    pub name: String,
    /// The measured rates, one for each batch size that was run.
    pub rates: Vec<Rate>,
}

/// Batches that double stand at equal distances.
pub struct Throughput {
    /// The heading of the picture.
    pub title: String,
    /// The batch sizes on the horizontal axis.
    pub batches: Vec<usize>,
    /// The first is what was measured now, and drawn with its spread.
    pub series: Vec<Rates>,
}

impl Throughput {
    /// Draws one curve for each set of rates.
    pub fn draw(&self) -> Drawing {
        let classes = ["blue", "orange", "ink", "thin"].into_iter().chain(std::iter::repeat("faint"));
        let place = |rate: &Rate| self.batches.iter().position(|batch| *batch == rate.rows).map(|place| place as f64);
        let lines = self.series.iter().zip(classes).map(|(series, class)| {
            let points = series.rates.iter().filter_map(|rate| Some((place(rate)?, rate.rate)));
            Line::new(&series.name, class, points.collect())
        });
        let mut panel = Panel::new("sequences a second", TALL, lines.collect());
        panel.areas.extend(self.series.first().map(|series| {
            let points = series.rates.iter().filter_map(|rate| Some((place(rate)?, rate.spread))).collect();
            Area { name: String::new(), class: "blue", points }
        }));
        // Devices that lie far apart are compared by what they multiply a rate with.
        let drawn =
            || panel.lines.iter().flat_map(|line| &line.points).map(|(_, rate)| *rate).filter(|rate| *rate > 0.0);
        let (least, most) = (drawn().fold(f64::INFINITY, f64::min), drawn().fold(0.0, f64::max));
        panel.logarithmic = most > 8.0 * least;
        panel.y_from_0 = true;
        let description = "A line that goes up in proportion has rows for free; where it is level, the device is full. \
                           It should never fall.";
        Chart {
            title: self.title.clone(),
            description: description.into(),
            x_name: "rows of a batch".into(),
            x_labels: Some(self.batches.iter().map(|rows| grouped(*rows as u64)).collect()),
            x_counts: false,
            x_from_0: true,
            panels: vec![panel],
        }
        .draw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(rates: &[(usize, f64)]) -> String {
        let rate = |(rows, rate): &(usize, f64)| Rate { rows: *rows, rate: *rate, spread: [0.9 * rate, 1.1 * rate] };
        let series = vec![Rates { name: "cpu".into(), rates: rates.iter().map(rate).collect() }];
        Throughput { title: "t".into(), batches: vec![16, 32, 64], series }.draw().file()
    }

    #[test]
    fn batches_that_double_stand_at_equal_distances_over_rates_from_0() {
        let svg = svg(&[(16, 100.0), (32, 110.0), (64, 120.0)]);
        for label in [">16<", ">32<", ">64<", ">0<", ">sequences a second<", ">cpu<"] {
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
