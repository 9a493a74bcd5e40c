use super::*;
use crate::testing::write_program;

fn password(user: &str, password: &str) -> Login {
    Login::Password {
        user: user.to_owned(),
        password: Secret::new(password.to_owned()),
    }
}

fn held(file: &str, registry: &str) -> Option<Login> {
    match ConfigFile::parse(file).unwrap().source(registry) {
        Some(Source::Here(login)) => Some(login.unwrap()),
        Some(Source::Helper(helper)) => panic!("{helper}"),
        None => None,
    }
}

#[test]
fn dockers_file_is_read_as_docker_reads_it() {
    // base64 of ada:love:lace
    let file = r#"{
        "auths": {
            "https://index.docker.io/v1/": {"auth": "YWRhOmxvdmU6bGFjZQ=="},
            "reg.test:5000": {"username": "bob", "password": "builder"},
            "token.test": {"auth": "YWRhOmxvdmU6bGFjZQ==", "identitytoken": "t"},
            "empty.test": {}
        },
        "HttpHeaders": {"User-Agent": "Docker-Client"}
    }"#;
    assert_eq!(held(file, "docker.io"), Some(password("ada", "love:lace")));
    assert_eq!(held(file, "reg.test:5000"), Some(password("bob", "builder")));
    let token = Login::IdentityToken(Secret::new("t".to_owned()));
    assert_eq!(held(file, "token.test"), Some(token));
    assert_eq!(held(file, "empty.test"), None);
    assert_eq!(held(file, "reg.test"), None);
}

#[test]
fn a_helper_of_the_registry_comes_before_one_for_all() {
    let file = ConfigFile::parse(
        r#"{"auths": {"a.test": {"username": "x"}}, "credsStore": "pass", "credHelpers": {"b.test": "ecr-login"}}"#,
    )
    .unwrap();
    assert!(matches!(file.source("a.test"), Some(Source::Helper("pass"))));
    assert!(matches!(file.source("b.test"), Some(Source::Helper("ecr-login"))));
}

#[test]
fn what_is_wrong_is_said_without_what_is_secret() {
    let error = ConfigFile::parse(r#"{"auths": {"a.test": "hunter2"}}"#).err().unwrap();
    assert!(error.contains("line 1 column") && !error.contains("hunter2"), "{error}");
    let file = ConfigFile::parse(r#"{"auths": {"a.test": {"auth": "hunter2"}}}"#).unwrap();
    let Some(Source::Here(Err(error))) = file.source("a.test") else {
        panic!()
    };
    assert_eq!(error, "'auth' of 'a.test' is not 'user:password' in base64");
}

fn logins(directory: &Path, given: Option<&str>) -> Logins {
    Logins {
        docker_config: directory.join("config.json"),
        given: given.map(|data| Secret::new(data.to_owned())),
        secrets: Secrets::new(directory.to_owned()),
        remembered: Mutex::default(),
    }
}

#[tokio::test]
async fn the_definition_comes_first_then_the_agent_then_dockers_file() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("registry", r#"{"username": "of-task", "password": "p"}"#);
    write("config.json", r#"{"auths": {"a.test": {"username": "of-file"}}}"#);
    let user = async |given: Option<&str>, credentials: Option<&str>| {
        let found = logins(directory.path(), given).of("a.test", credentials).await;
        match found.unwrap().map(|found| found.login) {
            Some(Login::Password { user, .. }) => user,
            other => panic!("{other:?}"),
        }
    };
    let given = r#"{"a.test": {"username": "given", "password": "p", "email": "a@b"}}"#;
    assert_eq!(user(Some(given), Some("registry")).await, "of-task");
    assert_eq!(user(Some(given), None).await, "given");
    assert_eq!(user(Some("{}"), None).await, "of-file");
    let none = logins(Path::new("/nonexistent"), None).of("a.test", None).await;
    assert!(none.unwrap().is_none());

    write("registry", "hunter2");
    let failure = logins(directory.path(), None)
        .of("a.test", Some("registry"))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unprepared);
    assert!(!failure.message.contains("hunter2"), "{failure}");
}

#[tokio::test]
async fn helpers_answer_or_say_why_not() {
    let directory = tempfile::tempdir().unwrap();
    let helper = async |name: &str, script: &str| {
        let path = directory.path().join(name);
        write_program(&path, format!("#!/bin/sh\n{script}\n").as_bytes());
        helper::answer(path.to_str().unwrap(), "reg.test", Duration::from_secs(60)).await
    };
    let good = r#"read server; echo "{\"Username\":\"$1\",\"Secret\":\"$server\"}""#;
    assert_eq!(helper("good", good).await, Ok(Some(password("get", "reg.test"))));
    let ignorant = "echo credentials not found in native keychain; exit 1";
    assert_eq!(helper("ignorant", ignorant).await, Ok(None));
    let error = helper("broken", "echo the keychain is locked; exit 3")
        .await
        .unwrap_err();
    assert!(
        error.ends_with("/broken' failed, exit status: 3: the keychain is locked"),
        "{error}"
    );
    let error = helper::ask("no-such-helper", "reg.test").await.unwrap_err();
    assert!(
        error.starts_with("credential helper 'docker-credential-no-such-helper' cannot be run"),
        "{error}"
    );
    assert!(helper::ask("../../evil", "reg.test").await.is_err());
}

#[tokio::test]
async fn a_helper_that_hangs_is_killed_at_its_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (program, noted) = (path("hangs"), path("pid"));
    let script = format!("#!/bin/sh\necho $$ >{noted}.new; mv {noted}.new {noted}; exec sleep 600\n");
    write_program(Path::new(&program), script.as_bytes());
    // On a busy machine it may be killed before it has said who it is.
    let mut seconds = 1;
    let pid = loop {
        let error = helper::answer(&program, "reg.test", Duration::from_secs(seconds))
            .await
            .unwrap_err();
        assert!(
            error.ends_with(&format!("/hangs' did not answer within {seconds} s")),
            "{error}"
        );
        if let Ok(pid) = std::fs::read_to_string(&noted) {
            break pid.trim().to_owned();
        }
        seconds *= 2;
        assert!(seconds < 60, "it never begins");
    };
    // Gone, or dead and not yet taken.
    let lives = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    let patience = Instant::now() + Duration::from_secs(60);
    while lives() {
        assert!(Instant::now() < patience, "process {pid} lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
