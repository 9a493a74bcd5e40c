//! Requests for settings of clusters and of the account that must be refused, and operations that all are.

use anyhow::{Result, ensure};
use berth_integration_tests::Ecs;
use berth_integration_tests::grpc::{self, Client};
use serde_json::{Value, json};

use super::{Case, case};

const CLIENT: &str = "ClientException";
const INVALID: &str = "InvalidParameterException";
const UNSUPPORTED: &str = "UnsupportedFeatureException";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = clusters();
    cases.extend(account());
    cases.extend([
        case(
            "ListServicesByNamespace",
            json!({"namespace": "internal"}),
            "NamespaceNotFoundException",
            "Namespace not found: 'internal'. It should be CLUSTER.berth.",
        ),
        case(
            "ListServicesByNamespace",
            json!({}),
            INVALID,
            "namespace can not be empty.",
        ),
        case(
            "UpdateContainerAgent",
            json!({"cluster": "here", "containerInstance": "0".repeat(32)}),
            INVALID,
            "not found.",
        ),
    ]);
    cases
}

fn clusters() -> Vec<Case> {
    let insights = |value: &str| json!([{"name": "containerInsights", "value": value}]);
    let commands = |of: Value| json!({"executeCommandConfiguration": of});
    let log = |logging: &str, group: &str| {
        let configuration = json!({"cloudWatchLogGroupName": group});
        json!({"logging": logging, "logConfiguration": configuration})
    };
    let mut cases = Vec::new();
    for (operation, cluster) in [("CreateCluster", "clusterName"), ("UpdateCluster", "cluster")] {
        let of = |mut more: Value, class, says: &str| {
            more[cluster] = "here".into();
            case(operation, more, class, says)
        };
        cases.extend([
            of(
                json!({"settings": insights("yes")}),
                INVALID,
                "settings[0].value 'yes' should be one of [enabled, disabled, enhanced].",
            ),
            of(
                json!({"settings": [{"name": "insights", "value": "enabled"}]}),
                INVALID,
                "settings[0].name 'insights' should be one of [containerInsights].",
            ),
            of(
                json!({"configuration": commands(json!({"kmsKeyId": "k"}))}),
                UNSUPPORTED,
                "configuration.executeCommandConfiguration.kmsKeyId is not supported",
            ),
            of(
                json!({"configuration": commands(json!({"logging": "OVERRIDE"}))}),
                INVALID,
                "logConfiguration can not be empty where logging is OVERRIDE: a cloudWatchLogGroupName must be given.",
            ),
            of(
                json!({"configuration": commands(log("OVERRIDE", "two words"))}),
                INVALID,
                "cloudWatchLogGroupName 'two words' must be 1 to 512 letters, digits and _-/.# characters.",
            ),
            of(
                json!({"configuration": commands(log("DEFAULT", "/ecs/commands"))}),
                INVALID,
                "logging 'DEFAULT' should be OVERRIDE where logConfiguration is given.",
            ),
            of(
                json!({"configuration": commands(json!({"logConfiguration": {"s3BucketName": "b"}}))}),
                UNSUPPORTED,
                "configuration.executeCommandConfiguration.logConfiguration.s3BucketName is not supported",
            ),
            of(
                json!({"configuration": commands(json!({"logConfiguration": {"cloudWatchEncryptionEnabled": true}}))}),
                UNSUPPORTED,
                "logConfiguration.cloudWatchEncryptionEnabled is not supported",
            ),
            of(
                json!({"configuration": commands(json!({"logConfiguration": {"s3EncryptionEnabled": true}}))}),
                UNSUPPORTED,
                "logConfiguration.s3EncryptionEnabled is not supported",
            ),
            of(
                json!({"configuration": commands(json!({"logConfiguration": {"s3KeyPrefix": "p"}}))}),
                UNSUPPORTED,
                "logConfiguration.s3KeyPrefix is not supported",
            ),
            of(
                json!({"configuration": commands(json!({"logging": "LOUD"}))}),
                INVALID,
                "'LOUD' should be one of [NONE, DEFAULT, OVERRIDE].",
            ),
            of(
                json!({"configuration": {"managedStorageConfiguration": {"kmsKeyId": "k"}}}),
                UNSUPPORTED,
                "configuration.managedStorageConfiguration is not supported",
            ),
            of(
                json!({"serviceConnectDefaults": {"namespace": "two words"}}),
                INVALID,
                "serviceConnectDefaults.namespace has 9 characters",
            ),
        ]);
    }
    cases.extend([
        case("UpdateCluster", json!({}), INVALID, "cluster can not be empty."),
        case(
            "UpdateCluster",
            json!({"cluster": "ghost"}),
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
        case(
            "UpdateClusterSettings",
            json!({"cluster": "here"}),
            INVALID,
            "settings can not be empty.",
        ),
        case(
            "UpdateClusterSettings",
            json!({"cluster": "ghost", "settings": insights("enabled")}),
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
    ]);
    cases
}

fn account() -> Vec<Case> {
    let put = |name: &str, value: &str, says: &str| {
        let input = json!({"name": name, "value": value});
        [
            case("PutAccountSetting", input.clone(), INVALID, says),
            case("PutAccountSettingDefault", input, INVALID, says),
        ]
    };
    let list = |input: Value, says: &str| case("ListAccountSettings", input, INVALID, says);
    let mut cases = vec![
        case(
            "PutAccountSetting",
            json!({"name": "containerInsights", "value": "enabled", "principalArn": "arn:aws:iam::999999999999:user/ann"}),
            INVALID,
            "principalArn 'arn:aws:iam::999999999999:user/ann' should be",
        ),
        case("DeleteAccountSetting", json!({}), INVALID, "name can not be empty."),
        case(
            "DeleteAccountSetting",
            json!({"name": "loudness"}),
            INVALID,
            "name 'loudness' should be one of",
        ),
        list(json!({"name": "loudness"}), "name 'loudness' should be one of"),
        list(json!({"value": "enabled"}), "value is given without name"),
        list(json!({"maxResults": 11}), "maxResults 11 should be between 1 and 10."),
        list(json!({"nextToken": "made up"}), "nextToken"),
    ];
    cases.extend(put(
        "loudness",
        "on",
        "name 'loudness' should be one of [serviceLongArnFormat,",
    ));
    cases.extend(put(
        "containerInsights",
        "loud",
        "value 'loud' of containerInsights should be one of",
    ));
    cases.extend(put(
        "taskLongArnFormat",
        "disabled",
        "You can no longer disable Long Arn settings",
    ));
    cases.extend(put("", "enabled", "name can not be empty."));
    cases
}

/// Operations of ECS that are refused whatever is asked, with shapes that the scheduler knows and without.
pub(super) fn unsupported(ecs: &Ecs) -> Result<()> {
    let client = Client::new(ecs.address())?;
    for (operation, class) in [
        ("ContinueServiceDeployment", UNSUPPORTED),
        ("CreateDaemon", UNSUPPORTED),
        ("ListDaemonTaskDefinitions", CLIENT),
        ("CreateGateway", UNSUPPORTED),
        ("DescribeExpressGatewayService", UNSUPPORTED),
        ("DiscoverPollEndpoint", CLIENT),
    ] {
        let says = format!("{operation} is not supported by this scheduler: ");
        let fault = ecs.refusal(operation, &json!({}))?;
        ensure!(
            fault.class == class && fault.message.starts_with(&says),
            "JSON {operation}: {fault}"
        );
        let path = format!("/berth.ecs.v1.Ecs/{operation}");
        let Err(status) = client.call(&path, Vec::new())? else {
            anyhow::bail!("gRPC {operation} succeeded");
        };
        let found = grpc::fault_class(&status);
        ensure!(
            found == class && status.message() == fault.message,
            "gRPC {operation}: {found}: {}",
            status.message()
        );
    }
    Ok(())
}
