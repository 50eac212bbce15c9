//! The loss of a run, and its learning rate.

use super::chart::{Mark, Panel, Scale, Shape, TALL};
use super::drawing::Drawing;
use super::steps::{Curve, Epochs, GroupedCurve, Mean, StepAxis, Steps};
use crate::Result;
use crate::format::rounded;
use crate::train::Metrics;

/// The loss of a prediction without a network, for comparison.
pub struct Baseline {
    /// Its name in the legend.
    pub name: String,
    /// Its loss, in the units of the run's.
    pub loss: f64,
}

/// The training loss, the validation loss and the baseline, and below them the learning rate if it changes. `title` is
/// followed by the last losses.
///
/// # Errors
/// If the history cannot be read.
pub fn loss(
    title: &str,
    loss_name: &str,
    history: &dyn Steps,
    epochs: Epochs,
    baseline: Option<&Baseline>,
) -> Result<Drawing> {
    let axis = StepAxis::new(history.count(), epochs.on_axis.then_some(epochs.steps));
    let (mut each_step, mut rates) = (Curve::new(history.count()), Curve::new(history.count()));
    let (mut training, mut validation) = (GroupedCurve::new(axis, Mean::default()), Curve::new(history.validations()));
    // The lowest validation loss and the last one, each with its step.
    let (mut lowest, mut last) = (None::<(u64, f64)>, None);
    let (mut before, mut rate_changes) = (None::<Metrics>, false);
    history.each(&mut |metrics| {
        let x = axis.x(metrics.step as f64);
        each_step.add((x, epochs.drawn_loss(before.as_ref(), metrics)));
        training.add(metrics.step, metrics.loss, epochs.weight(metrics));
        rates.add((x, metrics.lr));
        if let Some(loss) = metrics.val_loss {
            validation.add((x, loss));
            last = Some((metrics.step, loss));
            if loss.is_finite() && lowest.is_none_or(|(_, lowest)| loss < lowest) {
                lowest = last;
            }
        }
        rate_changes |= before.is_some_and(|before| before.lr != metrics.lr);
        before = Some(*metrics);
    })?;
    let training = training.points();
    let title = match (training.last(), last) {
        (Some((_, training)), Some((_, validation))) => {
            format!("{title} {}, validation {}", rounded(*training), rounded(validation))
        }
        (Some((_, training)), None) => format!("{title} {}", rounded(*training)),
        _ => title.to_owned(),
    };
    let mut marks = axis.marks("training", each_step, "training, mean", training);
    marks.extend(last.map(|_| Mark::line("validation", "orange", validation.points())));
    marks.extend(baseline.map(|Baseline { name, loss }| Mark::new(name, "thin", Shape::Level(*loss))));
    let lowest = lowest.filter(|(step, _)| last.is_some_and(|(last, _)| *step < last));
    marks.extend(lowest.map(|(step, loss)| {
        let name = format!("lowest {} {}", rounded(loss), axis.after(step));
        Mark::new(name, "orange", Shape::Dot((axis.x(step as f64), loss)))
    }));
    let below = baseline.map(|baseline| format!(" below the dashed line the network beats “{}”;", baseline.name));
    let mut description = match last {
        Some(_) => format!(
            "Both losses should fall and level off;{} if validation rises while training still falls, the network \
             memorizes its examples.",
            below.unwrap_or_default()
        ),
        None => "The loss should fall and level off.".into(),
    };
    description.extend(epochs.caption().map(|caption| format!(" {caption}")));
    let mut panels = vec![Panel { name: loss_name.into(), height: TALL, marks, ..Panel::default() }];
    if panels[0].spans_a_factor_of(3.0) {
        panels[0].y_scale = Scale::Logarithmic;
    }
    if rate_changes {
        let marks = vec![Mark::line("", "blue", rates.points())];
        panels.push(Panel { name: "learning rate".into(), height: 72.0, marks, ..Panel::default() });
    }
    Ok(axis.draw(title, description, panels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(step: u64, loss: f64, val_loss: Option<f64>, lr: f64) -> Metrics {
        Metrics { step, epoch: 1, loss, val_loss, grad_norm: 1.0, lr, skipped: false }
    }

    fn svg(history: &[Metrics]) -> String {
        let epochs = Epochs { steps: 1, on_axis: false, last_weight: 1.0 };
        loss("run: loss", "squared error", &history, epochs, None).unwrap().file()
    }

    #[test]
    fn the_lowest_validation_loss_is_marked_where_it_is_not_the_last() {
        let falling = [metrics(1, 3.0, Some(2.0), 0.1), metrics(2, 2.0, Some(1.0), 0.1)];
        assert!(!svg(&falling).contains("<circle"));
        let rising =
            [metrics(1, 3.0, Some(1.0), 0.1), metrics(2, 2.0, Some(f64::NAN), 0.1), metrics(3, 1.0, Some(2.0), 0.1)];
        assert!(svg(&rising).contains(">lowest 1.000 after step 1<"), "{}", svg(&rising));
        assert!(svg(&rising).contains("run: loss 1.000, validation 2.000"));
    }

    #[test]
    fn the_learning_rate_has_a_panel_where_it_changes() {
        assert!(!svg(&[metrics(1, 3.0, None, 0.1), metrics(2, 2.0, None, 0.1)]).contains("learning rate"));
        assert!(svg(&[metrics(1, 3.0, None, 0.1), metrics(2, 2.0, None, 0.05)]).contains(">learning rate<"));
    }

    #[test]
    fn a_small_last_batch_of_an_epoch_does_not_set_the_height() {
        // Epochs of 8 steps, whose last is one example far off.
        let loss_of = |step: u64| if step.is_multiple_of(8) { 50.0 } else { 1.0 + 1.0 / step as f64 };
        let history: Vec<Metrics> = (1..=64).map(|step| metrics(step, loss_of(step), None, 0.1)).collect();
        let draw = |last_weight: f64| {
            let epochs = Epochs { steps: 8, on_axis: true, last_weight };
            loss("run: loss", "squared error", &history.as_slice(), epochs, None).unwrap().file()
        };
        let (weighed, alike) = (draw(1.0 / 64.0), draw(1.0));
        assert!(alike.contains(">50<") && !weighed.contains(">50<"), "{weighed}");
        assert!(weighed.contains("last batch is smaller") && !alike.contains("last batch is smaller"));
    }

    #[test]
    fn nothing_that_a_loss_can_be_breaks_the_picture() {
        let losses = [f64::NAN, f64::INFINITY, 0.0, -1.0, f64::MAX, f64::MIN_POSITIVE];
        let history: Vec<Metrics> =
            losses.iter().enumerate().map(|(n, loss)| metrics(n as u64 + 1, *loss, Some(*loss), *loss)).collect();
        for count in 0..=history.len() {
            let svg = svg(&history[..count]);
            let drawn = svg.lines().filter(|line| !line.starts_with("<text") && !line.starts_with("<title"));
            drawn.for_each(|line| assert!(!line.contains("NaN") && !line.contains("inf"), "{line}"));
        }
    }
}
