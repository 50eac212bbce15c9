//! Commands other than `train`, `flow`, `bench` and `devices`.

pub(crate) mod apply;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod forecast;
pub(crate) mod gradcheck;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod model_args;
pub(crate) mod plan;
pub(crate) mod predict;
pub(crate) mod sample;
pub(crate) mod stream;
