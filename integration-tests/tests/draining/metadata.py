"""EC2's instance metadata, as far as agents ask for it: a token, then which instance it is, and the file that the test writes, or 404."""

import http.server
import os
import sys

host, port = sys.argv[1].split(":")
NOTICE, TOKEN = sys.argv[2], "a-token"
IDENTITY = (
    b'{"instanceId": "i-0123456789abcdef0", "instanceType": "c5.large", "imageId": "ami-0abc",'
    b' "availabilityZone": "us-east-1d", "region": "us-east-1"}'
)


class Metadata(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        asked = self.path == "/latest/api/token" and "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
        self.answer(200 if asked else 400, TOKEN.encode() if asked else b"")

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            self.answer(401, b"")
        elif self.path == "/latest/dynamic/instance-identity/document":
            self.answer(200, IDENTITY)
        elif self.path != "/latest/meta-data/spot/instance-action" or not os.path.exists(NOTICE):
            self.answer(404, b"")
        else:
            with open(NOTICE, "rb") as file:
                self.answer(200, file.read())


http.server.ThreadingHTTPServer((host, int(port)), Metadata).serve_forever()
