//! A web server as a service behind gateways.

use anyhow::Result;
use serde_json::{Value, json};

use crate::Cluster;

/// The usual check: a task is found well at once, and to be ill within four seconds.
pub const CHECK: &str = "http /healthz interval=1s timeout=1s healthy=1 unhealthy=2";

/// Registers a web server that says `text` on port 8080, named `http`, of its container `web`, after `more` was done in its shell.
/// `/healthz` answers until `/cgi-bin/ill` was asked for, which says which container it is; `/cgi-bin/sleep?N` answers
/// after so many seconds.
///
/// # Errors
///
/// If the scheduler refuses.
pub fn web(cluster: &Cluster, family: &str, text: &str, more: &str) -> Result<String> {
    let script = format!(
        "mkdir -p /www/cgi-bin && echo ok > /www/healthz && echo {text} > /www/index.html && {more} \
         printf '#!/bin/sh\\necho\\nsleep $QUERY_STRING\\necho slept\\n' > /www/cgi-bin/sleep && \
         printf '#!/bin/sh\necho\nrm /www/healthz\nhostname\n' > /www/cgi-bin/ill && \
         chmod +x /www/cgi-bin/* && exec httpd -f -p 8080 -h /www"
    );
    let container = json!({
        "name": "web", "image": "busybox", "memory": 16, "cpu": 10, "command": ["sh", "-c", script], "stopTimeout": 2,
        "portMappings": [{"containerPort": 8080, "name": "http"}], "linuxParameters": {"initProcessEnabled": true},
    });
    cluster.register(&json!({"family": family, "containerDefinitions": [container]}))
}

/// What a service behind a listener such as `http-8080` is created with. `check` and `delay` are the values of the tags
/// that say how its targets are checked and how long connections have to end.
#[must_use]
pub fn behind(listener: &str, desired: usize, check: &str, delay: &str) -> Value {
    let group = format!("arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/{listener}");
    json!({
        "desiredCount": desired,
        "loadBalancers": [{"targetGroupArn": group, "containerName": "web", "containerPort": 8080}],
        "tags": [{"key": "berth:health-check", "value": check}, {"key": "berth:deregistration-delay", "value": delay}],
    })
}
