"""What bullq tells of itself: the Observer port, and its exporters."""
