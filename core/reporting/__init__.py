"""Count the usage log into rollups and report them. Other packages only read them."""

__all__ = ("day_page", "partitions", "record", "report", "rollup")
