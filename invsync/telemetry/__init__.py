"""Metrics, traces and logs of runs for other systems: off unless [telemetry] asks for them."""

from invsync.telemetry.measured import Measured, Step, Stopwatch, timed
from invsync.telemetry.reporting import after, exporter

__all__ = ["Measured", "Step", "Stopwatch", "after", "exporter", "timed"]
