//! Validation of a cell's definition: the order of the sums that the matrix products require, and the names.

use super::definition::CellDefinition;
use super::functions::Sum;
use crate::error::{Error, Result};

/// The most sums, and the most parameters of its own, that a unit has.
const MOST: usize = 16;

/// The names of this crate's own cells.
const OWN: [&str; 3] = ["rnn", "lstm", "gru"];

/// The names of parameters that every layer may have.
const PRODUCTS: [&str; 4] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];

/// Checks a definition.
///
/// # Errors
/// [`Error::Value`] names what is wrong.
pub(super) fn check(cell: &'static dyn CellDefinition) -> Result<()> {
    let is_name = |name: &str| {
        let rest = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        name.starts_with(|first: char| first.is_ascii_lowercase()) && name.chars().all(rest)
    };
    if !is_name(cell.name()) || OWN.contains(&cell.name()) {
        let expected = "lower-case letters, digits and underscores, and another name than rnn, lstm and gru";
        return Err(Error::value("the name of a cell", expected, format!("{:?}", cell.name())));
    }
    let wrong = |what: &str, expected: String, got: String| {
        Err(Error::value(format!("{what} of the cell {}", cell.name()), expected, got))
    };
    let own = cell.parameters();
    for (index, parameter) in own.iter().enumerate() {
        let is_taken =
            PRODUCTS.contains(&parameter.name) || own[..index].iter().any(|other| other.name == parameter.name);
        if !is_name(parameter.name) || is_taken {
            let expected = "names of lower-case letters, digits and underscores that are not taken";
            return wrong("the parameters", expected.into(), format!("{:?}", parameter.name));
        }
    }
    if own.len() > MOST || cell.sums().len() > MOST {
        let got = format!("{} and {}", cell.sums().len(), own.len());
        return wrong("the sums and the parameters", format!("at most {MOST} each"), got);
    }
    if let Some(gate) = cell.forget_gate().filter(|gate| *gate >= cell.sums().len()) {
        return wrong("FORGET_GATE", format!("the index of one of {} sums", cell.sums().len()), gate.to_string());
    }
    check_sums(cell.sums()).or_else(|(expected, got)| wrong("the sums", expected, got))
}

/// Checks the order of the sums. Fails with what was expected and what was found.
fn check_sums(sums: &[Sum]) -> Result<(), (String, String)> {
    let input: Vec<usize> = sums.iter().filter_map(|sum| sum.input).collect();
    let recurrent: Vec<usize> = sums.iter().filter_map(|sum| sum.recurrent).collect();
    let numbered = |(index, sum): (usize, &Sum)| format!("sum {index}, of gate {:?}", sum.name);
    if input.is_empty() {
        return Err(("at least one that reads x".into(), "none".into()));
    }
    if let Some(sum) = sums.iter().enumerate().take(input.len()).find(|(_, sum)| sum.input.is_none()) {
        return Err(("those that read x before the others".into(), format!("{} among them", numbered(sum))));
    }
    let last = sums.len() - recurrent.len();
    if let Some(sum) = sums.iter().enumerate().skip(last).find(|(_, sum)| sum.recurrent.is_none()) {
        return Err(("those that read h after the others".into(), format!("{} among them", numbered(sum))));
    }
    if !recurrent.iter().copied().eq(0..recurrent.len()) {
        let expected = format!("the blocks of W_hh in their order, 0 to {}", recurrent.len() - 1);
        return Err((expected, format!("{recurrent:?}")));
    }
    let mut sorted = input.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..input.len()) {
        return Err((format!("each block of W_ih from 0 to {} once", input.len() - 1), format!("{input:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_sums;
    use crate::cells::{Cell, Sum};
    use crate::model::Activation;

    #[test]
    fn the_sums_of_this_crates_cells_are_in_order() {
        for cell in [Cell::Rnn(Activation::Tanh), Cell::Lstm, Cell::Gru] {
            check_sums(cell.definition().sums()).unwrap();
        }
    }

    #[test]
    fn sums_in_an_unsupported_order_are_refused_by_name() {
        let (input, state, both) = (Sum::of_input("a", 0), Sum::of_state("b", 0), Sum::of_both("c", 0, 0));
        let refused = |sums: &[Sum]| {
            let (expected, got) = check_sums(sums).unwrap_err();
            format!("expected {expected}, got {got}")
        };
        check_sums(&[input]).unwrap();
        check_sums(&[input, state]).unwrap();
        assert_eq!(refused(&[]), "expected at least one that reads x, got none");
        assert_eq!(
            refused(&[state, input]),
            "expected those that read x before the others, got sum 0, of gate \"b\" among them"
        );
        assert_eq!(
            refused(&[both, Sum::of_input("d", 1)]),
            "expected those that read h after the others, got sum 1, of gate \"d\" among them"
        );
        let swapped = [Sum::of_both("i", 0, 1), Sum::of_both("f", 1, 0)];
        assert_eq!(refused(&swapped), "expected the blocks of W_hh in their order, 0 to 1, got [1, 0]");
        assert_eq!(refused(&[input, both]), "expected each block of W_ih from 0 to 1 once, got [0, 0]");
    }
}
