"""The command line: a face; it prints what the layers below return."""
