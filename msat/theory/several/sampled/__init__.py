"""Networks with several outputs and any activation: averages over draws of one tilted neuron."""
