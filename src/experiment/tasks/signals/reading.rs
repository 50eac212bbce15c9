//! Reads a signal with a trained network.

use std::ops::Range;

use ndarray::{Array2, s};

use crate::data::{Examples, Signal, SignalLanes, SignalWindows};
use crate::experiment::device::network::Network;
use crate::{Result, Sequence};

/// Windows that a lane of an evaluation reads before its first prediction.
pub(crate) const WARM_UP: usize = 4;

/// The lanes of truncated BPTT and of its validation. Half a window of warm-up takes the trace of its zero state from a lane's first steps, and
/// costs at most half a step of an epoch.
///
/// # Errors
/// Those of [`SignalLanes::new`].
pub(super) fn training_lanes(
    signal: &Signal,
    part: Range<usize>,
    window: usize,
    rows: usize,
) -> Result<SignalLanes<&Signal>> {
    SignalLanes::new(signal, part, window, rows, window / 2)
}

/// The lanes of an evaluation: of at most `rows`, so many that each is long compared with its warm-up. With one, which
/// begins with the signal, it is one pass with the state carried on.
///
/// # Errors
/// Those of [`SignalLanes::new`].
pub(super) fn lanes(signal: &Signal, part: Range<usize>, window: usize, rows: usize) -> Result<SignalLanes<&Signal>> {
    let warm_up = window.saturating_mul(WARM_UP);
    let rows = (part.len() / warm_up.saturating_mul(4)).clamp(1, rows);
    SignalLanes::new(signal, part, window, rows, warm_up)
}

/// ŷ of the steps of `part`, \[steps, O\], in the network's units, with the state carried along each lane.
///
/// # Errors
/// Those of the device.
pub(super) async fn carried(
    network: &mut Network,
    lanes: &SignalLanes<&Signal>,
    part: Range<usize>,
    outputs: usize,
) -> Result<Array2<f32>> {
    let mut predicted = Array2::zeros((part.len(), outputs));
    let mut session = network.session(lanes.rows())?;
    for number in 0..lanes.per_epoch() {
        // The losses of numbers have no output function.
        let y = session.step(&Sequence::dense(lanes.inputs(number)?)).await?;
        for ((t, row), _) in y.index_axis(ndarray::Axis(2), 0).indexed_iter() {
            if let Some(step) = lanes.predicted(number, row, t) {
                predicted.row_mut(step - part.start).assign(&y.slice(s![t, row, ..]));
            }
        }
    }
    Ok(predicted)
}

/// ŷ of the steps of `windows`, \[steps, O\], in the network's units, `rows` at a time.
///
/// # Errors
/// Those of the device.
pub(super) async fn by_windows(
    network: &mut Network,
    windows: &SignalWindows<&Signal>,
    rows: usize,
    outputs: usize,
) -> Result<Array2<f32>> {
    let mut predicted = Array2::zeros((windows.len(), outputs));
    let mut take = |example: usize, y: ndarray::ArrayView2<'_, f32>| {
        predicted.row_mut(example).assign(&y.row(0));
        Ok(())
    };
    network.predict_each(windows, rows, &mut take).await?;
    Ok(predicted)
}
