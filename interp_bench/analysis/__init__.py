"""Numbers out of stored trials: intervals, cells, reach, calibration, standings; never imports torch."""
