"""The viewer's own addresses: voxels of what was offered, and the component's files. Behind `gate`."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from apps.viewer.explore_addresses import EXPLORE_ROUTES
from apps.viewer.house import house
from apps.viewer.label_addresses import LABEL_ROUTES
from apps.viewer.samples_addresses import SAMPLES_ROUTES
from apps.viewer.source import Source
from apps.viewer.store import Held
from medudl.errors import UserError

Result = TypeVar("Result")
STATIC = Path(__file__).parent / "static"
_ASSET = re.compile(r"(vendor/)?[a-z0-9][a-z0-9_-]*\.(js|css)")
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_CHUNK = 1 << 20
_RAW: Mapping[str, str] = {"content-encoding": "identity"}  # Streamlit's gzip then leaves it alone: 9 s against 1
_LONGEST = 600.0  # seconds that sending one volume may take: a reader that stops would hold its memory for ever
# Reading has its own threads: decodings that wait for their turn must not hold up a slice that is there.
_readers = ThreadPoolExecutor(4, "read")
_openers = ThreadPoolExecutor(16, "open")


async def meta(request: Request) -> Response:
    """What a volume is; decodes it if it is not held."""
    source, held = await _held(request)
    return JSONResponse(describe(source, held))


async def slice_(request: Request) -> Response:
    """Raw bytes of one slice along the third axis."""
    _, held = await _held(request)
    k = int(request.path_params["k"])
    if k >= held.decoded.shape[2]:
        return _problem(404, "this scan has no such slice")
    size = held.slice_bytes
    data = await _in(_readers, held.read, k * size, size)
    return Response(data, media_type="application/octet-stream", headers={**_RAW, "x-key": held.key})


async def volume(request: Request) -> Response:
    """All raw bytes, in pieces."""
    _, held = await _held(request)
    headers = {**_RAW, "content-length": str(held.decoded.bytes), "x-key": held.key}
    body = _pieces(held) if request.method == "GET" else _nothing()
    return StreamingResponse(body, media_type="application/octet-stream", headers=headers)


async def asset(request: Request) -> Response:
    """A file of the component, by its name; nothing else of the disk can be named."""
    name = request.path_params["name"]
    path = STATIC / name
    if not _ASSET.fullmatch(name) or not path.is_file():
        return _problem(404, "no such file")
    found = path.stat()
    data, tag = _content(path, found.st_mtime_ns, found.st_size)
    headers = {"etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=_TYPES[path.suffix], headers=headers)


def describe(source: Source, held: Held) -> dict[str, Any]:
    """The JSON of /voxels/<id>/meta: values of shape, affine (voxel -> mm RAS), range and extent are as stored."""
    decoded = held.decoded
    # A CT says itself whether it is in HU; of other formats the table knows.
    unit = (
        decoded.unit if source.unit == "arbitrary" or source.format == "dicom" and source.unit == "HU" else source.unit
    )
    return {
        "id": source.id, "key": held.key, "shape": decoded.shape, "dtype": decoded.dtype, "affine": decoded.affine,
        "spacing": decoded.spacing, "unit": unit, "modality": source.modality, "contrast": source.contrast,
        "title": source.title, "subject": source.subject, "range": decoded.range, "extent": decoded.extent,
        "repaired": decoded.repaired,
    }  # fmt: skip


class _Refused(Exception):
    """Carries the answer to a request that cannot be served."""

    def __init__(self, response: Response) -> None:
        self.response = response


async def _held(request: Request) -> tuple[Source, Held]:
    source = house().sources.find(request.path_params["id"])
    if source is None:
        raise _Refused(_problem(404, "no such scan; open it from its page"))
    try:
        held = await _in(_openers, house().store.open, source)
    except UserError as error:
        raise _Refused(_problem(422, str(error))) from None
    # A page that was opened before the file changed must not mix its slices with the new ones.
    if request.query_params.get("key", held.key) != held.key:
        raise _Refused(_problem(409, "this scan has changed on the disk; open it again"))
    return source, held


def _answering(endpoint: Callable[[Request], Any]) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        try:
            response: Response = await endpoint(request)
        except _Refused as refused:
            return refused.response
        return response

    return answer


async def _pieces(held: Held) -> AsyncIterator[bytes]:
    async with asyncio.timeout(_LONGEST):
        for offset in range(0, held.decoded.bytes, _CHUNK):
            yield await _in(_readers, held.read, offset, min(_CHUNK, held.decoded.bytes - offset))


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _in(pool: ThreadPoolExecutor, function: Callable[..., Result], *args: Any) -> Result:
    return await asyncio.get_running_loop().run_in_executor(pool, partial(function, *args))


@lru_cache(maxsize=64)
def _content(path: Path, changed: int, size: int) -> tuple[bytes, str]:
    data = path.read_bytes()
    return data, f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _problem(status: int, sentence: str) -> Response:
    return JSONResponse({"problem": sentence}, status)


ROUTES = [
    Route("/voxels/{id:str}/meta", _answering(meta)),
    Route("/voxels/{id:str}/slice/{k:int}", _answering(slice_)),
    Route("/voxels/{id:str}", _answering(volume)),
    Route("/voxels/{rest:path}", lambda request: _problem(404, "no such scan; open it from its page")),
    Route("/asset/{name:path}", _answering(asset)),
    *EXPLORE_ROUTES,
    *SAMPLES_ROUTES,
    *LABEL_ROUTES,
]
