"""The families of networks that come with mbench, one module each."""
