//! Operators who call by a certificate: what they may do is what the access key may that it was made for.

use berth_model::id::AccessKeyId;
use berth_model::name::ClusterName;
use berth_model::policy::{Policy, Role as Duty};
use berth_proto::ecs::v1::ecs_client::EcsClient;
use berth_proto::ecs::v1::{CreateClusterRequest, ListServicesRequest};
use berth_proto::v1 as wire;
use berth_proto::v1::access_keys_client::AccessKeysClient;
use berth_proto::v1::trust_client::TrustClient;
use berth_tls::{Client, NewKey, connect, files};
use berth_trust::Identity;
use tonic::Code;

use super::scheduler::{PATIENCE, Scheduler, instance};
use super::{authority, client, good, now, prepared};

/// An access key with a role's policy, and somebody who shows a certificate for it.
async fn operator(scheduler: &Scheduler, duty: Duty, clusters: &[ClusterName]) -> (Client, String) {
    let request = wire::CreateAccessKeyRequest {
        user_name: Some("dashboard".to_owned()),
        policy_document: Some(Policy::of_role(duty, clusters).to_json()),
    };
    let channel = scheduler.anonymous().await;
    let mut keys = AccessKeysClient::new(channel.clone());
    let key = keys.create_access_key(request).await.unwrap().into_inner().access_key;
    let id = key.unwrap().access_key_id;
    let drawn = NewKey::draw().unwrap();
    let request = wire::CreateCertificateRequest {
        access_key_id: Some(id.clone()),
        certificate_request: Some(drawn.request),
        lifetime_seconds: Some(3600),
    };
    let answer = TrustClient::new(channel)
        .create_certificate(request)
        .await
        .unwrap()
        .into_inner();
    let shows = (
        files::certificates(&answer.certificate).unwrap(),
        files::key(&drawn.key).unwrap(),
    );
    let client = Client::trusting(&files::certificates(&answer.authorities).unwrap(), Some(shows)).unwrap();
    (client, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_with_a_certificate_may_what_its_role_may_in_its_cluster_and_as_long_as_its_key() {
    let (data, scheduler) = prepared().await;
    let prod = [instance(1).cluster];
    let (reader, _) = operator(&scheduler, Duty::Read, &prod).await;
    let (admins, admins_key) = operator(&scheduler, Duty::Admin, &prod).await;
    drop(scheduler);
    let scheduler = Scheduler::start(data.path(), "required").await;
    let in_prod = || ListServicesRequest {
        cluster: Some("prod".to_owned()),
        ..Default::default()
    };
    let create = || wire::CreateJoinTokenRequest {
        cluster: Some("prod".to_owned()),
        ..Default::default()
    };
    let nobody = EcsClient::new(scheduler.anonymous().await)
        .list_services(in_prod())
        .await
        .unwrap_err();
    assert_eq!(
        nobody.metadata().get("berth-fault").unwrap(),
        "MissingAuthenticationTokenException"
    );
    let reader = connect(&scheduler.endpoint(), Some(&reader), PATIENCE).await.unwrap();
    EcsClient::new(reader.clone()).list_services(in_prod()).await.unwrap();
    let refused = TrustClient::new(reader.clone())
        .create_join_token(create())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(
        refused
            .message()
            .contains("is not authorized to perform: berth:CreateJoinToken"),
        "{}",
        refused.message()
    );
    let elsewhere = ListServicesRequest {
        cluster: Some("other".to_owned()),
        ..Default::default()
    };
    let refused = EcsClient::new(reader).list_services(elsewhere).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    let admin = connect(&scheduler.endpoint(), Some(&admins), PATIENCE).await.unwrap();
    let made = TrustClient::new(admin.clone())
        .create_join_token(create())
        .await
        .unwrap();
    let by = made.into_inner().join_token.unwrap().created_by;
    assert!(by.contains("user/dashboard") && by.ends_with("by certificate"), "{by}");
    let cluster = CreateClusterRequest {
        cluster_name: Some("another".to_owned()),
        ..Default::default()
    };
    let refused = EcsClient::new(admin.clone()).create_cluster(cluster).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    // A host's certificate is no operator's, and a certificate is worth what its access key is.
    let stray = client(
        &scheduler,
        &authority(&scheduler),
        &Identity::Member(instance(1)),
        good(),
    );
    let unknown = Identity::Operator(AccessKeyId::from_bits("AKIA", 7));
    let unknown = client(&scheduler, &authority(&scheduler), &unknown, good());
    for (client, class) in [
        (stray, "MissingAuthenticationTokenException"),
        (unknown, "UnrecognizedClientException"),
    ] {
        let channel = connect(&scheduler.endpoint(), Some(&client), PATIENCE).await.unwrap();
        let refused = EcsClient::new(channel).list_services(in_prod()).await.unwrap_err();
        assert_eq!(refused.metadata().get("berth-fault").unwrap(), class);
    }
    drop(scheduler);
    let scheduler = Scheduler::start(data.path(), "off").await;
    let request = wire::DeleteAccessKeyRequest {
        access_key_id: Some(admins_key),
    };
    AccessKeysClient::new(scheduler.anonymous().await)
        .delete_access_key(request)
        .await
        .unwrap();
    drop(scheduler);
    let scheduler = Scheduler::start(data.path(), "required").await;
    let channel = connect(&scheduler.endpoint(), Some(&admins), PATIENCE).await.unwrap();
    let refused = EcsClient::new(channel).list_services(in_prod()).await.unwrap_err();
    assert_eq!(
        refused.metadata().get("berth-fault").unwrap(),
        "UnrecognizedClientException"
    );
}

/// The answer to a GET of `/metrics`, with its head.
async fn figures(scheduler: &Scheduler, client: &Client) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = client.dial_http1(&scheduler.address.to_string()).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nhost: scheduler\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_for_who_shows_the_certificate_of_an_access_key_that_may_read_those_of_all_clusters() {
    let (data, scheduler) = prepared().await;
    let (prometheus, _) = operator(&scheduler, Duty::Read, &[]).await;
    let (of_prod, _) = operator(&scheduler, Duty::Read, &[instance(1).cluster]).await;
    drop(scheduler);
    let scheduler = Scheduler::start(data.path(), "required").await;
    let by = authority(&scheduler);
    let nobody = Client::trusting(by.bundle(), None).unwrap();
    let host = client(&scheduler, &by, &Identity::Member(instance(1)), good());
    for (who, says) in [
        (&nobody, "Show the certificate of an access key"),
        (&host, "Show the certificate of an access key"),
        (&of_prod, "is not authorized to perform: berth:GetMetrics"),
    ] {
        let answer = figures(&scheduler, who).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains(says), "{answer}");
        assert!(!answer.contains("berth_journal_revision"), "{answer}");
    }
    let answer = figures(&scheduler, &prometheus).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let end = |certificate: &str| -> f64 {
        let series = format!("berth_certificate_end_timestamp_seconds{{certificate=\"{certificate}\"}} ");
        let line = answer.lines().find_map(|line| line.strip_prefix(&series)).unwrap();
        line.parse().unwrap()
    };
    let authority = by.life().end.as_epoch_seconds();
    assert_eq!(end("authority"), authority);
    assert!(
        now().as_epoch_seconds() < end("own") && end("own") < authority,
        "{answer}"
    );
}
