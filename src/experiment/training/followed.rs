//! The part of a run that belongs to a rank other than 0.

use super::loaded::Experiment;
use super::opened::OpenRun;
use super::run::measured;
use crate::data::Batches;
use crate::experiment::device::network::Network;
use crate::experiment::device::open::OpenDevice;
use crate::experiment::ranks::RunRanks;
use crate::experiment::resume::ResumableRun;
use crate::train::{Observer, StopReason};
use crate::{Error, Result};

/// A run that rank 0 leads: this rank computes its share of every batch, and writes and prints nothing. It makes the calls
/// that [`TrainingRun`](super::TrainingRun) makes, in their order.
pub struct FollowedRun<'a> {
    experiment: &'a Experiment,
    device: OpenDevice,
    rows: usize,
    resumed: Option<ResumableRun>,
    training: Box<dyn Batches + 'a>,
    validation: Option<Box<dyn Batches + 'a>>,
    ranks: RunRanks,
}

impl<'a> FollowedRun<'a> {
    /// Opens the device and creates the network, as [`TrainingRun::open`](super::TrainingRun::open) does.
    ///
    /// # Errors
    /// Those of that.
    pub async fn open(
        experiment: &'a mut Experiment,
        resumed: Option<ResumableRun>,
        ranks: &RunRanks,
    ) -> Result<(Self, Network)> {
        let step = resumed.as_ref().and_then(|run| run.saved.as_ref()).map(|(saved, _)| saved.step);
        // Rank 0 makes the folder.
        let open = OpenRun::open(experiment, step, Some(ranks), |_, _| Ok(())).await?;
        let OpenRun { experiment, device, rows, network, training, validation, .. } = open;
        Ok((Self { experiment, device, rows, resumed, training, validation, ranks: ranks.clone() }, network))
    }

    /// Trains and measures with the others. `observer` may stop the run of all, and ask for checkpoints. Returns why the
    /// training ended; `json` as on rank 0.
    ///
    /// # Errors
    /// Those of the steps.
    pub async fn follow(&self, mut network: Network, observer: &mut dyn Observer, json: bool) -> Result<StopReason> {
        let Self { experiment, device, rows, resumed, training, validation, ranks } = self;
        let checkpoint =
            resumed.as_ref().and_then(|run| run.saved.as_ref()).map(|(saved, _)| saved.read()).transpose()?;
        let (options, validation) = (&experiment.settings.run, validation.as_deref());
        let outcome = network.run(checkpoint, training.as_ref(), validation, options, observer).await;
        // Rank 0 keeps the weights after an error too, and what is fitted to them is fitted by all. It reports failures.
        let _ = experiment.task.calibrated(&mut network, *rows).await;
        if let Err(error @ Error::NonFinite { .. }) = outcome {
            return ranks.together(Err(error));
        }
        let outcome = outcome.map_err(Error::failed)?;
        let stop_reason = outcome.stop_reason;
        ranks.sent(outcome.bytes_sent_per_step)?;
        if stop_reason != StopReason::Stopped && ranks.decided(false)? {
            // What cannot be measured is missing, and rank 0 says so.
            let _ = measured(experiment, device, network, (*rows, json), Some(ranks)).await;
        }
        Ok(stop_reason)
    }
}
