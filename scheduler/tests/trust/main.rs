//! A scheduler that speaks TLS: who joins, who speaks for whom, and everybody who is refused, with real certificates and real
//! connections. Each refusal is in the log, with its reason.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic, its helpers too"
)]

mod operators;
mod scheduler;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_model::time::Timestamp;
use berth_proto::agent::v1::scheduler_message::Message as FromScheduler;
use berth_proto::ecs::v1::ecs_client::EcsClient;
use berth_proto::ecs::v1::{DeregisterContainerInstanceRequest, ListServicesRequest};
use berth_proto::gateway::v1 as link;
use berth_proto::gateway::v1::gateway_link_client::GatewayLinkClient;
use berth_proto::replica::v1::ListenRequest;
use berth_proto::replica::v1::replica_link_client::ReplicaLinkClient;
use berth_proto::v1 as wire;
use berth_proto::v1::trust_client::TrustClient;
use berth_tls::{Authority, Client, JoinError, NewKey, Request, connect, files};
use berth_trust::{Identity, Life, Member, Role};
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use scheduler::{PATIENCE, Scheduler, Stream, instance, membership};

const HOUR: Duration = Duration::from_secs(3600);

async fn prepared() -> (tempfile::TempDir, Scheduler) {
    let data = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(data.path(), "off").await;
    scheduler.create_cluster().await;
    (data, scheduler)
}

async fn token(scheduler: &Scheduler, uses: i32) -> String {
    let request = wire::CreateJoinTokenRequest {
        uses: Some(uses),
        ..Default::default()
    };
    scheduler.token(request).await.token
}

fn id_of(token: &str) -> &str {
    token.split('.').nth(1).unwrap()
}

fn authority(scheduler: &Scheduler) -> Authority {
    let read = |name: &str| std::fs::read_to_string(scheduler.data.join(name)).unwrap();
    Authority::read(&read("ca.pem"), &read("ca.key")).unwrap()
}

