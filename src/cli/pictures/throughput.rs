//! Sequences a second over the rows of a batch.

use super::super::progress::grouped;
use super::chart::{Chart, Line, Panel, TALL};
use super::drawing::Drawing;

/// What a device comes to.
pub(crate) struct Rates {
    pub(crate) name: String,
    /// A batch, one of the picture's, and its sequences a second.
    pub(crate) points: Vec<(usize, f64)>,
}

/// Batches that double stand at equal distances; y goes by its logarithm too.
pub(crate) struct Throughput {
    pub(crate) title: String,
    pub(crate) batches: Vec<usize>,
    /// The first is what was measured now.
    pub(crate) series: Vec<Rates>,
}

impl Throughput {
    pub(crate) fn draw(&self) -> Drawing {
        let classes = ["blue", "orange", "ink", "thin"].into_iter().chain(std::iter::repeat("faint"));
        let place = |rows: usize| self.batches.iter().position(|batch| *batch == rows);
        let lines = self.series.iter().zip(classes).map(|(rates, class)| {
            let points = rates.points.iter().filter_map(|(rows, rate)| Some((place(*rows)? as f64, *rate)));
            Line::new(&rates.name, class, points.collect())
        });
        let mut panel = Panel::new("sequences a second", TALL, lines.collect());
        panel.logarithmic = true;
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

    #[test]
    fn batches_that_double_stand_at_equal_distances() {
        let points = vec![(16, 100.0), (32, 200.0), (64, 400.0)];
        let series = vec![Rates { name: "cpu".into(), points }];
        let svg = Throughput { title: "t".into(), batches: vec![16, 32, 64], series }.draw().file();
        for label in [">16<", ">32<", ">64<"] {
            assert!(svg.contains(label), "{svg}");
        }
        assert!(svg.contains(">sequences a second<") && svg.contains(">cpu<"), "{svg}");
    }

    #[test]
    fn a_batch_that_is_not_of_the_picture_and_a_rate_of_nothing_are_left_out() {
        let series = vec![Rates { name: "cpu".into(), points: vec![(16, f64::NAN), (24, 1.0), (32, 0.0)] }];
        let svg = Throughput { title: "t".into(), batches: vec![16, 32], series }.draw().file();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
