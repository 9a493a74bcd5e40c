//! `cargo xtask package`: packages for Debian and for distributions with RPM, of the programs as they were built.
//!
//! What is in a package is listed in [`content`]; the distributions' own tools (`dpkg-deb`, `rpmbuild`) make the files.
//! With SOURCE_DATE_EPOCH the same programs give the same packages, byte for byte.

mod content;
mod deb;
mod rpm;
mod tree;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};

use crate::install;
use crate::steps::Steps;
use crate::test::binaries::cargo;

use content::PACKAGES;
use tree::Tree;

const NEEDED: [install::Need; 3] = [("dpkg-deb", "dpkg"), ("rpmbuild", "rpm"), ("strip", "binutils")];
/// For what makes one package.
const WITHIN: Duration = Duration::from_secs(300);
/// Under cargo's target directory.
const INTO: &str = "target/packages";

/// What is to be made of what.
#[derive(Debug)]
struct Order {
    /// The directory with the programs; without it they are built.
    programs: Option<PathBuf>,
    into: PathBuf,
    version: String,
    /// Seconds since 1970 that everything is dated with.
    date: u64,
    /// Takes a second where a small package would take a minute.
    quick: bool,
}

/// Makes all packages.
///
/// # Errors
/// Something is missing or cannot be written; the tool's own words are above.
pub(crate) fn all(arguments: &[&str]) -> anyhow::Result<()> {
    let order = Order::read(arguments)?;
    let mut steps = Steps::begin(PACKAGES.len() + 1);
    let missing = install::missing(&NEEDED);
    if !missing.is_empty() {
        steps.note(&format!("installing {}", missing.join(", ")));
        install::install(&missing, &steps)?;
    }
    steps.next("programs");
    let programs = match &order.programs {
        Some(programs) => programs.clone(),
        None => build()?,
    };
    fs::create_dir_all(&order.into).with_context(|| format!("cannot make {}", order.into.display()))?;
    let work = order.into.join("work");
    for package in &PACKAGES {
        steps.next(package.name);
        let tree = Tree::lay(package, &order, &programs, &work, &steps)?;
        for made in [deb::make(&tree, &order, &steps)?, rpm::make(&tree, &order, &steps)?] {
            let bytes = fs::metadata(&made)?.len();
            steps.note(&format!("{} ({} KiB)", made.display(), bytes / 1024));
        }
    }
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}

impl Order {
    fn read(arguments: &[&str]) -> anyhow::Result<Self> {
        let root = root();
        let mut order = Self {
            programs: None,
            into: root.join(INTO),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            date: date()?,
            quick: false,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{argument} needs a value"));
            match *argument {
                "--programs" => order.programs = Some(PathBuf::from(value()?)),
                "--into" => order.into = PathBuf::from(value()?),
                "--version" => order.version = (*value()?).to_owned(),
                "--quick" => order.quick = true,
                other => {
                    bail!("'{other}' is none of --programs DIRECTORY, --into DIRECTORY, --version VERSION and --quick")
                }
            }
        }
        // Both worlds take these in a version, and read them alike.
        let plain = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '.' | '~' | '+');
        ensure!(
            order.version.starts_with(|sign: char| sign.is_ascii_digit()) && order.version.chars().all(plain),
            "--version is '{}', it must begin with a digit and have only letters, digits and '.~+'",
            order.version
        );
        Ok(order)
    }
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// When the files of packages were last changed, as far as packages say so.
fn date() -> anyhow::Result<u64> {
    if let Ok(given) = env::var("SOURCE_DATE_EPOCH") {
        return given
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH is '{given}', it must be a number of seconds"));
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(now.as_secs())
}

/// Builds what is shipped.
fn build() -> anyhow::Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--locked", "--profile", "dist"]);
    for package in ["berth-cli", "berth-scheduler", "berth-agent", "berth-gateway"] {
        build.args(["--package", package]);
    }
    ensure!(
        build.status()?.success(),
        "the programs cannot be built; the reason is above"
    );
    Ok(root().join("target/dist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_the_tools_would_read_differently_is_refused() {
        for version in ["", "v1.0", "1.0-2", "1.0 beta"] {
            let error = Order::read(&["--version", version]).unwrap_err().to_string();
            assert!(error.contains("--version is"), "{version}: {error}");
        }
        assert_eq!(Order::read(&["--version", "1.0~rc1"]).unwrap().version, "1.0~rc1");
    }

    #[test]
    fn an_unknown_argument_is_named() {
        let error = Order::read(&["--fast"]).unwrap_err().to_string();
        assert!(error.contains("'--fast'"), "{error}");
    }
}
