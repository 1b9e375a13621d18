"""What calls cost their creators: reservations before, the usage log after."""

__all__ = ("cost_backfill", "reservations", "usage_log")
