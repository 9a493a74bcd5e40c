//! The operations that ECS has and this scheduler refuses, each with a class that ECS says it can have.

use berth_model::fault::{Fault, FaultClass};

const UNSUPPORTED: FaultClass = FaultClass::UnsupportedFeature;
/// For those that ECS has no `UnsupportedFeatureException` for.
const CLIENT: FaultClass = FaultClass::Client;

const AGENTS: &str = "there is no endpoint to poll: agents are told what to run by the stream berth.agent.v1.AgentLink, others \
                      ask ListTasks";
const DAEMONS: &str = "a service with schedulingStrategy DAEMON runs a task on every container instance";
const GATEWAYS: &str = "load balancers are berth-gateway, set up by CreateService";

/// Each by its name, with the class of its refusal and why.
pub(super) const REFUSED: &[(&str, FaultClass, &str)] = &[
    (
        "ContinueServiceDeployment",
        UNSUPPORTED,
        "deployments have no lifecycle hooks at which they could wait",
    ),
    ("DiscoverPollEndpoint", CLIENT, AGENTS),
    ("CreateDaemon", UNSUPPORTED, DAEMONS),
    ("UpdateDaemon", UNSUPPORTED, DAEMONS),
    ("DeleteDaemon", UNSUPPORTED, DAEMONS),
    ("DescribeDaemon", UNSUPPORTED, DAEMONS),
    ("ListDaemons", UNSUPPORTED, DAEMONS),
    ("RegisterDaemonTaskDefinition", CLIENT, DAEMONS),
    ("DeleteDaemonTaskDefinition", CLIENT, DAEMONS),
    ("DescribeDaemonTaskDefinition", CLIENT, DAEMONS),
    ("ListDaemonTaskDefinitions", CLIENT, DAEMONS),
    ("DescribeDaemonDeployments", UNSUPPORTED, DAEMONS),
    ("ListDaemonDeployments", UNSUPPORTED, DAEMONS),
    ("DescribeDaemonRevisions", UNSUPPORTED, DAEMONS),
    ("CreateExpressGatewayService", UNSUPPORTED, GATEWAYS),
    ("UpdateExpressGatewayService", UNSUPPORTED, GATEWAYS),
    ("DeleteExpressGatewayService", UNSUPPORTED, GATEWAYS),
    ("DescribeExpressGatewayService", UNSUPPORTED, GATEWAYS),
    ("CreateGateway", UNSUPPORTED, GATEWAYS),
    ("UpdateGateway", UNSUPPORTED, GATEWAYS),
    ("DeleteGateway", UNSUPPORTED, GATEWAYS),
    ("DescribeGateway", UNSUPPORTED, GATEWAYS),
    ("ListGateways", UNSUPPORTED, GATEWAYS),
    ("DescribeGatewayResources", UNSUPPORTED, GATEWAYS),
    ("DescribeGatewayRoute", UNSUPPORTED, GATEWAYS),
    ("ListGatewayRoutes", UNSUPPORTED, GATEWAYS),
    ("AssociateGatewayWithCluster", UNSUPPORTED, GATEWAYS),
    ("DisassociateGatewayFromCluster", UNSUPPORTED, GATEWAYS),
    ("ListGatewayClusterAssociations", UNSUPPORTED, GATEWAYS),
];

/// The refusal of an operation, where it is one of those.
pub(super) fn refusal(operation: &str) -> Option<Fault> {
    let mut all = REFUSED.iter();
    let (_, class, why) = all.find(|(name, ..)| *name == operation)?;
    let text = format!("{operation} is not supported by this scheduler: {why}.");
    Some(Fault::new(*class, text))
}
