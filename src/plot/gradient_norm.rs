//! The gradient norm of every step.

use super::chart::{Chart, Line, Panel, TALL};
use super::drawing::Drawing;
use super::steps::{Median, Scale, Steps};
use crate::Result;
use crate::format::{grouped, percent, rounded};

/// The global gradient norm before clipping, and where it is clipped. `title` is followed by the share of clipped steps,
/// or by the median without clipping; `per_epoch`: x counts epochs of so many steps.
pub fn gradient_norm(title: &str, history: &dyn Steps, per_epoch: Option<u64>, clip: Option<f64>) -> Result<Drawing> {
    let all = history.count();
    let scale = Scale::new(all, per_epoch);
    let (mut each_step, mut groups, mut medians) = (scale.points(), scale.groups(), Vec::new());
    let (mut of_all, mut of_group) = (Median::of(all), Median::of(scale.group));
    let (mut clipped, mut above_0) = (0, false);
    history.each(&mut |metrics| {
        let norm = metrics.grad_norm;
        each_step.add((scale.x(metrics.step as f64), norm));
        of_group.add(norm);
        medians.extend(groups.add(metrics.step).map(|middle| (scale.x(middle), of_group.take())));
        match clip {
            Some(clip) => clipped += u64::from(norm > clip),
            None => of_all.add(norm),
        }
        above_0 |= norm > 0.0;
    })?;
    medians.extend(groups.rest().map(|middle| (scale.x(middle), of_group.take())));
    let title = match clip {
        Some(_) => format!("{title}, {} of {} steps clipped", percent(clipped, all), grouped(all)),
        None => format!("{title}, median {}", rounded(of_all.take())),
    };
    let class = if scale.group > 1 { "faint" } else { "blue" };
    let mut lines = vec![Line::new("each step", class, each_step.all())];
    if scale.group > 1 {
        lines.push(Line::new(format!("median of {}", scale.group_name()), "blue", medians));
    }
    if let (Some(clip), Some(last)) = (clip, history.last()) {
        let ends = vec![(0.0, clip), (scale.x(last.step as f64), clip)];
        lines.push(Line::new(format!("clipped to {clip}"), "thin", ends));
    }
    let mut panel = Panel::new("norm of the gradient", TALL, lines);
    panel.logarithmic = above_0;
    let description = match clip {
        Some(_) => {
            "Gradients above the dashed line were scaled down to it: single peaks are what clipping is for, while a \
             median above it means that most steps are scaled."
        }
        None => "Single peaks far above the rest can throw training off: they are what clipping (--clip) is for.",
    };
    // What is cut is said.
    let every = if clip.is_none() { of_all.every.max(of_group.every) } else { of_group.every };
    let sampled = if every > 1 { format!(" Medians are of one step in {}.", grouped(every)) } else { String::new() };
    let (description, x_name, x_counts) =
        (format!("{description}{sampled}"), scale.x_name().into(), per_epoch.is_none());
    Ok(Chart { title, description, x_name, x_labels: None, x_counts, x_from_0: true, panels: vec![panel] }.draw())
}

#[cfg(test)]
mod tests {
    use crate::train::Metrics;

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
        let svg = gradient_norm("run: gradient norm", &history.as_slice(), None, Some(1.0)).unwrap().file();
        assert!(svg.contains("<title>run: gradient norm, 50.0% of 4 steps clipped</title>"), "{svg}");
        assert!(svg.contains(">clipped to 1<"));
        let svg = gradient_norm("run: gradient norm", &history.as_slice(), None, None).unwrap().file();
        assert!(svg.contains("<title>run: gradient norm, median 2.000</title>") && !svg.contains("thin\" d"), "{svg}");
    }

    #[test]
    fn nothing_that_a_norm_can_be_breaks_the_picture() {
        for norms in [&[][..], &[0.0], &[0.0, 0.0], &[f64::NAN, 1.0], &[f64::INFINITY, 0.0, 1e-300, 1e300]] {
            let svg = gradient_norm("run", &history(norms).as_slice(), Some(1), Some(1.0)).unwrap().file();
            let drawn = svg.lines().filter(|line| !line.starts_with("<text") && !line.starts_with("<title"));
            drawn.for_each(|line| assert!(!line.contains("NaN") && !line.contains("inf"), "{line}"));
        }
    }
}
