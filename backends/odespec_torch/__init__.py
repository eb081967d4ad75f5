"""The PyTorch back end: prints step programs as standalone PyTorch modules. Importing it does not import torch."""

from odespec_torch.backend import TorchBackend

backend = TorchBackend()
"""What the entry point ``torch`` of the group ``odespec.backends`` finds."""

__all__ = ["TorchBackend", "backend"]
