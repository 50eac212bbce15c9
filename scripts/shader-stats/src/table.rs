//! The table of a family: what the compiler made of each kernel.

use std::collections::BTreeMap;

use crate::assembly::{InnerLoop, Turn};
use crate::driver::Compiled;
use crate::plan::{PlannedKernel, PlannedTraining, SIZES, is_of_bench};

/// The heads of the columns of figures, with how many figures each has.
const COLUMNS: [(&str, usize); 13] = [
    ("loop: instructions", 1),
    ("vector", 1),
    ("multiply-adds", 1),
    ("loads 4/8/12/16 B", 4),
    ("waits memory/LDS", 2),
    ("VGPRs", 1),
    ("waves a SIMD", 1),
    ("spills", 1),
    ("scratch B", 1),
    ("LDS B", 1),
    ("around: vector", 1),
    ("loads 4/8/12/16 B", 4),
    ("waits memory/LDS", 2),
];

/// The figures of the innermost loop, which come first.
const OF_LOOP: usize = 9;

/// The table of `--plan`.
pub fn plan_table(trainings: &[PlannedTraining]) -> String {
    let mut text =
        "| size and cell | dispatches | submissions | a recurrent step: workgroups | dependent reads | MB of W_hh |\n\
                    |---|---|---|---|---|---|\n"
            .to_owned();
    for PlannedTraining { name, dispatches, submissions, steps: [forward, backward] } in trainings {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        text += &format!(
            "| {name} | {dispatches} | {submissions} | {} / {} | {} / {} | {:.1} / {:.1} |\n",
            forward.workgroups,
            backward.workgroups,
            forward.dependent_reads,
            backward.dependent_reads,
            mb(forward.weight_bytes),
            mb(backward.weight_bytes),
        );
    }
    text
}

/// A kernel as the compiler made it.
pub struct Report<'p> {
    pub kernel: &'p PlannedKernel,
    /// The workgroup's size.
    pub group: [u32; 3],
    pub compiled: Compiled,
    /// The loops that contain no other.
    pub loops: Vec<InnerLoop>,
}

impl Report<'_> {
    /// Registers that did not suffice: spilled ones, and bytes of memory in their place.
    ///
    /// # Errors
    /// If the driver does not say.
    pub fn spills(&self) -> Result<(u64, u64), String> {
        let of = |name| self.compiled.statistic(name);
        Ok((of("Spilled VGPRs")? + of("Spilled SGPRs")?, of("Scratch size")?))
    }

    /// The most waits for memory in a turn of any product's loop.
    pub fn most_waits(&self) -> usize {
        let products = self.loops.iter().filter(|found| found.turn.is_product());
        products.map(|found| found.turn.memory_waits).max().unwrap_or(0)
    }

    /// The figures in the order of the columns; `None` for those of a loop that is not there. The loop is the one with
    /// the most multiply-adds, or else the longest.
    fn figures(&self) -> Result<Vec<Option<u64>>, String> {
        let of = |name| self.compiled.statistic(name);
        let (spills, scratch) = self.spills()?;
        let work = self.loops.iter().max_by_key(|found| (found.turn.multiply_adds, found.turn.instructions));
        let inner = |figure: fn(&Turn) -> usize| [work.map(|found| figure(&found.turn) as u64)];
        let loads_and_waits = |turn: Option<&Turn>| {
            let turn = turn.map(|turn| [turn.loads.as_slice(), &[turn.memory_waits, turn.shared_waits]].concat());
            turn.map_or_else(
                || vec![None; 6],
                |figures| figures.into_iter().map(|figure| Some(figure as u64)).collect(),
            )
        };
        let around = work.and_then(|found| found.around.as_ref());
        let registers = [of("VGPRs")?, of("Subgroups per SIMD")?, spills, scratch, of("LDS size")?].map(Some);
        Ok([
            inner(|turn| turn.instructions).as_slice(),
            &inner(|turn| turn.vector),
            &inner(|turn| turn.multiply_adds),
            &loads_and_waits(work.map(|found| &found.turn)),
            &registers,
            &[around.map(|turn| turn.vector as u64)],
            &loads_and_waits(around),
        ]
        .concat())
    }
}

/// Kernels in one line of the table.
#[derive(Default)]
struct Line<'p> {
    sizes: Vec<&'p str>,
    /// Of each kernel.
    figures: Vec<Vec<Option<u64>>>,
}

impl Line<'_> {
    fn cells(&self, name: &str) -> Vec<String> {
        let sizes: Vec<&str> = SIZES.into_iter().filter(|size| self.sizes.contains(size)).collect();
        let mut cells = vec![name.to_owned(), sizes.join(" "), self.figures.len().to_string()];
        let mut at = 0;
        for (_, count) in COLUMNS {
            let parts: Vec<String> = (at..at + count).map(|figure| self.range(figure)).collect();
            // A loop that is not there has none of its figures.
            cells.push(if parts[0] == "–" { "–".into() } else { parts.join("/") });
            at += count;
        }
        cells
    }

    /// The smallest and the largest value of a figure.
    fn range(&self, figure: usize) -> String {
        let values = || self.figures.iter().filter_map(|figures| figures[figure]);
        match (values().min(), values().max()) {
            (Some(least), Some(most)) if least < most => format!("{least}–{most}"),
            (least, _) => least.map_or_else(|| "–".into(), |least| least.to_string()),
        }
    }
}

/// The table in Markdown. Of the sizes of `bptt bench`, kernels with the same name and figures share a line, which has
/// their number; of the other sizes, those with the same innermost loop, and what else differs is a range.
///
/// # Errors
/// If the driver does not say one of the figures.
pub fn table(reports: &[Report<'_>]) -> Result<String, String> {
    let mut lines: BTreeMap<(&str, bool, Vec<Option<u64>>), Line<'_>> = BTreeMap::new();
    for report in reports {
        let (kernel, figures) = (report.kernel, report.figures()?);
        let of_bench = kernel.sizes.iter().any(|size| is_of_bench(size));
        let shared = if of_bench { figures.clone() } else { figures[..OF_LOOP].to_vec() };
        let line = lines.entry((&kernel.compiled.name, !of_bench, shared)).or_default();
        line.sizes.extend(&kernel.sizes);
        line.figures.push(figures);
    }
    let heads = ["kernel", "sizes", "pipelines"].into_iter().chain(COLUMNS.map(|(head, _)| head));
    let mut rows = vec![heads.map(String::from).collect::<Vec<_>>()];
    rows.extend(lines.iter().map(|((name, ..), line)| line.cells(name)));
    let widths: Vec<usize> =
        (0..rows[0].len()).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    rows.insert(1, widths.iter().map(|width| "-".repeat(*width)).collect());
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    Ok(rows.iter().map(line).collect())
}
