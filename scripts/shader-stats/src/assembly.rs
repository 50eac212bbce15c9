//! The loops in AMD's assembly, as Mesa prints it with LLVM: what one turn of an innermost loop is made of.

use std::collections::HashMap;
use std::ops::Range;

/// The instructions of one turn of a loop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    pub instructions: usize,
    /// Those on vector registers, a dual one once.
    pub vector: usize,
    /// Fused or not, each of a dual or packed instruction.
    pub multiply_adds: usize,
    /// Loads from memory of at most 4, of 8, 12 and 16 bytes a lane.
    pub loads: [usize; 4],
    /// How often it stands before memory: waits for a load that the same turn has issued since the last such wait.
    pub memory_waits: usize,
    /// The same for reads of workgroup memory and scalar loads, which share a counter.
    pub shared_waits: usize,
}

impl Turn {
    /// Whether the loop is one of a product: at least a quarter of the vector instructions are multiply-adds. Where
    /// activations are computed, fewer are.
    pub fn is_product(&self) -> bool {
        self.multiply_adds > 0 && 4 * self.multiply_adds >= self.vector
    }
}

/// A loop that contains no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerLoop {
    pub turn: Turn,
    /// A turn of the loop around it, without the loops within.
    pub around: Option<Turn>,
}

/// The loops that contain no other, in the order of the text. `counts_stores_apart`: whether `vmcnt` counts loads
/// alone.
///
/// # Errors
/// If the text has a wait of an unknown form.
pub fn inner_loops(assembly: &str, counts_stores_apart: bool) -> Result<Vec<InnerLoop>, String> {
    let lines: Vec<&str> = assembly.lines().map(|line| line.split(';').next().unwrap_or_default().trim()).collect();
    let labels: HashMap<&str, usize> =
        lines.iter().enumerate().filter_map(|(at, line)| Some((line.strip_suffix(':')?, at))).collect();
    // A loop goes from the target of a branch backwards to the last such branch.
    let mut loops: Vec<Range<usize>> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((operation, target)) = line.split_once(' ') else { continue };
        let Some(start) = labels.get(target.trim()).filter(|start| **start <= at && operation.contains("branch"))
        else {
            continue;
        };
        match loops.iter_mut().find(|known| known.start == *start) {
            Some(known) => known.end = at + 1,
            None => loops.push(*start..at + 1),
        }
    }
    loops.sort_by_key(|range| range.start);
    let within = |inner: &Range<usize>, outer: &Range<usize>| {
        inner != outer && outer.start <= inner.start && inner.end <= outer.end
    };
    let innermost = loops.iter().filter(|range| !loops.iter().any(|other| within(other, range)));
    let found = innermost.map(|inner| {
        let around = loops.iter().filter(|range| within(inner, range)).min_by_key(|range| range.len());
        let around = around.map(|range| {
            let is_own = |at: &usize| !loops.iter().any(|other| within(other, range) && other.contains(at));
            turn(range.clone().filter(is_own).map(|at| lines[at]), counts_stores_apart)
        });
        Ok(InnerLoop {
            turn: turn(inner.clone().map(|at| lines[at]), counts_stores_apart)?,
            around: around.transpose()?,
        })
    });
    found.collect()
}

fn turn<'l>(lines: impl Iterator<Item = &'l str>, counts_stores_apart: bool) -> Result<Turn, String> {
    let mut turn = Turn::default();
    let (mut memory, mut shared) = (Outstanding::default(), Outstanding::default());
    for line in lines.filter(|line| !line.is_empty() && !line.ends_with(':')) {
        let operation = line.split(' ').next().unwrap_or_default();
        turn.instructions += 1;
        if operation == "s_waitcnt" {
            let [vector, exports, scalar] = ["vmcnt(", "expcnt(", "lgkmcnt("].map(|counter| left(line, counter));
            if vector.or(exports).or(scalar).is_none() {
                return Err(format!("a wait that is not understood: {line}"));
            }
            vector.into_iter().for_each(|left| memory.wait(left));
            scalar.into_iter().for_each(|left| shared.wait(left));
        } else if operation.starts_with("s_wait_") {
            return Err(format!("waits of this family are not understood: {line}"));
        } else if operation.starts_with("ds_")
            || operation.starts_with("s_load")
            || operation.starts_with("s_buffer_load")
        {
            shared.issue(!operation.starts_with("ds_write") && !operation.starts_with("ds_store"));
        } else if ["buffer_", "global_", "flat_", "scratch_"].iter().any(|kind| operation.starts_with(kind)) {
            let is_load = operation.contains("_load");
            if is_load {
                turn.loads[width(operation)] += 1;
            }
            if is_load || !counts_stores_apart {
                memory.issue(is_load);
            }
        } else if operation.starts_with("v_") {
            turn.vector += 1;
            turn.multiply_adds += line.split_whitespace().map(multiply_adds).sum::<usize>();
        }
    }
    (turn.memory_waits, turn.shared_waits) = (memory.waits, shared.waits);
    Ok(turn)
}

/// What a turn has issued of the operations that a counter counts down in order.
#[derive(Default)]
struct Outstanding {
    /// Whether each is a load.
    issued: Vec<bool>,
    /// How many were issued when the turn last waited for one of them.
    before: usize,
    waits: usize,
}

impl Outstanding {
    fn issue(&mut self, is_load: bool) {
        self.issued.push(is_load);
    }

