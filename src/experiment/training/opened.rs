//! What every rank of a run begins with, and the only rank of one without ranks.

use super::loaded::Experiment;
use crate::data::Batches;
use crate::experiment::device::network::Network;
use crate::experiment::device::open::OpenDevice;
use crate::experiment::files::arithmetic::Arithmetic;
use crate::experiment::memory::{MemoryPlan, plan_memory};
use crate::experiment::ranks::RunRanks;
use crate::experiment::setup::{new_network, training_planner};
use crate::{Result, StateDict};

/// A run with its network, before its first step. `T`: what a rank makes by itself.
pub(super) struct OpenRun<'a, T> {
    pub(super) experiment: &'a Experiment,
    pub(super) device: OpenDevice,
    pub(super) memory: MemoryPlan,
    /// The rows of a measured batch: those of each rank at once, where each has fewest.
    pub(super) rows: usize,
    /// What the bits of its steps depend on, on all ranks.
    pub(super) arithmetic: Arithmetic,
    pub(super) network: Network,
    pub(super) training: Box<dyn Batches + 'a>,
    pub(super) validation: Option<Box<dyn Batches + 'a>>,
    /// The ranks in words.
    pub(super) shared: Vec<String>,
    pub(super) own: T,
}

impl<'a, T> OpenRun<'a, T> {
    /// Opens a run that has come to `step`, by the same calls on all ranks. Once they agree on what they train, each makes its
    /// `own`, from the experiment and the batches of an epoch.
    ///
    /// # Errors
    /// Those of the device, its memory, the data and `own`, of any rank, and of ranks that differ.
    pub(super) async fn open(
        experiment: &'a mut Experiment,
        step: Option<u64>,
        ranks: Option<&RunRanks>,
        own: impl FnOnce(&Experiment, u64) -> Result<T>,
    ) -> Result<Self> {
        let opened = RunRanks::all(ranks, OpenNetwork::open(experiment, ranks).await)?;
        let OpenNetwork { device, memory, rows, arithmetic, mut network } = opened;
        let experiment: &'a Experiment = experiment;
        ranks.map_or(Ok(()), |ranks| ranks.check_same(experiment.identity(step)?))?;
        let training = experiment.batches()?;
        let validation = experiment.validation(rows)?;
        let own = RunRanks::all(ranks, own(experiment, training.per_epoch()))?;
        network.set_profile(experiment.settings.profile)?;
        let shared = ranks.map(|ranks| ranks.describe(&device.describe())).transpose()?.unwrap_or_default();
        Ok(Self { experiment, device, memory, rows, arithmetic, network, training, validation, shared, own })
    }
}

/// A device with the network of a run.
struct OpenNetwork {
    device: OpenDevice,
    memory: MemoryPlan,
    rows: usize,
    arithmetic: Arithmetic,
    network: Network,
}

impl OpenNetwork {
    async fn open(experiment: &mut Experiment, ranks: Option<&RunRanks>) -> Result<Self> {
        experiment.settings.place = ranks.map(RunRanks::place).or(experiment.settings.place);
        // What one rank cannot do is known to all before they exchange anything else.
        let (device, memory, mut network) = RunRanks::all(ranks, Self::alone(experiment, ranks).await)?;
        let (mut rows, mut arithmetic) = (memory.rows, device.arithmetic());
        if let Some(ranks) = ranks {
            let least = ranks.numbers(rows as u64)?.into_iter().min();
            rows = ranks.size() * least.map_or(rows, |least| least as usize);
            let all = ranks.arithmetics(&arithmetic)?;
            let mixed = all.iter().any(|other| *other != all[0]);
            arithmetic = Arithmetic::of_ranks(&all);
            network = network.with_communicator(ranks.communicator().clone(), mixed)?;
        }
        let per_epoch = experiment.batches()?.per_epoch();
        let settings = &mut experiment.settings;
        settings.set_epoch(settings.run.steps_per_epoch(per_epoch));
        Ok(Self { device, memory, rows, arithmetic, network })
    }

    /// What each rank does by itself.
    async fn alone(experiment: &mut Experiment, ranks: Option<&RunRanks>) -> Result<(OpenDevice, MemoryPlan, Network)> {
        let Experiment { settings, task, model, start } = experiment;
        let device = OpenDevice::open(&settings.device_options()).await?;
        settings.set_device(&device.name);
        let planner = training_planner(&device, settings, model)?;
        let size = ranks.map_or(1, RunRanks::size);
        let memory = plan_memory(settings, &planner, task.as_ref(), size, false)?;
        memory.check_free()?;
        let network = new_network(&device, settings, model, task.as_ref(), start.as_ref())?;
        // The network has them.
        start.iter_mut().for_each(|start| start.weights = StateDict::default());
        Ok((device, memory, network))
    }
}
