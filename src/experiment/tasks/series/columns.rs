//! Which columns of a file are read, and as what.

use std::collections::HashSet;
use std::path::Path;

use crate::data::{ColumnRoles, LongForm, SeriesCodec, SeriesTable, list_names};
use crate::experiment::config::SeriesConfig;
use crate::experiment::config::agree::{as_the_model, unsupported};
use crate::{Error, Result};

/// The columns of a file in long form; `None` if each column is a series.
pub(super) fn long_form(
    data: &mut SeriesConfig,
    model: Option<&SeriesCodec>,
    columns: &[String],
    path: &Path,
) -> Result<Option<LongForm>> {
    let of_model = model.and_then(|codec| codec.long.as_ref());
    if data.id.is_none() && of_model.is_none() {
        return if data.statics.is_some() {
            Err(unsupported("--static is for the long form, with --id: other tables have no column for it"))
        } else if data.time.is_some() {
            Err(unsupported("--time is for the long form, with --id; otherwise the first column has the times"))
        } else {
            Ok(None)
        };
    }
    if let (Some(id), Some(_), None) = (&data.id, model, of_model) {
        return Err(unsupported(format!("--id {id}: the model was trained on a file with a column for each series")));
    }
    if data.features.is_some() || data.known.is_some() {
        return Err(unsupported("--features and --known need a column for each series, and --id is the long form"));
    }
    let of = |name: fn(&LongForm) -> &String| of_model.map(|form| name(form).clone());
    let id = as_the_model("id", &mut data.id, of(|form| &form.id), String::new())?;
    let other = |taken: &[&String]| columns.iter().find(|name| !name.is_empty() && !taken.contains(name)).cloned();
    let time = as_the_model("time", &mut data.time, of(|form| &form.time), other(&[&id]).unwrap_or_default())?;
    for (flag, name) in [("--id", &id), ("--time", &time)] {
        if !columns.contains(name) {
            let names = list_names(columns.iter().map(String::as_str));
            let message = format!("expected the column {name:?} of {flag} among {names}");
            return Err(Error::Data { path: path.into(), place: String::new(), message });
        }
    }
    let fixed: Vec<&String> = data.statics.iter().flatten().collect();
    let is_static = |name: &String| fixed.iter().any(|given| static_name(given).0 == name);
    let others: Vec<&String> =
        columns.iter().filter(|name| !name.is_empty() && **name != id && **name != time && !is_static(name)).collect();
    let of_target = of_model.map(|form| vec![form.target.clone()]);
    if let ([other], None, None) = (&others[..], &data.target, &of_target) {
        data.target = Some(vec![(*other).clone()]);
    }
    let target = as_the_model("target", &mut data.target, of_target, Vec::new())?;
    match &target[..] {
        [target] => {
            let of_statics = of_model.map(|form| form.statics.clone());
            let statics = statics(data, of_statics)?;
            Ok(Some(LongForm { id, time, target: target.clone(), statics }))
        }
        _ => {
            let names = list_names(others.iter().map(|name| name.as_str()));
            let message =
                format!("expected --target COLUMN, one of {names}: the long form has the values in one column");
            Err(Error::Data { path: path.into(), place: String::new(), message })
        }
    }
}

/// The names of the static columns, from the settings or the model, which may have read numbers as classes.
fn statics(data: &mut SeriesConfig, of_model: Option<Vec<String>>) -> Result<Vec<String>> {
    let given = data.statics.as_ref().map(|names| names.iter().map(|name| static_name(name).0.to_owned()).collect());
    as_the_model("static", &mut given.clone(), of_model, Vec::new())
}

/// The name of a static column, and whether its numbers are classes.
pub(super) fn static_name(given: &str) -> (&str, bool) {
    given.trim().strip_suffix(":classes").map_or((given.trim(), false), |name| (name, true))
}

