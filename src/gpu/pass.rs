//! The commands of a pass over one \[T, B\], made once.

use super::builder::{Binding, Builder, allocate};
use super::device::Gpu;
use super::forward::Unroll;
use super::network::Network;
use super::program::{Command, Place};
use crate::error::Result;
use crate::model::plan::{SequencePlan, Shape};

/// The commands of a pass over one \[T, B\], with the buffers that they work on.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) shape: Shape,
    pub(super) plan: SequencePlan,
    pub(super) buffers: Vec<wgpu::Buffer>,
    pub(super) forward: Vec<Command>,
    pub(super) head_forward: Vec<Command>,
    pub(super) loss: Vec<Command>,
    pub(super) head_backward: Vec<Command>,
    backward: Vec<Command>,
    /// A stack's h (then, after all stacks, c): where it enters and where it leaves.
    pub(super) ends: Vec<(Place, Place)>,
    uniform_bytes: u64,
    flow: Option<FlowPass>,
}

/// The backward pass that also takes the norms of dh_t, on the buffers of the other.
#[derive(Debug)]
struct FlowPass {
    backward: Vec<Command>,
    norms: wgpu::Buffer,
    uniform_bytes: u64,
}

impl Pass {
    /// Allocates what `plan` says for `shape`.
    pub(super) fn new(gpu: &Gpu, network: &Network, shape: Shape, plan: SequencePlan) -> Result<Self> {
        let mut builder = Builder::new(gpu, &plan)?;
        let mut unroll = Unroll { b: &mut builder, net: network, flow: None };
        let recurrent = &network.model.recurrent;
        let cell_states = if recurrent.cell.has_cell_state() { &[false, true][..] } else { &[false] };
        let ends = cell_states
            .iter()
            .flat_map(|cell_state| (0..recurrent.stacks()).map(|stack| (stack, *cell_state)))
            .map(|(stack, cell_state)| unroll.ends(stack, cell_state))
            .collect();
        unroll.forward();
        let forward = unroll.b.end_list();
        let head = network.model.head.as_ref();
        head.into_iter().for_each(|head| unroll.head_forward(head));
        let head_forward = unroll.b.end_list();
        head.into_iter().for_each(|head| unroll.loss(head));
        let loss = unroll.b.end_list();
        head.into_iter().for_each(|head| unroll.head_backward(head));
        let head_backward = unroll.b.end_list();
        unroll.backward(shape.resets);
        let backward = unroll.b.end_list();
        let mut built = builder.finish()?;
        gpu.check()?;
        Ok(Self {
            shape,
            forward: built.take(forward),
            head_forward: built.take(head_forward),
            loss: built.take(loss),
            head_backward: built.take(head_backward),
            backward: built.take(backward),
            buffers: built.buffers,
            uniform_bytes: built.uniform_bytes,
            ends,
            plan,
            flow: None,
        })
    }

    /// Bytes that [`make_flow`](Self::make_flow) will take; its commands are about as many as all others. 0 once it did.
    pub(super) fn flow_bytes(&self) -> u64 {
        if self.flow.is_some() { 0 } else { self.plan.flow().bytes + self.uniform_bytes }
    }

    /// Makes the backward pass that also takes the norms of dh_t, unless it is there.
    pub(super) fn make_flow(&mut self, gpu: &Gpu, network: &Network) -> Result<()> {
        if self.flow.is_some() {
            return Ok(());
        }
        let norms = allocate(gpu, &self.plan.flow())?;
        let mut builder = Builder::on(gpu, &self.plan, self.buffers.clone());
        let mut unroll = Unroll { b: &mut builder, net: network, flow: Some(Binding::whole(&norms)) };
        unroll.backward(self.shape.resets);
        let backward = builder.end_list();
        let mut built = builder.finish()?;
        gpu.check()?;
        self.flow = Some(FlowPass { backward: built.take(backward), uniform_bytes: built.uniform_bytes, norms });
        Ok(())
    }

    /// The backward pass, or with `flow` the one that [`make_flow`](Self::make_flow) has made.
    pub(super) fn backward(&self, flow: bool) -> &[Command] {
        match self.flow.as_ref().filter(|_| flow) {
            Some(flow) => &flow.backward,
            None => &self.backward,
        }
    }

    /// The norms of dh_t in parts.
    pub(super) fn norms(&self) -> Option<&wgpu::Buffer> {
        self.flow.as_ref().map(|flow| &flow.norms)
    }

    pub(super) fn bytes(&self) -> u64 {
        let flow = self.flow.as_ref().map_or(0, |flow| flow.norms.size() + flow.uniform_bytes);
        self.plan.bytes() + self.uniform_bytes + flow
    }

    /// Commands that clear where the sequence begins.
    pub(super) fn enter_zero(&self, network: &Network) -> Vec<Command> {
        let bytes = self.slot_bytes(network);
        self.ends.iter().map(|(enters, _)| Command::Clear { to: enters.clone(), bytes }).collect()
    }

    /// Bytes of a stack's states.
    pub(super) fn slot_bytes(&self, network: &Network) -> u64 {
        16 * (self.plan.rows * network.sizes.h4) as u64
    }
}
