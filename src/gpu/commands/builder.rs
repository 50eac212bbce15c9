//! Builds the commands of a pass: buffers of the plan's tensors, one shared uniform buffer, and bind groups, each
//! created once.

use std::collections::HashMap;
use std::sync::Arc;

use super::program::{BufferOffset, GpuCommand};
use super::uniforms::{ColumnSum, Matmul, Reduce, Uniform};
use crate::error::Result;
use crate::gpu::device::Gpu;
use crate::gpu::device::kernel::{COLUMN_SUM, Constants, Kernel, REDUCE, ShaderEntry, matmul};
use crate::model::plan::{
    ALIGNMENT, ColumnSumPlan, Cost, DeviceLimits, Grid, MatmulPlan, SequencePlan, Span, Storage, TensorId, TensorSpec,
};

/// A buffer range bound to a kernel.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub(crate) buffer: wgpu::Buffer,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

impl Binding {
    pub(crate) fn whole(buffer: &wgpu::Buffer) -> Self {
        Self { buffer: buffer.clone(), offset: 0, bytes: buffer.size() }
    }

    pub(crate) fn position(&self, offset: u64) -> BufferOffset {
        BufferOffset { buffer: self.buffer.clone(), offset: self.offset + offset }
    }

    fn resource(&self) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(range(&self.buffer, self.offset, self.bytes))
    }
}

/// A range of a buffer to be bound.
pub(crate) fn range(buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> wgpu::BufferBinding<'_> {
    wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(bytes) }
}

/// Allocates a buffer of the plan.
pub(crate) fn allocate(gpu: &Gpu, spec: &TensorSpec) -> Result<wgpu::Buffer> {
    gpu.limits().check(spec)?;
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    gpu.buffer(&spec.name, spec.bytes, usage)
}

/// The uniforms of many dispatches in one buffer. Equal ones are shared, so the T steps of all chunks need one each.
#[derive(Debug, Default)]
struct Uniforms {
    bytes: Vec<u8>,
    places: HashMap<Vec<u8>, u32>,
}

impl Uniforms {
    fn offset_of<U: Uniform>(&mut self, uniform: &U) -> u32 {
        let bytes = bytemuck::bytes_of(uniform);
        let next = self.bytes.len().next_multiple_of(ALIGNMENT as usize);
        *self.places.entry(bytes.to_vec()).or_insert_with(|| {
            self.bytes.resize(next, 0);
            self.bytes.extend_from_slice(bytes);
            // Every dispatch binds the same number of bytes, whatever the size of its struct.
            self.bytes.resize(next + ALIGNMENT as usize, 0);
            next as u32
        })
    }
}

/// A dispatch whose bind group still needs the uniform buffer.
struct DraftDispatch {
    kernel: Arc<Kernel>,
    bindings: Vec<Binding>,
    offset: u32,
    grid: Grid,
    cost: Cost,
}

enum DraftCommand {
    Dispatch(DraftDispatch),
    Ready(GpuCommand),
}

/// Collects commands into lists.
pub(crate) struct Builder<'a> {
    pub(crate) gpu: &'a Gpu,
    pub(crate) limits: DeviceLimits,
    pub(crate) plan: &'a SequencePlan,
    buffers: Vec<wgpu::Buffer>,
    uniforms: Uniforms,
    items: Vec<DraftCommand>,
    lists: Vec<Vec<DraftCommand>>,
    /// What is in parts in scratch, and the vec4 of scratch in use.
    unreduced: Vec<PartialSums>,
    scratch_used: usize,
    /// If gradients are stored as halves.
    loss_scale: Option<Binding>,
}

/// A gradient whose sum is in parts in scratch. All numbers are in vec4.
struct PartialSums {
    /// Where the first part begins in scratch, and the distance from one to the next.
    first: usize,
    stride: usize,
    parts: usize,
    /// Where the gradient begins in the block of all, and its size.
    to: usize,
    vec4s: usize,
}

