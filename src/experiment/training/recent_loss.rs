//! The training loss that a run reports at its end.

use crate::Result;
use crate::plot::Steps;

/// The mean training loss of the last steps; that of a single batch is noisy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecentLoss {
    /// The mean.
    pub mean: f64,
    /// The number of steps.
    pub steps: u64,
}

impl RecentLoss {
    /// Over the steps since the second last validation, `every` steps apart.
    pub(super) fn of(history: &dyn Steps, every: u64) -> Result<Self> {
        let (steps, before) = (history.count().min(every), history.count().saturating_sub(every));
        let (mut seen, mut sum) = (0, 0.0);
        history.each(&mut |metrics| {
            sum += if seen < before { 0.0 } else { metrics.loss };
            seen += 1;
        })?;
        Ok(Self { mean: sum / steps as f64, steps })
    }
}
