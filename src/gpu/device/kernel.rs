//! Kernels: sources, bindings and pipelines.

use std::any::TypeId;
use std::borrow::Cow;

use super::cell_kernel::{self, StepKernel, StepPart};
use super::product_kernel;
use crate::model::Cell;
use crate::model::plan::{ProductTile, StepForm};

/// How a kernel binds a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The uniform at binding 0, with a dynamic offset.
    Uniform,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
}

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
}

impl ShaderEntry {
    /// The complete WGSL source.
    pub fn source(&self) -> String {
        let joined = self.sources.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n");
        match (self.cell, self.step, self.tile) {
            (Some(cell), Some(step), _) => step.source(cell.definition(), &joined),
            (_, _, Some(tile)) => product_kernel::source(tile, &joined),
            _ => joined,
        }
    }

    /// The storage bindings that this entry point uses, with their numbers.
    pub fn bindings(&self) -> Vec<(u32, Access)> {
        let has_vectors = self.bindings.iter().any(|(binding, _)| *binding == cell_kernel::VECTORS);
        let uses = |(binding, _): &(u32, Access)| match self.cell {
            Some(cell) => cell_kernel::uses(cell.definition(), *binding, has_vectors),
            None => true,
        };
        self.bindings.iter().copied().filter(uses).collect()
    }

    /// The kernel's label, and its name in profiles: `lstm_forward` for a step of the LSTM, `matmul_tiled 64` for products
    /// in tiles of 64 × 64, otherwise the entry point.
    pub fn label(&self) -> String {
        match (self.cell, self.tile) {
            (Some(cell), _) => self.name.replacen("step", cell.name(), 1),
            (_, Some(ProductTile::Block(side))) => format!("{} {side}", self.name),
            _ => self.name.into(),
        }
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

/// A matrix product in these tiles.
fn product(tile: ProductTile) -> ShaderEntry {
    let entry = if tile == ProductTile::Registers { MATMUL } else { MATMUL_TILED };
    ShaderEntry { tile: Some(tile), ..entry }
}

/// All kernels of the crate, with the steps of these cells in all forms and the matrix products in all tiles.
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
    let of_cells = cells.iter().flat_map(steps);
    of_cells.chain(ProductTile::ALL.map(product)).chain(ENTRIES.iter().copied()).collect()
}

macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../shaders/", $name)))
    };
}

use Access::{Read, ReadWrite};

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
        };)*

        const $list: &[ShaderEntry] = &[$($constant),*];
    };
    (@step) => { None };
    (@step $part:ident $projected:literal) => {
        Some(StepKernel { part: StepPart::$part, projected: $projected, form: StepForm::DEFAULT })
    };
}

entries! { STEPS:
    STEP_FORWARD = "step_forward" ["activation.wgsl", "fma.wgsl", "masks.wgsl", "dy.wgsl", "cell.wgsl", "step.wgsl", "step_product.wgsl", "step_tiled.wgsl", "step_forward.wgsl"] "Step"
        { 1 Read, 2 Read, 3 Read, 4 ReadWrite, 5 ReadWrite, 6 ReadWrite, 10 ReadWrite, 11 Read } false (Forward false);
    STEP_BACKWARD = "step_backward" ["activation.wgsl", "fma.wgsl", "masks.wgsl", "dy.wgsl", "cell.wgsl", "step.wgsl", "step_product.wgsl", "step_tiled.wgsl", "product_dh.wgsl", "step_backward.wgsl"] "Step"
        { 1 Read, 2 Read, 4 ReadWrite, 5 ReadWrite, 6 ReadWrite, 7 Read, 8 ReadWrite, 11 Read } false (Backward false);
    STEP_BACKWARD_NORMS = "step_backward" ["activation.wgsl", "fma.wgsl", "masks.wgsl", "dh_over_dy.wgsl", "cell.wgsl", "step.wgsl", "step_product.wgsl", "step_tiled.wgsl", "product_dh.wgsl", "step_backward.wgsl"] "Step"
        { 1 Read, 2 Read, 4 ReadWrite, 5 ReadWrite, 6 ReadWrite, 7 ReadWrite, 8 ReadWrite, 11 Read } false (Backward false);
}

entries! { PROJECTED_STEPS:
    PROJECTED_FORWARD = "step_forward" ["activation.wgsl", "fma.wgsl", "masks.wgsl", "dy.wgsl", "cell.wgsl", "step.wgsl", "step_product.wgsl", "step_tiled.wgsl", "step_forward.wgsl"] "Step"
        { 1 Read, 2 Read, 3 Read, 4 ReadWrite, 5 ReadWrite, 6 ReadWrite, 9 ReadWrite, 10 ReadWrite } false (Forward true);
    STEP_DH = "step_dh" ["activation.wgsl", "fma.wgsl", "masks.wgsl", "dh_over_dy.wgsl", "cell.wgsl", "step.wgsl", "step_product.wgsl", "step_tiled.wgsl", "product_dh.wgsl", "step_dh.wgsl"] "Step"
        { 1 Read, 2 Read, 4 ReadWrite, 7 ReadWrite, 8 ReadWrite, 11 Read } false (Dh true);
    PROJECTED_BACKWARD = "step_backward" ["activation.wgsl", "fma.wgsl", "masks.wgsl", "dy.wgsl", "cell.wgsl", "step.wgsl", "step_product.wgsl", "step_tiled.wgsl", "product_dh.wgsl", "step_backward.wgsl"] "Step"
        { 1 Read, 4 ReadWrite, 6 ReadWrite, 8 ReadWrite } false (Backward true);
}

