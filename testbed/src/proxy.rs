//! A proxy between a client and a server that cuts, stalls and slows connections.
