"""Claims about a scalar of the states: how V changes over a step, and along the flow."""
