//! The parent: stores ciphertext, starts enclaves, relays bytes
