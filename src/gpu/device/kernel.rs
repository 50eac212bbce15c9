//! Kernels: sources, bindings and pipelines.

use std::any::TypeId;
use std::borrow::Cow;
use std::sync::OnceLock;

use super::cell_kernel::{self, StepKernel, StepPart};
use super::expansion::{Repetition, expand};
use super::product_kernel;
use crate::model::Cell;
use crate::model::plan::{ProductTile, StepForm, Storage};

/// How a kernel binds a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The uniform at binding 0, with a dynamic offset.
    Uniform,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
    /// A uniform without an offset, which a kernel has written.
    Scale,
}

/// The binding of the loss scale, in kernels for gradients in halves.
const LOSS_SCALE: u32 = 12;

/// The files of an entry point that has variants for halves.
const OF_HALVES: [&str; 2] = ["halves.wgsl", "loss_scale.wgsl"];

/// A shader entry point.
#[derive(Clone, Copy, Debug)]
pub struct ShaderEntry {
    /// The entry point. But for the steps of a cell and products in tiles also the kernel's label, and its name in tests
    /// and benchmarks.
    pub name: &'static str,
    /// The source files as (name, text), joined in order.
    pub sources: &'static [(&'static str, &'static str)],
    /// The name of the uniform struct at binding 0.
    pub uniform: &'static str,
    /// The storage bindings, with their numbers; for the steps of a cell those of all cells.
    pub(super) bindings: &'static [(u32, Access)],
    /// Whether indices come from data, or text from another crate, so that the shader keeps its runtime checks.
    pub data_indices: bool,
    /// The cell whose step it is.
    pub(super) cell: Option<Cell>,
    /// The step, if it is one.
    pub(super) step: Option<StepKernel>,
    /// The tile, if it is a matrix product.
    pub(super) tile: Option<ProductTile>,
    /// How A, B and C of a matrix product are stored; of other kernels, what is `Stored` in them, three times.
    pub(super) storage: [Storage; 3],
}

impl ShaderEntry {
    /// The complete WGSL source.
    pub fn source(&self) -> String {
        let joined = self.sources.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n");
        let joined = expand(&joined, &self.storage_words());
        match (self.cell, self.step, self.tile) {
            (Some(cell), Some(step), _) => step.source(cell.definition(), &joined),
            (_, _, Some(tile)) => product_kernel::source(tile, &joined),
            _ => joined,
        }
    }

    /// Whether there are variants of it for halves.
    fn can_store_halves(&self) -> bool {
        self.sources.iter().any(|(file, _)| OF_HALVES.contains(file))
    }

    /// What stands for a form of storage only.
    fn storage_words(&self) -> [Repetition; 9] {
        let [a, b, c] = self.storage.map(|storage| !storage.is_full());
        let word = |word, on: bool| Repetition { word, index: '#', count: usize::from(on) };
        [
            word("full", !a && !b && !c),
            word("halves", a || b || c),
            word("scaled", self.is_scaled()),
            word("full_a", !a),
            word("halves_a", a),
            word("full_b", !b),
            word("halves_b", b),
            word("full_c", !c),
            word("halves_c", c),
        ]
    }

    /// Whether gradients in it are stored times the loss scale.
    pub(crate) fn is_scaled(&self) -> bool {
        self.storage.contains(&Storage::ScaledHalves)
    }

    /// The variant whose z, h and copies of W_hh are stored like this.
    pub(crate) fn stored(self, storage: Storage) -> Self {
        let of_gradients = self.bindings.iter().any(|(binding, _)| *binding == LOSS_SCALE);
        let storage = if of_gradients { storage.of_gradients() } else { storage };
        Self { storage: [storage; 3], ..self }
    }

