"""Operations that this scheduler has not, and those of task sets and of other agents, each with the least that a client may send."""

REFUSED = """
ContinueServiceDeployment
CreateTaskSet DescribeTaskSets UpdateTaskSet DeleteTaskSet UpdateServicePrimaryTaskSet
RegisterContainerInstance DiscoverPollEndpoint SubmitTaskStateChange SubmitContainerStateChange SubmitAttachmentStateChanges
CreateDaemon UpdateDaemon DeleteDaemon DescribeDaemon ListDaemons
RegisterDaemonTaskDefinition DeleteDaemonTaskDefinition DescribeDaemonTaskDefinition ListDaemonTaskDefinitions
DescribeDaemonDeployments ListDaemonDeployments DescribeDaemonRevisions
CreateExpressGatewayService UpdateExpressGatewayService DeleteExpressGatewayService DescribeExpressGatewayService
CreateGateway UpdateGateway DeleteGateway DescribeGateway ListGateways DescribeGatewayResources DescribeGatewayRoute
ListGatewayRoutes AssociateGatewayWithCluster DisassociateGatewayFromCluster ListGatewayClusterAssociations
""".split()

for operation in REFUSED:
    call(operation, **minimal(MODEL.operation_model(operation).input_shape))

print(json.dumps({"operations": MODEL.operation_names, "complaints": complaints, "exchanges": exchanges}))
