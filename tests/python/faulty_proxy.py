"""A proxy before an S3 server that mistreats the PUTs of commits, and nothing else.

faulty_proxy.py ENDPOINT     prints its port; then commands, one a line, on standard input:
  lose N     let the next N PUTs of commits land, but lose their replies    -> `lost PATH STATUS`
  refuse N   answer the next N PUTs with 500 without passing them on        -> `refused PATH`
  logs N     the same with the next N PUTs into Delta logs, or none any more -> `refused PATH`
  hold       keep the next PUT of a commit                                  -> `held PATH`
  release    let it go on                                                   -> `landed PATH STATUS`
"""

import collections
import http.client
import http.server
import sys
import threading
import urllib.parse

UPSTREAM = urllib.parse.urlparse(sys.argv[1]).netloc
lock = threading.Lock()
left = collections.Counter()
released = threading.Event()


def say(*words):
    with lock:
        print(*words, flush=True)


def take(what):
    with lock:
        if left[what] == 0:
            return False
        left[what] -= 1
        return True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_commit = self.command == "PUT" and "/commits/" in self.path
        is_put = self.command == "PUT"
        is_log = is_put and "/_delta_log/" in self.path
        if is_put and take("refuse") or is_log and take("logs"):
            say("refused", self.path)
            return self.reply(500, [], b"<Error><Code>InternalError</Code></Error>")
        if is_commit and take("hold"):
            say("held", self.path)
            released.wait()
            status, _, _ = self.upstream(body)
            say("landed", self.path, status)
            self.close_connection = True
            return None
        status, headers, answer = self.upstream(body)
        if is_commit and take("lose"):
            say("lost", self.path, status)
            self.close_connection = True
            return None
        return self.reply(status, headers, answer)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = forward

    def upstream(self, body):
        connection = http.client.HTTPConnection(UPSTREAM, timeout=60)
        # The request is signed with its Host header: it goes on as it came.
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "connection":
                connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        answer = response.read()
        headers = [(n, v) for n, v in response.getheaders()
                   if n.lower() not in ("transfer-encoding", "connection", "content-length")]
        if self.command == "HEAD":
            headers.append(("Content-Length", response.getheader("Content-Length", "0")))
        connection.close()
        return response.status, headers, answer

    def reply(self, status, headers, answer):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # clients that were killed


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
say(server.server_address[1])
for line in sys.stdin:
    word, *count = line.split()
    if word == "release":
        released.set()
    else:
        with lock:
            left[word] = 0 if count == ["none"] else int(count[0]) if count else 1
