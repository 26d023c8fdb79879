//! Local channel between enclave and host: vsock, hybrid-vsock, bounded frames
