"""One engine for each family of claims."""