/// Somebody for whom an authority has signed.
fn client(scheduler: &Scheduler, by: &Authority, identity: &Identity, life: Life) -> Client {
    let key = NewKey::draw().unwrap();
    let chain = by
        .issue(&Request::read_pem(&key.request).unwrap(), identity, life)
        .unwrap();
    let shows = (chain, files::key(&key.key).unwrap());
    Client::trusting(authority(scheduler).bundle(), Some(shows)).unwrap()
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn good() -> Life {
    Life {
        begin: now(),
        end: now() + HOUR,
    }
}

fn refused(error: JoinError, says: &str) {
    let JoinError::Refused(status) = error else {
        panic!("{error:?}");
    };
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains(says), "{}", status.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_joins_with_a_token_once_and_comes_back_with_its_certificate() {
    let (_data, scheduler) = prepared().await;
    let hosts = tempfile::tempdir().unwrap();
    let token = token(&scheduler, 1).await;
    let first = membership(hosts.path(), &instance(1), Some(&token));
    let channel = first.connect(&scheduler.endpoint(), PATIENCE).await.unwrap();
    Stream::open(channel, &instance(1), &[]).await.is_welcome().await;
    drop(first);
    // The agent starts again: the token is still where it was, and is not used.
    for token in [Some(token.as_str()), None] {
        let again = membership(hosts.path(), &instance(1), token);
        let channel = again.connect(&scheduler.endpoint(), PATIENCE).await.unwrap();
        Stream::open(channel, &instance(1), &[]).await.is_welcome().await;
    }
    let joined = scheduler.said().matches("member joined").count();
    assert_eq!(joined, 1, "{}", scheduler.said());
    // Replayed by another host.
    let thief = membership(hosts.path(), &instance(2), Some(&token));
    let error = thief.connect(&scheduler.endpoint(), PATIENCE).await.unwrap_err();
    assert!(error.needs_somebody());
    refused(error, "was used as often as it may be");
    scheduler
        .says(&["a host may not join", id_of(&token), "as often as it may be"])
        .await;
    // It asks what came of its token, and does not send that again.
    refused(
        thief.connect(&scheduler.endpoint(), PATIENCE).await.unwrap_err(),
        "was used as often as it may be",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_and_one_of_another_cluster_let_nobody_in() {
    let (_data, scheduler) = prepared().await;
    let hosts = tempfile::tempdir().unwrap();
    let revoked = token(&scheduler, 5).await;
    let request = wire::RevokeJoinTokenRequest {
        cluster: Some("prod".to_owned()),
        token_id: Some(id_of(&revoked).to_owned()),
    };
    let mut client = TrustClient::new(scheduler.anonymous().await);
    let status = client
        .revoke_join_token(request)
        .await
        .unwrap()
        .into_inner()
        .join_token
        .unwrap()
        .status;
    assert_eq!(status, "Revoked");
    let host = membership(hosts.path(), &instance(1), Some(&revoked));
    refused(
        host.connect(&scheduler.endpoint(), PATIENCE).await.unwrap_err(),
        "was revoked",
    );
    scheduler
        .says(&["a host may not join", id_of(&revoked), "was revoked"])
        .await;
    // Who pretends to be the scheduler is not told the token: its authority is another.
    let (_others, impostor) = prepared().await;
    let good = token(&scheduler, 1).await;
    let host = membership(hosts.path(), &instance(2), Some(&good));
    let error = host.connect(&impostor.endpoint(), PATIENCE).await.unwrap_err();
    assert!(!error.needs_somebody(), "{error:?}");
    let error = format!("{:#}", anyhow::Error::new(error));
    assert!(error.contains("that the join token names"), "{error}");
    assert!(!impostor.said().contains("may not join"), "{}", impostor.said());
    host.connect(&scheduler.endpoint(), PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_speaks_for_its_own_instance_and_claims_what_its_token_has() {
    let (_data, scheduler) = prepared().await;
    let hosts = tempfile::tempdir().unwrap();
    let request = wire::CreateJoinTokenRequest {
        uses: Some(2),
        attributes: vec!["rack=r1".to_owned()],
        ..Default::default()
    };
    let token = scheduler.token(request).await.token;
    let own = membership(hosts.path(), &instance(1), Some(&token));
    let channel = own.connect(&scheduler.endpoint(), PATIENCE).await.unwrap();
    Stream::open(channel.clone(), &instance(1), &[("rack", "r1")])
        .await
        .is_welcome()
        .await;
    let mut greedy = Stream::open(channel.clone(), &instance(1), &[("rack", "r1"), ("vault", "yes")]).await;
    greedy.is_refused("may not claim the attribute vault=yes").await;
    // Another's name.
    let mut other = Stream::open(channel, &instance(2), &[]).await;
    other
        .is_refused("does not speak for instance/prod/00000000000000000000000000000002")
        .await;
    scheduler.says(&["agent refused", "does not speak for"]).await;
    // No certificate at all.
    let mut nobody = Stream::open(scheduler.anonymous().await, &instance(1), &[]).await;
    nobody.is_refused("has shown no certificate").await;
    // A certificate of the right name that the state knows nothing of: the authority's key alone is not enough.
    let forged = client(
        &scheduler,
        &authority(&scheduler),
        &Identity::Member(instance(3)),
        good(),
    );
    let channel = connect(&scheduler.endpoint(), Some(&forged), PATIENCE).await.unwrap();
    Stream::open(channel, &instance(3), &[])
        .await
        .is_refused("never joined")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_ended_or_are_another_authoritys_are_refused_before_a_word_is_said() {
    let (_data, scheduler) = prepared().await;
    let identity = Identity::Member(instance(1));
    let ended = Life {
        begin: Timestamp::from_millis(now().as_millis() - 7_200_000),
        end: Timestamp::from_millis(now().as_millis() - 3_600_000),
    };
    let own = authority(&scheduler);
    let stranger = Authority::make(now()).unwrap();
    for (by, life, reason) in [
        (&own, ended, "certificate expired"),
        (&stranger, good(), "UnknownIssuer"),
    ] {
        let client = client(&scheduler, by, &identity, life);
        let answer = async {
            let channel = connect(&scheduler.endpoint(), Some(&client), PATIENCE).await?;
            // With TLS 1.3 the client may hear of the refusal only when it says something.
            let answer = EcsClient::new(channel)
                .list_services(ListServicesRequest::default())
                .await;
            answer.map(drop).map_err(|status| anyhow::anyhow!("{status:?}"))
        };
        let error = answer.await.unwrap_err();
        assert!(!error.to_string().contains("Exception"), "{error:?}");
        scheduler.says(&["connection refused", reason]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_in_the_clear_is_told_that_this_is_not_done_and_nothing_else() {
    use std::io::{Read, Write};
    let (_data, scheduler) = prepared().await;
    let mut stream = std::net::TcpStream::connect(scheduler.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("This port speaks TLS: https://\n"),
        "{answer}"
    );
    scheduler.says(&["connection refused", "was not encrypted"]).await;
    let plain = Endpoint::from_shared(format!("http://{}", scheduler.address)).unwrap();
    let called = async {
        let channel = connect(&plain, None, PATIENCE).await?;
        let answer = EcsClient::new(channel)
            .list_services(ListServicesRequest::default())
            .await;
        answer.map(drop).map_err(anyhow::Error::new)
    };
    called.await.unwrap_err();
}

async fn remove(scheduler: &Scheduler, member: &Member) {
    let request = wire::RemoveMemberRequest {
        cluster: Some("prod".to_owned()),
        role: Some(member.role.to_string()),
        id: Some(member.id.to_string()),
    };
    TrustClient::new(scheduler.anonymous().await)
        .remove_member(request)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_removed_or_deregistered_is_let_go_of_and_does_not_come_back() {
    let (_data, scheduler) = prepared().await;
    let hosts = tempfile::tempdir().unwrap();
    let token = token(&scheduler, 2).await;
    let removed = membership(hosts.path(), &instance(1), Some(&token));
    let channel = removed.connect(&scheduler.endpoint(), PATIENCE).await.unwrap();
    let mut stream = Stream::open(channel, &instance(1), &[]).await;
    stream.is_welcome().await;
    remove(&scheduler, &instance(1)).await;
    while stream.next().await.is_some() {}
    scheduler.says(&["agent refused", "was removed from the cluster"]).await;
    let channel = removed.connect(&scheduler.endpoint(), PATIENCE).await.unwrap();
    Stream::open(channel, &instance(1), &[])
        .await
        .is_refused("was removed")
        .await;

    let deregistered = membership(hosts.path(), &instance(2), Some(&token));
    let channel = deregistered.connect(&scheduler.endpoint(), PATIENCE).await.unwrap();
    Stream::open(channel.clone(), &instance(2), &[])
        .await
        .is_welcome()
        .await;
    let request = DeregisterContainerInstanceRequest {
        cluster: Some("prod".to_owned()),
        container_instance: Some(instance(2).id.to_string()),
        force: None,
    };
    let mut ecs = EcsClient::new(scheduler.anonymous().await);
    ecs.deregister_container_instance(request).await.unwrap();
    let mut again = Stream::open(channel, &instance(2), &[]).await;
    let refusal = again.next().await;
    let Some(FromScheduler::Refusal(refusal)) = refusal else {
        panic!("{refusal:?}");
    };
    assert!(
        refusal.message.contains("is INACTIVE: it was deregistered"),
        "{}",
        refusal.message
    );
}

/// What a gateway of this id is told first.
async fn gateway(channel: Channel, id: &str) -> Result<link::SchedulerMessage, Status> {
    let hello = link::Hello {
        cluster: "prod".to_owned(),
        gateway_id: id.to_owned(),
        ..Default::default()
    };
    let message = Some(link::gateway_message::Message::Hello(hello));
    // It goes on to listen.
    let messages = tokio_stream::iter([link::GatewayMessage { message }]).chain(tokio_stream::pending());
    let mut inbox = GatewayLinkClient::new(channel).connect(messages).await?.into_inner();
    inbox.message().await.map(Option::unwrap)
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_and_schedulers_show_certificates_of_their_own() {
    let (_data, scheduler) = prepared().await;
    let hosts = tempfile::tempdir().unwrap();
    let request = wire::CreateJoinTokenRequest {
        role: Some("gateway".to_owned()),
        uses: Some(2),
        ..Default::default()
    };
    let token_of_gateways = scheduler.token(request).await.token;
    let member = Member {
        role: Role::Gateway,
        ..instance(1)
    };
    let own = membership(hosts.path(), &member, Some(&token_of_gateways));
    let channel = own.connect(&scheduler.endpoint(), PATIENCE).await.unwrap();
    gateway(channel.clone(), &member.id.to_string()).await.unwrap();
    let refused = gateway(channel, &instance(2).id.to_string()).await.unwrap_err();
    assert!(
        refused.message().contains("does not speak for gateway/prod/"),
        "{refused}"
    );
    scheduler.says(&["gateway refused", "does not speak for"]).await;
    // Neither joins a host as an instance with it, nor is an instance of the same id a gateway.
    let host = membership(hosts.path(), &instance(3), Some(&token_of_gateways));
    let error = host.connect(&scheduler.endpoint(), PATIENCE).await.unwrap_err();
    assert!(format!("{error}").contains("is for the role gateway"), "{error}");
    let token = token(&scheduler, 1).await;
    let others = tempfile::tempdir().unwrap();
    let host = membership(others.path(), &instance(1), Some(&token));
    let channel = host.connect(&scheduler.endpoint(), PATIENCE).await.unwrap();
    let refused = gateway(channel.clone(), &member.id.to_string()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    // Who listens as a scheduler must be one.
    let listen = async |channel| {
        let listening = ReplicaLinkClient::new(channel)
            .listen(ListenRequest { listener: 1, teller: 2 })
            .await;
        listening.map(drop).unwrap_err().code()
    };
    assert_eq!(listen(channel).await, Code::PermissionDenied);
    assert_eq!(listen(scheduler.anonymous().await).await, Code::PermissionDenied);
    let another = client(&scheduler, &authority(&scheduler), &Identity::Scheduler, good());
    let another = connect(&scheduler.endpoint(), Some(&another), PATIENCE).await.unwrap();
    assert_eq!(
        listen(another).await,
        Code::FailedPrecondition,
        "there is no scheduler 2"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_takes_over_while_everybody_goes_on() {
    let (_data, scheduler) = prepared().await;
    let hosts = tempfile::tempdir().unwrap();
    let tokens = token(&scheduler, 3).await;
    let member = Arc::new(membership(hosts.path(), &instance(1), Some(&tokens)));
    let channel = member.connect(&scheduler.endpoint(), PATIENCE).await.unwrap();
    let mut stream = Stream::open(channel.clone(), &instance(1), &[]).await;
    stream.is_welcome().await;
    let told = |message| {
        let FromScheduler::Authorities(told) = message else {
            return None;
        };
        Some(told)
    };
    let before = stream.until(told).await;
    assert_eq!((before.authorities.len(), before.renew), (1, false));
    let fresh = Arc::clone(&member);
    let keeping = tokio::spawn(async move { fresh.keep_fresh(channel).await });
    assert_eq!(scheduler.ca("rotate").lines().count(), 2);
    let after = stream.until(told).await;
    assert!(after.renew && after.authorities.len() == 3, "{after:?}");
    member.trust(&after).unwrap();
    // The token's pin is the old authority's, and it is good: the old one vouches for the new.
    let late = membership(hosts.path(), &instance(2), Some(&tokens));
    late.connect(&scheduler.endpoint(), PATIENCE).await.unwrap();
    let describe = async || {
        let mut client = TrustClient::new(scheduler.anonymous().await);
        let answer = client.describe_authorities(wire::DescribeAuthoritiesRequest {}).await;
        answer.unwrap().into_inner().authorities
    };
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let authorities = describe().await;
        let members: Vec<i32> = authorities.iter().map(|authority| authority.members).collect();
        if members == [2, 0] {
            assert!(authorities[0].signs && !authorities[1].signs);
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{authorities:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(scheduler.ca("retire").lines().count(), 1);
    let last = stream.until(told).await;
    assert_eq!(last.authorities.len(), 1);
    member.trust(&last).unwrap();
    keeping.abort();
    let again = membership(hosts.path(), &instance(1), None);
    let channel = again.connect(&scheduler.endpoint(), PATIENCE).await.unwrap();
    Stream::open(channel, &instance(1), &[]).await.is_welcome().await;
    // The stream that was there before has seen all of it.
    assert!(!scheduler.said().contains("agent refused"), "{}", scheduler.said());
}

/// Whether any file below the directory has the bytes in it.
fn is_in(directory: &Path, secret: &[u8]) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => is_in(&path, secret),
            false => std::fs::read(&path)
                .unwrap()
                .windows(secret.len())
                .any(|window| window == secret),
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_secret_of_a_token_is_in_no_log_no_journal_no_state_and_no_process_list() {
    let (data, scheduler) = prepared().await;
    let hosts = tempfile::tempdir().unwrap();
    let text = token(&scheduler, 2).await;
    let secret = text.split('.').nth(2).unwrap().to_owned();
    for bits in 1..=3 {
        let host = membership(hosts.path(), &instance(bits), Some(&text));
        let joined = host.connect(&scheduler.endpoint(), PATIENCE).await;
        assert_eq!(joined.is_ok(), bits < 3);
    }
    let bytes: Vec<u8> = (0..32)
        .map(|at| u8::from_str_radix(&secret[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    assert!(!scheduler.said().contains(&secret), "{}", scheduler.said());
    for planted in [secret.as_bytes(), &bytes] {
        assert!(!is_in(data.path(), planted) && !is_in(hosts.path(), planted));
    }
    let process = Path::new("/proc").join(scheduler.process().to_string());
    for file in ["cmdline", "environ"] {
        let content = std::fs::read(process.join(file)).unwrap();
        assert!(
            !content.windows(secret.len()).any(|window| window == secret.as_bytes()),
            "{file}"
        );
    }
    // The search finds what is there: the tokens' ids are.
    assert!(is_in(data.path(), id_of(&text).as_bytes()) && scheduler.said().contains(id_of(&text)));
    // Keys of hosts and of the authority are nobody's but their owners'.
    for (directory, name) in [
        (data.path().to_owned(), "ca.key"),
        (hosts.path().join(instance(1).id.to_string()), "key.pem"),
    ] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(directory.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
