"""The official client's Worker, with bullq's loop in it."""
