//! The gradient norm of every step.

use super::chart::{Mark, Panel, Scale, Shape, TALL};
use super::drawing::Drawing;
use super::steps::{Curve, Epochs, GroupedCurve, Median, StepAxis, Steps, Summary};
use crate::Result;
use crate::format::{grouped, percent, rounded};

/// The norm of the whole gradient before clipping, and the norm it is clipped to. `title` is followed by the share of
/// steps that were clipped, or without clipping by the median.
///
/// # Errors
/// If the history cannot be read.
pub fn gradient_norm(title: &str, history: &dyn Steps, epochs: Epochs, clip: Option<f64>) -> Result<Drawing> {
    let count = history.count();
    let axis = StepAxis::new(count, epochs.on_axis.then_some(epochs.steps));
    let (mut each_step, mut median) = (Curve::new(count), Median::new(count));
    let mut medians = GroupedCurve::new(axis, Median::new(axis.group));
    let (mut clipped, mut is_positive) = (0, false);
    history.each(&mut |metrics| {
        let norm = metrics.grad_norm;
        each_step.add((axis.x(metrics.step as f64), norm));
        medians.add(metrics.step, norm, 1.0);
        median.add(norm, 1.0);
        clipped += u64::from(clip.is_some_and(|clip| norm > clip));
        is_positive |= norm > 0.0;
    })?;
    let mut marks = axis.marks("each step", each_step, "median", medians.points());
    marks.extend(clip.map(|clip| Mark::new(format!("clipped to {clip}"), "thin", Shape::Level(clip))));
    let (title, mut description, every) = match clip {
        Some(_) => (
            format!("{title}, {} of {} steps clipped", percent(clipped, count), grouped(count)),
            "Larger gradients were scaled down to the dashed line. Clipping is meant for single peaks; where the \
             median is above the line, most steps are scaled."
                .to_owned(),
            medians.summary.every,
        ),
        None => (
            format!("{title}, median {}", rounded(median.take())),
            "Single peaks far above the rest can make training diverge; clipping (--clip) limits them.".to_owned(),
            median.every,
        ),
    };
    if every > 1 {
        description += &format!(" Medians are of one step in {}.", grouped(every));
    }
    let y_scale = if is_positive { Scale::Logarithmic } else { Scale::Linear };
    let name = "norm of the gradient".into();
    let panels = vec![Panel { name, height: TALL, y_scale, marks, ..Panel::default() }];
    Ok(axis.draw(title, description, panels))
}

#[cfg(test)]
mod tests {
    use crate::train::Metrics;

    use super::*;

    const STEPS: Epochs = Epochs { steps: 1, on_axis: false, last_weight: 1.0 };

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
    fn the_title_contains_the_share_of_clipped_steps() {
        let history = history(&[0.5, 1.0, 2.0, 8.0]);
        let svg = gradient_norm("run: gradient norm", &history.as_slice(), STEPS, Some(1.0)).unwrap().file();
        assert!(svg.contains("<title>run: gradient norm, 50.0% of 4 steps clipped</title>"), "{svg}");
        assert!(svg.contains(">clipped to 1<"));
        let svg = gradient_norm("run: gradient norm", &history.as_slice(), STEPS, None).unwrap().file();
        assert!(svg.contains("<title>run: gradient norm, median 2.000</title>") && !svg.contains("thin\" d"), "{svg}");
    }

    #[test]
    fn nothing_that_a_norm_can_be_breaks_the_picture() {
        for norms in [&[][..], &[0.0], &[0.0, 0.0], &[f64::NAN, 1.0], &[f64::INFINITY, 0.0, 1e-300, 1e300]] {
            let svg = gradient_norm("run", &history(norms).as_slice(), Epochs { on_axis: true, ..STEPS }, Some(1.0))
                .unwrap()
                .file();
            let drawn = svg.lines().filter(|line| !line.starts_with("<text") && !line.starts_with("<title"));
            drawn.for_each(|line| assert!(!line.contains("NaN") && !line.contains("inf"), "{line}"));
        }
    }
}
