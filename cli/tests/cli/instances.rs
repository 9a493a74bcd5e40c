//! `berth instances`.

use berth_proto::ecs::v1::Attribute;
use berth_proto::v1::{DescribeUsageResponse, HostFigures, InstanceUsage};

use crate::berth::berth;
use crate::fake::{Fake, instance};

fn with_instances() -> anyhow::Result<Fake> {
    let fake = Fake::start()?;
    fake.state().instances = vec![instance("aaaa"), instance("bbbb"), instance("cccc")];
    Ok(fake)
}

#[test]
fn instances_are_listed_with_what_is_free() -> anyhow::Result<()> {
    let fake = with_instances()?;
    let ran = berth(&fake.url, &["instances"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.stdout,
        "INSTANCE  STATUS  AGENT      HEALTH  TASKS  CPU FREE/TOTAL  MIB FREE/TOTAL  CPU USED  MIB USED\n\
         aaaa0000  ACTIVE  connected  -           3       1024/2048        900/1900         -         -\n\
         bbbb0000  ACTIVE  connected  -           3       1024/2048        900/1900         -         -\n\
         cccc0000  ACTIVE  connected  -           3       1024/2048        900/1900         -         -\n"
    );
    Ok(())
}

#[test]
fn live_usage_is_shown_where_the_scheduler_tells_it() -> anyhow::Result<()> {
    let fake = with_instances()?;
    let host = HostFigures {
        cpu_units: 153,
        memory_used_bytes: 777 << 20,
        ..Default::default()
    };
    let first = fake.state().instances[0].container_instance_arn().to_owned();
    fake.state().usage = Some(DescribeUsageResponse {
        instances: vec![InstanceUsage {
            container_instance_arn: first,
            host: Some(host),
            ..Default::default()
        }],
        ..Default::default()
    });
    let listed = berth(&fake.url, &["instances", "list"])?;
    let rows: Vec<_> = listed.stdout.lines().collect();
    assert!(rows[1].ends_with("       153       777"), "{listed:?}");
    assert!(rows[2].ends_with("         -         -"), "{listed:?}");
    let shown = berth(&fake.url, &["instances", "show", "aaaa"])?;
    assert!(shown.stdout.contains("Memory MiB used now    777\n"), "{shown:?}");
    Ok(())
}

#[test]
fn an_instance_is_shown_with_its_address() -> anyhow::Result<()> {
    let fake = with_instances()?;
    fake.state().instances[0].attributes = vec![Attribute {
        name: Some("berth.address".to_owned()),
        value: Some("10.0.0.7".to_owned()),
        ..Default::default()
    }];
    for (instance, address) in [("aaaa", "10.0.0.7"), ("bbbb", "-")] {
        let shown = berth(&fake.url, &["instances", "show", instance])?;
        assert!(
            shown.stdout.contains(&format!("Address                {address}\n")),
            "{shown:?}"
        );
    }
    Ok(())
}

#[test]
fn an_instance_is_drained_and_activated() -> anyhow::Result<()> {
    let fake = with_instances()?;
    for (command, status) in [("drain", "DRAINING"), ("activate", "ACTIVE")] {
        let ran = berth(&fake.url, &["instances", command, "bbbb"])?;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let state = fake.state();
        let statuses: Vec<_> = state.instances.iter().map(|it| it.status()).collect();
        assert_eq!(statuses, ["ACTIVE", status, "ACTIVE"]);
    }
    Ok(())
}

#[test]
fn attributes_are_shown_given_and_taken_back() -> anyhow::Result<()> {
    let fake = with_instances()?;
    let given = berth(
        &fake.url,
        &[
            "instances",
            "attributes",
            "bbbb",
            "--set",
            "stack=prod",
            "--set",
            "fast",
        ],
    )?;
    assert_eq!(given.stdout, "NAME   VALUE\nstack  prod\nfast   -\n", "{given:?}");
    let both = berth(
        &fake.url,
        &[
            "instances",
            "attributes",
            "bbbb",
            "--set",
            "stack=test",
            "--remove",
            "fast",
        ],
    )?;
    assert_eq!(both.stdout, "NAME   VALUE\nstack  test\n", "{both:?}");
    let shown = berth(&fake.url, &["instances", "attributes", "bbbb"])?;
    assert_eq!(shown.stdout, both.stdout);
    assert!(fake.state().instances[0].attributes.is_empty());
    Ok(())
}

#[test]
fn an_instance_with_tasks_is_deregistered_only_by_force() -> anyhow::Result<()> {
    let fake = with_instances()?;
    let refused = berth(&fake.url, &["instances", "deregister", "cccc"])?;
    assert_eq!(refused.code, Some(1));
    assert_eq!(
        refused.stderr,
        "error: InvalidParameterException: Found running tasks on the instance.\n"
    );
    let forced = berth(&fake.url, &["instances", "deregister", "cccc", "--force"])?;
    assert_eq!(forced.code, Some(0), "{forced:?}");
    assert_eq!(fake.state().instances.len(), 2);
    Ok(())
}

#[test]
fn an_unknown_instance_is_an_error() -> anyhow::Result<()> {
    let fake = with_instances()?;
    let ran = berth(&fake.url, &["instances", "drain", "ffff"])?;
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        "error: container instance \"ffff\": no container instance of the cluster has an id that begins so\n"
    );
    Ok(())
}
