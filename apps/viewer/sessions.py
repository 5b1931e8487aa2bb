"""Who may ask: tokens this process gave out, and how often a password may be tried."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MOST = 256  # sessions at once; the one silent for longest goes first
IDLE_SECONDS = 12 * 3600.0
_SCRYPT = {"n": 2**14, "r": 8, "p": 1}
_FREE_TRIES = 5
_LOCK_SECONDS, _LONGEST_LOCK = 2.0, 900.0
_ADDRESSES = 1024  # whose failures are remembered


class Sessions:
    """Tokens of browsers that were let in; a token dies after twelve hours of silence, and with the process."""

    def __init__(self, *, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._seen: OrderedDict[bytes, float] = OrderedDict()  # SHA-256 of a token -> when it was last used
        self._lock = threading.Lock()

    def begin(self) -> str:
        """A new token."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._seen[_digest(token)] = self._clock()
            while len(self._seen) > self._most:
                self._seen.popitem(last=False)
        return token

    def holds(self, token: str) -> bool:
        """Whether this is a living token; it then lives on. Found by its hash, so time tells nothing of another's."""
        digest, now = _digest(token), self._clock()
        with self._lock:
            seen = self._seen.pop(digest, None)
            if seen is None or now - seen > IDLE_SECONDS:
                return False
            self._seen[digest] = now
            return True


class Password:
    """The password that `--host` needs; each failure beyond a few makes the next try of its address wait longer."""

    def __init__(self, password: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._salt = secrets.token_bytes(16)
        self._hash = self._of(password)
        self._clock = clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()  # address -> failures, locked until
        self._lock = threading.Lock()

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0: now."""
        with self._lock:
            return max(0.0, self._failed.get(address, (0, 0.0))[1] - self._clock())

    def fits(self, password: str, address: str) -> bool:
        """Try. Costs some 50 ms of processor time. A locked address does not fit, whatever it sends."""
        if self.wait(address) > 0:
            return False
        right = hmac.compare_digest(self._of(password), self._hash)
        with self._lock:
            if right:
                self._failed.pop(address, None)
            else:
                self._fail(address)
        return right

    def _fail(self, address: str) -> None:
        count = self._failed.pop(address, (0, 0.0))[0] + 1
        lock = _LOCK_SECONDS * 2 ** (count - _FREE_TRIES) if count >= _FREE_TRIES else 0.0
        self._failed[address] = (count, self._clock() + min(lock, _LONGEST_LOCK))
        while len(self._failed) > _ADDRESSES:
            self._failed.popitem(last=False)

    def _of(self, password: str) -> bytes:
        return hashlib.scrypt(password.encode("utf-8", "surrogatepass")[:1024], salt=self._salt, **_SCRYPT)


def same(one: str, other: str) -> bool:
    """Equality whose time does not tell how much of a secret was right."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
