"""The search for weights and inputs that break a claim, and the exact check of what it finds."""
