//! The order of day, month and year in a date.

use serde::{Deserialize, Serialize};

/// The order of a date in digits whose year comes last, as in `5/3/2021`, or has two digits, as in `05.03.21`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateOrder {
    /// 5 March 2021.
    DayFirst,
    /// 3 May 2021.
    MonthFirst,
    /// Only for two-digit years: 21 March 2005.
    YearFirst,
}

impl DateOrder {
    /// All orders.
    pub(in crate::data) const ALL: [Self; 3] = [Self::DayFirst, Self::MonthFirst, Self::YearFirst];

    /// The value of the flag.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DayFirst => "day-first",
            Self::MonthFirst => "month-first",
            Self::YearFirst => "year-first",
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::DayFirst => "day first",
            Self::MonthFirst => "month first",
            Self::YearFirst => "year first",
        }
    }
}
