//! Sealing: nothing secret reaches a store, a journal or a file but through here. May use `model` only.
