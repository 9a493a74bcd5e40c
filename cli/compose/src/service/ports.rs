//! Ports of a service.

use super::Draft;
use crate::Error;
use crate::fields::{At, Field, by, not, walk};
use crate::translation::Note;
use crate::units;

/// A port that is published.
#[derive(Debug, Clone, Default)]
pub(crate) struct Port {
    pub(crate) place: String,
    /// The port inside.
    pub(crate) target: u16,
    /// The port outside; one that is free where there is none.
    pub(crate) published: Option<u16>,
    pub(crate) is_udp: bool,
    /// Whether it is to be on the task's host, and not on gateways.
    pub(crate) of_host: bool,
    /// What gateways speak there.
    pub(crate) protocol: Option<&'static str>,
}

pub(crate) const FIELDS: &[Field<Port>] = &[
    by(
        "app_protocol",
        "with `--gateway`: `http` and `http2` are balanced by request, others by connection",
        |port, at, _| {
            port.protocol = match at.text()? {
                "http" => Some("http"),
                "http2" | "grpc" => Some("http2"),
                _ => Some("tcp"),
            };
            Ok(())
        },
    ),
    not("host_ip", "ports are published on all addresses of a host"),
    by(
        "mode",
        "`host`: on the task's host although there is a gateway",
        |port, at, _| {
            port.of_host = match at.text()? {
                "host" => true,
                "ingress" => false,
                _ => return Err(at.wrong("host or ingress")),
            };
            Ok(())
        },
    ),
    not("name", "names of ports say nothing here"),
    by("protocol", "`tcp`, `udp`", |port, at, notes| {
        port.is_udp = match at.text()? {
            "tcp" => false,
            "udp" => true,
            _ => {
                notes.push(Note::lost(&at.path, "ECS knows tcp and udp: tcp it is"));
                false
            }
        };
        Ok(())
    }),
    by(
        "published",
        "`hostPort`, or a port of gateways; of a range Docker takes one that is free",
        |port, at, notes| {
            let range = at.by(units::ports, "a port, or a range of ports")?;
            if range.len() == 1 {
                port.published = Some(*range.start());
            } else {
                notes.push(Note::lost(&at.path, "a port is chosen by Docker, and not from a range"));
            }
            Ok(())
        },
    ),
    by("target", "`containerPort`", |port, at, _| {
        port.target = at.by(units::port, "a port, 1 to 65535")?;
        Ok(())
    }),
];

pub(crate) fn ports(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    for at in at.items()? {
        let mut port = Port {
            place: at.path.clone(),
            ..Port::default()
        };
        walk(&mut port, &at, FIELDS, notes)?;
        if port.target == 0 {
            return Err(at.error("it must have a 'target'"));
        }
        draft.ports.push(port);
    }
    if draft.ports.len() > units::MAX_RANGE {
        return Err(at.error(format!(
            "it has {} ports, at most {} are read",
            draft.ports.len(),
            units::MAX_RANGE
        )));
    }
    Ok(())
}

pub(crate) fn expose(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    for at in at.items()? {
        let (ports, protocol) = at.text()?.split_once('/').unwrap_or((at.text()?, "tcp"));
        let range = units::ports(ports).filter(|range| range.len() <= units::MAX_RANGE);
        let range = range.ok_or_else(|| at.wrong("a port, or a range of at most 100"))?;
        draft.exposed.extend(range.map(|port| (port, protocol == "udp")));
    }
    Ok(())
}
