"""A client of data channels that keeps the plugin's rules by the letter, written against its public source and nothing of ours.

    channel.py URL TOKEN                    shows what comes; exits when the channel is closed
    channel.py URL TOKEN deaf N             acknowledges the first N messages of output only when they come again
    channel.py URL TOKEN paste N            types N lines and `end`, as fast as it goes, when something was shown
    channel.py URL TOKEN leave              goes away when the command is there, without a word

What was shown goes to standard output; how the channel ended, and what else was seen, is a JSON object on standard error.
"""

import asyncio
import hashlib
import json
import struct
import sys
import time
import uuid

import websockets

HEADER = struct.Struct(">I32sIQqQ8s8s32sII")
OUTPUT, SIZE, REQUEST, RESPONSE, COMPLETE = 1, 3, 5, 6, 7


def encode(kind, sequence, payload_type, payload, flags=0):
    name = uuid.uuid4().bytes
    digest = hashlib.sha256(payload).digest()
    now = int(time.time() * 1000)
    head = HEADER.pack(116, kind.ljust(32).encode(), 1, now, sequence, flags, name[8:], name[:8], digest, payload_type, len(payload))
    return head + payload


def decode(data):
    length, kind, version, created, sequence, flags, least, most, digest, payload_type, size = HEADER.unpack(data[:120])
    payload = data[120:]
    assert (length, version, size) == (116, 1, len(payload)), (length, version, size)
    assert created > 0 and digest == hashlib.sha256(payload).digest()
    return kind.decode().rstrip(), sequence, str(uuid.UUID(bytes=most + least)), payload_type, payload


class Client:
    def __init__(self, socket, deaf):
        self.socket, self.deaf = socket, deaf
        self.expected, self.early = 0, {}
        self.sequence, self.unacknowledged = 0, {}
        self.ready, self.shown = asyncio.Event(), asyncio.Event()
        self.seen = {"again": 0, "resent": 0}

    async def send(self, payload_type, payload):
        data = encode("input_stream_data", self.sequence, payload_type, payload)
        self.unacknowledged[self.sequence] = data
        self.sequence += 1
        await self.socket.send(data)

    async def acknowledge(self, kind, sequence, name):
        content = {
            "AcknowledgedMessageType": kind,
            "AcknowledgedMessageId": name,
            "AcknowledgedMessageSequenceNumber": sequence,
            "IsSequentialMessage": True,
        }
        await self.socket.send(encode("acknowledge", 0, 0, json.dumps(content).encode(), 3))

    async def resend(self):
        while True:
            await asyncio.sleep(1)
            if self.unacknowledged:
                self.seen["resent"] += 1
                await self.socket.send(self.unacknowledged[min(self.unacknowledged)])

    async def run(self):
        async for data in self.socket:
            kind, sequence, name, payload_type, payload = decode(data)
            if kind == "acknowledge":
                content = json.loads(payload)
                assert content["AcknowledgedMessageType"] == "input_stream_data", content
                self.unacknowledged.pop(content["AcknowledgedMessageSequenceNumber"], None)
            elif kind == "channel_closed":
                return json.loads(payload)
            elif kind == "output_stream_data":
                await self.output(sequence, name, payload_type, payload)
            else:
                raise AssertionError(kind)
        return None

    async def output(self, sequence, name, payload_type, payload):
        if sequence < self.expected:
            self.seen["again"] += 1
            return
        if sequence == self.expected and payload_type == OUTPUT and self.deaf > 0:
            self.deaf -= 1
            return
        await self.acknowledge("output_stream_data", sequence, name)
        self.early[sequence] = (payload_type, payload)
        while self.expected in self.early:
            await self.take(*self.early.pop(self.expected))
            self.expected += 1

    async def take(self, payload_type, payload):
        if payload_type == OUTPUT:
            sys.stdout.buffer.write(payload)
            sys.stdout.buffer.flush()
            self.shown.set()
        elif payload_type == REQUEST:
            [action] = json.loads(payload)["RequestedClientActions"]
            assert action["ActionType"] == "SessionType", action
            assert action["ActionParameters"]["SessionType"] in ("Standard_Stream", "InteractiveCommands"), action
            done = {"ActionType": "SessionType", "ActionStatus": 1, "ActionResult": None, "Error": ""}
            response = {"ClientVersion": "1.2.707.0", "ProcessedClientActions": [done], "Errors": None}
            await self.send(RESPONSE, json.dumps(response).encode())
        elif payload_type == COMPLETE:
            assert isinstance(json.loads(payload)["HandshakeTimeToComplete"], int)
            self.ready.set()
        else:
            raise AssertionError(payload_type)

    async def paste(self, lines):
        text = b"".join(b"line %d of what is pasted\n" % line for line in range(lines)) + b"end\n"
        self.seen["pasted"] = hashlib.md5(text).hexdigest()
        await self.ready.wait()
        await self.send(SIZE, json.dumps({"cols": 80, "rows": 24}).encode())
        await self.shown.wait()
        for start in range(0, len(text), 1024):
            await self.send(OUTPUT, text[start : start + 1024])


async def main(url, token, what="show", argument="0"):
    opening = {
        "MessageSchemaVersion": "1.0",
        "RequestId": str(uuid.uuid4()),
        "TokenValue": token,
        "ClientId": str(uuid.uuid4()),
        "ClientVersion": "1.2.707.0",
    }
    # The plugin signs this request for a service of AWS.
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=bed/20261122/us-east-1/ssmmessages/aws4_request, Signature=0"}
    async with websockets.connect(url, additional_headers=signed, max_size=None) as socket:
        await socket.send(json.dumps(opening))
        client = Client(socket, int(argument) if what == "deaf" else 0)
        others = [asyncio.create_task(client.resend())]
        if what == "paste":
            others.append(asyncio.create_task(client.paste(int(argument))))
        if what == "leave":
            others.append(asyncio.create_task(client.run()))
            await client.ready.wait()
            await asyncio.sleep(3)
            socket.transport.abort()
            return
        closed = await asyncio.wait_for(client.run(), 90)
        for other in others:
            other.cancel()
        print(json.dumps({"closed": closed, **client.seen}), file=sys.stderr)


asyncio.run(main(*sys.argv[1:]))
