//! A real etcd of three members on loopback, any of which can be killed and started again.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const STARTS_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    data: TempDir,
    options: Vec<String>,
    members: Vec<Member>,
}

struct Member {
    client: SocketAddr,
    peer: SocketAddr,
    child: Option<Child>,
}

impl Cluster {
    pub(crate) fn start(members: usize) -> Self {
        Self::with(members, &[])
    }

    /// Members with these options.
    pub(crate) fn with(members: usize, options: &[&str]) -> Self {
        let member = |_| Member {
            client: free(),
            peer: free(),
            child: None,
        };
        let mut cluster = Self {
            data: tempfile::tempdir().unwrap(),
            options: options.iter().map(ToString::to_string).collect(),
            members: (0..members).map(member).collect(),
        };
        for nth in 0..members {
            cluster.launch(nth);
        }
        (0..members).for_each(|nth| cluster.wait(nth));
        cluster
    }

    /// Where the schedulers find their journal.
    pub(crate) fn journal(&self) -> String {
        let hosts: Vec<String> = self.members.iter().map(|member| member.client.to_string()).collect();
        format!("etcd://{}/test?deadline=1", hosts.join(","))
    }

    pub(crate) fn kill(&mut self, nth: usize) {
        if let Some(mut child) = self.members[nth].child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal to all members: STOP, and they answer nobody, or CONT.
    pub(crate) fn signal(&self, signal: &str) {
        let members = self.members.iter().filter_map(|member| member.child.as_ref());
        let pids = members.map(|child| child.id().to_string());
        let sent = Command::new("kill")
            .arg(format!("-{signal}"))
            .args(pids)
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// What `etcdctl` puts out that is given these words, and this to read; its complaint where it fails.
    pub(crate) fn etcdctl(&self, words: &str, input: &[u8]) -> Result<String, String> {
        let mut child = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.members[0].client.to_string()])
            .args(words.split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("etcdctl is there; if not: apt-get install etcd-client");
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    pub(crate) fn restart(&mut self, nth: usize) {
        self.launch(nth);
        self.wait(nth);
    }

    fn launch(&mut self, nth: usize) {
        let peers = self.members.iter().enumerate();
        let peers: Vec<String> = peers
            .map(|(nth, member)| format!("m{nth}=http://{}", member.peer))
            .collect();
        let member = &mut self.members[nth];
        let (client, peer) = (format!("http://{}", member.client), format!("http://{}", member.peer));
        let child = Command::new("etcd")
            .args(["--name", &format!("m{nth}"), "--data-dir"])
            .arg(self.data.path().join(format!("m{nth}")))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &peers.join(",")])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd is there; if not: apt-get install etcd-server");
        member.child = Some(child);
    }

    fn wait(&mut self, nth: usize) {
        let member = &mut self.members[nth];
        let deadline = Instant::now() + STARTS_WITHIN;
        while TcpStream::connect(member.client).is_err() {
            let ended = member.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "etcd ended: {ended:?}");
            assert!(Instant::now() < deadline, "etcd does not serve");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|nth| self.kill(nth));
    }
}

pub(crate) fn free() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}
