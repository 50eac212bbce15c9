//! The kernels that the project's own plan chooses on a hardware GPU. Its engine trains on a device that runs nothing,
//! and says what it has compiled.

use std::collections::BTreeMap;
use std::error::Error;

use bptt::experiment::bench::workload::{Workload, WorkloadSize};
use bptt::experiment::config::CellName;
use bptt::gpu::kernels::{CompiledKernel, StepDemand, compiled_kernels, shader_entries, step_demand};
use bptt::gpu::{Tiles, required_limits};
use bptt::ndarray::{Array2, Array3};
use bptt::{
    Activation, Batch, Cell, Embedding, EngineOptions, Gpu, GpuPredictions, Head, Input, Inspection, Loss, Model,
    Optimizer, ParameterGroup, Precision, Readout, Recurrent, RecurrentKernel, Sequence, Targets, Trainer,
    TrainerOptions, Wait,
};

const CELLS: [Cell; 3] = [Cell::Rnn(Activation::Tanh), Cell::Lstm, Cell::Gru];

/// The sizes of `bptt bench`; `odd`, which divide into no workgroup, tile or part evenly; `options`, networks and settings
/// that together use every kernel in full precision; and `halves`, those, the odd sizes, M and L in half precision.
pub const SIZES: [&str; 7] = ["S", "M", "L", "C", "odd", "options", "halves"];

/// H and B of the odd sizes: small ones, those around the bounds between kernels, and many rows.
const ODD: [[usize; 2]; 16] = [
    [1, 1],
    [3, 3],
    [17, 5],
    [33, 64],
    [64, 65],
    [65, 1],
    [76, 3],
    [77, 5],
    [88, 64],
    [89, 65],
    [130, 1],
    [156, 3],
    [157, 5],
    [513, 64],
    [20, 4099],
    [515, 1025],
];

/// Whether a size is one of `bptt bench`.
pub fn is_of_bench(size: &str) -> bool {
    WorkloadSize::by_name(size).is_some()
}

/// The kernel that the plan chooses for software drivers alone.
const SOFTWARE: &str = "matmul";

/// A kernel, and the sizes at which the plan chooses it.
pub struct PlannedKernel {
    pub compiled: CompiledKernel,
    pub sizes: Vec<&'static str>,
}