    /// The storage bindings that this entry point uses, with their numbers.
    pub fn bindings(&self) -> Vec<(u32, Access)> {
        let has_vectors = self.bindings.iter().any(|(binding, _)| *binding == cell_kernel::VECTORS);
        let uses = |(binding, _): &(u32, Access)| match self.cell {
            _ if *binding == LOSS_SCALE => self.is_scaled(),
            Some(cell) => cell_kernel::uses(cell.definition(), *binding, has_vectors),
            None => true,
        };
        self.bindings.iter().copied().filter(uses).collect()
    }

    /// The kernel's label, and its name in profiles: `lstm_forward` for a step of the LSTM, `matmul_tiled 64` for products
    /// in tiles of 64 × 64, otherwise the entry point; with `f16` behind it if some of its numbers are stored as halves.
    pub fn label(&self) -> String {
        let name = match (self.cell, self.tile) {
            (Some(cell), _) => self.name.replacen("step", cell.name(), 1),
            (_, Some(ProductTile::Block(side))) => format!("{} {side}", self.name),
            _ => self.name.into(),
        };
        if self.storage.iter().all(|storage| storage.is_full()) { name } else { name + " f16" }
    }

    /// Whether it is a recurrent step of a cell.
    pub fn is_recurrent_step(&self) -> bool {
        self.cell.is_some()
    }

    /// The identity of the cell, if it is the step of one.
    pub(super) fn cell_identity(&self) -> Option<TypeId> {
        self.cell.map(|cell| cell.definition().identity())
    }

    /// The step of a cell in a form.
    fn of(self, cell: Cell, form: StepForm) -> Self {
        let step = self.step.map(|step| StepKernel { form, ..step });
        Self { cell: Some(cell), step, data_indices: self.data_indices || matches!(cell, Cell::Custom(_)), ..self }
    }
}

/// A cell's forward step.
pub(crate) fn forward_step(cell: Cell, projected: bool, form: StepForm) -> ShaderEntry {
    if projected { PROJECTED_FORWARD.of(cell, form) } else { STEP_FORWARD.of(cell, form) }
}

/// A cell's backward step; with `gradient_norms` the one that stores dh_t in place of dy_t.
pub(crate) fn backward_step(cell: Cell, gradient_norms: bool, form: StepForm) -> ShaderEntry {
    if gradient_norms { STEP_BACKWARD_NORMS.of(cell, form) } else { STEP_BACKWARD.of(cell, form) }
}

/// The product of a backward step of a cell whose h is projected: dh_t.
pub(crate) fn dh_step(cell: Cell, form: StepForm) -> ShaderEntry {
    STEP_DH.of(cell, form)
}

/// The backward step of a cell whose h is projected, from the gradient of m.
pub(crate) fn projected_backward_step(cell: Cell, form: StepForm) -> ShaderEntry {
    PROJECTED_BACKWARD.of(cell, form)
}

/// A matrix product in these tiles, of A and B to C that are stored like this.
fn product(tile: ProductTile, storage: [Storage; 3]) -> ShaderEntry {
    let entry = if tile == ProductTile::Registers { MATMUL } else { MATMUL_TILED };
    ShaderEntry { tile: Some(tile), storage, ..entry }
}

/// How A, B and C of matrix products can be stored: x and h times weights to z, h to logits, dz and h to the gradients of
/// weights, dz to those of x, and m to h.
const PRODUCT_STORAGE: [[Storage; 3]; 7] = {
    use Storage::{Full, Halves, ScaledHalves};
    [
        [Full, Full, Full],
        [Full, Full, Halves],
        [Halves, Full, Halves],
        [Halves, Full, Full],
        [Full, Halves, Full],
        [ScaledHalves, Full, Full],
        [ScaledHalves, Halves, Full],
    ]
};

