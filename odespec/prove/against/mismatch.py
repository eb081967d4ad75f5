"""What says that a certificate belongs to another spec."""


class Mismatch(Exception):
    """The certificate is not one of this spec; the message says why."""
