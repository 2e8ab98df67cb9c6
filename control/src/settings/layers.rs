//! Where values come from: the file, then `WEIRGATE_*` variables, then flags; the later wins.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use clap::{Arg, ArgAction, Command};

use super::{
    SettingsError,
    keys::{KEYS, find},
};

/// Values as text, with the place they came from.
#[derive(Debug, Default)]
pub(super) struct Layers(BTreeMap<&'static str, Given>);

/// What was given for one key.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// At least one, except for an empty list in the file.
    pub(super) values: Vec<String>,
    /// Such as `--cores`, `WEIRGATE_CORES` or `cores in weirgate.toml`.
    pub(super) place: String,
}

impl Layers {
    /// Reads all three places.
    ///
    /// # Errors
    /// [`SettingsError`] that names the key, or what clap answers to `--help` and bad flags.
    pub(super) fn read(
        args: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let matches = command().try_get_matches_from(args)?;
        let mut layers = Self::default();
        let file = matches
            .get_one::<String>("config")
            .cloned()
            .or_else(|| variable("WEIRGATE_CONFIG"));
        if let Some(file) = file {
            layers.read_file(Path::new(&file))?;
        }
        layers.read_variables(variable);
        layers.read_flags(&matches);
        Ok(layers)
    }

    /// What was given for `name`, if anything.
    pub(super) fn get(&self, name: &str) -> Option<&Given> {
        self.0.get(name)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            SettingsError::Invalid(format!("config: cannot read {shown}: {error}"))
        })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            SettingsError::Invalid(format!("config: {shown} is not TOML: {}", error.message()))
        })?;
        for (name, value) in table {
            let Some(key) = find(&name) else {
                return Err(SettingsError::Invalid(format!(
                    "config: {shown} has the unknown key {name:?}; allowed are {}",
                    known_names()
                )));
            };
            let values = file_values(&name, &value, &shown.to_string())?;
            if values.len() > 1 && !key.repeatable {
                return Err(SettingsError::Invalid(format!(
                    "{name} in {shown}: a list is given; allowed is one value"
                )));
            }
            let place = format!("{name} in {shown}");
            self.0.insert(key.name, Given { values, place });
        }
        Ok(())
    }

    fn read_variables(&mut self, variable: impl Fn(&str) -> Option<String>) {
        for key in KEYS {
            let place = key.variable();
            let Some(text) = variable(&place).filter(|text| !text.is_empty()) else {
                continue;
            };
            // None of the repeatable keys has values with blanks inside.
            let values = if key.repeatable {
                text.split_whitespace().map(str::to_owned).collect()
            } else {
                vec![text]
            };
            self.0.insert(key.name, Given { values, place });
        }
    }

    fn read_flags(&mut self, matches: &clap::ArgMatches) {
        for key in KEYS {
            let values: Vec<String> = if key.is_switch() {
                match matches.get_flag(key.name) {
                    true => vec!["true".to_owned()],
                    false => continue,
                }
            } else {
                match matches.get_many::<String>(key.name) {
                    Some(values) => values.cloned().collect(),
                    None => continue,
                }
            };
            let place = format!("--{}", key.name);
            self.0.insert(key.name, Given { values, place });
        }
    }
}

fn command() -> Command {
    let mut command = Command::new("weirgate-control")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Control plane of Weirgate: HTTP API, signaling and the call page")
        .after_help(
            "Every setting can also stand in the TOML file, under the flag's name, or in a \
             variable WEIRGATE_NAME (lists with blanks between). Flags win over variables, \
             variables over the file.",
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .help("TOML file with settings"),
        );
    for key in KEYS {
        let arg = Arg::new(key.name).long(key.name).help(key.help);
        let arg = if key.is_switch() {
            arg.action(ArgAction::SetTrue)
        } else {
            // A negative number is refused later, as a value, by the name of its key.
            let arg = arg.value_name(key.value).allow_negative_numbers(true);
            arg.action(match key.repeatable {
                true => ArgAction::Append,
                false => ArgAction::Set,
            })
        };
        command = command.arg(arg);
    }
    command
}

fn file_values(name: &str, value: &toml::Value, file: &str) -> Result<Vec<String>, SettingsError> {
    match value {
        toml::Value::Array(list) => list.iter().map(|one| scalar(name, one, file)).collect(),
        one => Ok(vec![scalar(name, one, file)?]),
    }
}

fn scalar(name: &str, value: &toml::Value, file: &str) -> Result<String, SettingsError> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        other => Err(SettingsError::Invalid(format!(
            "{name} in {file}: a {} is given; allowed are text, whole numbers, true and false",
            other.type_str()
        ))),
    }
}

fn known_names() -> String {
    let names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    names.join(", ")
}
