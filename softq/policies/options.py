"""The options of commands that play a policy: of which run, training seed and checkpoint, and through which sampler."""

import argparse

from softq.policies.policy import Policy, load
from softq.samplers.registry import SAMPLERS
from softq.utils.cli_options import Parser, int_option


def add_options(parser: Parser) -> None:
    """Add the options that say which policy plays."""
    parser.add_argument("folder", metavar="DIR", help="run directory")
    parser.add_argument(
        "--index", type=int_option, default=0, metavar="N", help="number of the training seed, from 0 [0]"
    )
    parser.add_argument(
        "--checkpoint",
        choices=("newest", "best"),
        default="newest",
        help="the newest checkpoint, or the learner that --keep-best has kept [newest]",
    )
    parser.add_argument(
        "--sampler",
        metavar="NAME",
        help="let the critic act through this sampler: " + " ".join(SAMPLERS),
    )
    parser.add_argument(
        "--budget",
        type=int_option,
        default=100,
        metavar="N",
        help="number of candidates or gradients that --sampler uses for one action [100]",
    )


def chosen(options: argparse.Namespace) -> Policy:
    """The policy that the options name. Raises `SoftqError` when there is none."""
    return load(options.folder, options.index, options.checkpoint)
