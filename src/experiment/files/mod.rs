//! The files of a run.

pub mod arithmetic;
pub mod checkpoints;
pub mod digest;
pub mod flow_log;
pub mod folder;
pub mod history;
pub mod names;
pub mod new_file;
pub mod own_file;
pub mod spreadsheet;
pub mod tensorboard;
