"""Two creators on one door: whatever one asks for, nothing of the other's is read or touched, by any query."""