// The list of these is `ProductTile::ALL`.
entries! { _:
    MATMUL = "matmul" ["fma.wgsl", "product.wgsl", "matmul.wgsl"] "Matmul" { 1 Read, 2 Read, 3 Read, 4 ReadWrite } false;
    MATMUL_TILED = "matmul_tiled" ["fma.wgsl", "product.wgsl", "matmul_tiled.wgsl"] "Matmul"
        { 1 Read, 2 Read, 3 Read, 4 ReadWrite } false;
}

entries! { ENTRIES:
    GRADIENT_NORMS = "gradient_norms" ["gradient_norms.wgsl"] "GradientNorms" { 1 Read, 2 ReadWrite } false;
    TRANSPOSE = "transpose_weights" ["grid.wgsl", "transpose.wgsl"] "Transpose" { 1 Read, 2 ReadWrite } false;
    REDUCE = "reduce" ["grid.wgsl", "reduce.wgsl"] "Reduce" { 1 Read, 2 ReadWrite } false;
    COLUMN_SUM = "column_sum" ["column_sum.wgsl"] "ColumnSum" { 1 Read, 2 ReadWrite } false;
    COPY = "copy" ["grid.wgsl", "copy.wgsl"] "Copy" { 1 Read, 2 Read, 3 ReadWrite } false;
    MASK = "mask" ["grid.wgsl", "copy.wgsl"] "Copy" { 1 Read, 3 ReadWrite } false;
    DROP_TO = "drop_to" ["grid.wgsl", "masks.wgsl", "dropout.wgsl"] "Dropout" { 1 Read, 2 Read, 3 ReadWrite, 11 Read } false;
    DROP_IN = "drop_in" ["grid.wgsl", "masks.wgsl", "dropout.wgsl"] "Dropout" { 1 Read, 3 ReadWrite, 11 Read } false;
    GATHER = "gather" ["grid.wgsl", "tokens.wgsl"] "Tokens" { 1 Read, 2 Read, 3 Read, 4 ReadWrite } true;
    SCATTER = "scatter" ["grid.wgsl", "tokens.wgsl"] "Tokens" { 5 Read, 6 Read, 7 Read, 8 ReadWrite } true;
    EMBED = "embed" ["grid.wgsl", "embedding.wgsl"] "Embedding" { 1 Read, 2 Read, 3 Read, 4 ReadWrite } true;
    EMBED_BACKWARD = "embed_backward" ["grid.wgsl", "embedding.wgsl"] "Embedding"
        { 5 Read, 6 Read, 7 Read, 8 ReadWrite } true;
    MEAN = "mean" ["grid.wgsl", "mean.wgsl"] "Mean" { 1 Read, 2 ReadWrite, 3 ReadWrite } false;
    SPREAD = "spread" ["grid.wgsl", "mean.wgsl"] "Mean" { 1 Read, 2 ReadWrite, 3 ReadWrite } false;
    LOSS = "loss" ["grid.wgsl", "loss.wgsl"] "Loss" { 1 Read, 2 Read, 3 ReadWrite, 4 ReadWrite } true;
    CUSTOM_LOSS = "custom_loss" ["grid.wgsl", "loss.wgsl"] "Loss" { 2 Read, 3 ReadWrite, 4 ReadWrite, 5 Read } false;
    NORM_PARTIAL = "norm_partial" ["status.wgsl", "norm.wgsl"] "Update" { 1 Read, 2 ReadWrite } false;
    NORM = "norm" ["status.wgsl", "norm.wgsl"] "Update"
        { 2 ReadWrite, 3 Read, 4 ReadWrite, 5 Read } false;
    UPDATE = "update" ["grid.wgsl", "status.wgsl", "update_inputs.wgsl", "update.wgsl"] "Update"
        { 1 Read, 2 Read, 3 ReadWrite, 4 ReadWrite, 5 ReadWrite, 6 ReadWrite } false;
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

/// A compiled kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) compiled: CompiledKernel,
    /// The storage bindings, with their numbers.
    pub(crate) bindings: Vec<(u32, Access)>,
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

/// The values of `override` constants.
pub(crate) type Constants<'a> = &'a [(&'a str, f64)];

/// The entry point and constants of a matrix product, or of a pair of them. `sides`: which of A and B are stored
/// transposed.
pub(crate) fn matmul(tile: ProductTile, sides: (bool, bool), pair: bool) -> (ShaderEntry, [(&'static str, f64); 3]) {
    (product(tile), [("TRANSPOSE_A", flag(sides.0)), ("TRANSPOSE_B", flag(sides.1)), ("PAIR", flag(pair))])
}

/// A boolean constant.
pub(crate) fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

impl Kernel {
    pub(crate) fn new(device: &wgpu::Device, entry: ShaderEntry, constants: Constants<'_>, trusted: bool) -> Self {
        let checked = !trusted || entry.data_indices;
        let name = entry.label();
        let label = Some(name.as_str());
        let descriptor =
            wgpu::ShaderModuleDescriptor { label, source: wgpu::ShaderSource::Wgsl(Cow::Owned(entry.source())) };
        let module = if checked {
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
        let layout_entry = |binding, access| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match access {
                    Access::Uniform => wgpu::BufferBindingType::Uniform,
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
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(entry.name),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                // Every kernel writes workgroup memory before reading it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        let owned = constants.iter().map(|(constant, value)| ((*constant).to_owned(), *value)).collect();
        let compiled = CompiledKernel { name: with_sides(name, constants), entry, constants: owned, checked };
        Self { compiled, bindings, pipeline, layout }
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
