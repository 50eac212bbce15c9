//! Numbers and names in the notation of text files.

pub(super) mod column_names;
pub(super) mod decimal;
pub(super) mod missing;
pub(super) mod number;
pub(super) mod numeric_name;

pub use column_names::list_names;
pub use decimal::DecimalMark;
pub use missing::MissingPolicy;
