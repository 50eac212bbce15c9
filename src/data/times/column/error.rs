//! Why a column cannot be read as times.

use crate::data::input::encoding::quoted;
use crate::data::times::label::{self, DateOrder, Texts, formatter};

/// Why a column could not be read.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) enum TimeError {
    /// This label does not fit, while others with its form do.
    Odd { row: usize, like: usize, date: bool },
    /// This label cannot be read in the given order, but in this other one.
    Told { row: usize, told: DateOrder, other: DateOrder },
    /// Days of six digits, as in `310124`, from this label on.
    SixDigits { row: usize },
    /// Orders of day and month that all remain possible.
    Ask { row: usize, orders: Vec<DateOrder> },
    /// None or too few of the labels are times.
    Unknown,
}

impl TimeError {
    /// The row, what was expected of its label, and what it is; `None` if no label is a time.
    pub(in crate::data) fn words<L: Texts + ?Sized>(
        &self,
        labels: &L,
        told: Option<DateOrder>,
    ) -> Option<(usize, String, String)> {
        let label = |row: usize| labels.text(row);
        let got = |row: usize| match label(row).trim() {
            "" => "an empty label".to_owned(),
            label => quoted(label),
        };
        Some(match self {
            Self::Odd { row, like, date } => {
                let what = if *date { "date" } else { "number" };
                let order = told.map(|order| format!(", read {}", order.words())).filter(|_| *date).unwrap_or_default();
                let zone = DateOrder::ALL.iter().find_map(|order| label::zone_error(label(*row), *order));
                let why = zone.map(|zone| format!(", {zone}")).unwrap_or_default();
                (*row, format!("a {what} like {}{order}", quoted(label(*like))), got(*row) + &why)
            }
            Self::Told { row, told, other } => {
                let expected = format!("a date that can be read {}, as set by --dates or the model", told.words());
                (*row, expected, format!("{}, which is {}", got(*row), readings(label(*row), &[*other])))
            }
            Self::SixDigits { row } => (*row, FOUR_DIGITS.into(), got(*row)),
            Self::Ask { row, orders } => {
                let names: Vec<&str> = orders.iter().map(|order| order.name()).collect();
                let expected = format!("--dates to tell how dates are written, {}", names.join(" or "));
                (*row, expected, format!("{}, which is {}", got(*row), readings(label(*row), orders)))
            }
            Self::Unknown => return None,
        })
    }
}

/// The message for days such as `310124`.
const FOUR_DIGITS: &str =
    "dates with a year of four digits, such as 2024-01-31, since those of six digits are in no order as numbers";

/// `5 March 2021 day first, 3 May 2021 month first`.
pub(in crate::data) fn readings(label: &str, orders: &[DateOrder]) -> String {
    let reading = |order: &DateOrder| {
        let time = label::read(label, *order, &mut Vec::new())?;
        Some(format!("{} {}", formatter::words(&time)?, order.words()))
    };
    orders.iter().filter_map(reading).collect::<Vec<_>>().join(", ")
}
