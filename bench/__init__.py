"""Measurements that print ratios: ours beside what one would use otherwise, in the same run."""
