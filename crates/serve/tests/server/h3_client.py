"""A client of HTTP/3 by aioquic: METHOD URL CERTIFICATE [RANGE]; prints the status, the length and the SHA-256 of the body."""

import asyncio
import hashlib
import sys
from urllib.parse import urlparse

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.status = None
        self.body = hashlib.sha256()
        self.length = 0
        self.ended = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        for told in self.http.handle_event(event):
            if isinstance(told, HeadersReceived):
                self.status = dict(told.headers)[b":status"].decode()
            elif isinstance(told, DataReceived):
                self.body.update(told.data)
                self.length += len(told.data)
            if getattr(told, "stream_ended", False) and not self.ended.done():
                self.ended.set_result(None)

    async def ask(self, method, url, span):
        stream = self._quic.get_next_available_stream_id()
        headers = [
            (b":method", method.encode()),
            (b":scheme", b"https"),
            (b":authority", url.netloc.encode()),
            (b":path", url.path.encode()),
        ]
        if span:
            headers.append((b"range", span.encode()))
        self.http.send_headers(stream, headers, end_stream=True)
        self.transmit()
        await asyncio.wait_for(self.ended, 30)


async def main(method, target, certificate, span=None):
    url = urlparse(target)
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=True, server_name="localhost")
    configuration.load_verify_locations(certificate)
    async with connect(url.hostname, url.port, configuration=configuration, create_protocol=Client) as client:
        await client.ask(method, url, span)
        print(client.status, client.length, client.body.hexdigest())


asyncio.run(main(*sys.argv[1:]))
