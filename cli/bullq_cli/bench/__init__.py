"""`bullq bench`: find out how many jobs at once, in how many processes, a queue should run."""
