#!/usr/bin/env bash
# What an installed odespec must do, run from an empty folder with `odespec` and `python` on the path.
set -euo pipefail
odespec --version
odespec new first.ode
odespec check first.ode --certificates proofs
odespec audit proofs/*.json --against first.ode
odespec compile first.ode --to torch -o first_torch.py
odespec compile first.ode --to jax -o first_jax.py
python -m py_compile first_torch.py first_jax.py
odespec fmt --check first.ode
odespec explain nonexpansive > explained.txt
odespec solvers --json > solvers.json
python - <<'PY'
from odespec.resources import data_dir

names = [p.name for p in data_dir("specs").iterdir()]
assert "gradient_flow.ode" in names, names
PY
if odespec check missing.ode 2> error.txt; then exit 1; fi
grep -q "ODE0" error.txt
echo "smoke test passed"
