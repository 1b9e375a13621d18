"""Where and when everything runs."""
