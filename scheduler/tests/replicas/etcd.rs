//! A real etcd of three members on loopback, any of which can be killed and started again.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const STARTS_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    data: TempDir,
    members: Vec<Member>,
}

struct Member {
    client: SocketAddr,
    peer: SocketAddr,
    child: Option<Child>,
}

impl Cluster {
    pub(crate) fn start(members: usize) -> Self {
        let member = |_| Member {
            client: free(),
            peer: free(),
            child: None,
        };
        let mut cluster = Self {
            data: tempfile::tempdir().unwrap(),
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
