"""Plans: pure data from the user's tree to stages and tasks. No I/O, no clock, no randomness, no cluster."""