/// All kernels of the crate, with the steps of these cells in all forms, the matrix products in all tiles, and each for all ways
/// of storage.
pub fn shader_entries(cells: &[Cell]) -> Vec<ShaderEntry> {
    let steps = |cell: &Cell| {
        let projected = PROJECTED_STEPS.iter().filter(|_| cell.can_be_projected());
        let forms = |step: &ShaderEntry| {
            let has_product = step.step.is_some_and(|step| step.results(cell.definition()) > 0);
            let forms = StepForm::all().into_iter().filter(|form| has_product || !form.is_shared());
            forms.map(|form| step.of(*cell, form)).collect::<Vec<_>>()
        };
        STEPS.iter().chain(projected).flat_map(forms).collect::<Vec<_>>()
    };
    let of_cells = cells.iter().flat_map(steps).chain(ENTRIES.iter().copied());
    let stored = |entry: ShaderEntry| {
        let halves = entry.can_store_halves().then(|| entry.stored(Storage::Halves));
        // What makes halves has no other use.
        std::iter::once(entry).filter(|entry| entry.name != NARROW.name).chain(halves)
    };
    let products = |tile: ProductTile| PRODUCT_STORAGE.map(|storage| product(tile, storage));
    of_cells.flat_map(stored).chain(ProductTile::ALL.into_iter().flat_map(products)).collect()
}

macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../shaders/", $name)))
    };
}

use Access::{Read, ReadWrite, Scale};

macro_rules! entries {
    ($list:tt: $($constant:ident = $name:literal [$($file:literal),*] $uniform:literal { $($number:literal $access:ident),* } $data:literal $(($part:ident $projected:literal))?;)*) => {
        $(pub(crate) const $constant: ShaderEntry = ShaderEntry {
            name: $name,
            sources: &[$(file!($file)),*],
            uniform: $uniform,
            bindings: &[$(($number, $access)),*],
            data_indices: $data,
            cell: None,
            step: entries!(@step $($part $projected)?),
            tile: None,
            storage: [Storage::Full; 3],
        };)*

        const $list: &[ShaderEntry] = &[$($constant),*];
    };
    (@step) => { None };
    (@step $part:ident $projected:literal) => {
        Some(StepKernel { part: StepPart::$part, projected: $projected, form: StepForm::DEFAULT })
    };
}

entries! { STEPS:
    STEP_FORWARD = "step_forward" ["activation.wgsl", "fma.wgsl", "masks.wgsl", "dy.wgsl", "cell.wgsl", "halves.wgsl", "loss_scale.wgsl", "stored.wgsl", "step.wgsl", "step_product.wgsl", "step_tiled.wgsl", "step_forward.wgsl"] "Step"
        { 1 Read, 2 Read, 3 Read, 4 ReadWrite, 5 ReadWrite, 6 ReadWrite, 10 ReadWrite, 11 Read } false (Forward false);
    STEP_BACKWARD = "step_backward" ["activation.wgsl", "fma.wgsl", "masks.wgsl", "dy.wgsl", "cell.wgsl", "halves.wgsl", "loss_scale.wgsl", "stored.wgsl", "step.wgsl", "step_product.wgsl", "step_tiled.wgsl", "product_dh.wgsl", "step_backward.wgsl"] "Step"
        { 1 Read, 2 Read, 4 ReadWrite, 5 ReadWrite, 6 ReadWrite, 7 Read, 8 ReadWrite, 11 Read, 12 Scale } false (Backward false);
    STEP_BACKWARD_NORMS = "step_backward" ["activation.wgsl", "fma.wgsl", "masks.wgsl", "dh_over_dy.wgsl", "cell.wgsl", "halves.wgsl", "loss_scale.wgsl", "stored.wgsl", "step.wgsl", "step_product.wgsl", "step_tiled.wgsl", "product_dh.wgsl", "step_backward.wgsl"] "Step"
        { 1 Read, 2 Read, 4 ReadWrite, 5 ReadWrite, 6 ReadWrite, 7 ReadWrite, 8 ReadWrite, 11 Read, 12 Scale } false (Backward false);
}

