"""The composition root: what the handlers work with, opened on first use and kept for the warm container.

Importing this module touches no network, no environment and no SDK. Tests put
a container of in-memory fakes in its place with `replaced`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.lineage.log import TableLog
    from chalicelib.ports import (
        Announcer,
        ArtifactStore,
        DeadLetters,
        Deliveries,
        DeliveryQueue,
        Gauge,
        Lake,
        Ledger,
        LineageStore,
        LogObjects,
        LogSigner,
        Pseudonyms,
        Queue,
        Sealer,
        Spool,
        SpoolReader,
    )
    from chalicelib.settings import Settings


def utc_now() -> datetime:
    """Now, to the millisecond: as fine as times are stored."""
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)


class Container:
    """The ports of one stage. Each is opened when it is first asked for."""

    @cached_property
    def settings(self) -> Settings:
        from chalicelib.settings import Settings

        return Settings.from_environ(os.environ)

    def wall(self) -> datetime:
        """Real time: for credentials, signatures, URLs, and how long things wait."""
        return utc_now()

    def clock(self) -> datetime:
        """When what is decided is decided: real time, but for a replay's on a local stage (docs/replay.md).

        A replay's clock stands where its last tick put it and goes on from there as real time does.
        """
        from chalicelib.settings import REPLAY

        now = self.wall()
        tick = self.lineage.tick() if self.settings.clock == REPLAY else None
        return now if tick is None else tick.at(now)

    @cached_property
    def lineage(self) -> LineageStore:
        from chalicelib import aws

        return aws.open_lineage(self.settings)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        from chalicelib import aws

        return aws.open_artifacts(self.settings)

    @cached_property
    def examination_queue(self) -> Queue:
        from chalicelib import aws

        return aws.open_examination_queue(self.settings)

    @cached_property
    def notary_queue(self) -> Queue:
        from chalicelib import aws

        return aws.open_notary_queue(self.settings)

    @cached_property
    def delivery_queue(self) -> DeliveryQueue:
        from chalicelib import aws

        return aws.open_delivery_queue(self.settings)

    @cached_property
    def gauge(self) -> Gauge:
        from chalicelib import aws

        return aws.open_gauge(self.settings)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        from chalicelib import aws

        return aws.open_dead_letters(self.settings)

    @cached_property
    def telemetry_dead_letters(self) -> DeadLetters:
        from chalicelib import aws

        return aws.open_telemetry_dead_letters(self.settings)

    @cached_property
    def deliveries(self) -> Deliveries:
        from chalicelib import aws

        return aws.open_deliveries(self.settings)

    @cached_property
    def event_bus(self) -> Announcer:
        from chalicelib import aws

        return aws.open_bus(self.settings)

    @cached_property
    def event_topic(self) -> Announcer:
        from chalicelib import aws

        return aws.open_topic(self.settings)

    @cached_property
    def log(self) -> TableLog:
        from chalicelib import aws

        return aws.open_log(self.settings)

    @cached_property
    def log_objects(self) -> LogObjects:
        from chalicelib import aws

        return aws.open_log_objects(self.settings)

    @cached_property
    def log_signer(self) -> LogSigner:
        from chalicelib import aws

        return aws.open_log_signer(self.settings)

    @property
    def log_origin(self) -> str:
        """The transparency log's name: the stage's, and its bucket's, which no other stage shares."""
        return f"tiltyard.{self.settings.stage}.{self.settings.audit_bucket}"

    @cached_property
    def telemetry_queue(self) -> Queue:
        from chalicelib import aws

        return aws.open_telemetry_queue(self.settings)

    @cached_property
    def spool(self) -> Spool:
        from chalicelib import aws

        return aws.open_spool(self.settings)

    @cached_property
    def sealer(self) -> Sealer:
        from chalicelib import aws

        return aws.open_sealer(self.settings)

    @cached_property
    def spool_reader(self) -> SpoolReader:
        from chalicelib import aws

        return aws.open_spool(self.settings)

    @cached_property
    def lake(self) -> Lake:
        from chalicelib import aws

        return aws.open_lake(self.settings)

    @cached_property
    def ledger(self) -> Ledger:
        from chalicelib import aws

        return aws.open_ledger(self.settings)

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        from chalicelib import aws

        return aws.open_pseudonyms(self.settings)


_container = Container()


def container() -> Container:
    """The container of this process."""
    return _container


@contextmanager
def replaced(by: Container) -> Iterator[Container]:
    """Put another container in the process's place, for a while."""
    global _container
    before, _container = _container, by
    try:
        yield by
    finally:
        _container = before
