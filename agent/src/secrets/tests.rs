use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn secrets() -> (tempfile::TempDir, Secrets) {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("secrets");
    fs::create_dir_all(directory.join("prod")).unwrap();
    (place, Secrets::new(directory))
}

fn refusal(secrets: &Secrets, value_from: &str) -> String {
    let failure = secrets.read(value_from).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unprepared);
    assert!(
        failure.message.starts_with(&format!("secret '{value_from}': ")),
        "{failure}"
    );
    failure.message
}

#[test]
fn a_secret_is_the_text_of_its_file_without_the_last_line_end() {
    let (place, secrets) = secrets();
    let directory = place.path().join("secrets");
    fs::write(directory.join("prod/db"), "hunter2\n").unwrap();
    fs::write(directory.join("two"), "one\r\ntwo\r\n").unwrap();
    let of = |reference: &str| secrets.read(reference).unwrap().expose().to_owned();
    assert_eq!(of("/prod/db"), "hunter2");
    assert_eq!(of("arn:aws:ssm:eu-west-1:123456789012:parameter/prod/db"), "hunter2");
    assert_eq!(of("arn:aws:secretsmanager:r:1:secret:prod/db-AbCd12"), "hunter2");
    assert_eq!(of(&format!("file://{}/prod/db", directory.display())), "hunter2");
    assert_eq!(of("two"), "one\r\ntwo");
}

#[test]
fn a_json_key_picks_a_member() {
    let (place, secrets) = secrets();
    let json = r#"{"user": "root", "port": 5432, "gone": null}"#;
    fs::write(place.path().join("secrets/db"), json).unwrap();
    fs::write(place.path().join("secrets/plain"), "hunter2").unwrap();
    let arn = |rest: &str| format!("arn:aws:secretsmanager:eu-west-1:123456789012:secret:{rest}");
    let of = |rest: &str| secrets.read(&arn(rest)).unwrap().expose().to_owned();
    assert_eq!(of("db:user::"), "root");
    assert_eq!(of("db:port"), "5432");
    assert_eq!(of("db"), json);
    for absent in ["db:password::", "db:gone::"] {
        assert!(refusal(&secrets, &arn(absent)).contains("has no member"), "{absent}");
    }
    let plain = refusal(&secrets, &arn("plain:user::"));
    assert!(
        plain.contains("not a JSON object") && !plain.contains("hunter2"),
        "{plain}"
    );
}

#[test]
fn nothing_outside_of_the_directory_is_read() {
    let (place, secrets) = secrets();
    let directory = place.path().join("secrets");
    fs::write(place.path().join("outside"), "root:x").unwrap();
    fs::write(directory.join("prod/db"), "hunter2").unwrap();
    symlink(place.path().join("outside"), directory.join("out")).unwrap();
    symlink("prod/db", directory.join("alias")).unwrap();
    assert!(refusal(&secrets, "out").contains("leads out of"));
    assert!(refusal(&secrets, "../outside").contains("'..'"));
    assert_eq!(secrets.read("alias").unwrap().expose(), "hunter2");
}

#[test]
fn what_cannot_be_had_is_named() {
    let (place, secrets) = secrets();
    let directory = place.path().join("secrets");
    let missing = refusal(&secrets, "arn:aws:secretsmanager:r:1:secret:db-AbCd12");
    let looked_for = format!("no file '{0}/db-AbCd12' or '{0}/db'", directory.display());
    assert!(missing.ends_with(&looked_for), "{missing}");
    assert!(refusal(&secrets, "prod").contains("not a regular file"));
    fs::write(directory.join("long"), "x".repeat(65_537)).unwrap();
    assert!(refusal(&secrets, "long").contains("longer than 65536 bytes"));
    fs::write(directory.join("binary"), [0xff, 0xfe]).unwrap();
    assert!(refusal(&secrets, "binary").contains("not UTF-8 text"));
    let nowhere = Secrets::new(place.path().join("nowhere"));
    assert!(refusal(&nowhere, "db").contains("no file"));
}

#[test]
fn a_secret_prints_as_nothing() {
    assert_eq!(format!("{:?}", Secret("hunter2".to_owned())), "Secret");
}
