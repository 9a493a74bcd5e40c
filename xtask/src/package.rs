//! `cargo xtask package` and `cargo xtask images`: packages for Debian and for distributions with RPM, and images for Docker,
//! of the programs as they were built ([`programs`]).
//!
//! What is in a package is listed in [`content`]; the distributions' own tools (`dpkg-deb`, `rpmbuild`, `tar`) make the files.
//! With SOURCE_DATE_EPOCH the same programs give the same packages and images, byte for byte.

mod content;
mod deb;
mod image;
pub(crate) mod programs;
mod rpm;
mod tree;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};

pub(crate) use xtask_machines::root;

use crate::install;
use crate::steps::Steps;

use content::PACKAGES;
use programs::Linkage;
use tree::Tree;

const NEEDED: [install::Need; 3] = [("dpkg-deb", "dpkg"), ("rpmbuild", "rpm"), ("strip", "binutils")];
const IMAGES_NEED: [install::Need; 3] = [("tar", "tar"), ("readelf", "binutils"), ("strip", "binutils")];
/// For what makes one package.
const WITHIN: Duration = Duration::from_secs(300);
/// Where packages and images go, in the repository.
const INTO: &str = "target/packages";
const IMAGES_INTO: &str = "target/images";

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
    let order = Order::read(arguments, INTO)?;
    let (mut steps, programs) = order.begin(&NEEDED, Linkage::Shared)?;
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

/// Makes all images.
///
/// # Errors
/// Something is missing or cannot be written, or a program is not static; the tool's own words are above.
pub(crate) fn images(arguments: &[&str]) -> anyhow::Result<()> {
    let order = Order::read(arguments, IMAGES_INTO)?;
    let (mut steps, programs) = order.begin(&IMAGES_NEED, Linkage::Static)?;
    let work = order.into.join("work");
    for package in &PACKAGES {
        steps.next(package.name);
        let made = image::make(package, &order, &programs, &work.join(package.name), &steps)?;
        let bytes = fs::metadata(&made)?.len();
        steps.note(&format!("{} ({} KiB)", made.display(), bytes / 1024));
    }
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}

impl Order {
    /// What the command line asks for; without `--into` it goes there, under the repository.
    fn read(arguments: &[&str], into: &str) -> anyhow::Result<Self> {
        let root = root();
        let mut order = Self {
            programs: None,
            into: root.join(into),
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

    /// Installs what is needed and builds the programs, if none were given; gives the directory that they are in.
    fn begin(&self, needed: &[install::Need], linkage: Linkage) -> anyhow::Result<(Steps, PathBuf)> {
        let mut steps = Steps::begin_within(PACKAGES.len() + 1, programs::BUILT_WITHIN);
        let missing = install::missing(needed);
        if !missing.is_empty() {
            steps.note(&format!("installing {}", missing.join(", ")));
            install::install(&missing, &steps)?;
        }
        steps.next("programs");
        let programs = match &self.programs {
            Some(programs) => programs.clone(),
            None => programs::build(linkage)?,
        };
        fs::create_dir_all(&self.into).with_context(|| format!("cannot make {}", self.into.display()))?;
        Ok((steps, programs))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_the_tools_would_read_differently_is_refused() {
        for version in ["", "v1.0", "1.0-2", "1.0 beta"] {
            let error = Order::read(&["--version", version], INTO).unwrap_err().to_string();
            assert!(error.contains("--version is"), "{version}: {error}");
        }
        assert_eq!(Order::read(&["--version", "1.0~rc1"], INTO).unwrap().version, "1.0~rc1");
    }

    #[test]
    fn an_unknown_argument_is_named() {
        let error = Order::read(&["--fast"], INTO).unwrap_err().to_string();
        assert!(error.contains("'--fast'"), "{error}");
    }
}
