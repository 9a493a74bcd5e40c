"""Tags of what has an ARN."""

SHOP = ecs.describe_clusters(clusters=["shop"])["clusters"][0]["clusterArn"]
cli("tag-resource", "--resource-arn", SHOP, "--tags", "key=floor,value=2")
call("TagResource", resourceArn="nonsense", tags=[{"key": "a", "value": "b"}])
call("TagResource", resourceArn=SHOP.replace("shop", "ghost"), tags=[{"key": "a", "value": "b"}])
call("TagResource", resourceArn=SHOP, tags=[{"key": f"key{at}", "value": ""} for at in range(49)])
call("ListTagsForResource", resourceArn=SHOP)
call("ListTagsForResource", resourceArn=INSTANCE)
call("ListTagsForResource", resourceArn="nonsense")
call("UntagResource", resourceArn=SHOP, tagKeys=["team", "none"])
call("UntagResource", resourceArn=SHOP.replace("shop", "ghost"), tagKeys=["team"])
call("ListTagsForResource", resourceArn=SHOP)

