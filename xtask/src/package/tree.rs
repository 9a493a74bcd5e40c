//! The files of a package, laid out as they will lie on a machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};

use super::content::Package;
use super::{Order, WITHIN, root};
use crate::steps::Steps;

/// What is written into templates instead of a word between two `@`.
pub(super) type Words<'a> = [(&'a str, &'a str)];

/// A package's files.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) package: &'static Package,
    /// What is `/` on a machine.
    pub(super) files: PathBuf,
    /// Beside it, for what a tool needs.
    pub(super) work: PathBuf,
}

impl Tree {
    /// Lays the files out below `work`, dated and with the modes that they will have.
    pub(super) fn lay(
        package: &'static Package,
        order: &Order,
        programs: &Path,
        work: &Path,
        steps: &Steps,
    ) -> anyhow::Result<Self> {
        let work = work.join(package.name);
        if work.exists() {
            fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
        }
        let tree = Self {
            package,
            files: work.join("files"),
            work,
        };
        let program = programs.join(package.name);
        ensure!(program.is_file(), "there is no {}", program.display());
        tree.copy(&program, &format!("usr/bin/{}", package.name), 0o755)?;
        let own = tree.files.join("usr/bin").join(package.name);
        let mut strip = Command::new("strip");
        steps.run(strip.arg("--strip-unneeded").arg(&own), WITHIN)?;
        let share = tree.files.join("usr/share");
        let mut manual = Command::new(&own);
        steps.run(manual.arg("--generate-manual").arg(&share), WITHIN)?;
        tree.take_from_repository()?;
        tree.write(
            &format!("usr/share/doc/{}/changelog", package.name),
            format!(
                "{} ({}) unstable; urgency=medium\n\n  * CHANGELOG.md in the sources says what is new.\n\n -- {}  {}\n",
                package.name,
                order.version,
                super::deb::MAINTAINER,
                rfc_2822(order.date, steps)?,
            )
            .as_bytes(),
            0o644,
        )?;
        tree.finish(order.date, steps)?;
        Ok(tree)
    }

    fn take_from_repository(&self) -> anyhow::Result<()> {
        let (root, name) = (root(), self.package.name);
        for unit in self.package.systemd {
            let to = format!("usr/lib/systemd/system/{unit}");
            self.copy(&root.join("systemd").join(unit), &to, 0o644)?;
        }
        for (file, mode) in self.package.settings {
            self.copy(&root.join("packaging").join(file), &format!("etc/berth/{file}"), *mode)?;
        }
        for (ending, directory) in [("sysusers", "sysusers.d"), ("tmpfiles", "tmpfiles.d")] {
            let from = root.join(format!("packaging/{name}.{ending}"));
            if from.exists() {
                self.copy(&from, &format!("usr/lib/{directory}/{name}.conf"), 0o644)?;
            }
        }
        for page in self.package.documentation {
            let to = format!("usr/share/doc/{name}/{page}");
            self.copy(&root.join("docs").join(page), &to, 0o644)?;
        }
        let to = format!("usr/share/doc/{name}/copyright");
        self.copy(&root.join("packaging/copyright"), &to, 0o644)
    }

    /// Packs what readers expect to be packed, and sets modes and dates.
    fn finish(&self, date: u64, steps: &Steps) -> anyhow::Result<()> {
        let packed = [
            "usr/share/man",
            &format!("usr/share/doc/{}/changelog", self.package.name),
        ]
        .map(|part| self.files.join(part));
        let mut gzip = Command::new("gzip");
        steps.run(gzip.args(["-9", "--no-name", "--recursive"]).args(packed), WITHIN)?;
        for path in self.paths()? {
            let kept = self.package.settings.iter().find(|(file, _)| path.ends_with(file));
            let program = path.parent().is_some_and(|parent| parent.ends_with("usr/bin"));
            let mode = match kept {
                _ if path.is_dir() || program => 0o755,
                Some((_, mode)) => *mode,
                None => 0o644,
            };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            let file = fs::File::open(&path)?;
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(date))?;
        }
        Ok(())
    }

    /// Everything below the root, what is in a directory before the directory.
    pub(super) fn paths(&self) -> anyhow::Result<Vec<PathBuf>> {
        fn walk(directory: &Path, into: &mut Vec<PathBuf>) -> anyhow::Result<()> {
            let entries: Result<Vec<_>, _> = fs::read_dir(directory)?.collect();
            let mut paths: Vec<PathBuf> = entries?.into_iter().map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                if path.is_dir() {
                    walk(&path, into)?;
                }
                into.push(path);
            }
            Ok(())
        }
        let mut paths = Vec::new();
        walk(&self.files, &mut paths)?;
        Ok(paths)
    }

    /// A path as it is on a machine.
    pub(super) fn installed<'a>(&self, path: &'a Path) -> anyhow::Result<&'a str> {
        let inner = path.strip_prefix(&self.files)?;
        inner.to_str().context("a path is not UTF-8")
    }

    /// A template of `packaging/` with the words of this package.
    pub(super) fn fill(&self, template: &str, more: &Words<'_>) -> anyhow::Result<String> {
        let path = root().join("packaging").join(template);
        let mut text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let package = self.package;
        let lists = [
            ("UNITS", package.units.join(" ")),
            ("START", package.units.join(" ")),
            ("RESTART", package.restart.join(" ")),
            ("STOP", package.stop.join(" ")),
            ("NAME", package.name.to_owned()),
        ];
        let lists = lists.iter().map(|(word, value)| (*word, value.as_str()));
        for (word, value) in more.iter().copied().chain(lists) {
            text = text.replace(&format!("@{word}@"), value);
        }
        Ok(text)
    }

    fn copy(&self, from: &Path, to: &str, mode: u32) -> anyhow::Result<()> {
        let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.write(to, &bytes, mode)
    }

    fn write(&self, to: &str, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
        let to = self.files.join(to);
        let cannot = || format!("cannot write {}", to.display());
        if let Some(directory) = to.parent() {
            fs::create_dir_all(directory).with_context(cannot)?;
        }
        fs::write(&to, bytes).with_context(cannot)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(mode)).with_context(cannot)
    }
}

/// As changelogs of Debian are dated.
fn rfc_2822(date: u64, steps: &Steps) -> anyhow::Result<String> {
    let mut command = Command::new("date");
    steps.ask(command.args(["--utc", "--rfc-email", "--date"]).arg(format!("@{date}")))
}
