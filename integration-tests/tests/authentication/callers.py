"""Callers of all kinds, against a scheduler that asks who they are. KEYS is what the test has made."""

import datetime
import http.client
import os
import time
from urllib.parse import urlsplit

import botocore
import botocore.auth
from botocore.config import Config

KEYS = json.loads(os.environ["KEYS"])
ENDPOINT = os.environ["AWS_ENDPOINT_URL_ECS"]
ONCE = Config(retries={"max_attempts": 0})


def client(key, config=ONCE):
    return boto3.client(
        "ecs",
        config=config,
        aws_access_key_id=key["id"],
        aws_secret_access_key=key["secret"],
        aws_session_token=key.get("token"),
    )


def fails(code, says, call, **arguments):
    try:
        answer = call(**arguments)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert says in error.response["Error"]["Message"], error
        return
    raise AssertionError(f"no {code} but {answer}")


ops = client(KEYS["ops"])
ops.create_cluster(clusterName="prod")
assert ops.list_clusters()["clusterArns"] == ["arn:aws:ecs:us-east-1:000000000000:cluster/prod"]
client(KEYS["session"]).list_clusters()

wrong = dict(KEYS["ops"], secret="x" * 40)
fails("InvalidSignatureException", "signature we calculated does not match", client(wrong).list_clusters)
unknown = dict(KEYS["ops"], id="AKIAAAAAAAAAAAAAAAAA")
invalid = "The security token included in the request is invalid."
fails("UnrecognizedClientException", invalid, client(unknown).list_clusters)
fails("UnrecognizedClientException", invalid, client(dict(KEYS["session"], token="x")).list_clusters)
fails("ExpiredTokenException", "is expired", client(KEYS["expired"]).list_clusters)
unsigned = client(KEYS["ops"], Config(signature_version=botocore.UNSIGNED))
fails("MissingAuthenticationTokenException", "Missing Authentication Token", unsigned.list_clusters)

# A clock that is wrong.
right = botocore.auth.get_current_datetime
for minutes, says in [(-6, "Signature expired: "), (6, "Signature not yet current: ")]:
    off = datetime.timedelta(minutes=minutes)
    botocore.auth.get_current_datetime = lambda *a, **k: right(*a, **k) + off
    fails("InvalidSignatureException", says, ops.list_clusters)
for minutes in [-4, 4]:
    off = datetime.timedelta(minutes=minutes)
    botocore.auth.get_current_datetime = lambda *a, **k: right(*a, **k) + off
    ops.list_clusters()
botocore.auth.get_current_datetime = right

# The same bytes once more.
sent = []
ops.meta.events.register("before-send.ecs", lambda request, **_: sent.append(request))
ops.create_cluster(clusterName="once")
request = sent[-1]
parts = urlsplit(ENDPOINT)
connection = http.client.HTTPConnection(parts.hostname, parts.port)
connection.request(request.method, "/", body=request.body, headers=dict(request.headers.items()))
answer = connection.getresponse()
body = json.loads(answer.read())
assert answer.status == 400 and body["__type"] == "ThrottlingException", body
assert body["message"].startswith("This request was made before"), body

# Two equal changes within a second: the second is made when the SDK tries it again.
patient = client(KEYS["ops"], Config(retries={"max_attempts": 8, "mode": "standard"}))
begun = time.monotonic()
for _ in range(3):
    patient.delete_cluster(cluster="once")
assert time.monotonic() - begun < 60

# What a policy says.
ci = client(KEYS["ci"])
ci.list_clusters()
who = "User: arn:aws:iam::000000000000:user/ci is not authorized to perform: "
fails(
    "AccessDeniedException",
    who
    + "ecs:DeleteCluster on resource: arn:aws:ecs:us-east-1:000000000000:cluster/prod "
    + "with an explicit deny in an identity-based policy: statement 'NoProd'",
    ci.delete_cluster,
    cluster="prod",
)
fails(
    "AccessDeniedException",
    who
    + "ecs:RunTask on resource: arn:aws:ecs:us-east-1:000000000000:task-definition/web:* "
    + "because no identity-based policy allows the ecs:RunTask action",
    ci.run_task,
    taskDefinition="web",
)
# The same change within the same second would be taken for a replay.
time.sleep(1.1)
refused(ecs.exceptions.AccessDeniedException, "statement 'NoProd'", ci.delete_cluster, cluster="prod")
