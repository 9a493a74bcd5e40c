//! `berth capacity-providers`, and tasks that are divided among them.

use berth_proto::ecs::v1::CapacityProviderStrategyItem;

use crate::berth::berth;
use crate::fake::Fake;

fn item(name: &str, weight: i32, base: Option<i32>) -> CapacityProviderStrategyItem {
    CapacityProviderStrategyItem {
        capacity_provider: Some(name.to_owned()),
        weight: Some(weight),
        base,
    }
}

#[test]
fn a_provider_is_created_listed_shown_and_deleted() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let scaled = ["--managed-scaling", "--target-capacity", "80", "--warmup", "2m"];
    let create = ["capacity-providers", "create", "web", "--group", "web-asg"];
    let created = berth(&fake.url, &[&create[..], &scaled].concat())?;
    assert_eq!(created.code, Some(0), "{created:?}");
    let group = fake.state().providers[0]
        .auto_scaling_group_provider
        .clone()
        .unwrap_or_default();
    let scaling = group.managed_scaling.clone().unwrap_or_default();
    assert_eq!(
        (group.auto_scaling_group_arn(), scaling.status()),
        ("web-asg", "ENABLED")
    );
    assert_eq!((scaling.target_capacity(), scaling.instance_warmup_period()), (80, 120));
    for name in ["spare", "third"] {
        berth(&fake.url, &["cp", "create", name])?;
    }
    let listed = berth(&fake.url, &["capacity-providers", "list"])?;
    assert_eq!(
        listed.stdout,
        "PROVIDER  STATUS  TYPE             GROUP    SCALING\n\
         web       ACTIVE  EC2_AUTOSCALING  web-asg  ENABLED\n\
         spare     ACTIVE  EC2_AUTOSCALING  spare    DISABLED\n\
         third     ACTIVE  EC2_AUTOSCALING  third    DISABLED\n"
    );
    let shown = berth(&fake.url, &["capacity-providers", "describe", "web"])?;
    assert!(
        shown.stdout.contains("80 %") && shown.stdout.contains("web-asg"),
        "{shown:?}"
    );
    let missing = berth(&fake.url, &["capacity-providers", "describe", "ghost"])?;
    assert_eq!(missing.stderr, "error: capacity provider \"ghost\": MISSING\n");
    berth(&fake.url, &["capacity-providers", "delete", "web"])?;
    assert_eq!(fake.state().providers.len(), 2);
    Ok(())
}

#[test]
fn a_cluster_gets_its_providers_and_its_strategy() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let assign = [
        "capacity-providers",
        "assign",
        "web",
        "spare",
        "--default",
        "web,base=2",
        "--default",
        "spare,weight=3",
    ];
    let assigned = berth(&fake.url, &assign)?;
    assert_eq!(assigned.code, Some(0), "{assigned:?}");
    for says in ["web, spare", "web 1 (base 2), spare 3"] {
        assert!(assigned.stdout.contains(says), "{assigned:?}");
    }
    Ok(())
}

#[test]
fn tasks_are_run_by_a_strategy_or_a_launch_type() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    fake.state().capacity = 10;
    let strategy = [
        "--capacity-provider-strategy",
        "web,base=1",
        "--capacity-provider-strategy",
        "spare,weight=4",
    ];
    berth(&fake.url, &[&["run", "web:1"], &strategy[..]].concat())?;
    berth(
        &fake.url,
        &["run", "web:1", "--launch-type", "fargate", "--subnet", "a"],
    )?;
    let runs = fake.state().runs.clone();
    assert_eq!(
        runs[0].capacity_provider_strategy,
        [item("web", 1, Some(1)), item("spare", 4, None)]
    );
    assert_eq!((runs[0].launch_type(), runs[1].launch_type()), ("", "FARGATE"));
    let network = runs[1].network_configuration.clone().unwrap_or_default();
    assert_eq!(network.awsvpc_configuration.unwrap_or_default().subnets, ["a"]);
    let both = berth(
        &fake.url,
        &[&["run", "web:1", "--launch-type", "ec2"], &strategy[..]].concat(),
    )?;
    assert!(both.stderr.contains("cannot be used with"), "{both:?}");
    Ok(())
}
