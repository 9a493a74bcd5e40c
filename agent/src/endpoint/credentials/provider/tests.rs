use std::fs;

use berth_model::time::Timestamp;

use super::*;

const ROLE: &str = "arn:aws:iam::000000000000:role/web";

/// A program that counts its runs, and its directory.
struct Program {
    directory: tempfile::TempDir,
}

impl Program {
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(
            directory.path().join("script"),
            format!("echo x >> \"$0.runs\"\n{script}"),
        )
        .unwrap();
        Self { directory }
    }

    fn provider(&self) -> Provider {
        let script = self.directory.path().join("script").display().to_string();
        Provider::begin(Source::Command(vec!["sh".to_owned(), script]))
    }

    fn runs(&self) -> usize {
        let runs = fs::read_to_string(self.directory.path().join("script.runs"));
        runs.unwrap_or_default().lines().count()
    }
}

fn document(key: &str, expires: Timestamp) -> String {
    format!(
        r#"{{"Version": 1, "AccessKeyId": "{key}", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "{}"}}"#,
        expires.to_rfc3339()
    )
}

/// What the provider has, once it is not loading: on a busy machine a command may take longer than one question waits.
async fn settled(provider: &Provider) -> Outcome {
    loop {
        match provider.credentials(ROLE).await {
            Err(Unavailable::Loading) => {}
            outcome => return outcome,
        }
    }
}

fn in_an_hour() -> Timestamp {
    now() + Duration::from_secs(3600)
}

#[tokio::test]
async fn a_command_is_run_once_for_all_who_wait_and_given_the_role() {
    let program = Program::new(&format!(
        "sleep 0.2; echo '{}' | sed s,KEY,$1,",
        document("KEY", in_an_hour())
    ));
    let provider = program.provider();
    let all = futures_util::future::join_all((0..20).map(|_| settled(&provider))).await;
    for outcome in all {
        assert_eq!(outcome.unwrap().access_key_id, ROLE);
    }
    assert_eq!(provider.credentials(ROLE).await.unwrap().access_key_id, ROLE);
    assert_eq!(program.runs(), 1);
}

#[tokio::test]
async fn credentials_that_end_soon_are_given_while_others_are_fetched() {
    let soon = now() + Duration::from_secs(60);
    let program = Program::new(&format!("echo '{}'", document("KEY", soon)));
    let provider = program.provider();
    assert_eq!(settled(&provider).await.unwrap().expires, soon);
    assert_eq!(settled(&provider).await.unwrap().expires, soon);
}

#[tokio::test]
async fn a_command_that_fails_is_not_run_again_at_once() {
    let program = Program::new("exit 3");
    let provider = program.provider();
    assert_eq!(settled(&provider).await.unwrap_err(), Unavailable::Failing);
    let failed = std::time::Instant::now();
    for _ in 0..2 {
        assert_eq!(settled(&provider).await.unwrap_err(), Unavailable::Failing);
    }
    let runs = program.runs();
    assert!(runs == 1 || failed.elapsed() >= PAUSE, "run {runs} times");
}

#[tokio::test]
async fn whoever_asks_does_not_wait_for_a_slow_command() {
    let program = Program::new("exec sleep 30");
    let provider = program.provider();
    let began = std::time::Instant::now();
    assert_eq!(provider.credentials(ROLE).await.unwrap_err(), Unavailable::Loading);
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_file_has_documents_by_role() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.json");
    fs::write(&path, format!(r#"{{"{ROLE}": {}}}"#, document("FILE", in_an_hour()))).unwrap();
    let provider = Provider::begin(Source::File(path));
    assert_eq!(settled(&provider).await.unwrap().access_key_id, "FILE");
    let other = provider.credentials("arn:aws:iam::000000000000:role/other").await;
    assert_eq!(other.unwrap_err(), Unavailable::Failing);
}
