"""One-to-Normal (Li et al., NeurIPS 2024): a query against its normal twin, a bank of normal images, and text."""
