"""A server for chapters 1 to 4 that has nothing in common with ours but the
protocol: asyncio, and os.fork. It is held against the specifications, which
must find nothing wrong with it.

    python3 server.py HOST PORT WORKERS [GRACE]
"""

import asyncio
import fcntl
import json
import math
import os
import selectors
import signal
import socket
import struct
import sys
import termios
import time

MAX_REQUEST = 1 << 20
MAX_TERMS = 100_000_000
LINGER, MAX_LINGER, LINGER_BYTES = 1, 60, 64 << 20
CHUNK = 16 << 10
STEP = 10_000  # terms of pi between two looks at what else there is to do
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}


def log(*words):
    try:
        print(*words, file=sys.stderr, flush=True)
    except OSError:
        pass  # whoever read it has gone


# The messages.


def no_constant(name):
    raise ValueError(name + " is not JSON")


decoder = json.JSONDecoder(parse_constant=no_constant)


def skip(text, i):
    while text[i : i + 1] and text[i] in " \t\r\n":
        i += 1
    return i


def members(text):
    """The members of the object that text must be: their values, and how they are written."""
    i = skip(text, 0)
    if text[i : i + 1] != "{":
        raise ValueError("the request must be a JSON object")
    found = {}
    i = skip(text, i + 1)
    while text[i : i + 1] != "}" or found:
        key, i = decoder.raw_decode(text, i)
        i = skip(text, i)
        if not isinstance(key, str) or text[i : i + 1] != ":":
            raise ValueError("the request is not JSON")
        start = skip(text, i + 1)
        value, end = decoder.raw_decode(text, start)
        found[key] = value, text[start:end]
        i = skip(text, end)
        if text[i : i + 1] == "}":
            break
        if text[i : i + 1] != ",":
            raise ValueError("the request is not JSON")
        i = skip(text, i + 1)
    if skip(text, i + 1) != len(text):
        raise ValueError("something follows the request")
    return found


async def pi(n):
    if type(n) is not int or not 0 <= n <= MAX_TERMS:
        raise ValueError(f"pi takes a whole number from 0 to {MAX_TERMS}")
    total = 0.0
    for start in range(0, n + 1, STEP):
        for i in range(start, min(start + STEP, n + 1)):
            total += 1.0 / (2 * i + 1) / (2 * i + 1)
        await asyncio.sleep(0)
    return repr(math.sqrt(8 * total))


async def answer(body):
    try:
        found = members(body.decode("utf-8", "surrogateescape"))
        method, params = found.get("in", (None,))[0], found.get("params")
        if method not in ("ping", "pi"):
            raise ValueError("unknown method")
        if params is None:
            raise ValueError("the params are missing")
        kind, result = ("pong", params[1]) if method == "ping" else ("pi_r", await pi(params[0]))
    except (ValueError, TypeError, RecursionError) as error:
        kind, result = "error", json.dumps(str(error) or "a bad request")
    return frame(kind, result)


def frame(kind, result):
    body = ('{"out":"%s","result":%s}' % (kind, result)).encode("utf-8", "surrogateescape")
    return struct.pack("<I", len(body)) + body


# One connection.


def how_many(sock, request):
    return struct.unpack("i", fcntl.ioctl(sock, request, b"\0\0\0\0"))[0]


