//! What a setting is, and how its text becomes a value.

use super::source::{Given, Origin};

/// One setting: a flag, a key of the file and a variable of the environment at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// The long flag without its dashes, which is the key of the file too.
    pub(super) name: &'static str,
    /// What the help calls its value.
    pub(super) value: &'static str,
    pub(super) form: Form,
    pub(super) group: &'static str,
    pub(super) help: &'static str,
    pub(super) default: Default,
    pub(super) ecs: Option<Ecs>,
    /// Whether its value is shown to nobody.
    pub(super) secret: bool,
    /// Whether it has no flag: everybody on the host can read the command lines of processes.
    pub(super) flagless: bool,
}

/// What is common to most settings.
pub(super) const ORDINARY: Setting = Setting {
    name: "",
    value: "",
    form: Form::One,
    group: "",
    help: "",
    default: Default::None(""),
    ecs: None,
    secret: false,
    flagless: false,
};

/// How many values a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    One,
    /// The flag may be repeated; flag and variable are split at commas. The file has a list.
    Many,
    /// `true` or `false`; the flag alone means `true`.
    Switch,
}

/// What holds when nobody says anything.
#[derive(Debug, Clone, Copy)]
pub(super) enum Default {
    /// Nothing: the agent does not start. What is said then.
    Required(&'static str),
    /// These values, read as if they had been given.
    Values(&'static [&'static str]),
    /// No value; what that means, for the help.
    None(&'static str),
}

/// The variable by which ecs.config sets the same, and how its text becomes values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ecs {
    pub(super) variable: &'static str,
    pub(super) read: fn(&str) -> Result<Vec<String>, String>,
}

/// A value that breaks a rule.
#[derive(Debug)]
pub(super) struct Invalid {
    pub(super) value: String,
    /// Reads on after "the value".
    pub(super) rule: String,
}

impl Setting {
    /// Its variable: `BERTH_` and the flag.
    pub(super) fn variable(&self) -> String {
        format!("BERTH_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// Reads what was given, or the default.
    ///
    /// # Errors
    /// Where it came from, its key, its value and the rule.
    pub(super) fn read<T>(
        &self,
        given: Option<&Given>,
        read: impl Fn(&[String]) -> Result<T, Invalid>,
    ) -> Result<T, String> {
        if let Some(given) = given {
            return read(&given.values).map_err(|invalid| self.problem(&given.origin, &invalid));
        }
        let values = match self.default {
            Default::Required(rule) => return Err(format!("--{} is required: {rule}", self.name)),
            Default::Values(values) => values.iter().map(|value| (*value).to_owned()).collect(),
            Default::None(_) => Vec::new(),
        };
        read(&values).map_err(|invalid| format!("the default of --{}: {}", self.name, invalid.rule))
    }

    pub(super) fn problem(&self, origin: &Origin, invalid: &Invalid) -> String {
        let key = origin.key(self);
        let at = origin.place().map(|place| format!("{place}: ")).unwrap_or_default();
        let value = if self.secret {
            String::new()
        } else {
            format!(" is '{}', it", invalid.value)
        };
        format!("{at}{key}{value} {}", invalid.rule)
    }
}

/// Exactly one value.
pub(super) fn one<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(&[String]) -> Result<T, Invalid> {
    move |values| match values {
        [value] => checked(&parse, value),
        _ => Err(Invalid {
            value: values.join(","),
            rule: "must be one value".to_owned(),
        }),
    }
}

/// One value, or none.
pub(super) fn optional<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&[String]) -> Result<Option<T>, Invalid> {
    let one = one(parse);
    move |values| {
        if values.is_empty() {
            Ok(None)
        } else {
            one(values).map(Some)
        }
    }
}

/// Any number of values.
pub(super) fn many<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(&[String]) -> Result<Vec<T>, Invalid> {
    move |values| values.iter().map(|value| checked(&parse, value)).collect()
}

/// At least one value.
pub(super) fn some<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(&[String]) -> Result<Vec<T>, Invalid> {
    let many = many(parse);
    move |values| {
        if values.is_empty() {
            return Err(Invalid {
                value: String::new(),
                rule: "must have at least one value".to_owned(),
            });
        }
        many(values)
    }
}

fn checked<T>(parse: &impl Fn(&str) -> Result<T, String>, value: &str) -> Result<T, Invalid> {
    parse(value).map_err(|rule| Invalid {
        value: value.to_owned(),
        rule,
    })
}
