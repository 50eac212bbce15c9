//! A run's report as one page.

pub(crate) struct Figure {
    pub(crate) file: String,
    pub(crate) caption: String,
    pub(crate) svg: String,
}

pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

pub(crate) struct Report {
    pub(crate) title: String,
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) lines: Vec<String>,
    pub(crate) tables: Vec<Table>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) command: String,
}

impl Report {
    pub(crate) fn html(&self) -> String {
        self.lines.join("\n")
    }
}
