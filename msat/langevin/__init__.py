"""Langevin training: potential and forces, integrators, batched sampler, diagnostics, checkpoints."""
