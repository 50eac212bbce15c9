//! The losses of a run, and its learning rate.

use super::chart::{Chart, Dot, Line, Panel, TALL};
use super::drawing::Drawing;
use super::steps::{Epochs, Mean, Points, Scale, Steps};
use crate::Result;
use crate::format::rounded;
use crate::train::Metrics;

/// The loss of what needs no network, to be drawn beside the run's.
pub struct Baseline {
    /// The name of the baseline, as in the legend.
    pub name: String,
    /// The loss of the baseline, in the units of the curve.
    pub loss: f64,
}

/// A title with the last losses.
fn with_losses(title: String, training: Option<f64>, validation: Option<f64>) -> String {
    match (training, validation) {
        (Some(training), Some(validation)) => {
            format!("{title} {}, validation {}", rounded(training), rounded(validation))
        }
        (Some(training), None) => format!("{title} {}", rounded(training)),
        _ => title,
    }
}

/// The training loss, the validation loss and the baseline; below them the learning rate, where it changes. `title` is
/// followed by the last losses.
pub fn loss(
    title: String,
    y_name: &str,
    history: &dyn Steps,
    epochs: Epochs,
    baseline: Option<&Baseline>,
) -> Result<Drawing> {
    let per_epoch = epochs.per_epoch();
    let scale = Scale::new(history.count(), per_epoch);
    let (mut each_step, mut rates) = (scale.points(), scale.points());
    let (mut groups, mut mean, mut training) = (scale.groups(), Mean::default(), Vec::new());
    let mut validation = Points::of(history.validations());
    // The lowest validation loss, and the last one of all.
    let (mut best, mut measured) = (None::<(u64, f64)>, None);
    let (mut before, mut changes) = (None::<Metrics>, false);
    history.each(&mut |metrics| {
        let x = scale.x(metrics.step as f64);
        each_step.add((x, epochs.drawn(before.as_ref(), metrics)));
        rates.add((x, metrics.lr));
        epochs.add(&mut mean, metrics);
        training.extend(groups.add(metrics.step).map(|middle| (scale.x(middle), mean.take())));
        if let Some(loss) = metrics.val_loss {
            validation.add((x, loss));
            measured = Some((metrics.step, loss));
            if loss.is_finite() && best.is_none_or(|(_, best)| loss < best) {
                best = Some((metrics.step, loss));
            }
        }
        changes |= before.is_some_and(|before| before.lr != metrics.lr);
        before = Some(*metrics);
    })?;
    training.extend(groups.rest().map(|middle| (scale.x(middle), mean.take())));
    let (each_step, rates, validation) = (each_step.all(), rates.all(), validation.all());
    let title = with_losses(title, training.last().map(|(_, loss)| *loss), measured.map(|(_, loss)| loss));
    let best = best.filter(|(best, _)| measured.is_some_and(|(last, _)| *best < last));

    let mut lines = Vec::new();
    if scale.group > 1 {
        lines.push(Line::new("each step", "faint", each_step));
        lines.push(Line::new(format!("training, mean of {}", scale.group_name()), "blue", training));
    } else {
        lines.push(Line::new("training", "blue", each_step));
    }
    lines.push(Line::new("validation", "orange", validation));
    if let (Some(baseline), Some(last)) = (baseline, before) {
        lines.push(Line::new(
            &baseline.name,
            "thin",
            vec![(0.0, baseline.loss), (scale.x(last.step as f64), baseline.loss)],
        ));
    }
    lines.retain(|line| !line.points.is_empty());
    let losses = || lines.iter().flat_map(|line| &line.points).map(|(_, loss)| *loss).filter(|loss| loss.is_finite());
    let (least, most) = losses().fold((f64::INFINITY, 0.0), |(a, b): (f64, f64), v| (a.min(v), b.max(v)));
    let mut panel = Panel::new(y_name, TALL, lines);
    panel.logarithmic = least > 0.0 && most > 3.0 * least;
    panel.dots.extend(best.map(|(step, loss)| {
        let text = format!("lowest {} {}", rounded(loss), scale.after(step));
        Dot { text, class: "orange", at: (scale.x(step as f64), loss) }
    }));

    let below = baseline.map(|baseline| format!(" below the dashed line the network beats “{}”;", baseline.name));
    let overfitting = "validation that rises while training still falls means that examples are learnt by heart";
    let mut description = if panel.lines.iter().any(|line| line.name == "validation") {
        format!("Both losses should fall and level off;{} {overfitting}.", below.unwrap_or_default())
    } else {
        "The loss should fall and level off.".into()
    };
    if let Some(caption) = epochs.caption() {
        description = format!("{description} {caption}");
    }
    let rate = Line::new("", "blue", rates);
    let rate = changes.then(|| Panel::new("learning rate", 72.0, vec![rate]));
    let panels = [panel].into_iter().chain(rate).collect();
    let (x_name, x_counts) = (scale.x_name().into(), per_epoch.is_none());
    Ok(Chart { title, description, x_name, x_labels: None, x_counts, x_from_0: true, panels }.draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(step: u64, loss: f64, val_loss: Option<f64>, lr: f64) -> Metrics {
        Metrics { step, epoch: 1, loss, val_loss, grad_norm: 1.0, lr, skipped: false }
    }

    fn svg(history: &[Metrics]) -> String {
        let epochs = Epochs { steps: 1, counted: false, last: 1.0 };
        loss("run: loss".into(), "squared error", &history, epochs, None).unwrap().file()
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
        let draw = |last: f64| {
            let epochs = Epochs { steps: 8, counted: true, last };
            loss("run: loss".into(), "squared error", &history.as_slice(), epochs, None).unwrap().file()
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
