"""Offline memory plans for TensorFlow Lite Micro: safe distances, planner, independent verifier.

Needs nothing of the package but ``nas.model_file`` and ``nas.errors``.
"""
