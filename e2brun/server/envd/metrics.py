"""What a sandbox uses, as envd's own endpoint says it."""

from __future__ import annotations

from typing import Any

from e2brun.server.sandboxes.metering import CPU_COUNT, Sample, sample_now
from e2brun.server.sandboxes.records import Record

_MIB = 1024 * 1024


def measured(record: Record) -> dict[str, Any]:
    """One sample, not older than a moment."""
    sample_now(record)
    samples, limits = record.meter.samples, record.live.jail.limits
    last = samples[-1] if samples else Sample(record.started_at, 0.0, 0, 0)
    return {
        "ts": int(last.when),
        "cpu_count": CPU_COUNT,
        "cpu_used_pct": last.cpu,
        "mem_total": limits.memory,
        "mem_used": last.memory,
        "mem_cache": 0,
        "mem_total_mib": limits.memory // _MIB,
        "mem_used_mib": last.memory // _MIB,
        "disk_used": last.disk,
        "disk_total": limits.disk,
    }
