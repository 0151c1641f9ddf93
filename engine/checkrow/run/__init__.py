"""Running plans: tasks, executors, lifecycle, and the runner that wires them."""