/// The blocks of a dispatch of `reduce`.
const BLOCKS: usize = 4;

/// A list of commands that [`Builder::finish`] will return.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListId(usize);

/// The result of [`Builder::finish`].
pub(crate) struct BuiltCommands {
    pub(crate) buffers: Vec<wgpu::Buffer>,
    lists: Vec<Vec<GpuCommand>>,
    pub(crate) uniform_bytes: u64,
}

impl BuiltCommands {
    pub(crate) fn take(&mut self, list: ListId) -> Vec<GpuCommand> {
        std::mem::take(&mut self.lists[list.0])
    }
}

/// An operand of a matrix product: its binding, first element and leading dimension, in vec4, and how it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub(crate) binding: Binding,
    pub(crate) first: usize,
    pub(crate) ld: usize,
    pub(crate) storage: Storage,
}

impl<'a> Builder<'a> {
    /// Creates a builder for a plan and its buffers, each at least as large as its tensor.
    pub(crate) fn on(
        gpu: &'a Gpu,
        plan: &'a SequencePlan,
        buffers: Vec<wgpu::Buffer>,
        loss_scale: Option<&wgpu::Buffer>,
    ) -> Self {
        let limits = gpu.limits();
        Self {
            gpu,
            limits,
            plan,
            buffers,
            uniforms: Uniforms::default(),
            items: Vec::new(),
            lists: Vec::new(),
            unreduced: Vec::new(),
            scratch_used: 0,
            loss_scale: loss_scale.map(Binding::whole),
        }
    }

    /// A whole tensor of the plan.
    pub(crate) fn tensor(&self, id: TensorId) -> Binding {
        self.span(self.plan.whole(id))
    }

    /// A range of a tensor.
    pub(crate) fn span(&self, span: Span) -> Binding {
        Binding { buffer: self.buffers[span.tensor.0].clone(), offset: span.offset, bytes: span.bytes }
    }

    /// A matrix that starts at vec4 `first` of a tensor.
    pub(crate) fn matrix(&self, id: TensorId, first: usize, ld: usize) -> Matrix {
        Matrix { binding: self.tensor(id), first, ld, storage: self.plan.storage[id.0] }
    }

    /// Adds a dispatch. Bindings are in the order of the entry point's, without the loss scale.
    pub(crate) fn dispatch<U: Uniform>(
        &mut self,
        entry: ShaderEntry,
        constants: Constants<'_>,
        bindings: &[&Binding],
        uniform: &U,
        grid: Grid,
        cost: Cost,
    ) {
        debug_assert_eq!(entry.uniform, U::NAME);
        let loss_scale = self.loss_scale.iter().filter(|_| entry.is_scaled());
        let bindings: Vec<_> = bindings.iter().copied().chain(loss_scale).cloned().collect();
        debug_assert_eq!(entry.bindings().len(), bindings.len());
        let kernel = self.gpu.kernel(entry, constants);
        let offset = self.uniforms.offset_of(uniform);
        self.items.push(DraftCommand::Dispatch(DraftDispatch { kernel, bindings, offset, grid, cost }));
    }

    pub(crate) fn copy(&mut self, from: BufferOffset, to: BufferOffset, bytes: u64) {
        self.push(GpuCommand::Copy { from, to, bytes });
    }

    /// Adds a command that needs no bind group.
    pub(crate) fn push(&mut self, command: GpuCommand) {
        self.items.push(DraftCommand::Ready(command));
    }

    /// Ends a list.
    pub(crate) fn end_list(&mut self) -> ListId {
        self.lists.push(std::mem::take(&mut self.items));
        ListId(self.lists.len() - 1)
    }

