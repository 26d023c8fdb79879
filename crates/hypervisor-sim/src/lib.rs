//! Simulated hypervisor: a Nitro Security Module, its certificate authority and a vsock device for local development