/// The ids of a file in long form as targets: those of the model, or all. Others are noted.
pub(super) fn ids(
    table: &SeriesTable,
    model: Option<&SeriesCodec>,
    path: &Path,
    notes: &mut Vec<String>,
) -> Result<ColumnRoles> {
    let all: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let Some(model) = model else {
        let targets = all.into_iter().map(str::to_owned).collect();
        return Ok(ColumnRoles { targets, ..ColumnRoles::default() });
    };
    let roles = model.roles();
    let known: HashSet<&str> = roles.targets.iter().map(String::as_str).collect();
    let here: HashSet<&str> = all.iter().copied().collect();
    let absent: Vec<&str> = roles.targets.iter().map(String::as_str).filter(|id| !here.contains(id)).collect();
    if let Some(first) = absent.first() {
        let others = if absent.len() > 1 { format!(" and {} more", absent.len() - 1) } else { String::new() };
        let message = format!("expected every series that the model was trained on, got no row of {first:?}{others}");
        return Err(Error::Data { path: path.into(), place: String::new(), message });
    }
    let new: Vec<&str> = all.into_iter().filter(|id| !known.contains(id)).collect();
    if !new.is_empty() {
        let names = list_names(new.iter().copied());
        notes.push(format!("left out, unknown to the model: {} series, {names}", new.len()));
    }
    Ok(roles)
}

/// The roles of the columns, from the flags, the model, or if there is no choice. `numbers` are the columns that have
/// numbers.
pub(super) fn roles(
    data: &mut SeriesConfig,
    model: Option<&SeriesCodec>,
    columns: &[String],
    numbers: &dyn Fn() -> Result<Vec<String>>,
    path: &Path,
) -> Result<ColumnRoles> {
    let in_message = |names: &[String]| list_names(names.iter().map(String::as_str));
    let is_in = |names: &[String], name: &str| names.iter().any(|other| other == name);
    for names in [&mut data.target, &mut data.features, &mut data.known].into_iter().flatten() {
        names.iter_mut().for_each(|name| *name = name.trim().to_owned());
    }
    let of_model = model.map(SeriesCodec::roles);
    let of_role = |names: fn(&ColumnRoles) -> &Vec<String>| of_model.as_ref().map(|roles| names(roles).clone());
    // An unnamed column, as after a trailing separator, is ignored.
    let named = || columns.iter().filter(|name| !name.is_empty());
    let others = || columns.iter().skip(1).filter(|name| !name.is_empty());
    if data.target.is_none() && model.is_none() {
        // Every series of a panel that has no other role.
        let panel = data.panel == Some(true);
        let taken: HashSet<&String> = [&data.known, &data.features].into_iter().flatten().flatten().collect();
        let target: Vec<String> = others().filter(|name| !(panel && taken.contains(name))).cloned().collect();
        if target.is_empty() || (target.len() > 1 && !panel) {
            let names: Vec<&str> = named().map(String::as_str).collect();
            let message = if target.is_empty() {
                format!(
                    "expected a column of times followed by columns of numbers, got only {}; fields are separated by a \
                     comma, a semicolon, a tab or a vertical bar{}",
                    list_names(names.iter().copied()),
                    // A comment, or a title.
                    if names.first().is_some_and(|name| name.starts_with('#')) {
                        "; the header must be the first line: remove the lines above it"
                    } else {
                        ""
                    }
                )
            } else {
                format!("expected --target COLUMN, one or more of {}", in_message(&numbers()?))
            };
            return Err(Error::Data { path: path.into(), place: String::new(), message });
        }
        if panel {
            let numbers = numbers()?;
            let texts: Vec<&str> = target.iter().map(String::as_str).filter(|name| !is_in(&numbers, name)).collect();
            if !texts.is_empty() {
                let series: Vec<String> = target.iter().filter(|name| is_in(&numbers, name)).cloned().collect();
                let message = format!(
                    "expected numbers in every column of --panel, got words in {}: --target names the series, as in \
                     --target {}",
                    list_names(texts),
                    series.join(",")
                );
                return Err(Error::Data { path: path.into(), place: String::new(), message });
            }
        }
        data.target = Some(target);
    }
    if data.target.as_ref().is_some_and(Vec::is_empty) {
        let expected = "at least one column".into();
        return Err(Error::Value { what: "--target".into(), expected, got: "none".into() });
    }
    let targets = as_the_model("target", &mut data.target, of_role(|roles| &roles.targets), Vec::new())?;
    let known = as_the_model("known", &mut data.known, of_role(|roles| &roles.known), Vec::new())?;
    if data.features.as_deref() == Some(&["all".to_owned()]) {
        let taken: HashSet<&String> = targets.iter().chain(&known).collect();
        let others = others().filter(|name| !taken.contains(name));
        data.features = Some(others.cloned().collect());
    }
    let of_features = of_role(|roles| &roles.features);
    let features = as_the_model("features", &mut data.features, of_features, Vec::new())?;
    Ok(ColumnRoles { targets, features, known })
}
