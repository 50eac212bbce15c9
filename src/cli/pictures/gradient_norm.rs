//! The gradient norm of every step.

use bptt::train::Metrics;

use super::super::progress::grouped;
use super::chart::{Chart, Line, Panel, TALL};
use super::drawing::Drawing;
use super::numbers::{percent, rounded};
use super::steps::{Steps, median};

/// The global gradient norm before clipping, and where it is clipped. `title` is followed by the share of clipped steps,
/// or by the median without clipping; `per_epoch`: x counts epochs of so many steps.
pub(crate) fn gradient_norm(title: &str, history: &[Metrics], per_epoch: Option<u64>, clip: Option<f64>) -> Drawing {
    let steps = Steps::new(history, per_epoch);
    let norm = |metrics: &Metrics| metrics.grad_norm;
    let title = match clip {
        Some(clip) => {
            let (clipped, all) = (history.iter().filter(|metrics| norm(metrics) > clip).count(), history.len());
            let share = percent(clipped as u64, all as u64);
            format!("{title}, {share} of {} steps clipped", grouped(all as u64))
        }
        None => format!("{title}, median {}", rounded(median(history.iter().map(norm).collect()))),
    };
    let mut lines = vec![Line::new("each step", if steps.group > 1 { "faint" } else { "blue" }, steps.each(norm))];
    if steps.group > 1 {
        let medians = steps.grouped(|group| median(group.iter().map(norm).collect()));
        lines.push(Line::new(format!("median of {}", steps.group_name()), "blue", medians));
    }
    if let (Some(clip), Some(last)) = (clip, history.last()) {
        let ends = vec![(0.0, clip), (steps.x(last.step as f64), clip)];
        lines.push(Line::new(format!("clipped to {clip}"), "thin", ends));
    }
    let mut panel = Panel::new("norm of the gradient", TALL, lines);
    panel.logarithmic = history.iter().any(|metrics| norm(metrics) > 0.0);
    let description = match clip {
        Some(_) => {
            "Gradients above the dashed line were scaled down to it: single peaks are what clipping is for, while a \
             median above it means that most steps are scaled."
        }
        None => "Single peaks far above the rest can throw training off: they are what clipping (--clip) is for.",
    };
    let (description, x_name, x_counts) = (description.into(), steps.x_name().into(), per_epoch.is_none());
    Chart { title, description, x_name, x_labels: None, x_counts, x_from_0: true, panels: vec![panel] }.draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(norms: &[f64]) -> Vec<Metrics> {
        let metrics = |(n, norm): (usize, &f64)| Metrics {
            step: n as u64 + 1,
            epoch: 1,
            loss: 1.0,
            val_loss: None,
            grad_norm: *norm,
            lr: 0.1,
            skipped: false,
        };
        norms.iter().enumerate().map(metrics).collect()
    }

    #[test]
    fn the_title_tells_the_share_of_clipped_steps() {
        let history = history(&[0.5, 1.0, 2.0, 8.0]);
        let svg = gradient_norm("run: gradient norm", &history, None, Some(1.0)).file();
        assert!(svg.contains("<title>run: gradient norm, 50.0% of 4 steps clipped</title>"), "{svg}");
        assert!(svg.contains(">clipped to 1<"));
        let svg = gradient_norm("run: gradient norm", &history, None, None).file();
        assert!(svg.contains("<title>run: gradient norm, median 2.000</title>") && !svg.contains("thin\" d"), "{svg}");
    }

    #[test]
    fn nothing_that_a_norm_can_be_breaks_the_picture() {
        for norms in [&[][..], &[0.0], &[0.0, 0.0], &[f64::NAN, 1.0], &[f64::INFINITY, 0.0, 1e-300, 1e300]] {
            let svg = gradient_norm("run", &history(norms), Some(1), Some(1.0)).file();
            let drawn = svg.lines().filter(|line| !line.starts_with("<text") && !line.starts_with("<title"));
            drawn.for_each(|line| assert!(!line.contains("NaN") && !line.contains("inf"), "{line}"));
        }
    }
}