entries! { PROJECTED_STEPS:
    PROJECTED_FORWARD = "step_forward" ["activation.wgsl", "fma.wgsl", "masks.wgsl", "dy.wgsl", "cell.wgsl", "halves.wgsl", "loss_scale.wgsl", "stored.wgsl", "step.wgsl", "step_product.wgsl", "step_tiled.wgsl", "step_forward.wgsl"] "Step"
        { 1 Read, 2 Read, 3 Read, 4 ReadWrite, 5 ReadWrite, 6 ReadWrite, 9 ReadWrite, 10 ReadWrite } false (Forward true);
    STEP_DH = "step_dh" ["activation.wgsl", "fma.wgsl", "masks.wgsl", "dh_over_dy.wgsl", "cell.wgsl", "halves.wgsl", "loss_scale.wgsl", "stored.wgsl", "step.wgsl", "step_product.wgsl", "step_tiled.wgsl", "product_dh.wgsl", "step_dh.wgsl"] "Step"
        { 1 Read, 2 Read, 4 ReadWrite, 7 ReadWrite, 8 ReadWrite, 11 Read, 12 Scale } false (Dh true);
    PROJECTED_BACKWARD = "step_backward" ["activation.wgsl", "fma.wgsl", "masks.wgsl", "dy.wgsl", "cell.wgsl", "halves.wgsl", "loss_scale.wgsl", "stored.wgsl", "step.wgsl", "step_product.wgsl", "step_tiled.wgsl", "product_dh.wgsl", "step_backward.wgsl"] "Step"
        { 1 Read, 4 ReadWrite, 6 ReadWrite, 8 ReadWrite, 12 Scale } false (Backward true);
}

// The list of these is `ProductTile::ALL`.
entries! { _:
    MATMUL = "matmul" ["fma.wgsl", "halves.wgsl", "loss_scale.wgsl", "product.wgsl", "matmul.wgsl"] "Matmul"
        { 1 Read, 2 Read, 3 Read, 4 ReadWrite, 12 Scale } false;
    MATMUL_TILED = "matmul_tiled" ["fma.wgsl", "halves.wgsl", "loss_scale.wgsl", "product.wgsl", "matmul_tiled.wgsl"] "Matmul"
        { 1 Read, 2 Read, 3 Read, 4 ReadWrite, 12 Scale } false;
}

