"""The control plane (``personalize``) of the embedded service."""

from __future__ import annotations

from personalize_rt.local.control.wire import ControlWire

__all__ = ["ControlWire"]