    /// Waits until at most `left` are outstanding. Those of the turn before are older than all of this one.
    fn wait(&mut self, left: usize) {
        let done = self.issued.len().saturating_sub(left);
        if self.issued.iter().take(done).skip(self.before).any(|is_load| *is_load) {
            self.waits += 1;
            self.before = self.issued.len();
        }
    }
}

/// The number behind `counter` in a wait.
fn left(line: &str, counter: &str) -> Option<usize> {
    let (_, number) = line.split_once(counter)?;
    number.split(')').next()?.parse().ok()
}

/// The place of a load's width among those of [`Turn::loads`].
fn width(operation: &str) -> usize {
    let names = [["x2", "b64"], ["x3", "b96"], ["x4", "b128"]];
    names.iter().position(|names| names.iter().any(|name| operation.ends_with(name))).map_or(0, |place| place + 1)
}

/// How many multiply-adds a word of an instruction stands for; a dual instruction has two names.
fn multiply_adds(word: &str) -> usize {
    let is_one = ["v_fma", "v_mac_", "v_mad_f", "v_madak_f", "v_madmk_f", "v_dual_fma"];
    match word {
        _ if word.starts_with("v_pk_fma") => 2,
        _ => is_one.iter().any(|name| word.starts_with(name)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(assembly: &str, counts_stores_apart: bool) -> Turn {
        let mut loops = inner_loops(assembly, counts_stores_apart).unwrap();
        assert_eq!(loops.len(), 1);
        loops.remove(0).turn
    }

    #[test]
    fn instructions_are_counted_by_kind_and_loads_by_width() {
        let turn = one(
            "\ts_mov_b32 s0, 0 ; before\nBB1:\n\tbuffer_load_dwordx4 v[0:3], v4, s[0:3], 0 offen ; e0380000\n\
             \tglobal_load_b96 v[0:2], v4\n\tbuffer_load_ushort v0, v4\n\tds_read_b128 v[0:3], v4\n\
             \ts_waitcnt vmcnt(0) lgkmcnt(0)\n\tv_fmac_f32_e32 v0, v1, v2\n\tv_mad_f32 v0, v1, v2, v3\n\
             \tv_mad_u32_u24 v0, v1, v2, v3\n\tv_pk_fma_f16 v0, v1, v2, v3\n\
             \tv_dual_fmac_f32 v0, v1, v2 :: v_dual_mul_f32 v3, v4, v5\n\ts_cbranch_scc1 BB1 ; bf850000\n\ts_endpgm",
            true,
        );
        let expected = Turn {
            instructions: 11,
            vector: 5,
            multiply_adds: 5,
            loads: [1, 0, 1, 1],
            memory_waits: 1,
            shared_waits: 1,
        };
        assert_eq!(turn, expected);
    }

    #[test]
    fn a_wait_counts_if_it_is_for_a_load_issued_since_the_last_one() {
        let waits = |body: &str| {
            let lines: String = body
                .split_whitespace()
                .map(|word| match word {
                    "load" => "buffer_load_dword v0, v1, s[0:3], 0\n".into(),
                    "store" => "buffer_store_dword v0, v1, s[0:3], 0\n".into(),
                    left => format!("s_waitcnt vmcnt({left})\n"),
                })
                .collect();
            let text = format!("BB1:\n{lines}s_branch BB1\n");
            [true, false].map(|counts_stores_apart| one(&text, counts_stores_apart).memory_waits)
        };
        // Those issued together arrive together.
        assert_eq!(waits("load load load 2 1 0"), [1, 1]);
        assert_eq!(waits("load 0 load 0"), [2, 2]);
        // The turn before has issued what this one waits for.
        assert_eq!(waits("0 load load"), [0, 0]);
        assert_eq!(waits("load load 2 load load 2"), [1, 1]);
        assert_eq!(waits("load load load 2 load 1"), [1, 1]);
        assert_eq!(waits("load load load 2 load 0"), [2, 2]);
        // Of the older chips, one counter counts stores too.
        assert_eq!(waits("load store 1"), [0, 1]);
        assert_eq!(waits("store 0"), [0, 0]);
    }

    #[test]
    fn inner_loops_are_told_from_those_around_them() {
        let text = "BB0:\nv_fma_f32 v0\nBB1:\nv_add_f32 v0\ns_cbranch_vccnz BB1\nBB2:\nv_mul_f32 v0\nv_mul_f32 v0\n\
                    s_cbranch_scc0 BB3\ns_branch BB2\nBB3:\nv_fma_f32 v0\ns_cbranch_scc1 BB0\nBB4:\ns_endpgm\n";
        let loops = inner_loops(text, true).unwrap();
        let counts: Vec<_> = loops.iter().map(|found| (found.turn.vector, found.turn.instructions)).collect();
        assert_eq!(counts, [(1, 2), (2, 4)]);
        let around = loops[0].around.as_ref().unwrap();
        assert_eq!((around.multiply_adds, around.instructions), (2, 3));
    }

    #[test]
    fn waits_of_other_families_are_refused_instead_of_overlooked() {
        for wait in ["s_wait_loadcnt 0x0", "s_waitcnt 0x3f70"] {
            let error = inner_loops(&format!("BB1:\n{wait}\ns_branch BB1\n"), true).unwrap_err();
            assert!(error.contains(wait), "{error}");
        }
    }
}