entries! { ENTRIES:
    GRADIENT_NORMS = "gradient_norms" ["gradient_norms.wgsl"] "GradientNorms" { 1 Read, 2 ReadWrite } false;
    TRANSPOSE = "transpose_weights" ["grid.wgsl", "halves.wgsl", "stored.wgsl", "transposed.wgsl", "transpose.wgsl"] "Transpose"
        { 1 Read, 2 ReadWrite } false;
    NARROW = "narrow" ["grid.wgsl", "halves.wgsl", "stored.wgsl", "narrow.wgsl"] "Narrow" { 1 Read, 2 ReadWrite } false;
    REDUCE = "reduce" ["grid.wgsl", "reduce.wgsl"] "Reduce" { 1 Read, 2 ReadWrite } false;
    COLUMN_SUM = "column_sum" ["halves.wgsl", "loss_scale.wgsl", "stored.wgsl", "column_sum.wgsl"] "ColumnSum"
        { 1 Read, 2 ReadWrite, 12 Scale } false;
    COPY = "copy" ["grid.wgsl", "halves.wgsl", "copy.wgsl"] "Copy" { 1 Read, 2 Read, 3 ReadWrite } false;
    MASK = "mask" ["grid.wgsl", "copy.wgsl"] "Copy" { 1 Read, 3 ReadWrite } false;
    DROP_TO = "drop_to" ["grid.wgsl", "masks.wgsl", "halves.wgsl", "stored.wgsl", "dropout.wgsl"] "Dropout"
        { 1 Read, 2 Read, 3 ReadWrite, 11 Read } false;
    DROP_IN = "drop_in" ["grid.wgsl", "masks.wgsl", "halves.wgsl", "stored.wgsl", "dropout.wgsl"] "Dropout"
        { 1 Read, 4 ReadWrite, 11 Read } false;
    GATHER = "gather" ["grid.wgsl", "halves.wgsl", "stored.wgsl", "tokens.wgsl"] "Tokens"
        { 1 Read, 2 Read, 3 Read, 4 ReadWrite } true;
    SCATTER = "scatter" ["grid.wgsl", "halves.wgsl", "loss_scale.wgsl", "stored.wgsl", "tokens.wgsl"] "Tokens"
        { 5 Read, 6 Read, 7 Read, 8 ReadWrite, 12 Scale } true;
    EMBED = "embed" ["grid.wgsl", "embedding.wgsl"] "Embedding" { 1 Read, 2 Read, 3 Read, 4 ReadWrite } true;
    EMBED_BACKWARD = "embed_backward" ["grid.wgsl", "embedding.wgsl"] "Embedding"
        { 5 Read, 6 Read, 7 Read, 8 ReadWrite } true;
    MEAN = "mean" ["grid.wgsl", "mean.wgsl"] "Mean" { 1 Read, 2 ReadWrite, 3 ReadWrite } false;
    SPREAD = "spread" ["grid.wgsl", "mean.wgsl"] "Mean" { 1 Read, 2 ReadWrite, 3 ReadWrite } false;
    LOSS = "loss" ["grid.wgsl", "likelihood.wgsl", "loss.wgsl"] "Loss" { 1 Read, 2 Read, 3 ReadWrite, 4 ReadWrite } true;
    CUSTOM_LOSS = "custom_loss" ["grid.wgsl", "likelihood.wgsl", "loss.wgsl"] "Loss" { 2 Read, 3 ReadWrite, 4 ReadWrite, 5 Read } false;
    NORM_PARTIAL = "norm_partial" ["status.wgsl", "norm.wgsl"] "Update" { 1 Read, 2 ReadWrite } false;
    NORM = "norm" ["status.wgsl", "loss_scale.wgsl", "norm.wgsl"] "Update"
        { 2 ReadWrite, 3 Read, 4 ReadWrite, 5 Read, 12 ReadWrite } false;
    UPDATE = "update" ["grid.wgsl", "status.wgsl", "update_inputs.wgsl", "update.wgsl"] "Update"
        { 1 Read, 2 Read, 3 ReadWrite, 4 ReadWrite, 5 ReadWrite, 6 ReadWrite } false;
    UPDATE_TRANSPOSED = "update_transposed"
        ["grid.wgsl", "status.wgsl", "halves.wgsl", "stored.wgsl", "update_inputs.wgsl", "update.wgsl", "transposed.wgsl", "update_transposed.wgsl"]
        "Update" { 1 Read, 2 Read, 3 ReadWrite, 4 ReadWrite, 5 ReadWrite, 6 ReadWrite, 7 Read, 8 ReadWrite } false;
    AVERAGE = "average" ["grid.wgsl", "status.wgsl", "average.wgsl"] "Average" { 1 Read, 2 ReadWrite, 3 ReadWrite } false;
    EXCHANGE = "exchange" ["grid.wgsl", "status.wgsl", "average.wgsl"] "Average" { 2 ReadWrite, 3 ReadWrite } false;
}

/// What a kernel was compiled from.
#[derive(Clone, Debug)]
pub struct CompiledKernel {
    /// The name in profiles: the label, with the transposed operands of a matrix product.
    pub name: String,
    /// The entry point, with its source and its bindings.
    pub entry: ShaderEntry,
    /// The values of the `override` constants that the plan sets.
    pub constants: Vec<(String, f64)>,
    /// Whether it keeps the runtime checks of its indices and loops.
    pub checked: bool,
}

/// A kernel, and what was compiled of it.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) compiled: CompiledKernel,
    /// The storage bindings, with their numbers.
    pub(crate) bindings: Vec<(u32, Access)>,
    pub(crate) layout: wgpu::BindGroupLayout,
    pipeline_layout: wgpu::PipelineLayout,
    pipeline: OnceLock<wgpu::ComputePipeline>,
}

