//! What a container runs, and what it is given to know.

use berth_model::task_definition::{HostEntry, LogConfiguration};
use berth_model::words;

use super::{Draft, EnvFile};
use crate::Error;
use crate::fields::{At, Field, by, walk};
use crate::translation::Note;
use crate::units;

/// What Docker logs with where only options are named.
const LOG_DRIVER: &str = "json-file";

pub(crate) const ENV_FILE: &[Field<EnvFile>] = &[
    by("path", "a file of the machine that `berth` runs on", |file, at, _| {
        file.path = at.string()?;
        Ok(())
    }),
    by("required", "`false`: it may be missing", |file, at, _| {
        file.required = at.truth()?;
        Ok(())
    }),
    by("format", "`raw`: values as they stand", |file, at, _| {
        file.raw = match at.text()? {
            "raw" => true,
            _ => return Err(at.wrong("raw, or left out")),
        };
        Ok(())
    }),
];

pub(crate) const LOGGING: &[Field<LogConfiguration>] = &[
    by(
        "driver",
        "`logDriver`; `json-file` where there are only options",
        |log, at, _| {
            log.log_driver = at.string()?;
            Ok(())
        },
    ),
    by("options", "`options`", |log, at, _| {
        for (name, at) in at.each_entry()? {
            log.options.insert(name.to_owned(), at.string()?);
        }
        Ok(())
    }),
];

/// A command line: a list of words, or a text that is split into them.
pub(crate) fn line(at: &At<'_>, notes: &mut Vec<Note>) -> Result<Vec<String>, Error> {
    let words = match at.node.as_text() {
        Some(text) => words::split(text).map_err(|rule| at.wrong(&format!("a command line: {rule}")))?,
        None => at.texts()?,
    };
    if words.is_empty() {
        notes.push(Note::lost(&at.path, "it is empty, and ECS then takes the image's own"));
    }
    Ok(words)
}

pub(crate) fn command(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    draft.container.command = line(at, notes)?;
    Ok(())
}

pub(crate) fn entrypoint(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    draft.container.entry_point = line(at, notes)?;
    Ok(())
}

pub(crate) fn environment(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    for (name, at) in at.each_entry()? {
        let value = if at.node.is_null() { None } else { Some(at.string()?) };
        draft.environment.push((name.to_owned(), value));
    }
    Ok(())
}

pub(crate) fn env_file(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    for at in at.items()? {
        let mut file = EnvFile {
            place: at.path.clone(),
            path: String::new(),
            required: true,
            raw: false,
        };
        walk(&mut file, &at, ENV_FILE, notes)?;
        if file.path.is_empty() {
            return Err(at.error("it must name a 'path'"));
        }
        draft.env_files.push(file);
    }
    Ok(())
}

pub(crate) fn extra_hosts(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    for at in at.items()? {
        let (name, address) = at.text()?.split_once('=').ok_or_else(|| at.wrong("NAME=ADDRESS"))?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        draft.container.extra_hosts.push(HostEntry {
            hostname: name.to_owned(),
            ip_address: address.to_owned(),
            ..HostEntry::default()
        });
    }
    Ok(())
}

pub(crate) fn labels(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    for (name, at) in at.each_entry()? {
        let value = if at.node.is_null() { "" } else { at.text()? };
        draft.container.docker_labels.insert(name.to_owned(), value.to_owned());
    }
    Ok(())
}

pub(crate) fn logging(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    let mut log = LogConfiguration::default();
    walk(&mut log, at, LOGGING, notes)?;
    if log.log_driver.is_empty() && !log.options.is_empty() {
        log.log_driver = LOG_DRIVER.to_owned();
    }
    if !log.log_driver.is_empty() {
        draft.container.log_configuration = Some(log);
    }
    Ok(())
}

pub(crate) fn stop_grace_period(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    let seconds = at.by(units::seconds, "a time such as 30s or 1m30s")?;
    let seconds = i32::try_from(seconds).map_err(|_| at.wrong("a time below 2^31 seconds"))?;
    draft.container.stop_timeout = Some(seconds);
    Ok(())
}
