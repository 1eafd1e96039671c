"""The small pixel-space model that normalgen bundles: its denoiser, text encoder and prior."""
