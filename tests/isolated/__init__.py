"""What the suites of faults and attacks share."""
