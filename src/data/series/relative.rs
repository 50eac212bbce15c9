//! What the targets of a window are seen from.

use serde::{Deserialize, Serialize};

use crate::data::common::scaling::is_constant;
use crate::data::{Scaling, ScalingKind};

/// The least deviation that [`RelativeTo::Standard`] divides by, in units of the column: √1e-5, as in reversible
/// instance normalisation (Kim et al. 2022). A window in which nothing moves would otherwise magnify what comes after.
const LEAST_DEVIATION: f64 = 0.003_162_277_660_168_379_5;

/// What the targets of a window are seen from: its inputs and its forecast alike. The rows that the window shows decide
/// alone, each target by its own, so a level that training never saw looks like any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelativeTo {
    /// Nothing in the window: every window has the scaling of the column.
    #[default]
    None,
    /// The last value, which becomes 0, in units of the column.
    Last,
    /// The mean, which becomes 0, in units of the column.
    Mean,
    /// The mean, which becomes 0, in units of √(σ² + 1e-5 u²): σ is the standard deviation of the window, u the unit of
    /// the column.
    Standard,
}

impl RelativeTo {
    /// Whether windows have the scaling of their column.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// The scaling of a window with the values `shown` of a column with the scaling `column`. NaN is missing; a window
    /// without any value has the scaling of the column.
    pub(super) fn scaling(self, column: Scaling, shown: &[f64]) -> Scaling {
        let Some(last) = shown.iter().rfind(|value| !value.is_nan()) else { return column };
        let standard = || Scaling::fit(ScalingKind::Standard, shown);
        match self {
            Self::None => column,
            Self::Last => Scaling { offset: *last, ..column },
            Self::Mean => Scaling { unit: column.unit, ..standard() },
            Self::Standard => {
                let Scaling { offset, unit } = standard();
                // One that is only rounding is none.
                let deviation = if is_constant(shown) { 0.0 } else { unit };
                Scaling { offset, unit: deviation.hypot(LEAST_DEVIATION * column.unit) }
            }
        }
    }

    /// The smallest unit of a window of a column with this scaling.
    pub(super) fn least_unit(self, column: Scaling) -> f64 {
        match self {
            Self::None | Self::Last | Self::Mean => column.unit,
            Self::Standard => LEAST_DEVIATION * column.unit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMN: Scaling = Scaling { offset: 10.0, unit: 4.0 };
    const N: f64 = f64::NAN;

    #[test]
    fn a_window_is_seen_from_the_values_that_it_shows() {
        let of = |relative: RelativeTo, shown: &[f64]| relative.scaling(COLUMN, shown);
        assert_eq!(of(RelativeTo::None, &[1.0, 3.0]), COLUMN);
        assert_eq!(of(RelativeTo::Last, &[1.0, 3.0, N]), Scaling { offset: 3.0, unit: 4.0 });
        assert_eq!(of(RelativeTo::Mean, &[1.0, N, 3.0, 5.0]), Scaling { offset: 3.0, unit: 4.0 });
        let standard = of(RelativeTo::Standard, &[1.0, 3.0, 1.0, 3.0]);
        assert!(standard.offset == 2.0 && (standard.unit.powi(2) - (1.0 + 1e-5 * 16.0)).abs() < 1e-14, "{standard:?}");
    }

    #[test]
    fn a_window_without_values_or_without_movement_has_a_scaling_all_the_same() {
        for relative in [RelativeTo::Last, RelativeTo::Mean, RelativeTo::Standard] {
            assert_eq!(relative.scaling(COLUMN, &[N, N]), COLUMN);
            let still = relative.scaling(COLUMN, &[0.1 + 0.2, 0.3, 0.3]);
            assert!((still.offset - 0.3).abs() < 1e-15 && still.unit >= relative.least_unit(COLUMN), "{still:?}");
        }
        assert_eq!(RelativeTo::Standard.scaling(COLUMN, &[7.0; 5]).unit, RelativeTo::Standard.least_unit(COLUMN));
    }
}