class Conn:
    def __init__(self, sock):
        self.sock, self.buf, self.failed = sock, b"", False
        self.quota = None  # in a drain: bytes that may still be read
        self.waiter = None
        self.discarded = 0

    def drain(self):
        if self.quota is None and self.sock.fileno() >= 0:
            self.quota = how_many(self.sock, termios.FIONREAD)
            self.wake()

    def wake(self):
        if self.waiter and not self.waiter.done():
            self.waiter.set_result(None)

    def missing(self):
        """How many bytes the frame still needs that has begun."""
        if len(self.buf) < 4:
            return 4 - len(self.buf) if self.buf else 0
        return 4 + struct.unpack("<I", self.buf[:4])[0] - len(self.buf)

    async def read(self):
        """The next chunk; nothing when no more is to come."""
        loop = asyncio.get_running_loop()
        while True:
            room = CHUNK if self.quota is None else min(CHUNK, self.quota or self.missing())
            if room == 0:
                return b""
            try:
                chunk = self.sock.recv(room)
            except BlockingIOError:
                self.waiter = loop.create_future()
                loop.add_reader(self.sock, self.wake)
                try:
                    await self.waiter
                finally:
                    loop.remove_reader(self.sock)
                continue
            if self.quota is not None:
                self.quota = max(0, self.quota - len(chunk))
            return chunk

    async def serve(self):
        loop = asyncio.get_running_loop()
        try:
            while not self.failed:
                chunk = await self.read()
                if not chunk:
                    break
                self.buf += chunk
                for _ in range(CHUNK):
                    reply = await self.next_reply()
                    if reply is None:
                        break
                    await loop.sock_sendall(self.sock, reply)
                await asyncio.sleep(0)  # now it is the others' turn
            await self.linger()
        except OSError:
            pass  # it was reset
        finally:
            self.sock.close()

    async def next_reply(self):
        """The replies to some of the requests that are here; None when there are none."""
        replies = b""
        while len(replies) < CHUNK and len(self.buf) >= 4 and not self.failed:
            (length,) = struct.unpack("<I", self.buf[:4])
            if length > MAX_REQUEST:
                self.failed = True
                replies += frame("error", f'"a request may have {MAX_REQUEST} bytes"')
            elif len(self.buf) < 4 + length:
                break
            else:
                body, self.buf = self.buf[4 : 4 + length], self.buf[4 + length :]
                replies += await answer(body)
        return replies or None

    async def linger(self):
        """End our side, and discard what still comes."""
        self.sock.shutdown(socket.SHUT_WR)
        begin, unsent = time.monotonic(), sys.maxsize
        while time.monotonic() < begin + MAX_LINGER:
            try:
                return await asyncio.wait_for(self.discard(), LINGER)
            except asyncio.TimeoutError:
                pass
            before, unsent = unsent, how_many(self.sock, termios.TIOCOUTQ)
            if not 0 < unsent < before:
                return

    async def discard(self):
        """Read to the end of what the client sends, or as much as is allowed."""
        while self.discarded < LINGER_BYTES:
            chunk = await asyncio.get_running_loop().sock_recv(self.sock, CHUNK)
            if not chunk:
                return
            self.discarded += len(chunk)
            await asyncio.sleep(0)
        await asyncio.sleep(LINGER)  # enough: now the client waits


# A worker.


class Worker:
    def __init__(self, listener, lifeline, tell, grace):
        self.listener, self.lifeline, self.tell, self.grace = listener, lifeline, tell, grace
        self.conns = {}  # the tasks that serve them
        self.due = math.inf  # when to listen again
        self.long = False  # turns are long: it came later
        self.draining = None

    async def run(self):
        self.loop = asyncio.get_running_loop()
        self.draining = asyncio.Event()
        self.loop.add_signal_handler(signal.SIGTERM, self.say, b"w")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self.loop.add_reader(self.listener, self.accept)
        self.loop.add_reader(self.lifeline, self.hear)
        self.say(b"r")
        await self.draining.wait()
        if self.conns:
            await asyncio.wait(list(self.conns.values()), timeout=self.grace)

    def say(self, word):
        try:
            os.write(self.tell, word)
        except OSError:
            pass  # the master is gone, or doesn't listen

    def hear(self):
        word = os.read(self.lifeline, 1)
        if word != b"r":  # it stops, or is gone: what is queued is ours, too
            while self.take():
                pass
        if not word:
            self.loop.remove_reader(self.lifeline)
            self.shut()
        if not self.draining.is_set():
            self.draining.set()
            self.loop.remove_reader(self.listener)
            for conn in list(self.conns):
                conn.drain()
        self.say(b"d")

    def shut(self):
        try:
            self.listener.shutdown(socket.SHUT_RD)
        except OSError:
            pass  # a sibling did

    def take(self):
        """Accept a connection, if there is one."""
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return False
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conn = Conn(sock)
        self.conns[conn] = task = self.loop.create_task(conn.serve())
        task.add_done_callback(lambda _: self.conns.pop(conn))
        if self.draining.is_set():
            conn.drain()
        return True

    def accept(self):
        """Accept one, and leave the next one to others for a moment; but catch
        up when turns are long."""
        for _ in range(64 if self.long else 1):
            if not self.take():
                break
        self.loop.remove_reader(self.listener)
        pause = min(0.0004, 0.00002 * len(self.conns))
        self.due = self.loop.time() + pause
        self.loop.call_later(pause, self.listen)

    def listen(self):
        self.long = self.loop.time() - self.due > 0.05
        if not self.draining.is_set():
            self.loop.add_reader(self.listener, self.accept)


# The master.


class Slot:
    """A place for a worker, which may have died."""

    pid = lifeline = heard = None
    drained = retiring = False
    since = due = delay = 0.0


