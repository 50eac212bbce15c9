//! The lengths of sequences: a line for the terminal and a picture.

use std::collections::BTreeMap;

use super::axis::round_step;
use super::chart::{Cell, Chart, Mark, Panel, Scale, Shape};
use super::drawing::Drawing;
use crate::format::grouped;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The number of bins in the picture.
const BINS: usize = 60;
/// The number of bins in the line: more show nothing new at the height of a letter.
const LINE_BINS: usize = 32;

/// The number of sequences of each length. Collected from the length of each: its memory grows only with the number of
/// different lengths, and there may be millions of sequences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lengths(BTreeMap<usize, usize>);

impl FromIterator<usize> for Lengths {
    fn from_iter<I: IntoIterator<Item = usize>>(lengths: I) -> Self {
        let mut counts = BTreeMap::new();
        lengths.into_iter().for_each(|length| *counts.entry(length).or_default() += 1);
        Self(counts)
    }
}

impl Lengths {
    /// Whether there are sequences of different lengths.
    pub fn vary(&self) -> bool {
        self.0.len() > 1
    }

    /// `7–29 steps  ▂▅█▇▃▁  median 15`, in at most `width` columns, or without a histogram if there is no room. A bin
    /// that is not empty has at least the lowest block.
    pub fn line(&self, width: usize) -> String {
        if self.0.is_empty() {
            return "no sequences".into();
        }
        let (span, median) = (self.span(), format!("median {}", number(self.median())));
        let free = width.saturating_sub(span.chars().count() + median.chars().count() + 4).min(LINE_BINS);
        let (bins, _) = self.bins(free.max(1));
        if bins.len() < 2 || free < 2 {
            return span;
        }
        let highest = bins.iter().map(|(_, count)| *count).max().unwrap_or(1);
        let block = |(_, count): &(usize, usize)| match count {
            0 => ' ',
            count => BLOCKS[(count * BLOCKS.len()).div_ceil(highest) - 1],
        };
        format!("{span}  {}  {median}", bins.iter().map(block).collect::<String>())
    }

    /// `title` is followed by the least and the greatest length and the median.
    pub fn draw(&self, title: &str) -> Drawing {
        let (bins, width) = self.bins(BINS);
        // The bar of a single length is centred on it.
        let shift = if width == 1 { 0.5 } else { 0.0 };
        let bar = |(from, count): &(usize, usize)| {
            let from = *from as f64 - shift;
            Cell { x: [from, from + width as f64], y: [0.0, *count as f64], opacity: 1.0, ..Cell::default() }
        };
        let title = if self.0.is_empty() {
            format!("{title}: no sequences")
        } else {
            format!("{title}: {}, median {}", self.span(), number(self.median()))
        };
        let description = "The number of sequences of each length. A batch takes as many steps as its longest \
                           sequence, so a long tail costs time and memory.";
        let x_name = if width > 1 { format!("steps, in bins of {}", number(width)) } else { "steps".into() };
        let marks = vec![Mark::new("", "bar", Shape::Cells(bins.iter().map(bar).collect(), &[]))];
        let panel = Panel { name: "sequences".into(), height: 190.0, y_scale: Scale::Whole, marks, ..Panel::default() };
        let (description, x_scale, panels) = (description.into(), Scale::Whole, vec![panel]);
        Chart { title, description, x_name, x_scale, panels, ..Chart::default() }.draw()
    }

    /// The least and the greatest.
    fn ends(&self) -> Option<(usize, usize)> {
        Some((*self.0.first_key_value()?.0, *self.0.last_key_value()?.0))
    }

    fn span(&self) -> String {
        match self.ends() {
            Some((1, 1)) => "1 step each".into(),
            Some((least, most)) if least == most => format!("{} steps each", number(least)),
            Some((least, most)) => format!("{}–{} steps", number(least), number(most)),
            None => String::new(),
        }
    }

    /// The upper one of two in the middle.
    fn median(&self) -> usize {
        let half = self.0.values().sum::<usize>() / 2;
        let mut up_to = 0;
        let is_beyond_half = |(_, count): &(&usize, &usize)| {
            up_to += **count;
            up_to > half
        };
        self.0.iter().find(is_beyond_half).map_or(0, |(length, _)| *length)
    }

    /// At most `most` bins, or two: the first length and the count of each. Their width, a round number.
    fn bins(&self, most: usize) -> (Vec<(usize, usize)>, usize) {
        let Some((least, greatest)) = self.ends() else { return (Vec::new(), 1) };
        let span = (greatest - least + 1) as f64;
        // The first bin begins at a multiple of the width, so one more may be needed.
        let width = if span as usize <= most { 1.0 } else { round_step(span, most.saturating_sub(1).max(1)) };
        let width = (width as usize).max(1);
        let first = least / width;
        let mut bins: Vec<(usize, usize)> = (first..=greatest / width).map(|bin| (bin * width, 0)).collect();
        self.0.iter().for_each(|(length, count)| bins[length / width - first].1 += count);
        (bins, width)
    }
}

fn number(count: usize) -> String {
    grouped(count as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(each: &[usize]) -> Lengths {
        each.iter().copied().collect()
    }

    #[test]
    fn the_line_shows_each_length_where_they_are_few() {
        let few: Lengths = [(7, 2), (8, 8), (9, 4), (11, 1)].iter().flat_map(|(l, n)| vec![*l; *n]).collect();
        assert_eq!(few.line(80), "7–11 steps  ▂█▄ ▁  median 8");
        assert_eq!(few.line(20), "7–11 steps");
        assert_eq!(
            [&[][..], &[1], &[1200, 1200]].map(|l| lengths(l).line(80)),
            ["no sequences", "1 step each", "1,200 steps each"]
        );
    }

    #[test]
    fn no_line_is_wider_than_asked_and_no_sequence_is_lost() {
        let many: Lengths = (0..5000).map(|n| 3 + n * n % 7919).collect();
        for width in 30..120 {
            assert!(many.line(width).chars().count() <= width);
        }
        for most in 1..200 {
            let (bins, _) = many.bins(most);
            assert!(bins.len() <= most.max(2), "{} of {most}", bins.len());
            assert_eq!(bins.iter().map(|(_, count)| count).sum::<usize>(), 5000);
        }
    }

    #[test]
    fn the_title_contains_the_median_and_has_a_bar_a_bin() {
        let svg = lengths(&[7, 8, 8, 9]).draw("sequences").file();
        assert!(svg.contains("<title>sequences: 7–9 steps, median 8</title>"), "{svg}");
        assert_eq!(svg.matches("<rect class=\"bar\"").count(), 3);
        assert!(lengths(&[]).draw("sequences").file().contains("no sequences"));
        assert!(lengths(&[usize::MAX, 1]).draw("s").file().contains("<rect"));
    }

    #[test]
    fn the_median_is_the_upper_one_of_two_in_the_middle_in_any_order() {
        let of_each = [&[4][..], &[9, 2], &[5, 1, 5], &[8, 1, 1, 8], &[1, 8, 1, 1], &[3, 1, 2, 2, 9, 9]];
        assert_eq!(of_each.map(|each| lengths(each).median()), [4, 9, 5, 8, 1, 3]);
    }

    #[test]
    fn millions_of_sequences_take_the_memory_of_their_different_lengths() {
        let many: Lengths = (0..2_000_000).map(|n| 1 + n % 3).collect();
        assert_eq!((many.0.len(), many.vary(), many.median()), (3, true, 2));
        assert!(!lengths(&[7, 7]).vary());
    }
}
