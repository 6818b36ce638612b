//! The files of one hosting: the worker that opens them, and the client that asks it.
