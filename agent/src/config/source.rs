//! Where settings come from: the command line, the environment, the file, ecs.config. The first that has one decides.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::setting::{Form, Invalid, Setting};
use super::settings::SETTINGS;
use super::{ecs, env_file, toml_file};
use crate::failpoint;

pub(super) const FILE: &str = "/etc/berth/agent.toml";
pub(super) const ECS_FILE: &str = "/etc/ecs/ecs.config";
pub(super) const FILE_VARIABLE: &str = "BERTH_CONFIG";
pub(super) const ECS_FILE_VARIABLE: &str = "BERTH_ECS_CONFIG";

/// Variables of Berth's other programs, which an agent's environment may have as well.
const OTHERS: [&str; 9] = [
    "BERTH_ACCOUNT",
    "BERTH_BED_DOOMED",
    "BERTH_BIN_DIR",
    "BERTH_DATA_DIR",
    "BERTH_GOLDEN",
    "BERTH_HISTORY_DAYS",
    "BERTH_LISTEN",
    "BERTH_REGION",
    "BERTH_STOPPED_TASK_RETENTION",
];
/// How alike a name must be to be suggested, from 0 to 1.
const ALIKE: f64 = 0.8;

/// What one source says of one setting.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) values: Vec<String>,
    pub(super) origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Flag,
    Variable(String),
    /// A key of the settings file.
    File {
        path: PathBuf,
        line: usize,
    },
    /// A variable in a line of ecs.config.
    EcsFile {
        path: PathBuf,
        line: usize,
        variable: String,
    },
}

/// A variable of the environment, or of a line of ecs.config.
#[derive(Debug)]
struct Variable {
    name: String,
    value: String,
    origin: Origin,
}

/// Something that the operator should know and that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// A variable of the ECS agent that changes nothing here.
    WithoutMeaning {
        variable: String,
        place: String,
        why: &'static str,
    },
    /// A line of ecs.config that is for something else.
    Foreign { variable: String, place: String },
}

/// What is given to a start of the agent.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub(super) flags: &'a ArgMatches,
    pub(super) environment: Vec<(String, String)>,
    /// The files that may be absent.
    pub(super) default_file: &'a Path,
    pub(super) default_ecs_file: &'a Path,
}

/// All that was given.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    given: BTreeMap<&'static str, Given>,
    pub(super) notes: Vec<Note>,
}

impl Origin {
    /// The key under which it was given there.
    pub(super) fn key(&self, setting: &Setting) -> String {
        match self {
            Self::Flag => format!("--{}", setting.name),
            Self::File { .. } => setting.name.to_owned(),
            Self::Variable(variable) | Self::EcsFile { variable, .. } => variable.clone(),
        }
    }

