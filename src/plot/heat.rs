//! Cells whose colour tells a value between 0 and 1, and what is written on them.

use super::drawing::{Anchor, Drawing, text_width};

/// Up to here the colour lets the page through so much that text in the page's own ink, black on a light one and white on
/// a dark one, has more contrast than its opposite; from here on less. Both are then at least 4.5.
const TURN: f64 = 0.78;

/// Values below this do not differ from 0 to the eye.
pub(super) const LEAST: f64 = 0.02;

/// A cell of `[width, height]` at `[x, y]`, and in it nothing where `strength` is 0, the full colour of `class` where it
/// is 1.
pub(super) fn cell(drawing: &mut Drawing, class: &str, [x, y]: [f64; 2], [width, height]: [f64; 2], strength: f64) {
    if strength >= LEAST {
        let place = format!("x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"");
        drawing.put(format_args!("<rect class=\"{class}\" {place} fill-opacity=\"{strength:.2}\"/>"));
    }
}

/// The class of a text on a cell.
pub(super) fn ink(strength: f64) -> &'static str {
    if strength <= TURN { "low" } else { "high" }
}

/// What the strengths mean: a square for each, with its label, from `[x, y]` on. Returns the next free x.
pub(super) fn key(drawing: &mut Drawing, classes: &[&str], [x, y]: [f64; 2], steps: &[(f64, &str)]) -> f64 {
    let mut at = x;
    for (strength, label) in steps {
        for class in classes {
            drawing.rectangle("page", [at, y], [14.0, 14.0]);
            cell(drawing, class, [at, y], [14.0, 14.0], *strength);
            at += 16.0;
        }
        drawing.text(at + 2.0, y + 11.5, "small", Anchor::Start, label);
        at += text_width(label, 11.0) + 16.0;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::drawing::STYLE;
    use super::*;

    fn colour(style: &str, class: &str) -> [f64; 3] {
        let rule = style.split('}').find_map(|rule| rule.rsplit_once(&format!(".{class}{{fill:#"))).unwrap().1;
        let digits: String = rule.chars().take_while(char::is_ascii_hexdigit).collect();
        let digits = if digits.len() == 3 { digits.chars().flat_map(|d| [d, d]).collect() } else { digits };
        [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()))
    }

    /// WCAG 2.2: the relative luminance, and the ratio of two.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let linear = |value: f64| match value / 255.0 {
            value if value <= 0.04045 => value / 12.92,
            value => ((value + 0.055) / 1.055).powf(2.4),
        };
        let [a, b] = [a, b]
            .map(|[red, green, blue]| 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn every_text_on_a_cell_has_the_contrast_of_wcag_aa_on_both_pages() {
        let (light, dark) = STYLE.split_once("@media").unwrap();
        for style in [light, dark] {
            let page = colour(style, "page");
            for class in ["right", "wrong"] {
                for strength in (0..=100).map(|percent| f64::from(percent) / 100.0) {
                    let full = colour(style, class);
                    let mixed = [0, 1, 2].map(|n| full[n] * strength + page[n] * (1.0 - strength));
                    let ratio = contrast(mixed, colour(style, ink(strength)));
                    assert!(ratio >= 4.5, "{class} at {strength}: {ratio:.2}");
                }
            }
        }
    }

    #[test]
    fn every_other_text_has_the_contrast_of_wcag_aa_on_both_pages() {
        let (light, dark) = STYLE.split_once("@media").unwrap();
        for style in [light, dark] {
            let grey: &str = style.split("text{").nth(1).unwrap().split("fill:#").nth(1).unwrap();
            let grey = [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&grey[at..at + 2], 16).unwrap()));
            let inks = ["name", "given", "drawn", "halo"].map(|class| colour(style, class));
            for ink in inks.into_iter().chain([grey]) {
                for page in ["page", "band"].map(|class| colour(style, class)) {
                    assert!(contrast(ink, page) >= 4.5, "{ink:?} on {page:?}: {:.2}", contrast(ink, page));
                }
            }
        }
    }
}
