"""Count the usage log and report it. Other packages only read; the rollups are written here."""

__all__ = ("day_page", "partitions", "report", "rollup")