/// The values of `override` constants.
pub(crate) type Constants<'a> = &'a [(&'a str, f64)];

/// The entry point and constants of a matrix product, or of a pair of them, of A and B to C that are stored like this.
/// `sides`: which of A and B are stored transposed.
pub(crate) fn matmul(
    tile: ProductTile,
    storage: [Storage; 3],
    sides: (bool, bool),
    pair: bool,
) -> (ShaderEntry, [(&'static str, f64); 3]) {
    let constants = [("TRANSPOSE_A", flag(sides.0)), ("TRANSPOSE_B", flag(sides.1)), ("PAIR", flag(pair))];
    (product(tile, storage), constants)
}

/// A boolean constant.
pub(crate) fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

impl Kernel {
    /// The kernel with its layouts, which is not compiled yet.
    pub(crate) fn new(device: &wgpu::Device, entry: ShaderEntry, constants: Constants<'_>, trusted: bool) -> Self {
        let checked = !trusted || entry.data_indices;
        let name = entry.label();
        let label = Some(name.as_str());
        let layout_entry = |binding, access| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match access {
                    Access::Uniform | Scale => wgpu::BufferBindingType::Uniform,
                    Read => wgpu::BufferBindingType::Storage { read_only: true },
                    ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
                },
                has_dynamic_offset: access == Access::Uniform,
                min_binding_size: None,
            },
            count: None,
        };
        let bindings = entry.bindings();
        let entries: Vec<_> = std::iter::once(layout_entry(0, Access::Uniform))
            .chain(bindings.iter().map(|(binding, access)| layout_entry(*binding, *access)))
            .collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let owned = constants.iter().map(|(constant, value)| ((*constant).to_owned(), *value)).collect();
        let compiled = CompiledKernel { name: with_sides(name, constants), entry, constants: owned, checked };
        Self { compiled, bindings, layout, pipeline_layout, pipeline: OnceLock::new() }
    }

    /// Whether it has been compiled.
    pub(crate) fn is_compiled(&self) -> bool {
        self.pipeline.get().is_some()
    }

    /// The pipeline, compiled by the first call.
    pub(crate) fn pipeline(&self, device: &wgpu::Device) -> &wgpu::ComputePipeline {
        self.pipeline.get_or_init(|| self.compile(device))
    }

    fn compile(&self, device: &wgpu::Device) -> wgpu::ComputePipeline {
        let CompiledKernel { entry, constants, checked, .. } = &self.compiled;
        let name = entry.label();
        let label = Some(name.as_str());
        let descriptor =
            wgpu::ShaderModuleDescriptor { label, source: wgpu::ShaderSource::Wgsl(Cow::Owned(entry.source())) };
        let module = if *checked {
            device.create_shader_module(descriptor)
        } else {
            #[allow(
                unsafe_code,
                reason = "every index of these shaders follows from the plan's sizes, every loop ends at one of them, and \
                          the suite also runs with the checks on"
            )]
            // SAFETY: see the reason above. Shaders whose indices come from data are never created here.
            unsafe {
                device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
            }
        };
        let constants: Vec<(&str, f64)> = constants.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&self.pipeline_layout),
            module: &module,
            entry_point: Some(entry.name),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // Every kernel writes workgroup memory before reading it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        })
    }
}

/// `matmul nt` for A · Bᵀ and so on, as in BLAS; the label itself for other kernels.
fn with_sides(label: String, constants: Constants<'_>) -> String {
    let side = |name| {
        constants.iter().find(|(constant, _)| *constant == name).map(|(_, on)| if *on == 0.0 { 'n' } else { 't' })
    };
    match side("TRANSPOSE_A").zip(side("TRANSPOSE_B")) {
        Some((a, b)) => format!("{label} {a}{b}"),
        None => label,
    }
}
