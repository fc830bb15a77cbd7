"""An S3 server in memory that breaks promises on purpose: a negative control for the check of the store.

careless_store.py MODE     prints its port; ends when standard input closes
  ignores   overwrites where If-None-Match says not to
  races     checks, waits a little, then writes: right one after another, wrong under concurrency
  fails     answers every second PUT with 500
"""

import http.server
import itertools
import sys
import threading
import time
import urllib.parse
import zlib

MODE = sys.argv[1]
objects = {}
puts = itertools.count()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode(),
                    Content_Type="application/xml")

    def place(self):
        url = urllib.parse.urlparse(self.path)
        return urllib.parse.unquote(url.path).lstrip("/"), urllib.parse.parse_qs(url.query)

    def do_PUT(self):
        key, _ = self.place()
        body = self.body()
        if "/" not in key.rstrip("/"):
            return self.answer(200)  # a bucket
        if MODE == "fails" and next(puts) % 2:
            return self.error(500, "InternalError")
        exists = key in objects
        if self.headers.get("If-None-Match") == "*" and MODE != "ignores":
            if exists:
                return self.error(412, "PreconditionFailed")
            if MODE == "races":
                time.sleep(0.05)
        match = self.headers.get("If-Match")
        if match and MODE != "ignores" and (not exists or tag(objects[key]) != match):
            return self.error(412, "PreconditionFailed")
        objects[key] = body
        self.answer(200, ETag=tag(body))

    def body(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return data
        chunks = []
        while data:
            head, data = data.split(b"\r\n", 1)
            size = int(head.split(b";")[0], 16)
            if size == 0:
                break
            chunks.append(data[:size])
            data = data[size + 2:]
        return b"".join(chunks)

    def do_GET(self):
        key, query = self.place()
        if "list-type" in query or "/" not in key.rstrip("/"):
            return self.list(key.split("/")[0], query)
        if key not in objects:
            return self.error(404, "NoSuchKey")
        body = objects[key]
        common = {"ETag": tag(body), "Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        span = self.headers.get("Range")
        if span is None:
            return self.answer(200, body, **common)
        first, last = span.removeprefix("bytes=").split("-")
        end = min(int(last) + 1, len(body)) if last else len(body)
        start = int(first) if first else len(body) - int(last)
        self.answer(206, body[start:end], Content_Range=f"bytes {start}-{end - 1}/{len(body)}", **common)

    do_HEAD = do_GET

    def list(self, bucket, query):
        prefix = query.get("prefix", [""])[0]
        after = query.get("start-after", [""])[0]
        found = sorted(key[len(bucket) + 1:] for key in list(objects) if key.startswith(f"{bucket}/{prefix}"))
        entries = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(objects[f'{bucket}/{key}'])}</Size>"
            f"<ETag>{tag(objects[f'{bucket}/{key}'])}</ETag><LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in found if key > after
        )
        body = f'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>'
        self.answer(200, body.encode(), Content_Type="application/xml")

    def do_DELETE(self):
        objects.pop(self.place()[0], None)
        self.answer(204)

    def do_POST(self):
        self.body()
        self.answer(200, b'<?xml version="1.0"?><DeleteResult></DeleteResult>', Content_Type="application/xml")


def tag(body):
    return f'"{zlib.crc32(body):08x}{len(body):08x}"'


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
