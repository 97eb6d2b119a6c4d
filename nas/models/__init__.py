"""Torch networks made from operator graphs."""
