"""Requests of all kinds, signed by botocore: one JSON object a line."""

import json
import random
import sys
from urllib.parse import quote, urlsplit

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

chance = random.Random(int(sys.argv[1]))
LETTERS = "abcXYZ019-._~ /+=&%?#:;,@!$'()*[]\"<>\\^`{|}äß漢😀"


def text(most):
    return "".join(chance.choice(LETTERS) for _ in range(chance.randint(0, most)))


def segment():
    return chance.choice(["", ".", "..", "berth.ecs.v1.Ecs", quote(text(6), safe="")])


def parameter():
    name = "p" + quote(text(4), safe="-_.~")
    return chance.choice([name, name + "=", f"{name}={quote(text(6), safe='-_.~')}"])


for _ in range(int(sys.argv[2])):
    path = "/" + "/".join(segment() for _ in range(chance.randint(0, 4)))
    query = "&".join(parameter() for _ in range(chance.randint(0, 4)))
    body = text(20).encode()
    request = AWSRequest(
        method=chance.choice(["GET", "POST", "PUT"]),
        url=f"http://127.0.0.1:7700{path}" + (f"?{query}" if query else ""),
        data=body,
    )
    request.headers["X-Amz-Target"] = "Service." + quote(text(5))
    for name in ["X-Other", "x-other", "Content-Type"]:
        if chance.random() < 0.4:
            request.headers[name] = "".join(chance.choice("ab \t,;=") for _ in range(8)).strip()
    token = chance.choice([None, "berth1.token/+="])
    credentials = Credentials("AKIDEXAMPLE", "secret/+=example", token)
    if chance.random() < 0.3:
        # A signed URL has its parameters in the query, so that there is no other to speak of.
        request.url = f"http://127.0.0.1:7700{path}"
        request.method = "GET"
        request.data = b""
        SigV4QueryAuth(credentials, "ecs", chance.choice(["us-east-1", "x"]), expires=60).add_auth(request)
    else:
        if chance.random() < 0.3:
            request.headers["Date"] = "now"
        SigV4Auth(credentials, "ecs", chance.choice(["us-east-1", "x"])).add_auth(request)
    parts = urlsplit(request.url)
    print(
        json.dumps(
            {
                "method": request.method,
                "path": parts.path,
                "query": parts.query,
                "headers": [[name.lower(), value] for name, value in request.headers.items()],
                "body": (request.data or b"").hex(),
            }
        )
    )
