"""What calls cost their creators: reservations before, the usage log after."""