class Master:
    def __init__(self, host, port, workers, grace):
        self.grace = grace
        self.slots = [Slot() for _ in range(workers)]
        self.kill_at = self.shut_at = math.inf
        self.stopping = False

        self.wake, woken = socket.socketpair()
        for end in (self.wake, woken):
            end.setblocking(False)
        self.woken = woken
        hangs_up = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
        self.wishes = {signal.SIGINT, signal.SIGTERM} | ({signal.SIGHUP} if hangs_up else set())
        for sig in self.wishes | {signal.SIGCHLD}:
            signal.signal(sig, lambda *_: None)
        signal.set_wakeup_fd(woken.fileno())

        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(4096)
        self.listener.setblocking(False)
        print("listening on %s:%d" % self.listener.getsockname()[:2], flush=True)

        self.selector = selectors.DefaultSelector()
        self.selector.register(self.wake, selectors.EVENT_READ)

    def run(self):
        while not self.stopping or any(slot.pid for slot in self.slots):
            now = time.monotonic()
            if not self.stopping:
                for slot in self.slots:
                    if not slot.pid and slot.due <= now:
                        self.spawn(slot)
            if self.stopping and (now >= self.shut_at or all(s.drained or not s.pid for s in self.slots)):
                self.shut_at = math.inf
                self.close()
            if now >= self.kill_at:
                self.kill()

            times = [self.kill_at, self.shut_at]
            if not self.stopping:
                times += [slot.due for slot in self.slots if not slot.pid]
            wait = min(times) - time.monotonic()
            for key, _ in self.selector.select(None if wait == math.inf else max(0, wait)):
                if key.fileobj is self.wake:
                    for sig in self.wake.recv(4096):
                        self.signalled(sig)
                else:
                    self.hear(key.data)
            self.reap()
        self.close()

    def signalled(self, sig):
        if sig not in self.wishes:
            return
        if not self.stopping:
            log("stopping")
            self.stopping = True
            self.kill_at, self.shut_at = time.monotonic() + self.grace, time.monotonic() + 0.1
            for slot in self.slots:
                self.tell(slot, b"s")
        elif sig != signal.SIGHUP:
            self.kill()

    def kill(self):
        self.kill_at = math.inf
        for slot in self.slots:
            if slot.pid:
                os.kill(slot.pid, signal.SIGKILL)

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RD)
        except OSError:
            pass
        self.listener.close()

    def tell(self, slot, word):
        if slot.pid:
            try:
                os.write(slot.lifeline, word)
            except OSError:
                pass  # it has died

    def hear(self, slot):
        words = os.read(slot.heard, 64)
        if not words:
            self.selector.unregister(slot.heard)
        if b"w" in words and not self.stopping:
            slot.retiring = True
            self.tell(slot, b"r")
        slot.drained = slot.drained or b"d" in words

    def spawn(self, slot):
        slot.since, slot.drained, slot.retiring = time.monotonic(), False, False
        down, slot.lifeline = os.pipe()
        slot.heard, up = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        slot.pid = os.fork()
        if slot.pid == 0:
            self.become_worker(slot, down, up)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(down)
        os.close(up)
        self.selector.register(slot.heard, selectors.EVENT_READ, slot)

    def become_worker(self, own, down, up):
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.selector.close()
            self.wake.close()
            self.woken.close()
            for slot in self.slots:
                if slot.pid is not None and (slot.pid or slot is own):
                    os.close(slot.lifeline)
                    os.close(slot.heard)
            os.set_blocking(up, False)
            asyncio.run(Worker(self.listener, down, up, self.grace).run())
            code = 0
        except BaseException as error:
            log("a worker failed:", repr(error))
        finally:
            os._exit(code)

    def reap(self):
        for slot in self.slots:
            if not slot.pid:
                continue
            pid, status = os.waitpid(slot.pid, os.WNOHANG)
            if pid == 0:
                continue
            log("worker", slot.pid, "has ended")
            os.close(slot.lifeline)
            if slot.heard in self.selector.get_map():
                self.selector.unregister(slot.heard)
            os.close(slot.heard)
            slot.pid = None
            slot.due = time.monotonic()
            if slot.retiring and status == 0:
                continue  # it has ended as it was told
            young = time.monotonic() < slot.since + 1
            slot.delay = min(5, max(0.1, 2 * slot.delay)) if young else 0
            slot.due += slot.delay


def main():
    if len(sys.argv) not in (4, 5):
        log("usage: server.py HOST PORT WORKERS [GRACE]")
        sys.exit(2)
    host, port, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    Master(host, port, workers, float(sys.argv[4]) if len(sys.argv) > 4 else 5.0).run()


if __name__ == "__main__":
    main()
