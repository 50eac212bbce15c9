//! A setting of a run: a key of a configuration file and, if it is used often, a flag.

use std::sync::Arc;

use bptt::experiment::config::DataKind;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgMatches, ValueHint};
use serde::Serialize;
use serde_json::{Map, Value};

use super::values::Choices;

/// Parses a value.
type Parse = Arc<dyn Fn(&str) -> Result<Value, String> + Send + Sync>;

/// The line of help and the default of a setting for one kind of data.
type HelpOfKind = fn(DataKind) -> (&'static str, String);

/// What a setting may be.
#[derive(Clone)]
pub(crate) struct Form {
    /// The name of the value in a usage line.
    name: &'static str,
    /// An example value for a configuration file.
    example: &'static str,
    parse: Parse,
    /// The choices, each with its meaning.
    choices: Choices,
    /// Whether the choices take no parameters.
    closed: bool,
    hint: ValueHint,
}

impl Form {
    pub(crate) fn new<T: Serialize + 'static>(
        name: &'static str,
        example: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Self {
        let parse = move |text: &str| {
            serde_json::to_value(parse(text)?).map_err(|error| format!("expected another value: {error}"))
        };
        Self { name, example, parse: Arc::new(parse), choices: &[], closed: false, hint: ValueHint::Unknown }
    }

    /// Named choices, which may have parameters.
    pub(crate) fn meanings(self, choices: Choices) -> Self {
        Self { choices, ..self }
    }

    pub(crate) fn text(name: &'static str) -> Self {
        Self::new(name, name, |text| Ok(text.to_owned()))
    }

    pub(crate) fn file(name: &'static str) -> Self {
        Self { hint: ValueHint::FilePath, ..Self::text(name) }
    }

    pub(crate) fn folder(name: &'static str) -> Self {
        Self { hint: ValueHint::DirPath, ..Self::text(name) }
    }

    pub(crate) fn path(name: &'static str) -> Self {
        Self { hint: ValueHint::AnyPath, ..Self::text(name) }
    }

    pub(crate) fn switch() -> Self {
        Self::new("BOOL", "false", |text| text.parse::<bool>().map_err(|_| "expected true or false".into()))
    }

    pub(crate) fn choice(name: &'static str, choices: Choices) -> Self {
        let parse = move |text: &str| {
            if choices.iter().any(|(name, _)| *name == text) {
                return Ok(Value::String(text.into()));
            }
            Err(format!("expected one of {}", choices.iter().map(|it| it.0).collect::<Vec<_>>().join(", ")))
        };
        let example = choices.first().map_or("", |(name, _)| name);
        Self { name, example, parse: Arc::new(parse), choices, closed: true, hint: ValueHint::Unknown }
    }
}

/// A setting.
#[derive(Clone)]
pub(crate) struct Setting {
    /// The key in its section.
    pub(crate) key: &'static str,
    /// One line.
    help: &'static str,
    /// What holds where nothing is set, in words; empty where the help needs no word of it.
    default: &'static str,
    /// The line and the default in the help of one kind of data, where the kinds differ.
    by_kind: Option<HelpOfKind>,
    /// What the long help explains beyond that.
    more: &'static str,
    form: Form,
    typed: Typed,
    /// Whether only the long help has it.
    rare: bool,
    excludes: Option<&'static str>,
}

/// How a setting is set on a command line.
#[derive(Clone, Copy, PartialEq)]
enum Typed {
    Flag,
    Positional,
    /// Only with `--set`.
    Key,
}

impl Setting {
    /// A setting with a flag of its name.
    pub(crate) fn flag(key: &'static str, form: Form, help: &'static str) -> Self {
        Self { key, help, default: "", by_kind: None, more: "", form, typed: Typed::Flag, rare: false, excludes: None }
    }

    /// A setting that is only in configuration files and `--set`.
    pub(crate) fn key(key: &'static str, form: Form, help: &'static str) -> Self {
        Self { typed: Typed::Key, ..Self::flag(key, form, help) }
    }

    /// A setting given as a positional argument.
    pub(crate) fn positional(key: &'static str, form: Form, help: &'static str) -> Self {
        Self { typed: Typed::Positional, ..Self::flag(key, form, help) }
    }

    pub(crate) fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    /// With another line and default for each kind of data.
    pub(crate) fn by_kind(self, by_kind: HelpOfKind) -> Self {
        Self { by_kind: Some(by_kind), ..self }
    }

    /// A flag that few need: `-h` does not show it, `--help` does.
    pub(crate) fn rare(self) -> Self {
        Self { rare: true, ..self }
    }

    pub(crate) fn more(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    /// As a flag of a command that has another use for it.
    pub(crate) fn into_flag(self, help: &'static str, default: &'static str) -> Self {
        Self { typed: Typed::Flag, more: "", help, default, ..self }
    }

    /// The flag that excludes it.
    pub(crate) fn excludes(self, key: &'static str) -> Self {
        Self { excludes: Some(key), ..self }
    }

    /// Whether it is set only with `--set`.
    pub(crate) fn is_key(&self) -> bool {
        self.typed == Typed::Key
    }

    pub(crate) fn is_switch(&self) -> bool {
        self.form.name == "BOOL"
    }

    /// Its flag or positional name, if it has one.
    pub(crate) fn arg(&self) -> Option<Arg> {
        let Form { name, choices, closed, hint, .. } = self.form;
        let arg = Arg::new(self.key).help(self.help()).long_help(self.long_help()).value_name(name).value_hint(hint);
        let arg = match self.typed {
            Typed::Flag => arg.long(self.key),
            Typed::Positional => arg,
            Typed::Key => return None,
        };
        let arg = arg.conflicts_with_all(self.excludes).hide_short_help(self.rare);
        let arg =
            if self.is_switch() { arg.num_args(0..=1).default_missing_value("true").require_equals(true) } else { arg };
        Some(if closed {
            let names = PossibleValuesParser::new(choices.iter().map(|(name, _)| *name));
            arg.value_parser(names.map(Value::String)).hide_possible_values(true)
        } else if hint != ValueHint::Unknown {
            // A configuration file is UTF-8, so its paths must be too.
            arg.value_parser(OsStringValueParser::new().try_map(|path| match path.into_string() {
                Ok(path) if path.is_empty() => Err("expected a path, got nothing"),
                Ok(path) => Ok(Value::String(path)),
                Err(_) => Err("expected a path in UTF-8, since the run's configuration names it; rename the file"),
            }))
        } else {
            let parse = self.form.parse.clone();
            arg.value_parser(move |text: &str| parse(text))
        })
    }

    /// One line, with the default in brackets.
    pub(crate) fn help(&self) -> String {
        with_default(self.help, self.default)
    }

    /// The same for data of a kind, where that has a line of its own.
    pub(super) fn help_of(&self, kind: DataKind) -> Option<String> {
        let (help, default) = self.by_kind?(kind);
        Some(with_default(help, &default))
    }

    /// What it is, more about it, and what it has a choice of.
    fn long_help(&self) -> String {
        let more = if self.more.is_empty() { String::new() } else { format!(". {}", self.more) };
        let lines = self.form.choices.iter().filter(|(_, meaning)| !meaning.is_empty());
        let lines: String = lines.map(|(name, meaning)| format!("\n- {name}: {meaning}")).collect();
        let gap = if lines.is_empty() { "" } else { "\n" };
        format!("{}{gap}{lines}", with_default(&format!("{}{more}", self.help), self.default))
    }

    /// Parses a value.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn parse(&self, text: &str) -> Result<Value, String> {
        (self.form.parse)(text)
    }

    /// The default in TOML, or an example, for a configuration file.
    pub(crate) fn example(&self) -> String {
        let word = self.default.split([';', ' ']).next().unwrap_or_default().trim_end_matches(',');
        let is_value = word == self.default || word.starts_with(|c: char| c.is_ascii_digit());
        let value = self.parse(word).ok().filter(|_| is_value && !word.is_empty());
        value.or_else(|| self.parse(self.form.example).ok()).unwrap_or_default().to_string()
    }

    /// The choices.
    pub(crate) fn choices(&self) -> impl Iterator<Item = &'static str> {
        self.form.choices.iter().map(|(name, _)| *name)
    }
}

/// A line of help with a default in brackets.
fn with_default(help: &str, default: &str) -> String {
    if default.is_empty() { help.into() } else { format!("{help} [default: {default}]") }
}

/// The values that a command line has for some settings, by their keys.
pub(crate) fn typed(settings: &[Setting], matches: &ArgMatches) -> Map<String, Value> {
    let typed = settings.iter().filter(|setting| setting.typed != Typed::Key);
    let values = typed.filter_map(|setting| Some((setting.key, matches.get_one::<Value>(setting.key)?)));
    values.map(|(key, value)| (key.to_owned(), value.clone())).collect()
}
