"""Distance claims about multistep methods: over few steps in one problem, over many by a form that no step lets grow."""
