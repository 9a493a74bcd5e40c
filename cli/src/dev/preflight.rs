//! What must be true before `berth dev` starts anything.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// What the address of a Docker socket begins with.
pub(super) const SOCKET_SCHEME: &str = "unix://";
/// How long Docker may take to say that it is there.
const DOCKER_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// The daemons that `berth dev` starts.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) scheduler: PathBuf,
    pub(super) agent: PathBuf,
    /// It can be gone without.
    pub(super) gateway: Option<PathBuf>,
}

/// Finds the daemons; the gateway only where it is wanted.
pub(super) fn find_programs(wants_gateway: bool) -> anyhow::Result<Programs> {
    Ok(Programs {
        scheduler: find_program("berth-scheduler")?,
        agent: find_program("berth-agent")?,
        gateway: wants_gateway.then(|| find_program("berth-gateway").ok()).flatten(),
    })
}

/// Finds a program of Berth's beside this one, else in PATH.
pub(crate) fn find_program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where berth itself is")?;
    let beside = own.parent().map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = beside.into_iter().chain(std::env::split_paths(&path));
    let found = places.find_map(|place| Some(place.join(name)).filter(|it| it.is_file()));
    found.ok_or_else(|| {
        let beside = own.parent().unwrap_or(Path::new("/")).display();
        anyhow!("{name} is neither in {beside}, beside berth, nor in PATH: install it there")
    })
}

/// The path of the socket that `--docker` names.
pub(crate) fn docker_socket(text: &str) -> Result<PathBuf, String> {
    match text.strip_prefix(SOCKET_SCHEME) {
        Some(path) if path.starts_with('/') => Ok(path.into()),
        _ => Err("it must be unix:// and an absolute path".to_owned()),
    }
}

/// Asks Docker whether it is there.
pub(super) async fn docker_answers(socket: &Path) -> anyhow::Result<()> {
    let ping = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n").await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        io::Result::Ok(head)
    };
    let answer = timeout(DOCKER_ANSWERS_WITHIN, ping).await;
    let socket = socket.display();
    let head = answer
        .map_err(|_elapsed| {
            let within = DOCKER_ANSWERS_WITHIN.as_secs();
            anyhow!("Docker did not answer at {socket} within {within} s")
        })?
        .with_context(|| format!("Docker does not answer at {socket}: start it, or name its socket with --docker"))?;
    ensure!(
        head.starts_with(b"HTTP/1.") && head.ends_with(b" 200"),
        "what answers at {socket} is not Docker: it began with {:?}",
        String::from_utf8_lossy(&head)
    );
    Ok(())
}

/// Makes sure that the scheduler will be able to listen.
pub(super) fn address_is_free(address: SocketAddr) -> anyhow::Result<()> {
    match TcpListener::bind(address) {
        Ok(_listener) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
            "{address} is taken, perhaps by another scheduler or `berth dev`: stop it, or choose another \
             address with --listen"
        ),
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}")),
    }
}

/// Where the state is kept if nothing else is said.
pub(super) fn default_directory() -> anyhow::Result<PathBuf> {
    let absolute = |name| {
        let value = std::env::var_os(name).map(PathBuf::from);
        value.filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .context("neither XDG_STATE_HOME nor HOME names a directory: name one with --data-dir")?;
    Ok(state.join("berth/dev"))
}

/// Makes the directory this process's own for as long as the answer lives.
pub(super) fn lock(directory: &Path) -> anyhow::Result<File> {
    let made = fs::create_dir_all(directory);
    made.with_context(|| format!("cannot make {}", directory.display()))?;
    let path = directory.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => bail!(
            "another `berth dev` uses {}: stop it, or choose another directory with --data-dir",
            directory.display()
        ),
        Err(fs::TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;

    use super::{address_is_free, docker_socket, lock};

    #[test]
    fn docker_is_named_by_a_unix_url() {
        let socket = docker_socket("unix:///run/docker.sock");
        assert_eq!(socket.as_deref(), Ok(Path::new("/run/docker.sock")));
        for text in ["tcp://127.0.0.1:2375", "/run/docker.sock", "unix://docker.sock"] {
            assert!(docker_socket(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_taken_address_is_told_from_a_free_one() -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let error = address_is_free(address).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{address} is taken")), "{error}");
        drop(listener);
        address_is_free(address)
    }

    #[test]
    fn a_directory_serves_one_at_a_time() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let held = lock(directory.path())?;
        let error = lock(directory.path()).unwrap_err().to_string();
        assert!(error.starts_with("another `berth dev` uses"), "{error}");
        drop(held);
        lock(directory.path())?;
        Ok(())
    }
}
