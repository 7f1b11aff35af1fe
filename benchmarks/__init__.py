"""What was measured, how to measure it again, and the tables made of it."""
