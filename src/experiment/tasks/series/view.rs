//! How a network sees a series: the settings of its windows, scalings and inputs.

use super::columns::static_name;
use crate::data::{CalendarInput, Frame, RelativeTo, SeriesCodec};
use crate::experiment::config::agree::{as_the_model, unsupported, words};
use crate::experiment::config::{LossConfig, ScaleName, ScaleOverName, SeriesConfig, WeighName};
use crate::{Error, Result};

/// The settings of a network's windows, scalings and inputs.
pub(super) struct View {
    pub(super) frame: Frame,
    pub(super) scale: ScaleName,
    /// Whether the series of a panel have one scaling.
    pub(super) scale_over: ScaleOverName,
    /// Inputs from the times of the rows.
    pub(super) calendar: Vec<CalendarInput>,
    /// What the targets of a window are seen from.
    pub(super) relative: RelativeTo,
    /// The number of rows in a step.
    pub(super) segment: usize,
    /// The static columns whose numbers are classes.
    pub(super) classes: Vec<String>,
    /// Whether the series itself is an input.
    pub(super) ids: bool,
}

impl View {
    /// Those of `data` or of the model, and the defaults, which `data` get.
    ///
    /// # Errors
    /// [`Error::Unsupported`] and [`Error::Value`] for settings that contradict each other or the model.
    pub(super) fn read(
        data: &mut SeriesConfig,
        model: Option<(ScaleName, &SeriesCodec)>,
        bundled: bool,
        panel: bool,
    ) -> Result<Self> {
        let of_model = model.map(|(_, codec)| codec);
        let of_frame = |size: fn(&Frame) -> usize| of_model.map(|codec| size(&codec.frame));
        let frame = Frame {
            window: as_the_model("window", &mut data.window, of_frame(|frame| frame.window), 22)?,
            horizon: as_the_model("horizon", &mut data.horizon, of_frame(|frame| frame.horizon), 1)?,
        };
        let of_scale = model.map(|(scale, _)| scale);
        let counts = model.is_none() && data.loss == Some(LossConfig::NegativeBinomial);
        let natural = if counts { ScaleName::MeanAbsolute } else { ScaleName::Standard };
        let scale = as_the_model("scale", &mut data.scale, of_scale, natural)?;
        for (key, is_set) in [("scale-over", data.scale_over.is_some()), ("weigh", data.weigh.is_some())] {
            if is_set && !panel {
                return Err(unsupported(format!("series.{key} is for the series of a panel (--panel or --id)")));
            }
        }
        if panel {
            data.scale_over.get_or_insert(ScaleOverName::Series);
            data.weigh.get_or_insert(WeighName::Windows);
        }
        let scale_over = data.scale_over.unwrap_or(ScaleOverName::Series);
        let of_view = of_model.map(|codec| codec.relative);
        // Measured on several series: docs/accuracy.md.
        let natural = if counts {
            RelativeTo::None
        } else if bundled && scale != ScaleName::None {
            RelativeTo::Standard
        } else {
            RelativeTo::Mean
        };
        let relative = as_the_model("relative", &mut data.relative, of_view, natural)?;
        if relative == RelativeTo::Standard && scale == ScaleName::None {
            return Err(unsupported(
                "--relative standard needs a unit that a window's deviation is not far below, and --scale none has none: \
                 take --scale standard or min-max",
            ));
        }
        if counts {
            check_units_of_counts(scale, relative)?;
        }
        let of_calendar = of_model.map(|codec| codec.calendar.clone());
        let calendar = as_the_model("calendar", &mut data.calendar, of_calendar, Vec::new())?;
        let segment = as_the_model("segment", &mut data.segment, of_model.map(|codec| codec.segment), 1)?;
        if segment == 0 || !frame.window.is_multiple_of(segment) {
            let expected = format!("a number of rows that divides the window of {}", frame.window);
            return Err(Error::Value { what: "--segment".into(), expected, got: segment.to_string() });
        }
        let classes = data.statics.iter().flatten().map(|given| static_name(given));
        let classes = classes.filter(|(_, classes)| *classes).map(|(name, _)| name.to_owned()).collect();
        if data.ids == Some(true) && !panel {
            return Err(unsupported("series.ids is for the series of a panel (--panel or --id)"));
        }
        let ids = panel && as_the_model("ids", &mut data.ids, of_model.map(|codec| codec.ids), false)?;
        Ok(Self { frame, scale, scale_over, calendar, relative, segment, classes, ids })
    }
}

/// Refuses units of counts with an offset, which have no negative binomial distribution.
fn check_units_of_counts(scale: ScaleName, relative: RelativeTo) -> Result<()> {
    if matches!(scale, ScaleName::Standard | ScaleName::MinMax) {
        return Err(unsupported(format!(
            "--scale {} shifts the targets, and those of --loss negative-binomial are counts, which are at least 0 and \
             only divided: take --scale mean-absolute or none",
            words(&scale)
        )));
    }
    if !relative.is_none() {
        return Err(unsupported(format!(
            "--relative {} shifts the targets of each window, and those of --loss negative-binomial are counts, which are \
             at least 0: take --relative none",
            words(&relative)
        )));
    }
    Ok(())
}
