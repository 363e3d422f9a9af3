"""The plane with a dashboard, as the dashboard's own tests use it."""

from __future__ import annotations

from tests.dashboard.conftest import watched

__all__ = ["watched"]
