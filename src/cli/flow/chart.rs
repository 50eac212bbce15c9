//! Plots norms over steps as text, for any terminal width and legible without colour.

/// Height of the chart in lines.
const ROWS: usize = 16;

/// The marks of the lines, so that they do not depend on colour.
const MARKS: [char; 8] = ['●', '▲', '■', '◆', '○', '△', '□', '◇'];

/// The mark of a line.
pub(crate) fn mark(line: usize) -> char {
    MARKS[line % MARKS.len()]
}

/// The width of a chart for a terminal width.
pub(crate) fn width(columns: usize) -> usize {
    columns.clamp(40, 160)
}

/// The norms of each line by t on a logarithmic axis, against time: the last step is on the left. Values that are 0 or
/// not finite are left out.
pub(crate) fn chart(lines: &[&[f64]], columns: usize) -> Vec<String> {
    let logs = |line: &[f64]| line.iter().map(|norm| norm.log10()).collect::<Vec<_>>();
    let lines: Vec<Vec<f64>> = lines.iter().map(|line| logs(line)).collect();
    let finite = || lines.iter().flatten().copied().filter(|log| log.is_finite());
    let steps = lines.iter().map(Vec::len).max().unwrap_or(0);
    if finite().next().is_none() {
        return vec!["every norm is 0".into()];
    }
    let (least, most) =
        (finite().fold(f64::INFINITY, f64::min).floor(), finite().fold(f64::NEG_INFINITY, f64::max).ceil());
    let span = (most - least).max(1.0);
    let label = |row: usize| most - span * row as f64 / (ROWS - 1) as f64;
    let width = columns - 10;
    let mut grid = vec![vec![' '; width]; ROWS];
    // The first line is drawn on top.
    for (index, line) in lines.iter().enumerate().rev() {
        for (t, log) in line.iter().enumerate().filter(|(_, log)| log.is_finite()) {
            let row = ((most - log) / span * (ROWS - 1) as f64).round() as usize;
            grid[row.min(ROWS - 1)][column_of(t, width, steps)] = mark(index);
        }
    }
    let row = |(index, cells): (usize, &Vec<char>)| {
        // A label at every third row; whole powers of ten need not fall on each.
        let text = if index.is_multiple_of(3) { format!("{:.0e}", 10f64.powf(label(index))) } else { String::new() };
        let cells: String = cells.iter().collect();
        format!("{text:>8} │{}", cells.trim_end())
    };
    let mut chart: Vec<String> = grid.iter().enumerate().map(row).collect();
    chart.push(format!("{:>8} └{}", "", "─".repeat(width)));
    let (first, last) = (format!("t = {}", steps.saturating_sub(1)), "t = 0".to_owned());
    let between = width.saturating_sub(first.chars().count() + last.chars().count());
    chart.push(format!("{:>10}{first}{}{last}", "", " ".repeat(between)));
    chart
}

/// The column of a step.
fn column_of(t: usize, width: usize, steps: usize) -> usize {
    let last = steps - 1;
    // To the nearest column; a single step is on the left.
    ((last - t) * (width - 1) + last / 2) / last.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vanishing_line_falls_to_the_right_at_any_width() {
        let norms: Vec<f64> = (0..50).map(|t| 10f64.powi(t - 49)).collect();
        for columns in [40, 80, 160] {
            let chart = chart(&[&norms, &[1.0; 50]], columns);
            assert!(chart.iter().all(|line| line.chars().count() <= columns), "{columns}");
            assert_eq!(chart[0].chars().nth(10), Some('●'), "the last step, on top of the other line");
            assert_eq!(chart[0].chars().last(), Some('▲'));
            assert_eq!(chart[15].chars().last(), Some('●'));
            assert!(chart[0].trim_start().starts_with("1e0 │") && chart[15].trim_start().starts_with("1e-49 │"));
            assert!(chart.last().unwrap().ends_with("t = 0"));
        }
    }

    #[test]
    fn values_without_a_logarithm_are_not_drawn() {
        assert_eq!(chart(&[&[0.0, 0.0]], 80), ["every norm is 0"]);
        let chart = chart(&[&[0.0, f64::NAN, 1.0], &[]], 80);
        assert_eq!(chart.iter().flat_map(|line| line.chars()).filter(|c| *c == '●').count(), 1);
    }
}
