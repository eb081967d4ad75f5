"""Relations on the states that stay true from step to step."""