/// The kernels of these [`SIZES`], sorted by name.
///
/// # Errors
/// Those of the engine.
pub fn planned(sizes: &[&'static str]) -> Result<Vec<PlannedKernel>, Box<dyn Error>> {
    let mut all: BTreeMap<String, PlannedKernel> = BTreeMap::new();
    for size in sizes {
        // Of its own, so that what it has compiled is what this size needs.
        let gpu = device()?;
        match *size {
            "odd" => odd_sizes().into_iter().try_for_each(|network| network.train(&gpu))?,
            "options" => options().into_iter().try_for_each(|network| network.train(&gpu))?,
            "halves" => {
                let of_bench = of_bench("M")?.into_iter().chain(of_bench("L")?);
                let all = options().into_iter().chain(odd_sizes()).chain(of_bench);
                all.map(Network::in_halves).try_for_each(|network| network.train(&gpu))?
            }
            name => of_bench(name)?.into_iter().try_for_each(|network| network.train(&gpu))?,
        }
        for compiled in compiled_kernels(&gpu) {
            let key = format!("{} {:?} {}", compiled.name, compiled.constants, compiled.entry.source());
            all.entry(key).or_insert_with(|| PlannedKernel { compiled, sizes: Vec::new() }).sizes.push(size);
        }
    }
    Ok(all.into_values().collect())
}

/// What the plan makes of a training step.
pub struct PlannedTraining {
    /// The size and the cell.
    pub name: String,
    pub dispatches: u64,
    pub submissions: u64,
    /// Of a recurrent step, forward and backward.
    pub steps: [StepDemand; 2],
}

/// A training step of each cell at these sizes of `bptt bench`.
///
/// # Errors
/// Those of the engine.
pub fn trainings(sizes: &[&str]) -> Result<Vec<PlannedTraining>, Box<dyn Error>> {
    let mut all = Vec::new();
    for (name, size) in sizes.iter().filter_map(|name| Some((name, WorkloadSize::by_name(name)?))) {
        for cell in [CellName::Rnn, CellName::Lstm, CellName::Gru] {
            let gpu = device()?;
            let work = Workload::new(cell, size.sizes());
            let steps = step_demand(&gpu, &work.model, work.batch.sequence.shape().1);
            let mut trainer = Trainer::new(&gpu, &work.model, Optimizer::sgd(0.01), 0)?;
            // The first step begins with what each later one leaves to the next.
            trainer.step(&work.batch).wait()?;
            trainer.finish().wait()?;
            let (engine, before) = (trainer.engine(), gpu.counters().submits);
            engine.set_profile(true)?;
            trainer.step(&work.batch).wait()?;
            trainer.finish().wait()?;
            let submissions = gpu.counters().submits - before;
            let dispatches = trainer.engine().profile().wait()?.parts.iter().map(|part| part.calls).sum();
            all.push(PlannedTraining { name: format!("{name} {}", cell.name()), dispatches, submissions, steps });
        }
    }
    Ok(all)
}

/// The kernels for GPUs that are not among these, by label.
pub fn left_out(planned: &[&PlannedKernel]) -> Vec<String> {
    let mut labels: Vec<String> = shader_entries(&CELLS).iter().map(|entry| entry.label()).collect();
    let is_software = |label: &str| label.strip_suffix(" f16").unwrap_or(label) == SOFTWARE;
    labels.retain(|label| !is_software(label) && planned.iter().all(|kernel| kernel.compiled.entry.label() != *label));
    labels
}

/// wgpu's device that runs nothing, with the largest buffers and bindings that wgpu has on GPUs.
fn device() -> Result<Gpu, Box<dyn Error>> {
    let bytes = (1 << 31) - 4;
    let adapter =
        wgpu::Limits { max_buffer_size: bytes, max_storage_buffer_binding_size: bytes, ..wgpu::Limits::defaults() };
    let descriptor = wgpu::DeviceDescriptor { required_limits: required_limits(&adapter), ..Default::default() };
    let (device, queue) = wgpu::Device::noop(&descriptor);
    Ok(Gpu::from_device_with_tiles(device, queue, Tiles::Hardware)?)
}

/// A network with its batch and settings.
struct Network {
    model: Model,
    batch: Batch,
    optimizer: Optimizer,
    engine: EngineOptions,
    hidden_gradient_norms: bool,
    /// Whether the loss is one of the caller, which records nothing.
    custom_loss: bool,
}

impl Network {
    fn new(model: Model, batch: Batch) -> Self {
        let (optimizer, engine) = (Optimizer::sgd(0.01), EngineOptions::default());
        Self { model, batch, optimizer, engine, hidden_gradient_norms: false, custom_loss: false }
    }

    /// A network that learns `steps` time steps of `rows` rows. All are zero, since nothing is computed.
    fn of_zeros(recurrent: Recurrent, head: Head, [steps, rows]: [usize; 2]) -> Self {
        let x = Array3::zeros((steps, rows, recurrent.input_size));
        let predictions = head.predictions(steps);
        let targets = if head.loss.takes_classes() {
            Targets::Classes(Array2::zeros((predictions, rows)))
        } else {
            Targets::Values(Array3::zeros((predictions, rows, head.target_size())))
        };
        Self::new(Model::new(recurrent, head), Batch::new(Sequence::dense(x), targets))
    }

    /// Replaces x by tokens.
    fn tokens(mut self, embedding: Option<Embedding>) -> Self {
        let shape = self.batch.sequence.shape();
        self.model.embedding = embedding;
        self.batch.sequence.input = Input::Tokens(Array2::zeros(shape));
        self
    }

    /// Starts every row anew at every step.
    fn resets(mut self) -> Self {
        self.batch.sequence.resets = Some(Array2::from_elem(self.batch.sequence.shape(), true));
        self
    }

    fn hidden_gradient_norms(self) -> Self {
        Self { hidden_gradient_norms: true, ..self }
    }

    fn custom_loss(self) -> Self {
        Self { custom_loss: true, ..self }
    }

    fn optimizer(self, optimizer: Optimizer) -> Self {
        Self { optimizer, ..self }
    }

    fn engine(self, engine: EngineOptions) -> Self {
        Self { engine, ..self }
    }

    fn in_halves(self) -> Self {
        Self { engine: self.engine.precision(Precision::F16), ..self }
    }

    /// Makes one training step.
    fn train(self, gpu: &Gpu) -> Result<(), Box<dyn Error>> {
        let has_average = self.engine.ema_decay.is_some();
        let options = TrainerOptions::default().engine(self.engine);
        let mut trainer = Trainer::with_options(gpu, &self.model, self.optimizer, 0, options)?;
        trainer.set_hidden_gradient_norms(self.hidden_gradient_norms);
        if self.custom_loss {
            trainer.step_with(&self.batch.sequence, 1.0, &|_: GpuPredictions<'_>| {}).wait()?;
        } else {
            trainer.step(&self.batch).wait()?;
        }
        if has_average {
            trainer.averaged()?;
        }
        trainer.finish().wait()?;
        Ok(())
    }
}

/// The networks of a size of `bptt bench`.
fn of_bench(name: &str) -> Result<Vec<Network>, Box<dyn Error>> {
    let size = WorkloadSize::by_name(name).ok_or_else(|| format!("{name} is no size"))?;
    let of = |cell| {
        let work = Workload::new(cell, size.sizes());
        Network::new(work.model, work.batch)
    };
    Ok([CellName::Rnn, CellName::Lstm, CellName::Gru].map(of).into())
}

/// Networks of one layer with a head, at sizes that divide evenly into nothing.
fn odd_sizes() -> Vec<Network> {
    let of = |cell, [hidden, rows]: [usize; 2]| {
        let head = Head::new(3, Loss::SquaredError, Readout::PerStep);
        Network::of_zeros(Recurrent::new(cell, 5, hidden), head, [3, rows])
    };
    CELLS.into_iter().flat_map(|cell| ODD.map(|sizes| of(cell, sizes))).collect()
}

/// Networks and settings that together use every kernel.
fn options() -> Vec<Network> {
    let of = |recurrent: &Recurrent, readout| {
        Network::of_zeros(recurrent.clone(), Head::new(6, Loss::CrossEntropy, readout), [7, 5])
    };
    let plain = |recurrent: &Recurrent| of(recurrent, Readout::PerStep);
    let kernel = |kernel| EngineOptions::default().kernel(kernel);
    let mut networks = Vec::new();
    for cell in CELLS {
        for hidden in [20, 200] {
            let recurrent = Recurrent::new(cell, 9, hidden);
            let dropped = recurrent.clone().layers(2).dropout(0.5).recurrent_dropout(0.5);
            networks.extend([
                of(&dropped, Readout::Final).tokens(None).hidden_gradient_norms(),
                of(&dropped.bidirectional(true), Readout::MeanPool),
                plain(&recurrent).tokens(Some(Embedding::new(11))).hidden_gradient_norms(),
                plain(&recurrent).resets(),
                plain(&recurrent).engine(kernel(RecurrentKernel::Sequence)),
                plain(&recurrent).engine(kernel(RecurrentKernel::Step)),
            ]);
        }
    }
    let activations = [Activation::Relu, Activation::Sigmoid, Activation::Identity];
    networks.extend(activations.map(|activation| plain(&Recurrent::new(Cell::Rnn(activation), 9, 20))));
    let projected = Recurrent::new(Cell::Lstm, 9, 200).proj_size(70).recurrent_dropout(0.5);
    networks.extend([plain(&projected), plain(&projected).hidden_gradient_norms()]);
    let small = Recurrent::new(Cell::Gru, 9, 20);
    let losses = [
        Loss::SquaredError,
        Loss::AbsoluteError,
        Loss::Huber { delta: 1.0 },
        Loss::Quantile { quantiles: vec![0.1, 0.5, 0.9] },
        Loss::BinaryCrossEntropy,
        Loss::SmoothedCrossEntropy { smoothing: 0.1 },
    ];
    let losses = losses.map(|loss| Head::new(6, loss, Readout::PerStep));
    networks.extend(losses.map(|head| Network::of_zeros(small.clone(), head, [7, 5])));
    // Parameters without W_hh.
    let apart =
        EngineOptions::default().parameter_groups(vec![ParameterGroup::new("head.*").learning_rate_factor(2.0)]);
    let averaged = EngineOptions::default().ema_decay(0.9).input_gradient(true);
    networks.extend([
        plain(&small).optimizer(Optimizer::sgd(0.01).momentum(0.9)),
        plain(&small).optimizer(Optimizer::rmsprop(0.01)),
        plain(&small).custom_loss(),
        plain(&small).engine(apart),
        plain(&small).optimizer(Optimizer::adam(0.01)).engine(averaged),
    ]);
    networks
}
