"""Records what an unmodified boto3 and an unmodified AWS CLI ask a scheduler and what it answers, as it is on the wire.

`recorded` is a client of boto3 and `cli` runs the AWS CLI; the endpoint of both is a proxy here, which notes each exchange and
holds its answer against botocore's model of ECS. What only waits uses `ecs`, which asks the scheduler itself.
"""

import atexit
import http.client
import http.server
import os
import subprocess
import sys
import threading
import time
import urllib.parse

MODEL = ecs.meta.service_model
STARTED = time.time()
# Protections last for two hours; clocks of hosts are this machine's, and its instances may have been there for a while.
TIMES = (STARTED - 10 * 60, STARTED + 3 * 60 * 60)

exchanges = []
complaints = []


class Recorder(http.server.BaseHTTPRequestHandler):
    """A proxy in front of the scheduler."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        upstream = http.client.HTTPConnection(urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL_ECS"]).netloc, timeout=60)
        upstream.request("POST", self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        note(self.headers, body, answer.status, content)
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def note(headers, body, status, content):
    operation = headers["X-Amz-Target"].removeprefix("AmazonEC2ContainerServiceV20141113.")
    client = "AWS CLI" if headers["User-Agent"].startswith("aws-cli") else "boto3"
    answer = json.loads(content)
    model = MODEL.operation_model(operation)
    try:
        if status == 200:
            check(operation, model.output_shape, answer)
            check_times(operation, model.output_shape, answer)
        else:
            check_error(model, status, answer)
    except AssertionError as error:
        complaints.append(str(error))
    exchanges.append(
        {"operation": operation, "client": client, "request": json.loads(body), "status": status, "answer": answer}
    )


def check_times(path, shape, value):
    """Times are seconds since 1970 with at most milliseconds, and of this scenario."""
    kind = shape.type_name
    if kind == "structure":
        for name, member in value.items():
            check_times(f"{path}.{name}", shape.members[name], member)
    elif kind == "list":
        for member in value:
            check_times(f"{path}[]", shape.member, member)
    elif kind == "timestamp":
        assert round(value, 3) == value, f"{path} is {value!r}, finer than a millisecond"
        assert TIMES[0] < value < TIMES[1], f"{path} is {value!r}, not between {TIMES}"


def check_error(model, status, answer):
    """A refusal is one that the model says the operation can have, with the status that the model gives it."""
    name = answer["__type"]
    shapes = {shape.name: shape for shape in model.error_shapes}
    assert name in shapes, f"{model.name} is refused with {name}, not one of {sorted(shapes)}"
    expected = shapes[name].metadata.get("error", {}).get("httpStatusCode", 500 if shapes[name].metadata.get("fault") else 400)
    assert status == expected, f"{model.name} is refused with {name} and {status}, not {expected}"
    message = answer.get("message")
    assert isinstance(message, str) and message, f"{model.name} is refused without a message: {answer}"


proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
threading.Thread(target=proxy.serve_forever, daemon=True).start()
atexit.register(proxy.shutdown)
PROXY = f"http://127.0.0.1:{proxy.server_address[1]}"
recorded = boto3.client("ecs", endpoint_url=PROXY)
METHODS = {operation: method for method, operation in recorded.meta.method_to_api_mapping.items()}


def call(operation, **request):
    """One call of boto3, recorded; its answer, or nothing where it is refused."""
    try:
        return getattr(recorded, METHODS[operation])(**request)
    except botocore.exceptions.ClientError:
        return None


def cli(*arguments):
    """One call of the AWS CLI, recorded; what it prints, or nothing where it fails as refused calls do."""
    aws = os.path.join(os.path.dirname(sys.executable), "aws")
    environment = dict(os.environ, AWS_ENDPOINT_URL_ECS=PROXY)
    done = subprocess.run([aws, "ecs", "--output", "json", *arguments], env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout or "null")
    refused = "An error occurred (" in done.stderr
    assert refused, f"aws ecs {arguments} exits with {done.returncode}: {done.stderr}"
    return None


def minimal(shape):
    """The least that the model lets a client send."""
    kind = shape.type_name
    if kind == "structure":
        needed = list(shape.members)[:1] if shape.is_tagged_union else shape.required_members
        return {name: minimal(shape.members[name]) for name in needed}
    if kind == "list":
        return [minimal(shape.member)]
    if kind == "string":
        return shape.enum[0] if shape.enum else "x"
    return {"map": {}, "boolean": True, "integer": 1, "long": 1, "double": 1.0, "float": 1.0}[kind]


def eventually(what, look):
    """What `look` returns, when it is true at last."""
    deadline = time.monotonic() + 90
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.1)


