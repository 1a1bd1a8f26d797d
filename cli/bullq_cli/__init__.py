"""The command line of bullq."""
