"""The order: what happens, in what sequence."""
