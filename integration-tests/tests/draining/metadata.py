"""EC2's instance metadata, as far as Spot notices need it: a token, then the file that the test writes, or 404."""

import http.server
import os
import sys

host, port = sys.argv[1].split(":")
NOTICE, TOKEN = sys.argv[2], "a-token"


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
        elif self.path != "/latest/meta-data/spot/instance-action" or not os.path.exists(NOTICE):
            self.answer(404, b"")
        else:
            with open(NOTICE, "rb") as file:
                self.answer(200, file.read())


http.server.ThreadingHTTPServer((host, int(port)), Metadata).serve_forever()
