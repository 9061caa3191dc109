"""Sandboxes as the control plane's clients read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.registered import Line
from e2brun.server.options import ServiceOptions
from e2brun.server.sandboxes.metering import CPU_COUNT, Entry
from e2brun.server.sandboxes.records import Record, State

CLIENT_ID = "e2brun"  # E2B: which of its machines
ENVD_VERSION = "0.6.4"  # clients decide by it what they may ask for

Wire = dict[str, Any]


def timestamp(when: float) -> str:
    """Unix time as RFC 3339."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="microseconds")


def logged(entry: Entry | Line) -> Wire:
    return {"timestamp": timestamp(entry.when), "message": entry.message, "level": entry.level}


def created(record: Record, options: ServiceOptions) -> Wire:
    """The answer to create, connect and fork."""
    return {
        **_named(record),
        "envdAccessToken": record.envd_token,
        "trafficAccessToken": record.traffic_token,
        "domain": domain(options),
    }


def listed(record: Record, options: ServiceOptions) -> Wire:
    wire = {
        **_named(record),
        "startedAt": timestamp(record.started_at),
        "endAt": timestamp(record.ends_at),
        **machine(options),
        "state": str(record.state),
        "metadata": dict(record.origin.metadata),
    }
    if mounts := record.origin.mounts:
        wire["volumeMounts"] = [{"name": mount.name, "path": mount.path} for mount in mounts]
    return wire


def _named(record: Record) -> Wire:
    wire: Wire = {
        "templateID": record.origin.template_id,
        "sandboxID": record.id,
        "clientID": CLIENT_ID,
        "envdVersion": ENVD_VERSION,
    }
    if record.origin.alias is not None:
        wire["alias"] = record.origin.alias
    return wire


def machine(options: ServiceOptions) -> Wire:
    """What every sandbox is: its size, and the version of what answers in it."""
    return {
        "cpuCount": CPU_COUNT,
        "memoryMB": options.memory // MIB,
        "diskSizeMB": options.disk // MIB,
        "envdVersion": ENVD_VERSION,
    }


def detailed(record: Record, options: ServiceOptions) -> Wire:
    lifecycle = record.lifecycle
    wire = listed(record, options)
    wire |= {
        "envdAccessToken": record.envd_token,
        "domain": domain(options),
        "allowInternetAccess": record.internet,
        "lifecycle": {
            "onTimeout": "pause" if lifecycle.pause else "kill",
            "autoResume": lifecycle.auto_resume,
        },
    }
    if record.state is State.PAUSED:
        wire["pauseMode"] = "filesystem" if record.running is None else "full"
    if record.network is not None:
        wire["network"] = dict(record.network)
    return wire


def domain(options: ServiceOptions) -> str:
    """What sandboxes' host names end in."""
    if options.domain:
        return options.domain
    return f"localhost:{options.port}" if options.port else "localhost"