    /// C (+)= op(A) · op(B) (+ bias), in one part. `sides`: which of A and B are stored transposed.
    pub(crate) fn matmul(&mut self, product: MatrixProduct<'_>) {
        let MatrixProduct { sides, a, b, bias, c, m, n4, k, accumulate } = product;
        let plan = self.limits.matmul(m, 4 * n4, k);
        let part = ProductPart { a, b, c, m, n4, plan, c_stride: 0 };
        self.product_parts(sides, &[part], bias, accumulate);
    }

    /// C += Aᵀ · B with A \[k, m\] and B \[k, n\], one weight gradient or two of the same A's tensor, at the latest with the next
    /// [`reduce`](Self::reduce): k = T·B is split into parts, whose results are added in order.
    pub(crate) fn weight_gradients(&mut self, k: usize, gradients: &[WeightGradient<'_>]) {
        for alike in gradients.chunk_by(|first, second| first.b.storage == second.b.storage) {
            for gradients in alike.chunks(self.limits.products_per_dispatch()) {
                self.weight_gradients_at_once(k, gradients);
            }
        }
    }

    fn weight_gradients_at_once(&mut self, k: usize, gradients: &[WeightGradient<'_>]) {
        let sizes: Vec<_> = gradients.iter().map(|gradient| (gradient.m, 4 * gradient.n4)).collect();
        let plans = self.limits.weight_gradients(&sizes, k);
        let in_parts = plans.iter().any(|plan| plan.parts > 1);
        // All in one buffer: scratch, or the block of all gradients.
        let targets: Vec<Matrix> = std::iter::zip(gradients, &plans)
            .map(|(WeightGradient { c, m, n4, .. }, plan)| {
                if in_parts {
                    let first = self.in_parts(plan.parts, m * n4, &[(0, c)]);
                    return self.matrix(self.plan.scratch, first, *n4);
                }
                let first = c.binding.offset as usize / 16 + c.first;
                Matrix { binding: Binding::whole(&c.binding.buffer), first, ld: c.ld, storage: c.storage }
            })
            .collect();
        let parts: Vec<_> = std::iter::zip(gradients, plans)
            .zip(&targets)
            .map(|((&WeightGradient { a, b, m, n4, .. }, plan), c)| {
                let c_stride = if in_parts { m * n4 } else { 0 };
                ProductPart { a, b, c, m, n4, plan, c_stride }
            })
            .collect();
        self.product_parts((true, false), &parts, None, !in_parts);
    }

    /// One product, or two without a bias in the same number of parts along the same k.
    fn product_parts(
        &mut self,
        sides: (bool, bool),
        products: &[ProductPart<'_>],
        bias: Option<&Binding>,
        accumulate: bool,
    ) {
        let [ProductPart { a, b, c, plan, .. }, others @ ..] = products else { return };
        let of = |field: &dyn Fn(&ProductPart<'_>) -> usize| {
            let mut both = [0; 2];
            both.iter_mut().zip(products).for_each(|(number, product)| *number = field(product) as u32);
            both
        };
        let uniform = Matmul {
            m: of(&|product| product.m),
            n4: of(&|product| product.n4),
            ldb: of(&|product| product.b.ld),
            ldc: of(&|product| product.c.ld),
            a_first: of(&|product| product.a.first),
            b_first: of(&|product| product.b.first),
            c_first: of(&|product| product.c.first),
            // Each part starts `part` values of k later: in rows of a transposed A, in vec4 of a plain one.
            b_stride: of(&|product| if sides.1 { plan.part / 4 } else { plan.part * product.b.ld }),
            c_stride: of(&|product| product.c_stride),
            lda: a.ld as u32,
            a_stride: (if sides.0 { plan.part * a.ld } else { plan.part / 4 }) as u32,
            k: plan.part as u32,
            k_last: plan.last as u32,
            parts: plan.parts as u32,
            bias: u32::from(bias.is_some()),
            accumulate: u32::from(accumulate),
        };
        let storage = [a.storage, b.storage, c.storage];
        let (entry, constants) = matmul(plan.tile, storage, sides, !others.is_empty());
        // A binding is required even without a bias or a second product; b is read in any case.
        let other = others.first().map(|second| &second.b.binding).or(bias).unwrap_or(&b.binding);
        let bindings = [&a.binding, &b.binding, other, &c.binding];
        let largest = |axis: usize| products.iter().map(|product| product.plan.grid[axis]).max().unwrap_or(0);
        let grid = [largest(0), largest(1), (plan.parts * products.len()) as u32];
        let mut cost = Cost::default();
        products
            .iter()
            .for_each(|product| cost += Cost::product(product.m, product.n4, &product.plan, storage, accumulate));
        self.dispatch(entry, &constants, &bindings, &uniform, grid, cost);
    }

    /// Adds column sums over `rows` rows of `values` to gradients of vectors, each given with its first column, with the next
    /// [`reduce`](Self::reduce). Columns used by several are summed once.
    pub(crate) fn column_sums(&mut self, values: &Matrix, rows: usize, vectors: &[(usize, &Matrix)]) {
        let n4 = vectors.iter().map(|(column, vector)| column + vector.ld).max().unwrap_or(0);
        let ColumnSumPlan { grid, parts, part } = self.limits.column_sum(rows, n4);
        let first = self.in_parts(parts, n4, vectors);
        let sums = ColumnSum {
            rows: rows as u32,
            part_rows: part as u32,
            n4: n4 as u32,
            ld: values.ld as u32,
            column: values.first as u32,
            first: first as u32,
        };
        let to = self.tensor(self.plan.scratch);
        let entry = COLUMN_SUM.stored(values.storage);
        self.dispatch(entry, &[], &[&values.binding, &to], &sums, grid, Cost::sums(rows * n4, parts * n4));
    }

    /// Room in scratch for parts of `vec4s` vec4 each, of which the next [`reduce`](Self::reduce) adds ranges to
    /// gradients, each given with its first vec4 in a part. Returns where the first part begins.
    fn in_parts(&mut self, parts: usize, vec4s: usize, gradients: &[(usize, &Matrix)]) -> usize {
        let first = self.scratch_used;
        self.scratch_used += parts * vec4s;
        debug_assert!(16 * self.scratch_used as u64 <= self.tensor(self.plan.scratch).bytes);
        self.unreduced.extend(gradients.iter().map(|(at, gradient)| PartialSums {
            first: first + at,
            stride: vec4s,
            parts,
            to: gradient.binding.offset as usize / 16 + gradient.first,
            vec4s: gradient.binding.bytes as usize / 16,
        }));
        first
    }

    /// Adds what is in parts to the block of all gradients.
    pub(crate) fn reduce(&mut self, gradients: &wgpu::Buffer) {
        let scratch = self.tensor(self.plan.scratch);
        let out = Binding::whole(gradients);
        for blocks in std::mem::take(&mut self.unreduced).chunks(BLOCKS) {
            let of = |field: fn(&PartialSums) -> usize| {
                let mut all = [0; BLOCKS];
                all.iter_mut().zip(blocks).for_each(|(all, block)| *all = field(block) as u32);
                all
            };
            let count: usize = blocks.iter().map(|block| block.vec4s).sum();
            let mut begin = [count as u32; BLOCKS];
            let mut next = 0;
            for (begin, block) in begin.iter_mut().zip(blocks) {
                *begin = next;
                next += block.vec4s as u32;
            }
            let uniform = Reduce {
                begin,
                scratch: of(|block| block.first),
                stride: of(|block| block.stride),
                parts: of(|block| block.parts),
                to: of(|block| block.to),
                count: count as u32,
            };
            let read = blocks.iter().map(|block| block.parts * block.vec4s).sum();
            let grid = self.limits.elements(count);
            self.dispatch(REDUCE, &[], &[&scratch, &out], &uniform, grid, Cost::sums(read, count));
        }
        self.scratch_used = 0;
    }

    /// Uploads the uniforms and creates the bind groups.
    pub(crate) fn finish(self) -> Result<BuiltCommands> {
        let device = self.gpu.device();
        let size = (self.uniforms.bytes.len() as u64).max(ALIGNMENT);
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = self.gpu.buffer("uniforms", size, usage)?;
        self.gpu.queue().write_buffer(&uniforms, 0, &self.uniforms.bytes);
        let mut groups = BindGroups::default();
        let commands = |items: Vec<DraftCommand>| {
            let ready = items.into_iter().map(|item| match item {
                DraftCommand::Ready(command) => command,
                DraftCommand::Dispatch(DraftDispatch { kernel, bindings, offset, grid, cost }) => {
                    let bindings = groups.get(device, &kernel, &uniforms, &bindings);
                    GpuCommand::Dispatch { kernel, bindings, offset, grid, cost }
                }
            });
            ready.collect()
        };
        let lists = self.lists.into_iter().map(commands).collect();
        Ok(BuiltCommands { buffers: self.buffers, lists, uniform_bytes: size })
    }
}

/// The gradient of a weight \[m, n\]: C += Aᵀ · B. n4 is in vec4.
pub(crate) struct WeightGradient<'m> {
    pub(crate) a: &'m Matrix,
    pub(crate) b: &'m Matrix,
    pub(crate) c: &'m Matrix,
    pub(crate) m: usize,
    pub(crate) n4: usize,
}

/// A product of a dispatch. `c_stride`: vec4 between the results of consecutive parts.
struct ProductPart<'m> {
    a: &'m Matrix,
    b: &'m Matrix,
    c: &'m Matrix,
    m: usize,
    n4: usize,
    plan: MatmulPlan,
    c_stride: usize,
}

/// The arguments of [`Builder::matmul`]: C \[m, 4·n4\], inner size k.
#[derive(Clone, Copy)]
pub(crate) struct MatrixProduct<'p> {
    pub(crate) sides: (bool, bool),
    pub(crate) a: &'p Matrix,
    pub(crate) b: &'p Matrix,
    pub(crate) bias: Option<&'p Binding>,
    pub(crate) c: &'p Matrix,
    pub(crate) m: usize,
    pub(crate) n4: usize,
    pub(crate) k: usize,
    pub(crate) accumulate: bool,
}

