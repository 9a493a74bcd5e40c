"""Clusters and the account. The cluster `golden` has one container instance; `shop` and `empty` have none."""

CLUSTER = "golden"

cli(
    *("create-cluster", "--cluster-name", "shop", "--tags", "key=team,value=a"),
    *("--settings", "name=containerInsights,value=enabled"),
)
call("CreateCluster", clusterName="shop")
call("CreateCluster", clusterName="empty", configuration={"executeCommandConfiguration": {"logging": "NONE"}})
call("CreateCluster", clusterName="two words")
call("CreateCluster", clusterName="tagged", tags=[{"key": "aws:mine", "value": "x"}])

INCLUDED = ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"]
call("DescribeClusters", clusters=["shop", "ghost"], include=INCLUDED)
call("DescribeClusters", clusters=["shop"])
call("DescribeClusters", clusters=["shop"], include=["EVERYTHING"])

page = call("ListClusters", maxResults=2)
call("ListClusters", maxResults=2, nextToken=page["nextToken"])
call("ListClusters", maxResults=101)
cli("list-clusters")

call("UpdateCluster", cluster="shop", configuration={"executeCommandConfiguration": {"logging": "DEFAULT"}})
LOGGED = {"logging": "OVERRIDE", "logConfiguration": {"cloudWatchLogGroupName": "/ecs/commands"}}
call("UpdateCluster", cluster="shop", configuration={"executeCommandConfiguration": LOGGED})
call("UpdateCluster", cluster="ghost")
call("UpdateClusterSettings", cluster="shop", settings=[{"name": "containerInsights", "value": "disabled"}])
call("UpdateClusterSettings", cluster="shop", settings=[{"name": "containerInsights", "value": "loud"}])
call("UpdateClusterSettings", cluster="ghost", settings=[{"name": "containerInsights", "value": "enabled"}])

call("PutAccountSetting", name="containerInsights", value="enabled")
call("PutAccountSetting", name="taskLongArnFormat", value="disabled")
call("PutAccountSettingDefault", name="containerInsights", value="enhanced")
call("PutAccountSettingDefault", name="loudness", value="on")
page = call("ListAccountSettings", effectiveSettings=True)
call("ListAccountSettings", effectiveSettings=True, nextToken=page["nextToken"])
call("ListAccountSettings", name="containerInsights")
call("ListAccountSettings", name="loudness")
call("DeleteAccountSetting", name="containerInsights")
call("DeleteAccountSetting", name="loudness")

