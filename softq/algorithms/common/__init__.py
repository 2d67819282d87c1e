"""What several algorithms share: targets, learners, the temperature, the regression of a diffusion policy."""
