//! Data that are not as anybody wrote them.

use std::fs;

use super::case::{Case, each};
use super::changes::change_bytes;
use super::runs::{OUT, RUNS, Run, Wholes, data};
use super::tree::copy;

fn begin(case: &Case<'_>, wholes: &Wholes) -> Result<(), String> {
    data(case.folder());
    copy(&wholes.of(Run::named("sunspots"))?.0.join(OUT), &case.folder().join(OUT));
    Ok(())
}

#[test]
fn data_whose_bytes_were_changed_are_read_or_refused() {
    let wholes = Wholes::default();
    each("mutated data", 80, |case| {
        begin(case, &wholes)?;
        let files =
            ["series.csv", "text.txt", "classes.ts", "values.csv", "x.npy", "y.npy", "rolls.json", "names/one.txt"];
        let name = case.pick(&files);
        let path = case.folder().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let other = fs::read(case.folder().join(case.pick(&files))).unwrap();
        (0..1 + case.below(4)).for_each(|_| change_bytes(&mut bytes, &other, case));
        fs::write(&path, bytes).unwrap();
        let file = name.split('/').next().unwrap_or(name);
        let run = RUNS.into_iter().find(|run| run.1.contains(file)).unwrap();
        let words = format!("train {} --device cpu --threads 1 --out out", run.1);
        let ended = case.bptt(&words).go()?;
        if ended.code == 0 {
            case.bptt("eval out --device cpu --threads 1 --json").go()?;
            case.bptt("predict out --device cpu --threads 1").go()?;
        }
        Ok(())
    });
}