    /// File and line, where there is one.
    pub(super) fn place(&self) -> Option<String> {
        match self {
            Self::Flag | Self::Variable(_) => None,
            Self::File { path, line } | Self::EcsFile { path, line, .. } => Some(format!("{}:{line}", path.display())),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(variable) => write!(f, "variable {variable}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::EcsFile { path, line, variable } => write!(f, "{}:{line} ({variable})", path.display()),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WithoutMeaning { variable, place, why } => write!(f, "{variable} ({place}) changes nothing: {why}"),
            Self::Foreign { variable, place } => write!(f, "{variable} ({place}) is no setting and is ignored"),
        }
    }
}

impl Gathered {
    /// Reads every source.
    ///
    /// # Errors
    /// What cannot be read, and what no setting is, all of it.
    pub(super) fn from(sources: &Sources<'_>) -> Result<Self, Vec<String>> {
        let mut gathered = Self::default();
        let mut problems = Vec::new();
        gathered.flags(sources.flags);
        let variables = sources.environment.iter().map(|(name, value)| Variable {
            name: name.clone(),
            value: value.clone(),
            origin: Origin::Variable(name.clone()),
        });
        gathered.variables(variables.collect(), &mut problems);
        let named = |flag: &str, variable: &str| {
            let flag = sources.flags.get_one::<PathBuf>(flag).cloned();
            flag.or_else(|| {
                let found = sources.environment.iter().find(|(name, _)| name == variable);
                found
                    .map(|(_, path)| PathBuf::from(path))
                    .filter(|path| !path.as_os_str().is_empty())
            })
        };
        match text_of(named("config", FILE_VARIABLE), sources.default_file) {
            Ok(Some((path, text))) => gathered.file(&path, &text, &mut problems),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
        match text_of(named("ecs-config", ECS_FILE_VARIABLE), sources.default_ecs_file) {
            Ok(Some((path, text))) => gathered.ecs_file(&path, &text, &mut problems),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
        if problems.is_empty() {
            Ok(gathered)
        } else {
            Err(problems)
        }
    }

    /// What was given for a setting.
    pub(super) fn given(&self, name: &str) -> Option<&Given> {
        self.given.get(name)
    }

    /// Reads one setting.
    pub(super) fn read<T>(&self, name: &str, read: impl Fn(&[String]) -> Result<T, Invalid>) -> Result<T, String> {
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        let setting = setting.ok_or_else(|| format!("there is no setting {name}"))?;
        setting.read(self.given(name), read)
    }

    /// The first source that has a setting decides.
    fn put(&mut self, setting: &'static Setting, values: Vec<String>, origin: Origin) {
        self.given.entry(setting.name).or_insert(Given { values, origin });
    }

    fn flags(&mut self, flags: &ArgMatches) {
        for setting in SETTINGS.iter().filter(|setting| !setting.flagless) {
            if flags.value_source(setting.name) == Some(ValueSource::CommandLine) {
                let texts = flags.get_many::<String>(setting.name).into_iter().flatten();
                let values = texts.flat_map(|text| split(setting, text)).collect();
                self.put(setting, values, Origin::Flag);
            }
        }
    }

    /// The variables of one source. One that is empty is as good as absent.
    fn variables(&mut self, variables: Vec<Variable>, problems: &mut Vec<String>) {
        // Berth's own name for a setting wins over that of ECS in the same source.
        let (own, others): (Vec<_>, Vec<_>) = variables.into_iter().partition(|one| one.name.starts_with("BERTH_"));
        for variable in own {
            let known = SETTINGS.iter().find(|setting| setting.variable() == variable.name);
            if let Some(setting) = known {
                if !variable.value.trim().is_empty() {
                    self.put(setting, split(setting, &variable.value), variable.origin);
                }
            } else if ![FILE_VARIABLE, ECS_FILE_VARIABLE].contains(&variable.name.as_str())
                && !OTHERS.contains(&variable.name.as_str())
                && failpoint::VARIABLE != Some(variable.name.as_str())
            {
                let known = SETTINGS.iter().map(Setting::variable);
                problems.push(unknown(&variable.name, &variable.origin, known));
            }
        }
        for variable in others {
            self.variable_of_ecs(variable, problems);
        }
    }

    fn variable_of_ecs(&mut self, variable: Variable, problems: &mut Vec<String>) {
        let Variable { name, value, origin } = variable;
        let mut by_ecs = SETTINGS.iter().filter_map(|setting| Some((setting, setting.ecs?)));
        if let Some((setting, ecs)) = by_ecs.find(|(_, ecs)| ecs.variable == name) {
            if value.trim().is_empty() {
                return;
            }
            match (ecs.read)(value.trim()) {
                Ok(values) => self.put(setting, values, origin),
                Err(rule) => problems.push(setting.problem(&origin, &Invalid { value, rule })),
            }
            return;
        }
        let place = origin.place();
        if let Some(why) = ecs::without_meaning(&name) {
            let place = place.unwrap_or_else(|| "environment".to_owned());
            self.notes.push(Note::WithoutMeaning {
                variable: name,
                place,
                why,
            });
        } else if name.starts_with("ECS_") {
            let known = SETTINGS
                .iter()
                .filter_map(|setting| Some(setting.ecs?.variable.to_owned()));
            problems.push(unknown(&name, &origin, known.chain(ecs::names_without_meaning())));
        } else if let Some(place) = place {
            self.notes.push(Note::Foreign { variable: name, place });
        }
    }

    fn file(&mut self, path: &Path, text: &str, problems: &mut Vec<String>) {
        let entries = match toml_file::parse(text) {
            Ok(entries) => entries,
            Err((line, problem)) => return problems.push(format!("{}:{line}: {problem}", path.display())),
        };
        for entry in entries {
            let origin = Origin::File {
                path: path.to_owned(),
                line: entry.line,
            };
            let Some(setting) = SETTINGS.iter().find(|setting| setting.name == entry.key) else {
                let known = SETTINGS.iter().map(|setting| setting.name.to_owned());
                problems.push(unknown(&entry.key, &origin, known));
                continue;
            };
            match entry.values {
                Ok(values) => self.put(setting, values, origin),
                Err(rule) => problems.push(format!("{origin}: {} {rule}", entry.key)),
            }
        }
    }

    fn ecs_file(&mut self, path: &Path, text: &str, problems: &mut Vec<String>) {
        let lines = match env_file::parse(text) {
            Ok(lines) => lines,
            Err((line, rule)) => return problems.push(format!("{}:{line}: {rule}", path.display())),
        };
        // The last line of a name decides, as it does for systemd.
        let last: BTreeMap<_, _> = lines
            .into_iter()
            .map(|line| (line.key, (line.number, line.value)))
            .collect();
        let variables = last.into_iter().map(|(name, (line, value))| {
            let origin = Origin::EcsFile {
                path: path.to_owned(),
                line,
                variable: name.clone(),
            };
            Variable { name, value, origin }
        });
        self.variables(variables.collect(), problems);
    }
}

/// The text of a file that was named, or of the one that may be absent.
fn text_of(named: Option<PathBuf>, default: &Path) -> Result<Option<(PathBuf, String)>, String> {
    let may_be_absent = named.is_none();
    let path = named.unwrap_or_else(|| default.to_owned());
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if may_be_absent && error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("the settings in {} cannot be read: {error}", path.display())),
    }
}

fn split(setting: &Setting, text: &str) -> Vec<String> {
    match setting.form {
        Form::One | Form::Switch => vec![text.to_owned()],
        Form::Many => {
            let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
            pieces.map(str::to_owned).collect()
        }
    }
}

fn unknown(name: &str, origin: &Origin, known: impl Iterator<Item = String>) -> String {
    let place = origin.place().map(|place| format!("{place}: ")).unwrap_or_default();
    let alike = known
        .map(|known| (strsim::jaro_winkler(name, &known), known))
        .filter(|(alike, _)| *alike >= ALIKE);
    let nearest = alike.max_by(|one, other| one.0.total_cmp(&other.0));
    let suggestion = nearest
        .map(|(_, nearest)| format!("; did you mean {nearest}?"))
        .unwrap_or_default();
    format!("{place}{name} is no setting of the agent{suggestion}")
}
