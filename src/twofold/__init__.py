"""One diffusion model, two uses: a sampler of conformations and a coarse-grained force field."""
