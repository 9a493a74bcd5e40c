//! `extends`: a service begins as another one, of the same file or of another.

use super::{Loader, MAX_NESTING, canonical, merge, path};
use crate::Error;
use crate::interpolate::Variables;
use crate::node::{Node, Value};

/// A file that services are looked up in.
#[derive(Clone, Copy)]
struct Place<'a> {
    services: &'a Node,
    file: &'a str,
    directory: &'a str,
}

impl Loader<'_> {
    /// Has each service of the document begin as what it extends, and writes short forms out.
    pub(super) fn extend_services(
        &self,
        document: &mut Node,
        file: &str,
        directory: &str,
        variables: &mut Variables,
    ) -> Result<(), Error> {
        let Some(services) = document.get("services").filter(|services| !services.is_null()) else {
            return Ok(());
        };
        let Some(entries) = services.as_map() else {
            return Err(Error::new(
                "services",
                format!("it must be a map, it is {}", services.kind()),
            ));
        };
        let mut extended = Vec::new();
        let place = Place {
            services,
            file,
            directory,
        };
        for (name, _) in entries {
            let service = self.extended(name, place, &mut Vec::new(), variables)?;
            extended.push((name.clone(), service));
        }
        let (line, merge) = (services.line, services.merge);
        let mut services = Node::new(Value::Map(extended), line);
        services.merge = merge;
        document.set("services", services);
        Ok(())
    }

    /// The service with what it extends; `chain` is who has asked for it.
    fn extended(
        &self,
        name: &str,
        place: Place<'_>,
        chain: &mut Vec<(String, String)>,
        variables: &mut Variables,
    ) -> Result<Node, Error> {
        let at = format!("services.{name}");
        let link = (place.file.to_owned(), name.to_owned());
        if chain.contains(&link) || chain.len() >= MAX_NESTING {
            let rule = "services extend one another in a circle, or too deep";
            return Err(Error::new(format!("{at}.extends"), rule));
        }
        let Some(service) = place.services.get(name) else {
            return Err(Error::new(&at, format!("{} has no such service", place.file)));
        };
        let mut service = service.clone();
        if service.is_null() {
            service.value = Value::Map(Vec::new());
        }
        if service.as_map().is_none() {
            return Err(Error::new(&at, format!("it must be a map, it is {}", service.kind())));
        }
        canonical::service(&mut service, &at, place.directory, self.home)?;
        let Some(extends) = service.remove("extends").filter(|extends| !extends.is_null()) else {
            return Ok(service);
        };
        chain.push(link);
        let (other, file) = target(&extends, &at)?;
        let base = match file {
            None => self.extended(other, place, chain, variables)?,
            Some(file) => {
                let file = path::absolute(file, place.directory, self.home);
                let document = self.document(&file, variables)?;
                let none = Node::new(Value::Map(Vec::new()), 0);
                let place = Place {
                    services: document.get("services").unwrap_or(&none),
                    file: &file,
                    directory: path::parent(&file),
                };
                self.extended(other, place, chain, variables)?
            }
        };
        chain.pop();
        let mut merged = merge::merged(base, service);
        merged.line = place.services.get(name).map_or(0, |own| own.line);
        Ok(merged)
    }
}

/// The service and the file that `extends` names.
fn target<'n>(extends: &'n Node, at: &str) -> Result<(&'n str, Option<&'n str>), Error> {
    if let Some(service) = extends.as_text() {
        return Ok((service, None));
    }
    let at = format!("{at}.extends");
    for (key, _) in extends.as_map().unwrap_or_default() {
        if !["service", "file"].contains(&key.as_str()) {
            return Err(Error::new(format!("{at}.{key}"), "there is no such key"));
        }
    }
    let service = extends.get("service").and_then(Node::as_text);
    let service = service.ok_or_else(|| Error::new(&at, "it must name a 'service', and may name a 'file'"))?;
    Ok((service, extends.get("file").and_then(Node::as_text)))
}
