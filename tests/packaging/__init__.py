"""The files that run it elsewhere: image, compose file, chart, units and alerts, read by the programs they are for."""
