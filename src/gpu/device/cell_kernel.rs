//! The text of a cell's step kernels: the shaders around a cell, written for its counts, and the cell's own functions.

use super::expansion::{Repetition, expand};
use crate::cells::CellDefinition;
use crate::model::plan::{StepForm, StepTile};

/// The storage bindings of `step.wgsl` that not every cell has.
const W_HH: u32 = 2;
pub(super) const VECTORS: u32 = 3;
const C: u32 = 6;
const H_MASKED: u32 = 10;
const DROPOUT_PARAMS: u32 = 11;

/// Whether the step kernels of a cell use a binding; `has_vectors` if the entry point has one for b_hh and the cell's own
/// parameters, which are otherwise behind W_hh.
pub(super) fn uses(cell: &'static dyn CellDefinition, binding: u32, has_vectors: bool) -> bool {
    let (has_w_hh, has_parameters) = (cell.recurrent_gates() > 0, !cell.parameters().is_empty());
    match binding {
        W_HH => has_w_hh || (has_parameters && !has_vectors),
        VECTORS => has_w_hh || has_parameters,
        C => cell.has_cell_state(),
        H_MASKED | DROPOUT_PARAMS => has_w_hh,
        _ => true,
    }
}

/// What a step kernel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepPart {
    Forward,
    Backward,
    /// The product of a backward step whose h is projected.
    Dh,
}

/// A step kernel of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepKernel {
    pub(super) part: StepPart,
    /// Whether the cell's h is projected.
    pub(super) projected: bool,
    pub(super) form: StepForm,
}

impl StepKernel {
    /// The number of products of a unit.
    pub(super) fn results(&self, cell: &'static dyn CellDefinition) -> usize {
        match (self.part, self.projected) {
            (StepPart::Forward, _) => cell.recurrent_gates(),
            (StepPart::Backward, true) => 0,
            (StepPart::Backward, false) | (StepPart::Dh, _) => cell.recurrent_gates().min(1),
        }
    }

    /// The complete WGSL of the step of a cell from the shaders around it.
    pub(super) fn source(&self, cell: &'static dyn CellDefinition, shaders: &str) -> String {
        let (sums, gates, parameters) = (cell.sums().len(), cell.recurrent_gates(), cell.parameters().len());
        let results = self.results(cell);
        // A projected forward step leaves the mask to the product with W_hr.
        let masks = results > 0 && !(self.part == StepPart::Forward && self.projected);
        let rows = self.form.rows();
        let (split, tiled) = (matches!(self.form, StepForm::Split { .. }), self.form == StepForm::Tiled);
        let held_weights = if let StepForm::Split { held_weights, .. } = self.form { held_weights } else { 0 };
        let tile = StepTile::of(results);
        let [operand_loads, weights_loads, items] = tile.shares_of_thread();
        let repeated = |word, count| Repetition { word, index: '#', count };
        let optional = |word, on| Repetition { word, index: '#', count: usize::from(on) };
        let repetitions = [
            repeated("each_sum", sums),
            repeated("each_input", cell.input_gates()),
            repeated("each_gate", gates),
            repeated("each_parameter", parameters),
            repeated("each_result", results),
            repeated("each_held", if split { 1 } else { results }),
            Repetition { word: "each_row", index: '?', count: rows },
            Repetition { word: "each_weight", index: '!', count: held_weights },
            Repetition { word: "each_slab_k", index: '!', count: tile.slab },
            Repetition { word: "each_operand_load", index: '?', count: operand_loads },
            Repetition { word: "each_weights_load", index: '?', count: weights_loads },
            Repetition { word: "each_item", index: '?', count: items },
            optional("has_c", cell.has_cell_state()),
            optional("has_product", results > 0),
            optional("has_masks", masks),
            optional("has_parameters", parameters > 0),
            optional("has_projection", self.projected),
            optional("no_projection", !self.projected),
            optional("split", split),
            optional("whole", !self.form.is_shared()),
            optional("tiled", tiled),
            optional("untiled", !tiled),
            optional("held_weights", held_weights > 0),
            optional("read_weights", held_weights == 0),
        ];
        let counts = [
            ("SUMS", sums),
            ("GATES", gates),
            ("FIRST", cell.first_recurrent()),
            ("PARAMETERS", parameters),
            ("RESULTS", results),
            ("ROWS", rows),
            ("ROW_TILES", StepTile::ROW_TILES),
            ("SHARES", tile.shares),
            ("SLAB", tile.slab),
            ("OPERAND_LOADS", operand_loads),
        ];
        let counts: String = counts.iter().map(|(name, count)| format!("const {name}: u32 = {count}u;\n")).collect();
        [&counts, &expand(shaders, &repetitions), cell.wgsl()].join("\n")
    }
}
