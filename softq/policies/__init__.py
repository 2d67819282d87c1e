"""A trained policy as one object: it acts, shows its critic, and becomes a file or a film."""

from softq.policies.policy import Policy, load

__all__ = ["Policy", "load"]
