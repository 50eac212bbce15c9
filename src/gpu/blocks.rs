//! An engine's flat blocks of numbers, from the host and to it in pieces.

use std::ops::Range;

use super::engine::GpuEngine;
use super::program::Place;
use crate::backend::FlatBlock;
use crate::calls::{no_slot, numbers_of};
use crate::error::Result;
use crate::model::plan::RowSpan;

/// Numbers of parameters that go from the host to the device and back at once: 8 MiB of them.
const PIECE: usize = 2 << 20;

impl GpuEngine {
    pub(super) fn block(&self, block: FlatBlock) -> Result<wgpu::Buffer> {
        match block {
            FlatBlock::Parameters => Ok(self.network.parameters.clone()),
            FlatBlock::Slot(slot) => {
                let slots = &self.network.slots;
                slots.get(slot).cloned().ok_or_else(|| no_slot(slot, slots.len()))
            }
        }
    }

    /// Where some of the layout's tensors lie, in pieces.
    pub(super) fn spans(&self, tensors: Range<usize>) -> Result<Vec<RowSpan>> {
        numbers_of(&self.layout, &tensors)?;
        Ok(self.network.plan.spans(&self.layout.tensors()[tensors], PIECE).collect())
    }

    /// Hands `take` the numbers of some tensors from a buffer that has them as the parameters are, a piece at a time.
    pub(super) async fn read_spans(
        &self,
        buffer: &wgpu::Buffer,
        tensors: Range<usize>,
        take: &mut dyn FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let spans = self.spans(tensors)?;
        let (mut rest, mut numbers) = (&spans[..], Vec::new());
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |span: &&RowSpan| {
                bytes += span.bytes().1;
                bytes <= 4 * PIECE as u64
            };
            // Small ones come together: each wait takes its time.
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            let place = |span: &RowSpan| (Place { buffer: buffer.clone(), offset: span.bytes().0 }, span.bytes().1);
            let read = self.read(&now.iter().map(place).collect::<Vec<_>>()).await?;
            let mut read = &read[..];
            numbers.clear();
            for span in now {
                let (of_span, behind) = read.split_at(span.bytes().1 as usize / 4);
                span.unpack(of_span, &mut numbers);
                read = behind;
            }
            take(&numbers)?;
            rest = later;
        }
        Ok(())
    }

    /// All of it.
    pub(super) async fn read_block_of(&self, buffer: &wgpu::Buffer) -> Result<Vec<f32>> {
        let mut block = Vec::with_capacity(self.layout.len());
        let mut take = |piece: &[f32]| {
            block.extend_from_slice(piece);
            Ok(())
        };
        self.read_spans(buffer, 0..self.layout.tensors().len(), &mut take).await?;
        Ok(block)
    }

    /// Has `fill` bring the numbers of such tensors, likewise.
    pub(super) fn write_spans(
        &self,
        buffer: &wgpu::Buffer,
        spans: &[RowSpan],
        fill: &mut dyn FnMut(&mut [f32]) -> Result<()>,
    ) -> Result<()> {
        let (mut numbers, mut packed) = (Vec::new(), Vec::new());
        for span in spans {
            numbers.resize(span.len(), 0.0);
            fill(&mut numbers)?;
            span.pack(&numbers, &mut packed);
            self.recorder.write(&Place { buffer: buffer.clone(), offset: span.bytes().0 }, &packed);
        }
        Ok(())
    }
}
