"""Front ends: from the user's own network, a file or a function, to a graph with its weights."""
