"""Utilities for all parts of softq: errors, checks, pytrees, fields of settings, command-line options and files."""
