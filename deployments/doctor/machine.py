"""This machine: the state folder and its files, file descriptors, disk space."""

import os
import resource
import shutil
import stat
from pathlib import Path

from core.media import store
from core.settings import Settings, warnings
from deployments.doctor import findings
from deployments.doctor.findings import Finding

_FEW_DESCRIPTORS = 4096
_GIB = 1 << 30


async def look(config: Settings) -> list[Finding]:
    """Look at everything."""
    return [*_settings(config), *_files(config.state_dir), _descriptors(), *_disks(config)]


def _settings(config: Settings) -> list[Finding]:
    found = [findings.warning("settings", sentence) for sentence in warnings(config)]
    return found or [findings.ok("settings", f"they fit together; mode {config.mode}, launch {config.launch}")]


def _files(state_dir: Path) -> list[Finding]:
    """Who else may read what only our user should."""
    if not state_dir.is_dir():
        return [findings.ok("files", f"there is no {state_dir}")]
    allowed = {state_dir: 0o710 if os.geteuid() == 0 else 0o700, state_dir / "instant.env": 0o600}
    open_to_others = {
        path: mode
        for path, mode in allowed.items()
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o777 & ~mode
    }
    return [
        findings.wrong("files", f"others may read {path}, which holds keys; chmod {mode:o} {path}")
        for path, mode in open_to_others.items()
    ] or [findings.ok("files", f"only you may enter {state_dir}")]


def _descriptors() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FEW_DESCRIPTORS:
        return findings.warning(
            "file descriptors",
            f"this shell allows {soft}; each buyer's connection is one: start doors with ulimit -n 65536, or"
            " LimitNOFILE=65536 in systemd",
        )
    return findings.ok("file descriptors", f"this shell allows {'any number' if soft < 0 else soft}")


def _disks(config: Settings) -> list[Finding]:
    places = {config.state_dir, store.folder(config.media_url) if config.media_url else None}
    found = []
    for place in sorted(place for place in places if place is not None and place.is_dir()):
        usage = shutil.disk_usage(place)
        said = f"{usage.free / _GIB:.1f} GiB of {usage.total / _GIB:.1f} are free at {place}"
        if usage.free < _GIB or usage.free < 0.05 * usage.total:
            found.append(findings.wrong("disk space", f"{said}; make room, or answers and rows cannot be written"))
        elif usage.free < 0.15 * usage.total:
            found.append(findings.warning("disk space", f"{said}; make room soon"))
        else:
            found.append(findings.ok("disk space", said))
    return found
