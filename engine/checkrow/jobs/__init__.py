"""Jobs: named functions that return a plan, with typed parameters and an identity that does not depend on a clock."""
