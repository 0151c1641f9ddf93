"""The lazy user API: datasets, plans, runs."""