/// The address of a kernel, and its bindings as (buffer, offset, bytes).
type GroupKey = (usize, Vec<(wgpu::Buffer, u64, u64)>);

/// Bind groups by kernel and buffers.
#[derive(Default)]
struct BindGroups(HashMap<GroupKey, wgpu::BindGroup>);

impl BindGroups {
    fn get(
        &mut self,
        device: &wgpu::Device,
        kernel: &Arc<Kernel>,
        uniforms: &wgpu::Buffer,
        bindings: &[Binding],
    ) -> wgpu::BindGroup {
        let ranges = bindings.iter().map(|binding| (binding.buffer.clone(), binding.offset, binding.bytes)).collect();
        let make = || bind(device, kernel, uniforms, bindings);
        self.0.entry((Arc::as_ptr(kernel) as usize, ranges)).or_insert_with(make).clone()
    }
}

/// Creates a bind group: the uniform, then the entry point's bindings in order.
pub(crate) fn bind(
    device: &wgpu::Device,
    kernel: &Kernel,
    uniforms: &wgpu::Buffer,
    bindings: &[Binding],
) -> wgpu::BindGroup {
    let uniform = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
        buffer: uniforms,
        offset: 0,
        size: wgpu::BufferSize::new(ALIGNMENT),
    });
    let entries: Vec<_> = std::iter::once((0, uniform))
        .chain(kernel.bindings.iter().zip(bindings).map(|((number, _), binding)| (*number, binding.resource())))
        .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource })
        .collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&kernel.compiled.name),
        layout: &kernel.layout,
        entries: &entries,
    })
}
