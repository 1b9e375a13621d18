"""Count the usage log and report it. Nothing here writes what others read, but rollups."""
