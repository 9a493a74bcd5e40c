//! A package for Debian and its kin, by `dpkg-deb`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::Context;

use super::tree::Tree;
use super::{Order, WITHIN};
use crate::steps::Steps;

/// Who packages are from.
pub(super) const MAINTAINER: &str = "Berth <packages@berth.example>";

/// Of a line of a description.
const WIDTH: usize = 75;

/// Makes the package; returns where it is.
pub(super) fn make(tree: &Tree, order: &Order, steps: &Steps) -> anyhow::Result<PathBuf> {
    let package = tree.package;
    let control = tree.files.join("DEBIAN");
    // What follows is of the files alone.
    let paths: Vec<PathBuf> = tree.paths()?.into_iter().filter(|path| path.is_file()).collect();
    let mut bytes = 0;
    let mut sums = String::new();
    for path in &paths {
        bytes += fs::metadata(path)?.len();
        let sum = steps.ask(Command::new("md5sum").arg(path))?;
        let sum = sum.split_whitespace().next().unwrap_or_default().to_owned();
        sums.push_str(&format!("{sum}  {}\n", tree.installed(path)?));
    }
    let libraries = libraries(&tree.files.join("usr/bin").join(package.name), steps)?;
    let depends: Vec<&str> = [libraries.as_str(), package.deb_depends]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    let architecture = steps.ask(Command::new("dpkg").arg("--print-architecture"))?;
    let mut fields = vec![
        ("Package", package.name.to_owned()),
        ("Version", order.version.clone()),
        ("Architecture", architecture.clone()),
        ("Maintainer", MAINTAINER.to_owned()),
        ("Installed-Size", bytes.div_ceil(1024).to_string()),
        ("Depends", depends.join(", ")),
        ("Recommends", package.deb_recommends.to_owned()),
        ("Section", "admin".to_owned()),
        ("Priority", "optional".to_owned()),
        (
            "Description",
            format!("{}{}", package.summary, paragraph(package.description)),
        ),
    ];
    fields.retain(|(_, value)| !value.is_empty());
    let text: String = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    let put = |file: &str, text: &str, mode: u32| put(&control.join(file), text, mode, order.date);
    fs::create_dir_all(&control)?;
    fs::set_permissions(&control, fs::Permissions::from_mode(0o755))?;
    put("control", &text, 0o644)?;
    put("md5sums", &sums, 0o644)?;
    if !package.settings.is_empty() {
        let files = package.settings.iter().map(|(file, _)| format!("/etc/berth/{file}\n"));
        put("conffiles", &files.collect::<String>(), 0o644)?;
    }
    if !package.units.is_empty() {
        for script in ["postinst", "prerm", "postrm"] {
            put(script, &tree.fill(&format!("deb/{script}"), &[])?, 0o755)?;
        }
    }
    let file = order
        .into
        .join(format!("{}_{}_{architecture}.deb", package.name, order.version));
    let mut build = Command::new("dpkg-deb");
    build
        .env("SOURCE_DATE_EPOCH", order.date.to_string())
        .args(["--root-owner-group", "--build"])
        .args(if order.quick {
            ["-Zgzip", "-z1"]
        } else {
            ["-Zxz", "-z9"]
        })
        .args([&tree.files, &file])
        .stdout(std::process::Stdio::null());
    steps.run(&mut build, WITHIN)?;
    fs::remove_dir_all(&control)?;
    Ok(file)
}

/// The text in lines that a terminal has room for, as a field of a package has them.
fn paragraph(text: &str) -> String {
    let mut lines = String::new();
    let mut width = WIDTH;
    for word in text.split_whitespace() {
        if width + word.len() >= WIDTH {
            lines.push('\n');
            width = 0;
        }
        lines.push(' ');
        lines.push_str(word);
        width += word.len() + 1;
    }
    lines
}

fn put(path: &Path, text: &str, mode: u32, date: u64) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    fs::File::open(path)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(date))?;
    Ok(())
}

/// The C library in the newest version that the program asks for; a static program asks for none.
fn libraries(program: &Path, steps: &Steps) -> anyhow::Result<String> {
    let text = steps.ask(Command::new("readelf").args(["--wide", "--version-info"]).arg(program))?;
    let Some((major, minor)) = newest_glibc(&text) else {
        return Ok(String::new());
    };
    Ok(format!("libc6 (>= {major}.{minor}), libgcc-s1"))
}

/// The newest of the versions `GLIBC_2.34` in the text.
fn newest_glibc(text: &str) -> Option<(u32, u32)> {
    let versions = text.split("GLIBC_").skip(1).filter_map(|rest| {
        let end = rest
            .find(|sign: char| !sign.is_ascii_digit() && sign != '.')
            .unwrap_or(rest.len());
        let mut parts = rest[..end].split('.').map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_broken_between_words() {
        let text = paragraph(&"word ".repeat(40));
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with(" word") && line.len() <= WIDTH),
            "{text}"
        );
        assert_eq!(text.matches("word").count(), 40);
    }

    #[test]
    fn a_program_needs_the_newest_version_that_one_of_its_symbols_needs() {
        let text = "0x0010: Name: GLIBC_2.9  Flags: none\n 0x0020: Name: GLIBC_2.34\n Name: GLIBC_2.2.5 GCC_3.0";
        assert_eq!(newest_glibc(text), Some((2, 34)));
        assert_eq!(newest_glibc("No version information found in this file."), None);
    }
}
