"""An object store behind the data folder: the client, the lease, the shared log, and what is pushed and pulled."""
