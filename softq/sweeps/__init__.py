"""Many runs by one command: the list of runs in a file, the engines that carry it out, and a view of runs under way."""
