//! How long sequences are: a line for the terminal and a picture.

use super::axis::round_step;
use super::chart::{Bar, Chart, Panel};
use super::drawing::Drawing;
use crate::format::grouped;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Bins of the picture.
const BINS: usize = 60;
/// Bins of the line: more say no more at the height of a letter.
const LINE_BINS: usize = 32;

/// Lengths of sequences.
pub struct Lengths<'a>(pub &'a [usize]);

impl Lengths<'_> {
    /// `7–29 steps  ▂▅█▇▃▁  median 15`, in at most `width` columns, without the blocks where they have no room. An empty
    /// bin is a space, and one that is not empty at least the lowest block.
    pub fn line(&self, width: usize) -> String {
        let (Some(least), Some(most)) = (self.0.iter().min(), self.0.iter().max()) else {
            return "no sequences".into();
        };
        let (span, median) = (self.span(), format!("median {}", number(self.median())));
        if least == most {
            return span;
        }
        let free = width.saturating_sub(span.chars().count() + median.chars().count() + 4).min(LINE_BINS);
        if free < 2 {
            return span;
        }
        let bins = self.bins(free);
        let highest = bins.iter().map(|(_, count)| *count).max().unwrap_or_default().max(1);
        let block = |(_, count): &(usize, usize)| match count {
            0 => ' ',
            count => BLOCKS[(count * BLOCKS.len()).div_ceil(highest) - 1],
        };
        format!("{span}  {}  {median}", bins.iter().map(block).collect::<String>())
    }

    /// `title` is followed by the least and the greatest length and the median.
    pub fn draw(&self, title: &str) -> Drawing {
        let bins = self.bins(BINS);
        let width = bins.windows(2).map(|pair| pair[1].0 - pair[0].0).next().unwrap_or(1);
        // A bin of one length stands over it.
        let shift = if width == 1 { 0.5 } else { 0.0 };
        let bar = |(from, count): &(usize, usize)| {
            let from = *from as f64 - shift;
            Bar { from, until: from + width as f64, height: *count as f64 }
        };
        let mut panel = Panel::new("sequences", 190.0, Vec::new());
        panel.bars = bins.iter().map(bar).collect();
        let title = match self.0 {
            [] => format!("{title}: no sequences"),
            _ => format!("{title}: {}, median {}", self.span(), number(self.median())),
        };
        let description = "How many sequences have which length: a batch takes as many steps as its longest sequence, so \
                           that a long tail costs time and memory.";
        let x_name = if width > 1 { format!("steps, in bins of {}", number(width)) } else { "steps".into() };
        let (description, panels) = (description.into(), vec![panel]);
        Chart { title, description, x_name, x_labels: None, x_counts: true, x_from_0: false, panels }.draw()
    }

    fn span(&self) -> String {
        match (self.0.iter().min(), self.0.iter().max()) {
            (Some(1), Some(1)) => "1 step each".into(),
            (Some(least), Some(most)) if least == most => format!("{} steps each", number(*least)),
            (Some(least), Some(most)) => format!("{}–{} steps", number(*least), number(*most)),
            _ => String::new(),
        }
    }

    /// The upper one of two in the middle.
    fn median(&self) -> usize {
        let mut sorted = self.0.to_vec();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// At most so many bins of equal and round width: the first length and the count of each.
    fn bins(&self, most: usize) -> Vec<(usize, usize)> {
        let (Some(least), Some(greatest)) = (self.0.iter().min(), self.0.iter().max()) else { return Vec::new() };
        // One bin more than fit in the span may be needed where it does not begin at a multiple.
        let span = (greatest - least + 1) as f64;
        let width = (round_step(span, most.saturating_sub(1).max(1)) as usize).max(1);
        let width = if span as usize <= most { 1 } else { width };
        let first = least / width;
        let mut bins: Vec<(usize, usize)> = (first..=greatest / width).map(|bin| (bin * width, 0)).collect();
        self.0.iter().for_each(|length| bins[length / width - first].1 += 1);
        bins
    }
}

fn number(count: usize) -> String {
    grouped(count as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_shows_each_length_where_they_are_few() {
        let lengths: Vec<usize> = [(7, 2), (8, 8), (9, 4), (11, 1)].iter().flat_map(|(l, n)| vec![*l; *n]).collect();
        assert_eq!(Lengths(&lengths).line(80), "7–11 steps  ▂█▄ ▁  median 8");
        assert_eq!(Lengths(&lengths).line(20), "7–11 steps");
        assert_eq!(
            [&[][..], &[1], &[1200, 1200]].map(|l| Lengths(l).line(80)),
            ["no sequences", "1 step each", "1,200 steps each"]
        );
    }

    #[test]
    fn no_line_is_wider_than_asked_and_no_sequence_is_lost() {
        let lengths: Vec<usize> = (0..5000).map(|n| 3 + n * n % 7919).collect();
        for width in 30..120 {
            assert!(Lengths(&lengths).line(width).chars().count() <= width);
        }
        for most in 1..200 {
            let bins = Lengths(&lengths).bins(most);
            assert!(bins.len() <= most.max(2), "{} of {most}", bins.len());
            assert_eq!(bins.iter().map(|(_, count)| count).sum::<usize>(), 5000);
        }
    }

    #[test]
    fn the_picture_tells_the_median_and_has_a_bar_a_bin() {
        let svg = Lengths(&[7, 8, 8, 9]).draw("sequences").file();
        assert!(svg.contains("<title>sequences: 7–9 steps, median 8</title>"), "{svg}");
        assert_eq!(svg.matches("<rect class=\"bar\"").count(), 3);
        assert!(Lengths(&[]).draw("sequences").file().contains("no sequences"));
        assert!(Lengths(&[usize::MAX, 1]).draw("s").file().contains("<rect"));
    }
}
