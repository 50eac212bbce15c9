//! The text of the kernels of matrix products, written for their tiles.

use super::expansion::{Repetition, expand};
use crate::model::plan::ProductTile;

/// The complete WGSL of a product in these tiles from its shaders.
pub(super) fn source(tile: ProductTile, shaders: &str) -> String {
    let (blocks, threads) = (tile.blocks(), tile.threads());
    let mut constants = vec![("BLOCKS", blocks)];
    let (mut k4s, mut loads) = (0, 0);
    match tile {
        ProductTile::Registers => constants.push(("GROUP", ProductTile::REGISTERS_GROUP)),
        ProductTile::Block(side) => {
            k4s = tile.slab() / 4;
            loads = side * k4s / threads;
            constants.extend([("BLOCK", side), ("THREADS", threads), ("SLAB4", k4s), ("SLABS", tile.slabs())]);
        }
    }
    let repetitions = [
        Repetition { word: "each_row", index: '?', count: blocks },
        Repetition { word: "each_column", index: '#', count: blocks },
        Repetition { word: "each_k4", index: '!', count: k4s },
        Repetition { word: "each_load", index: '#', count: loads },
    ];
    let constants: String = constants.iter().map(|(name, value)| format!("const {name}: u32 = {value}u;\n")).collect();
    constants + "\n" + &expand(shaders, &repetitions)
}
