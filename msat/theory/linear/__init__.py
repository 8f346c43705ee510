"""The action of a linear network in closed form, in the eigenbasis of its input kernel."""
