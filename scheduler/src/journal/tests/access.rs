//! Getting into an etcd that is guarded: TLS, certificates of clients, users with passwords.

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::server::Server;
use super::suite::{append, fill};
use super::*;
use crate::journal::etcd::Etcd;

/// An authority, and a certificate by it for `name`, as files.
fn certify(directory: &Path, names: &[&str]) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(directory.join("ca.pem"), authority.pem()).unwrap();
    for name in names {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), (*name).to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(directory.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

fn open(server: &Server, options: &str) -> Etcd {
    let address = format!("etcd://{}/test?deadline=1{options}", server.client);
    Etcd::open(&address.parse().unwrap(), 1).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_asks_for_certificates_lets_in_who_has_one() {
    let files = tempfile::tempdir().unwrap();
    certify(files.path(), &["server", "scheduler"]);
    let file = |name: &str| files.path().join(name).display().to_string();
    let server = Server::with(&[
        "--cert-file",
        &file("server.pem"),
        "--key-file",
        &file("server.key"),
        "--client-cert-auth",
        "--trusted-ca-file",
        &file("ca.pem"),
    ]);
    let ca = format!("&ca={}", file("ca.pem"));
    let certificate = format!("&cert={}&key={}", file("scheduler.pem"), file("scheduler.key"));
    let journal = open(&server, &format!("{ca}{certificate}"));
    fill(&journal, 1..=2).await;

    let strangers = tempfile::tempdir().unwrap();
    certify(strangers.path(), &["scheduler"]);
    let strange = format!("&ca={}{certificate}", strangers.path().join("ca.pem").display());
    for options in [String::new(), ca, strange] {
        let refused = open(&server, &options).head().await;
        assert!(
            matches!(refused, Err(JournalError::Unreachable { .. })),
            "{options}: {refused:?}"
        );
    }
}

fn etcdctl(server: &Server, words: &str) {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3");
    command.args(["--endpoints", &server.client.to_string()]);
    let output = command
        .args(words.split(' '))
        .output()
        .unwrap_or_else(|error| panic!("etcdctl: {error}; install it: apt-get install etcd-client"));
    assert!(output.status.success(), "{words}: {output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_with_users_lets_in_who_knows_the_password_also_after_it_has_forgotten_them() {
    let mut server = Server::start();
    for words in [
        "user add root:above",
        "user grant-role root root",
        "user add berth:secret",
        "role add berth",
        "role grant-permission berth --prefix=true readwrite test/",
        "user grant-role berth berth",
        "auth enable",
    ] {
        etcdctl(&server, words);
    }
    let files = tempfile::tempdir().unwrap();
    let password = |text: &str| {
        let path = files.path().join(text);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        format!("&user=berth&password-file={}", path.display())
    };
    let journal = open(&server, &password("secret"));
    fill(&journal, 1..=2).await;
    journal.put_snapshot(Revision(2), 0, std::iter::empty()).await.unwrap();
    journal.truncate(Revision(3)).await.unwrap();
    journal.tidy().await.unwrap();
    journal.tidy().await.unwrap();

    for options in [String::new(), password("guessed")] {
        let refused = open(&server, &options).head().await.unwrap_err();
        let reason = format!("{:#}", anyhow::Error::new(refused));
        assert!(reason.contains("user") || reason.contains("authentication"), "{reason}");
    }
    server.kill();
    server.restart();
    // Its tokens did not survive.
    assert_eq!(append(&journal, 2, 3).await, Appended::Committed(Revision(3)));
    let mut stream = std::pin::pin!(journal.follow(Revision(3)));
    let told = futures_util::StreamExt::next(&mut stream).await.unwrap().unwrap();
    assert_eq!(told, Followed::Records(vec![(Revision(3), b"3".to_vec())]));
}
