//! What services have to do with one another: order, names, networks.

use super::{Draft, Link, NO_MEMBER, Need};
use crate::Error;
use crate::fields::{At, Field, by, not, walk};
use crate::translation::{Condition, Note};

pub(crate) const DEPENDS_ON: &[Field<Need>] = &[
    by(
        "condition",
        "`service_started`: a task runs; `service_healthy`: all run and are healthy; `service_completed_successfully`: \
         the other is no service but runs once, and has ended with 0",
        |need, at, _| {
            need.condition = match at.text()? {
                "service_started" => Condition::Started,
                "service_healthy" => Condition::Healthy,
                "service_completed_successfully" => Condition::Completed,
                _ => return Err(at.wrong("service_started, service_healthy or service_completed_successfully")),
            };
            Ok(())
        },
    ),
    by("required", "`false`: the other may be missing", |need, at, _| {
        need.required = at.truth()?;
        Ok(())
    }),
    not("restart", "a service whose dependency is changed is left alone"),
];

/// A service in one network.
#[derive(Default)]
pub(crate) struct Membership {
    aliases: Vec<String>,
}

pub(crate) const NETWORK: &[Field<Membership>] = &[
    by("aliases", "with `--gateway` further names", |member, at, _| {
        member.aliases = at.texts()?;
        Ok(())
    }),
    not("driver_opts", NO_MEMBER),
    not("gw_priority", NO_MEMBER),
    not("interface_name", NO_MEMBER),
    not("ipv4_address", "Docker chooses addresses"),
    not("ipv6_address", "Docker chooses addresses"),
    not("link_local_ips", "Docker chooses addresses"),
    not("mac_address", NO_MEMBER),
    not("priority", NO_MEMBER),
];

pub(crate) fn depends_on(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    for (service, at) in at.each_entry()? {
        let mut need = Need {
            place: at.path.clone(),
            service: service.to_owned(),
            condition: Condition::Started,
            required: true,
        };
        walk(&mut need, &at, DEPENDS_ON, notes)?;
        draft.depends_on.push(need);
    }
    Ok(())
}

pub(crate) fn links(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    for at in at.items()? {
        let text = at.text()?;
        let (service, alias) = text.split_once(':').unwrap_or((text, text));
        draft.depends_on.push(Need {
            place: at.path.clone(),
            service: service.to_owned(),
            condition: Condition::Started,
            required: true,
        });
        draft.links.push(Link {
            place: at.path.clone(),
            service: service.to_owned(),
            alias: alias.to_owned(),
        });
    }
    Ok(())
}

pub(crate) fn network_mode(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    match at.text()? {
        mode @ ("bridge" | "host" | "none") => draft.network_mode = Some(mode.to_owned()),
        _ => notes.push(Note::lost(
            &at.path,
            "services are tasks of their own, which share no network: bridge it is",
        )),
    }
    Ok(())
}

pub(crate) fn networks(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    let networks = draft.networks.get_or_insert_default();
    for (name, at) in at.each_entry()? {
        let mut member = Membership::default();
        walk(&mut member, &at, NETWORK, notes)?;
        networks.insert(name.to_owned(), member.aliases);
    }
    Ok(())
}
