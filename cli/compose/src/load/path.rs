//! Paths as texts: nothing here looks at a disk.

/// The path as an absolute one without `.` and `..`, where relative ones begin at `directory` and `~` is `home`.
pub(crate) fn absolute(path: &str, directory: &str, home: Option<&str>) -> String {
    let whole = match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        _ if path.starts_with('/') => path.to_owned(),
        _ => format!("{directory}/{path}"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The directory that a path lies in.
pub(crate) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// The last part of a path.
pub(crate) fn last(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute() {
        for (path, expected) in [
            ("./data", "/srv/app/data"),
            ("../other/./x", "/srv/other/x"),
            ("../../../../x", "/x"),
            ("/var//run/", "/var/run"),
            ("~/cache", "/home/me/cache"),
            ("~", "/home/me"),
            ("~you/x", "/srv/app/~you/x"),
            (".", "/srv/app"),
        ] {
            assert_eq!(absolute(path, "/srv/app", Some("/home/me")), expected, "{path}");
        }
        assert_eq!((parent("/a/b.yaml"), parent("/b.yaml")), ("/a", "/"));
        assert_eq!((last("/a/b/"), last("/")), ("b", ""));
    }
}
