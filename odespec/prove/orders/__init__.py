"""The order of convergence: the trees of a field, the conditions of a method, and slopes measured to fifty digits."""
