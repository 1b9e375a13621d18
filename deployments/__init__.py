"""The place: where and when everything runs."""
