"""Applications that show how bullq is used."""
