"""Where a store must not lie: on a file system shared over a network, whose locks and flushes cannot be relied on."""

from __future__ import annotations

import re
from pathlib import Path

from medudl.errors import UserError

_MOUNTS = Path("/proc/self/mountinfo")
_SHARED = re.compile(
    r"nfs\d?|cifs|smb\w*|ncpfs?|9p|afs|lustre|gpfs|ceph|glusterfs|beegfs\w*|pvfs2|orangefs|davfs\d?|coda|gfs2?|ocfs2"
    r"|vboxsf|vmhgfs|prl_fs|virtiofs|drvfs|panfs|wekafs|fuse(\..+)?"
)


def refuse_network(path: Path) -> None:
    r"""Raise UserError where `path` would lie on a network file system, or on one of FUSE, which may hide one.

    Only Linux tells (/proc/self/mountinfo). On macOS and Windows nothing is checked but paths that begin with \\.
    """
    where = path.absolute()
    kind = "network share" if str(where).startswith("\\\\") else ""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        mounts = ""
    kind = kind or network_kind(where.parent.resolve() / where.name, mounts)
    if kind:
        raise UserError(
            f"{path}: lies on a network file system ({kind}), where saved labels can be lost; keep the store on a local"
            " disk and copy it when nobody labels"
        )


def network_kind(path: Path, mounts: str) -> str:
    """The type of the network file system that `path` lies on, "" for a local one. mounts: text of mountinfo."""
    kind = kind_of(path, mounts)
    return kind if _SHARED.fullmatch(kind) else ""


def kind_of(path: Path, mounts: str) -> str:
    """Type of the file system at `path`: that of the longest mount point above it, the last of equal ones."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        head, bar, tail = line.partition(" - ")
        fields = head.split(" ")
        if not bar or len(fields) < 6:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), tail.split(" ")[0].lower()
    return kind
