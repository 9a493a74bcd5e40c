//! A Prometheus server that scrapes what a gateway tells it of, configured as the documentation says.

use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::daemon::Daemon;
use crate::{TestBed, installed};

/// Starts it on a host, where it listens at `own`. Tasks are those that the gateway at `discovery` names whose port is
/// called `http`; each has the labels `service` and `task`.
///
/// # Errors
///
/// If it cannot be configured or started.
pub fn start(bed: &TestBed, host: &str, discovery: SocketAddr, own: SocketAddr) -> Result<Daemon> {
    let (configuration, data) = (bed.data_dir("prometheus.yml"), bed.data_dir("prometheus"));
    let text = format!(
        r#"
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: berth
    http_sd_configs: [{{url: "http://{discovery}/sd", refresh_interval: 1s}}]
    relabel_configs:
      - {{source_labels: [__meta_berth_port_name], regex: http, action: keep}}
      - {{source_labels: [__meta_berth_service], target_label: service}}
      - {{source_labels: [__meta_berth_task], regex: ".*/(.*)", target_label: task}}
"#
    );
    fs::write(&configuration, text).context("write prometheus.yml")?;
    let arguments = [
        format!("--config.file={}", configuration.display()),
        format!("--storage.tsdb.path={}", data.display()),
        format!("--web.listen-address={own}"),
    ];
    installed::start(bed, host, "prometheus", arguments.map(Into::into).into())
}
