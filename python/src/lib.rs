//! The Python module `bptt._bptt`: the library's models, trainers and runs for NumPy arrays.

mod arguments;
mod arrays;
mod compute;
mod errors;
mod logger;
mod model;
mod numbers;
mod placed;
mod recurrent;
mod runs;
mod trainer;
mod words;

use pyo3::prelude::*;

#[pymodule]
fn _bptt(module: &Bound<'_, PyModule>) -> PyResult<()> {
    logger::listen();
    module.add("__version__", bptt::VERSION)?;
    errors::register(module)?;
    module.add_class::<model::Cell>()?;
    module.add_class::<model::Head>()?;
    module.add_class::<model::Model>()?;
    module.add_class::<model::Optimizer>()?;
    module.add_class::<trainer::Trainer>()?;
    module.add_class::<recurrent::Recurrent>()?;
    runs::register(module)
}
